"""Twilio: TaskRouter's events put together by reservation, and calls with the legs they dialled."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats.twilio_events import INTERNAL, NOT_NEEDED
from tests.intake.formats.reading import Fields, fault, json_lines, one, read_objects, read_text, without

ATTRIBUTES = {"call_sid": "CA1", "from": "+12125550101", "to": "+12125550100", "direction": "inbound"}


def payload(kind: str, at: str, reservation: str | None = "WR1", **more: Any) -> dict[str, Any]:
    """An event as TaskRouter knows it, at a minute and second after 14 o'clock."""
    told: dict[str, Any] = {
        "eventtype": kind,
        "timestamp": f"2026-03-02T14:{at}.000Z",
        "task_sid": "WT1",
        "task_attributes": json.dumps(ATTRIBUTES),
        "task_date_created": "2026-03-02T14:00:00.000Z",
        "task_channel_unique_name": "voice",
        "task_queue_name": "Sales",
    }
    if reservation:
        told |= {"reservation_sid": reservation, "worker_name": "amy"}
    return told | more


def streamed(told: dict[str, Any]) -> dict[str, Any]:
    """The event as Event Streams send it."""
    return {
        "specversion": "1.0",
        "type": f"com.twilio.taskrouter.{told['eventtype']}",
        "id": "NO1",
        "dataschema": "https://events-schemas.twilio.com/TaskRouter.WDSEvent/4",
        "data": {"name": told["eventtype"], "payload": told},
    }


def webhook(told: dict[str, Any]) -> dict[str, Any]:
    """The event as the workspace's callback gets it: names in capitals, times since 1970."""
    names = {name: "".join(word.capitalize() for word in name.split("_")) for name in told}
    body = {names[name]: value for name, value in told.items() if name != "eventtype"}
    minutes, seconds = told["timestamp"][14:16], told["timestamp"][17:19]
    at = 1_772_460_000 + int(minutes) * 60 + int(seconds)
    return body | {"EventType": told["eventtype"], "Timestamp": str(at), "WorkspaceSid": "WS1"}


def listed(told: dict[str, Any]) -> dict[str, Any]:
    """The event as the REST API lists it."""
    return {
        "event_type": told["eventtype"],
        "event_date": told["timestamp"],
        "event_data": without(told, "timestamp", "eventtype"),
        "workspace_sid": "WS1",
        "sid": "EV1",
    }


TASK = [
    payload("task.created", "00:00", None),
    payload("reservation.created", "00:20"),
    payload("reservation.accepted", "00:30"),
    payload("task.updated", "01:00", None),
    payload("reservation.wrapup", "02:30"),
    payload("task.wrapup", "02:30", None),
    payload("reservation.completed", "03:00"),
    payload("task.completed", "03:00", None),
]
FIELDS = {
    "external_id": "CA1",
    "leg": "WR1",
    "recorded_at": "2026-03-02T14:03:00.000+00:00",
    "agent": "amy",
    "started_at": "2026-03-02T14:00:00.000+00:00",
    "ended_at": "2026-03-02T14:02:30.000+00:00",
    "answered": "yes",
    "talk_seconds": "120",
    "queue": "Sales",
    "phone": "+12125550101",
    "internal": "no",
}


def legs(folder: Path, *told: dict[str, Any]) -> list[Fields]:
    found = read_objects(folder, map(streamed, told))
    assert not found.faults, found.faults
    return found.rows


# --- TaskRouter ---


@pytest.mark.parametrize("shape", [streamed, webhook, listed])
@pytest.mark.parametrize("order", range(6))
def test_a_reservation_is_a_leg_however_its_events_come(tmp_path: Path, shape: Any, order: int) -> None:
    events = [shape(told) for told in [*TASK, TASK[2], TASK[6]]]
    random.Random(order).shuffle(events)
    found = read_objects(tmp_path, events)
    assert (found.rows, found.faults) == ([FIELDS], [])
    assert found.notes == {NOT_NEEDED: 9}


def test_a_page_of_the_rest_api_and_a_batch_of_the_stream(tmp_path: Path) -> None:
    assert read_text(tmp_path, json.dumps({"events": [listed(told) for told in TASK], "meta": {}})).rows == [FIELDS]
    assert read_text(tmp_path, json.dumps([streamed(told) for told in TASK], indent=1)).rows == [FIELDS]


def test_without_a_wrapup_the_reservation_ends_the_talk(tmp_path: Path) -> None:
    (row,) = legs(tmp_path, TASK[2], TASK[6])
    assert (row["ended_at"], row["talk_seconds"]) == ("2026-03-02T14:03:00.000+00:00", "150")


def test_without_either_the_task_does(tmp_path: Path) -> None:
    (row,) = legs(tmp_path, TASK[2], TASK[5])
    assert row["talk_seconds"] == "120"


def test_a_transfer_is_a_second_reservation(tmp_path: Path) -> None:
    second = [
        payload("reservation.accepted", "02:30", "WR2", worker_name="bob"),
        payload("reservation.wrapup", "04:00", "WR2", worker_name="bob"),
    ]
    found = legs(tmp_path, *TASK, *second)
    assert sorted((row["leg"], row["agent"], row["talk_seconds"]) for row in found) == [
        ("WR1", "amy", "120"),
        ("WR2", "bob", "90"),
    ]
    assert {row["external_id"] for row in found} == {"CA1"}


def test_what_changes_is_as_the_latest_event_has_it(tmp_path: Path) -> None:
    for seed in range(8):
        queues = [f"{seed}-{number}" for number in range(len(TASK))]
        events = [told | {"task_queue_name": queue} for told, queue in zip(TASK, queues, strict=True)]
        latest = events[6]["task_queue_name"]
        random.Random(seed).shuffle(events)
        assert [row["queue"] for row in legs(tmp_path, *events)] == [latest]


def test_a_reservation_nobody_accepted_is_no_leg(tmp_path: Path) -> None:
    missed = [payload("reservation.created", "00:05", "WR0"), payload("reservation.timeout", "00:15", "WR0")]
    assert legs(tmp_path, *missed, *TASK) == [FIELDS]


def test_a_task_nobody_accepted_is_an_unanswered_call(tmp_path: Path) -> None:
    events = [TASK[0], TASK[1], payload("reservation.canceled", "00:40"), payload("task.canceled", "00:40", None)]
    for order in range(4):
        random.Random(order).shuffle(events)
        assert legs(tmp_path, *events) == [
            FIELDS
            | {"leg": "WT1", "agent": "", "answered": "no", "talk_seconds": "0"}
            | dict.fromkeys(("ended_at", "recorded_at"), "2026-03-02T14:00:40.000+00:00")
        ]


def test_without_a_call_the_task_is_the_call(tmp_path: Path) -> None:
    for attributes in ("{}", "no JSON", None, "[" * 100_000, '["x"]', '{"call_sid": 7}'):
        told = [one | {"task_attributes": attributes} for one in TASK]
        (row,) = legs(tmp_path, *told)
        assert (row["external_id"], row["phone"]) == ("WT1", "")


def test_one_event_that_names_the_call_is_enough(tmp_path: Path) -> None:
    told = [one | {"task_attributes": "{}"} for one in TASK[1:]]
    assert {row["external_id"] for row in legs(tmp_path, TASK[0], *told)} == {"CA1"}


def test_a_task_that_calls_out_is_internal(tmp_path: Path) -> None:
    outward = json.dumps({"direction": "outbound", "from": "+12125550101"})
    found = read_objects(tmp_path, [streamed(one | {"task_attributes": outward}) for one in TASK])
    assert [(row["internal"], row["phone"]) for row in found.rows] == [("yes", "")]
    assert found.notes[INTERNAL] == 1


def test_other_channels_are_no_telephone_calls(tmp_path: Path) -> None:
    told = [one | {"task_channel_unique_name": "chat", "task_attributes": "{}"} for one in TASK]
    found = read_objects(tmp_path, map(streamed, told))
    assert [why for _, why in found.faults] == ["is no telephone call (channel 'chat')"] and not found.rows


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([TASK[0], TASK[2]], "has not ended in this file (hand it in together with the next)"),
        ([TASK[0]], "has not ended in this file (hand it in together with the next)"),
        ([TASK[4]], "no reservation.accepted event in this file (is it in an earlier one? Hand them in together)"),
    ],
)
def test_a_course_that_is_not_all_there_is_rejected(tmp_path: Path, told: list[dict[str, Any]], why: str) -> None:
    found = read_objects(tmp_path, map(streamed, told))
    assert [fault for _, fault in found.faults] == [why] and not found.rows


def test_events_of_other_things_are_only_counted(tmp_path: Path) -> None:
    others = [
        {"specversion": "1.0", "type": "com.twilio.messaging.message.sent", "data": {}},
        streamed(payload("worker.activity.update", "00:10", None)),
        webhook(payload("task-queue.entered", "00:10", None)),
    ]
    found = read_objects(tmp_path, [*others, *map(streamed, TASK)])
    assert found.rows == [FIELDS] and not found.faults and found.notes == {NOT_NEEDED: 10}


# --- calls ---

PARENT: dict[str, Any] = {
    "sid": "CA1",
    "parent_call_sid": None,
    "direction": "inbound",
    "status": "completed",
    "from": "+12125550101",
    "to": "+12125550100",
    "start_time": "Mon, 02 Mar 2026 14:00:00 +0000",
    "end_time": "Mon, 02 Mar 2026 14:03:00 +0000",
    "duration": "180",
    "date_created": "Mon, 02 Mar 2026 14:00:00 +0000",
    "date_updated": "Mon, 02 Mar 2026 14:03:01 +0000",
}
CHILD = PARENT | {
    "sid": "CA2",
    "parent_call_sid": "CA1",
    "direction": "outbound-dial",
    "to": "client:amy",
    "start_time": "Mon, 02 Mar 2026 14:00:30 +0000",
    "duration": "150",
}
PARENT_FIELDS = {
    "external_id": "CA1",
    "leg": "CA1",
    "recorded_at": "2026-03-02T14:03:01+00:00",
    "agent": "",
    "started_at": "2026-03-02T14:00:00+00:00",
    "ended_at": "2026-03-02T14:03:00+00:00",
    "answered": "no",
    "talk_seconds": "0",
    "queue": "",
    "phone": "+12125550101",
    "internal": "no",
}
CHILD_FIELDS = PARENT_FIELDS | {
    "leg": "CA2",
    "agent": "amy",
    "started_at": "2026-03-02T14:00:30+00:00",
    "answered": "yes",
    "talk_seconds": "150",
    "phone": "",
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"calls": [PARENT, CHILD], "page": 0, "uri": "/2010-04-01/Accounts/AC1/Calls.json"}),
        json.dumps({"first_page_uri": "x", "calls": [PARENT, CHILD]}, indent=2),
        json_lines([{"calls": [PARENT]}, {"calls": [CHILD]}]),
        json_lines([PARENT, CHILD]),
        json.dumps([PARENT, CHILD]),
    ],
)
def test_the_dialled_leg_is_the_talk_and_the_other_the_customers(tmp_path: Path, text: str) -> None:
    found = read_text(tmp_path, text)
    assert (found.rows, found.faults, found.notes) == ([PARENT_FIELDS, CHILD_FIELDS], [], {})


def progress(call: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    """The call as its status callback tells it."""
    return {
        "CallSid": call["sid"],
        "ParentCallSid": call["parent_call_sid"],
        "CallStatus": status,
        "Direction": call["direction"],
        "From": call["from"],
        "To": call["to"],
        "CallDuration": call["duration"],
        "Timestamp": call["end_time"],
    }


def streamed_call(call: dict[str, Any]) -> dict[str, Any]:
    kind = "com.twilio.voice.status-callback.call.completed"
    return {"specversion": "1.0", "type": kind, "data": {"request": {"method": "POST", "parameters": progress(call)}}}


@pytest.mark.parametrize("shape", [progress, streamed_call])
def test_the_progress_of_calls_says_the_same(tmp_path: Path, shape: Any) -> None:
    found = read_objects(tmp_path, [shape(CHILD), shape(PARENT)])
    assert found.rows == [CHILD_FIELDS | {"recorded_at": ""}, PARENT_FIELDS | {"recorded_at": ""}]


@pytest.mark.parametrize("status", ["initiated", "queued", "ringing", "in-progress"])
def test_a_call_that_has_not_ended_is_only_counted(tmp_path: Path, status: str) -> None:
    found = read_objects(tmp_path, [progress(CHILD, status), PARENT, CHILD | {"status": status}])
    assert found.rows == [PARENT_FIELDS] and found.notes == {NOT_NEEDED: 2} and not found.faults


@pytest.mark.parametrize(
    ("changes", "answered", "agent"),
    [
        ({}, "yes", "amy"),
        ({"to": "sip:bob@example.sip.twilio.com"}, "yes", "bob@example.sip.twilio.com"),
        ({"to": "+12125550199"}, "yes", ""),
        ({"status": "no-answer", "duration": None, "end_time": None}, "no", ""),
        ({"status": "busy", "duration": "0"}, "no", ""),
        ({"duration": "0"}, "no", ""),
        ({"direction": "outbound-api"}, "no", ""),
    ],
)
def test_who_was_reached(tmp_path: Path, changes: dict[str, Any], answered: str, agent: str) -> None:
    row = one(tmp_path, CHILD | changes)
    assert (row["answered"], row["agent"]) == (answered, agent)
    assert row["talk_seconds"] == ("150" if answered == "yes" else "0")


@pytest.mark.parametrize(
    ("changes", "internal"),
    [
        ({}, False),
        ({"direction": "outbound-api"}, True),
        ({"from": "client:amy"}, True),
        ({"from": "sip:amy@example.com"}, True),
        ({"direction": "trunking-terminating"}, True),
        ({"direction": "trunking-originating"}, False),
    ],
)
def test_calls_begun_by_a_program_or_a_worker_are_internal(
    tmp_path: Path, changes: dict[str, Any], internal: bool
) -> None:
    for objects in ([PARENT | changes, CHILD], [CHILD, PARENT | changes]):
        found = read_objects(tmp_path, objects)
        assert {row["internal"] for row in found.rows} == {"yes" if internal else "no"}
        assert {row["phone"] for row in found.rows} == {"" if internal else "+12125550101", ""}


def test_a_call_canceled_while_it_waited_has_the_time_it_was_made(tmp_path: Path) -> None:
    row = one(tmp_path, PARENT | {"status": "canceled", "start_time": None, "end_time": None, "duration": None})
    assert (row["started_at"], row["ended_at"]) == ("2026-03-02T14:00:00+00:00", "")


# --- other shapes ---


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (streamed(TASK[2] | {"task_sid": None}), "has no 'task_sid'"),
        (streamed(TASK[2] | {"reservation_sid": ""}), "has no 'reservation_sid'"),
        (streamed(TASK[2] | {"timestamp": "soon"}), "'timestamp' is not a time"),
        (streamed(TASK[2] | {"timestamp": None}), "'timestamp' is not a time"),
        (streamed(TASK[2] | {"timestamp": "0001-01-01T00:00:00+14:00"}), "'timestamp' is not a time"),
        (streamed(TASK[2] | {"task_date_created": []}), "'task_date_created' is not a text"),
        (streamed(TASK[2]) | {"data": "x"}, "'data' is not an object"),
        (streamed(TASK[2]) | {"data": {"payload": []}}, "'payload' is not an object"),
        (streamed(TASK[2]) | {"type": 7.5, "data": []}, "'data' is not an object"),
        (webhook(TASK[2]) | {"EventType": {}}, "'EventType' is not a text"),
        (listed(TASK[2]) | {"event_data": 1}, "'event_data' is not an object"),
        (progress(CHILD) | {"CallSid": None}, "has no 'CallSid'"),
        (progress(CHILD) | {"CallDuration": "long"}, "'CallDuration' is not a whole number"),
        (progress(CHILD) | {"CallDuration": "999999999999"}, "begins before there were telephones"),
        (progress(CHILD) | {"Timestamp": ""}, "has no time"),
        (progress(CHILD) | {"Timestamp": "Mon, 99 Foo"}, "'Timestamp' is not a time"),
        (CHILD | {"sid": ""}, "has no 'sid'"),
        (CHILD | {"status": None}, "has no 'status'"),
        (CHILD | {"start_time": "Mon"}, "'start_time' is not a time"),
        (CHILD | {"from": {"number": 1}}, "'from' is not a text"),
        ({"calls": 7}, "is neither an event of TaskRouter nor a call"),
        ({"other": 1}, "is neither an event of TaskRouter nor a call"),
    ],
)
def test_a_record_of_another_shape_is_rejected(tmp_path: Path, given: dict[str, Any], why: str) -> None:
    assert fault(tmp_path, given, "twilio") == why
    found = read_objects(tmp_path, [PARENT, given, CHILD], "twilio")
    assert found.rows == [PARENT_FIELDS, CHILD_FIELDS] and [line for line, _ in found.faults] == [2]


# --- whatever the order ---

EVENTS = st.builds(
    lambda kind, second, reservation, task, attributes: payload(
        kind,
        f"00:{second:02}",
        reservation if kind.startswith("reservation") else None,
        task_sid=task,
        task_attributes=attributes,
    ),
    st.sampled_from(["task.created", "task.canceled", "task.completed"])
    | st.sampled_from(["reservation.created", "reservation.accepted", "reservation.wrapup", "reservation.completed"]),
    st.integers(0, 3),
    st.sampled_from(["WR1", "WR2"]),
    st.sampled_from(["WT1", "WT2"]),
    st.sampled_from(["{}", json.dumps(ATTRIBUTES)]),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(EVENTS, min_size=1, max_size=10), data=st.data())
def test_the_order_of_the_events_makes_no_difference(
    tmp_path: Path, told: list[dict[str, Any]], data: st.DataObject
) -> None:
    told = [
        one | {"reservation_sid": f"{one['task_sid']}-{one['reservation_sid']}"} if "reservation_sid" in one else one
        for one in told
    ]
    first = read_objects(tmp_path, map(streamed, told))
    other = read_objects(tmp_path, map(streamed, data.draw(st.permutations(told))))
    assert sorted(map(str, first.rows)) == sorted(map(str, other.rows))
    assert sorted(why for _, why in first.faults) == sorted(why for _, why in other.faults)
    assert first.notes == other.notes
