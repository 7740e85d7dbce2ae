"""Reading a file by a format alone, before the import makes anything of its rows."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from intake.formats import FORMATS, Format, open_table
from tests.conftest import PROJECT

SAMPLES = PROJECT.parent / "shared" / "data"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample records are not beside this checkout")

Fields = dict[str, str]


class Read(NamedTuple):
    """The rows by the names of their columns, the faults of those that are none by line, and the notes."""

    rows: list[Fields]
    faults: list[tuple[int, str]]
    notes: Mapping[str, int]

    @property
    def calls(self) -> dict[str, list[Fields]]:
        """The rows by the call they belong to."""
        found: dict[str, list[Fields]] = {}
        for row in self.rows:
            found.setdefault(row["external_id"], []).append(row)
        return found


def read(path: Path, format_name: str | None = None) -> Read:
    """The file in the named format, or in the one its content shows; every row has a cell for each column."""
    table = open_table(path, format_name)
    rows, faults = [], []
    for row in table.rows():
        if row.fault:
            faults.append((row.line, row.fault))
        else:
            rows.append(dict(zip(table.header, row.cells, strict=True)))
    return Read(rows, faults, dict(+Counter(table.notes)))


def read_text(folder: Path, text: str | bytes, format_name: str | None = None) -> Read:
    path = folder / "calls"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, format_name)


def read_objects(folder: Path, objects: Iterable[Mapping[str, Any]], format_name: str | None = None) -> Read:
    """The objects, one a line."""
    return read_text(folder, json_lines(objects), format_name)


def one(folder: Path, given: Mapping[str, Any]) -> Fields:
    """The one row that an object becomes."""
    found = read_objects(folder, [given])
    assert not found.faults, found.faults
    (row,) = found.rows
    return row


def fault(folder: Path, given: Any, format_name: str | None = None) -> str:
    """Why an object becomes no row."""
    found = read_text(folder, json.dumps(given), format_name)
    assert not found.rows
    ((_, why),) = found.faults
    return why


def json_lines(objects: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in objects)


def csv_text(rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def named(name: str) -> Format:
    return next(known for known in FORMATS if known.name == name)


def without(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}
