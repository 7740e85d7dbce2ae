"""Several pickers at one drop folder, and one that is killed in the midst: every file once, every call once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import drop_taking
from intake.calls import CallOptions
from intake.drop_folder import DropFolder
from intake.drop_report import Look
from intake.drop_turns import LOCK
from intake.reading import CHUNK
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from survey.models import Call, ImportRecord
from survey.settings import current
from tests.conftest import PROJECT
from tests.intake import samples
from tests.intake.dropping import Drop, laid, names, opened

FILES, ROWS = 12, 3 * CHUNK
# Takes the feed's file, and says so and stops when the first batch of its rows is in.
CHILD = """
import sys, time
from dataclasses import replace
from pathlib import Path
from application import create_app
from intake import calls, drop_folder, drop_taking
from survey.settings import load_settings

calls.LARGE_BYTES = int(sys.argv[1])
imported = drop_taking.import_calls

def stopping(path, options, *, actor):
    def progress(rows):
        print("in the midst", flush=True)
        time.sleep(600)
    return imported(path, replace(options, progress=progress), actor=actor)

drop_taking.import_calls = stopping
with create_app(load_settings(_env_file=None)).app_context():
    drop_folder.DropFolder().pick_up()
"""


@pytest.fixture
def drop(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    samples.place()
    return opened(app, tmp_path, monkeypatch)


def rows(first: int, count: int) -> str:
    return samples.rows(*(f"c{number},amy,2026-03-02 09:00,60" for number in range(first, first + count)))


def counted() -> tuple[int, int]:
    """How many calls are stored, and how many different ones they are."""
    db.session.rollback()
    one = db.session.execute(select(func.count(), func.count(Call.external_id.distinct())).select_from(Call)).one()
    return one[0], one[1]


def test_two_pickers_at_once_take_every_file_once(app: Flask, drop: Drop, at_noon: ManualClock) -> None:
    feeds = [drop.feed(name=name) for name in ("a", "b")]
    for number in range(FILES):
        laid(feeds[number % 2], f"{number}.csv", rows(number * 10, 10), age=120 - number)
    together = Barrier(2)

    def one() -> list[Look]:
        picker = DropFolder()
        with app.app_context():
            picker.look(at_most=0)
            together.wait(timeout=30)
            return [picker.look() for _ in range(6)]

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(one) for _ in range(2)]
        looks = [look for run in runs for look in run.result(timeout=120)]
    taken = [f"{file.feed}/{file.place}" for look in looks for file in look.taken]
    assert sorted(taken) == sorted(f"{'ab'[number % 2]}/done/{number}.csv" for number in range(FILES))
    assert db.session.query(ImportRecord).count() == FILES and counted() == (FILES * 10, FILES * 10)
    assert not any(look.failed for look in looks)


def test_a_feed_that_another_picker_is_at_is_left_to_it(drop: Drop, at_noon: ManualClock) -> None:
    busy, free = drop.feed(name="busy"), drop.feed(name="free")
    laid(busy)
    laid(free)
    drop.look(at_most=0)
    with psycopg.connect(_address(), autocommit=True) as another:
        another.execute("SELECT pg_advisory_lock(%s, hashtext('busy'))", [LOCK])
        look = drop.look()
        assert [file.feed for file in look.taken] == ["free"] and not look.failed
        assert [(left.what, left.why) for left in look.left_alone] == [("busy", "another picker is at work here")]
    assert [file.feed for file in drop.picked().taken] == ["busy"]


def test_a_feed_is_free_again_before_the_look_is_over(
    drop: Drop, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        laid(drop.feed(name=name))
    free = []
    imported = drop_taking.import_calls

    def asking(path: Path, options: CallOptions, *, actor: str) -> ImportReport:
        with psycopg.connect(_address(), autocommit=True) as another:
            names = another.execute(
                "SELECT pg_try_advisory_lock(%s, hashtext(n)) FROM unnest('{a,b}'::text[]) n", [LOCK]
            )
            free.append([row[0] for row in names.fetchall()])
        return imported(path, options, actor=actor)

    monkeypatch.setattr(drop_taking, "import_calls", asking)
    drop.picked()
    assert free == [[False, True], [True, False]]


def test_a_look_keeps_no_connection(drop: Drop, at_noon: ManualClock) -> None:
    drop.feed()
    for _ in range(3):
        drop.look()
    ours = "application_name = 'aftercall drop folder' AND datname = current_database()"
    with psycopg.connect(_address(), autocommit=True) as another:
        for _ in range(100):  # closing takes the server a moment
            left = another.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}").fetchone()
            if left == (0,):
                return
    raise AssertionError(left)


@pytest.mark.parametrize("large_bytes", [1, 1_000_000_000], ids=["read in a process of its own", "read here"])
def test_a_picker_killed_in_the_midst_is_gone_on_from(drop: Drop, tmp_path: Path, large_bytes: int) -> None:
    feed = drop.feed()
    laid(feed, text=rows(0, ROWS))
    with _child(tmp_path, large_bytes) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "in the midst\n"
            held = drop.picked()
            assert held.taken == [] and held.left_alone[0].why == "another picker is at work here"
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL and names(feed / "taking") == {"calls.csv", ".calls.csv.try-1"}
    stored, different = counted()
    assert stored == different == CHUNK, "whole batches or nothing"
    (taken,) = _next_look(drop).taken
    assert taken.place == "done/calls.csv" and counted() == (ROWS, ROWS)
    interrupted, completed = db.session.query(ImportRecord).order_by(ImportRecord.id)
    assert interrupted.finished_at is None and interrupted.new == stored
    assert (completed.new, completed.unchanged, completed.rejected) == (ROWS - stored, stored, 0)
    assert _next_look(drop).taken == []


def test_a_picker_killed_between_claim_and_import_is_gone_on_from(drop: Drop, at_noon: ManualClock) -> None:
    feed = drop.feed()
    laid(feed)
    (feed / "taking").mkdir()
    (feed / "calls.csv").rename(feed / "taking" / "calls.csv")
    laid(feed, text=samples.rows("2,amy,2026-03-02 09:00,60"))
    looks = [drop.look() for _ in range(2)]
    first, second = [file.place for look in looks for file in look.taken]
    assert first == "done/calls.csv" and second.startswith("done/calls.import-") and counted() == (2, 2)


def _next_look(drop: Drop) -> Look:
    """The database misses a killed process in a moment; until then the feed is held."""
    for _ in range(100):
        look = drop.look()
        if not look.left_alone:
            return look
    raise AssertionError(look.lines())


def _address() -> str:
    return db.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def _child(folder: Path, large_bytes: int) -> subprocess.Popen[str]:
    settings = current()
    environment = {
        **os.environ,
        "AFTERCALL_DATA": str(folder / "var"),
        "DATABASE_URL": db.engine.url.render_as_string(hide_password=False),
        "SECRET_KEY": settings.keys.secret_key,
        "DATA_KEY": settings.keys.data_key,
        "INTAKE_DIR": str(settings.intake_dir),
        "LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(large_bytes)], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
