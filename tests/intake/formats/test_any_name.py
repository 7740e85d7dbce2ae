"""A file is what its content shows, whatever its name; what is packed is told to be unpacked; sheets are named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from openpyxl import Workbook

from intake.formats import open_table
from survey.errors import InputError
from tests.intake import samples

TEXT = samples.rows("1,amy,2026-03-02 09:00,60").encode()


def book(path: Path, *sheets: str) -> Path:
    """A workbook with calls on the sheet "Calls", and a line of words on any other."""
    made = Workbook()
    made.remove(made.worksheets[0])
    for name in sheets:
        sheet = made.create_sheet(name)
        rows = TEXT.decode().splitlines() if name == "Calls" else ["Monthly report"]
        for row in rows:
            sheet.append(row.split(","))
    with path.open("wb") as file:
        made.save(file)
    return path


@pytest.mark.parametrize("name", ["pwc.csv", "pwc.xls", "pwc", "pwc.XLSX", "pwc.xlsx.part", "pwc.json"])
def test_a_workbook_is_one_whatever_its_name(app: Flask, tmp_path: Path, name: str) -> None:
    samples.place()
    file = book(tmp_path / name, "Calls")
    assert [row.cells for row in open_table(file).rows()] == [["1", "amy", "2026-03-02 09:00", "60"]]
    assert samples.counts(samples.taken(file)) == (1, 0, 0, 0)


def zipped(content: bytes, path: Path, name: str = "calls.csv") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


@pytest.mark.parametrize("name", ["calls.csv", "calls.csv.gz", "calls.xlsx"])
@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("zip", zipped),
        ("gzip", lambda content, path: path.write_bytes(gzip.compress(content))),
        ("bzip2", lambda content, path: path.write_bytes(bz2.compress(content))),
        ("xz", lambda content, path: path.write_bytes(lzma.compress(content))),
    ],
)
@pytest.mark.parametrize("told", [None, "generic"])
def test_what_is_packed_is_to_be_unpacked(
    tmp_path: Path, kind: str, pack: Callable[[bytes, Path], object], name: str, told: str | None
) -> None:
    path = tmp_path / name
    pack(TEXT, path)
    with pytest.raises(InputError) as refused:
        open_table(path, told)
    assert str(refused.value) == f"{name}: is compressed ({kind}). Unpack it first."


def test_an_open_document_is_to_be_saved_otherwise(tmp_path: Path) -> None:
    zipped(b"<manifest/>", tmp_path / "calls.ods", "META-INF/manifest.xml")
    with pytest.raises(InputError, match=r"is an OpenDocument file. Save it as .xlsx or CSV."):
        open_table(tmp_path / "calls.ods")


def test_a_cover_sheet_is_named_with_the_sheets_not_read(app: Flask, tmp_path: Path) -> None:
    samples.place()
    file = book(tmp_path / "calls.xlsx", "Cover", "Calls", "Old")
    sheets = "Only the first sheet is read, 'Cover'. Not read: 'Calls', 'Old'. Put the sheet with the calls first."
    with pytest.raises(InputError) as refused:
        samples.taken(file)
    assert refused.value.what == "has a header but no rows" and refused.value.how.endswith(sheets)
    longer = Workbook()
    for row in (["Monthly report"], ["by", "amy"], ["for", "jo"]):
        longer.worksheets[0].append(row)
    longer.create_sheet("Calls")
    longer.save(tmp_path / "longer.xlsx")
    with pytest.raises(InputError) as refused:
        samples.taken(tmp_path / "longer.xlsx")
    assert refused.value.what.startswith("has no column for the call's id")
    assert refused.value.how.endswith("read, 'Sheet'. Not read: 'Calls'. Put the sheet with the calls first.")


def test_of_one_sheet_nothing_is_said(app: Flask, tmp_path: Path) -> None:
    samples.place()
    with pytest.raises(InputError) as refused:
        samples.taken(book(tmp_path / "calls.xlsx", "Cover"))
    assert "sheet" not in str(refused.value)
