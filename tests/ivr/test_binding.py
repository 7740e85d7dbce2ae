"""Which call belongs to which attempt, and what strangers hear."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from survey.db import db
from survey.models import AttemptEvent, AttemptState, Channel, Outcome
from tests import factories
from tests.ivr.phone import BASE, SID, Call, Webhook, dialled, reloaded

pytestmark = pytest.mark.usefixtures("at_noon")
OTHER = "CA" + "9" * 32
SORRY = "Sorry, this call has ended. Goodbye."


@pytest.mark.parametrize("place", ["voice", "menu", "answer", "fallback"])
def test_an_unknown_attempt_is_told_politely(client: FlaskClient, session: object, place: str) -> None:
    response = Webhook(f"{BASE}/ivr/attempts/4711/{place}", {"CallSid": SID}).post(client)
    assert response.status_code == 200
    assert SORRY in response.text and "<Hangup" in response.text


def test_news_of_an_unknown_attempt_is_accepted(client: FlaskClient, session: object) -> None:
    assert Call(client, 4711).status().status_code == 204
    assert db.session.query(AttemptEvent).count() == 0


@pytest.mark.parametrize("state", [AttemptState.PLANNED, AttemptState.QUEUED])
def test_an_attempt_not_begun_has_no_call(client: FlaskClient, session: object, state: AttemptState) -> None:
    attempt = factories.attempt(state=state)
    db.session.commit()
    assert Call(client, attempt.id).answered().said == SORRY
    assert reloaded(attempt).state is state


def test_an_emailed_attempt_has_no_call(client: FlaskClient, session: object) -> None:
    attempt = factories.attempt(channel=Channel.WEB, state=AttemptState.DIALLING)
    db.session.commit()
    assert Call(client, attempt.id).answered().said == SORRY


@pytest.mark.parametrize("first", ["voice", "status"])
def test_the_first_webhook_binds_the_call(client: FlaskClient, session: object, first: str) -> None:
    attempt = dialled()
    call = Call(client, attempt.id)
    if first == "voice":
        call.answered()
    else:
        call.status("in-progress", 0)
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, SID)


def test_another_call_on_a_bound_attempt_is_a_stranger(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    Call(client, attempt.id).answered()
    stranger = Call(client, attempt.id, OTHER)
    assert stranger.answered().said == SORRY
    assert stranger.hung_up
    assert stranger.status("no-answer").status_code == 204
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, SID)


def test_a_call_adopted_elsewhere_stays_there(client: FlaskClient, session: object) -> None:
    dialled(state=AttemptState.UNDERWAY, provider_id=SID)
    attempt = dialled()
    assert Call(client, attempt.id).answered().said == SORRY
    assert reloaded(attempt).provider_id is None


def test_a_webhook_without_a_call_is_a_stranger(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    assert Call(client, attempt.id, "").answered().said == SORRY
    assert reloaded(attempt).state is AttemptState.DIALLING


def test_a_call_given_up_as_unknown_is_heard_when_it_comes_after_all(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    attempt.state, attempt.outcome, attempt.ended_at = AttemptState.ENDED, Outcome.UNKNOWN, attempt.started_at
    db.session.commit()
    call = Call(client, attempt.id).answered()
    assert "press 9" in call.said
    call.press("1155").status()
    row = reloaded(attempt)
    assert (row.outcome, row.provider_id) == (Outcome.COMPLETED, SID)
