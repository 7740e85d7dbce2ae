"""JSON of no telephone system in particular: each object is a row, each of its names a column.

An object inside an object gives dotted names ("Agent.Username"), a list stays JSON text. Which objects are the rows is
told by the file's shape: one object a line, one after the other, a list, or one object with one list of objects.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from intake.formats.json_records import TOO_DEEP, Digits, Record, begins, records, wrapped_in
from intake.rows import Row, shown
from survey.errors import InputError

MOST_NAMES = 1_000
DEEPEST = 50
# Longer texts are refused where a column means something to us; none is kept longer than it takes to see that.
LONGEST_CELL = 10_000

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonValues:
    """JSON and JSON lines, to be read by a mapping or by names like ours."""

    name = "json"

    def recognises(self, head: bytes) -> bool:
        return begins(head)

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        wrapping = wrapped_in(path)
        inside = () if wrapping is None else (wrapping,)
        names = tuple(header) or _names(path, inside)
        yield Row(1, names)
        for record in records(path, notes, inside):
            yield _row(record, names)


def as_cell(value: Any) -> str:
    """A value as a CSV would hold it: nothing for null, every digit of a number, JSON text for a list.

    Raises ValueError for one that is nested too deeply.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return text_of(value)
    return _as_json(value, DEEPEST)


def text_of(value: str) -> str:
    """A JSON text as text that can be stored: halves of characters, which only \\u can write, become \\ufffd."""
    return value[:LONGEST_CELL] if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value[:LONGEST_CELL])


def _row(record: Record, names: Sequence[str]) -> Row:
    if record.fault:
        return Row(record.line, (), record.fault)
    try:
        cells = _cells(record.value)
    except ValueError as error:
        return Row(record.line, (), str(error))
    return Row(record.line, [cells.get(name, "") for name in names])


def _cells(value: dict[str, Any]) -> dict[str, str]:
    """The object's texts by dotted name. Raises ValueError where one comes twice or lies too deep."""
    found: dict[str, str] = {}
    for name, inner in _flat(value, "", DEEPEST):
        if name in found:
            raise ValueError(f"has {shown(name)} twice, once in an object of its own")
        found[name] = as_cell(inner)
    return found


def _flat(value: dict[str, Any], before: str, room: int) -> Iterator[tuple[str, Any]]:
    if room == 0:
        raise ValueError(TOO_DEEP)
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{name}.", room - 1)
        else:
            yield before + text_of(name).strip(), inner


def _names(path: Path, inside: Sequence[str]) -> tuple[str, ...]:
    """Every name that any object has, in the order met. Raises InputError where there are none, or far too many."""
    names: dict[str, None] = {}
    fault = ""
    for record in records(path, Counter(), inside):
        row_fault = record.fault
        try:
            names |= dict.fromkeys(name for name, _ in _flat(record.value, "", DEEPEST))
        except ValueError as error:
            row_fault = str(error)
        fault = fault or (f"line {record.line} {row_fault}" if row_fault else "")
        if len(names) > MOST_NAMES:
            raise InputError(
                f"has more than {MOST_NAMES:,} different names",
                where=f"{path.name}, line {record.line}",
                how="Each name becomes a column. Are names used where values should be?",
            )
    if not names:
        raise InputError(
            f"has no object that can be read{fault and ': '}{fault}",
            where=path.name,
            how="Each call must be a JSON object: one a line, in a list, or in a list inside one object.",
        )
    return tuple(names)


def _as_json(value: Any, room: int) -> str:
    if room == 0:
        raise ValueError(TOO_DEEP)
    if isinstance(value, Digits):
        return value
    if isinstance(value, list):
        return f"[{', '.join(_as_json(inner, room - 1) for inner in value)}]"
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{_as_json(name, room)}: {_as_json(inner, room - 1)}' for name, inner in value.items())}}}"
        )
    return json.dumps(text_of(value) if isinstance(value, str) else value, ensure_ascii=False)
