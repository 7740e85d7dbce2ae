"""Business days of a site, and the deadline two of them after a call.

Source of the rule: the certification programme asks "within two business days"; the day of the event is excluded, as in
FRCP 6(a), and the survey stays open until the end of the second business day at the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.metadata import version
from threading import Lock
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from survey.errors import InputError

BUSINESS_DAYS = 2
SATURDAY, SUNDAY = 5, 6
# Weekends that the tables do not have, by country: each from its first day on. Nepal rests on Saturdays, and on Sundays
# too in a trial of 2022 (its government's decisions of 9 May and 6 June of that year).
WEEKENDS: dict[str, tuple[tuple[date, tuple[int, ...]], ...]] = {
    "NP": (
        (date.min, (SATURDAY,)),
        (date(2022, 5, 15), (SATURDAY, SUNDAY)),
        (date(2022, 6, 15), (SATURDAY,)),
    ),
}
WEEKENDS_EDITION = 1
# The tables fill in a year when it is first asked for, and count it as known before they have.
_one_at_a_time = Lock()


@dataclass(frozen=True)
class Calendar:
    """Which days a site works: its zone, its country's holidays and weekend, and the site's own exceptions.

    `weekend` holds weekday numbers (Monday = 0) and overrides the country's; `closed` and `opened` are single dates
    and override everything.
    """

    zone: str
    country: str
    subdivision: str | None = None
    weekend: tuple[int, ...] | None = None
    closed: frozenset[date] = field(default_factory=frozenset)
    opened: frozenset[date] = field(default_factory=frozenset)

    def is_business_day(self, day: date) -> bool:
        if day in self.opened or day in self.closed:
            return day in self.opened
        return self._is_working_weekday(day) and not self.holiday(day)

    def holiday(self, day: date) -> str | None:
        """The name of the public holiday on `day`, or None."""
        with _one_at_a_time:
            name = _holidays(self.country, self.subdivision).get(day)
        return None if name is None else str(name)

    def _is_working_weekday(self, day: date) -> bool:
        if self.weekend is not None:
            return day.weekday() not in self.weekend
        if self.country in WEEKENDS:
            return day.weekday() not in _own_weekend(self.country, day)
        with _one_at_a_time:
            table = _holidays(self.country, self.subdivision)
            table.get(day)  # fills the year in, with the weekend days that its government made working days
            return not table.is_weekend(day) or day in table.weekend_workdays

    def business_day_after(self, day: date, count: int = 1) -> date:
        """The `count`-th business day strictly after `day`. Raises InputError if a whole year holds too few."""
        found = 0
        for ahead in range(1, 400):
            candidate = day + timedelta(days=ahead)
            found += self.is_business_day(candidate)
            if found == count:
                return candidate
        raise InputError(
            "has no business days in a year", where="site calendar", how="Correct its weekend and closed days."
        )


@dataclass(frozen=True)
class Deadline:
    """When a survey closes (exclusive, UTC), and the days that led there, all in the site's own calendar."""

    call_day: date
    last_day: date
    closes_at: datetime
    skipped: tuple[tuple[date, str], ...]


def deadline(ended_at: datetime, calendar: Calendar) -> Deadline:
    """The survey's deadline: the start of the day after the second business day strictly after the call's end date.

    `ended_at` must be aware; the day is the one at the site.
    """
    call_day = ended_at.astimezone(ZoneInfo(calendar.zone)).date()
    last_day = calendar.business_day_after(call_day, BUSINESS_DAYS)
    return Deadline(
        call_day,
        last_day,
        day_start(last_day + timedelta(days=1), calendar.zone),
        _skipped(call_day, last_day, calendar),
    )


def day_start(day: date, zone: str) -> datetime:
    """The first instant of `day` in `zone`, as UTC.

    Where clocks skip midnight the day starts at the first existing time; where midnight comes twice, at the first.
    """
    midnight = datetime.combine(day, time(0), ZoneInfo(zone))
    # In a gap, fold=0 takes the offset before the change: the instant lies after the gap, at the day's first minute.
    return midnight.astimezone(UTC)


def known_zone(zone: str) -> str:
    """The zone's name as given; raises InputError when there is no such zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a part of the world, such as "America"
        raise InputError(f"{zone!r} is not a time zone", how="Use an IANA name such as America/New_York.") from None
    return zone


def known_country(country: str, subdivision: str | None = None) -> str:
    """The country code as given; raises InputError when its holidays are not known."""
    try:
        _holidays(country, subdivision)
    except NotImplementedError:
        place = country if subdivision is None else f"{country}-{subdivision}"
        raise InputError(f"no holiday calendar for {place!r}", how="Use ISO 3166 codes such as US and NY.") from None
    return country


@lru_cache
def table_version() -> str:
    """Which edition of the holiday tables, and of our own beside them, decided: kept on every survey."""
    return f"holidays {version('holidays')}, weekends {WEEKENDS_EDITION}"


def dates(days: Sequence[str]) -> frozenset[date]:
    """ISO dates as a set of dates."""
    return frozenset(date.fromisoformat(day) for day in days)


def _skipped(call_day: date, last_day: date, calendar: Calendar) -> tuple[tuple[date, str], ...]:
    between = [call_day + timedelta(days=n) for n in range(1, (last_day - call_day).days)]
    return tuple((day, _why_skipped(day, calendar)) for day in between if not calendar.is_business_day(day))


def _why_skipped(day: date, calendar: Calendar) -> str:
    if day in calendar.closed:
        return "closed at this site"
    return calendar.holiday(day) or "weekend"


def _own_weekend(country: str, day: date) -> tuple[int, ...]:
    return next(weekend for since, weekend in reversed(WEEKENDS[country]) if day >= since)


@lru_cache(maxsize=300)
def _holidays(country: str, subdivision: str | None) -> holidays.HolidayBase:
    """The country's table. Names are English wherever it has them; the days are the same in every language."""
    return holidays.country_holidays(country, subdiv=subdivision, language="en_US")
