"""Rule 4: the deadline is the second business day strictly after the call, at the site."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from survey import calendars
from survey.calendars import Calendar, day_start, deadline, known_country, known_zone
from survey.errors import InputError

NEW_YORK = Calendar("America/New_York", "US")


@pytest.mark.parametrize(
    ("ended_at", "closes_at"),
    [
        ("2026-07-02T15:00:00-04:00", "2026-07-08T04:00:00+00:00"),  # Friday 3 July is the observed holiday
        ("2026-07-11T15:00:00-04:00", "2026-07-15T04:00:00+00:00"),  # a Saturday: Monday, Tuesday
        ("2026-03-12T23:59:59-04:00", "2026-03-17T04:00:00+00:00"),  # a Thursday: Friday, Monday
        ("2026-03-13T03:59:59+00:00", "2026-03-17T04:00:00+00:00"),  # still that Thursday in New York
        ("2026-03-06T12:00:00-05:00", "2026-03-11T04:00:00+00:00"),  # across the change to summer time
    ],
)
def test_two_business_days(ended_at: str, closes_at: str) -> None:
    assert deadline(datetime.fromisoformat(ended_at), NEW_YORK).closes_at == datetime.fromisoformat(closes_at)


@pytest.mark.parametrize(
    ("country", "day", "works"),
    [
        ("SA", date(2026, 3, 13), False),  # Friday
        ("SA", date(2026, 3, 15), True),  # Sunday
        ("AE", date(2021, 3, 14), True),  # Sunday, before the weekend moved
        ("AE", date(2021, 3, 12), False),  # Friday, before
        ("AE", date(2024, 3, 15), True),  # Friday, after
        ("AE", date(2024, 3, 17), False),  # Sunday, after
        ("BN", date(2026, 3, 13), False),  # Brunei: Friday and Sunday
        ("BN", date(2026, 3, 14), True),
        ("IR", date(2026, 3, 13), False),  # Iran: Friday
        ("GB", date(2026, 4, 3), False),  # Good Friday
    ],
)
def test_the_weekend_is_asked_of_the_country_and_the_date(country: str, day: date, works: bool) -> None:
    assert Calendar("UTC", country).is_business_day(day) is works


def test_a_site_overrides_weekend_and_single_days() -> None:
    saturday, tuesday = date(2026, 3, 14), date(2026, 3, 17)
    site = Calendar("UTC", "US", weekend=(6,), closed=frozenset({tuesday}), opened=frozenset({date(2026, 12, 25)}))
    assert site.is_business_day(saturday)
    assert not site.is_business_day(tuesday)
    assert site.is_business_day(date(2026, 12, 25))


def test_skipped_days_say_why() -> None:
    found = deadline(datetime.fromisoformat("2026-07-02T15:00:00-04:00"), NEW_YORK)
    assert [why for _, why in found.skipped] == ["Independence Day (observed)", "Independence Day", "weekend"]


def test_a_calendar_without_business_days_is_refused() -> None:
    with pytest.raises(InputError, match="no business days"):
        Calendar("UTC", "US", weekend=(0, 1, 2, 3, 4, 5, 6)).business_day_after(date(2026, 1, 1))


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("Africa/Cairo", date(2024, 4, 26), datetime(2024, 4, 25, 22, tzinfo=UTC)),  # midnight is skipped
        ("America/Havana", date(2024, 11, 3), datetime(2024, 11, 3, 4, tzinfo=UTC)),  # midnight comes twice: the first
    ],
)
def test_a_day_starts_at_its_first_instant(zone: str, day: date, start: datetime) -> None:
    assert day_start(day, zone) == start
    assert start.astimezone(ZoneInfo(zone)).date() == day
    assert (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < day


@given(
    ended_at=st.integers(0, 20 * 366 * 24 * 60).map(
        lambda minutes: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    zone=st.sampled_from(["America/New_York", "Europe/London", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia"]),
    country=st.sampled_from(["US", "GB", "AE", "NP", "IR"]),
)
def test_exactly_two_business_days_lie_after_the_call_and_before_the_deadline(
    ended_at: datetime, zone: str, country: str
) -> None:
    calendar = Calendar(zone, country)
    found = deadline(ended_at, calendar)
    call_day = ended_at.astimezone(ZoneInfo(zone)).date()
    last_day = (found.closes_at - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date()
    between = [call_day + timedelta(days=n) for n in range(1, (last_day - call_day).days + 1)]
    assert sum(map(calendar.is_business_day, between)) == 2
    assert calendar.is_business_day(last_day)
    assert found.closes_at.astimezone(ZoneInfo(zone)).date() == last_day + timedelta(days=1)


def test_unknown_zones_and_countries_say_how_to_mend_them() -> None:
    with pytest.raises(InputError, match="IANA"):
        known_zone("Mars/Olympus")
    with pytest.raises(InputError, match="ISO 3166"):
        known_country("XX")


def test_no_holiday_is_missed_while_its_year_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables count a year as known before they have filled it in, and several threads ask at once."""
    table = type(calendars._holidays("US", None))
    filled_in = table._populate

    def slowly(self: object, year: int) -> None:
        time.sleep(0.1)
        filled_in(self, year)

    monkeypatch.setattr(table, "_populate", slowly)
    calendars._holidays.cache_clear()
    calendars._holidays("US", None)  # made, its years not yet filled in
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(NEW_YORK.holiday(date(2026, 12, 25))), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == ["Christmas Day"] * 4


@pytest.mark.parametrize("zone", ["Nowhere/Atlantis", "America", "", "../etc/passwd"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="is not a time zone"):
        known_zone(zone)
