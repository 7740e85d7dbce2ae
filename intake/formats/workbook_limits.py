"""What a workbook may hold: looked through as a stream before openpyxl reads it, which keeps whole rows and parts.

A row may be as long, and a sheet as high, as Excel's own: 16,384 columns, 1,048,576 rows. Rows and cells must stand in
their order; openpyxl drops those that do not. Source: "Excel specifications and limits", support.microsoft.com.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO
from xml.parsers import expat

from openpyxl.utils.cell import coordinate_to_tuple

from intake.rows import shown
from survey.errors import InputError

MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
# Empty cells before a row's last one take time as well: so many cells of all rows together.
MOST_CELLS = 100_000_000
# All texts that cells share are kept in memory.
MOST_TEXTS, MOST_TEXT_BYTES = 1_000_000, 64_000_000
# Of one row or shared text, and of everything in a part that is neither.
MOST_ELEMENTS, MOST_BYTES, DEEPEST = 100_000, 8_000_000, 50
LOOK = 256 * 1024

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_ROW, _TEXT = f"{_MAIN} row", f"{_MAIN} si"
_SHEETS, _TEXTS = "worksheets/", "sharedstrings.xml"
_HOW = "Save it as CSV."


class _TooMuch(Exception):
    """Why a part is not read."""


def check(path: Path) -> None:
    """Raises InputError for a workbook that would fill the memory or never end; BadZipFile and the like for none."""
    state = path.stat()
    _checked(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _checked(path: Path, size: int, changed: int) -> None:
    """A file is opened several times over; it is looked through once."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                try:
                    _Part(entry.filename).look_through(stream)
                except _TooMuch as fault:
                    part = entry.filename.rpartition("/")[2]
                    raise InputError(str(fault), where=f"{path.name}, {shown(part)} in it", how=_HOW) from None


class _Part:
    """One part of the archive. What is no XML is nothing that openpyxl would make a tree of."""

    def __init__(self, name: str) -> None:
        # The sheets' rows and the shared texts are read one by one, all other parts as a whole.
        self._unit = _unit_of(name)
        self._depth = self._unit_depth = 0
        self._units = self._row = self._column = self._cells = 0
        self._elements = self._outside = 0
        # Where the row or text began, or the last one ended; and how many bytes were in them, and outside.
        self._mark = self._inside_bytes = self._outside_bytes = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype

    def look_through(self, stream: IO[bytes]) -> None:
        fed = 0
        try:
            while look := stream.read(LOOK):
                self._parser.Parse(look)
                fed += len(look)
                at = max(self._parser.CurrentByteIndex, 0)
                behind = at - self._mark + (0 if self._unit_depth else self._outside_bytes)
                if max(fed - at, behind) > MOST_BYTES:
                    raise _TooMuch(f"{self._place()} holds more than {MOST_BYTES // 1_000_000} MB")
        except expat.ExpatError:
            return  # openpyxl comes no further either

    def _place(self) -> str:
        if not self._unit_depth:
            return "what is no cell"
        return f"row {self._row:,}" if self._unit == _ROW else f"text {self._units:,}"

    def _start(self, name: str, attributes: Sequence[str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooMuch(f"is nested deeper than {DEEPEST}")
        if name == self._unit:
            self._begin(attributes)
        elif not self._unit_depth:
            self._outside += 1
            if self._outside > MOST_ELEMENTS:
                raise _TooMuch(f"has more than {MOST_ELEMENTS:,} elements that are no cells")
            self._check_link(name, attributes)
        else:
            self._elements += 1
            if self._elements > MOST_ELEMENTS:
                raise _TooMuch(f"{self._place()} has more than {MOST_ELEMENTS:,} elements")
            if self._unit == _ROW and self._depth == self._unit_depth + 1:
                self._cell(attributes)

    def _begin(self, attributes: Sequence[str]) -> None:
        if self._unit_depth:
            raise _TooMuch(f"{self._place()} has another one in it")
        self._unit_depth, self._elements, self._column = self._depth, 0, 0
        at = self._parser.CurrentByteIndex
        self._outside_bytes += at - self._mark
        self._mark = at
        self._units += 1
        if self._unit == _ROW:
            self._number(_attribute(attributes, "r"))
        elif self._units > MOST_TEXTS:
            raise _TooMuch(f"holds more than {MOST_TEXTS:,} different texts")

    def _number(self, given: str | None) -> None:
        before, self._row = self._row, self._row + 1 if given is None else _whole(given)
        if self._row > MOST_ROWS:
            raise _TooMuch(f"has a row {shown(given or str(self._row))}; {MOST_ROWS:,} are the most")
        if self._row <= before:
            raise _TooMuch(f"has row {self._row:,} behind row {before:,}")

    def _cell(self, attributes: Sequence[str]) -> None:
        given = _attribute(attributes, "r")
        before, self._column = self._column, coordinate_to_tuple(given)[1] if given else self._column + 1
        if self._column > MOST_COLUMNS:
            raise _TooMuch(f"row {self._row:,} has more than {MOST_COLUMNS:,} cells")
        if self._column <= before:
            raise _TooMuch(f"row {self._row:,} has its cells in no order")

    def _end(self, _name: str) -> None:
        if self._depth == self._unit_depth:
            at = self._parser.CurrentByteIndex
            self._inside_bytes += at - self._mark
            self._mark, self._unit_depth = at, 0
            self._cells += self._column
            if self._cells > MOST_CELLS:
                raise _TooMuch(f"has rows so wide that they make more than {MOST_CELLS:,} cells")
            if self._unit == _TEXT and self._inside_bytes > MOST_TEXT_BYTES:
                raise _TooMuch(f"holds more than {MOST_TEXT_BYTES // 1_000_000} MB of texts")
        self._depth -= 1

    def _check_link(self, name: str, attributes: Sequence[str]) -> None:
        """A sheet must be called a sheet and nothing else, likewise the texts: other parts are read as a whole."""
        local = name.rpartition(" ")[2]
        if local == "Relationship" and _attribute(attributes, "TargetMode") != "External":
            target, kind = _attribute(attributes, "Target") or "", _attribute(attributes, "Type") or ""
        elif local == "Override":
            target, kind = _attribute(attributes, "PartName") or "", _attribute(attributes, "ContentType") or ""
            kind = kind.removesuffix("+xml")
        else:
            return
        for unit, its_kind in ((_ROW, "worksheet"), (_TEXT, "sharedStrings")):
            if _unit_of(target) == unit and not kind.endswith(its_kind):
                raise _TooMuch(f"calls {shown(target)} something else than it is")

    def _doctype(self, *_: object) -> None:
        raise _TooMuch("has a DOCTYPE, which no workbook has")


def _unit_of(name: str) -> str:
    """What a part of that name is read one by one in; "": it is read as a whole."""
    if name.endswith(".rels"):
        return ""
    return _ROW if _SHEETS in name else _TEXT if name.casefold().endswith(_TEXTS) else ""


def _attribute(attributes: Sequence[str], name: str) -> str | None:
    return next((attributes[at + 1] for at in range(0, len(attributes), 2) if attributes[at] == name), None)


def _whole(number: str) -> int:
    """As openpyxl reads a row's number. Raises ValueError for none."""
    try:
        return int(number)
    except ValueError:
        given = float(number)
        if not given.is_integer():
            raise
        return int(given)
