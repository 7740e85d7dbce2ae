"""The commands: what they print, and how they end (0 done, 1 refused with a reason, 2 usage)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from intake import drop_folder
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.models import ImportRecord
from survey.turns import import_under_way
from tests import factories
from tests.intake import dropping, samples
from tests.intake.test_roster import ROSTER

GOOD = "1,amy,2026-03-02 09:00,60"


@pytest.fixture(autouse=True)
def _time(at_noon: ManualClock) -> None:
    """The clock stands still."""


def run(app: Flask, *arguments: object) -> Result:
    result = app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def calls(app: Flask, file: Path, *more: object) -> Result:
    return run(app, "calls", "import", file, "--organisation", "acme", "--site", "north", *more)


def test_from_roster_to_calls_to_optouts(app: Flask, tmp_path: Path) -> None:
    roster = samples.written(tmp_path, ROSTER, "roster.toml")
    report = json.loads(run(app, "roster", "import", roster, "--json", "--actor", "jo").output)
    assert (report["kind"], report["read"], report["new"]) == ("roster", 8, 8)
    file = samples.written(tmp_path, f"{samples.HEADER},phone\n{GOOD},212-555-0101\n2,zed,2026-03-02 09:00,60,\n")
    said = calls(app, file)
    assert said.exit_code == 0
    assert "calls.csv: 2 rows read: 1 new, 0 updated, 0 unchanged, 1 rejected." in said.output
    assert "line 3, agent: unknown agent: 'zed'" in said.output and "Every rejected row:" in said.output
    assert json.loads(calls(app, file, "--json").output)["unchanged"] == 1
    assert {record.actor for record in db.session.query(ImportRecord)} == {"jo", "command line"}
    assert (
        run(app, "optouts", "add", "212-555-0101", "--organisation", "acme").output
        == "Opt-out of this phone recorded.\n"
    )
    assert len(json.loads(run(app, "optouts", "list", "--organisation", "acme", "--json").output)) == 1
    assert "lifted" in run(app, "optouts", "remove", "2125550101", "--organisation", "acme").output
    assert run(app, "optouts", "list", "--organisation", "acme").output == "No opt-outs.\n"


def test_a_mapping_and_contacts_by_option(app: Flask, tmp_path: Path) -> None:
    samples.place()
    file = samples.written(tmp_path, "Ref;Wann;Dauer\n7;02/03/2026 09:00;1:05\n")
    columns = 'external_id = "Ref"\nstarted_at = "Wann"\ntalk_seconds = "Dauer"\n'
    mapping = samples.written(tmp_path, f"[columns]\n{columns}", "mapping.toml")
    contacts = samples.written(tmp_path, "call_id,email\n7,jo@example.com\n", "contacts.csv")
    refused = calls(app, file, "--mapping", mapping)
    assert (
        refused.exit_code == 1 and "2 March 2026 read day first and 3 February 2026 read month first" in refused.stderr
    )
    report = json.loads(
        calls(app, file, "--mapping", mapping, "--date-order", "dmy", "--contacts", contacts, "--json").output
    )
    assert report["new"] == 1 and report["contacts"]["used"] == 1
    assert samples.stored()["7"].customer is not None


@pytest.mark.parametrize("named", ["calls.csv", "contacts.csv", "."])
def test_the_rejects_never_overwrite_what_is_read(app: Flask, tmp_path: Path, named: str) -> None:
    samples.place()
    (tmp_path / "x").mkdir()
    file = samples.written(tmp_path, f"{samples.HEADER}\n{GOOD}\n2,amy,soon,60\n")
    contacts = samples.written(tmp_path, "call_id,email\n1,jo@example.com\n", "contacts.csv")
    before = file.read_bytes(), contacts.read_bytes()
    refused = calls(app, file, "--contacts", contacts, "--rejects", tmp_path / "x" / ".." / named)
    assert refused.exit_code == 1 and "--rejects" in refused.stderr
    assert (file.read_bytes(), contacts.read_bytes()) == before and samples.stored() == {}


def test_a_number_the_mapping_does_not_name_is_not_repeated(app: Flask, tmp_path: Path) -> None:
    samples.place()
    file = samples.written(tmp_path, f"{samples.HEADER},phone\n{GOOD},212-555-0101\n")
    mapping = samples.written(tmp_path, '[values]\nphone = { anonymous = "" }\n', "mapping.toml")
    rejects = tmp_path / "rejects.csv"
    said = calls(app, file, "--mapping", mapping, "--rejects", rejects)
    assert "a value the mapping does not name" in said.output
    assert "0101" not in said.output + rejects.read_text()


def test_a_dry_run_prints_what_would_change(app: Flask, tmp_path: Path) -> None:
    samples.place()
    calls(app, samples.written(tmp_path, f"{samples.HEADER}\n{GOOD}\n"))
    said = calls(
        app, samples.written(tmp_path, f"{samples.HEADER}\n1,amy,2026-03-02 09:00,90\nx,,soon,1\n"), "--dry-run"
    )
    assert said.exit_code == 0 and said.output.startswith("Dry run: nothing was written.\n")
    assert "would change 1: ended_at, talk_seconds" in said.output and "line 3, started_at: not a date" in said.output
    assert samples.stored()["1"].talk_seconds == 60


def test_a_dry_run_says_how_much_it_does_not_show(app: Flask, tmp_path: Path) -> None:
    samples.place()
    first = [f"{number},amy,2026-03-02 09:00,60" for number in range(12)]
    calls(app, samples.written(tmp_path, samples.rows(*first)))
    longer = [row.replace(",60", ",90") for row in first] + [f"x{number},,soon {number},1" for number in range(13)]
    file = samples.written(tmp_path, samples.rows(*longer))
    said = calls(app, file, "--dry-run").output
    assert "25 rows read. There would be 0 new, 12 updated, 0 unchanged, 13 rejected." in said
    assert "... and would change 2 more" in said and "... and 3 more rows would be rejected; --rejects FILE" in said
    kept = calls(app, file, "--dry-run", "--rejects", tmp_path / "rejects.csv").output
    assert "--rejects" not in kept and len((tmp_path / "rejects.csv").read_text().splitlines()) == 14
    assert "Dry run" not in calls(app, file).output and "more" not in calls(app, file).output


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "is empty"), (samples.HEADER, "no rows"), ("a,b\n1,2\n", "has no column"), (None, "no such file")],
)
def test_a_file_that_cannot_be_taken_is_one_line_and_exit_1(
    app: Flask, tmp_path: Path, content: str | None, said: str
) -> None:
    samples.place()
    file = tmp_path / "calls.csv" if content is None else samples.written(tmp_path, content)
    result = calls(app, file)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("Refused: ") and said in result.stderr and result.stderr.count("\n") == 1


def test_a_file_of_bad_rows_only_is_exit_1_with_its_report(app: Flask, tmp_path: Path) -> None:
    samples.place()
    result = calls(app, samples.written(tmp_path, f"{samples.HEADER}\n1,amy,soon,60\n"), "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["rejected"] == 1


def test_unknown_options_are_usage(app: Flask, tmp_path: Path) -> None:
    assert run(app, "calls", "import", "x.csv").exit_code == 2
    assert run(app, "optouts", "add").exit_code == 2


# --- the drop folder and the history ---


def test_pick_up_says_what_it_did_and_whether_something_failed(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.place()
    refused = run(app, "calls", "pick-up")
    assert refused.exit_code == 1 and refused.stderr.startswith("Refused: INTAKE_DIR: no drop folder is set.")
    monkeypatch.setattr(drop_folder, "BETWEEN_LOOKS_SECONDS", 0)
    drop = dropping.opened(app, tmp_path, monkeypatch)
    feed = drop.feed()
    idle = run(app, "calls", "pick-up")
    assert (idle.exit_code, idle.output) == (0, "There is nothing to take.\n")
    dropping.laid(feed)
    dropping.laid(feed, "late.csv", age=3)
    said = run(app, "calls", "pick-up")
    assert (
        said.exit_code == 0
        and "acme/calls.csv: taken in (import 1); it lies in acme/done/calls.csv now." in said.output
    )
    assert "Left alone: acme/late.csv: was written to 3 seconds ago" in said.output
    dropping.laid(feed, "bad.csv", "a,b\n1,2\n")
    failed = run(app, "calls", "pick-up", "--json")
    told = json.loads(failed.stdout)
    assert failed.exit_code == 1 and [file["outcome"] for file in told["taken"]] == ["failed"]
    drop.feed("", "broken")
    assert run(app, "calls", "pick-up").exit_code == 1


def test_the_history_of_imports(app: Flask, tmp_path: Path) -> None:
    samples.place()
    factories.import_record(factories.organisation(key="other").id)
    db.session.commit()
    assert run(app, "imports", "list", "--organisation", "acme").output == "No imports.\n"
    calls(app, samples.written(tmp_path, samples.rows(GOOD)), "--actor", "jo")
    calls(app, samples.written(tmp_path, samples.rows(GOOD, "2,zed,2026-03-02 09:00,60"), "more.csv"))
    first, second = json.loads(run(app, "imports", "list", "--organisation", "acme", "--json").output)
    assert (first["actor"], first["file_name"], first["new"], first["undone_at"]) == ("jo", "calls.csv", 1, None)
    lines = run(app, "imports", "list", "--organisation", "acme").output.splitlines()
    told = "north         more.csv  by command line: 2 read: 0 new, 0 updated, 1 unchanged, 1 rejected"
    assert len(lines) == 2 and told in lines[1]
    shown = run(app, "imports", "show", second["id"]).output
    for part in (
        "(calls) of acme, source north",
        "more.csv",
        second["sha256"],
        "By: command line",
        "1 rejected",
        "Undone: no.",
    ):
        assert part in shown
    assert "Rejected 1: unknown agent." in shown and f"Every rejected row: {second['rejects_file']}\n" in shown
    Path(second["rejects_file"]).unlink()
    assert "not on this machine, or deleted" in run(app, "imports", "show", second["id"]).output
    told = json.loads(run(app, "imports", "show", first["id"], "--json").output)
    assert told == {**first, "organisation": "acme"}


def test_an_import_is_undone_once_and_its_record_stays(app: Flask, tmp_path: Path) -> None:
    samples.place()
    file = samples.written(tmp_path, samples.rows(GOOD))
    calls(app, file)
    said = run(app, "imports", "undo", 1, "--actor", "jo")
    assert said.exit_code == 0 and said.output.startswith("Import 1 is undone: 1 call and") and samples.stored() == {}
    db.session.rollback()
    assert run(app, "imports", "list", "--organisation", "acme").output.endswith("  undone\n")
    assert "Undone: 2026-03-12T17:00:00Z by jo." in run(app, "imports", "show", 1).output
    again = run(app, "imports", "undo", 1)
    assert again.exit_code == 1 and "Refused: import 1 is undone already, by jo" in again.stderr
    assert json.loads(calls(app, file, "--json").output)["new"] == 1
    told = json.loads(run(app, "imports", "undo", 2, "--json").output)
    assert (told["import_id"], told["calls_removed"]) == (2, 1)
    assert run(app, "imports", "undo", 9).exit_code == 1


def test_an_import_that_has_no_end_stands_as_the_console_says(app: Flask) -> None:
    owner = samples.place().organisation_id
    factories.import_record(owner, finished_at=None)
    db.session.commit()

    def said(number: int = 1) -> tuple[str, str, Any]:
        listed = run(app, "imports", "list", "--organisation", "acme").output.splitlines()[0]
        shown = run(app, "imports", "show", number)
        return listed.rpartition("rejected")[2], shown.output.splitlines()[3].partition("Z")[2], shown_state(number)

    def shown_state(number: int) -> Any:
        told = json.loads(run(app, "imports", "show", number, "--json").output)
        return told["state"], told["completed_by"]

    with import_under_way(owner):
        assert said() == ("  under way", ", under way: the counts grow", ("under way", None))
    assert said() == ("  cut off", ", cut off; handing the file in again completes it", ("cut off", None))
    factories.import_record(owner, finished_at=clock.now())
    db.session.commit()
    completed = "cut off, completed by import 2"
    assert said() == (f"  {completed}", f", {completed}", ("cut off", 2))
    assert shown_state(2) == ("taken in", None)


def test_no_such_import_or_organisation(app: Flask) -> None:
    assert "there is no import 7" in run(app, "imports", "show", 7).stderr
    for command in ("show", "undo"):
        assert run(app, "imports", command, 10**20).exit_code == 2
    refused = run(app, "imports", "list", "--organisation", "nobody")
    assert refused.exit_code == 1 and "there is no organisation 'nobody'" in refused.stderr
