"""The drop folder when something is wrong: a feed's settings, a folder, the disk, the database, the service itself."""

from __future__ import annotations

import io
import json
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from sqlalchemy import text

from intake import drop_folder, drop_taking
from intake.calls import CallOptions
from intake.drop_settings import Feed, FeedKind, read_feed
from intake.reports import ImportReport
from intake.undo import undo
from scheduler import clockwork
from scheduler.leadership import Leadership
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import AuditEntry, ImportRecord
from survey.settings import current
from tests.intake import samples
from tests.intake.dropping import CALLS, NORTH, ROW, Drop, laid, names, opened
from tests.survey.test_logs import logged

__all__ = ["logged"]


@pytest.fixture
def drop(app: Flask, at_noon: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    samples.place()
    return opened(app, tmp_path, monkeypatch)


# --- settings of a feed ---


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (None, "there is no such file, so nothing in this folder is taken"),
        ("organisation = acme", "is not TOML"),
        ('site = "north"', "organisation: is missing"),
        ('organisation = "nobody"\nsite = "north"', "there is no organisation 'nobody'"),
        ('organisation = "acme"\nsite = "south"', "there is no site 'south'; the organisation's sites are north"),
        ('organisation = "acme"', "source: is needed where no site is given"),
        (f'{NORTH}kind = "call"', "kind: write 'calls', 'roster'"),
        (f'{NORTH}colour = "red"', "colour: is no key of this table; known are kind, organisation"),
        (f'{NORTH}format = "word"', "'word' is not a known format; known are "),
        (f'{NORTH}mapping = "m.toml"', "mapping: m.toml: there is no such file"),
        (f'{NORTH}mapping = "../acme/intake.toml"', "without a folder"),
        (f'{NORTH}date_order = "american"', "date_order: "),
        (f'{NORTH}agents = "maybe"', "agents: "),
        (f"{NORTH}site = 5", "is not TOML"),
        ('organisation = "acme"\nsite = 5', "site: write text, between quotes"),
        ('organisation = "acme"\nkind = "optouts"\nsite = "north"', "site: means nothing for optouts"),
        ('organisation = "acme"\nkind = "totals"', "source: is needed where no site is given"),
        (f'{NORTH}kind = "totals"\nagents = "create"', "agents: means nothing for totals"),
        ('organisation = "acme"\nkind = "roster"\nmapping = "m.toml"', "mapping: means nothing for roster"),
    ],
)
def test_faulty_settings_are_told_and_nothing_is_taken(drop: Drop, settings: str | None, said: str) -> None:
    feed = drop.feed(settings or "")
    if settings is None:
        (feed / "intake.toml").unlink()
    laid(feed)
    look = drop.picked()
    assert look.taken == [] and look.failed and names(feed) <= {"intake.toml", "calls.csv"}
    assert look.left_alone[0].faulty and said in look.left_alone[0].why


def test_every_fault_is_told_at_once(drop: Drop) -> None:
    feed = drop.feed(
        'kind = "calls"\norganisation = "acme"\nsite = "south"\nformat = "word"\nmapping = "m.toml"\n'
        'agents = "no"\ncolour = 1\n'
    )
    (feed / "m.toml").write_text('format = "excel"\n[columns]\nshoe = "Size"\n')
    with pytest.raises(InputError) as caught:
        read_feed(feed)
    said = str(caught.value)
    assert said.startswith("acme/intake.toml: ")
    for name in ("site: ", "format: ", "mapping: m.toml: ", "agents: ", "colour: "):
        assert name in said
    (feed / "m.toml").write_text('format = "excel"\n')
    with pytest.raises(InputError, match=r"mapping: m\.toml: 'excel' is not a known format"):
        read_feed(feed)


def test_one_faulty_feed_stops_no_other_and_is_logged_once(drop: Drop, logged: object) -> None:
    broken, sound = drop.feed("", "a-broken"), drop.feed(name="sound")
    laid(broken)
    laid(sound)
    laid(drop.root, "stray.csv")
    look = drop.picked()
    assert [taken.feed for taken in look.taken] == ["sound"] and look.failed
    assert {left.what for left in look.left_alone} == {"a-broken", "stray.csv"}
    drop.look()
    faults = [line for line in lines(logged) if line["event"] == "the drop folder needs a person"]
    assert [line["what"] for line in faults] == ["a-broken"] and "organisation: is missing" in faults[0]["why"]
    (broken / "intake.toml").write_text(NORTH)
    assert [taken.feed for taken in drop.picked().taken] == ["a-broken"]


def lines(logged: object) -> list[dict[str, str]]:
    return [json.loads(line) for line in logged.getvalue().splitlines()]  # type: ignore[attr-defined]


# --- folders and disks ---


def test_without_a_drop_folder_the_chore_does_nothing(app: Flask) -> None:
    drop_folder.DropFolder().beat()
    with pytest.raises(InputError, match="INTAKE_DIR: no drop folder is set"):
        drop_folder.DropFolder().pick_up()


def test_a_drop_folder_that_is_not_there_is_told(drop: Drop) -> None:
    drop.root.rmdir()
    look = drop.look()
    assert look.failed and "INTAKE_DIR" in look.left_alone[0].what and "No such file" in look.left_alone[0].why


@pytest.mark.parametrize("name", ["taking", "done", "failed"])
def test_a_feed_whose_folders_cannot_be_used_is_left_alone(drop: Drop, tmp_path: Path, name: str) -> None:
    first, second, sound = drop.feed(name="a"), drop.feed(name="b"), drop.feed(name="c")
    (first / name).write_text("in the way")
    (tmp_path / "elsewhere").mkdir()
    (second / name).symlink_to(tmp_path / "elsewhere")
    for feed in (first, second, sound):
        laid(feed)
    look = drop.picked()
    assert [taken.feed for taken in look.taken] == ["c"] and look.failed
    whys = [left.why for left in look.left_alone]
    assert f"a/{name}: cannot be made" in whys[0] and f"b/{name}: is a link" in whys[1]
    assert "calls.csv" in names(first) and "calls.csv" in names(second) and names(tmp_path / "elsewhere") == set()


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Without root's leave to do anything anywhere."""
    os.setresuid(user, user, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody with fewer rights")
def test_what_is_closed_to_the_service_is_told_and_the_rest_goes_on(
    app: Flask, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.place()
    socket = Path(db.engine.url.query.get("host", "/"))  # type: ignore[arg-type]
    user = socket.stat().st_uid or 65534
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        drop = opened(app, Path(folder), monkeypatch)
        monkeypatch.setitem(app.config, "SETTINGS", current().model_copy(update={"aftercall_data": Path(folder)}))
        feeds = [drop.feed(name=name) for name in "abc"]
        for path in [file for feed in feeds for file in (feed, laid(feed))]:
            os.chown(path, user, user)
        feeds[0].chmod(0o500)
        (feeds[1] / "calls.csv").chmod(0)
        with acting_as(user):
            look = drop.picked()
        assert "a: is closed to the service" in look.left_alone[0].why and "calls.csv" in names(feeds[0])
        assert [(taken.feed, taken.failed) for taken in look.taken] == [("b", True), ("c", False)]
        assert "Permission denied" in (feeds[1] / "failed" / "calls.csv.report.txt").read_text()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be written to, as far as this process goes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_the_report_and_no_file(drop: Drop, logged: object) -> None:
    feed = drop.feed()
    laid(feed)
    drop.look(at_most=0)
    with full_disk():
        look = drop.look()
    assert [taken.place for taken in look.taken] == ["done/calls.csv"] and set(samples.stored()) == {"1"}
    assert look.failed and "its report could not be written" in look.left_alone[0].why
    assert "its report could not be written" in lines(logged)[-1]["why"]


def test_a_disk_too_full_for_the_rejects_leaves_the_file_for_the_next_look(drop: Drop) -> None:
    feed = drop.feed()
    laid(feed, text=samples.rows(ROW, "2,zed,2026-03-02 09:00,60"))
    drop.look(at_most=0)
    with full_disk():
        look = drop.look()
    assert look.taken == [] and look.failed and "the next look tries again" in look.left_alone[0].why
    assert names(feed / "taking") == {"calls.csv"}
    (taken,) = drop.look().taken
    assert taken.place == "done/calls.csv" and set(samples.stored()) == {"1"}


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), Refused("the process that reads the file ended in the midst of it")]
)
def test_a_file_that_cannot_go_on_holds_up_no_other(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    feed = drop.feed()
    laid(feed, "a.csv", age=120)
    laid(feed, "b.csv")
    importer = drop_taking.IMPORTERS[FeedKind.CALLS]

    def faltering(of: Feed, path: Path) -> ImportReport:
        if path.name == "a.csv":
            raise error
        return importer(of, path)

    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: faltering})
        drop.look(at_most=0)
        assert [drop.look(at_most=1).taken for _ in range(2)][1] == [] and names(feed / "done") >= {"b.csv"}
    assert [taken.file for taken in drop.look().taken] == ["a.csv"]


def test_a_name_still_being_taken_is_waited_for(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed, text=samples.rows("2,amy,2026-03-02 10:00,60"))
    (feed / "taking").mkdir()
    laid(feed / "taking")

    def stuck(of: Feed, path: Path) -> ImportReport:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: stuck})
        look = drop.picked()
    assert "another file of this name is still being taken" in look.left_alone[1].why
    assert (feed / "taking" / "calls.csv").read_text() == CALLS and "calls.csv" in names(feed)
    assert len(drop.look().taken) == 2 and set(samples.stored()) == {"1", "2"}


def test_an_import_undone_while_it_runs_does_not_begin_anew(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed)
    imported = drop_taking.import_calls

    def undone(path: Path, options: CallOptions, *, actor: str) -> ImportReport:
        def progress(rows: int) -> None:
            undo(db.session.query(ImportRecord.id).scalar(), actor="jo")
            db.session.commit()

        return imported(path, replace(options, progress=progress), actor=actor)

    monkeypatch.setattr(drop_taking, "import_calls", undone)
    (taken,) = drop.picked().taken
    assert taken.place == "failed/calls.csv" and "was undone while it ran" in taken.lines()[1]
    assert drop.look().taken == [] and samples.stored() == {}


# --- the database and the service ---


def test_a_lost_database_leaves_the_file_for_the_next_look(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed)

    def cut_off(of: Feed, path: Path) -> ImportReport:
        own = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
        db.session.execute(text("SELECT 1"))
        raise AssertionError("the connection is still there")

    drop.look(at_most=0)
    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: cut_off})
        look = drop.look()
    assert look.taken == [] and "the database went away" in look.left_alone[0].why
    assert [taken.place for taken in drop.look().taken] == ["done/calls.csv"]


def test_who_lost_the_turn_puts_nothing_away(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed)
    importer = drop_taking.IMPORTERS[FeedKind.CALLS]

    def losing(of: Feed, path: Path) -> ImportReport:
        ending = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aftercall drop folder'"
        )
        db.session.execute(text(f"{ending} AND datname = current_database()"))
        return importer(of, path)

    drop.look(at_most=0)
    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: losing})
        assert drop_folder.AWAY in drop.look().left_alone[0].why
    assert names(feed / "taking") == {"calls.csv"} and names(feed / "done") == set()
    assert [taken.place for taken in drop.look().taken] == ["done/calls.csv"]


def test_a_fault_of_ours_fails_the_file_and_tells_no_secrets(
    drop: Drop, logged: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed, "a.csv", age=120)

    def broken(of: Feed, path: Path) -> ImportReport:
        raise RuntimeError("+1 212 555 0101")

    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: broken})
        (taken,) = drop.picked().taken
    assert taken.place == "failed/a.csv" and "a fault of this service" in taken.lines()[1]
    assert "0101" not in (feed / "failed" / "a.csv.report.txt").read_text()
    (fault,) = [line for line in lines(logged) if "met a fault of this service" in line["event"]]
    assert fault["fault"].startswith("RuntimeError at tests/intake/test_drop_faults.py:") and "a.csv" in fault["file"]
    assert "in broken < intake/drop_taking.py:" in fault["fault"] and "0101" not in str(lines(logged))


@pytest.mark.parametrize("kind", ["calls", "totals", "optouts"])
def test_a_file_without_a_header_puts_no_contact_into_log_trail_or_report(
    drop: Drop, logged: io.StringIO, kind: str
) -> None:
    """Its first row stands where the names of columns should be."""
    feed = drop.feed(f'kind = "{kind}"\norganisation = "acme"\n' + ("" if kind == "optouts" else 'site = "north"\n'))
    laid(feed, text="17,2026-03-02 09:00,60,Jo Doe,2125550101,jo@example.com\n18,,60,,,mo@example.com\n")
    (taken,) = drop.picked().taken
    beside = "".join(path.read_text() for path in (feed / "failed").glob("*.report.*"))
    trail = str([entry.detail for entry in db.session.query(AuditEntry)])
    assert taken.failed and "has no column" in logged.getvalue() and "has no column" in beside
    for said in (logged.getvalue(), beside, trail, str(taken.lines())):
        assert "5550101" not in said and "jo@" not in said and "Doe" not in said


def test_whatever_a_refusal_says_the_log_and_the_report_say_it_masked(
    drop: Drop, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = drop.feed()
    laid(feed)

    def refused(of: Feed, path: Path) -> ImportReport:
        raise InputError("is odd: 212-555-0101", where="calls.csv, jo@example.com", how="Is it +442079460123?")

    monkeypatch.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: refused})
    drop.picked()
    for said in (logged.getvalue(), (feed / "failed" / "calls.csv.report.txt").read_text()):
        assert "is odd: ••••••••01" in said.encode().decode("unicode_escape" if "\\u" in said else "utf-8")
        assert "0101" not in said and "jo@" not in said and "0123" not in said


# --- the scheduler's chore ---


def test_the_chore_comes_last_and_takes_one_file_at_a_time_of_feeds_in_turn(drop: Drop, app: Flask) -> None:
    for name in ("a", "b"):
        feed = drop.feed(name=name)
        for number in range(2):
            laid(feed, f"{number}.csv", age=120 - number)
    chore = app.extensions["aftercall_chores"][-1]
    taken = []
    for _ in range(6):
        clockwork.do_chores([chore])
        taken.append([record.actor[-1] + record.file_name[0] for record in db.session.query(ImportRecord)][-1:])
    assert taken == [[], ["a0"], ["b0"], ["a1"], ["b1"], ["b1"]]


def test_a_chore_that_takes_long_holds_up_no_other_beat(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file must not keep the dispatcher waiting: the metronome plays every part in a thread of its own."""
    monkeypatch.setattr(clockwork, "CHORES_EVERY_SECONDS", 1)
    begun, ticks = Event(), []
    two_ticks_meanwhile = Event()

    def long_chore() -> None:
        begun.set()
        assert two_ticks_meanwhile.wait(30), "the turns waited for the chore"

    def turn(*_given: object, **_more: object) -> None:
        ticks.append(begun.is_set())
        if ticks.count(True) == 2:
            two_ticks_meanwhile.set()

    monkeypatch.setattr(clockwork.dispatch, "tick", turn)
    metronome = BackgroundScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
    with Leadership(app.config["SQLALCHEMY_DATABASE_URI"]) as leadership:
        assert leadership.renew()
        clockwork.schedule(metronome, app, leadership, {}, lambda _: None, 1, [long_chore])
        metronome.start()
        assert two_ticks_meanwhile.wait(30)
        metronome.shutdown()
    assert begun.is_set()
