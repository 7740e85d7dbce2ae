"""How surveys end, what they came to, and who is left alone afterwards."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from scheduler.planning import plan_due
from survey import answers, attempts, lifecycle, optouts
from survey.clock import ManualClock
from survey.db import db
from survey.lifecycle import Evidence, disposition_of
from survey.models import (
    AAPOR,
    Attempt,
    AttemptState,
    Channel,
    Disposition,
    OptOut,
    OptOutSource,
    Outcome,
    Response,
)
from survey.questionnaire import CORE_KEYS
from tests import factories

ALL = frozenset(CORE_KEYS)


@pytest.mark.parametrize(
    ("evidence", "disposition"),
    [
        (Evidence(), Disposition.NEVER_ATTEMPTED),
        (Evidence(in_time=ALL), Disposition.COMPLETE),
        (Evidence(in_time=ALL, opted_out=True), Disposition.COMPLETE),
        (Evidence(in_time=frozenset({"resolved"})), Disposition.PARTIAL),
        (Evidence(in_time=frozenset({"resolved"}), late=ALL), Disposition.PARTIAL),
        (Evidence(late=ALL), Disposition.LATE),
        (Evidence(late=frozenset({"resolved"})), Disposition.NEVER_ATTEMPTED),
        (Evidence(opted_out=True, outcomes=(Outcome.NO_ANSWER,)), Disposition.OPTED_OUT),
        (Evidence(superseded=True), Disposition.SUPERSEDED),
        (Evidence(outcomes=(Outcome.NO_ANSWER, Outcome.SILENCE)), Disposition.NO_ANSWER),
        (Evidence(outcomes=(Outcome.HUNG_UP, Outcome.NO_ANSWER)), Disposition.BROKEN_OFF),
        (Evidence(outcomes=(Outcome.WRONG_PERSON, Outcome.BOUNCED)), Disposition.WRONG_PERSON),
        (Evidence(outcomes=(Outcome.DEAD, Outcome.BOUNCED)), Disposition.EMAIL_BOUNCED),
        (Evidence(outcomes=(Outcome.UNKNOWN,)), Disposition.CHANNEL_FAILED),
    ],
)
def test_what_a_survey_came_to(evidence: Evidence, disposition: Disposition) -> None:
    assert disposition_of(evidence) is disposition


@given(
    in_time=st.frozensets(st.sampled_from(CORE_KEYS)),
    late=st.frozensets(st.sampled_from(CORE_KEYS)),
    outcomes=st.lists(st.sampled_from(list(Outcome))).map(tuple),
    opted_out=st.booleans(),
)
def test_complete_exactly_with_all_core_answers_in_time(
    in_time: frozenset[str], late: frozenset[str], outcomes: tuple[Outcome, ...], opted_out: bool
) -> None:
    found = disposition_of(Evidence(in_time, late, outcomes, opted_out))
    assert (found is Disposition.COMPLETE) == (in_time == ALL)
    assert (found is Disposition.PARTIAL) == (ALL > in_time > frozenset())


def test_every_disposition_has_its_aapor_code() -> None:
    assert set(AAPOR) == set(Disposition)


def test_every_outcome_leads_to_a_disposition() -> None:
    known = {outcome for outcome, _ in lifecycle.BY_OUTCOME}
    assert set(Outcome) - known == {Outcome.COMPLETED}


def test_surveys_close_at_their_deadline_and_not_a_second_before(app: Flask, at_noon: ManualClock) -> None:
    survey = factories.survey()
    waiting = factories.attempt(survey)
    at_noon.move_to(survey.deadline - timedelta(seconds=1))
    assert lifecycle.close_expired() == 0 and survey.is_open
    at_noon.move_to(survey.deadline)
    assert lifecycle.close_expired() == 1
    db.session.refresh(waiting)
    assert survey.disposition is Disposition.NEVER_ATTEMPTED
    assert waiting.state is AttemptState.CANCELLED and waiting.detail == "the survey closed"
    assert lifecycle.close_expired() == 0


def test_a_call_in_progress_at_the_deadline_ends_by_its_own_callback(app: Flask, at_noon: ManualClock) -> None:
    survey = factories.survey()
    dialled = factories.attempt(survey, state=AttemptState.UNDERWAY)
    at_noon.move_to(survey.deadline)
    lifecycle.close_expired()
    db.session.refresh(dialled)
    assert dialled.state is AttemptState.UNDERWAY
    assert attempts.end(dialled.id, Outcome.HUNG_UP)
    db.session.refresh(survey)
    assert survey.plan_at is None, "nothing more is planned for a closed survey"


def test_an_opt_out_closes_the_survey_and_stops_what_waits_for_the_same_number(
    app: Flask, at_noon: ManualClock
) -> None:
    survey = factories.survey()
    shared = factories.customer(survey.customer.organisation_id, survey.customer.phone[:-2] + "99")
    place = survey.site
    other = factories.survey(factories.call(factories.agent(place), place, customer=survey.customer), survey.campaign)
    stranger = factories.survey(factories.call(factories.agent(place), place, customer=shared), survey.campaign)
    dials = [factories.attempt(s) for s in (survey, other, stranger)]
    mail = factories.attempt(other, Channel.WEB)
    lifecycle.opt_out(survey, ["phone"], OptOutSource.PHONE_KEY)
    for row in (*dials, mail):
        db.session.refresh(row)
    assert survey.disposition is Disposition.OPTED_OUT
    assert [d.state for d in dials] == [AttemptState.CANCELLED, AttemptState.CANCELLED, AttemptState.PLANNED]
    assert mail.state is AttemptState.PLANNED, "stopping calls does not stop emails about another call"
    assert optouts.kinds_in_force(survey.customer) == {"phone"}
    assert optouts.kinds_in_force(shared) == frozenset()


def test_an_opt_out_touches_nobody_without_an_email(app: Flask, at_noon: ManualClock) -> None:
    survey = factories.survey()
    survey.customer.email = survey.customer.email_index = None
    place = survey.site
    other = factories.customer(place.organisation_id, email=None)
    bystander = factories.survey(factories.call(factories.agent(place), place, customer=other), survey.campaign)
    waiting = factories.attempt(bystander)
    db.session.flush()
    lifecycle.opt_out(survey, ["phone", "email"], OptOutSource.WEB_PAGE)
    db.session.refresh(waiting)
    assert waiting.state is AttemptState.PLANNED


def test_an_opt_out_twice_is_one_and_can_be_lifted(app: Flask, at_noon: ManualClock) -> None:
    customer = factories.customer(factories.organisation().id)
    assert customer.phone_index is not None
    for _ in range(2):
        optouts.add_customer(customer, ["phone"], OptOutSource.COMMAND)
    assert db.session.query(OptOut).count() == 1
    assert optouts.remove(customer.organisation_id, customer.phone_index, "test")
    assert optouts.kinds_in_force(customer) == frozenset()
    assert not optouts.remove(customer.organisation_id, customer.phone_index, "test")


def test_an_attempt_begins_once_whoever_asks_twice(app: Flask, at_noon: ManualClock) -> None:
    """Rule 1: the intent is one conditional update."""
    attempt = factories.attempt(state=AttemptState.QUEUED)
    assert attempts.begin(attempt.id)
    assert not attempts.begin(attempt.id)
    assert attempts.underway(attempt.id, "CA1")
    assert not attempts.put_back(attempt.id, at_noon())
    assert attempts.end(attempt.id, Outcome.NO_ANSWER)
    assert not attempts.end(attempt.id, Outcome.COMPLETED)
    db.session.refresh(attempt)
    assert attempt.outcome is Outcome.NO_ANSWER


def test_an_event_told_twice_is_kept_once(app: Flask, at_noon: ManualClock) -> None:
    attempt = factories.attempt(state=AttemptState.UNDERWAY)
    assert attempts.note(attempt.id, "CA1", "completed", 3, duration=10)
    assert not attempts.note(attempt.id, "CA1", "completed", 3, duration=11)
    assert attempts.note(attempt.id, "CA1", "answered", 2)


def test_a_survey_superseded_by_a_newer_call(app: Flask, at_noon: ManualClock) -> None:
    survey = factories.survey()
    newer = factories.call(survey.agent, survey.site, customer=survey.customer)
    lifecycle.close(survey, at_noon(), superseded_by=newer)
    assert survey.disposition is Disposition.SUPERSEDED
    assert survey.superseded_by_call_id == newer.id


def test_a_response_is_derived_once(app: Flask, at_noon: ManualClock) -> None:
    dialled = factories.attempt(state=AttemptState.UNDERWAY)
    answers.take(dialled, "resolved", "yes", 0)
    lifecycle.close(dialled.survey, at_noon())
    before = db.session.get(Response, dialled.survey_id)
    assert before is not None and not before.complete
    answers.take(dialled, "overall", "5", 1)
    answers.take(dialled, "agent", "5", 2)
    db.session.refresh(before)
    assert not before.complete and dialled.survey.disposition is Disposition.PARTIAL


def test_after_an_opt_out_by_phone_the_other_survey_is_asked_by_email(app: Flask, at_noon: ManualClock) -> None:
    survey = factories.survey(plan_at=None)
    call = factories.call(factories.agent(survey.site), survey.site, customer=survey.customer)
    other = factories.survey(call, survey.campaign, plan_at=None)
    factories.attempt(other)
    lifecycle.opt_out(survey, ["phone"], OptOutSource.PHONE_KEY)
    db.session.refresh(other)
    assert other.plan_at == at_noon(), "its call is cancelled: what comes next is to be planned"
    assert plan_due() == 1
    (mail,) = db.session.query(Attempt).filter_by(survey_id=other.id, state=AttemptState.PLANNED)
    assert mail.channel is Channel.WEB


def test_giving_up_is_for_attempts_without_a_call(app: Flask, at_noon: ManualClock) -> None:
    doubtful, bound = (factories.attempt(state=AttemptState.DIALLING) for _ in range(2))
    assert attempts.underway(bound.id, "CA1")
    assert attempts.give_up(doubtful.id, "no call found")
    assert not attempts.give_up(bound.id, "no call found")
    db.session.refresh(doubtful)
    assert (doubtful.state, doubtful.outcome) == (AttemptState.ENDED, Outcome.UNKNOWN)


def test_cancelling_takes_the_survey_before_its_attempts(app: Flask, at_noon: ManualClock) -> None:
    """As everybody else does who takes both: the other way round, two would wait for each other."""
    waiting = factories.attempt(factories.survey())
    attempt_id, survey_id = waiting.id, waiting.survey_id
    db.session.commit()
    db.session.remove()

    def cancel() -> None:
        with app.app_context():
            attempts.cancel_waiting([survey_id], "for a test")
            db.session.commit()

    lifecycle.locked(survey_id)
    other = threading.Thread(target=cancel, daemon=True)
    other.start()
    other.join(0.3)
    assert other.is_alive(), "it waits for the survey"
    db.session.execute(text("SET LOCAL lock_timeout = '2s'"))
    db.session.execute(update(Attempt).where(Attempt.id == attempt_id).values(reason="not locked meanwhile"))
    db.session.commit()
    other.join(20)
    assert db.session.get_one(Attempt, attempt_id).state is AttemptState.CANCELLED
