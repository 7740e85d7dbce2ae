"""What is said of a file of calls as a whole, of rejects by column, and of an undo beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from intake.calls import CallOptions
from intake.preview import preview
from intake.remarks import NO_AGENT, NO_CONTACT
from intake.undo import undo
from survey.clock import ManualClock
from survey.db import db
from survey.models import ImportRecord, Site
from tests import factories
from tests.intake import samples
from tests.intake.test_cli import calls, run

THEIRS = "call_id,operator,started_at,talk_seconds,telephone,Agent Name"
ROW = "1,x,2026-03-02 09:00,60,212-555-0101,y"
NOT_USED = "Not used: operator, telephone, Agent Name."


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def test_columns_that_are_missing_or_not_used_are_told_of(app: Flask, tmp_path: Path) -> None:
    file = samples.written(tmp_path, samples.rows(ROW, header=THEIRS))
    for more in (["--dry-run"], []):
        said = calls(app, file, *more).output.splitlines()
        assert [line for line in said if line.startswith("Note")] == [
            f"Note: {told}" for told in (NO_CONTACT, NO_AGENT, NOT_USED)
        ]
    assert NO_CONTACT == "No column for phone or email: nobody can be asked about these calls."
    (record,) = db.session.query(ImportRecord)
    assert f"Note: {NOT_USED}\n" in run(app, "imports", "show", record.id).output
    assert json.loads(calls(app, file, "--json").output)["remarks"] == [NO_CONTACT, NO_AGENT, NOT_USED]
    shown = preview(file, CallOptions(organisation="acme", site="north"))
    assert shown.remarks == [NO_CONTACT, NO_AGENT, NOT_USED]


def test_of_json_its_keys(tmp_path: Path) -> None:
    call = {"call_id": "1", "operator": "x", "started_at": "2026-03-02T09:00", "talk_seconds": 60, "who": {"name": "y"}}
    report = samples.taken(samples.written(tmp_path, json.dumps([call]), "calls.json"))
    assert samples.counts(report)[0] == 1 and report.remarks == [NO_CONTACT, NO_AGENT, "Not used: operator, who.name."]


def test_a_whole_file_needs_no_remark(tmp_path: Path) -> None:
    header, row = f"{samples.HEADER},email", "1,amy,2026-03-02 09:00,60,jo@example.com"
    assert samples.taken(samples.written(tmp_path, samples.rows(row, header=header))).remarks == []
    contacts = samples.written(tmp_path, "call_id,phone\n2,212-555-0101\n", "contacts.csv")
    file = samples.written(tmp_path, samples.rows("2,amy,2026-03-02 09:00,60"))
    assert samples.taken(file, contacts=contacts).remarks == []


def test_a_mappings_columns_are_used_and_its_constants_are_there(tmp_path: Path) -> None:
    mapping = {
        "columns": {"external_id": "call_id", "started_at": "started_at", "talk_seconds": "talk_seconds"},
        "constants": {"agent": "amy"},
        "id_columns": ["call_id", "operator"],
    }
    file = samples.written(tmp_path, samples.rows(ROW, header=THEIRS))
    assert samples.taken(file, mapping).remarks == [NO_CONTACT, "Not used: telephone, Agent Name."]


def test_a_header_of_contacts_is_not_told(tmp_path: Path) -> None:
    columns = {"external_id": "7", "started_at": "2026-03-02 09:00", "talk_seconds": "60"}
    file = samples.written(tmp_path, "7,2026-03-02 09:00,60,Jo Bloggs,212-555-0147\n8,2026-03-02 10:00,61,x,y\n")
    report = samples.taken(file, {"columns": columns})
    assert report.remarks[-1] == "Not used: 2 columns."


def test_the_same_file_under_another_source(app: Flask, tmp_path: Path) -> None:
    file = samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,60"))
    first = samples.taken(file, source="pwc").import_id
    said = f"This file was import {first}, source pwc: under another source its calls are other calls."
    options = CallOptions(organisation="acme", site="north", source="other")
    assert said in samples.taken(file, source="other", dry_run=True).remarks
    assert said in preview(file, options).remarks
    assert f"Note: {said}\n" in calls(app, file, "--source", "other").output
    same = samples.taken(file, source="pwc").remarks
    assert said not in same and any("source other:" in remark for remark in same)


def test_another_organisation_an_undone_import_or_an_empty_one_is_none(tmp_path: Path) -> None:
    elsewhere = factories.site(organisation=factories.organisation(key="other"), key="north")
    factories.agent(elsewhere, key="amy")
    db.session.commit()
    file = samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,60"))
    samples.taken(file, organisation="other", source="pwc")
    number = samples.taken(file, source="gone").import_id
    assert number is not None
    undo(number, actor="jo")
    db.session.commit()
    nothing = {"values": {"agent": {"bo": "bo"}}}
    assert samples.taken(file, nothing, source="nothing").nothing_taken
    assert not [each for each in samples.taken(file, source="now").remarks if each.startswith("This file")]


def test_the_report_says_how_to_undo_and_what_to_do_about_rejects(app: Flask, tmp_path: Path) -> None:
    good, bad = (
        ("1,amy,2026-03-02 09:00,60", "2,zed,2026-03-02 09:00,60"),
        ("3,amy,,60", "4,jos\xe9,2026-03-02 09:00,60"),
    )
    file = samples.written(tmp_path, samples.rows(*good, *bad).encode("latin-1"))
    said = calls(app, file).output
    (record,) = db.session.query(ImportRecord)
    assert f"It is import {record.id}; to undo it: flask imports undo {record.id}\n" in said
    assert "Rejected 1: started_at: is empty.\n" in said and "started_at: is empty" in record.rejected_by
    make = "Put them into the roster, or let agents be made: --create-agents."
    save = "Save the file as CSV UTF-8, and hand it in again."
    for told in (said, run(app, "imports", "show", record.id).output):
        assert f"Rejected 1: unknown agent. {make}\n" in told
        assert f"Rejected 1: agent: not UTF-8. {save}\n" in told
        assert f"not UTF-8 (read as \ufffd): 1. {save}\n" in told
    assert "to undo it" not in calls(app, file, "--dry-run").output
    again = calls(app, file).output
    assert ", and brought nothing in.\n" in again and "to undo it" not in again


def test_an_undo_is_foretold(app: Flask, tmp_path: Path) -> None:
    two = samples.rows("1,amy,2026-03-02 09:00,60", "2,amy,2026-03-02 09:00,6")
    first = samples.taken(samples.written(tmp_path, two))
    said = run(app, "imports", "undo", first.import_id, "--dry-run")
    assert said.exit_code == 0 and "2 calls that it brought in would be removed, 0 changes" in said.output
    assert set(samples.stored()) == {"1", "2"}
    assert db.session.get_one(ImportRecord, first.import_id).undone_at is None
    second = samples.taken(samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,61")))
    refused = run(app, "imports", "undo", first.import_id, "--dry-run")
    assert refused.exit_code == 1 and f"the newest before the others: {second.import_id}." in refused.stderr
    told = json.loads(run(app, "imports", "undo", second.import_id, "--dry-run", "--json").output)
    assert told == {"import_id": second.import_id, "dry_run": True, "calls": 0, "changes": 1, "drawn": 0}
    factories.draw(samples.stored()["1"], factories.campaign([db.session.query(Site).filter_by(key="north").one()]))
    db.session.commit()
    refused = run(app, "imports", "undo", second.import_id, "--dry-run")
    assert refused.exit_code == 1 and "has had its draw" in refused.stderr


def test_what_no_undo_is_for_is_foretold_too(app: Flask, site: Site) -> None:
    number = factories.import_record(site.organisation_id, kind="roster").id
    db.session.commit()
    assert "Only an import of calls can be undone" in run(app, "imports", "undo", number, "--dry-run").stderr
    assert "there is no import 999" in run(app, "imports", "undo", 999, "--dry-run").stderr
