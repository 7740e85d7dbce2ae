"""What Twilio says about tasks and calls, in each of the shapes in which it says it.

TaskRouter's events come from Event Streams (CloudEvents), as webhooks (EventType) and from its REST API (event_type);
calls as the Calls resource, and as webhooks or Event Streams of a call's progress. What the members mean: Twilio's
documentation, "TaskRouter Events reference", "Event types: Reservation, Task, Status Callback", "Call resource".
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from intake.formats.json_parts import Misshapen, part, required, text, whole
from intake.rows import shown

STREAM = "com.twilio."
# How a call may end; any other status is one it passes through.
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

_EPOCH = re.compile(r"\d{10}(?:\d{3})?")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class TaskEvent(NamedTuple):
    """One event of a task or of a reservation of it (`reservation` is empty for the former)."""

    kind: str
    at: datetime
    task: str
    reservation: str
    worker: str
    queue: str
    channel: str
    created: datetime | None
    call: str
    phone: str
    outward: bool


class VoiceCall(NamedTuple):
    """One call leg that has ended, or not yet; `parent` is the leg that dialled it."""

    sid: str
    parent: str
    direction: str
    status: str
    caller: str
    called: str
    began: datetime | None
    ended: datetime | None
    seconds: int
    recorded_at: datetime | None


def read(record: dict[str, Any]) -> TaskEvent | VoiceCall | None:
    """What a record says; None for an event that is of something else. Raises Misshapen for what cannot be read."""
    if "specversion" in record:
        return _of_stream(record)
    if "EventType" in record:
        said = {_snake(name): value for name, value in record.items()}
        return _task_event(text(record, "EventType"), said, _first(record, "TimestampMs", "Timestamp"))
    if "event_type" in record:
        return _task_event(
            text(record, "event_type"), part(record, "event_data"), _first(record, "event_date_ms", "event_date")
        )
    if "CallSid" in record:
        return _progress(record)
    if "sid" in record and "direction" in record:
        return _call(record)
    raise Misshapen("is neither an event of TaskRouter nor a call")


def _of_stream(record: dict[str, Any]) -> TaskEvent | VoiceCall | None:
    kind, data = text(record, "type"), part(record, "data")
    if kind.startswith(f"{STREAM}taskrouter."):
        payload = part(data, "payload")
        return _task_event(kind.removeprefix(f"{STREAM}taskrouter."), payload, text(payload, "timestamp"))
    if ".status-callback.call." in kind:
        return _progress(part(part(data, "request"), "parameters"))
    return None


def _task_event(kind: str, said: dict[str, Any], at: str) -> TaskEvent | None:
    if not kind.startswith(("task.", "reservation.")):
        return None
    attributes = _attributes(said.get("task_attributes"))
    direction = text(attributes, "direction").lower()
    created = text(said, "task_date_created")
    return TaskEvent(
        kind,
        moment(at, "timestamp"),
        required(said, "task_sid"),
        required(said, "reservation_sid") if kind.startswith("reservation.") else "",
        text(said, "worker_name"),
        text(said, "task_queue_name"),
        text(said, "task_channel_unique_name").lower(),
        moment(created, "task_date_created") if created else None,
        text(attributes, "call_sid"),
        text(attributes, "from") or text(attributes, "caller"),
        direction.startswith("outbound"),
    )


def _progress(said: dict[str, Any]) -> VoiceCall:
    """A call as its progress is told: the time told is that of the event, which for an ended call is its end."""
    at = text(said, "Timestamp")
    ended, seconds = moment(at, "Timestamp") if at else None, whole(said, "CallDuration")
    return VoiceCall(
        required(said, "CallSid"),
        text(said, "ParentCallSid"),
        text(said, "Direction").lower(),
        required(said, "CallStatus").lower(),
        text(said, "From"),
        text(said, "To"),
        _before(ended, seconds) if ended else None,
        ended,
        seconds,
        None,
    )


def _call(said: dict[str, Any]) -> VoiceCall:
    began, ended = _first(said, "start_time", "date_created"), text(said, "end_time")
    recorded_at = text(said, "date_updated")
    return VoiceCall(
        required(said, "sid"),
        text(said, "parent_call_sid"),
        text(said, "direction").lower(),
        required(said, "status").lower(),
        text(said, "from"),
        text(said, "to"),
        moment(began, "start_time") if began else None,
        moment(ended, "end_time") if ended else None,
        whole(said, "duration"),
        moment(recorded_at, "date_updated") if recorded_at else None,
    )


def moment(found: str, name: str) -> datetime:
    """A time as Twilio writes it: ISO 8601, RFC 2822, or since 1970 in seconds or milliseconds. Raises Misshapen."""
    try:
        if _EPOCH.fullmatch(found):
            return datetime.fromtimestamp(int(found) / (1 if len(found) == 10 else 1000), UTC)
        read = datetime.fromisoformat(found) if found[:4].isdigit() else parsedate_to_datetime(found)
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):  # the last two by way of strange RFC 2822 dates
        raise Misshapen(f"{shown(name)} is not a time") from None


def _before(ended: datetime, seconds: int) -> datetime:
    try:
        return ended - timedelta(seconds=seconds)
    except OverflowError:
        raise Misshapen("begins before there were telephones") from None


def _attributes(found: object) -> dict[str, Any]:
    """A task's attributes: an object, or the JSON text of one; empty where they are neither."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return {}
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _first(said: dict[str, Any], *names: str) -> str:
    return next((found for name in names if (found := text(said, name))), "")


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()
