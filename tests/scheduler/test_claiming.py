"""What is handed out at once: a campaign's pace, its calls at a time, what it may spend, and channels left alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from scheduler import spending
from scheduler.claiming import claim_due
from scheduler.dispatch import deliver
from scheduler.planning import plan_due
from survey import attempts, breakers, clock
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, Breaker, Campaign, Channel, Outcome, Pace, Survey
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import NotingChannel, channels, taking_it

SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.usefixtures("session", "at_noon")


def due_calls(count: int, channel: Channel = Channel.IVR, **campaign: Any) -> Campaign:
    """A campaign with so many attempts due, the later made with the earlier deadlines."""
    made = make.campaign(**campaign)
    leader = make.supervisor(made.organisation)
    agent = make.agent(made.sites[0], leader)
    for n in range(count):
        call = make.call(agent, made.sites[0])
        deadline = NOON + timedelta(hours=30) - timedelta(minutes=n)
        make.attempt(make.survey(call, made, supervisor=leader, plan_at=None, deadline=deadline), channel)
    db.session.commit()
    return made


def by_deadline() -> list[int]:
    return list(db.session.scalars(select(Attempt.id).join(Survey).order_by(Survey.deadline)))


def begin(claimed: Mapping[int, datetime]) -> None:
    """The workers begin those whose turn has come."""
    for attempt_id, turn_at in claimed.items():
        if turn_at < clock.now():
            attempts.begin(attempt_id)


# Pace


def test_calls_have_their_turns_a_step_apart_and_the_earliest_deadline_the_first() -> None:
    due_calls(5, calls_per_second=2)
    claimed = claim_due()
    # A tick a second, and a second to spare: two seconds' turns.
    assert list(claimed) == by_deadline()[:4]
    assert list(claimed.values()) == [NOON + SECOND * n / 2 for n in range(4)]


def test_the_next_tick_goes_on_where_the_last_one_ended(at_noon: ManualClock) -> None:
    due_calls(9, calls_per_second=2)
    first = claim_due()
    assert claim_due() == {}
    at_noon.move_to(NOON + SECOND)
    begin(first)
    second = claim_due()
    assert [*first, *second] == by_deadline()[:6]
    assert list(second.values()) == [NOON + 2 * SECOND, NOON + 2.5 * SECOND]
    at_noon.move_to(NOON + timedelta(minutes=5))
    begin(first | second)
    assert min(claim_due().values()) == NOON + timedelta(minutes=5)


def test_emails_have_a_pace_of_their_own() -> None:
    campaign = due_calls(3, Channel.WEB, emails_per_minute=60, calls_per_second=1)
    make.attempt(make.survey(within=campaign, plan_at=None), Channel.IVR)
    turns = sorted(claim_due().values())
    assert turns == [NOON, NOON, NOON + SECOND]


def test_each_campaign_has_a_pace_of_its_own() -> None:
    for _ in range(3):
        due_calls(1, calls_per_second=1)
    assert list(claim_due().values()) == [NOON] * 3


def test_what_has_no_turn_yet_goes_behind_what_is_due_earlier(at_noon: ManualClock) -> None:
    campaign = due_calls(4, calls_per_second=1)
    first = claim_due()
    urgent = make.attempt(make.survey(within=campaign, plan_at=None, deadline=NOON + timedelta(hours=1)))
    db.session.commit()
    at_noon.move_to(NOON + 2 * SECOND)
    begin(first)
    assert next(iter(claim_due())) == urgent.id


def test_workers_that_cannot_keep_the_pace_are_not_handed_ever_more(at_noon: ManualClock) -> None:
    """They would find nothing but turns that are over, give them back, and dial still less."""
    due_calls(30, calls_per_second=5)
    first = claim_due()
    assert len(first) == 10, "two seconds' turns"
    for seconds in (1, 2, 40):
        at_noon.move_to(NOON + seconds * SECOND)
        assert claim_due() == {}
    for attempt_id in list(first)[:3]:
        attempts.begin(attempt_id)
    assert len(claim_due()) == 3


def test_the_pace_holds_over_machines_that_claim_at_once(app: Flask) -> None:
    due_calls(30, calls_per_second=5)
    db.session.remove()
    turns: list[Any] = []
    together = threading.Barrier(3)

    def claim() -> None:
        with app.app_context():
            together.wait()
            for _ in range(5):
                turns.extend(claim_due().values())
                db.session.commit()

    threads = [threading.Thread(target=claim) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(turns) == [NOON + SECOND * n / 5 for n in range(10)]


def test_a_campaign_another_machine_is_claiming_for_is_left_to_it() -> None:
    due_calls(1)
    claim_due()
    db.session.commit()
    make.attempt(make.survey(within=db.session.query(Campaign).one(), plan_at=None))
    db.session.commit()
    with db.engine.connect() as other:
        other.execute(select(Pace).with_for_update())
        db.session.execute(text("SET LOCAL lock_timeout = '2s'"))
        assert claim_due() == {}
        other.rollback()
    assert len(claim_due()) == 1


# Calls at a time


def test_no_more_calls_are_out_than_may_be_live() -> None:
    due_calls(5, live_calls=3)
    assert len(claim_due()) == 3
    assert claim_due() == {}
    queued = by_deadline()[0]
    attempts.begin(queued)
    assert claim_due() == {}
    attempts.underway(queued, "CA1")
    assert claim_due() == {}
    attempts.end(queued, Outcome.BUSY)
    assert len(claim_due()) == 1


def test_emails_that_are_out_take_up_no_call() -> None:
    campaign = due_calls(2, Channel.WEB, live_calls=1)
    assert len(claim_due()) == 2
    make.attempt(make.survey(within=campaign, plan_at=None), Channel.IVR)
    assert len(claim_due()) == 1


# Money


def test_calls_are_paid_by_the_minute_begun() -> None:
    campaign = due_calls(4)
    claim_due()
    for attempt_id, seconds in zip(by_deadline(), (1, 60, 61), strict=False):
        attempts.begin(attempt_id)
        attempts.billed(attempt_id, seconds)
    assert spending.minutes_billed([campaign.id]) == {campaign.id: 1 + 1 + 2}
    assert spending.spent(campaign) == 4 * spending.minute_price()


def test_the_spend_cap_holds_whatever_customers_do(at_noon: ManualClock) -> None:
    """14 cents pay for one call that lasts the longest time, ten minutes at 1.4 cents; 30 cents for two."""
    campaign = due_calls(4, spend_cap=30)
    assert len(claim_due()) == 2
    assert claim_due() == {}
    first, second = by_deadline()[:2]
    for attempt_id, seconds in ((first, 600), (second, 40)):
        attempts.begin(attempt_id)
        attempts.billed(attempt_id, seconds)
        attempts.end(attempt_id, Outcome.HUNG_UP)
    assert len(claim_due()) == 1, "15.4 spent, 14.6 left"
    assert spending.spent(campaign) + spending.minute_price() * 10 <= 30


def test_when_no_call_can_be_paid_for_the_next_channel_has_its_turn() -> None:
    campaign = due_calls(2, spend_cap=20)
    (first,) = claim_due()
    assert claim_due() == {}, "one is out: it may turn out cheap"
    attempts.begin(first)
    attempts.billed(first, 500)
    attempts.end(first, Outcome.NO_ANSWER)
    db.session.commit()
    assert claim_due() == {}
    db.session.commit()
    db.session.expire_all()
    gone = db.session.get_one(Attempt, by_deadline()[1])
    assert (gone.state, gone.detail) == (AttemptState.CANCELLED, "the campaign's spend cap is reached")
    plan_due()
    planned = db.session.scalars(select(Attempt).where(Attempt.state == AttemptState.PLANNED)).all()
    assert {attempt.channel for attempt in planned} == {Channel.WEB}
    assert all("spend cap" in attempt.reason for attempt in planned)
    assert spending.exhausted([campaign]) == {campaign.id}


# A channel that keeps failing


def failing(channel: Channel = Channel.IVR) -> Breaker:
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(channel, "no connection", None)
    db.session.commit()
    return db.session.get_one(Breaker, channel)


def test_nothing_is_claimed_over_a_channel_that_is_left_alone() -> None:
    campaign = due_calls(3)
    mail = make.attempt(make.survey(within=campaign, plan_at=None), Channel.WEB)
    failing()
    assert list(claim_due()) == [mail.id]


def test_one_is_let_through_after_the_pause_and_closes_the_breaker(at_noon: ManualClock) -> None:
    due_calls(3)
    failing()
    at_noon.move_to(NOON + breakers.FIRST_PAUSE - SECOND)
    assert claim_due() == {}
    at_noon.move_to(NOON + breakers.FIRST_PAUSE)
    (probe,) = claim_due()
    assert claim_due() == {}
    db.session.commit()
    noting = NotingChannel(lambda attempt_id: (taking_it(attempt_id), breakers.worked(Channel.IVR)))
    assert deliver(probe, channels(noting))
    assert breakers.open_now() == []
    assert len(claim_due()) == 2


def test_what_was_claimed_before_waits_and_is_not_burnt(at_noon: ManualClock) -> None:
    due_calls(2)
    first, second = claim_due()
    db.session.commit()
    failing()
    noting = NotingChannel()
    assert not deliver(first, channels(noting))
    assert not deliver(second, channels(noting))
    assert noting.delivered == []
    db.session.expire_all()
    waiting = db.session.query(Attempt).all()
    assert {(one.state, one.started_at, one.ordinal) for one in waiting} == {(AttemptState.PLANNED, None, 1)}


def test_a_lost_probe_is_followed_by_another(at_noon: ManualClock) -> None:
    due_calls(2)
    failing()
    at_noon.move_to(NOON + breakers.FIRST_PAUSE)
    assert len(claim_due()) == 1
    at_noon.move_to(NOON + breakers.FIRST_PAUSE + breakers.PROBE_WAIT)
    assert len(claim_due()) == 1


# Turns that are over


@pytest.mark.parametrize(("late", "begins"), [(30, True), (31, False)])
def test_a_job_that_comes_late_gets_another_turn(at_noon: ManualClock, late: int, begins: bool) -> None:
    """A worker that was away would else make up for all it missed in one burst."""
    due_calls(1)
    ((attempt_id, turn_at),) = claim_due().items()
    db.session.commit()
    at_noon.move_to(NOON + timedelta(seconds=late))
    assert deliver(attempt_id, channels(NotingChannel(taking_it)), turn_at) is begins
    db.session.expire_all()
    state = db.session.get_one(Attempt, attempt_id).state
    assert state is (AttemptState.UNDERWAY if begins else AttemptState.PLANNED)


# The hours


def test_a_call_knows_when_it_must_no_longer_ring(at_noon: ManualClock) -> None:
    place = make.site()
    caller = make.customer(place.organisation_id, phone="+12125550142")
    due = make.attempt(make.survey(make.call(place=place, customer=caller), plan_at=None))
    mail = make.attempt(make.survey(make.call(place=place, customer=caller), plan_at=None), Channel.WEB)
    db.session.commit()
    ids = [due.id, mail.id]
    for attempt_id in claim_due():
        db.session.commit()
        deliver(attempt_id, channels(NotingChannel(taking_it)))
    due, mail = (db.session.get_one(Attempt, attempt_id) for attempt_id in ids)
    assert due.hours_end_at == NOON + timedelta(hours=7), "eight in the evening in New York"
    assert mail.hours_end_at is None


def test_a_call_that_is_over_and_not_billed_yet_counts_at_its_longest() -> None:
    """Between the last answer and the network's last word on the call nobody knows what it costs."""
    campaign = due_calls(2, spend_cap=14)
    (first,) = claim_due()
    attempts.begin(first)
    attempts.underway(first, "CA1")
    attempts.end(first, Outcome.COMPLETED)
    assert claim_due() == {}
    assert spending.spent(campaign) == 0, "what is shown is what is known"
    attempts.billed(first, 0)
    assert len(claim_due()) == 1


# The limit of a tick


def test_no_campaign_takes_all_that_a_tick_hands_out() -> None:
    hungry, small = due_calls(20, Channel.WEB), due_calls(2)
    claimed = claim_due(limit=8)
    of_each = [
        len([n for n in claimed if db.session.get_one(Attempt, n).survey.campaign_id == one.id])
        for one in (hungry, small)
    ]
    assert sum(of_each) <= 8 and of_each[1] == 2 and of_each[0] >= 4


def test_a_call_whose_bill_never_comes_counts_at_its_longest_for_good(at_noon: ManualClock) -> None:
    campaign = due_calls(2, spend_cap=14)
    (first,) = claim_due()
    attempts.begin(first)
    attempts.underway(first, "CA1")
    attempts.end(first, Outcome.COMPLETED)
    at_noon.move_to(NOON + timedelta(days=1))
    assert spending.exhausted([campaign]) == set()
    at_noon.move_to(NOON + timedelta(days=1, seconds=1))
    assert spending.exhausted([campaign]) == {campaign.id}
