"""The drop folder and a file at which the service itself comes to its end: tried twice, then put away with a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from intake import drop_taking
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from tests.intake import samples
from tests.intake.dropping import Drop, laid, names, opened

GOOD = samples.rows("2,amy,2026-03-02 10:00,60")
import_calls = drop_taking.import_calls


class Killed(BaseException):
    """What a SIGKILL does: nothing of the program runs on."""


class Killer:
    """Imports as ever, but for files of which `faults` holds what happens at the next tries."""

    def __init__(self, **faults: list[BaseException]) -> None:
        self.faults = faults
        self.tried: list[str] = []

    def __call__(self, path: Path, options: Any, *, actor: str) -> ImportReport:
        self.tried.append(path.stem)
        if faults := self.faults.get(path.stem):
            raise faults.pop(0)
        return import_calls(path, options, actor=actor)


@pytest.fixture
def drop(app: Flask, at_noon: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    samples.place()
    return opened(app, tmp_path, monkeypatch)


def killed_look(drop: Drop) -> None:
    drop.look(at_most=0)
    with pytest.raises(Killed):
        drop.look()
    db.session.rollback()


def test_a_file_that_kills_is_given_up_after_two_tries_and_holds_nobody_up(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed, "bomb.csv")
    laid(feed, "good.csv", GOOD, age=50)
    killer = Killer(bomb=[Killed() for _ in range(9)])
    monkeypatch.setattr(drop_taking, "import_calls", killer)
    for _ in range(2):
        killed_look(drop)
    look = drop.picked()
    assert killer.tried == ["bomb", "bomb", "good"]
    assert [taken.place for taken in look.taken] == ["failed/bomb.csv", "done/good.csv"]
    assert set(samples.stored()) == {"2"}
    assert names(feed / "taking") == set()
    report = json.loads((feed / "failed" / "bomb.csv.report.json").read_text())
    assert report["refused"]["error"] == "was given up: the service came to its end 2 times while it read this file"
    assert "given up" in (feed / "failed" / "bomb.csv.report.txt").read_text()


def test_a_file_that_was_killed_once_is_taken_and_leaves_no_mark(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed)
    monkeypatch.setattr(drop_taking, "import_calls", Killer(calls=[Killed()]))
    killed_look(drop)
    assert names(feed / "taking") == {"calls.csv", ".calls.csv.try-1"}
    assert [taken.place for taken in drop.look().taken] == ["done/calls.csv"]
    assert names(feed / "taking") == set()


@pytest.mark.parametrize(
    "fault",
    [OSError(28, "No space left on device"), OperationalError("", {}, Exception()), KeyboardInterrupt()],
    ids=["no room", "no database", "Ctrl-C"],
)
def test_what_the_service_outlives_is_no_try(drop: Drop, monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    feed = drop.feed()
    laid(feed)
    monkeypatch.setattr(drop_taking, "import_calls", Killer(calls=[fault] * 5))
    drop.look(at_most=0)
    for _ in range(5):
        try:
            assert drop.look().taken == []
        except KeyboardInterrupt:
            db.session.rollback()
        assert names(feed / "taking") == {"calls.csv"}
    assert [taken.place for taken in drop.look().taken] == ["done/calls.csv"]


def test_a_file_of_the_same_name_begins_anew(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may take a file out of taking/, and its marks stay there."""
    feed = drop.feed()
    laid(feed)
    killer = Killer(calls=[Killed(), Killed(), Killed()])
    monkeypatch.setattr(drop_taking, "import_calls", killer)
    for _ in range(2):
        killed_look(drop)
    (feed / "taking" / "calls.csv").unlink()
    laid(feed, text=GOOD)
    killed_look(drop)
    assert [taken.place for taken in drop.picked().taken] == ["done/calls.csv"]
    assert len(killer.tried) == 4
