"""A long file is read by a process of its own: what comes out is the same, and neither process outlives the other."""

from __future__ import annotations

import io
import shutil
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from openpyxl import Workbook
from sqlalchemy import insert

from intake import aside, calls, reading
from intake.call_rows import OWN_NUMBERS, TALK_OF_UNANSWERED
from intake.formats.delimited import NOT_UTF8
from intake.moments import DOUBLE_TIME, MISSING_TIME
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import Agent, Call, Customer, Site
from tests import factories
from tests.intake import samples, snapshots

HEADER = "call_id,leg,recorded_at,agent,started_at,talk_seconds,answered,phone,email,topic"
MANY = 12_000


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    place = samples.place()
    for key in ("jo1", "jo2"):
        factories.agent(place, key=key, name="Jo")
    place.organisation.own_numbers = ["+12125550199"]
    db.session.commit()
    return place


@pytest.fixture
def always_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "LARGE_BYTES", 0)


def readers() -> list[psutil.Process]:
    """The living processes that read for this one."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # ended just now
            if "intake.aside" in child.cmdline():
                found.append(child)
    return found


EVERY_KIND = [
    "1,,,Amy Adams,02/13/2026 09:00,60,,2125550101,,",
    "2,,,Zed,03/04/2026 09:00,60,,212-555-0101,Jo@Example.com,x",
    "2,,,zed,03/04/2026 09:00,70,,2125550101,jo@example.com,x",
    "3,a,,amy,03/02/2026 09:00,60,,911,not an address,",
    "3,b,,Yan,03/02/2026 09:10,60,,,ann@example.com,",
    "4,,03/02/2026 12:00,amy,03/02/2026 09:00,60,,,,newest",
    "4,,03/02/2026 11:00,Zed,03/02/2026 09:00,50,,2125550102,,older",
    "5,,,amy,03/08/2026 02:30,60,,,,",
    "6,,,amy,11/02/2025 01:30,60,,,,",
    "7,,,amy,03/02/2026 09:00,60,no,2125550199,,",
    "8,,,Jo,03/02/2026 09:00,60,,,,several of that name",
    "9,,,amy,13/13/2026 09:00,60,,,,no such month",
    "x,,,amy,03/02/2026 09:00",
    "=y,,,amy,03/02/2026 09:00,-1,,2125550103,,",
    "10,,,amy,03/02/2026 09:00,60,,,,Jos\xe9",
]


def everything(folder: Path, report: ImportReport) -> Any:
    """What an import says, writes and stores, the numbers of imports left out."""
    said = asdict(report) | {"import_id": None, "rejects_file": None, "notes": dict(+report.notes)}
    return said, (folder / "rejects.csv").read_text(), snapshots.house()


def test_read_aside_or_here_all_is_the_same(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = samples.rows(*EVERY_KIND, header=HEADER).encode("latin-1")
    file, rejects = samples.written(tmp_path, text), tmp_path / "rejects.csv"
    here = everything(tmp_path, samples.taken(file, create_agents=True, rejects=rejects))
    snapshots.emptied("amy", "jo1", "jo2")
    asked: list[reading.Reading] = []

    def read_aside(what: reading.Reading) -> Any:
        asked.append(what)
        return aside.chunks_from_aside(what)

    monkeypatch.setattr(calls, "LARGE_BYTES", len(text))
    monkeypatch.setattr(calls, "chunks_from_aside", read_aside)
    report = samples.taken(file, create_agents=True, rejects=rejects)
    assert everything(tmp_path, report) == here
    assert len(asked) == 1 and not readers()
    assert samples.counts(report) == (9, 2, 0, 4)
    assert {OWN_NUMBERS, TALK_OF_UNANSWERED, NOT_UTF8, MISSING_TIME, DOUBLE_TIME} <= set(+report.notes)


def test_dates_that_nothing_decides_are_refused_before_anybody_reads(
    site: Site, always_aside: None, tmp_path: Path
) -> None:
    file = samples.written(tmp_path, samples.rows("1,amy,03/04/2026 09:00,5"))
    with pytest.raises(InputError, match="3 April 2026 read day first and 4 March 2026 read month first"):
        samples.taken(file)
    assert samples.stored() == {}


def cut_off(folder: Path) -> Path:
    """A workbook whose sheet breaks off in the midst: its first rows can be read."""
    book, path = Workbook(), folder / "calls.xlsx"
    assert book.active is not None
    for row in [("id", "started_at", "talk_seconds"), *(("x", "2026-03-02 09:00", 5) for _ in range(3_000))]:
        book.active.append(row)
    book.save(path)
    broken = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(broken, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, content[: len(content) // 2] if name.endswith("sheet1.xml") else content)
    path.write_bytes(broken.getvalue())
    return path


def test_a_file_that_breaks_off_is_refused_in_the_same_words(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, said = cut_off(tmp_path), []
    for large in (calls.LARGE_BYTES, 0):
        monkeypatch.setattr(calls, "LARGE_BYTES", large)
        with pytest.raises(InputError) as refused:
            samples.taken(file)
        said.append(refused.value.as_dict())
    assert said[0] == said[1] and said[0]["error"] == "is not a readable Excel workbook"
    assert not readers()


def long_file(folder: Path) -> Path:
    """More than two batches, each of which takes more room than lies between the two processes."""
    lines = [f"{n},,,amy,2026-03-02 09:00,60,,21255501{n % 100:02},," for n in range(MANY)]
    return samples.written(folder, samples.rows(*lines, header=HEADER))


def test_the_reader_killed_in_the_midst_leaves_whole_batches_and_says_so(
    site: Site, always_aside: None, tmp_path: Path
) -> None:
    file = long_file(tmp_path)

    def kill(rows: int) -> None:
        for reader in readers():
            reader.kill()

    with pytest.raises(Refused) as refused:
        samples.taken(file, progress=kill)
    assert "the process that reads the file ended in the midst of it" in str(refused.value)
    assert "Import the file again to complete it." in str(refused.value)
    assert len(samples.stored()) == reading.CHUNK and not readers()
    assert samples.counts(samples.taken(file)) == (MANY - reading.CHUNK, 0, reading.CHUNK, 0)
    assert db.session.query(Call).count() == MANY


def test_the_reader_ends_with_an_import_that_breaks_off(site: Site, always_aside: None, tmp_path: Path) -> None:
    file = long_file(tmp_path)

    def stop(rows: int) -> None:
        assert readers()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        samples.taken(file, progress=stop)
    assert stopped.value is not None and not readers()
    assert db.session.query(Call).count() == reading.CHUNK


def test_a_reader_that_cannot_be_started_says_so(
    site: Site, always_aside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A roster that does not fit between the two processes, so that handing it over fails in the midst.
    agents = [{"organisation_id": site.organisation_id, "key": f"{n:0>200}", "name": "x"} for n in range(1_000)]
    db.session.execute(insert(Agent), agents)
    db.session.commit()
    monkeypatch.setattr(aside.sys, "executable", shutil.which("false"))
    with pytest.raises(Refused, match="the process that reads the file ended"):
        samples.taken(long_file(tmp_path))
    assert samples.stored() == {}


def test_contacts_never_stand_in_what_the_reader_is_called_by(site: Site, always_aside: None, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(rows: int) -> None:
        seen.extend(" ".join([*reader.cmdline(), *reader.environ().values()]) for reader in readers())

    samples.taken(long_file(tmp_path), progress=look)
    assert seen and all("a data key for tests only" not in text and "21255501" not in text for text in seen)
    assert db.session.query(Customer).count() == 100
