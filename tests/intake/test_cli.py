"""The commands: what they print, and how they end (0 done, 1 refused with a reason, 2 usage)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from survey.clock import ManualClock
from survey.db import db
from survey.models import ImportRecord
from tests.intake import samples
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
