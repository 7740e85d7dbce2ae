"""Answering machines: listened for as the campaign says, left at once or with one message, never a completed survey."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from requests.exceptions import ReadTimeout

from ivr import machines
from ivr.channel import IvrChannel
from survey import clock, lifecycle
from survey.db import db
from survey.models import Attempt, AttemptState, Disposition, MachineDetection, Outcome
from tests.ivr.network import canned, pointed_at
from tests.ivr.phone import BASE, SID, Call, Webhook, dialled, id_of, reloaded, values_of

pytestmark = pytest.mark.usefixtures("at_noon")
OFF, SYNC, ASYNC = MachineDetection.OFF, MachineDetection.SYNC, MachineDetection.ASYNC
OVERRIDES = "#rc=2&rp=ct,rt,5xx"


class Twilio:
    """The client's calls, with what was asked of them."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.updates: list[tuple[str, dict[str, Any]]] = []
        self.fault = fault

    def calls(self, sid: str) -> Any:
        self._sid = sid
        return self

    def update(self, **how: Any) -> None:
        self.updates.append((self._sid, how))
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def twilio(monkeypatch: pytest.MonkeyPatch) -> Twilio:
    client = Twilio()
    monkeypatch.setattr(machines, "twilio_client", lambda: client)
    return client


def attempted(detection: MachineDetection, message: bool = False) -> Attempt:
    attempt = dialled()
    campaign = attempt.survey.campaign
    campaign.machine_detection, campaign.voicemail_message = detection, message
    db.session.commit()
    db.session.refresh(attempt)
    return attempt


def hook(attempt: Attempt, place: str, answered_by: str = "", **more: str) -> Webhook:
    params = {"CallSid": SID, "From": "+12125550144", **({"AnsweredBy": answered_by} if answered_by else {}), **more}
    return Webhook(f"{BASE}/ivr/attempts/{id_of(attempt)}/{place}", params)


def said(client: FlaskClient, webhook: Webhook) -> str:
    return webhook.post(client).get_data(as_text=True)


@pytest.mark.parametrize(
    ("detection", "message", "asked"),
    [
        (OFF, False, {}),
        (SYNC, False, {"MachineDetection": "Enable"}),
        (SYNC, True, {"MachineDetection": "DetectMessageEnd"}),
        (ASYNC, True, {"MachineDetection": "DetectMessageEnd", "AsyncAmd": "true"}),
        (ASYNC, False, {"MachineDetection": "Enable", "AsyncAmd": "true"}),
    ],
)
def test_what_is_asked_for(app: Flask, detection: MachineDetection, message: bool, asked: dict[str, str]) -> None:
    attempt = attempted(detection, message)
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    (post,) = network.posts
    assert {name: value for name, (value,) in post.items() if "Amd" in name or "Machine" in name} == asked | (
        {"AsyncAmdStatusCallback": f"{BASE}/ivr/attempts/{id_of(attempt)}/machine{OVERRIDES}"}
        if "AsyncAmd" in asked
        else {}
    )


@pytest.mark.parametrize("answered_by", ["human", "unknown", ""])
def test_people_are_asked(client: FlaskClient, answered_by: str) -> None:
    document = said(client, hook(attempted(SYNC), "voice", answered_by))
    assert "press 9" in document and "<Gather" in document


@pytest.mark.parametrize(
    ("answered_by", "message", "heard", "outcome"),
    [
        ("machine_start", False, "", Outcome.VOICEMAIL),
        ("machine_start", True, "", Outcome.VOICEMAIL),  # not at the beep: nobody would hear it
        ("machine_end_beep", False, "", Outcome.VOICEMAIL),
        ("machine_end_beep", True, "call 2 1 2, 5 5 5, 0 1 4 4.", Outcome.VOICEMAIL),
        ("machine_end_silence", True, "call 2 1 2, 5 5 5, 0 1 4 4.", Outcome.VOICEMAIL),
        ("fax", True, "", Outcome.DEAD),
    ],
)
def test_a_machine_is_left_at_once_or_with_the_message(
    client: FlaskClient, answered_by: str, message: bool, heard: str, outcome: Outcome
) -> None:
    attempt = attempted(SYNC, message)
    webhook = hook(attempt, "voice", answered_by)
    document = said(client, webhook)
    assert heard in document and ("<Say" in document) == bool(heard)
    assert "<Hangup" in document and "<Gather" not in document
    assert said(client, webhook) == document, "the same webhook again is answered alike"
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, outcome)
    assert row.survey.is_open


def test_one_message_a_survey(client: FlaskClient) -> None:
    first = attempted(SYNC, message=True)
    assert "<Say" in said(client, hook(first, "voice", "machine_end_beep"))
    second = dialled(survey=first.survey)
    other = hook(second, "voice", "machine_end_beep")
    other.params["CallSid"] = "CA" + "2" * 32
    assert "<Say" not in said(client, other)


def test_a_machine_found_while_the_survey_begins_is_hung_up_on(client: FlaskClient, twilio: Twilio) -> None:
    attempt = attempted(ASYNC)
    Call(client, id_of(attempt)).answered()
    assert hook(attempt, "machine", "human").post(client).status_code == 204 and twilio.updates == []
    for _ in range(2):
        assert hook(attempt, "machine", "machine_start").post(client).status_code == 204
    assert twilio.updates == [(SID, {"status": "completed"})] * 2
    assert reloaded(attempt).outcome is Outcome.VOICEMAIL


@pytest.mark.parametrize("key", ["9", "8", "0"])
def test_who_chose_by_key_is_left_no_message(client: FlaskClient, twilio: Twilio, key: str) -> None:
    attempt = attempted(ASYNC, message=True)
    Call(client, id_of(attempt)).answered().press(key)
    hook(attempt, "machine", "machine_end_beep").post(client)
    assert twilio.updates == []


def test_no_message_about_a_survey_that_closed(client: FlaskClient) -> None:
    attempt = attempted(SYNC, message=True)
    lifecycle.close(lifecycle.locked(attempt.survey_id), clock.now())
    db.session.commit()
    assert "<Say" not in said(client, hook(attempt, "voice", "machine_end_beep"))


def test_it_is_turned_to_the_message_at_the_beep(client: FlaskClient, twilio: Twilio) -> None:
    attempt = attempted(ASYNC, message=True)
    Call(client, id_of(attempt)).answered()
    hook(attempt, "machine", "machine_end_beep").post(client)
    ((sid, how),) = twilio.updates
    assert (sid, how["method"]) == (SID, "POST")
    document = said(client, hook(attempt, "message"))
    assert how["url"].endswith(f"/{id_of(attempt)}/message{OVERRIDES}") and "0 1 4 4. Goodbye." in document


def test_where_twilio_cannot_be_asked_the_verdict_stands(client: FlaskClient, twilio: Twilio) -> None:
    attempt, twilio.fault = attempted(ASYNC), ReadTimeout()
    Call(client, id_of(attempt)).answered()
    assert hook(attempt, "machine", "machine_start").post(client).status_code == 204
    assert reloaded(attempt).outcome is Outcome.VOICEMAIL


@pytest.mark.usefixtures("twilio")
@pytest.mark.parametrize("keys", ["", "---"])
def test_silence_and_machine_in_any_order_are_voicemail(client: FlaskClient, keys: str) -> None:
    for order in itertools.permutations(("machine", "keys", "over")):
        attempt = attempted(ASYNC)
        call = Call(client, id_of(attempt), f"CA{id_of(attempt):032d}").answered()
        for what in order:
            if what == "machine":
                verdict = hook(attempt, "machine", "machine_start")
                verdict.params["CallSid"] = call.sid
                verdict.post(client)
            elif what == "keys":
                call.press(keys)
            else:
                call.status("completed", CallDuration="20")
        assert reloaded(attempt).outcome is Outcome.VOICEMAIL, order


@pytest.mark.usefixtures("twilio")
@pytest.mark.parametrize(
    ("keys", "outcome", "disposition"),
    [
        ("1155", Outcome.COMPLETED, Disposition.COMPLETE),
        ("11", Outcome.HUNG_UP, None),
        ("9", Outcome.OPTED_OUT, Disposition.OPTED_OUT),
        ("8", Outcome.WRONG_PERSON, None),
        ("0", Outcome.LATER, None),
    ],
)
def test_who_presses_keys_is_no_machine(
    client: FlaskClient, keys: str, outcome: Outcome, disposition: Disposition | None
) -> None:
    for order in itertools.permutations(("machine", "keys", "over")):
        attempt = attempted(ASYNC)
        call = Call(client, id_of(attempt), f"CA{id_of(attempt):032d}").answered()
        for what in order:
            if what == "machine":
                verdict = hook(attempt, "machine", "machine_start")
                verdict.params["CallSid"] = call.sid
                verdict.post(client)
            elif what == "keys":
                call.press(keys)
            else:
                call.status("completed", CallDuration="20", AnsweredBy="machine_start")
        row = reloaded(attempt)
        assert (row.outcome, row.survey.disposition) == (outcome, disposition), order
        assert values_of(row.survey_id).keys() == set(("resolved", "overall", "agent")[: len(keys) - 1])
