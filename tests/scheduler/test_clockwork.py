"""The clockwork: one turn does all that is due, one leader keeps it going, and the next due moment is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

from scheduler import clockwork, dispatch, leadership
from scheduler.leadership import Leadership
from survey import attempts, clock
from survey.clock import ManualClock
from survey.db import db
from survey.models import (
    Attempt,
    CampaignState,
    Channel,
    Disposition,
    Draw,
    Organisation,
    Outcome,
    Survey,
)
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import Jobs, NotingChannel, channels, taking_it

EVERYBODY = {"rate_numerator": 1, "rate_denominator": 1}


def test_one_turn_draws_plans_claims_and_closes(session: scoped_session[Session], at_noon: ManualClock) -> None:
    campaign = make.campaign(**EVERYBODY)
    make.call(place=campaign.sites[0])
    expired = make.survey(within=campaign, deadline=NOON)
    due = make.attempt(make.survey(within=campaign, plan_at=None))
    db.session.commit()
    jobs = Jobs()
    report = clockwork.turn(jobs, channels(NotingChannel()))
    assert [draw.drawn for draw in report.draws] == [1]
    assert report.expired == 1
    assert (report.tick.planned, jobs) == (1, [due.id])
    db.session.expire_all()
    assert expired.disposition is Disposition.NEVER_ATTEMPTED
    quiet = clockwork.turn(jobs, channels(NotingChannel()))
    assert (quiet.draws, quiet.expired, quiet.tick.planned, quiet.tick.claimed) == ((), 0, 0, ())


def test_a_turn_looks_for_fresh_calls_only_and_a_draw_for_all(
    session: scoped_session[Session], at_noon: ManualClock
) -> None:
    campaign = make.campaign()
    make.call(place=campaign.sites[0], ended_at=NOON - timedelta(days=8))
    db.session.commit()
    assert clockwork.turn(Jobs(), channels(NotingChannel())).draws == ()
    make.call(place=campaign.sites[0], ended_at=NOON - timedelta(days=1))
    db.session.commit()
    turn = clockwork.turn(Jobs(), channels(NotingChannel()))
    assert [report.decided for report in turn.draws] == [1], "the fresh one alone: looking for the old one takes long"
    assert [report.decided for report in clockwork.draw()] == [1]


def test_channels_are_asked_to_settle_what_is_in_doubt(session: scoped_session[Session]) -> None:
    class Settling(NotingChannel):
        def reconcile(self) -> int:
            return 2

    assert clockwork.turn(Jobs(), channels(Settling())).reconciled == 4


def test_the_clockwork_decides_on_the_announced_day(app: Flask, session: scoped_session[Session]) -> None:
    """What certification does by itself is on the scheduler's metronome, and is committed."""
    done: list[str] = []

    def chore() -> None:
        done.append("decided")
        make.organisation(key="made by a chore")

    assert len(app.extensions["aftercall_chores"]) == 4
    clockwork.do_chores([chore])
    db.session.rollback()
    assert done == ["decided"]
    assert db.session.query(Organisation).filter_by(key="made by a chore").count() == 1


def test_chores_are_on_the_metronome(app: Flask, two: tuple[Leadership, Leadership]) -> None:
    metronome = BackgroundScheduler()
    clockwork.schedule(metronome, app, two[0], channels(NotingChannel()), lambda _: None, 5, [lambda: None])
    assert "chores" in {job.id for job in metronome.get_jobs()}


def test_more_than_one_batch_of_deadlines_is_closed(
    session: scoped_session[Session], at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clockwork, "CLOSED_AT_ONCE", 2)
    campaign = make.campaign()
    for _ in range(5):
        make.survey(within=campaign, deadline=NOON)
    assert clockwork.close_expired() == 5
    assert db.session.query(Survey).filter(Survey.closed_at.is_(None)).count() == 0


def test_the_next_due_moment_is_the_earliest_of_all(session: scoped_session[Session], at_noon: ManualClock) -> None:
    assert clockwork.next_due_at() is None
    campaign = make.campaign()
    survey = make.survey(within=campaign, plan_at=None)
    assert clockwork.next_due_at() == survey.deadline
    survey.plan_at = NOON + timedelta(hours=3)
    assert clockwork.next_due_at() == survey.plan_at
    attempt = make.attempt(survey, due_at=NOON + timedelta(hours=2))
    assert clockwork.next_due_at() == attempt.due_at
    campaign.state = CampaignState.PAUSED
    assert clockwork.next_due_at() == survey.deadline
    scheduled = make.campaign(state=CampaignState.SCHEDULED, starts_on=NOON.date())
    assert clockwork.next_due_at() == NOON.replace(hour=4)  # midnight in New York
    assert scheduled.starts_on == NOON.date()


def test_jumping_from_due_to_due_plays_a_whole_survey(session: scoped_session[Session], at_noon: ManualClock) -> None:
    """As the time-lapse does: nobody ever answers, so three calls, one email, and the deadline."""
    campaign = make.campaign(**EVERYBODY)
    new_yorker = make.customer(campaign.organisation_id, phone="+12125550142")
    make.call(place=campaign.sites[0], customer=new_yorker)
    db.session.commit()
    clockwork.draw()
    turns = 0
    while (due_at := clockwork.next_due_at()) is not None and turns < 30:
        turns += 1
        at_noon.move_to(due_at)
        claimed = Jobs()
        clockwork.turn(claimed, channels(NotingChannel()))
        for attempt_id in sorted(claimed):
            dispatch.deliver(attempt_id, channels(NotingChannel(nobody_there)))
    made = db.session.query(Attempt).order_by(Attempt.ordinal).all()
    assert [(one.channel, one.state.value) for one in made] == [(Channel.IVR, "ended")] * 3 + [(Channel.WEB, "ended")]
    local = [one.due_at.astimezone(ZoneInfo("America/New_York")) for one in made[:3]]
    assert len({(at.date(), at.hour >= 12, at.hour >= 17) for at in local}) == 3
    survey = db.session.query(Survey).one()
    assert (survey.disposition, survey.closed_at) == (Disposition.NO_ANSWER, survey.deadline)


def nobody_there(attempt_id: int) -> None:
    taking_it(attempt_id)
    attempt = db.session.get_one(Attempt, attempt_id)
    if attempt.channel is Channel.IVR:
        attempts.end(attempt_id, Outcome.NO_ANSWER)


# Leading


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Leadership, Leadership]]:
    with Leadership(database_url) as one, Leadership(database_url) as other:
        yield one, other


def test_one_leads_and_the_other_stands_by(two: tuple[Leadership, Leadership]) -> None:
    one, other = two
    assert one.renew() and not other.renew()
    assert one.renew() and not other.renew()


def test_the_other_takes_over_when_the_leader_goes(two: tuple[Leadership, Leadership]) -> None:
    one, other = two
    one.renew()
    one.give_up()
    deadline = time.monotonic() + 5  # the server lets go when it notices that the connection is closed
    while not other.renew() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert other.held
    assert not one.renew()


def test_a_leader_whose_connection_dies_knows_it_and_the_other_takes_over(
    two: tuple[Leadership, Leadership], database_url: str
) -> None:
    one, other = two
    one.renew()
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            [leadership.LOCK],
        )
        deadline = time.monotonic() + 5
        while not other.renew() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert other.held
    assert not one.renew()


def test_standing_by_costs_less_than_the_promised_fifteen_seconds() -> None:
    missed_by_the_server_after = 5 + 3 * 2
    assert missed_by_the_server_after + leadership.RENEW_SECONDS < 15


def test_only_the_leaders_clockwork_works(app: Flask, database_url: str, two: tuple[Leadership, Leadership]) -> None:
    one, other = two
    campaign = make.campaign(launched_at=clock.now() - timedelta(days=30), **EVERYBODY)
    make.call(place=campaign.sites[0])
    db.session.commit()
    other.renew()
    metronome = BackgroundScheduler()
    clockwork.schedule(metronome, app, one, channels(NotingChannel()), Jobs(), tick_seconds=1)
    metronome.start()
    try:
        time.sleep(1.5)
        db.session.rollback()
        assert db.session.query(Draw).count() == 0
        other.give_up()
        assert until(lambda: db.session.query(Draw).count() == 1, seconds=15)
    finally:
        metronome.shutdown()


def test_a_part_that_fails_is_tried_again_at_the_next_beat(app: Flask, two: tuple[Leadership, Leadership]) -> None:
    one, _ = two
    one.renew()
    tries: list[int] = []

    def fails() -> None:
        tries.append(1)
        db.session.execute(text("SELECT 1/0"))

    for _ in range(2):
        clockwork._beat(app, one, "failing", fails)
    assert len(tries) == 2
    assert db.session.execute(text("SELECT 1")).scalar_one() == 1


def until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        db.session.rollback()
        if condition():
            return True
        time.sleep(0.1)
    return False


# Watching for calls


def test_calls_are_gone_through_only_when_one_may_be_new(
    session: scoped_session[Session], at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, looks = make.campaign(**EVERYBODY), 0
    look = clockwork._calls_came_in

    def counted() -> bool:
        nonlocal looks
        looks += 1
        return look()

    monkeypatch.setattr(clockwork, "_calls_came_in", counted)
    watch = clockwork.CallWatch()
    assert not watch.calls_came_in() and not watch.calls_came_in()
    assert looks == 1
    make.call(place=campaign.sites[0])
    assert watch.calls_came_in() and watch.calls_came_in(), "until it is drawn"
    clockwork.draw()
    assert not watch.calls_came_in() and not watch.calls_came_in()
    assert looks == 4


def test_a_call_that_comes_to_its_campaign_unnoticed_is_found_within_a_minute(
    session: scoped_session[Session], at_noon: ManualClock
) -> None:
    campaign = make.campaign(**EVERYBODY)
    elsewhere = make.call(place=make.site(organisation=campaign.organisation))
    watch = clockwork.CallWatch()
    assert not watch.calls_came_in()
    elsewhere.site_id = campaign.sites[0].id
    db.session.flush()
    at_noon.move_to(NOON + timedelta(seconds=59))
    assert not watch.calls_came_in()
    at_noon.move_to(NOON + timedelta(minutes=1))
    assert watch.calls_came_in()
