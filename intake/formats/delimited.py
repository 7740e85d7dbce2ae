"""Delimited text: comma, semicolon, tab or bar, found by the header; UTF-8 (or UTF-16 with its mark), any line ends."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from intake.rows import Row
from survey.errors import InputError

DELIMITERS = ",;\t|"
LONGEST_LINE = 1_000_000
NOT_UTF8 = "lines with bytes that are not UTF-8 (read as \ufffd)"


class Delimited:
    """What spreadsheets and telephone systems call CSV or TSV."""

    name = "generic"

    def recognises(self, head: bytes) -> bool:
        return b"\0" not in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _mostly_text(head)

    def rows(self, path: Path, notes: Counter[str]) -> Iterator[Row]:
        with path.open("rb") as raw:
            encoding = _encoding(raw.read(4))
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            yield from _rows(_Lines(file, notes), path.name)


class _Lines:
    """The lines of a file with their numbers; one that is far too long is cut out, so that memory stays flat."""

    def __init__(self, file: TextIO, notes: Counter[str]) -> None:
        self._file, self._notes = file, notes
        self.number = 0
        self.too_long = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            self.too_long = True
            self._skip_rest()
            return "\n"
        if "\ufffd" in line:
            self._notes[NOT_UTF8] += 1
        return line

    def _skip_rest(self) -> None:
        while rest := self._file.readline(LONGEST_LINE):
            if rest.endswith("\n"):
                return


def _rows(lines: _Lines, name: str) -> Iterator[Row]:
    first = _header_line(lines)
    if first is None:
        return
    delimiter = _delimiter(first)
    try:
        yield Row(lines.number, next(csv.reader([first], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        raise InputError(
            f"the header cannot be read: {error}", where=f"{name}, line {lines.number}", how="Is a quote not closed?"
        ) from None
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while (row := _next_row(reader, lines)) is not None:
        if row.fault or any(row.cells):
            yield row


def _next_row(reader: Iterator[list[str]], lines: _Lines) -> Row | None:
    """The next row; one that breaks the rules of CSV comes with its fault, and the reader goes on behind it."""
    start, lines.too_long = lines.number + 1, False
    try:
        cells = next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        return Row(start, (), f"cannot be split into columns ({error}); is a quote not closed?{_span(start, lines)}")
    if lines.too_long:
        return Row(start, (), f"is longer than {LONGEST_LINE:,} characters")
    return Row(start, cells)


def _span(start: int, lines: _Lines) -> str:
    return f" (lines {start} to {lines.number} read as one row)" if lines.number > start else ""


def _header_line(lines: _Lines) -> str | None:
    """The first line that is not empty, past a spreadsheet's own `sep=` line."""
    for line in lines:
        if line.strip() and not line.casefold().startswith("sep="):
            return line
    return None


def _delimiter(header: str) -> str:
    """The delimiter that splits the header into most columns."""
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _mostly_text(head: bytes) -> bool:
    """A stray NUL byte makes a bad row, many make a file of another kind."""
    return head.count(b"\0") * 100 < len(head)
