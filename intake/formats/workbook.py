"""Excel workbooks (.xlsx): the first sheet, read row by row; cells become the text a CSV would have."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import repeat
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from intake.formats import workbook_limits
from intake.rows import Row
from survey.errors import InputError

ZIP, OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# A workbook unpacks to some ten or twenty times its size; one that unpacks to far more is made to fill the memory.
LARGEST_SMALL, LARGEST_RATIO = 50_000_000, 100
# What openpyxl raises for an archive that is no workbook, a broken one, or one without a sheet of cells.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    ParseError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
)
# How a sheet's XML marks a formula, and how much of it is looked at in one go.
FORMULA_MARKS, LOOK = (b"<f>", b"<f "), 1_000_000
FURTHER_SHEETS = "further sheets of the workbook, not read"


class Workbook:
    """A workbook, in openpyxl's streaming mode."""

    name = "xlsx"

    def recognises(self, head: bytes) -> bool:
        return head.startswith((ZIP, OLD_EXCEL))

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        try:
            _check_archive(path)
            workbook_limits.check(path)
            yield from _rows(path, notes)
        except UNREADABLE:
            raise InputError("is not a readable Excel workbook", where=path.name, how="Save it as CSV.") from None


def _rows(path: Path, notes: Counter[str]) -> Iterator[Row]:
    with _opened(path, data_only=True) as book:
        sheet = book.worksheets[0]
        notes[FURTHER_SHEETS] += len(book.worksheets) - 1
        sheet.reset_dimensions()  # what the file says about its size may be wrong, and would cut rows off
        formulas = _formulas(path) if _has_formulas(path) else repeat(())
        width = 0
        # The formulas' rows come without end where there are none.
        for number, (values, row) in enumerate(zip(sheet.iter_rows(values_only=True), formulas, strict=False), start=1):
            cells = [cell_text(value) for value in values]
            width = width or len(_trimmed(cells))
            if without := _without_result(cells, row):
                yield Row(number, (), f"a formula has no result (in {without}; open the workbook and save it again)")
            elif any(cells):
                yield Row(number, _trimmed(cells) + [""] * (width - len(_trimmed(cells))))


@contextmanager
def _opened(path: Path, **how: bool) -> Iterator[Any]:
    """The workbook, streaming. It is handed over as an open file: by its path openpyxl goes by the name's ending."""
    with path.open("rb") as file:
        book = load_workbook(file, read_only=True, **how)
        try:
            yield book
        finally:
            book.close()


def sheet_names(path: Path) -> list[str]:
    """The names of a workbook's sheets of cells, the one that is read first; none where it cannot be read."""
    try:
        _check_archive(path)
        workbook_limits.check(path)
        with _opened(path) as book:
            return [str(sheet.title) for sheet in book.worksheets]
    except (InputError, *UNREADABLE):
        return []


def _formulas(path: Path) -> Iterator[Iterable[Any]]:
    """The rows of the same sheet, with the formulas that results were worked out from."""
    with _opened(path) as book:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        yield from sheet.iter_rows()


def _has_formulas(path: Path) -> bool:
    """Whether any sheet has one; most files have none, and need not be read twice."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as sheet:
                    if _holds(sheet, FORMULA_MARKS):
                        return True
    return False


def _holds(stream: IO[bytes], marks: Sequence[bytes]) -> bool:
    """Whether any of the marks stands in the stream; a mark may lie across two looks."""
    before = b""
    while look := stream.read(LOOK):
        if any(mark in before + look for mark in marks):
            return True
        before = look[-max(map(len, marks)) :]
    return False


def _without_result(texts: Sequence[str], row: Iterable[Any]) -> str:
    """The first cell of a row ("C2") that holds a formula but no text: a result was never worked out. "": none."""
    for text, cell in zip(texts, row, strict=False):
        if not text and cell.data_type == "f":
            return str(cell.coordinate)
    return ""


def cell_text(value: object) -> str:
    """A cell as text: dates and times as ISO 8601 to the second, whole numbers without a decimal point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return _to_the_second(value).isoformat(" ")
    if isinstance(value, time):
        return _to_the_second(datetime.combine(date(1900, 1, 1), value)).time().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(round(value.total_seconds()))
    return str(value)


def _to_the_second(moment: datetime) -> datetime:
    """Rounded: a workbook keeps times as fractions of a day, a hair off the second that was meant."""
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)


def _trimmed(cells: list[str]) -> list[str]:
    """Without the empty cells at the end, which a workbook keeps or drops as it likes."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _check_archive(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) == OLD_EXCEL:
            raise InputError("is an old Excel workbook (.xls)", where=path.name, how="Save it as .xlsx or CSV.")
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > max(LARGEST_SMALL, LARGEST_RATIO * path.stat().st_size):
        raise InputError(
            f"unpacks to {size // 1_000_000:,} MB, far more than a workbook of its size should",
            where=path.name,
            how="Save it as CSV.",
        )
