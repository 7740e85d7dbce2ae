"""Twilio: TaskRouter's events, and calls from the Calls list or from their progress events; JSON in any shape.

TaskRouter knows the worker: a reservation is a leg. Voice alone knows call legs: the one that was dialled to a worker's
client or SIP telephone is the talk, the one it was dialled from is the customer's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from intake.formats.json_parts import Misshapen, yes
from intake.formats.json_records import Record, names_in, records, text_in
from intake.formats.scratch import NO_FIRST_LEG, LargeSet, scratch
from intake.formats.twilio_shapes import ENDED, STREAM, TaskEvent, VoiceCall, read
from intake.formats.twilio_tasks import TABLES, TaskLegs
from intake.rows import Row

HEADER = (
    *("external_id", "leg", "recorded_at", "agent", "started_at", "ended_at", "answered", "talk_seconds"),
    *("queue", "phone", "internal"),
)
INTERNAL = "legs of calls that the centre began itself (kept as internal)"
NOT_NEEDED = "events that do not decide what a call was (not needed)"

_INSIDE = ("calls", "events")
# Any of these sets of names, at any depth, is Twilio's.
_KNOWN_BY = (
    frozenset({"EventType", "TaskSid"}),
    frozenset({"EventType", "WorkspaceSid"}),
    frozenset({"event_type", "event_data", "workspace_sid"}),
    frozenset({"CallSid", "CallStatus"}),
    frozenset({"sid", "parent_call_sid", "direction", "start_time"}),
)
# Telephones of workers: a call from one was not begun by a customer, a call to one names its worker.
_WORKERS = ("client:", "sip:")


class Twilio:
    """Rows go out in the order of the records that complete them."""

    name = "twilio"

    def recognises(self, head: bytes) -> bool:
        names = names_in(head)
        if "specversion" in names:
            return STREAM in text_in(head)
        return any(names >= known for known in _KNOWN_BY)

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield Row(1, HEADER)
        with scratch("texts (text TEXT PRIMARY KEY) WITHOUT ROWID", *TABLES) as connection:
            firsts, tasks = LargeSet(connection), TaskLegs(connection)
            for number, record in enumerate(records(path, Counter(), _INSIDE)):
                _note(number, record, firsts, tasks)
            for number, record in enumerate(records(path, notes, _INSIDE)):
                yield from _rows(number, record, firsts, tasks, notes)


def _first(sid: str, begun_by_us: bool) -> str:
    """What stands for a call that no other dialled, as far as the centre began it or not."""
    return f"{sid} {'ours' if begun_by_us else 'theirs'}"


def _note(number: int, record: Record, firsts: LargeSet, tasks: TaskLegs) -> None:
    try:
        found = None if record.fault else read(record.value)
    except Misshapen:
        return  # said when its row is given
    if isinstance(found, TaskEvent):
        tasks.add(number, found)
    elif isinstance(found, VoiceCall) and not found.parent:
        firsts.add(_first(found.sid, _is_ours(found)))


def _rows(number: int, record: Record, firsts: LargeSet, tasks: TaskLegs, notes: Counter[str]) -> Iterator[Row]:
    if record.fault:
        yield Row(record.line, (), record.fault)
        return
    try:
        found = read(record.value)
        legs = _legs(number, found, firsts, tasks)
    except Misshapen as wrong:
        yield Row(record.line, (), str(wrong))
        return
    notes[NOT_NEEDED] += not legs
    if legs and isinstance(found, VoiceCall):
        first = found.parent or found.sid
        notes[NO_FIRST_LEG] += all(_first(first, ours) not in firsts for ours in (True, False))
    for leg in legs:
        notes[INTERNAL] += leg[-1] == yes(True)
        yield Row(record.line, leg)


def _legs(number: int, found: TaskEvent | VoiceCall | None, firsts: LargeSet, tasks: TaskLegs) -> list[list[str]]:
    if isinstance(found, TaskEvent):
        return tasks.legs_told_by(number, found)
    if found is None or found.status not in ENDED:
        return []
    return [_call_leg(found, _first(found.parent or found.sid, True) in firsts)]


def _call_leg(call: VoiceCall, internal: bool) -> list[str]:
    if call.began is None:
        raise Misshapen("has no time")
    talked = call.direction == "outbound-dial" and call.status == "completed" and call.seconds > 0
    return [
        call.parent or call.sid,
        call.sid,
        _text(call.recorded_at),
        _worker(call.called) if talked else "",
        _text(call.began),
        _text(call.ended),
        yes(talked),
        str(call.seconds if talked else 0),
        "",
        "" if internal or call.parent else call.caller,
        yes(internal),
    ]


def _is_ours(call: VoiceCall) -> bool:
    """Whether a program or a worker began the call: by the REST API, out of a SIP trunk, or from a worker's phone."""
    return call.direction in ("outbound-api", "trunking-terminating") or call.caller.lower().startswith(_WORKERS)


def _worker(called: str) -> str:
    """Whose telephone was called; nobody's name for a number in the public network."""
    for scheme in _WORKERS:
        if called.lower().startswith(scheme):
            return called[len(scheme) :]
    return ""


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()
