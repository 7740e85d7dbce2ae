"""Planning in rows: due surveys get their next attempt; what a plan rests on is read from everywhere it must be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session, scoped_session

from scheduler.planning import plan_due
from survey import answers, attempts, optouts
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, CampaignState, Channel, OptOutSource, Outcome, Survey
from tests import factories as make
from tests.conftest import NOON


@pytest.fixture
def survey(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Survey]:
    place = make.site()
    caller = make.customer(place.organisation_id, phone="+12125550142")
    yield make.survey(make.call(place=place, customer=caller))


def planned(survey: Survey) -> list[Attempt]:
    db.session.expire_all()
    return list(
        db.session.scalars(
            select(Attempt)
            .where(Attempt.survey_id == survey.id, Attempt.state == AttemptState.PLANNED)
            .order_by(Attempt.ordinal)
        )
    )


def ended(survey: Survey, outcome: Outcome, channel: Channel = Channel.IVR) -> None:
    made = make.attempt(survey, channel, state=AttemptState.DIALLING)
    attempts.end(made.id, outcome)


def test_a_drawn_survey_gets_its_first_call(survey: Survey) -> None:
    assert plan_due() == 1
    (first,) = planned(survey)
    assert (first.channel, first.ordinal, first.reason) == (Channel.IVR, 1, "first call")
    assert first.due_at > NOON
    assert survey.plan_at is None
    assert plan_due() == 0


def test_an_ended_attempt_brings_the_next_one(survey: Survey) -> None:
    ended(survey, Outcome.BUSY)
    assert plan_due() == 1
    (second,) = planned(survey)
    assert (second.ordinal, second.due_at) == (2, NOON + timedelta(minutes=20))


def test_surveys_that_are_closed_paused_or_not_due_are_left_alone(survey: Survey) -> None:
    place = survey.site
    paused = make.campaign([place], state=CampaignState.PAUSED)
    make.survey(within=paused)
    make.survey(within=survey.campaign, plan_at=NOON + timedelta(seconds=1))
    make.survey(within=survey.campaign, plan_at=None)
    assert plan_due() == 1
    paused.state = CampaignState.ACTIVE
    assert plan_due() == 1


def test_the_earliest_deadline_is_planned_first(survey: Survey) -> None:
    urgent = make.survey(within=survey.campaign, deadline=survey.deadline - timedelta(hours=5))
    assert plan_due(limit=1) == 1
    assert planned(urgent) and not planned(survey)


def test_an_opt_out_recorded_anywhere_takes_the_channel_away(survey: Survey) -> None:
    index = survey.customer.phone_index
    assert index is not None
    optouts.add(survey.campaign.organisation_id, "phone", index, OptOutSource.IMPORT)
    plan_due()
    (only,) = planned(survey)
    assert only.channel is Channel.WEB
    assert "opted out" in only.reason


def test_an_opt_out_with_another_organisation_does_not(survey: Survey) -> None:
    index = survey.customer.phone_index
    assert index is not None
    optouts.add(make.organisation().id, "phone", index, OptOutSource.IMPORT)
    plan_due()
    assert planned(survey)[0].channel is Channel.IVR


def test_dials_to_a_number_are_counted_over_all_campaigns_of_the_organisation(survey: Survey) -> None:
    other_campaign = make.campaign([survey.site])
    for _ in range(3):
        call = make.call(place=survey.site, customer=survey.customer)
        closed = make.survey(call, other_campaign, closed_at=NOON, disposition="no_answer", plan_at=None)
        ended(closed, Outcome.NO_ANSWER)
    assert plan_due() == 1
    assert [attempt.channel for attempt in planned(survey)] == [Channel.WEB]


def test_after_an_invitation_the_survey_is_thought_about_again(survey: Survey, at_noon: ManualClock) -> None:
    survey.channels = ["web", "ivr"]
    db.session.flush()
    plan_due()
    (mail,) = planned(survey)
    db.session.refresh(survey)
    assert survey.plan_at == mail.due_at + timedelta(hours=20)
    mail.state, mail.started_at = AttemptState.UNDERWAY, mail.due_at
    db.session.flush()
    at_noon.move_to(survey.plan_at)
    assert plan_due() == 1
    assert [attempt.channel for attempt in planned(survey)] == [Channel.IVR]


@pytest.mark.parametrize(
    ("says", "needed", "why"),
    [
        (False, False, "the customer does not consent to calls"),
        (None, True, "nobody recorded that the customer agreed to be called"),
    ],
)
def test_who_does_not_consent_to_calls_is_asked_by_email(
    survey: Survey, says: bool | None, needed: bool, why: str
) -> None:
    survey.customer.consents_to_calls, survey.campaign.calls_need_consent = says, needed
    db.session.flush()
    plan_due()
    (only,) = planned(survey)
    assert only.channel is Channel.WEB
    assert only.reason == f"first invitation: {why}"


def test_without_email_a_web_survey_goes_over_to_the_phone_or_waits(survey: Survey) -> None:
    survey.customer.email = survey.customer.email_index = None
    survey.channels = ["web", "ivr"]
    by_web_alone = make.survey(
        make.call(place=survey.site, customer=survey.customer), within=survey.campaign, channels=["web"]
    )
    assert plan_due() == 2
    (only,) = planned(survey)
    assert (only.channel, only.reason) == (Channel.IVR, "first call: no email address")
    assert not planned(by_web_alone) and by_web_alone.plan_at is None


def test_an_answer_in_time_makes_the_plan_send_the_link(survey: Survey) -> None:
    made = make.attempt(survey, state=AttemptState.UNDERWAY)
    answers.take(made, "resolved", "yes", 1)
    attempts.end(made.id, Outcome.UNKNOWN)
    plan_due()
    (second,) = planned(survey)
    assert second.channel is Channel.WEB and "goes on from there" in second.reason


def test_answers_count_for_the_call_they_were_given_in(survey: Survey) -> None:
    """The first call brought an answer and was to be made again; of the second nobody knows what became."""
    first = make.attempt(survey, state=AttemptState.UNDERWAY)
    answers.take(first, "resolved", "yes", 1)
    attempts.end(first.id, Outcome.LATER)
    ended(survey, Outcome.UNKNOWN)
    plan_due()
    (third,) = planned(survey)
    assert third.channel is Channel.IVR and "is not known: another part of the day" in third.reason


def test_what_somebody_else_answered_counts_for_nothing(survey: Survey, at_noon: ManualClock) -> None:
    made = make.attempt(survey, state=AttemptState.UNDERWAY)
    answers.take(made, "resolved", "yes", 1)
    attempts.end(made.id, Outcome.WRONG_PERSON)
    plan_due()
    (second,) = planned(survey)
    assert second.reason == "first invitation: the number is somebody else's"
    # Nor does it keep the customer from being reminded.
    second.state, second.started_at, survey.campaign.reminders = AttemptState.UNDERWAY, NOON, 1
    at_noon.move_to(NOON + timedelta(hours=20))
    survey.plan_at = at_noon()
    db.session.flush()
    plan_due()
    assert [one.reason for one in planned(survey)] == ["reminder: the link was not answered for 20 hours"]


def test_a_campaign_without_reminders_sends_none(survey: Survey, at_noon: ManualClock) -> None:
    survey.channels = ["web"]
    make.attempt(survey, Channel.WEB, state=AttemptState.UNDERWAY)
    at_noon.move_to(NOON + timedelta(hours=21))
    for reminders in (0, 1):
        survey.campaign.reminders, survey.plan_at = reminders, at_noon()
        db.session.flush()
        assert plan_due() == 1
        assert len(planned(survey)) == reminders


def test_when_nothing_is_left_the_survey_waits_for_its_deadline(survey: Survey) -> None:
    ended(survey, Outcome.DEAD)
    ended(survey, Outcome.BOUNCED, Channel.WEB)
    assert plan_due() == 1
    assert not planned(survey)
    db.session.refresh(survey)
    assert survey.plan_at is None and survey.is_open


def test_rows_another_machine_is_planning_are_left_to_it(survey: Survey) -> None:
    db.session.commit()
    with db.engine.connect() as other:
        other.execute(select(Survey.id).where(Survey.id == survey.id).with_for_update())
        db.session.execute(text("SET LOCAL lock_timeout = '2s'"))
        assert plan_due() == 0
        other.rollback()
    assert plan_due() == 1


def test_many_surveys_take_few_queries(survey: Survey) -> None:
    for _ in range(30):
        make.survey(make.call(survey.agent, survey.site), survey.campaign, supervisor=survey.supervisor)
    db.session.commit()
    queries: list[str] = []

    def note(*arguments: Any) -> None:
        queries.append(arguments[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert plan_due() == 31
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(queries) <= 10
