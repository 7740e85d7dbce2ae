"""What the commands say while they wait, when they are stopped, and in which words they tell what they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Timer

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from intake import bulk, cli, drop_folder, history, reading, reports
from intake.calls import MADE_AGENTS
from intake.undo import UndoReport, undo
from survey import turns
from survey.clock import ManualClock
from survey.db import db
from survey.models import ImportRecord, Site
from survey.settings import current
from tests import factories
from tests.conftest import PROJECT
from tests.intake import dropping, samples
from tests.intake.test_cli import GOOD, calls, run

ROWS = [f"{number},amy,2026-03-02 09:00,60" for number in range(4)]
A_DRAW = turns._LOCK


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def optouts(app: Flask, file: Path) -> Result:
    return run(app, "optouts", "import", file, "--organisation", "acme")


# --- while it waits ---


@contextmanager
def held(lock: int, organisation_id: int) -> Iterator[Callable[[], None]]:
    """Another process's lock of the organisation; the function lets go of it. Lets go by itself after 20 seconds."""
    with db.engine.connect() as other:
        other.execute(select(func.pg_advisory_xact_lock(lock, func.hashint8(organisation_id))))
        late = Timer(20, other.rollback)
        late.start()
        try:
            yield other.rollback
        finally:
            late.cancel()


@pytest.mark.parametrize(
    ("command", "lock", "whom"),
    [
        ("calls", A_DRAW, "a draw"),
        ("calls", bulk._TURN, "another import"),
        ("optouts", bulk._OPTOUTS_TURN, "another import of opt-outs"),
    ],
)
def test_a_command_says_for_whom_it_waits(
    app: Flask, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, lock: int, whom: str
) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0.05)
    file = samples.written(tmp_path, samples.rows(GOOD) if command == "calls" else "contact\njo@example.com\n")
    with held(lock, site.organisation_id) as let_go:

        def told(tell: turns.Tell) -> AbstractContextManager[None]:
            def both(what: str) -> None:
                tell(what)
                let_go()

            return turns.waits_told(both)

        monkeypatch.setattr(cli, "waits_told", told)
        imported = calls if command == "calls" else optouts
        said = imported(app, file)
    assert said.exit_code == 0 and said.stdout.startswith("calls.csv: 1 row read: 1 new")
    assert said.stderr == f"waiting for {whom} of this organisation to finish\n"


def test_a_command_that_does_not_wait_says_nothing(app: Flask, tmp_path: Path) -> None:
    assert calls(app, samples.written(tmp_path, samples.rows(GOOD))).stderr == ""


# --- when it is stopped ---


def stopped_at(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, once so many rows are committed; every row is a batch of its own."""
    monkeypatch.setattr(reading, "CHUNK", 1)

    @contextmanager
    def bar(_path: Path, *, wanted: bool) -> Iterator[Callable[[int], None]]:
        def tell(read: int) -> None:
            if read == rows:
                raise KeyboardInterrupt

        yield tell

    monkeypatch.setattr(cli, "bar", bar)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (1, "1 row was read and is in, except those that had to be rejected"),
        (3, "3 rows were read and are in, except those that had to be rejected"),
    ],
)
def test_a_stopped_import_says_what_is_in(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, said: str
) -> None:
    file = samples.written(tmp_path, samples.rows(*ROWS))
    with monkeypatch.context() as patch:
        stopped_at(rows, patch)
        stopped = calls(app, file)
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert stopped.stderr == f"Stopped: {said}; run the same command again to complete it.\n"
    assert len(samples.stored()) == rows
    assert f"{4 - rows} new, 0 updated, {rows} unchanged" in calls(app, file).output


def test_a_stopped_dry_run_wrote_nothing(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_at(2, monkeypatch)
    stopped = calls(app, samples.written(tmp_path, samples.rows(*ROWS)), "--dry-run", "--json")
    assert (stopped.exit_code, stopped.stdout, stopped.stderr) == (1, "", "Stopped: nothing was written.\n")


def test_other_commands_end_without_a_stack_trace(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_key: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(history, "listed", stop)
    stopped = run(app, "imports", "list", "--organisation", "acme")
    assert stopped.exit_code == 1 and stopped.stderr.startswith("Stopped. The same command can be run again")


def test_ctrl_c_at_a_terminal(app: Flask, site: Site, tmp_path: Path) -> None:
    """A real signal, while the import waits for a draw."""
    file = samples.written(tmp_path, samples.rows(GOOD))
    with held(A_DRAW, site.organisation_id):
        child = _importing(file, tmp_path)
        assert child.stderr is not None
        assert child.stderr.readline() == "waiting for a draw of this organisation to finish\n"
        child.send_signal(signal.SIGINT)
        report, errors = child.communicate(timeout=30)
    assert (child.returncode, report) == (1, "")
    assert errors == "Stopped: nothing was written; run the same command again to complete it.\n"


def _importing(file: Path, folder: Path) -> subprocess.Popen[str]:
    keys = current().keys
    environment = {
        **os.environ,
        "AFTERCALL_DATA": str(folder / "var"),
        "DATABASE_URL": db.engine.url.render_as_string(hide_password=False),
        "SECRET_KEY": keys.secret_key,
        "DATA_KEY": keys.data_key,
        "FLASK_APP": "wsgi.py",
        "FLASK_SKIP_DOTENV": "1",
        "AFTERCALL_ENV_FILE": "",
    }
    command = [sys.executable, "-m", "flask", "calls", "import", str(file), "--organisation", "acme", "--site", "north"]
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# --- in which words ---


def test_pick_up_prints_its_text_or_its_json_and_nothing_else(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_folder, "BETWEEN_LOOKS_SECONDS", 0)
    drop = dropping.opened(app, tmp_path, monkeypatch)
    feed = drop.feed()
    drop.feed("", "broken")
    for more in ((), ("--json",)):
        dropping.laid(feed)
        with dropping.logged() as entries:
            said = run(app, "calls", "pick-up", *more)
        assert entries == [] and said.stderr == "" and "calls" in said.stdout


def test_each_reason_is_told_once_the_most_frequent_first(app: Flask, tmp_path: Path) -> None:
    agents = ["zed", "yan", "zed", "xia", "yan", "zed"]
    rows = [f"{number},{agent},2026-03-02 09:00,60" for number, agent in enumerate(agents)]
    file = samples.written(tmp_path, samples.rows(*rows))
    said = calls(app, file).output
    assert [line for line in said.splitlines() if line.startswith("  ")] == [
        "  line 2, agent: unknown agent: 'zed' (3 times, the first time here)",
        "  line 3, agent: unknown agent: 'yan' (2 times, the first time here)",
        "  line 5, agent: unknown agent: 'xia'",
    ]
    told = json.loads(calls(app, file, "--json").output)
    first = told["most_rejected"][0]
    assert (first["where"], first["reason"], first["count"]) == ("line 2", "unknown agent: 'zed'", 3)
    assert len(told["rejects"]) == 6 and "alike" not in told
    assert "  --rejects FILE keeps every one" in calls(app, file, "--dry-run").output, "there are no more than those"


def test_rejects_that_all_differ_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_DISTINCT", 20)
    rows = [f"{number},nobody{number % 50},2026-03-02 09:00,60" for number in range(100)]
    report = samples.taken(samples.written(tmp_path, samples.rows(*rows)))
    assert report.rejected == 100 and len(report.alike) == 20 and {each.count for each in report.most_rejected} == {2}


def test_one_is_one_and_two_are_two(app: Flask, tmp_path: Path) -> None:
    one = calls(app, samples.written(tmp_path, samples.rows("1,zed,2026-03-02 09:00,60")), "--create-agents").output
    assert one.startswith("calls.csv: 1 row read: 1 new") and f"Note: {MADE_AGENTS}: 1." in one.splitlines()
    shown = run(app, "imports", "show", 1).output
    assert "\n1 row read: 1 new" in shown and f"Note: {MADE_AGENTS}: 1." in shown.splitlines()
    undone = run(app, "imports", "undo", 1).output
    assert "1 call and 0 customers removed, 0 changes taken back, 1 agent it had made removed." in undone
    assert "2 calls and 1 customer removed, 1 change taken back, 2 agents" in UndoReport(1, 2, 1, 1, 2).lines()[0]
    two = samples.written(tmp_path, samples.rows("1,zed,2026-03-02 09:00,60", "2,yan,2026-03-02 09:00,60"))
    assert f"Note: {MADE_AGENTS}: 2." in calls(app, two, "--create-agents").output.splitlines()


def test_a_dry_run_speaks_of_what_would_be(app: Flask, tmp_path: Path) -> None:
    contacts = samples.written(tmp_path, "call_id,email\n1,jo@example.com\n9,di@example.com\n", "contacts.csv")
    file = samples.written(tmp_path, samples.rows("1,zed,2026-03-02 09:00,60", "2,yan,soon,60"))
    said = calls(app, file, "--create-agents", "--contacts", contacts, "--dry-run").output
    assert said.splitlines() == [
        "Dry run: nothing was written.",
        "calls.csv: 2 rows read. There would be 1 new, 0 updated, 0 unchanged, 1 rejected.",
        "Contacts: 2 read, 1 would be used, 1 would be not used, 0 would be rejected.",
        "Would be noted: agents who would be made from the calls, at the site of their first call since its day,"
        " without a supervisor: 1.",
        "Would reject 1: started_at: not a date with a time.",
        "  line 3, started_at: not a date with a time: 'soon'",
        "  --rejects FILE keeps every one with its reason",
    ]


def test_the_list_names_the_source(app: Flask, site: Site, tmp_path: Path) -> None:
    calls(app, samples.written(tmp_path, samples.rows(GOOD)), "--source", "switch")
    stops = samples.written(tmp_path, "contact\n212-555-0101\n", "o.csv")
    run(app, "optouts", "import", stops, "--organisation", "acme")
    first, second = run(app, "imports", "list", "--organisation", "acme").output.splitlines()
    assert "  calls     switch        calls.csv  by" in first and "  optouts   -             o.csv  by" in second


def test_an_import_undone_before_it_was_finished_says_so(app: Flask, site: Site) -> None:
    number = factories.import_record(site.organisation_id, finished_at=None).id
    db.session.commit()
    assert "cut off" in run(app, "imports", "show", number).output
    undo(number, actor="jo")
    db.session.commit()
    assert db.session.get_one(ImportRecord, number).finished_at is None
    shown = run(app, "imports", "show", number).output
    assert "cut off" not in shown and "handing the file in again" not in shown
    assert "; undone at 2026-03-12T17:00:00Z by jo, before it was finished\n" in shown


def test_an_optout_of_an_extension_says_what_is_stopped(app: Flask) -> None:
    said = run(app, "optouts", "add", "212-555-0123 ext 5", "--organisation", "acme").output
    assert said.startswith("Opt-out of this phone recorded.\n") and "the whole number is left alone" in said
    again = json.loads(run(app, "optouts", "add", "212-555-0123", "--organisation", "acme", "--json").output)
    assert again == {"kind": "phone", "new": False, "had_extension": False}
