"""Delimited text: comma, semicolon, tab or bar, found by the header; UTF-8 (or UTF-16 with its mark), any line ends.

`headless_rows` reads the same kind of file where a telephone system writes no header.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

from intake.rows import Row
from survey.errors import InputError

# So few make bad rows in however small a file.
STRAY_NULS = 4
DELIMITERS = ",;\t|"
LONGEST_LINE = 1_000_000
LONG = f"is longer than {LONGEST_LINE:,} characters"
LINE_ENDS = ("\n", "\r")
# As many as a workbook may have.
MOST_COLUMNS = 16_384
# As much of a first line as shows which delimiter it has.
LONGEST_LOOK = 10_000
NOT_UTF8 = "lines with bytes that are not UTF-8 (read as \ufffd)"


class Delimited:
    """What spreadsheets and telephone systems call CSV or TSV."""

    name = "generic"

    def recognises(self, head: bytes) -> bool:
        return b"\0" not in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _mostly_text(head)

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        with opened_text(path) as file:
            yield from _rows(Lines(file, notes), path.name)


def headless_rows(path: Path, notes: Counter[str]) -> Iterator[Row]:
    """Every row that is not empty, of a file without a header; the first line shows the delimiter."""
    with opened_text(path) as file:
        delimiter = _delimiter(file.readline(LONGEST_LOOK))
        file.seek(0)
        yield from _split(Lines(file, notes), delimiter)


def rows_in(head: bytes, most: int = 20) -> list[Sequence[str]]:
    """The first rows of a file without a header that begins with `head`, as far as they can be split."""
    text = io.StringIO(head.decode(encoding_of(head), errors="replace").lstrip(), newline="")
    delimiter = _delimiter(text.readline(LONGEST_LOOK))
    text.seek(0)
    return [row.cells for row in islice(_split(Lines(text, Counter()), delimiter), most)]


def opened_text(path: Path) -> TextIO:
    """The file as text: UTF-8 or UTF-16, by its mark; bytes that are neither are read as \ufffd."""
    with path.open("rb") as raw:
        encoding = encoding_of(raw.read(4))
    return path.open(encoding=encoding, errors="replace", newline="")


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins with `head`."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


class TooLong(csv.Error):
    """A row, over several lines, of more characters than are kept."""


class Lines:
    """The lines of a file with their numbers; one that is far too long is cut out, so that memory stays flat.

    So is a row of several lines, where whoever reads rows says when one begins: `next` then raises TooLong.
    """

    def __init__(self, file: TextIO, notes: Counter[str]) -> None:
        self._file, self._notes = file, notes
        self.number = 0
        self.too_long = False
        # The characters of the row so far; None where lines are no parts of rows.
        self._of_row: int | None = None
        self._cut_in_an_end = False

    def begin_row(self) -> None:
        """The next line is the first of a row."""
        self.too_long, self._of_row = False, 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._piece()
        if not line:
            raise StopIteration
        self.number += 1
        cut = _is_cut(line)
        if cut:
            self._skip_rest()
        if self._of_row:
            self._of_row += len(line)
            if self._of_row > LONGEST_LINE:
                raise TooLong
        elif cut:
            self.too_long = True
            return "\n"
        elif self._of_row is not None:
            self._of_row = len(line)
        if "\ufffd" in line:
            self._notes[NOT_UTF8] += 1
        return line

    def _skip_rest(self) -> None:
        while _is_cut(self._piece()):
            pass

    def _piece(self) -> str:
        """A line, or as much of it as is kept at once. A line end is one, also where a cut went through it."""
        piece = self._file.readline(LONGEST_LINE)
        if piece == "\n" and self._cut_in_an_end:
            piece = self._file.readline(LONGEST_LINE)
        self._cut_in_an_end = len(piece) == LONGEST_LINE and piece.endswith("\r")
        return piece


def _is_cut(piece: str) -> bool:
    return len(piece) == LONGEST_LINE and not piece.endswith(LINE_ENDS)


def _rows(lines: Lines, name: str) -> Iterator[Row]:
    first = _header_line(lines, name)
    if first is None:
        return
    delimiter = _delimiter(first)
    try:
        header = Row(lines.number, next(csv.reader([first], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        raise InputError(
            f"the header cannot be read: {error}", where=f"{name}, line {lines.number}", how="Is a quote not closed?"
        ) from None
    if len(header.cells) > MOST_COLUMNS:
        raise InputError(
            f"the header has {len(header.cells):,} columns; {MOST_COLUMNS:,} are the most that are read",
            where=f"{name}, line {lines.number}",
            how="Is it a table at all? Leave out the columns that are not needed.",
        )
    yield header
    yield from _split(lines, delimiter)


def _split(lines: Lines, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while (row := _next_row(reader, lines)) is not None:
        if row.fault or any(row.cells):
            yield row


def _next_row(reader: Iterator[list[str]], lines: Lines) -> Row | None:
    """The next row; one that breaks the rules of CSV comes with its fault, and the reader goes on behind it."""
    start = lines.number + 1
    lines.begin_row()
    try:
        cells = next(reader)
    except StopIteration:
        return None
    except TooLong:
        return Row(start, (), f"{LONG}; is a quote not closed?{_span(start, lines)}")
    except csv.Error as error:
        return Row(start, (), f"cannot be split into columns ({error}); is a quote not closed?{_span(start, lines)}")
    if lines.too_long:
        return Row(start, (), LONG)
    return Row(start, cells)


def _span(start: int, lines: Lines) -> str:
    return f" (lines {start} to {lines.number} read as one row)" if lines.number > start else ""


def _header_line(lines: Lines, name: str) -> str | None:
    """The first line that is not empty, past a spreadsheet's own `sep=` line. Raises InputError for an endless one."""
    for line in lines:
        if lines.too_long:
            raise InputError(
                f"the header {LONG}",
                where=f"{name}, line {lines.number}",
                how="Is it a table at all? Its first line must name the columns.",
            )
        if line.strip() and not line.casefold().startswith("sep="):
            return line
    return None


def _delimiter(header: str) -> str:
    """The delimiter that splits the header into most columns."""
    return max(DELIMITERS, key=lambda mark: _columns(header, mark))


def _columns(header: str, mark: str) -> int:
    """How many columns a delimiter makes of the header; none where one would be longer than the csv module takes."""
    try:
        return len(next(csv.reader([header], delimiter=mark), []))
    except csv.Error:
        return 0


def _mostly_text(head: bytes) -> bool:
    """A stray NUL byte makes a bad row, many make a file of another kind."""
    nuls = head.count(b"\0")
    return nuls <= STRAY_NULS or nuls * 100 < len(head)
