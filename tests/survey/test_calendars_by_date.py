"""Deadlines where the calendar itself changes: weekends by date, observed and regional holidays, a site's own days."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from survey import calendars
from survey.calendars import Calendar, dates, deadline, table_version
from survey.models import Site

RIYADH, DUBAI, KATHMANDU = ("Asia/Riyadh", "SA"), ("Asia/Dubai", "AE"), ("Asia/Kathmandu", "NP")
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6


def worked_on(zone: str, country: str, *days: str) -> Calendar:
    """The calendar of a site that works on these days, which are free in its country."""
    return Calendar(zone, country, opened=dates(days))


def last_day(calendar: Calendar, called_on: date) -> date:
    """The second business day after a call that ended at ten that morning, in Greenwich."""
    return deadline(datetime(called_on.year, called_on.month, called_on.day, 10, tzinfo=UTC), calendar).last_day


@pytest.mark.parametrize(
    ("where", "called_on", "second"),
    [
        # Saudi Arabia rested on Thursday and Friday; from 29 June 2013 on Friday and Saturday.
        (RIYADH, date(2013, 6, 19), date(2013, 6, 23)),  # Wednesday: Saturday, Sunday
        (RIYADH, date(2013, 6, 26), date(2013, 7, 1)),  # Wednesday before the change: Sunday, Monday
        (RIYADH, date(2013, 7, 3), date(2013, 7, 7)),  # Wednesday after it: Thursday, Sunday
        # The Emirates rested on Friday and Saturday; from 2022 on Saturday and Sunday.
        (DUBAI, date(2021, 12, 22), date(2021, 12, 26)),  # Wednesday: Thursday, Sunday
        (DUBAI, date(2021, 12, 29), date(2022, 1, 3)),  # Wednesday, over the change: Thursday, Monday
        (DUBAI, date(2022, 1, 5), date(2022, 1, 7)),  # Wednesday: Thursday, Friday
        (DUBAI, date(2022, 1, 6), date(2022, 1, 10)),  # Thursday: Friday, Monday
        # Brunei rests on Friday and Sunday, Iran on Friday.
        (("Asia/Brunei", "BN"), date(2026, 3, 12), date(2026, 3, 16)),  # Thursday: Saturday, Monday
        (("Asia/Tehran", "IR"), date(2026, 4, 15), date(2026, 4, 18)),  # Wednesday: Thursday, Saturday
        # Nepal rests on Saturday; from 15 May to 14 June 2022 on Sunday too.
        (KATHMANDU, date(2026, 1, 30), date(2026, 2, 2)),  # Friday: Sunday, Monday
        (KATHMANDU, date(2022, 5, 20), date(2022, 5, 24)),  # Friday: Monday, Tuesday
        (KATHMANDU, date(2022, 6, 17), date(2022, 6, 20)),  # Friday after it: Sunday, Monday
    ],
)
def test_weekends_are_those_of_the_date(where: tuple[str, str], called_on: date, second: date) -> None:
    assert last_day(Calendar(*where), called_on) == second


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2022, 5, 8), True),
        (date(2022, 5, 15), False),
        (date(2022, 6, 12), False),
        (date(2022, 6, 19), True),
        (date(2026, 6, 7), True),
        (date(2026, 6, 6), False),
    ],
)
def test_nepals_sundays(day: date, works: bool) -> None:
    assert Calendar(*KATHMANDU).is_business_day(day) is works


@pytest.mark.parametrize(
    ("calendar", "called_on", "second", "skipped"),
    [
        # 4 July 2027 is a Sunday: the Monday is free instead.
        (
            Calendar("America/New_York", "US"),
            date(2027, 7, 2),
            date(2027, 7, 7),
            ["weekend", "Independence Day", "Independence Day (observed)"],
        ),
        # Boxing Day 2026 is a Saturday: the Monday is free instead.
        (
            Calendar("Europe/London", "GB"),
            date(2026, 12, 24),
            date(2026, 12, 30),
            ["Christmas Day", "Boxing Day", "weekend", "Boxing Day (observed)"],
        ),
        # Epiphany is a holiday in Bavaria and none in Berlin; Women's Day the other way round.
        (Calendar("Europe/Berlin", "DE", "BY"), date(2027, 1, 5), date(2027, 1, 8), ["Epiphany"]),
        (Calendar("Europe/Berlin", "DE", "BE"), date(2027, 1, 5), date(2027, 1, 7), []),
        (Calendar("Europe/Berlin", "DE", "BE"), date(2027, 3, 5), date(2027, 3, 10), ["weekend"] * 2 + ["Women's Day"]),
        (Calendar("Europe/Berlin", "DE", "BY"), date(2027, 3, 5), date(2027, 3, 9), ["weekend"] * 2),
        # China works on some Saturdays, for its long holidays.
        (Calendar("Asia/Shanghai", "CN"), date(2026, 2, 26), date(2026, 2, 28), []),
    ],
)
def test_holidays_are_those_of_the_place(calendar: Calendar, called_on: date, second: date, skipped: list[str]) -> None:
    assert last_day(calendar, called_on) == second
    ended_at = datetime(called_on.year, called_on.month, called_on.day, 12, tzinfo=UTC)
    assert [why for _, why in deadline(ended_at, calendar).skipped] == skipped


def test_holidays_are_named_in_english_whatever_the_machine_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "ar")
    calendars._holidays.cache_clear()
    assert Calendar(*DUBAI).holiday(date(2026, 12, 2)) == "National Day"


def test_a_sites_own_days_outrank_weekend_and_holidays() -> None:
    """As the rows say it: worked on a Saturday and on a holiday, closed on a Tuesday; a weekend of its own."""
    site = Site(
        time_zone="America/New_York",
        country="US",
        closed_days=["2026-03-17"],
        opened_days=["2026-03-14", "2026-07-03"],
    )
    thursday = date(2026, 3, 12)
    assert last_day(site.calendar, thursday) == date(2026, 3, 14)  # Friday, Saturday
    assert last_day(site.calendar, date(2026, 3, 14)) == date(2026, 3, 18)  # Monday, Wednesday
    assert last_day(site.calendar, date(2026, 7, 1)) == date(2026, 7, 3)
    # The Emirates' emirate of Sharjah rests three days: a site there says so.
    sharjah = Site(
        time_zone="Asia/Dubai", country="AE", closed_days=[], opened_days=[], weekend=[FRIDAY, SATURDAY, SUNDAY]
    )
    assert last_day(sharjah.calendar, date(2022, 1, 12)) == date(2022, 1, 17)


@pytest.mark.parametrize(
    ("calendar", "called_on", "closes_at"),
    [
        # The nights before and after which clocks go forward, and back: the survey closes at the site's own midnight.
        (worked_on("America/New_York", "US", "2026-03-07"), date(2026, 3, 5), "2026-03-08T05:00Z"),
        (worked_on("America/New_York", "US", "2026-03-07", "2026-03-08"), date(2026, 3, 6), "2026-03-09T04:00Z"),
        (worked_on("Europe/Berlin", "DE", "2026-10-24"), date(2026, 10, 22), "2026-10-24T22:00Z"),
        (worked_on("Europe/Berlin", "DE", "2026-10-24", "2026-10-25"), date(2026, 10, 23), "2026-10-25T23:00Z"),
        # Where clocks skip midnight the next day begins at one o'clock; where it comes twice, at the first.
        (worked_on("Africa/Cairo", "EG", "2024-04-25"), date(2024, 4, 23), "2024-04-25T22:00Z"),
        (worked_on("America/Havana", "CU", "2024-11-02"), date(2024, 10, 31), "2024-11-03T04:00Z"),
    ],
)
def test_the_clocks_change_on_the_deadlines_night(calendar: Calendar, called_on: date, closes_at: str) -> None:
    ended_at = datetime(called_on.year, called_on.month, called_on.day, 15, tzinfo=UTC)
    assert deadline(ended_at, calendar).closes_at == datetime.fromisoformat(closes_at)


def test_the_version_names_both_tables() -> None:
    assert table_version().startswith("holidays ") and table_version().endswith(", weekends 1")
