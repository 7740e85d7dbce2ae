"""An import killed in the midst leaves whole batches and nobody behind; running it again completes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import reading
from intake.bulk import take_turn
from intake.call_store import CallStore
from intake.reading import CHUNK
from survey.db import db
from survey.models import Agent, Call, Customer, ImportRecord, Organisation
from survey.turns import begin_draw
from tests.conftest import PROJECT
from tests.intake import samples

ROWS = 6 * CHUNK
PATIENCE_SECONDS = 60


@pytest.fixture
def long_file(app: Flask, tmp_path: Path) -> Path:
    """Long enough to be read by a process of its own; callers call several times, agents are not in the roster."""
    samples.place()
    text = "x" * 100
    lines = [
        f"{n},Agent {n % 20},2026-03-02 09:00:00,60,21255501{n % 100:02},c{n % 300}@example.com,{text}"
        for n in range(ROWS)
    ]
    return samples.written(tmp_path, samples.rows(*lines, header=samples.HEADER + ",phone,email,topic"))


class Command:
    """`flask calls import` on the test's own database, as a person would start it."""

    def __init__(self, file: Path, database_url: str, data: Path) -> None:
        data.mkdir(exist_ok=True)
        settings = {
            "AFTERCALL_DATA": str(data),
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a secret key for tests only",
            "DATA_KEY": "a data key for tests only",
        }
        told = ["--organisation", "acme", "--site", "north", "--create-agents", "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "calls", "import", str(file), *told],
            cwd=PROJECT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err


def stored() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Call)) or 0


def waited(for_what: str) -> Iterator[None]:
    """Goes round until the caller breaks off; fails when that takes far too long."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.01)
    pytest.fail(f"waited for {for_what} in vain")


def test_killed_in_the_midst_whole_batches_are_in_and_a_second_run_completes_them(
    long_file: Path, database_url: str, tmp_path: Path
) -> None:
    first = Command(long_file, database_url, tmp_path / "var")
    for _ in waited("the first batch"):
        assert first.process.poll() is None
        if stored():
            break
    reader = [child for child in psutil.Process(first.process.pid).children() if "intake.aside" in child.cmdline()]
    assert len(reader) == 1
    first.process.send_signal(signal.SIGKILL)
    code, _, said = first.ended()
    assert code == -signal.SIGKILL

    for _ in waited("the reader's end"):
        if not reader[0].is_running() or reader[0].status() == psutil.STATUS_ZOMBIE:
            break
    assert said == ""
    there = whole_batches()
    assert 0 < there < ROWS
    (record,) = db.session.query(ImportRecord)
    assert (record.read, record.new, record.rejected, record.finished_at) == (there, there, 0, None)
    for _ in waited("the draw's turn"):
        if begin_draw(record.organisation_id or 0, wait=False):
            break
    db.session.rollback()

    code, out, said = Command(long_file, database_url, tmp_path / "var").ended()
    assert (code, said) == (0, "")
    report = json.loads(out)
    assert (report["read"], report["new"], report["unchanged"]) == (ROWS, ROWS - there, there)
    assert stored() == ROWS == db.session.scalar(select(func.count(Call.external_id.distinct())))
    assert db.session.query(Customer).count() == 100 and db.session.query(Agent).count() == 21


def test_a_batch_that_fails_in_the_midst_leaves_nothing_whoever_commits_next(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.place()
    monkeypatch.setattr(reading, "CHUNK", 4)
    lines = [f"{n},Zed,2026-03-02 09:00,60,21255501{n:02}" for n in (0, 1, 2, 3, 10, 11, 11, 12)]
    file = samples.written(tmp_path, samples.rows(*lines, header=samples.HEADER + ",phone"))

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(CallStore, "_write", fail)
    with pytest.raises(OSError, match="no space left"):
        samples.taken(file, create_agents=True)
    db.session.commit()
    assert set(samples.stored()) == {"0", "1", "2", "3"} and db.session.query(Customer).count() == 4


def whole_batches() -> int:
    """How many calls are in, once what the killed process was writing is in or given up."""
    db.session.rollback()
    take_turn(db.session.scalars(select(Organisation.id)).one())
    there = stored()
    assert there % CHUNK == 0
    return there
