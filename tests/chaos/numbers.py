"""Fictional numbers of several countries, and whether a phone may ring there: reckoned apart from the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import phonenumbers
from phonenumbers import PhoneNumber, timezone

# 555-0100 to 0199 of an area code; Ofcom's, the ACMA's and the Bundesnetzagentur's numbers for drama.
NANP = (
    *(212, 201, 203, 215, 302, 404, 412, 508, 617, 703),  # New York's time
    *(312, 773, 214, 713, 303, 720, 602, 213, 310, 415, 206, 808, 907),  # further and further west
    *(416, 604, 403, 208, 270, 541),  # Canada, and area codes that lie in two zones
)
LONDON, SYDNEY, BERLIN, AUSTRALIA = "+44207946{:04}", "+6125550{:04}", "+493023125{:03}", "+614915{:05}"
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
NINE, EIGHT_IN_THE_EVENING = time(9), time(20)


def nanp() -> Iterator[str]:
    """A number of each area code, then the next of each."""
    for n in range(100):
        yield from (f"+1{code}55501{n:02}" for code in NANP)


def overseas() -> Iterator[str]:
    for n in range(1000):
        yield from (LONDON.format(n), SYDNEY.format(n), BERLIN.format(n))


def mobiles_of_australia() -> Iterator[str]:
    """Eight zones at once, from Christmas Island to Lord Howe. The ACMA sets few aside, and all begin alike."""
    yield from (AUSTRALIA.format(number) for number in (70006, 70156, 70157, 70158, 70159, 70110))


@lru_cache(maxsize=100_000)
def zones_of(number: str) -> frozenset[str]:
    """Every zone the number may be in; all of its country's where the number does not say."""
    parsed = phonenumbers.parse(number)
    country = PhoneNumber(country_code=parsed.country_code, national_number=0)
    said = timezone.time_zones_for_number(parsed)
    found = frozenset(said if "Etc/Unknown" not in said else timezone.time_zones_for_geographical_number(country))
    assert found, "a number nobody can say the hour of"
    return found


@lru_cache(maxsize=10_000)
def country_of(number: str) -> str:
    return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""


@lru_cache(maxsize=100)
def _holidays(country: str, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays(country, years=year)


def decent(number: str, at: datetime, *, weekdays: tuple[int, ...], on_holidays: bool) -> bool:
    """Whether a campaign of nine to eight on these weekdays may let the number ring at the moment."""
    local = [at.astimezone(ZoneInfo(zone)) for zone in zones_of(number)]
    return all(
        NINE <= there.time() < EIGHT_IN_THE_EVENING
        and there.weekday() in weekdays
        and (on_holidays or there.date() not in _holidays(country_of(number), there.year))
        for there in local
    )


def callable_for(minutes: int, at: datetime) -> list[str]:
    """Numbers at which it is a decent hour, any day of the week, all the minutes from `at` on.

    Somewhere in America, Europe or Australia it always is.
    """
    moments = [at + timedelta(minutes=n) for n in range(0, minutes + 1, 5)]
    return [
        n for n in (*nanp(), *overseas()) if all(decent(n, m, weekdays=EVERY_DAY, on_holidays=True) for m in moments)
    ]
