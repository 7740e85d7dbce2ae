"""Rules 1 and 5: each attempt is claimed once and begins once, and only if every promise holds at that very moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session, scoped_session

from scheduler.dispatch import LOST_AFTER, claim_due, deliver, sweep_lost, tick
from survey import attempts, clock, lifecycle, optouts
from survey.clock import ManualClock
from survey.db import db
from survey.models import (
    Attempt,
    AttemptState,
    Campaign,
    CampaignState,
    Channel,
    OptOutSource,
    Outcome,
    Standstill,
)
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import Jobs, NotingChannel, channels, taking_it


@pytest.fixture
def due(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Attempt]:
    """A call that is due now, to a customer in New York."""
    place = make.site()
    caller = make.customer(place.organisation_id, phone="+12125550142")
    yield make.attempt(make.survey(make.call(place=place, customer=caller), plan_at=None))


def again(attempt_id: int) -> Attempt:
    db.session.expire_all()
    return db.session.get_one(Attempt, attempt_id)


def queued(due: Attempt) -> int:
    """Claims the attempt, as a tick would, and commits."""
    assert list(claim_due()) == [due.id]
    attempt_id = due.id
    db.session.commit()
    return attempt_id


# Claiming


def test_what_is_due_is_claimed_once(due: Attempt) -> None:
    assert list(claim_due()) == [due.id]
    assert (again(due.id).state, again(due.id).claimed_at) == (AttemptState.QUEUED, NOON)
    assert claim_due() == {}


def test_what_is_not_due_or_may_not_go_on_is_not_claimed(due: Attempt) -> None:
    due.due_at = NOON + timedelta(seconds=1)
    paused = make.campaign([due.survey.site], state=CampaignState.PAUSED)
    make.attempt(make.survey(within=paused))
    db.session.flush()
    assert claim_due() == {}


def test_during_a_standstill_nothing_is_claimed(due: Attempt) -> None:
    stop = Standstill(begun_at=NOON, begun_by="test")
    db.session.add(stop)
    db.session.flush()
    assert claim_due() == {}
    stop.in_force = False
    db.session.flush()
    assert list(claim_due()) == [due.id]


def test_the_earliest_deadline_goes_first(due: Attempt) -> None:
    sooner = make.attempt(make.survey(within=due.survey.campaign, deadline=due.survey.deadline - timedelta(hours=1)))
    assert list(claim_due(limit=1)) == [sooner.id]


def test_two_machines_at_once_claim_each_attempt_once(app: Flask, at_noon: ManualClock) -> None:
    campaign = make.campaign()
    leader = make.supervisor(campaign.organisation)
    agent = make.agent(campaign.sites[0], leader)
    for _ in range(40):
        make.attempt(make.survey(make.call(agent, campaign.sites[0]), campaign, supervisor=leader))
    db.session.commit()
    db.session.remove()
    claimed: list[list[int]] = [[], []]
    together = threading.Barrier(2)

    def claim(machine: int) -> None:
        with app.app_context():
            together.wait()
            while batch := claim_due(limit=3):
                claimed[machine] += batch
                db.session.commit()

    threads = [threading.Thread(target=claim, args=(machine,)) for machine in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(claimed[0] + claimed[1]) == list(db.session.scalars(select(Attempt.id).order_by(Attempt.id)))
    assert len(claimed[0] + claimed[1]) == 40


def test_a_row_being_claimed_elsewhere_is_not_waited_for(due: Attempt) -> None:
    db.session.commit()
    with db.engine.connect() as other:
        other.execute(select(Attempt.id).where(Attempt.id == due.id).with_for_update())
        db.session.execute(text("SET LOCAL lock_timeout = '2s'"))
        assert claim_due() == {}
        other.rollback()
    assert list(claim_due()) == [due.id]


def test_a_tick_plans_claims_and_enqueues(due: Attempt) -> None:
    make.survey(within=due.survey.campaign)
    jobs = Jobs()
    report = tick(jobs)
    assert (report.planned, report.claimed) == (1, (due.id,))
    assert jobs == [due.id]


def test_when_enqueuing_fails_nothing_is_claimed(due: Attempt) -> None:
    db.session.commit()

    def broken(attempt_id: int, turn_at: datetime) -> None:
        raise RuntimeError("the queue is not there")

    with pytest.raises(RuntimeError):
        tick(broken)
    db.session.rollback()
    assert again(due.id).state is AttemptState.PLANNED


def test_a_lost_job_is_planned_again_but_a_begun_attempt_never_is(due: Attempt, at_noon: ManualClock) -> None:
    lost = queued(due)
    begun = make.attempt(make.survey(plan_at=None), state=AttemptState.DIALLING, claimed_at=NOON).id
    at_noon.move_to(NOON + LOST_AFTER)
    assert sweep_lost() == 0
    at_noon.move_to(NOON + LOST_AFTER + timedelta(seconds=1))
    assert sweep_lost() == 1
    assert again(lost).state is AttemptState.PLANNED
    assert again(begun).state is AttemptState.DIALLING


# Delivering


def test_the_intent_is_committed_before_the_channel_hears_of_it(due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel(taking_it)
    assert deliver(attempt_id, channels(noting))
    assert noting.delivered == [attempt_id]
    assert noting.seen == [AttemptState.DIALLING]
    assert (again(attempt_id).state, again(attempt_id).started_at) == (AttemptState.UNDERWAY, NOON)


def test_a_job_that_runs_twice_delivers_once(due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    assert deliver(attempt_id, channels(noting))
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == [attempt_id]


def test_a_lost_job_that_turns_up_after_all_changes_nothing(due: Attempt, at_noon: ManualClock) -> None:
    """Its attempt has been planned again meanwhile, and is not the old job's to begin or to refuse."""
    attempt_id, noting = queued(due), NotingChannel()
    at_noon.move_to(NOON + timedelta(minutes=11))
    assert sweep_lost() == 1
    due.survey.customer.consents_to_calls = False
    db.session.commit()
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []
    assert again(attempt_id).state is AttemptState.PLANNED


def test_two_workers_with_the_same_job_deliver_once(app: Flask, due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    db.session.remove()
    together = threading.Barrier(4)

    def work() -> None:
        with app.app_context():
            together.wait()
            deliver(attempt_id, channels(noting))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert noting.delivered == [attempt_id]


def test_a_worker_killed_between_intent_and_call_never_leads_to_a_second_call(
    due: Attempt, at_noon: ManualClock
) -> None:
    attempt_id = queued(due)

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    dying, other = NotingChannel(killed), NotingChannel()
    with pytest.raises(KeyboardInterrupt):
        deliver(attempt_id, channels(dying))
    db.session.rollback()
    at_noon.move_to(NOON + timedelta(hours=1))
    assert sweep_lost() == 0 and claim_due() == {}
    assert not deliver(attempt_id, channels(other))
    assert again(attempt_id).state is AttemptState.DIALLING


def test_an_opt_out_after_the_claim_stops_the_call(due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    index = due.survey.customer.phone_index
    assert index is not None
    optouts.add(due.survey.campaign.organisation_id, "phone", index, OptOutSource.IMPORT)
    db.session.commit()
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []
    refused = again(attempt_id)
    assert (refused.state, refused.detail) == (AttemptState.CANCELLED, "the phone number is opted out")
    assert refused.survey.plan_at == NOON


def test_a_refused_attempt_is_not_burnt(due: Attempt) -> None:
    """The survey is planned anew and still has all its calls."""
    attempt_id = queued(due)
    due.survey.customer.consents_to_calls = False
    db.session.commit()
    deliver(attempt_id, channels(NotingChannel()))
    again(attempt_id).survey.customer.consents_to_calls = None
    jobs = Jobs()
    assert tick(jobs).planned == 1
    (new,) = db.session.scalars(select(Attempt).where(Attempt.state == AttemptState.PLANNED)).all()
    assert (new.channel, new.reason) == (Channel.IVR, "first call")


def test_consent_taken_back_after_the_claim_stops_the_call(due: Attempt) -> None:
    due.survey.campaign.calls_need_consent, due.survey.customer.consents_to_calls = True, True
    attempt_id, noting = queued(due), NotingChannel()
    due.survey.customer.consents_to_calls = None
    db.session.commit()
    assert not deliver(attempt_id, channels(noting)) and noting.delivered == []
    assert again(attempt_id).detail == "nobody recorded that the customer agreed to be called"


@pytest.mark.parametrize(
    ("minutes_later", "delivered"),
    [
        (7 * 60 - 4, True),  # 19:56 in New York
        (7 * 60 - 3, False),  # 19:57: it might be queued, and ring after eight
        (7 * 60, False),  # 20:00
        (20 * 60 - 1, False),  # 08:59 on Friday
        (20 * 60, True),  # 09:00
    ],
)
def test_a_call_that_comes_to_its_turn_outside_the_hours_is_not_made(
    due: Attempt, at_noon: ManualClock, minutes_later: int, delivered: bool
) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    at_noon.move_to(datetime(2026, 3, 12, 17, tzinfo=UTC) + timedelta(minutes=minutes_later))
    assert deliver(attempt_id, channels(noting)) is delivered
    if not delivered:
        assert "in America/New_York" in (again(attempt_id).detail or "")


def test_an_email_may_go_at_any_hour(session: scoped_session[Session], at_noon: ManualClock) -> None:
    mail = make.attempt(make.survey(plan_at=None), Channel.WEB)
    attempt_id, noting = queued(mail), NotingChannel()
    at_noon.move_to(NOON + timedelta(hours=12))
    assert deliver(attempt_id, channels(noting))


@pytest.mark.parametrize("channel", list(Channel))
def test_nothing_begins_at_or_after_the_deadline(due: Attempt, at_noon: ManualClock, channel: Channel) -> None:
    due.channel = channel
    db.session.flush()
    attempt_id, noting = queued(due), NotingChannel()
    deadline = again(attempt_id).survey.deadline
    at_noon.move_to(deadline)
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []
    assert again(attempt_id).state is AttemptState.CANCELLED


def test_nothing_begins_once_the_survey_is_closed(due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    lifecycle.close(lifecycle.locked(again(attempt_id).survey_id), clock.now())
    db.session.commit()
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []


@pytest.mark.parametrize("stopped", ["paused", "standstill"])
def test_a_pause_or_a_standstill_holds_the_attempt_back(due: Attempt, stopped: str) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    if stopped == "paused":
        db.session.query(Campaign).one().state = CampaignState.PAUSED
    else:
        db.session.add(Standstill(begun_at=NOON, begun_by="test"))
    db.session.commit()
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []
    held = again(attempt_id)
    assert (held.state, held.due_at, held.claimed_at) == (AttemptState.PLANNED, NOON, None)


def test_the_cap_of_dials_to_a_number_holds_at_the_last_moment(due: Attempt) -> None:
    attempt_id, noting = queued(due), NotingChannel()
    survey = again(attempt_id).survey
    elsewhere = make.campaign([survey.site])
    for days in (1, 2, 29):
        call = make.call(place=survey.site, customer=survey.customer)
        asked = make.survey(call, elsewhere, closed_at=NOON, disposition="no_answer", plan_at=None)
        dial = make.attempt(asked, state=AttemptState.DIALLING, started_at=NOON - timedelta(days=days))
        attempts.end(dial.id, Outcome.NO_ANSWER)
    db.session.commit()
    assert not deliver(attempt_id, channels(noting))
    assert noting.delivered == []
    assert again(attempt_id).detail == "3 calls to this number in 30 days"


def test_two_surveys_of_one_customer_never_dial_past_the_cap_together(app: Flask, due: Attempt) -> None:
    """Both workers look at the same moment; the customer's row makes them take turns."""
    first = queued(due)
    survey = again(first).survey
    survey.campaign.dials_per_number = 1
    call = make.call(place=survey.site, customer=survey.customer)
    make.attempt(make.survey(call, make.campaign([survey.site], dials_per_number=1), plan_at=None))
    db.session.flush()
    (second,) = claim_due()
    db.session.commit()
    db.session.remove()
    noting, together = NotingChannel(), threading.Barrier(2)

    def work(attempt_id: int) -> None:
        with app.app_context():
            together.wait()
            deliver(attempt_id, channels(noting))

    threads = [threading.Thread(target=work, args=(attempt_id,)) for attempt_id in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(noting.delivered) == 1


def test_the_guards_wait_for_a_draw_that_holds_the_survey(app: Flask, due: Attempt) -> None:
    """A draw that is about to supersede the survey has locked it: the call must not begin beside it."""
    attempt_id, noting = queued(due), NotingChannel()
    survey_id = again(attempt_id).survey_id
    db.session.remove()

    def work() -> None:
        with app.app_context():
            deliver(attempt_id, channels(noting))

    survey = lifecycle.locked(survey_id)
    worker = threading.Thread(target=work)
    worker.start()
    worker.join(0.3)
    assert worker.is_alive()
    lifecycle.close(survey, clock.now())
    db.session.commit()
    worker.join(20)
    assert noting.delivered == []


def test_an_attempt_that_does_not_exist_is_no_trouble(session: scoped_session[Session]) -> None:
    assert not deliver(4711, channels(NotingChannel()))
