"""The stand-in agrees with Twilio's OpenAPI document; skipped where the document is not there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from simulator.network import RestServer, ScriptedCustomer, Speak
from simulator.network.parameters import CREATE_PARAMETERS, UPDATE_PARAMETERS
from tests.simulator.contract import Contract, Exchange
from tests.simulator.stage import ACCOUNT, BASE, CALLER, CALLS, CUSTOMER, Door, Stage

RECORD = '<Response><Record action="/recorded"/></Response>'


@pytest.fixture
def door() -> Iterator[Door]:
    stage = Stage(ScriptedCustomer(recording=Speak("Fine.")))
    stage.service.answers |= {"/voice": RECORD, "/recorded": "<Response/>"}
    with RestServer(stage.network) as server:
        yield Door(stage, server)


def test_parameter_names_are_the_document_s(contract: Contract) -> None:
    def names(path: str) -> set[str]:
        content = contract.document["paths"][path]["post"]["requestBody"]["content"]
        return set(content["application/x-www-form-urlencoded"]["schema"]["properties"])

    base = "/2010-04-01/Accounts/{AccountSid}/Calls"
    assert names(base + ".json") == CREATE_PARAMETERS
    assert names(base + "/{Sid}.json") == UPDATE_PARAMETERS


def test_everything_asked_and_answered_agrees(door: Door, contract: Contract) -> None:
    """One of each request; the fixture looks at all of them, here and in every other test."""
    call = door.create(
        machine_detection="DetectMessageEnd",
        machine_detection_timeout=20,
        async_amd="true",
        async_amd_status_callback=f"{BASE}/status",
        timeout=30,
        fallback_url=f"{BASE}/fallback",
    )
    door.stage.finish()
    calls, recordings = door.client.calls, door.client.recordings
    (recording,) = recordings.list(page_size=1)
    assert calls(call.sid).fetch().price == "-0.0140" and len(calls.list(to=CUSTOMER, page_size=5)) == 1
    assert calls(call.sid).update(status="completed").status == "completed"
    assert len(calls(call.sid).recordings.list()) == 1 and recordings(recording.sid).fetch().duration == "3"
    assert recordings(recording.sid).delete()
    assert contract.checked == 8 and contract.complaints == []


def exchange(door: Door, contract: Contract) -> Exchange:
    """A call created as it should be, as it went over the wire."""
    seen: list[Exchange] = []
    check = contract.check
    contract.check = seen.append  # type: ignore[method-assign]
    door.create()
    contract.check = check  # type: ignore[method-assign]
    return seen[0]


def changed(answer: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(answer) | fields).encode()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"body": b"From=%2B12025550100&Url=https://survey.example.com/"}, "request"),
        ({"body": b"To=%2B12025550123&From=%2B12025550100"}, "one of Url, Twiml, ApplicationSid"),
        ({"body": b"To=%2B12025550123&From=%2B12025550100&Url=https://a.example.com&Timeout=soon"}, "request"),
        ({"body": b"To=%2B12025550123&From=%2B12025550100&Url=https://a.example.com&StatusCalback=x"}, "StatusCalback"),
        ({"query": "Sid=1"}, "no parameter Sid"),
        ({"headers": {}}, "request"),
        ({"path": CALLS.replace(ACCOUNT, "AC1")}, "request"),
        ({"path": "/2010-04-01/Accounts.json"}, "no such request"),
        ({"status": 200}, "answer"),
        ({"answer": b'{"sid": "CA1"}'}, "answer"),
        ({"answer": lambda answer: changed(answer, status="hung-up")}, "answer"),
        ({"answer": lambda answer: changed(answer, surprise=1)}, "['surprise']"),
        ({"status": 400}, "a refusal reads"),
    ],
)
def test_what_disagrees_is_complained_of(door: Door, contract: Contract, wrong: dict[str, Any], complaint: str) -> None:
    fine = exchange(door, contract)
    contract.check(fine)
    assert contract.complaints == []
    if callable(wrong.get("answer")):
        wrong = {"answer": wrong["answer"](fine.answer)}
    contract.check(replace(fine, **wrong))
    complaints, contract.complaints = contract.complaints, []
    assert complaints and any(complaint in one for one in complaints)


def test_what_the_document_forbids_is_refused(door: Door, contract: Contract) -> None:
    """The other way round: each breach of the document above gets no 2xx from the stand-in either."""
    fine = {"To": CUSTOMER, "From": CALLER, "Url": f"{BASE}/voice"}
    for form in (fine | {"To": ""}, fine | {"Url": ""}, fine | {"Timeout": "soon"}, fine | {"TimeLimit": "x"}):
        assert door.post(**form).status_code == 400
    assert contract.checked == 4
