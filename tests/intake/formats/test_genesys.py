"""Genesys Cloud conversations: one leg for each agent, none for whoever only listened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intake.formats.genesys import INTERNAL
from tests.intake.formats.reading import fault, json_lines, one, read_objects, read_text, without


def segment(kind: str, begin: str, end: str | None, **more: Any) -> dict[str, Any]:
    times = {"segmentStart": f"2026-03-02T{begin}Z"} | ({} if end is None else {"segmentEnd": f"2026-03-02T{end}Z"})
    return {"segmentType": kind, "conference": False, **times, **more}


def participant(purpose: str, *segments: dict[str, Any], session: Any = None, **more: Any) -> dict[str, Any]:
    session = {"mediaType": "voice", "direction": "inbound", "sessionId": "s", "segments": list(segments)} | (
        session or {}
    )
    return {"participantId": f"p-{purpose}", "purpose": purpose, "sessions": [session], **more}


CUSTOMER = participant(
    "customer",
    segment("interact", "14:00:00.100", "14:05:00.000"),
    session={"ani": "tel:+12125550101", "dnis": "tel:+12125550100"},
)
IVR = participant("ivr", segment("ivr", "14:00:00.100", "14:00:20.000"))
QUEUE = participant("acd", segment("interact", "14:00:20.000", "14:00:50.000", queueId="q-sales"))
AGENT = participant(
    "agent",
    segment("alert", "14:00:50.000", "14:00:55.000", queueId="q-sales"),
    segment("interact", "14:00:55.000", "14:02:55.000", queueId="q-sales"),
    segment("hold", "14:02:55.000", "14:03:15.500", queueId="q-sales"),
    segment("interact", "14:03:15.500", "14:04:00.000", queueId="q-sales"),
    segment("wrapup", "14:04:00.000", "14:05:30.000", queueId="q-sales"),
    userId="u-amy",
)
TALK: dict[str, Any] = {
    "conversationId": "v1",
    "conversationStart": "2026-03-02T14:00:00.077Z",
    "conversationEnd": "2026-03-02T14:05:30.000Z",
    "originatingDirection": "inbound",
    "participants": [CUSTOMER, IVR, QUEUE, AGENT],
}
FIELDS = {
    "external_id": "v1",
    "leg": "p-agent",
    "agent": "u-amy",
    "started_at": "2026-03-02T14:00:00.077Z",
    "ended_at": "2026-03-02T14:04:00+00:00",
    "answered": "yes",
    "talk_seconds": "185",
    "queue": "q-sales",
    "phone": "+12125550101",
    "internal": "no",
}


def having(*participants: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return TALK | {"participants": list(participants)} | changes


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"conversations": [TALK], "totalHits": 1}),
        json.dumps({"aggregations": [{"a": 1}], "conversations": [TALK]}, indent=2),
        json.dumps({"conversations": [TALK], "cursor": "abc", "dataAvailabilityDate": "2026-03-02T15:00:00Z"}),
        json.dumps([TALK]),
        json.dumps(TALK, indent=2),
        json_lines([TALK]),
        json_lines([{"conversations": [TALK]}, {"conversations": []}]),
        json.dumps({"conversations": [TALK]}, indent=2) + json.dumps({"conversations": []}, indent=2),
    ],
)
def test_a_page_a_job_and_a_conversation_alone(tmp_path: Path, text: str) -> None:
    found = read_text(tmp_path, text)
    assert (found.rows, found.faults, found.notes) == ([FIELDS], [], {})


def test_each_agent_is_a_leg(tmp_path: Path) -> None:
    second = AGENT | {"participantId": "p2", "userId": "u-bob"}
    second |= {"sessions": [AGENT["sessions"][0] | {"segments": [segment("interact", "14:04:00.000", "14:05:00.000")]}]}
    found = read_objects(tmp_path, [having(CUSTOMER, AGENT, second)])
    assert [(row["leg"], row["agent"], row["ended_at"][11:19], row["talk_seconds"]) for row in found.rows] == [
        ("p-agent", "u-amy", "14:04:00", "185"),
        ("p2", "u-bob", "14:05:00", "60"),
    ]
    assert list(found.calls) == ["v1"]


def test_a_conversation_that_reached_no_agent_is_one_unanswered_row(tmp_path: Path) -> None:
    row = one(tmp_path, having(CUSTOMER, IVR, QUEUE))
    assert row == FIELDS | {
        "leg": "",
        "agent": "",
        "answered": "no",
        "talk_seconds": "0",
        "ended_at": "2026-03-02T14:05:30.000Z",
        "queue": "",
    }


def test_an_agent_who_did_not_pick_up_is_an_unanswered_leg(tmp_path: Path) -> None:
    row = one(
        tmp_path, having(CUSTOMER, participant("agent", segment("alert", "14:01:00", "14:01:08"), userId="u-amy"))
    )
    assert (row["leg"], row["agent"], row["answered"], row["talk_seconds"]) == ("p-agent", "", "no", "0")


@pytest.mark.parametrize("member", ["monitoredParticipantId", "coachedParticipantId", "bargedParticipantId"])
def test_whoever_listens_to_another_is_no_handling_agent(tmp_path: Path, member: str) -> None:
    session = AGENT["sessions"][0] | {member: "p-agent"}
    row = one(tmp_path, having(CUSTOMER, AGENT | {"sessions": [session]}))
    assert (row["agent"], row["answered"]) == ("", "no")


def test_a_user_who_was_called_directly_is_an_agent(tmp_path: Path) -> None:
    assert one(tmp_path, having(CUSTOMER, AGENT | {"purpose": "user"}))["agent"] == "u-amy"


def test_an_agent_without_an_id_goes_by_name(tmp_path: Path) -> None:
    assert one(tmp_path, having(CUSTOMER, without(AGENT, "userId") | {"participantName": "Amy"}))["agent"] == "Amy"
    assert fault(tmp_path, having(CUSTOMER, without(AGENT, "userId"))) == "has no 'participantName'"


def test_a_segment_without_an_end_is_left_out(tmp_path: Path) -> None:
    open_one = participant("agent", segment("interact", "14:01:00", None), userId="u-amy")
    assert one(tmp_path, having(CUSTOMER, open_one))["answered"] == "no"


@pytest.mark.parametrize(
    ("ani", "phone"),
    [
        ("tel:+12125550101", "+12125550101"),
        ("+12125550101", "+12125550101"),
        ("sip:+12125550101@trunk.example.com", "+12125550101"),
        ("sip:+12125550101;tgrp=1@localhost", "+12125550101"),
        (None, ""),
    ],
)
def test_the_customers_number(tmp_path: Path, ani: str | None, phone: str) -> None:
    session = CUSTOMER["sessions"][0] | {"ani": ani}
    assert one(tmp_path, having(CUSTOMER | {"sessions": [session]}, AGENT))["phone"] == phone


def test_a_customer_who_was_called_back_is_the_called_number(tmp_path: Path) -> None:
    back = {"mediaType": "voice", "direction": "outbound", "ani": "tel:+12125550100", "dnis": "tel:+12125550101"}
    asked = {"mediaType": "callback", "direction": "inbound"}
    row = one(tmp_path, having(CUSTOMER | {"sessions": [asked, back]}, AGENT))
    assert (row["phone"], row["internal"], row["agent"]) == ("+12125550101", "no", "u-amy")


@pytest.mark.parametrize(
    "given",
    [
        having(CUSTOMER, AGENT, originatingDirection="outbound"),
        having(
            CUSTOMER | {"sessions": [CUSTOMER["sessions"][0] | {"direction": "outbound"}]},
            AGENT,
            originatingDirection=None,
        ),
        having(AGENT),
    ],
)
def test_calls_to_the_outside_and_inside_are_internal(tmp_path: Path, given: dict[str, Any]) -> None:
    found = read_objects(tmp_path, [given])
    assert [(row["internal"], row["phone"], row["agent"]) for row in found.rows] == [("yes", "", "u-amy")]
    assert found.notes == {INTERNAL: 1}


@pytest.mark.parametrize("media", ["chat", "email", "message"])
def test_other_media_are_no_telephone_calls(tmp_path: Path, media: str) -> None:
    people = [one | {"sessions": [one["sessions"][0] | {"mediaType": media}]} for one in (CUSTOMER, AGENT)]
    assert fault(tmp_path, having(*people)) == f"is no telephone call ('{media}')"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (without(TALK, "conversationId") | {"conversationId": None}, "has no 'conversationId'"),
        (TALK | {"conversationStart": ""}, "has no 'conversationStart'"),
        (without(TALK, "conversationEnd"), "has not ended yet (no conversationEnd); import it again when it has"),
        (TALK | {"participants": {}}, "'participants' is not a list of objects"),
        (TALK | {"participants": ["x"]}, "'participants' is not a list of objects"),
        (TALK | {"participants": None}, "is no telephone call (no sessions)"),
        (having(CUSTOMER, AGENT | {"purpose": 7.5}), "is no telephone call"),
        (having(CUSTOMER, AGENT | {"purpose": ["agent"]}), "'purpose' is not a text"),
        (having(CUSTOMER, AGENT | {"sessions": "none"}), "'sessions' is not a list of objects"),
        (having(CUSTOMER, AGENT | {"sessions": [{"mediaType": "voice", "segments": [1]}]}), "is not a list of objects"),
        (
            having(CUSTOMER, participant("agent", {"segmentEnd": "x", "segmentStart": "y"})),
            "'segmentStart' is not a time",
        ),
        (having(CUSTOMER, participant("agent", {"segmentEnd": "2026-03-02T14:00:00Z"})), "has no 'segmentStart'"),
        (having(CUSTOMER, without(AGENT, "participantId")), "has no 'participantId'"),
        (TALK | {"originatingDirection": {}}, "'originatingDirection' is not a text"),
    ],
)
def test_a_conversation_of_another_shape_is_rejected(tmp_path: Path, given: dict[str, Any], why: str) -> None:
    if why == "is no telephone call":  # a purpose nobody knows is nobody's
        assert one(tmp_path, given)["answered"] == "no"
        return
    assert why in fault(tmp_path, given, "genesys")
    found = read_objects(tmp_path, [TALK, given, TALK], "genesys")
    assert len(found.rows) == 2 and [line for line, _ in found.faults] == [2]


def test_times_without_an_offset_are_utc_and_backward_ones_are_nothing(tmp_path: Path) -> None:
    backward = participant("agent", segment("interact", "14:02:00", "14:01:00"), userId="u-amy")
    row = one(tmp_path, having(CUSTOMER, backward))
    assert (row["answered"], row["talk_seconds"], row["ended_at"]) == ("yes", "0", "2026-03-02T14:02:00+00:00")
