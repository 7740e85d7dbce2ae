"""A channel that keeps failing is left alone, longer each time, and comes back by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from survey import breakers, clock
from survey.breakers import FIRST_PAUSE, LONGEST_PAUSE, OPENS_AFTER, PROBE_WAIT, holds_back, let_one_through, pause
from survey.clock import ManualClock
from survey.db import db
from survey.models import Breaker, Channel
from tests.conftest import NOON

pytestmark = pytest.mark.usefixtures("session", "at_noon")


def fail(times: int = 1, channel: Channel = Channel.IVR, claimed_at: object = None) -> Breaker:
    for _ in range(times):
        breakers.failed(channel, "no connection", claimed_at)  # type: ignore[arg-type]
    return db.session.get_one(Breaker, channel)


def test_a_few_failures_are_borne() -> None:
    fail(OPENS_AFTER - 1)
    assert breakers.open_now() == []


def test_a_success_in_between_starts_the_count_again() -> None:
    fail(OPENS_AFTER - 1)
    breakers.worked(Channel.IVR)
    fail(OPENS_AFTER - 1)
    assert breakers.open_now() == []


def test_so_many_in_a_row_open_it_for_that_channel_only() -> None:
    opened = fail(OPENS_AFTER)
    assert (opened.opened_at, opened.retry_at, opened.reason) == (NOON, NOON + FIRST_PAUSE, "no connection")
    fail(1, Channel.WEB)
    assert [breaker.channel for breaker in breakers.open_now()] == [Channel.IVR]


def test_those_on_their_way_when_it_opened_make_the_pause_no_longer(at_noon: ManualClock) -> None:
    fail(OPENS_AFTER)
    at_noon.move_to(NOON + timedelta(seconds=5))
    late = fail(3, claimed_at=NOON - timedelta(seconds=1))
    assert (late.retry_at, late.openings) == (NOON + FIRST_PAUSE, 1)


def test_one_is_let_through_when_the_pause_is_over(at_noon: ManualClock) -> None:
    fail(OPENS_AFTER)
    assert not let_one_through(Channel.IVR, clock.now())
    at_noon.move_to(NOON + FIRST_PAUSE)
    assert let_one_through(Channel.IVR, clock.now())
    assert not let_one_through(Channel.IVR, clock.now()), "one only"
    at_noon.move_to(NOON + FIRST_PAUSE + PROBE_WAIT)
    assert let_one_through(Channel.IVR, clock.now()), "the first was never heard of"


def test_the_probe_may_begin_and_nothing_older(at_noon: ManualClock) -> None:
    fail(OPENS_AFTER)
    at_noon.move_to(NOON + FIRST_PAUSE)
    let_one_through(Channel.IVR, clock.now())
    opened_at = db.session.get_one(Breaker, Channel.IVR).opened_at
    assert not holds_back(opened_at, NOON + FIRST_PAUSE)
    assert holds_back(opened_at, NOON + FIRST_PAUSE - timedelta(seconds=1))
    assert holds_back(opened_at, None)
    assert not holds_back(None, None)


def test_a_probe_that_fails_doubles_the_pause_and_one_that_works_ends_it(at_noon: ManualClock) -> None:
    fail(OPENS_AFTER)
    at = NOON + FIRST_PAUSE
    at_noon.move_to(at)
    let_one_through(Channel.IVR, clock.now())
    again = fail(claimed_at=at)
    assert (again.openings, again.retry_at) == (2, at + 2 * FIRST_PAUSE)
    at_noon.move_to(at + 2 * FIRST_PAUSE)
    let_one_through(Channel.IVR, clock.now())
    breakers.worked(Channel.IVR)
    db.session.refresh(again)
    assert (again.failures, again.openings, again.opened_at, again.retry_at) == (0, 0, None, None)


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    pauses = [pause(n) for n in range(1, 8)]
    assert pauses[:5] == [FIRST_PAUSE * 2**n for n in range(5)]
    assert pauses[5:] == [LONGEST_PAUSE] * 2


def test_working_writes_nothing_where_nothing_failed() -> None:
    breakers.worked(Channel.IVR)
    assert db.session.query(Breaker).count() == 0
