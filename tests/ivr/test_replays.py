"""Webhooks arrive twice, late and in any order: the same answers and the same end come of it."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survey.db import db
from survey.models import Attempt, Disposition, OptOut, Outcome, Response
from tests.ivr.phone import Call, Webhook, dialled, reloaded, values_of

End = tuple[dict[str, str], Outcome | None, Disposition | None, int, tuple[object, ...] | None]

# What a customer presses, in a call without second thoughts: any order of its webhooks must come to the same.
STRAIGHT = ("1155", "1345", "9", "8", "0", "---", "1---", "11-", "1*2#", "177", "-1-1-5-5", "29", "31254", "")
# With an answer revised, a first delivery comes in order (Twilio waits for each document), repeats whenever.
REVISED = ("11#255", "115#3#1#5#415", "11#", "1144")


def _sent(client: FlaskClient, attempt: Attempt, keys: str) -> list[Webhook]:
    """Plays a call as it should go; its webhooks."""
    call = Call(client, attempt.id, f"CA{attempt.id:032d}")
    call.status("in-progress", 0)
    call.answered()
    for key in keys:
        if call.hung_up:
            break
        call.press(key)
    call.status("completed", 1)
    return call.sent


def _end(attempt: Attempt) -> End:
    row = reloaded(attempt)
    response = db.session.get(Response, row.survey_id)
    derived = None if response is None else (response.resolved, response.overall, response.agent)
    values = values_of(row.survey_id)
    return values, row.outcome, row.survey.disposition, db.session.query(OptOut).count(), derived


def _fresh() -> Attempt:
    """The same survey once more, as if nothing had happened: another attempt on another survey, all else removed."""
    attempt = dialled()
    survey = attempt.survey
    survey.customer.language = None
    db.session.commit()
    return attempt


def _moved(webhooks: list[Webhook], attempt_id: int, to: int) -> list[Webhook]:
    """The webhooks of one attempt as they would be for another, with a call of its own."""
    old, new = f"/attempts/{attempt_id}/", f"/attempts/{to}/"
    sid = f"CA{to:032d}"
    return [Webhook(sent.url.replace(old, new), sent.params | {"CallSid": sid}) for sent in webhooks]


def _replayed(client: FlaskClient, webhooks: list[Webhook], attempt: Attempt, order: list[int]) -> End:
    other = _fresh()
    moved = _moved(webhooks, attempt.id, other.id)
    before = db.session.query(OptOut).count()
    for index in order:
        assert moved[index].post(client).status_code in (200, 204)
    values, outcome, disposition, optouts, derived = _end(other)
    return values, outcome, disposition, optouts - before, derived


@pytest.mark.usefixtures("at_noon")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), keys=st.sampled_from(STRAIGHT))
def test_any_order_and_any_repeats(app: Flask, client: FlaskClient, data: st.DataObject, keys: str) -> None:
    attempt = _fresh()
    before = db.session.query(OptOut).count()
    webhooks = _sent(client, attempt, keys)
    values, outcome, disposition, optouts, derived = _end(attempt)
    each = list(range(len(webhooks)))
    repeats = data.draw(st.lists(st.sampled_from(each), max_size=4))
    order = data.draw(st.permutations(each + repeats))
    expected = (values, outcome, disposition, optouts - before, derived)
    assert _replayed(client, webhooks, attempt, order) == expected


@pytest.mark.usefixtures("at_noon")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), keys=st.sampled_from(STRAIGHT + REVISED))
def test_repeats_at_any_later_moment(app: Flask, client: FlaskClient, data: st.DataObject, keys: str) -> None:
    attempt = _fresh()
    before = db.session.query(OptOut).count()
    webhooks = _sent(client, attempt, keys)
    values, outcome, disposition, optouts, derived = _end(attempt)
    order: list[int] = []
    for index in range(len(webhooks)):
        order.append(index)
        order += data.draw(st.lists(st.sampled_from(order), max_size=2))
    expected = (values, outcome, disposition, optouts - before, derived)
    assert _replayed(client, webhooks, attempt, order) == expected


@pytest.mark.usefixtures("at_noon")
def test_an_answer_overtaken_by_its_revision_does_not_come_back(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    call = Call(client, attempt.id).answered().press("1")
    first = Webhook(call.action, {"CallSid": call.sid, "Digits": "1"})
    later = Webhook(call.action.replace("step=1", "step=3"), {"CallSid": call.sid, "Digits": "2"})
    later.post(client)
    first.post(client)
    assert values_of(reloaded(attempt).survey_id) == {"resolved": "no"}


@pytest.mark.usefixtures("at_noon")
def test_a_late_repeat_takes_no_credit_for_what_others_completed(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    call = Call(client, attempt.id).answered().press("11")
    answer = call.sent[-1]
    call.status()
    second = dialled(survey=attempt.survey)
    Call(client, second.id, "CA" + "2" * 32).answered().press("155").status()
    answer.post(client)
    assert reloaded(second).outcome is Outcome.COMPLETED
    assert reloaded(attempt).outcome is Outcome.HUNG_UP


@pytest.mark.usefixtures("at_noon")
def test_a_repeat_is_answered_with_the_next_document_and_never_overwrites(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    call = Call(client, attempt.id).answered().press("11")
    sent = call.sent[-1]
    forged = Webhook(sent.url, sent.params | {"Digits": "2"})
    assert b"Overall" in forged.post(client).data
    assert sent.post(client).data == forged.post(client).data
    assert values_of(reloaded(attempt).survey_id) == {"resolved": "yes"}
