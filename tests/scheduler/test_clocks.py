"""Clocks that run while things happen, and clocks of several machines that do not agree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from scheduler.claiming import claim_due
from scheduler.dispatch import deliver, tick
from scheduler.drawing import draw_campaign
from scheduler.replay import replay
from survey import breakers, clock
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, Pace, Survey
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import Jobs, NotingChannel, channels, taking_it
from tests.scheduler.test_claiming import due_calls

SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.usefixtures("session")


class Running:
    """A clock that goes on, by no less than a microsecond at every look; `jump` moves it."""

    def __init__(self, at: datetime) -> None:
        self._base, self._begun = at, time.monotonic()

    def __call__(self) -> datetime:
        self._base += timedelta.resolution
        return self._base + timedelta(seconds=time.monotonic() - self._begun)

    def jump(self, by: timedelta) -> None:
        self._base += by


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running(NOON)
    clock.use(made)
    yield made
    clock.use(None)


def test_the_one_that_is_let_through_begins(running: Running) -> None:
    """Its claim is stamped by the same look at the clock as the breaker's: a later one would send it back for ever."""
    due_calls(3)
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(Channel.IVR, "no connection", None)
    db.session.commit()
    running.jump(breakers.FIRST_PAUSE + SECOND)
    jobs = Jobs()
    assert len(tick(jobs).claimed) == 1
    noting = NotingChannel(lambda attempt_id: (taking_it(attempt_id), breakers.worked(Channel.IVR)))
    assert deliver(jobs[0], channels(noting), jobs.turns[jobs[0]])
    assert breakers.open_now() == []
    assert len(tick(Jobs()).claimed) == 2


def test_a_pace_left_behind_by_a_clock_that_was_ahead_is_not_waited_for(running: Running) -> None:
    campaign = due_calls(1)
    ahead = Pace(campaign_id=campaign.id, channel=Channel.IVR, free_at=NOON + timedelta(hours=3))
    db.session.add(ahead)
    db.session.commit()
    (turn_at,) = claim_due().values()
    assert turn_at < NOON + timedelta(minutes=1)


def test_a_worker_whose_clock_is_ahead_burns_nothing(running: Running) -> None:
    """flask doctor tells of it."""
    due_calls(1)
    jobs = Jobs()
    tick(jobs)
    running.jump(31 * SECOND)
    assert not deliver(jobs[0], channels(NotingChannel(taking_it)), jobs.turns[jobs[0]])
    db.session.expire_all()
    waiting = db.session.get_one(Attempt, jobs[0])
    assert (waiting.state, waiting.ordinal, waiting.started_at) == (AttemptState.PLANNED, 1, None)


def test_draws_of_machines_whose_clocks_differ_replay(running: Running) -> None:
    """A machine behind draws after one ahead: it closed a survey at a time that is still to come for this one."""
    campaign = make.campaign([place := make.site()], rate_numerator=1, rate_denominator=1)
    agent, caller = make.agent(place), make.customer(place.organisation_id)
    for hours_ago, jump in ((5, 20 * SECOND), (4, -10 * SECOND), (3, SECOND)):
        make.call(agent, place, customer=caller, ended_at=NOON - timedelta(hours=hours_ago))
        db.session.commit()
        draw_campaign(campaign)
        db.session.commit()
        running.jump(jump)
    superseded = select(Survey).where(Survey.disposition == Disposition.SUPERSEDED)
    assert len(db.session.scalars(superseded).all()) == 2
    difference = replay(campaign)
    assert difference is None, difference
