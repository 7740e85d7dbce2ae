"""Rosters: added to, brought up to date, never deleted from; assignments never overlap."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from intake.reports import ImportReport
from intake.roster import import_roster
from survey.db import db
from survey.errors import InputError
from survey.models import Agent, Assignment, AuditEntry, ImportRecord, Organisation, Site, Supervisor
from tests.conftest import PROJECT
from tests.intake import samples

ROSTER = """
[organisation]
key = "acme"
name = "Acme Telephone"
country = "US"
phone = "+1 212 555 0100"
postal_address = "1 Example Street"
privacy_url = "https://example.com/privacy"

[[sites]]
key = "north"
name = "North"
time_zone = "America/New_York"
country = "US"
subdivision = "NY"
weekend = ["friday", "Saturday"]
closed_days = [2026-12-24, "2026-12-23"]
opened_on = 2024-01-01

[[supervisors]]
key = "sue"
name = "Sue Smith"

[[agents]]
key = "amy"
name = "Amy Adams"
listed = true
assignments = [
    { supervisor = "sue", site = "north", from = 2025-01-01, until = 2025-07-01 },
    { site = "north", from = 2025-07-01 },
]

[[agents]]
key = "bob"
name = "Bob Brown"

[[agents.assignments]]
supervisor = "sue"
site = "north"
from = 2025-02-01
"""


def imported(folder: Path, text: str = ROSTER, assignments: str | None = None) -> ImportReport:
    beside = None if assignments is None else samples.written(folder, assignments, "assignments.csv")
    return import_roster(samples.written(folder, text, "roster.toml"), assignments=beside, actor="test")


def spans(agent: str) -> list[tuple[str | None, date, date | None]]:
    db.session.expire_all()
    rows = db.session.execute(
        select(Supervisor.key, Assignment.starts_on, Assignment.ends_on)
        .select_from(Assignment)
        .join(Agent)
        .outerjoin(Supervisor, Supervisor.id == Assignment.supervisor_id)
        .where(Agent.key == agent)
        .order_by(Assignment.starts_on)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def test_a_roster_makes_everything_it_names(app: Flask, tmp_path: Path) -> None:
    assert samples.counts(imported(tmp_path)) == (8, 0, 0, 0)
    site = db.session.query(Site).one()
    assert (site.time_zone, site.subdivision, site.weekend) == ("America/New_York", "NY", [4, 5])
    assert site.closed_days == ["2026-12-23", "2026-12-24"] and site.opened_on == date(2024, 1, 1)
    assert site.calendar.is_business_day(date(2026, 12, 20)) and not site.calendar.is_business_day(date(2026, 12, 24))
    assert spans("amy") == [("sue", date(2025, 1, 1), date(2025, 7, 1)), (None, date(2025, 7, 1), None)]
    assert db.session.query(Agent).filter_by(key="amy").one().listed
    record = db.session.query(ImportRecord).one()
    assert record.organisation_id == db.session.query(Organisation).one().id and record.finished_at
    entry = db.session.query(AuditEntry).one()
    assert (entry.actor, entry.action, entry.detail["new"]) == ("test", "roster imported", 8)


def test_importing_twice_changes_nothing(app: Flask, tmp_path: Path) -> None:
    imported(tmp_path)
    assert samples.counts(imported(tmp_path)) == (0, 0, 8, 0)


def test_a_later_roster_updates_adds_and_ends_but_never_deletes(app: Flask, tmp_path: Path) -> None:
    imported(tmp_path)
    later = """
[organisation]
key = "ACME"
name = "Acme Broadband"
country = "US"
[[supervisors]]
key = "tom"
name = "Tom Tailor"
[[agents]]
key = "Amy"
name = "Amy Adams-Abel"
[[agents.assignments]]
site = "north"
from = 2025-07-01
until = 2026-01-01
[[agents.assignments]]
site = "north"
supervisor = "tom"
from = 2026-01-01
"""
    report = imported(tmp_path, later.replace("ACME", "acme"))
    assert samples.counts(report) == (2, 3, 0, 0)
    assert spans("amy") == [
        ("sue", date(2025, 1, 1), date(2025, 7, 1)),
        (None, date(2025, 7, 1), date(2026, 1, 1)),
        ("tom", date(2026, 1, 1), None),
    ]
    assert spans("bob") == [("sue", date(2025, 2, 1), None)]
    assert db.session.scalars(select(Agent.name).order_by(Agent.key)).all() == ["Amy Adams-Abel", "Bob Brown"]
    assert [change.what for change in report.changes] == ["organisation acme", "agents amy", "agent Amy, assignment 1"]


@pytest.mark.parametrize(
    "rows",
    [
        "amy,,north,2025-06-30,2025-07-01",  # a day inside a stored one
        "amy,,north,2025-01-01,2025-07-02",  # a stored one made longer
        "amy,,north,2024-01-01,",  # before all, and never ending
    ],
)
def test_an_overlap_with_what_is_stored_is_rejected(app: Flask, tmp_path: Path, rows: str) -> None:
    imported(tmp_path)
    before = spans("amy")
    text = f"agent,supervisor,site,from,until\n{rows}\nbob,sue,north,2025-02-01,2025-03-01\n"
    report = imported(tmp_path, '[organisation]\nkey="acme"\nname="Acme Telephone"\ncountry="US"\n', text)
    assert report.rejected == 1
    assert (
        report.rejects[0].where == "assignments.csv, line 2"
        and "overlaps another assignment" in report.rejects[0].reason
    )
    assert spans("amy") == before
    assert spans("bob") == [("sue", date(2025, 2, 1), date(2025, 3, 1))]


def test_an_overlap_within_the_file_leaves_the_agent_as_it_was(app: Flask, tmp_path: Path) -> None:
    lines = ["2026-01-01,2026-03-01", "2026-02-28,", "2023-01-01,2023-02-01"]
    text = "agent,site,from,until\n" + "".join(f"amy,north,{line}\n" for line in lines)
    imported(tmp_path, ROSTER)
    before = spans("amy")
    report = imported(tmp_path, ROSTER.replace("2025-07-01 },\n]", "2025-07-01, until = 2026-01-01 },\n]"), text)
    reasons = {reject.where: reject.reason for reject in report.rejects}
    assert reasons == {
        "agent amy, assignment 2": "another assignment of this agent overlaps",
        "assignments.csv, line 2": "overlaps another assignment of this agent",
        "assignments.csv, line 3": "overlaps another assignment of this agent",
        "assignments.csv, line 4": "another assignment of this agent overlaps",
    }
    assert spans("amy") == before


@pytest.mark.parametrize(
    ("before", "after", "where", "said"),
    [
        ('"America/New_York"', '"America/New_Yorck"', "sites 1 (north)", "is not a time zone"),
        ('subdivision = "NY"', 'subdivision = "XX"', "sites 1 (north)", "no holiday calendar for 'US-XX'"),
        ('country = "US"\nsub', 'country = "USA"\nsub', "sites 1 (north)", "'USA' is not a country"),
        ('name = "Sue Smith"', 'name = "Sue\\u0000"', "supervisors 1 (sue)", "contains a NUL byte"),
        ('"Saturday"', '"Caturday"', "sites 1 (north)", "'Caturday' is not a day of the week"),
        ("time_zone", "timezone", "sites 1 (north)", "timezone: is no key of this table (did you mean time_zone?)"),
        ('key = "sue"', "key = 7", "supervisors 1 (7)", "key: write text, between quotes"),
        ('key = "bob"', 'key = "AMY"', "agents 2 (AMY)", "its key is given twice"),
        ("until = 2025-07-01", "until = 2025-01-01", "agent amy, assignment 1", "until must lie after from"),
        (
            'supervisor = "sue"\nsite',
            'supervisor = "joe"\nsite',
            "agent bob, assignment 1",
            "unknown supervisor: 'joe'",
        ),
        ("from = 2025-02-01", "from = 2025-02-30", None, "is not TOML"),
        ('key = "acme"', "", None, "key: is missing"),
        ('country = "US"\nphone', 'country = "ZZ"\nphone', None, "'ZZ' is not a country"),
        ('country = "US"\nphone', 'country = "UK"\nphone', None, "'UK' is not a country; write its ISO 3166 code"),
        ("[[supervisors]]", "[[managers]]", None, "has a table 'managers'"),
        ("[[supervisors]]", "[supervisors]", None, "must be written as [[supervisors]]"),
        ("[organisation]", "[company]", None, "has a table 'company'"),
    ],
)
def test_what_cannot_be_taken_is_said_with_its_place(
    app: Flask, tmp_path: Path, before: str, after: str, where: str | None, said: str
) -> None:
    assert before in ROSTER
    text = ROSTER.replace(before, after, 1)
    if where is None:
        with pytest.raises(InputError) as refused:
            imported(tmp_path, text)
        assert said in str(refused.value)
        assert db.session.query(Organisation).count() == 0
    else:
        report = imported(tmp_path, text)
        samples.counts(report)
        assert said in {reject.where: reject.reason for reject in report.rejects}[where]
        assert db.session.query(Agent).filter_by(key="amy").count() == 1


def test_a_csv_of_assignments(app: Flask, tmp_path: Path) -> None:
    head = ROSTER.partition("[[agents]]")[0] + '[[agents]]\nkey = "amy"\nname = "Amy"\n'
    rows = "Agent;Supervisor;Site;From;Until\nAMY;sue;north;2025-01-01;\nzed;;north;2025-01-01;\namy;;;2024-01-01;\n"
    report = imported(tmp_path, head, rows)
    assert spans("amy") == [("sue", date(2025, 1, 1), None)]
    assert report.rejected_by == {"faulty entry": 1, "unknown agent": 1}
    assert {reject.where for reject in report.rejects} == {"assignments.csv, line 3", "assignments.csv, line 4"}


def test_the_documented_roster_is_one(app: Flask, tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "intake.md").read_text(encoding="utf-8")
    example = text.split("```toml")[1].split("```")[0]
    assert samples.counts(imported(tmp_path, example)) == (6, 0, 0, 0)
    assert spans("amy")[0] == ("sue", date(2025, 1, 1), date(2026, 1, 1))
