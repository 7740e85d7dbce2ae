"""`flask calls totals`: from the telephone system's own counts to the report of what is missing."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from survey.clock import ManualClock
from survey.db import db
from survey.models import Site
from tests import factories
from tests.factories import utc
from tests.intake import samples
from tests.intake.test_totals import sheet


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place(name="North Side")


def run(app: Flask, *words: object, status: int = 0) -> Result:
    result = app.test_cli_runner().invoke(args=["calls", "totals", *map(str, words)])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def test_from_the_sheet_to_the_report(app: Flask, site: Site, tmp_path: Path) -> None:
    nothing = run(app, "report", "--organisation", "acme", "--from", "2026-03-01", "--until", "2026-03-02")
    assert "no control total covers these days" in nothing.output and "flask calls totals import" in nothing.output
    assert json.loads(run(app, "report", "--organisation", "acme", "--json").output)["control_totals"] == 0

    file = sheet(tmp_path, "2026-03-02,9,2,2", "2026-03-03,9,1,1")
    said = run(app, "import", file, "--organisation", "acme", "--site", "north", "--source", "pbx", "--actor", "jo")
    assert "totals.csv: 2 rows read: 2 new, 0 updated, 0 unchanged, 0 rejected." in said.output
    start = utc(2026, 3, 2, 14, 30)
    for received_at in (start + timedelta(hours=1), utc(2026, 3, 20), utc(2026, 3, 20)):
        times = {"started_at": start, "ended_at": start, "received_at": received_at}
        factories.call(place=site, source="pbx", **times)
    db.session.commit()
    told = run(app, "report", "--organisation", "acme", status=1).output.splitlines()
    assert told[0].endswith("2026-03-02 to 2026-03-03: 2 control totals compared with the calls handed in.")
    assert told[1] == "2 calls came in after their deadlines and do not count."


def test_the_report_names_every_level_and_how_to_mend(app: Flask, site: Site, tmp_path: Path) -> None:
    run(
        app,
        "import",
        sheet(tmp_path, "2026-03-02,9,1,", "2026-03-03,9,1,"),
        "--organisation",
        "acme",
        "--site",
        "north",
    )
    start = utc(2026, 3, 2, 14, 30)
    factories.call(place=site, source="north", started_at=start, ended_at=start, received_at=utc(2026, 3, 11))
    db.session.commit()
    told = run(app, "report", "--organisation", "acme", "--until", "2026-03-05", status=1).output.splitlines()
    assert told[1:3] == [
        "1 call came in after its deadline and does not count.",
        "North Side: no control total for 2 days, the first 2026-03-04, the last 2026-03-05.",
    ]
    figures = "counted, 0 handed in: 2 missing (100.00%), 1 came too late"
    assert told[3:7] == [
        "1 gap added up over the whole range:",
        f"  North Side (north), 2026-03-02 to 2026-03-03: 2 calls {figures}",
        "1 gap added up by month:",
        f"  North Side (north), March 2026: 2 calls {figures}",
    ]
    assert told[7] == "2 gaps in single control totals:" and told[-1].startswith("If calls are missing, import them")
    as_json = json.loads(run(app, "report", "--organisation", "acme", "--json", status=1).output)
    assert as_json["found"] == {"range": 1, "month": 1, "cell": 2} and as_json["came_too_late"] == 1
    assert {gap["level"] for gap in as_json["gaps"]} == {"range", "month", "cell"}
    assert as_json["gaps"][-1]["starts_at"] == "2026-03-03T14:00:00Z" and as_json["gaps"][-1]["share"] == "1/1"


def test_a_report_without_a_gap_ends_well(app: Flask, site: Site, tmp_path: Path) -> None:
    run(app, "import", sheet(tmp_path, "2026-03-02,9,0,0"), "--organisation", "acme", "--site", "north")
    assert run(app, "report", "--organisation", "acme").output.endswith("No gap above 0.5%.\n")


def test_what_is_refused_is_one_line(app: Flask, site: Site, tmp_path: Path) -> None:
    told = run(app, "import", tmp_path / "none.csv", "--organisation", "acme", "--site", "north", status=1)
    assert told.stderr.startswith("Refused: ") and told.stderr.count("\n") == 1
    bad = sheet(tmp_path, "2026-03-02,x,1,1")
    assert "rejected" in run(app, "import", bad, "--organisation", "acme", "--site", "north", status=1).output
    assert "no organisation" in run(app, "report", "--organisation", "nobody", status=1).stderr
    days = ("--from", "2026-03-02", "--until", "2026-03-01")
    assert "runs backwards" in run(app, "report", "--organisation", "acme", *days, status=1).stderr
    for day in ("0001-01-01", "soon", "9999-12-31"):
        run(app, "report", "--organisation", "acme", "--until", day, status=2)
