"""Control totals tried out, replaced and removed: nothing of it is quiet."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask, current_app

from intake.total_removal import Removal, RemovalReport, remove
from survey import completeness, settings
from survey.clock import ManualClock
from survey.completeness import Report
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import AuditEntry, ControlTotal, ImportRecord, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples
from tests.intake.test_totals import NINE, sheet, stored, taken
from tests.intake.test_totals_cli import run

FIRST, LAST = date(2026, 3, 2), date(2026, 3, 3)
THREE = (NINE, "2026-03-02,10,40,39", "2026-03-03,9,7,7")


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place(name="North Side")


def removed(first: date = FIRST, last: date = LAST, *, dry_run: bool = False, **given: Any) -> RemovalReport:
    named: dict[str, Any] = {"organisation": "acme", "source": "pbxx", "first": first, "last": last} | given
    return remove(Removal(**named), actor="jo", dry_run=dry_run)


def compared(site: Site) -> Report:
    return completeness.compare(site.organisation_id, FIRST, LAST)


def entries() -> list[AuditEntry]:
    return db.session.query(AuditEntry).order_by(AuditEntry.id).all()


def told_by(*words: object, status: int = 0) -> Result:
    return run(current_app, *words, status=status)


# --- tried out ---


def rejects_files() -> set[str]:
    return {path.name for path in (settings.current().aftercall_data / "rejects").glob("*")}


def test_a_dry_run_says_all_and_keeps_nothing(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    before, kept = stored(), rejects_files()
    file = sheet(tmp_path, "2026-03-02,9,58,50", "2026-03-02,10,40,39", "2026-03-02,x,1,1")
    words = ("import", file, "--organisation", "acme", "--site", "north")
    told = told_by(*words, "--dry-run")
    assert told.output.startswith("Dry run: nothing was written.\n")
    assert "There would be 1 new, 1 updated, 0 unchanged, 1 rejected." in told.output
    assert "would change line 2: calls" in told.output
    as_json = json.loads(told_by(*words, "--dry-run", "--json").output)
    assert as_json["dry_run"] is True and "import_id" not in as_json and "rejects_file" not in as_json
    assert stored() == before and db.session.query(ImportRecord).count() == 1 and len(entries()) == 1
    assert rejects_files() == kept
    assert "1 new, 1 updated, 0 unchanged, 1 rejected." in told_by(*words).output


# --- replaced ---


def test_what_stood_before_is_kept_and_told_in_the_report_of_the_days(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, *THREE))
    assert compared(site).changed == []
    taken(sheet(tmp_path, "2026-03-02,9,30,30", "2026-03-02,10,40,39", "2026-03-02,11,1,1"))
    [part] = entries()[-1].detail["stood_before"]
    assert part["by_day"] == {"2026-03-02": [1, 57, 50]}
    assert (part["calls"], part["calls_after"], part["answered"], part["answered_after"]) == (57, 30, 50, 30)
    [line] = [each.line for each in compared(site).changed]
    assert line == (
        "North Side (north), 2026-03-02: 1 count of the whole site replaced on 2026-03-12 17:00 UTC by jo"
        " (57 calls before, 30 after)"
    )
    assert completeness.compare(site.organisation_id, LAST, LAST).changed == [], "of other days"


def test_a_count_that_is_only_added_replaces_none(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, "2026-03-02,9,57", header="date,hour,calls"))
    taken(sheet(tmp_path, NINE))
    taken(sheet(tmp_path, NINE))
    assert compared(site).changed == []


# --- removed ---


def test_counts_of_a_mistyped_source_go_and_the_trail_says_what_they_were(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, *THREE), source="pbxx")
    taken(sheet(tmp_path, "amy,2026-03-03,6", header="agent,date,calls"), source="pbxx")
    taken(sheet(tmp_path, NINE), source="pbx")
    report = removed()
    assert (report.removed, report.staying) == (4, 0) and [calls for _, _, calls, _ in stored()] == [57]
    entry = entries()[-1]
    assert (entry.actor, entry.action, entry.subject_id) == ("jo", "control totals removed", site.organisation_id)
    assert entry.detail["source"] == "pbxx" and entry.detail["counts"] == 4
    whole, agents = entry.detail["stood_before"]
    assert whole["by_day"] == {"2026-03-02": [2, 97, 89], "2026-03-03": [1, 7, 7]} and whole["counts"] == 3
    assert agents["by_day"] == {"2026-03-03": [1, 6, None]} and agents["of_agents"] is True
    told = [each.line.split(" by jo")[1] for each in compared(site).changed]
    assert told == [" (104 calls before)", " (6 calls before)"]


def test_counts_that_reach_beyond_the_days_stay(site: Site, tmp_path: Path) -> None:
    spans = (
        "2026-03-02 00:00,2026-03-04 00:00,5",
        "2026-03-03 00:00,2026-03-04 00:01,6",
        "2026-03-04 09:00,2026-03-04 10:00,7",
    )
    taken(sheet(tmp_path, *spans, header="starts_at,ends_at,calls"), source="pbxx")
    report = removed()
    assert (report.removed, report.staying) == (1, 1) and [calls for _, _, calls, _ in stored()] == [6, 7]
    assert "1 count of this source reaches beyond these days: not removed." in " ".join(report.lines())


def test_only_the_source_site_and_organisation_named(site: Site, tmp_path: Path) -> None:
    south = factories.site(organisation=site.organisation, key="south")
    db.session.commit()
    for key in ("north", "south"):
        taken(sheet(tmp_path, NINE), site=key, source="pbxx")
    assert removed(site="south").removed == 1
    [left] = db.session.query(ControlTotal)
    assert left.site_id == site.id != south.id
    other = factories.organisation(key="other")
    factories.site(organisation=other)
    db.session.commit()
    with pytest.raises(NotFound):
        removed(organisation="other")
    assert removed().removed == 1


def test_a_dry_run_removes_nothing(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, *THREE), source="pbxx")
    before = stored()
    report = removed(dry_run=True)
    assert report.removed == 3 and report.lines()[0] == "Dry run: nothing was removed."
    assert stored() == before and len(entries()) == 1 and compared(site).changed == []


def test_what_cannot_be_removed_is_said(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE), source="pbx")
    with pytest.raises(NotFound, match=r"no count of the source 'pbxx' lies wholly within .*Sources with counts: pbx"):
        removed()
    with pytest.raises(InputError, match="runs backwards"):
        removed(LAST, FIRST)
    with pytest.raises(NotFound, match="no site 'east'"):
        removed(site="east")
    assert len(stored()) == 1 and len(entries()) == 1


def test_removing_every_count_does_not_end_the_comparison(site: Site, tmp_path: Path) -> None:
    """Else whoever finds gaps could take the counts away, and be certified as one who never had any."""
    taken(sheet(tmp_path, *THREE), source="north")
    start = utc(2026, 3, 2, 14, 30)
    factories.call(place=site, source="north", started_at=start, ended_at=start, received_at=start)
    db.session.commit()
    removed(source="north")
    report = compared(site)
    assert report.cells == 0 and report.comparable and report.number_of_gaps == 1
    assert report.uncounted[0].line == "North Side (north): no counts at all of the whole site, 1 call handed in"


def test_the_command(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, *THREE), source="pbxx")
    days = ("--from", "2026-03-02", "--to", "2026-03-03")
    words = ("remove", "--organisation", "acme", "--source", "pbxx", *days)
    assert "3 counts would be removed." in told_by(*words, "--dry-run").output
    told = told_by(*words, "--site", "north", "--actor", "jo").output.splitlines()
    assert told[:2] == [
        "pbxx, 2026-03-02 to 2026-03-03: 3 counts removed.",
        "  North Side, 2026-03-02 to 2026-03-03: 3 counts of the whole site, 104 calls",
    ]
    assert "no count of the source" in told_by(*words, status=1).stderr
    told_by(*words[:-2], status=2)
    report = told_by("report", "--organisation", "acme", "--from", "2026-03-02", "--until", "2026-03-03").output
    assert report.splitlines()[-2:] == [
        "For you to know, no gap: counts that were changed after they came:",
        "  North Side (pbxx), 2026-03-02 to 2026-03-03: 3 counts of the whole site removed on 2026-03-12 17:00 UTC"
        " by jo (104 calls before)",
    ]


def test_the_report_names_days_not_counted_and_internal_calls(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, "2026-03-02,20,20", header="date,calls,answered"))
    for n in range(40):
        start = utc(2026, 3, 2 + n // 20, 15, n % 20)
        times: dict[str, Any] = {"started_at": start, "ended_at": start, "received_at": start}
        factories.call(place=site, source="north", internal=n < 3, **times)
    db.session.commit()
    days = ("--from", "2026-03-02", "--until", "2026-03-03")
    told = told_by("report", "--organisation", "acme", *days, status=1).output.splitlines()
    at = told.index("Not counted, which is a gap, too:")
    assert told[at + 1] == "  North Side (north), 2026-03-03: no counts of the whole site, 20 calls handed in"
    assert told[at + 2] == completeness.HOW
    assert told[at + 3] == "For you to look at, no gap: more than 5% of at least 20 calls are internal:"
    assert told[at + 4] == "  North Side: 3 of 40 calls (7.50%) are internal"
    as_json = json.loads(told_by("report", "--organisation", "acme", *days, "--json", status=1).output)
    assert as_json["internal"][0]["share"] == "3/40" and as_json["not_counted"][0]["first"] == "2026-03-03"
