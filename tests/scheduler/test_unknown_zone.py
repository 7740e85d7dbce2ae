"""A number whose zone nobody knows, the whole way: imported, drawn, and planned for an hour that is decent there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from flask import Flask
from phonenumbers import PhoneNumber
from sqlalchemy import select

from scheduler import hours
from scheduler.drawing import draw_campaign
from scheduler.planning import plan_due
from survey import clock, phones
from survey.db import db
from survey.models import Attempt, Channel
from tests import factories as make
from tests.intake import samples

HEADER = "call_id,agent,started_at,talk_seconds,phone"
# In New York half past nine in the evening; in Sydney just after nine in the morning, in Perth just after six.
EVENING = datetime(2026, 3, 13, 1, 30, tzinfo=UTC)
MORNING = datetime(2026, 3, 12, 22, 5, tzinfo=UTC)
# phonenumbers' own example of a satellite telephone: valid, of no country and no zone.
SATELLITE = "+881612345678"
# Of the numbers Australia keeps for fiction; it lies in Sydney, and Australia in many zones.
SYDNEY = "+61255500123"


@pytest.fixture
def nobody_knows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """phonenumbers calls the zone of every number Etc/Unknown; the zones of countries it knows as ever."""

    def unknown(_number: PhoneNumber) -> tuple[str, ...]:
        return ("Etc/Unknown",)

    monkeypatch.setattr(phones.number_zones, "time_zones_for_number", unknown)
    _forget()
    yield
    _forget()


def _forget() -> None:
    phones.zones_of.cache_clear()
    hours.place_of.cache_clear()


def planned(folder: Path, number: str, now: datetime) -> datetime:
    """When the customer with that number is first called, whose call has been imported in New York and drawn `now`."""
    with clock.standing_at(now):
        campaign = make.campaign([samples.place()], rate_numerator=1, rate_denominator=1)
        file = samples.written(folder, samples.rows(f"c1,amy,2026-03-12 17:00,60,{number}", header=HEADER))
        assert samples.counts(samples.taken(file)) == (1, 0, 0, 0)
        call = samples.stored()["c1"]
        assert call.customer is not None and call.contact_fault is None
        assert call.customer.phone == number
        assert draw_campaign(campaign).drawn == 1
        assert plan_due() == 1
        attempt = db.session.scalars(select(Attempt)).one()
    assert attempt.channel is Channel.IVR
    return attempt.due_at


def local(moment: datetime, zone: str) -> time:
    return moment.astimezone(ZoneInfo(zone)).time()


def test_the_satellite_number_is_one_of_those() -> None:
    number = phonenumbers.parse(SATELLITE)
    assert phonenumbers.is_valid_number(number)
    assert phones.number_zones.time_zones_for_number(number) == ("Etc/Unknown",)
    assert phones.zones_of(SATELLITE) == ()


def test_a_number_of_no_country_is_called_in_the_sites_hours(app: Flask, tmp_path: Path) -> None:
    due_at = planned(tmp_path, SATELLITE, EVENING)
    assert due_at.date().isoformat() == "2026-03-13"
    assert time(9) <= local(due_at, "America/New_York") < time(20)


def test_a_number_of_a_country_is_called_when_it_is_decent_in_all_of_it(
    app: Flask, tmp_path: Path, nobody_knows: None
) -> None:
    """In Sydney it might ring at once; but it may be in Perth, or on the Cocos Islands, which begin last of all."""
    zones = phones.zones_of(SYDNEY)
    assert {"Australia/Sydney", "Australia/Perth", "Indian/Cocos"} <= set(zones)
    due_at = planned(tmp_path, SYDNEY, MORNING)
    assert datetime(2026, 3, 13, 2, 30, tzinfo=UTC) <= due_at < datetime(2026, 3, 13, 9, tzinfo=UTC)
    assert all(time(9) <= local(due_at, zone) < time(20) for zone in zones)


def test_with_its_zone_known_it_is_called_by_that_alone(app: Flask, tmp_path: Path) -> None:
    assert planned(tmp_path, SYDNEY, MORNING) < datetime(2026, 3, 13, 2, 30, tzinfo=UTC)
