"""A file of which nothing could be taken leaves one trace, whichever way it came; a try leaves none."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from intake import drop_taking, refusals
from intake.drop_settings import Feed, FeedKind
from intake.refusals import ACTION, Attempt, Door, Refusal
from intake.reports import ImportReport
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import AuditEntry, ImportKind, ImportRecord, Site
from tests import factories
from tests.intake import samples
from tests.intake.dropping import NORTH, laid, opened
from tests.intake.test_cli import calls, run

UNCLEAR = samples.rows("1,amy,03/04/2025 09:00,60")


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def noted() -> list[Refusal]:
    """Every refusal of the trail, oldest first, as another session reads it."""
    db.session.rollback()
    return [refusals.told(entry) for entry in db.session.query(AuditEntry).filter_by(action=ACTION).order_by("id")]


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(60_000_000))
    return packed.getvalue()


HOSTILE = [
    (b"", "is empty"),
    (samples.HEADER.encode() + b"\n", "has a header but no rows"),
    (UNCLEAR.encode(), "line 2, column 'started_at': '03/04/2025' is 3 April 2025 read day first and 4 March 2025"),
    (b"\x89PNG\r\n\x1a\n" + bytes(300), "is neither delimited text nor an Excel workbook"),
    (b"PK\x03\x04 and no more", "is not a readable Excel workbook"),
    (b"a,b\n1,2\n", "header: has no column for the call's id"),
]


# --- the command line ---


@pytest.mark.parametrize(("content", "reason"), HOSTILE)
def test_a_refused_file_is_noted_with_all_that_is_known(
    app: Flask, site: Site, tmp_path: Path, content: bytes, reason: str
) -> None:
    file = samples.written(tmp_path, content)
    assert calls(app, file, "--actor", "jo").exit_code == 1
    (refusal,) = noted()
    assert refusal.reason.startswith(reason), refusal.reason
    assert (refusal.actor, refusal.organisation_id, refusal.file_name) == ("jo", site.organisation_id, "calls.csv")
    assert (refusal.kind, refusal.door, refusal.at) == (ImportKind.CALLS, "command line", clock.now())
    assert refusal.sha256 == hashlib.sha256(content).hexdigest()
    assert db.session.query(ImportRecord).count() == 0 and str(tmp_path) not in refusal.reason


def test_a_workbook_made_to_fill_the_memory_is_noted(app: Flask, site: Site, tmp_path: Path) -> None:
    calls(app, samples.written(tmp_path, bomb(), "calls.xlsx"))
    assert [refusal.reason.partition(" MB")[0] for refusal in noted()] == ["unpacks to 60"]


def test_a_dry_run_a_typing_error_and_a_file_of_bad_rows_leave_none(app: Flask, site: Site, tmp_path: Path) -> None:
    assert calls(app, samples.written(tmp_path, UNCLEAR), "--dry-run").exit_code == 1
    assert calls(app, tmp_path / "no-such.csv").exit_code == 1
    assert calls(app, samples.written(tmp_path, samples.rows("1,zed,2026-03-02 09:00,60"))).exit_code == 1
    assert noted() == [] and db.session.query(ImportRecord).count() == 1, "the bad rows have a record of their own"


def test_rosters_optouts_and_totals_are_noted_too(app: Flask, site: Site, tmp_path: Path) -> None:
    run(app, "roster", "import", samples.written(tmp_path, "[organisation", "roster.toml"))
    run(app, "optouts", "import", samples.written(tmp_path, "phone\n1\n", "o.csv"), "--organisation", "acme")
    run(app, "calls", "totals", "import", samples.written(tmp_path, "a,b\n", "t.csv"), "--organisation", "acme")
    first, second, third = noted()
    assert (third.kind, third.file_name, third.organisation_id) == (ImportKind.TOTALS, "t.csv", site.organisation_id)
    assert (first.kind, first.file_name, first.organisation_id) == (ImportKind.ROSTER, "roster.toml", None)
    assert (second.kind, second.file_name, second.organisation_id) == (
        ImportKind.OPTOUTS,
        "o.csv",
        site.organisation_id,
    )


def test_a_faulty_mapping_is_a_refusal_too(app: Flask, site: Site, tmp_path: Path) -> None:
    mapping = samples.written(tmp_path, "wheels = 4", "m.toml")
    calls(app, samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,60")), "--mapping", mapping)
    (refusal,) = noted()
    assert refusal.reason.startswith("m.toml: wheels: is no key of this table; known are columns, contacts,")


def test_an_unknown_organisation_is_nobodys_and_hides_nothing(app: Flask, site: Site, tmp_path: Path) -> None:
    said = run(app, "calls", "import", samples.written(tmp_path, UNCLEAR), "--organisation", "nobody")
    assert "there is no organisation 'nobody'" in said.stderr
    assert [refusal.organisation_id for refusal in noted()] == [None]
    assert run(app, "imports", "list", "--organisation", "acme").output == "No imports.\n"


def test_a_contact_in_a_reason_is_masked(app: Flask, site: Site, tmp_path: Path) -> None:
    mapping = samples.written(tmp_path, '[columns]\nexternal_id = "call_id"\nagent = "jo.bloggs@example.com"\n'
                              'started_at = "started_at"\ntalk_seconds = "+12125550147"\n', "m.toml")  # fmt: skip
    file = samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,60"))
    said = calls(app, file, "--mapping", mapping).stderr
    assert "bloggs" in said
    (refusal,) = noted()
    assert "bloggs" not in refusal.reason and "has no column 'j•••@example.com' (for agent)" in refusal.reason


# --- what is no refusal ---


def attempt(site: Site, **given: Any) -> Attempt:
    return Attempt(
        **{
            "file_name": "calls.csv",
            "sha256": "5" * 64,
            "kind": ImportKind.CALLS,
            "door": Door.CONSOLE,
            "organisation": site.organisation.key,
            "actor": "jo",
            "begun": clock.now(),
        }
        | given
    )


def test_an_import_that_broke_off_after_taking_rows_has_its_record_and_no_refusal(site: Site) -> None:
    factories.import_record(site.organisation_id, sha256="5" * 64, actor="jo", started_at=clock.now())
    db.session.commit()
    broke = InputError("cannot be read on", where="calls.csv")
    refusals.note(attempt(site), broke)
    assert noted() == []
    for other in ({"sha256": "6" * 64}, {"actor": "al"}, {"begun": clock.now() + timedelta(seconds=1)}):
        refusals.note(attempt(site, **other), broke)
    assert len(noted()) == 3, "another file, another person, an earlier try"


def test_what_may_be_taken_a_minute_later_is_not_refused(site: Site) -> None:
    refusals.note(attempt(site), Refused("the disk is full"))
    assert noted() == []


def test_a_refusal_survives_what_is_rolled_back_and_leaves_that_alone(site: Site) -> None:
    factories.import_record(site.organisation_id)
    refusals.note(attempt(site), NotFound("there is no site 'south'"))
    assert db.session.query(ImportRecord).count() == 1, "the caller's own transaction goes on"
    db.session.rollback()
    assert db.session.query(ImportRecord).count() == 0 and len(noted()) == 1


def test_a_database_that_is_away_hides_no_refusal(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_engine: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(refusals, "Session", away)
    file = samples.written(tmp_path, b"")
    with (
        pytest.raises(InputError, match="is empty"),
        refusals.noted(file, ImportKind.CALLS, Door.CONSOLE, organisation="acme", actor="jo"),
    ):
        raise InputError("is empty", where="calls.csv")


def test_a_reason_has_an_end(site: Site) -> None:
    refusals.note(attempt(site), InputError("x" * 100_000))
    assert len(noted()[0].reason) == refusals.LONGEST_REASON + 1


# --- the drop folder ---


def test_a_file_refused_by_the_drop_folder_is_noted_once(
    app: Flask, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = opened(app, tmp_path, monkeypatch)
    laid(drop.feed(), text=UNCLEAR)
    (taken,) = drop.picked().taken
    drop.look()
    (refusal,) = noted()
    assert (refusal.actor, refusal.door, refusal.file_name) == ("drop folder, acme", "drop folder", "calls.csv")
    assert (refusal.organisation_id, refusal.sha256) == (site.organisation_id, taken.sha256)
    assert refusal.reason.startswith("line 2, column 'started_at': '03/04/2025' is") and taken.sha256


def test_a_file_that_is_tried_again_is_not_refused(
    app: Flask, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = opened(app, tmp_path, monkeypatch)
    laid(drop.feed(NORTH))

    def faltering(of: Feed, path: Path) -> ImportReport:
        raise Refused("the process that reads the file ended in the midst of it")

    monkeypatch.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: faltering})
    assert drop.picked().taken == [] and noted() == []


# --- the list ---


def test_the_list_has_them_among_the_imports_by_their_time(
    app: Flask, site: Site, tmp_path: Path, at_noon: ManualClock
) -> None:
    other = factories.organisation(key="other")
    db.session.commit()
    files = [("a.csv", samples.rows("1,amy,2026-03-02 09:00,60")), ("b.csv", ""), ("c.csv", samples.HEADER)]
    files.append(("d.csv", samples.rows("2,amy,2026-03-02 09:00,60")))
    for name, content in files:
        calls(app, samples.written(tmp_path, content, name))
        at_noon.move_to(clock.now() + timedelta(minutes=1))
    refusals.note(attempt(site, organisation=other.key), InputError("is empty"))
    lines = run(app, "imports", "list", "--organisation", "acme").output.splitlines()
    assert [line.split()[4] for line in lines] == ["a.csv", "b.csv", "c.csv", "d.csv"]
    assert lines[1] == (
        "     -  2026-03-12T17:01:00Z  calls     -             b.csv  by command line: refused (command line): is empty"
    )
    told = json.loads(run(app, "imports", "list", "--organisation", "acme", "--json").output)
    assert [(each["id"], each["refused"]) for each in told] == [
        (1, None),
        (None, "is empty"),
        (None, "has a header but no rows"),
        (2, None),
    ]
    assert told[1]["sha256"] == hashlib.sha256(b"").hexdigest() and told[1]["door"] == "command line"
