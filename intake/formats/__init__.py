"""One small file per format, behind one interface: a format turns a file into a header and rows of text.

A further format is one more file here and one more entry in `FORMATS`: it says by which first bytes it knows its files,
and gives their rows with the column names of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from intake.file_names import check_name
from intake.formats.amazon_connect import AmazonConnect
from intake.formats.asterisk import Asterisk
from intake.formats.delimited import Delimited
from intake.formats.freeswitch import FreeSwitch
from intake.formats.genesys import Genesys
from intake.formats.json_values import JsonValues
from intake.formats.packed import check_unpacked
from intake.formats.twilio_events import Twilio
from intake.formats.workbook import Workbook, sheet_names
from intake.rows import Row, shown
from survey.errors import InputError

HEAD_BYTES = 64 * 1024
MOST_SHEETS = 10


class Format(Protocol):
    """A kind of file that holds one table."""

    @property
    def name(self) -> str:
        """What `--format` calls it."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with `head` is of this format."""

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        """The header as the first row, then every row that is not empty; oddities on the way are counted in `notes`.

        A row that cannot be split into cells comes with its `fault`. Raises InputError where the file as a whole
        cannot be read. Memory does not grow with the file. `header` is the one an earlier reading found: a format
        that must read the whole file to know it need not do so again.
        """


# The first that recognises the file reads it: any JSON comes after the telephone systems that write JSON, delimited
# text comes last, because it recognises nearly everything.
FORMATS: tuple[Format, ...] = (
    Workbook(),
    AmazonConnect(),
    Genesys(),
    Twilio(),
    JsonValues(),
    Asterisk(),
    FreeSwitch(),
    Delimited(),
)


@dataclass
class Table:
    """A table that can be read more than once: from a file, or from rows handed over in memory."""

    name: str
    header: Sequence[str]
    source: Path | Sequence[Mapping[str, object]]
    format: Format | None = None
    notes: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterator[Row]:
        """Every row after the header, from the beginning, with as many cells as the header (or a fault)."""
        self.notes.clear()
        if self.format is not None and isinstance(self.source, Path):
            rows = self.format.rows(self.source, self.notes, self.header)
            next(rows)
            return (self._fitted(row) for row in rows)
        return self._given_rows()

    def _fitted(self, row: Row) -> Row:
        missing = len(self.header) - len(row.cells)
        if row.fault or missing == 0:
            return row
        if missing < 0 and not any(row.cells[len(self.header) :]):
            return Row(row.line, row.cells[: len(self.header)])
        return Row(row.line, (), f"has {len(row.cells)} columns where the header has {len(self.header)}")

    def _given_rows(self) -> Iterator[Row]:
        assert not isinstance(self.source, Path)
        for number, given in enumerate(self.source, start=1):
            if isinstance(given, Unreadable):
                yield Row(number, (), given.fault)
            else:
                yield Row(number, [as_text(given.get(name)) for name in self.header])


class Unreadable(dict[str, object]):
    """What stands for a row that a program gave and that is none, so that it is counted and rejected like others."""

    def __init__(self, columns: Mapping[str, object], *, fault: str) -> None:
        super().__init__(columns)
        self.fault = fault


def open_table(path: Path, format_name: str | None = None) -> Table:
    """The table in a file, in the named format or the one its content shows.

    Raises InputError when there is no such file, it is empty, has no rows, or is of no known format.
    """
    check_name(path)
    head = _head(path)
    check_unpacked(path, head)
    chosen = _named(format_name) if format_name else next((f for f in FORMATS if f.recognises(head)), None)
    if chosen is None:
        raise InputError("is neither delimited text nor an Excel workbook", where=path.name, how="Save it as CSV.")
    notes: Counter[str] = Counter()
    rows = chosen.rows(path, notes)
    header, first = next(rows, None), next(rows, None)
    with naming_its_sheet(path, chosen):
        if header is None:
            raise InputError("is empty", where=path.name, how="It must have a header and rows.")
        if first is None:
            nothing = "has a header but no rows" if isinstance(chosen, Delimited | Workbook) else "holds no call"
            raise InputError(nothing, where=path.name, how="There is nothing to take in.")
    return Table(path.name, tuple(name.strip() for name in header.cells), path, chosen, notes)


def sheet_told(path: Path, chosen: Format | None) -> str:
    """Which sheet of a workbook is read and which are not, as sentences; empty where there is only one to read."""
    first, *others = (sheet_names(path) if isinstance(chosen, Workbook) else []) or [""]
    if not others:
        return ""
    rest = ", ".join(map(shown, others[:MOST_SHEETS])) + (" and more" if len(others) > MOST_SHEETS else "")
    return f"Only the first sheet is read, {shown(first)}. Not read: {rest}."


@contextmanager
def naming_its_sheet(source: object, chosen: Format | None) -> Iterator[None]:
    """A refusal out of the block says which sheet of the workbook was read, where it has several."""
    try:
        yield
    except InputError as refusal:
        if not isinstance(source, Path) or not (said := sheet_told(source, chosen)):
            raise
        told = copy(refusal)
        told.how = f"{refusal.how} {said} Put the sheet with the calls first.".strip()
        raise told from None


def given_table(rows: Sequence[Mapping[str, object]]) -> Table:
    """The table of rows handed over by a program: column name to value (text, number, true/false, date or time)."""
    header = dict.fromkeys(name for row in rows for name in row)
    return Table("-", tuple(header), rows)


def as_text(value: object) -> str:
    """A value as a file would hold it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _named(name: str) -> Format:
    for known in FORMATS:
        if known.name == name:
            return known
    raise InputError(
        f"{name!r} is not a known format", where="--format", how=f"Known: {', '.join(f.name for f in FORMATS)}."
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if not head.strip():
        raise InputError("is empty", where=path.name, how="It must have a header and rows.")
    return head
