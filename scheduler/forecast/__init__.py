"""What a campaign would come to if calls went on as in the last weeks. Nothing is written, and no draw key is opened.

calls.py, lately.py      read: past calls, counted by what decides on them; what came of surveys lately
reading.py               puts them together, with roster and calendars
days.py, experience.py   pure: calls of the days to come; what becomes of dials and emails, seen or assumed
replay.py                pure: a part of the past calls drawn, planned and asked as they would be
totals.py, limits.py     pure: expectations by subject and week; whether pace and money are enough
report.py, words.py      as plain values, and in sentences
cli.py                   flask campaigns forecast
"""
