"""Workbooks made to fill the memory or never to end: refused at once, by a look through them as a stream."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from intake import reading
from intake.formats import open_table, workbook_limits
from intake.rows import Row
from survey.errors import InputError
from tests.intake.formats.reading import read
from tests.intake.test_hostile_files import replaced

SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
END = b"</sheetData>"
Change = Callable[[bytes], bytes]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A header and two rows."""
    made = Workbook()
    sheet = made.active
    assert sheet is not None
    for row in (
        ("call_id", "started_at", "talk_seconds"),
        ("a", "2026-03-02 09:00", 60),
        ("b", "2026-03-02 09:01", 61),
    ):
        sheet.append(row)
    path = tmp_path / "calls.xlsx"
    made.save(path)
    return path


def changed(book: Path, change: Change, part: str = SHEET, name: str = "") -> Path:
    """The workbook with one part changed, or with a part of that name added."""
    path = book.with_name("changed.xlsx")
    with zipfile.ZipFile(book) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for kept in before.namelist():
            content = before.read(kept)
            after.writestr(kept, change(content) if kept == part else content)
        if name:
            after.writestr(name, change(b""))
    return path


def with_rows(rows: bytes) -> Change:
    return replaced(END, rows + END)


def refusal(path: Path) -> str:
    """Why a workbook is refused, without anything having taken much memory."""
    workbook_limits._checked.cache_clear()
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as refused:
            open_table(path)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert refused.value.how == "Save it as CSV." and refused.value.where.startswith("changed.xlsx")
    return str(refused.value)


ROWS: dict[str, tuple[bytes, str]] = {
    "cells without end": (b'<row r="4">' + b"<c/>" * 1_000_000 + b"</row>", "row 4 has more than 16,384 cells"),
    "one cell too many": (b"<row>" + b"<c/>" * 16_385 + b"</row>", "row 4 has more than 16,384 cells"),
    "a column too far": (b'<row r="4"><c r="XFE4"/></row>', "row 4 has more than 16,384 cells"),
    "elements in a cell": (b"<row><c>" + b"<v/>" * 200_000 + b"</c></row>", "row 4 has more than 100,000 elements"),
    "a row too far": (b'<row r="1048577"/>', "has a row '1048577'; 1,048,576 are the most"),
    "a row that never comes": (b'<row r="1000000000000"/>', "has a row '1000000000000'"),
    "a row that never comes, shortly": (b'<row r="1e12"/>', "has a row '1e12'"),
    "one behind the last": (b'<row r="1048576"/><row/>', "has a row '1048577'"),
    "row 0": (b'<row r="0"/>', "has row 0 behind row 3"),
    "rows in no order": (b'<row r="9"/><row r="7"/>', "has row 7 behind row 9"),
    "a row twice": (b'<row r="3"/>', "has row 3 behind row 3"),
    "cells in no order": (b'<row r="4"><c r="C4"/><c r="B4"/></row>', "row 4 has its cells in no order"),
    "a row in a row": (b'<row r="4"><row r="99999999"/></row>', "row 4 has another one in it"),
    "a text without end": (b"<row><c><v>" + b"x" * 9_000_000 + b"</v></c></row>", "row 4 holds more than 8 MB"),
    "an attribute without end": (b'<row><c a="' + b"x" * 9_000_000 + b'"/></row>', "holds more than 8 MB"),
    "text between the rows": ((b"<row/>" + b"x" * 300_000) * 40, "what is no cell holds more than 8 MB"),
    "elements between the rows": (b"<x/>" * 200_000, "has more than 100,000 elements that are no cells"),
    "nested without end": (b"<x>" * 100_000, "is nested deeper than 50"),
    "wide rows": (b'<row><c r="XFD1"/></row>' * 7_000, "has rows so wide that they make more than 100,000,000 cells"),
}


@pytest.mark.parametrize("named", ROWS)
def test_a_sheet_beyond_all_measure_is_refused(book: Path, named: str) -> None:
    rows, said = ROWS[named]
    told = refusal(changed(book, with_rows(rows)))
    assert said in told and "'sheet1.xml' in it" in told


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("xl/styles.xml", lambda _: b"<a>" + b"<b/>" * 200_000 + b"</a>", "has more than 100,000 elements"),
        ("xl/workbook.xml", lambda _: b"<a>" + b"x" * 9_000_000 + b"</a>", "holds more than 8 MB"),
        ("[Content_Types].xml", lambda all_: b"<!DOCTYPE a>" + all_[all_.index(b"<Types") :], "has a DOCTYPE"),
        ("xl/_rels/workbook.xml.rels", replaced(b"/relationships/worksheet", b"/relationships/chartsheet"), "calls"),
        ("[Content_Types].xml", replaced(b'"/xl/theme/theme1.xml"', b'"/xl/sharedStrings.xml"'), "calls"),
    ],
)
def test_so_is_a_workbook_whose_other_parts_are(book: Path, part: str, change: Change, said: str) -> None:
    assert said in refusal(changed(book, change, part))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (b"<si/>" * 1_000_001, "holds more than 1,000,000 different texts"),
        (b"<si>" + b"<r/>" * 200_000 + b"</si>", "text 1 has more than 100,000 elements"),
        ((b"<si><t>" + b"x" * 7_000_000 + b"</t></si>") * 10, "holds more than 64 MB of texts"),
    ],
)
def test_so_are_shared_texts_without_end(book: Path, monkeypatch: pytest.MonkeyPatch, texts: bytes, said: str) -> None:
    monkeypatch.setattr("intake.formats.workbook.LARGEST_SMALL", 100_000_000)
    main = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    assert said in refusal(changed(book, lambda _: main + texts + b"</sst>", part="", name=STRINGS))


def test_a_second_sheet_is_looked_through_as_well(book: Path) -> None:
    """openpyxl looks for the size of each of them."""
    main = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    other = main + b"<row>" + b"<c/>" * 20_000 + b"</row></sheetData></worksheet>"
    said = refusal(changed(book, lambda _: other, part="", name="xl/worksheets/sheet2.xml"))
    assert "row 1 has more than 16,384 cells" in said and "'sheet2.xml'" in said


def test_what_excel_itself_can_hold_is_read(book: Path) -> None:
    last = get_column_letter(16_384).encode()
    rows = b'<row r="7"><c/><c/><c r="%b7"/></row><row r="1048576"><c t="str"><v>z</v></c></row>' % last
    found = read(changed(book, with_rows(rows)))
    assert [row["call_id"] for row in found.rows] == ["a", "b", "z"] and found.faults == []


def test_a_workbook_is_looked_through_once_and_again_when_it_changes(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    part = workbook_limits._Part
    monkeypatch.setattr(workbook_limits, "_Part", lambda name: looked.append(name) or part(name))
    for _ in range(3):
        read(book)
    assert looked.count(SHEET) == 1
    changed(book, with_rows(b'<row r="1048577"/>')).rename(book)
    with pytest.raises(InputError, match="has a row"):
        read(book)


def test_an_archive_with_a_password_is_no_readable_workbook(book: Path) -> None:
    whole = bytearray(book.read_bytes())
    with zipfile.ZipFile(book) as archive:
        offsets = [entry.header_offset for entry in archive.infolist()]
    for at in offsets:
        whole[at + 6] |= 1
    at = whole.index(b"PK\x01\x02")
    while at >= 0:
        whole[at + 8] |= 1
        at = whole.find(b"PK\x01\x02", at + 4)
    book.write_bytes(whole)
    with pytest.raises(InputError, match="is not a readable Excel workbook"):
        open_table(book)


def test_rows_of_many_empty_cells_go_in_fewer_at_a_time() -> None:
    rows = (Row(number, [""] * 16_000) for number in range(2_000))
    assert max(map(len, reading._batches(rows))) <= 550
