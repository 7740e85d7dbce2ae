"""FreeSWITCH's call detail records: Master.csv as mod_cdr_csv writes it by its "example" template and those like it.

There is no header. A row is one leg, the caller's (A) or that of whom the caller was connected with (B): the A leg
names the B leg in bleg_uuid. Legs that name each other, in either direction and over several, are one call; its id is
the uuid of the leg that names no other. So a pair is one call in two files, too: A and B lead to it each by itself.
What the columns mean: FreeSWITCH documentation, "mod_cdr_csv".
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from intake.formats.delimited import headless_rows, rows_in
from intake.formats.scratch import scratch
from intake.rows import Row

HEADER = (
    *("external_id", "leg", "agent", "started_at", "ended_at", "duration", "answered", "talk_seconds", "phone"),
    "internal",
)
REPEATED = "rows that repeat a leg (the one that lasted longest was taken)"
INTERNAL = "legs of calls between extensions or to the outside (kept as internal)"
HALF = "legs that name another one which is not in this file (if it is in the next, hand both in together)"
NO_PERSON = "answered legs that name nobody they were connected with (kept as unanswered)"

# Further columns differ by template; all that matters is in these.
COLUMNS = (
    *("caller_id_name", "caller_id_number", "destination_number", "context", "start", "answer", "end"),
    *("duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode"),
)
MOST_COLUMNS = 20
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECONDS = re.compile(r"\d{1,9}")
_MOMENT = re.compile(r"\d{4}\D\d{1,2}\D\d{1,2}[ T]\d{1,2}:\d{2}(?P<seconds>:\d{2}.*)?")
_NUMBERS = re.compile(r"\d+")
# What FreeSWITCH calls the caller of a leg that it began itself.
_BEGUN_HERE = "Outbound Call"
# A longer number is the one that customers dial: it names nobody.
_EXTENSION = re.compile(r"\d{1,5}|(?!\+?\d)\w[\w.@-]*")

_TABLES = (
    "legs (uuid TEXT PRIMARY KEY, row INTEGER, bleg TEXT, start TEXT, from_extension INTEGER, rank TEXT) WITHOUT ROWID",
    "links (uuid TEXT PRIMARY KEY, towards TEXT) WITHOUT ROWID",
    "calls (root TEXT PRIMARY KEY, id TEXT, start TEXT, internal INTEGER) WITHOUT ROWID",
)


class FreeSwitch:
    """Each leg once, with the call it belongs to."""

    name = "freeswitch"

    def recognises(self, head: bytes) -> bool:
        known = [_leg(cells) is not None for cells in rows_in(head)]
        return sum(known) * 2 >= len(known) > 0

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield Row(1, HEADER)
        with scratch(*_TABLES) as connection:
            legs = _Legs(connection)
            for number, row in enumerate(headless_rows(path, Counter())):
                if (leg := _leg(row.cells)) is not None:
                    legs.add(number, leg)
            legs.all_there()
            for number, row in enumerate(headless_rows(path, notes)):
                yield from _rows(legs, number, row, notes)


def _rows(legs: _Legs, number: int, row: Row, notes: Counter[str]) -> Iterator[Row]:
    """The row's leg; nothing for a row that repeats one."""
    leg = _leg(row.cells)
    if row.fault or leg is None:
        yield Row(row.line, (), row.fault or f"is not a row as FreeSWITCH writes them ({len(row.cells)} columns)")
    elif not legs.is_kept(number, leg):
        notes[REPEATED] += 1
    else:
        yield Row(row.line, _cells(legs, leg, notes))


def _cells(legs: _Legs, leg: Mapping[str, str], notes: Counter[str]) -> list[str]:
    call, internal = legs.call_of(leg)
    notes[HALF] += legs.is_half(leg)
    answered = int(leg["billsec"]) > 0 and not legs.is_callers(leg)
    if answered and not legs.reached_somebody(leg):
        answered = False
        notes[NO_PERSON] += not internal
    notes[INTERNAL] += internal
    # Without seconds (a spreadsheet's work) the end is nearer to the truth as start and duration.
    to_the_second = all(_has_seconds(leg[name]) for name in ("start", "end"))
    return [
        call,
        leg["uuid"],
        leg["destination_number"] if answered and _EXTENSION.fullmatch(leg["destination_number"]) else "",
        leg["start"],
        leg["end"] if to_the_second else "",
        leg["duration"],
        "yes" if answered else "no",
        leg["billsec"] if answered else "0",
        "" if internal else leg["caller_id_number"],
        "yes" if internal else "no",
    ]


class _Legs:
    """Every leg of the file and how they hang together, outside memory and without anybody's number."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, number: int, leg: Mapping[str, str]) -> None:
        """Takes in the leg of a row. Of rows with the same uuid one is kept, by what they say, not by their order."""
        self._connection.execute(
            "INSERT INTO legs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET row = excluded.row,"
            " bleg = excluded.bleg, start = excluded.start, from_extension = excluded.from_extension,"
            " rank = excluded.rank WHERE excluded.rank > rank",
            (leg["uuid"], number, leg["bleg_uuid"], _in_order(leg["start"]), _from_extension(leg), _rank(leg)),
        )
        if leg["bleg_uuid"]:
            self._link(leg["uuid"], leg["bleg_uuid"])

    def all_there(self) -> None:
        """Finds every call's id, and whether it is internal: whether the leg that began first is from an extension.

        The id is the uuid that names no other, or of which no row says so; the smallest of several; where all name one
        another in a ring, the smallest of all.
        """
        self._connection.execute("CREATE INDEX named ON legs (bleg)")
        legs = self._connection.execute(
            "SELECT uuid, start, from_extension, CASE WHEN bleg = '' THEN uuid"
            " WHEN NOT EXISTS (SELECT 1 FROM legs other WHERE other.uuid = legs.bleg) THEN bleg END FROM legs"
        )
        for uuid, start, from_extension, last in legs:
            self._connection.execute(
                "INSERT INTO calls VALUES (?, ?, ?, ?) ON CONFLICT (root) DO UPDATE SET"
                " internal = CASE WHEN excluded.start < start THEN excluded.internal"
                " WHEN excluded.start = start THEN max(internal, excluded.internal) ELSE internal END,"
                " start = min(start, excluded.start), id = min(coalesce(id, excluded.id), coalesce(excluded.id, id))",
                (self._root(uuid), last, start, from_extension),
            )

    def is_kept(self, number: int, leg: Mapping[str, str]) -> bool:
        return self._one("SELECT row FROM legs WHERE uuid = ?", leg["uuid"]) == (number,)

    def call_of(self, leg: Mapping[str, str]) -> tuple[str, bool]:
        """(the call's id, whether it is internal)."""
        root = self._root(leg["uuid"])
        found = self._one("SELECT id, internal FROM calls WHERE root = ?", root)
        assert found is not None  # every leg was taken in before the first row goes out
        return str(found[0] or root), bool(found[1])

    def is_half(self, leg: Mapping[str, str]) -> bool:
        """Whether the leg names another one that has no row."""
        return bool(leg["bleg_uuid"]) and self._one("SELECT 1 FROM legs WHERE uuid = ?", leg["bleg_uuid"]) is None

    def is_callers(self, leg: Mapping[str, str]) -> bool:
        """Whether the leg is the caller's side of a call whose other side has a row of its own."""
        other = self._one("SELECT bleg, start FROM legs WHERE uuid = ?", leg["bleg_uuid"])
        if other is None:
            return False
        here = _in_order(leg["start"]), leg["uuid"]
        return other[0] != leg["uuid"] or here < (other[1], leg["bleg_uuid"])

    def reached_somebody(self, leg: Mapping[str, str]) -> bool:
        """Whether the leg is connected with another one, or leads to the telephone of a user."""
        if leg["bleg_uuid"] or leg["accountcode"] == leg["destination_number"] != "":
            return True
        return self._one("SELECT 1 FROM legs WHERE bleg = ?", leg["uuid"]) is not None

    def _link(self, one: str, other: str) -> None:
        smaller, larger = sorted((self._root(one), self._root(other)))
        if smaller != larger:
            self._connection.execute("INSERT INTO links VALUES (?, ?)", (larger, smaller))

    def _root(self, uuid: str) -> str:
        """The smallest uuid among the legs that hang together with this one (disjoint sets, paths halved)."""
        while (above := self._above(uuid)) is not None:
            top = self._above(above)
            if top is None:
                return above
            self._connection.execute("UPDATE links SET towards = ? WHERE uuid = ?", (top, uuid))
            uuid = top
        return uuid

    def _above(self, uuid: str) -> str | None:
        found = self._one("SELECT towards FROM links WHERE uuid = ?", uuid)
        return None if found is None else str(found[0])

    def _one(self, query: str, value: str) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(query, (value,)).fetchone()
        return found


def _leg(cells: Sequence[str]) -> dict[str, str] | None:
    """The row's texts by FreeSWITCH's names; None where it is no such row."""
    if not len(COLUMNS) <= len(cells) <= MOST_COLUMNS:
        return None
    # Some templates have a space before a quote, which then is no quote to a reader of CSV.
    leg = {name: cell.strip().strip('"').strip() for name, cell in zip(COLUMNS, cells, strict=False)}
    leg["uuid"], leg["bleg_uuid"] = leg["uuid"].lower(), leg["bleg_uuid"].lower()
    if leg["bleg_uuid"] == leg["uuid"]:
        leg["bleg_uuid"] = ""
    return leg if _fits(leg) else None


def _fits(leg: Mapping[str, str]) -> bool:
    return (
        _UUID.fullmatch(leg["uuid"]) is not None
        and all(_MOMENT.fullmatch(leg[name]) for name in ("start", "end"))
        and all(_SECONDS.fullmatch(leg[name]) for name in ("duration", "billsec"))
        and (not leg["bleg_uuid"] or _UUID.fullmatch(leg["bleg_uuid"]) is not None)
    )


def _from_extension(leg: Mapping[str, str]) -> bool:
    """Whether a user's telephone began the leg: its account is the caller's own number."""
    return leg["caller_id_number"] == leg["accountcode"] != "" or leg["caller_id_name"] == _BEGUN_HERE


def _rank(leg: Mapping[str, str]) -> str:
    """Of rows that differ about one leg the greatest is kept: the longest talk, the longest leg, the plain end."""
    contents = hashlib.sha256("\0".join(leg.values()).encode()).hexdigest()
    return f"{leg['billsec']:0>9} {leg['duration']:0>9} {leg['hangup_cause'] == 'NORMAL_CLEARING'} {contents}"


def _in_order(moment: str) -> str:
    """A moment as a text that sorts by time, however it is written (2020/2/10 9:41)."""
    return " ".join(f"{int(number):06}" for number in _NUMBERS.findall(moment))


def _has_seconds(moment: str) -> bool:
    found = _MOMENT.fullmatch(moment)
    return found is not None and found["seconds"] is not None
