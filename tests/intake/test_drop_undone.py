"""A file of the drop folder whose import a person undid: it is not taken in again by itself, and holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from intake import drop_folder, drop_taking
from intake.calls import CallOptions
from intake.drop_folder import DropFolder
from intake.reports import ImportReport
from intake.undo import undo
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import ImportRecord
from tests.intake import samples
from tests.intake.dropping import CALLS, NORTH, Drop, laid, names, opened

Import = Callable[..., ImportReport]


@pytest.fixture
def drop(app: Flask, at_noon: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    samples.place()
    return opened(app, tmp_path, monkeypatch)


def undone_by_a_person(at_noon: ManualClock) -> None:
    """The last import, a minute later."""
    at_noon.move_to(at_noon() + timedelta(minutes=1))
    undo(db.session.query(ImportRecord.id).order_by(ImportRecord.id.desc()).limit(1).scalar(), actor="jo")
    db.session.commit()
    at_noon.move_to(at_noon() + timedelta(minutes=1))


def killed_before_it_was_put_away(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that imports and ends there; the next one is another process's."""

    def killed(*_given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(drop_folder, "_put_away", killed)
        with pytest.raises(KeyboardInterrupt):
            drop.picked()
    assert set(samples.stored()) == {"1"}
    drop.picker = DropFolder()


def in_passing(*_given: object, **_options: object) -> ImportReport:
    raise Refused("the process that reads the file ended in the midst of it")


def test_a_file_undone_after_its_picker_was_killed_is_not_taken_in_again(
    drop: Drop, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed)
    killed_before_it_was_put_away(drop, monkeypatch)
    undone_by_a_person(at_noon)
    (taken,) = drop.look().taken
    assert taken.place == "failed/calls.csv" and "was undone before the file was put away" in taken.lines()[1]
    assert samples.stored() == {} and names(feed / "taking") == set()
    # Laid back, it is wanted.
    laid(feed)
    assert [taken.place for taken in drop.picked().taken] == ["done/calls.csv"] and set(samples.stored()) == {"1"}


def test_a_file_left_over_is_only_compared_with_its_own_imports(drop: Drop, at_noon: ManualClock) -> None:
    """Neither an undone file of its name but of other content nor another feed's of its content is meant."""
    feed, other = drop.feed(), drop.feed(NORTH, "other")
    laid(feed, text=samples.rows("2,amy,2026-03-02 10:00,60"))
    drop.picked()
    undone_by_a_person(at_noon)
    laid(other)
    drop.picked()
    undone_by_a_person(at_noon)
    laid(feed / "taking")  # as a picker left it that was killed before it had written anything
    assert [taken.failed for taken in drop.look().taken] == [False] and set(samples.stored()) == {"1"}


def test_what_passes_fails_no_file_because_an_earlier_one_of_its_name_was_undone(
    drop: Drop, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed)
    drop.picked()
    undone_by_a_person(at_noon)
    laid(feed, text=samples.rows("2,amy,2026-03-02 10:00,60"))
    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "import_calls", in_passing)
        assert drop.picked().taken == []
    assert len(drop.look().taken) == 1 and set(samples.stored()) == {"2"}


def test_nor_because_it_was_itself_undone_before_it_was_laid_back(
    drop: Drop, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed)
    drop.picked()
    undone_by_a_person(at_noon)
    laid(feed)
    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "import_calls", in_passing)
        assert drop.picked().taken == []
    assert len(drop.look().taken) == 1 and set(samples.stored()) == {"1"}


def test_one_undone_between_two_tries_does_not_begin_anew(
    drop: Drop, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed)
    imported = drop_taking.import_calls

    def breaks_off(path: Path, options: CallOptions, *, actor: str) -> ImportReport:
        return imported(path, replace(options, progress=in_passing), actor=actor)

    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "import_calls", breaks_off)
        assert drop.picked().taken == [] and set(samples.stored()) == {"1"}
    undone_by_a_person(at_noon)
    (taken,) = drop.look().taken
    assert taken.place == "failed/calls.csv" and samples.stored() == {}
    assert (feed / "failed" / "calls.csv").read_text() == CALLS
