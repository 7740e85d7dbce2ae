"""Amazon Connect's contact records: every contact a leg of the interaction it began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intake.formats.amazon_connect import INTERNAL
from tests.intake.formats.reading import (
    SAMPLES,
    fault,
    json_lines,
    needs_samples,
    one,
    read,
    read_objects,
    read_text,
    without,
)

SAMPLE = SAMPLES / "amazon_connect" / "amazon_connect_ctr_masked.json"

CONTACT: dict[str, Any] = {
    "ContactId": "c1",
    "InitialContactId": None,
    "PreviousContactId": None,
    "NextContactId": None,
    "Channel": "VOICE",
    "InitiationMethod": "INBOUND",
    "InitiationTimestamp": "2026-03-02T14:00:00Z",
    "DisconnectTimestamp": "2026-03-02T14:03:00Z",
    "LastUpdateTimestamp": "2026-03-02T14:05:00Z",
    "CustomerEndpoint": {"Type": "TELEPHONE_NUMBER", "Address": "+12125550101"},
    "Queue": {"Name": "Sales", "Duration": 20},
    "Agent": {
        "Username": "amy",
        "ConnectedToAgentTimestamp": "2026-03-02T14:00:30Z",
        "AgentInteractionDuration": 100,
        "CustomerHoldDuration": 40,
        "AfterContactWorkStartTimestamp": "2026-03-02T14:02:50Z",
    },
}
FIELDS = {
    "external_id": "c1",
    "leg": "c1",
    "recorded_at": "2026-03-02T14:05:00Z",
    "agent": "amy",
    "started_at": "2026-03-02T14:00:00Z",
    "ended_at": "2026-03-02T14:02:50Z",
    "answered": "yes",
    "talk_seconds": "140",
    "queue": "Sales",
    "phone": "+12125550101",
    "internal": "no",
}


@needs_samples
def test_the_real_record() -> None:
    found = read(SAMPLE)
    assert not found.faults and not found.notes
    (row,) = found.rows
    assert row == {
        "external_id": "ee0a8fcc-9cf8-4b9c-9fcf-e86ebe989486",
        "leg": "ee0a8fcc-9cf8-4b9c-9fcf-e86ebe989486",
        "recorded_at": "2020-03-31T16:21:44Z",
        "agent": "agent1",
        "started_at": "2020-03-31T16:20:01Z",
        "ended_at": "2020-03-31T16:20:30Z",
        "answered": "yes",
        "talk_seconds": "14",
        "queue": "Chinese CSR",
        "phone": "+12025550100",
        "internal": "no",
    }


SECOND = CONTACT | {"ContactId": "c2"}


@pytest.mark.parametrize(
    ("text", "contacts"),
    [
        (json.dumps(CONTACT), ["c1"]),
        (json.dumps(CONTACT, indent=1), ["c1"]),
        (json.dumps([CONTACT, SECOND]), ["c1", "c2"]),
        (json.dumps(CONTACT) + json.dumps(SECOND), ["c1", "c2"]),
        (json_lines([CONTACT, SECOND]), ["c1", "c2"]),
    ],
)
def test_every_way_in_which_streams_and_exports_write_them(tmp_path: Path, text: str, contacts: list[str]) -> None:
    found = read_text(tmp_path, text)
    assert found.rows[0] == FIELDS and not found.faults
    assert [row["leg"] for row in found.rows] == contacts


def test_an_abandoned_contact_reached_no_agent(tmp_path: Path) -> None:
    row = one(tmp_path, CONTACT | {"Agent": None})
    assert row == FIELDS | {"agent": "", "answered": "no", "talk_seconds": "0", "ended_at": "2026-03-02T14:03:00Z"}
    assert one(tmp_path, without(CONTACT, "Agent")) == row


def test_what_may_be_missing(tmp_path: Path) -> None:
    row = one(tmp_path, without(CONTACT, "Queue", "CustomerEndpoint", "LastUpdateTimestamp", "Channel"))
    assert row == FIELDS | {"queue": "", "phone": "", "recorded_at": ""}
    agent = {"Username": "amy"}
    row = one(tmp_path, CONTACT | {"Agent": agent})
    assert row == FIELDS | {"talk_seconds": "0", "ended_at": "2026-03-02T14:03:00Z"}


def test_each_version_is_a_row_with_its_stamp(tmp_path: Path) -> None:
    later = CONTACT | {"LastUpdateTimestamp": "2026-03-02T15:00:00Z"}
    found = read_objects(tmp_path, [later, CONTACT])
    assert [row["recorded_at"] for row in found.rows] == ["2026-03-02T15:00:00Z", "2026-03-02T14:05:00Z"]
    assert {row["leg"] for row in found.rows} == {"c1"}


def test_the_contacts_of_a_transfer_are_legs_of_the_first(tmp_path: Path) -> None:
    second = CONTACT | {
        "ContactId": "c2",
        "InitialContactId": "c1",
        "PreviousContactId": "c1",
        "InitiationMethod": "TRANSFER",
        "Agent": {"Username": "bob", "AgentInteractionDuration": 60},
    }
    third = second | {"ContactId": "c3", "PreviousContactId": "c2", "InitiationMethod": "QUEUE_TRANSFER", "Agent": None}
    found = read_objects(tmp_path, [third, second, CONTACT | {"NextContactId": "c2"}])
    assert list(found.calls) == ["c1"]
    assert [(row["leg"], row["agent"], row["answered"]) for row in found.rows] == [
        ("c3", "", "no"),
        ("c2", "bob", "yes"),
        ("c1", "amy", "yes"),
    ]


@pytest.mark.parametrize(
    ("method", "internal"),
    [
        ("INBOUND", False),
        ("CALLBACK", False),
        ("WEBRTC_API", False),
        ("OUTBOUND", True),
        ("API", True),
        ("outbound", True),
    ],
)
def test_contacts_that_the_centre_began_are_internal(tmp_path: Path, method: str, internal: bool) -> None:
    row = one(tmp_path, CONTACT | {"InitiationMethod": method})
    assert (row["internal"], row["phone"]) == (("yes", "") if internal else ("no", "+12125550101"))
    assert (row["agent"], row["answered"]) == ("amy", "yes")


def test_what_follows_an_outbound_contact_is_internal_too(tmp_path: Path) -> None:
    first = CONTACT | {"InitiationMethod": "OUTBOUND"}
    second = CONTACT | {"ContactId": "c2", "InitialContactId": "c1", "InitiationMethod": "TRANSFER"}
    for objects in ([first, second], [second, first]):
        found = read_objects(tmp_path, objects)
        assert {(row["internal"], row["phone"]) for row in found.rows} == {("yes", "")}
        assert found.notes == {INTERNAL: 2}


@pytest.mark.parametrize("method", ["MONITOR", "EXTERNAL_OUTBOUND", "DISCONNECT"])
def test_legs_in_which_no_agent_talks_with_the_customer(tmp_path: Path, method: str) -> None:
    row = one(tmp_path, CONTACT | {"ContactId": "c9", "InitialContactId": "c1", "InitiationMethod": method})
    assert (row["answered"], row["agent"], row["talk_seconds"], row["phone"]) == ("no", "", "0", "")
    assert (row["internal"], row["external_id"]) == ("no", "c1")


def test_an_account_in_an_app_is_no_phone(tmp_path: Path) -> None:
    endpoint = {"Type": "VOIP", "Address": "somebody"}
    assert one(tmp_path, CONTACT | {"CustomerEndpoint": endpoint})["phone"] == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Channel": "CHAT"}, "is no telephone call (channel 'CHAT')"),
        ({"Channel": "task"}, "is no telephone call (channel 'TASK')"),
        ({"ContactId": None}, "has no 'ContactId'"),
        ({"ContactId": ""}, "has no 'ContactId'"),
        ({"ContactId": {}}, "'ContactId' is not a text"),
        ({"InitiationTimestamp": None}, "has no 'InitiationTimestamp'"),
        ({"Agent": "amy"}, "'Agent' is not an object"),
        ({"Agent": {"Username": None, "AgentInteractionDuration": 1}}, "has no 'Username'"),
        ({"Agent": {"Username": ["amy"]}}, "'Username' is not a text"),
        ({"Agent": {"Username": "amy", "AgentInteractionDuration": "long"}}, "is not a whole number"),
        ({"Agent": {"Username": "amy", "CustomerHoldDuration": -1}}, "is not a whole number"),
        ({"Agent": {"Username": "amy", "CustomerHoldDuration": 1e300}}, "is not a whole number"),
        ({"Queue": ["Sales"]}, "'Queue' is not an object"),
        ({"CustomerEndpoint": 7}, "'CustomerEndpoint' is not an object"),
        ({"InitialContactId": True}, "'InitialContactId' is not a text"),
    ],
)
def test_a_record_of_another_shape_is_rejected(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    assert fault(tmp_path, CONTACT | changes).endswith(why)
    found = read_objects(tmp_path, [CONTACT, CONTACT | changes, CONTACT | {"ContactId": "c2"}])
    assert [row["leg"] for row in found.rows] == ["c1", "c2"] and [line for line, _ in found.faults] == [2]


def test_a_method_of_another_shape_is_rejected_or_no_harm(tmp_path: Path) -> None:
    assert one(tmp_path, CONTACT | {"InitiationMethod": None}) == FIELDS
    assert one(tmp_path, CONTACT | {"InitiationMethod": ["OUTBOUND"]}) == FIELDS
