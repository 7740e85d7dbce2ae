"""The network's word on a call: outcomes, repeats, and news in the wrong order."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from ivr import outcomes
from survey.db import db
from survey.models import Attempt, AttemptEvent, AttemptState, Outcome, Survey
from tests.ivr.phone import Call, dialled, reloaded

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.fixture
def attempt(session: object) -> Attempt:
    return dialled()


@pytest.mark.parametrize(
    ("status", "more", "outcome"),
    [
        ("busy", {"SipResponseCode": "486"}, Outcome.BUSY),
        ("no-answer", {"SipResponseCode": "487"}, Outcome.NO_ANSWER),
        ("canceled", {}, Outcome.FAILED),
        ("failed", {}, Outcome.FAILED),
        ("failed", {"SipResponseCode": "503"}, Outcome.FAILED),
        ("failed", {"SipResponseCode": "480"}, Outcome.FAILED),
        ("failed", {"SipResponseCode": "404"}, Outcome.DEAD),
        ("failed", {"SipResponseCode": "484"}, Outcome.DEAD),
        ("failed", {"ErrorCode": "13224"}, Outcome.DEAD),
        ("failed", {"ErrorCode": "13227"}, Outcome.DEAD),
        ("failed", {"ErrorCode": "11200"}, Outcome.FAILED),
        ("failed", {"ErrorCode": "nonsense"}, Outcome.FAILED),
        ("completed", {"SipResponseCode": "200"}, Outcome.HUNG_UP),
    ],
)
def test_how_a_call_ended(
    client: FlaskClient, attempt: Attempt, status: str, more: dict[str, str], outcome: Outcome
) -> None:
    assert Call(client, attempt.id).status(status, **more).status_code == 204
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, outcome)
    assert db.session.get_one(Survey, row.survey_id).plan_at is not None


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress", "something new"])
def test_a_call_that_goes_on(client: FlaskClient, attempt: Attempt, status: str) -> None:
    Call(client, attempt.id).status(status, 0)
    assert reloaded(attempt).state is AttemptState.UNDERWAY


def test_the_same_news_twice_is_kept_once(client: FlaskClient, attempt: Attempt) -> None:
    call = Call(client, attempt.id)
    for _ in range(3):
        call.status("in-progress", 0)
        call.status("completed", 1, CallDuration="17")
    events = db.session.query(AttemptEvent).order_by(AttemptEvent.id).all()
    assert [(event.kind, event.sequence) for event in events] == [("in-progress", 0), ("completed", 1)]
    assert events[1].data["seconds"] == "17"


def test_late_news_of_an_earlier_state_changes_nothing(client: FlaskClient, attempt: Attempt) -> None:
    call = Call(client, attempt.id)
    call.status("no-answer", 2)
    call.status("ringing", 1)
    call.status("in-progress", 0)
    call.status("completed", 3)
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, Outcome.NO_ANSWER)


def test_completed_before_the_last_answer(client: FlaskClient, attempt: Attempt) -> None:
    call = Call(client, attempt.id).answered().press("115")
    call.status("completed")
    assert reloaded(attempt).outcome is Outcome.HUNG_UP
    call.press("5")
    row = reloaded(attempt)
    assert row.outcome is Outcome.COMPLETED
    assert row.survey.is_open is False


def test_completed_before_the_opt_out(client: FlaskClient, attempt: Attempt) -> None:
    call = Call(client, attempt.id).answered()
    call.status("completed")
    call.press("9")
    assert reloaded(attempt).outcome is Outcome.OPTED_OUT


def test_what_the_phone_network_refuses() -> None:
    """Every code of the fact sheet is ruled on; permanent ones are those about the number."""
    dead = {21211, 21217, 13224, 21214, 21215, 13227, 32205, 21216, 21201}
    back = {20003, 20404, 20429, 10004, 21210, 21212, 21213}
    assert {code for code, ruling in outcomes.BY_CODE.items() if ruling.permanent} == dead
    assert {code for code, ruling in outcomes.BY_CODE.items() if ruling.outcome is None} == back
    assert {21219, 11200, 11205, 12100, 12300} <= set(outcomes.BY_CODE)
    assert all(ruling.done for ruling in outcomes.BY_CODE.values())


@pytest.mark.parametrize("http_status", [500, 502, 503, 408, 302])
def test_what_is_never_certain(http_status: int) -> None:
    assert outcomes.of_refusal(http_status, 20500) is None
    assert outcomes.of_refusal(http_status, 21211) is None


@pytest.mark.parametrize(("said", "billed"), [("61", 61), ("0", 0), ("", None), ("-5", None), ("9" * 30, 86_400)])
def test_how_long_the_call_was_connected(client: FlaskClient, attempt: Attempt, said: str, billed: int | None) -> None:
    assert Call(client, attempt.id).status("completed", CallDuration=said).status_code == 204
    assert reloaded(attempt).billed_seconds == billed
