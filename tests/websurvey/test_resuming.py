"""Over the public doors: a call that was cut off goes on by email, and a reminder leaves the first link as it was."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from scheduler.planning import plan_due
from survey import attempts
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, Outcome, Response, Survey
from tests import factories
from tests.ivr.phone import Call
from tests.websurvey.steps import choose, get, post, said
from tests.websurvey.support import Mailbox, fresh, link_of
from websurvey.channel import WebChannel

SILENCE = timedelta(hours=20)


def planned(survey_id: int) -> Attempt | None:
    """What the plan comes to next, if an attempt."""
    plan_due()
    db.session.commit()
    return db.session.scalars(
        select(Attempt).where(Attempt.survey_id == survey_id, Attempt.state == AttemptState.PLANNED)
    ).one_or_none()


def sent(survey_id: int, channel: WebChannel, now: ManualClock) -> Attempt:
    """The next attempt, an email, sent when it is due."""
    attempt = planned(survey_id)
    assert attempt is not None and attempt.channel is Channel.WEB
    now.move_to(max(attempt.due_at, now()))
    attempt.state = AttemptState.QUEUED
    db.session.flush()
    attempt_id = attempt.id
    assert attempts.begin(attempt_id)
    db.session.commit()
    channel.deliver(attempt_id)
    return fresh(attempt_id)


def test_hanging_up_after_an_answer_sends_the_link_that_goes_on(
    client: FlaskClient, channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock
) -> None:
    phone = factories.attempt(state=AttemptState.DIALLING)
    survey_id = phone.survey_id
    db.session.commit()
    phone_id = phone.id
    call = Call(client, phone_id).answered().press("11")  # begins, and says that it was resolved
    call.status("completed", CallDuration="30")
    assert fresh(phone_id).outcome is Outcome.HUNG_UP
    mail = sent(survey_id, channel, at_noon)
    assert mail.reason == "first invitation: the call ended after some answers, and the link goes on from there"
    page = get(client, link_of(mailbox.messages[0]))
    assert page.asks == "overall"
    assert said("en", "thanks") in choose(client, choose(client, page, "5"), "5").text
    response = db.session.scalars(select(Response).where(Response.survey_id == survey_id)).one()
    assert (response.resolved, response.overall, response.agent) == ("yes", 5, 5)


@pytest.fixture
def reminded(channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock) -> int:
    """A survey by email alone whose first link stayed silent, so that a reminder is out too."""
    place = factories.site()
    survey = factories.survey(within=factories.campaign([place], reminders=1), channels=["web"])
    survey_id = survey.id
    db.session.commit()
    first = sent(survey_id, channel, at_noon)
    assert first.started_at is not None
    at_noon.move_to(first.started_at + SILENCE - timedelta(seconds=1))
    assert planned(survey_id) is None
    at_noon.move_to(first.started_at + SILENCE)
    assert sent(survey_id, channel, at_noon).reason == "reminder: the link was not answered for 20 hours"
    at_noon.move_to(at_noon() + SILENCE + timedelta(minutes=1))
    assert planned(survey_id) is None, "one is all"
    return survey_id


def outcomes(survey_id: int) -> list[Outcome | None]:
    db.session.rollback()
    rows = db.session.scalars(select(Attempt).where(Attempt.survey_id == survey_id).order_by(Attempt.ordinal))
    return [row.outcome for row in rows]


@pytest.mark.parametrize("answered", [0, 1])
def test_either_link_takes_the_answers(client: FlaskClient, mailbox: Mailbox, reminded: int, answered: int) -> None:
    first, second = mailbox.messages
    assert first["Message-ID"] != second["Message-ID"] and link_of(first) != link_of(second)
    page = get(client, link_of(mailbox.messages[answered]))
    page = choose(client, page, "yes")
    # Half on one, half on the other: it is one survey.
    assert get(client, link_of(mailbox.messages[1 - answered])).asks == "overall"
    for value in ("5", "4"):
        page = choose(client, page, value)
    assert said("en", "thanks") in page.text
    assert db.session.get_one(Survey, reminded).disposition is Disposition.COMPLETE
    silent, complete = Outcome.SILENCE, Outcome.COMPLETED
    assert outcomes(reminded) == ([complete, silent] if answered == 0 else [silent, complete])


def test_unsubscribing_by_the_first_link_ends_both(client: FlaskClient, mailbox: Mailbox, reminded: int) -> None:
    first = link_of(mailbox.messages[0])
    post(client, f"{first}/unsubscribe", 200, **{"List-Unsubscribe": "One-Click"})
    assert db.session.get_one(Survey, reminded).disposition is Disposition.OPTED_OUT
    assert outcomes(reminded)[0] is Outcome.OPTED_OUT


def test_somebody_else_says_so_by_the_first_link(client: FlaskClient, mailbox: Mailbox, reminded: int) -> None:
    page = post(client, f"{link_of(mailbox.messages[0])}/not-me")
    assert said("en", "wrong_person_done") in page.text
    assert outcomes(reminded)[0] is Outcome.WRONG_PERSON


@pytest.mark.parametrize("begun", [False, True], ids=["somebody else's", "begun"])
def test_no_reminder_that_was_planned_follows_an_answer(
    client: FlaskClient, channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock, begun: bool
) -> None:
    survey = factories.survey(within=factories.campaign([factories.site()], reminders=1), channels=["web"])
    survey_id = survey.id
    db.session.commit()
    first = sent(survey_id, channel, at_noon)
    assert first.started_at is not None
    at_noon.move_to(first.started_at + SILENCE)
    reminder = planned(survey_id)
    assert reminder is not None
    reminder_id = reminder.id
    link = link_of(mailbox.messages[0])
    choose(client, get(client, link), "yes") if begun else post(client, f"{link}/not-me")
    assert fresh(reminder_id).state is AttemptState.CANCELLED
    assert planned(survey_id) is None
