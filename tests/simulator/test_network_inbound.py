"""A customer calls one of our numbers."""

from datetime import timedelta
from typing import Any

import pytest

from simulator.network import Call, HangUp, OurNumber, Press, ScriptedCustomer
from tests.simulator.stage import BASE, CALLER, CUSTOMER, START, Stage, gather, say

OURS = OurNumber(f"{BASE}/inbound", f"{BASE}/fallback", f"{BASE}/status")


def call_in(stage: Stage, answer: Any, *keys: Any, **settings: Any) -> Call:
    stage.network.numbers = {CALLER: OURS}
    stage.service.answers["/inbound"] = answer
    call = stage.network.call_in(CUSTOMER, CALLER, ScriptedCustomer(list(keys)), **settings)
    stage.finish()
    return call


def test_our_voice_url_says_what_happens() -> None:
    stage = Stage()
    stage.service.answers["/two"] = say("Thank you.")
    call = call_in(stage, gather("Press 1 for the survey.", "/two"), Press("1", after=2.0))
    (first,) = stage.service.at("/inbound")
    assert (
        first.items()
        >= {
            "CallSid": call.sid,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": CUSTOMER,
            "To": CALLER,
        }.items()
    )
    (second,) = stage.service.at("/two")
    assert (second["CallStatus"], second["Digits"], second["Direction"]) == ("in-progress", "1", "inbound")
    assert all(got.signed for got in stage.service.received)
    assert (call.status, call.answered_at) == ("completed", START)
    assert stage.network.log.dials() == [] and stage.errors() == []
    assert stage.network.transcript(call.sid).splitlines()[:2] == [
        "00:00 a customer calls",
        "00:00 Aftercall says (en-US): Press 1 for the survey.",
    ]


def test_the_number_s_status_callback_hears_of_the_end_alone() -> None:
    stage = Stage()
    call_in(stage, '<Response><Pause length="61"/></Response>')
    (end,) = stage.service.at("/status")
    assert (end["CallStatus"], end["CallDuration"], end["Direction"]) == ("completed", "61", "inbound")


@pytest.mark.parametrize(
    ("document", "status", "transcript"),
    [
        ("<Response><Reject/></Response>", "no-answer", "00:00 a customer calls"),
        ('<Response><Reject reason="busy"/></Response>', "busy", "00:00 a customer calls"),
        ("<Response><Say>Sorry.</Say><Reject/></Response>", "completed", "Sorry."),
        ("<Response/>", "completed", "hangs up"),
    ],
)
def test_reject_as_the_first_verb_never_answers(document: str, status: str, transcript: str) -> None:
    stage = Stage()
    call = call_in(stage, document)
    assert call.status == stage.service.statuses()[-1] == status
    assert (call.answered_at is None) == (status != "completed")
    assert (stage.network.log.bills() == []) == (status != "completed")
    assert transcript in stage.network.transcript(call.sid)


def test_a_document_that_is_no_good_is_answered_with_the_fallback_or_an_apology() -> None:
    stage = Stage()
    stage.service.answers["/fallback"] = say("We are closed.")
    assert "We are closed." in stage.network.transcript(call_in(stage, 500).sid)
    stage.service.answers["/fallback"] = 500
    call = call_in(stage, 500)
    assert call.status == "completed" and "application error" in stage.network.transcript(call.sid)


def test_callers_hang_up_too() -> None:
    stage = Stage()
    assert call_in(stage, gather("one two three", "/two"), HangUp(0.0)).status == "completed"
    call = call_in(stage, '<Response><Pause length="60"/></Response>', hangs_up_after=5.0)
    assert call.duration == 5 and call.ended_at == stage.now == call.created_at + timedelta(seconds=5)


def test_only_numbers_of_ours_can_be_called() -> None:
    with pytest.raises(ValueError, match="it has none"):
        Stage().network.call_in(CUSTOMER, CALLER, ScriptedCustomer())
