"""TaskRouter's events of one task put together: who accepted it, from when to when.

Events come in any order, some of them twice. A reservation that a worker accepted is a leg of the call; a task that
nobody accepted is an unanswered call. No event tells the beginning and the end of a reservation both, so a leg whose
events lie in two files cannot be had from either: it is said, and no call is made up of a half. A leg's stamp is the
latest event of its task, so that of files that overlap the one that goes on longest counts, in any order.
"""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime
from typing import Any

from intake.formats.json_parts import Misshapen, yes
from intake.formats.twilio_shapes import TaskEvent
from intake.rows import shown

TABLES = (
    "reservations (sid TEXT PRIMARY KEY, accepted TEXT, released TEXT, latest TEXT, record INTEGER) WITHOUT ROWID",
    "tasks (sid TEXT PRIMARY KEY, call TEXT, created TEXT, ended TEXT, latest TEXT, record INTEGER, accepted INTEGER,"
    " worked INTEGER, outward INTEGER) WITHOUT ROWID",
)
# The worker's part ends with the wrap-up; without one, with the reservation.
_RELEASES = frozenset({"reservation.wrapup", "reservation.completed"})
_ENDS = frozenset({"task.canceled", "task.wrapup", "task.completed"})
# Only a task that a worker accepted comes to these.
_WORKED = frozenset({*_RELEASES, "task.wrapup", "task.completed"})
_NOT_ACCEPTED = "no reservation.accepted event in this file (is it in an earlier one? Hand them in together)"
_TELEPHONE = frozenset({"", "voice", "default"})


class TaskLegs:
    """What all events of a file say about its tasks and reservations, outside memory and without anybody's number."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, number: int, event: TaskEvent) -> None:
        """Takes in the event of the file's record `number`."""
        at = _text(event.at)
        latest = (
            f"{at} {hashlib.sha256(repr(event).encode()).hexdigest()}"  # of several at once, any but always the same
        )
        accepted = event.kind == "reservation.accepted"
        self._merge(
            "tasks",
            event.task,
            {
                "call": event.call or None,
                "created": _text(event.created) if event.created else None,
                "ended": at if event.kind in _ENDS else None,
            },
            {"accepted": accepted, "worked": event.kind in _WORKED, "outward": event.outward},
            (latest, number),
        )
        if event.reservation:
            times = {"accepted": at if accepted else None, "released": at if event.kind in _RELEASES else None}
            self._merge("reservations", event.reservation, times, {}, (latest, number))

    def legs_told_by(self, number: int, event: TaskEvent) -> list[list[str]]:
        """The rows that go out with a record: with a reservation's latest event, else with a task's.

        Raises Misshapen where the events do not say enough.
        """
        task = self._row("tasks", event.task)
        reservation = self._row("reservations", event.reservation) if event.reservation else None
        if reservation is not None and reservation["record"] == number and _was_accepted(reservation):
            _check_channel(event, task)
            return [_leg(event, task, reservation)]
        if task["record"] == number and not task["accepted"]:
            _check_channel(event, task)
            return [_unanswered(event, task)]
        return []

    def _merge(
        self, table: str, sid: str, firsts: dict[str, str | None], flags: dict[str, bool], told: tuple[str, int]
    ) -> None:
        """Keeps the first of all times, a flag once it is set, and the record of the latest event."""
        before = self._find(table, sid)
        latest, record = told
        values: dict[str, Any] = {"sid": sid, "latest": latest, "record": record, **firsts, **flags}
        if before is not None:
            for name, value in firsts.items():
                values[name] = min((one for one in (before[name], value) if one is not None), default=None)
            for name, flag in flags.items():
                values[name] = bool(before[name]) or flag
            if before["latest"] > latest:
                values |= {"latest": before["latest"], "record": before["record"]}
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self._connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608

    def _row(self, table: str, sid: str) -> dict[str, Any]:
        found = self._find(table, sid)
        assert found is not None  # every event was taken in before the first row goes out
        return found

    def _find(self, table: str, sid: str) -> dict[str, Any] | None:
        cursor = self._connection.execute(f"SELECT * FROM {table} WHERE sid = ?", (sid,))  # noqa: S608
        found = cursor.fetchone()
        return None if found is None else dict(zip((column[0] for column in cursor.description), found, strict=True))


def _was_accepted(reservation: dict[str, Any]) -> bool:
    return reservation["accepted"] is not None or reservation["released"] is not None


def _leg(event: TaskEvent, task: dict[str, Any], reservation: dict[str, Any]) -> list[str]:
    begin, end = reservation["accepted"], reservation["released"] or task["ended"]
    if begin is None:
        raise Misshapen(_NOT_ACCEPTED)
    if end is None:
        raise Misshapen("has not ended in this file (hand it in together with the next)")
    talk = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    return [
        task["call"] or event.task,
        event.reservation,
        _stamp(task),
        event.worker,
        task["created"] or begin,
        max(begin, end),
        yes(True),
        str(max(0, round(talk.total_seconds()))),
        event.queue,
        "" if task["outward"] else event.phone,
        yes(bool(task["outward"])),
    ]


def _unanswered(event: TaskEvent, task: dict[str, Any]) -> list[str]:
    if task["worked"]:
        raise Misshapen(_NOT_ACCEPTED)
    if task["ended"] is None:
        raise Misshapen("has not ended in this file (hand it in together with the next)")
    return [
        task["call"] or event.task,
        event.task,
        _stamp(task),
        "",
        task["created"] or task["ended"],
        task["ended"],
        yes(False),
        "0",
        event.queue,
        "" if task["outward"] else event.phone,
        yes(bool(task["outward"])),
    ]


def _check_channel(event: TaskEvent, task: dict[str, Any]) -> None:
    if event.channel not in _TELEPHONE and not task["call"]:
        raise Misshapen(f"is no telephone call (channel {shown(event.channel, 20)})")


def _stamp(task: dict[str, Any]) -> str:
    """When the latest event of the task was."""
    return str(task["latest"]).partition(" ")[0]


def _text(moment: datetime) -> str:
    """A moment as a text that sorts by time."""
    return moment.isoformat(timespec="milliseconds")
