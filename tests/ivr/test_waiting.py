"""Webhooks of one call at once: the one that waits for the other knows what the other wrote, and neither falls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ivr.lines import KEY_IGNORED
from survey import answers, attempts, clock, lifecycle
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, Outcome
from tests import factories
from tests.ivr.phone import Call, Webhook, dialled, id_of, reloaded, values_of

pytestmark = pytest.mark.usefixtures("at_noon")


def posted_meanwhile(app: Flask, webhook: Webhook, survey_id: int, others: Callable[[], object]) -> int:
    """The status of a webhook that comes while another holds its survey and does what `others` does."""
    codes: list[int] = []
    lifecycle.locked(survey_id)
    thread = threading.Thread(target=lambda: codes.append(webhook.post(app.test_client()).status_code), daemon=True)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), "it waits for the survey"
    others()
    db.session.commit()
    thread.join(20)
    return codes[0]


@pytest.fixture
def call(client: FlaskClient, session: object) -> Call:
    return Call(client, id_of(dialled())).answered().press("1")


def attempt_of(call: Call) -> Attempt:
    return db.session.get_one(Attempt, call.attempt_id)


def test_a_key_ignored_meanwhile_stays_ignored(app: Flask, call: Call) -> None:
    step = int(call.action.split("step=")[1].split("&")[0])
    again = Webhook(call.action, {"CallSid": call.sid, "Digits": "1"})
    survey_id = attempt_of(call).survey_id
    with clock.standing_at(call.at + timedelta(seconds=5)):
        noted = lambda: attempts.note(call.attempt_id, call.sid, KEY_IGNORED, step)  # noqa: E731
        assert posted_meanwhile(app, again, survey_id, noted) == 200
    assert values_of(survey_id) == {}


def test_what_was_answered_meanwhile_completes_the_survey(app: Flask, call: Call) -> None:
    survey_id = attempt_of(call).survey_id
    last = Webhook(call.press("15").action, {"CallSid": call.sid, "Digits": "4"})
    other = factories.attempt(
        attempt_of(call).survey, Channel.WEB, state=AttemptState.UNDERWAY, provider_id="<1@example>"
    )
    db.session.commit()
    assert values_of(survey_id).keys() == {"resolved", "overall"}
    with clock.standing_at(call.at + timedelta(seconds=5)):
        taken = lambda: answers.take(other, "agent", "5", 0)  # noqa: E731
        assert posted_meanwhile(app, last, survey_id, taken) == 200
    assert reloaded(other).survey.disposition is Disposition.COMPLETE


@pytest.mark.parametrize("place", ["status", "voice"])
def test_the_end_of_the_call_waits_for_the_last_answer(app: Flask, call: Call, place: str) -> None:
    """The other way round the two would wait for each other, and one of them would fall."""
    attempt = attempt_of(call)
    survey_id, attempt_id = attempt.survey_id, attempt.id
    said = {"CallStatus": "completed", "CallDuration": "9"} if place == "status" else {"AnsweredBy": "machine_start"}
    params = {"CallSid": call.sid, **said}
    webhook = Webhook(call.sent[0].url.replace("/voice", f"/{place}"), params)

    def ended() -> None:
        assert attempts.end(attempt_id, Outcome.LATER)

    assert posted_meanwhile(app, webhook, survey_id, ended) in (200, 204)
    assert reloaded(attempt).outcome is Outcome.LATER
