"""Answering machine detection: what it finds, when, and what the service is told."""

from datetime import timedelta

import pytest

from simulator.network import Faults, Ring, ScriptedCustomer, Speak
from simulator.network.customer import Outcome
from simulator.network.detection import find
from simulator.network.store import CallRequest
from tests.simulator.stage import ACCOUNT, BASE, CALLER, CUSTOMER, START, Stage, say

ASYNC = {"machine_detection": "Enable", "async_amd": True, "async_amd_status_callback": f"{BASE}/amd"}
LONG = '<Response><Pause length="25"/></Response>'


@pytest.mark.parametrize(
    ("ring", "mode", "fault", "answered_by", "shortest", "longest"),
    [
        (Ring("answer"), "Enable", "none", "human", 1_600, 3_600),
        (Ring("answer"), "DetectMessageEnd", "none", "human", 1_600, 3_600),
        (Ring("machine"), "Enable", "none", "machine_start", 2_400, 3_900),
        (Ring("machine"), "DetectMessageEnd", "none", "machine_end_beep", 5_000, 20_000),
        (Ring("machine", greeting_ends="silence"), "DetectMessageEnd", "none", "machine_end_silence", 5_000, 20_000),
        (Ring("machine", greeting_ends="other"), "DetectMessageEnd", "none", "machine_end_other", 5_000, 20_000),
        (Ring("fax"), "Enable", "none", "fax", 2_000, 4_000),
        (Ring("answer"), "Enable", "human_taken_for_machine", "machine_start", 2_400, 3_900),
        (Ring("answer"), "DetectMessageEnd", "human_taken_for_machine", "machine_end_silence", 3_600, 5_100),
        (Ring("machine"), "DetectMessageEnd", "machine_taken_for_human", "human", 1_600, 3_600),
        (Ring("answer"), "Enable", "detection_unknown", "unknown", 5_000, 5_000),
    ],
)
def test_what_is_found_and_when(
    ring: Ring, mode: str, fault: str, answered_by: str, shortest: int, longest: int
) -> None:
    request = CallRequest(CUSTOMER, CALLER, machine_detection=mode)
    found = [find(request, ring, fault, luck) for luck in range(0, 100_000, 97)]
    assert {finding.answered_by for finding in found} == {answered_by}
    milliseconds = [finding.milliseconds for finding in found]
    assert shortest <= min(milliseconds) <= max(milliseconds) <= longest
    assert shortest == longest or max(milliseconds) - min(milliseconds) > (longest - shortest) // 2


def test_it_gives_up_at_its_timeout() -> None:
    request = CallRequest(CUSTOMER, CALLER, machine_detection="DetectMessageEnd", machine_detection_timeout=4)
    assert find(request, Ring("machine"), "none", 9_999) == ("unknown", 4_000)
    assert find(request, Ring("answer"), "none", 0) == ("human", 1_600)


@pytest.mark.parametrize(("outcome", "answered_by"), [("machine", "machine_start"), ("answer", "human")])
def test_the_first_document_waits_for_it(outcome: Outcome, answered_by: str) -> None:
    stage = Stage(ScriptedCustomer(ring=Ring(outcome)))
    asked_at = []
    stage.service.answers["/voice"] = lambda got: asked_at.append(stage.now) or say("Hello")
    call = stage.create(machine_detection="Enable")
    stage.finish()
    (first,) = stage.service.at("/voice")
    assert first["AnsweredBy"] == answered_by and call.answered_at is not None
    assert asked_at == [call.answered_at + timedelta(milliseconds=int(first["MachineDetectionDuration"]))]
    assert stage.service.at("/status")[-1]["AnsweredBy"] == call.answered_by == answered_by
    (told,) = stage.network.log.of("detection")
    assert told.what == answered_by and told.at == asked_at[0]


def test_without_it_nothing_is_said_of_it() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring("machine")))
    call = stage.call(say("Hello"))
    assert call.answered_by is None
    assert not any("AnsweredBy" in got.form or "MachineDetectionDuration" in got.form for got in stage.service.received)


def test_beside_the_call_the_result_comes_by_itself() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring("machine")))
    told_at = []
    stage.service.answers["/amd"] = lambda got: told_at.append(stage.now) or 204
    call = stage.call(LONG, **ASYNC)
    assert "AnsweredBy" not in stage.service.at("/voice")[0]
    (result,) = stage.service.at("/amd")
    assert set(result) == {"CallSid", "AccountSid", "AnsweredBy", "MachineDetectionDuration"}
    assert (result["CallSid"], result["AccountSid"], result["AnsweredBy"]) == (call.sid, ACCOUNT, "machine_start")
    assert call.answered_at is not None
    assert told_at == [call.answered_at + timedelta(milliseconds=int(result["MachineDetectionDuration"]))]
    assert all(got.signed for got in stage.service.received)
    assert stage.service.at("/status")[-1]["AnsweredBy"] == "machine_start"
    assert call.ended_at is not None and call.ended_at - call.answered_at == timedelta(seconds=25)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_who_hangs_up_at_once_is_never_told_apart(asynchronous: bool) -> None:
    stage = Stage(ScriptedCustomer(ring=Ring(hangs_up_after=1.0)))
    call = stage.call(LONG, **{**ASYNC, "async_amd": asynchronous})
    assert (call.status, call.duration, call.answered_by) == ("completed", 1, None)
    assert stage.service.at("/amd") == [] and "AnsweredBy" not in stage.service.at("/status")[-1]
    assert len(stage.service.at("/voice")) == (1 if asynchronous else 0)
    assert stage.network.transcript(call.sid).endswith("00:01 customer hangs up")


def test_who_hangs_up_while_recorded_is_still_told_of() -> None:
    stage = Stage(ScriptedCustomer(recording=Speak("much", seconds=30.0), ring=Ring(hangs_up_after=1.0)))
    stage.service.answers["/recorded"] = 204
    stage.call('<Response><Record action="/recorded"/></Response>', **ASYNC)
    assert [form["Digits"] for form in stage.service.at("/recorded")] == ["hangup"]


def test_a_call_sent_elsewhere_while_it_listens_is_not_called_back() -> None:
    stage = Stage()
    stage.service.answers["/voice"] = say("never")
    call = stage.create(machine_detection="Enable")
    stage.network.run_until(START + timedelta(seconds=10), stage.move)
    stage.network.redirect(call, LONG)
    stage.finish()
    assert stage.service.at("/voice") == [] and (call.status, call.duration) == ("completed", 26)


@pytest.mark.parametrize(
    ("fault", "outcome", "answered_by"),
    [
        ("human_taken_for_machine", "answer", "machine_start"),
        ("human_taken_for_machine", "machine", "machine_start"),
        ("machine_taken_for_human", "machine", "human"),
        ("machine_taken_for_human", "answer", "human"),
        ("detection_unknown", "machine", "unknown"),
    ],
)
def test_errors_by_configuration(fault: str, outcome: Outcome, answered_by: str) -> None:
    stage = Stage(ScriptedCustomer(ring=Ring(outcome)), faults=Faults(next_detections=(fault,)))
    call = stage.call(LONG, machine_detection="Enable")
    assert call.answered_by == stage.service.at("/voice")[0]["AnsweredBy"] == answered_by
    befell = {"human_taken_for_machine": "answer", "machine_taken_for_human": "machine"}.get(fault, outcome) == outcome
    assert [entry.what for entry in stage.network.log.of("fault")] == ([fault] if befell else [])


def test_the_result_may_get_lost() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring("machine")), faults=Faults(next_detections=("detection_lost",)))
    call = stage.call(LONG, **ASYNC)
    assert stage.service.at("/amd") == [] and call.answered_by == "machine_start"


def test_the_same_seed_listens_as_long() -> None:
    def play(seed: int) -> list[str]:
        stage = Stage(seed=seed)
        stage.service.answers["/voice"] = say("Hello")
        for _ in range(5):
            stage.create(machine_detection="Enable")
        stage.finish()
        return [form["MachineDetectionDuration"] for form in stage.service.at("/voice")]

    assert play(1) == play(1) != play(2)
    assert len(set(play(1))) > 1
