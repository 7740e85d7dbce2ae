"""What a campaign would come to if calls went on as they came. Nothing is written, and no draw key is opened.

calls.py, lately.py      read: past calls, counted by what decides on them; what came of surveys lately
reading.py               puts them together, with roster and calendars
days.py, experience.py   pure: calls of the days to come; what becomes of dials and emails, seen or assumed
replay.py                pure: a part of the past calls drawn, planned and asked as they would be
known.py                 read: what the settings of rates to come will find already there
flows.py, weekly.py      pure: calls to come, and the rates at which they are drawn, by the scheduler's own rule
totals.py, limits.py     pure: expectations by subject and week; whether pace and money are enough
report.py, words.py, advice.py   as plain values, in sentences, and what to look at
cli.py                   flask campaigns forecast
"""
