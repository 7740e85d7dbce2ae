"""Two imports of the same calls at the same moment: every call once, every row counted, nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import reading
from intake.journal import Journal
from intake.reports import ImportReport
from intake.roster import import_roster
from intake.staff import Staff, roster_names
from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Assignment, Call, Customer, ImportChange, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples, snapshots

ROWS = 600


def row(number: int, talk: int) -> dict[str, object]:
    return {
        "external_id": f"c{number}",
        "agent": f"Agent {number % 7}",
        "started_at": utc(2026, 2, 1 + number % 28, 15),
        "talk_seconds": talk,
        "phone": f"21255501{number % 60:02}",
        "email": f"caller{number % 60}.{talk}@example.com",
    }


@pytest.mark.parametrize("agents_known", [False, True])
def test_two_imports_at_once(
    app: Flask, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch, agents_known: bool
) -> None:
    site = samples.place()
    for number in range(7 if agents_known else 0):
        factories.agent(site, key=f"Agent {number}")
    db.session.commit()
    monkeypatch.setattr(reading, "CHUNK", 50)
    together = Barrier(2)

    def one(order: list[int]) -> ImportReport:
        with app.app_context():
            together.wait(timeout=30)
            return samples.taken([row(number, 60) for number in order], create_agents=True)

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(one, list(range(ROWS))), threads.submit(one, list(reversed(range(ROWS))))]
        reports = [run.result(timeout=60) for run in runs]
    for report in reports:
        assert samples.counts(report)[1::2] == (0, 0) and report.read == ROWS
    assert sum(report.new for report in reports) == ROWS
    assert [db.session.scalar(select(func.count()).select_from(table)) for table in (Call, Customer, Agent)] == [
        ROWS,
        60,
        8,
    ]


def test_the_legs_of_the_same_calls_in_two_imports_at_once(
    app: Flask, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.place()
    monkeypatch.setattr(reading, "CHUNK", 10)
    legs = {
        name: [row(number, talk) | {"leg": name, "agent": f"Agent {agent}"} for number in range(120)]
        for name, talk, agent in (("1", 60, 1), ("2", 90, 2))
    }
    samples.taken(legs["1"] + legs["2"], create_agents=True)
    clean = snapshots.calls(), snapshots.legs()
    snapshots.emptied("amy")
    together = Barrier(2)

    def one(rows: list[dict[str, object]]) -> ImportReport:
        with app.app_context():
            together.wait(timeout=30)
            return samples.taken(rows, create_agents=True)

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(one, legs["1"]), threads.submit(one, list(reversed(legs["2"])))]
        reports = [run.result(timeout=60) for run in runs]
    assert [samples.counts(report) for report in reports] == [(120, 0, 0, 0)] * 2
    db.session.rollback()
    assert (snapshots.calls(), snapshots.legs()) == clean
    assert all(call[1].startswith("agent 2") for call in clean[0].values())


def staff(site: Site) -> Staff:
    """The staff as an import that has just begun meets it."""
    record = factories.import_record(site.organisation_id)
    return Staff(
        site.organisation_id, roster_names(site.organisation_id), {site.id: site.time_zone}, Journal(record.id)
    )


def test_a_roster_waits_for_an_import_that_is_making_its_agents(app: Flask, tmp_path: Path) -> None:
    site = samples.place()
    head = f'[organisation]\nkey = "acme"\nname = "{site.organisation.name}"\ncountry = "US"\n'
    roster = samples.written(tmp_path, f'{head}[[agents]]\nkey = "Zed"\nname = "Zed Zimmer"\n', "roster.toml")
    staff(site).agent_id("Zed", site.id, date(2026, 2, 5))

    def one() -> ImportReport:
        with app.app_context():
            return import_roster(roster, actor="test")

    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(one)
        wait([run], timeout=0.5)
        assert not run.done()
        db.session.commit()
        report = run.result(timeout=30)
    assert (report.new, report.rejected) == (0, 0)
    assert db.session.scalars(select(Agent.name).where(Agent.key == "Zed")).all() == ["Zed Zimmer"]


def test_an_agent_another_import_made_meanwhile_is_not_made_again(app: Flask) -> None:
    site = samples.place()
    first, second = staff(site), staff(site)
    made = first.agent_id("Zed", site.id, date(2026, 2, 5))
    assert second.agent_id("Zed", site.id, date(2026, 2, 3)) == made
    assert first.agent_id("zed", site.id, date(2026, 2, 4)) == made
    assignment = db.session.query(Assignment).filter_by(agent_id=made).populate_existing().one()
    assert (assignment.starts_on, first.made, second.made) == (date(2026, 2, 3), 1, 0)


def test_a_first_day_that_a_roster_has_set_meanwhile_is_left_alone(app: Flask) -> None:
    site = samples.place()
    running = staff(site)
    made = running.agent_id("Zed", site.id, date(2026, 2, 5))
    assignment = db.session.query(Assignment).filter_by(agent_id=made).one()
    assignment.supervisor_id = factories.supervisor(site.organisation).id
    db.session.commit()
    for anyone in (running, staff(site)):
        assert anyone.agent_id("Zed", site.id, date(2026, 2, 3)) == made
        assert db.session.query(Assignment.starts_on).filter_by(agent_id=made).scalar() == date(2026, 2, 5)


def test_what_another_import_moved_meanwhile_is_what_an_undo_goes_back_to(app: Flask) -> None:
    site = samples.place()
    first = staff(site)
    made = first.agent_id("Zed", site.id, date(2026, 2, 9))
    db.session.commit()
    second = staff(site)
    first.agent_id("Zed", site.id, date(2026, 2, 5))
    second.agent_id("zed", site.id, date(2026, 2, 7))
    second.agent_id("ZED", site.id, date(2026, 2, 3))
    assignment = db.session.query(Assignment).filter_by(agent_id=made).populate_existing().one()
    moved = db.session.query(ImportChange).filter_by(row_table="assignments", row_id=assignment.id)
    befores = [change.before for change in moved.order_by(ImportChange.id) if change.before is not None]
    assert befores == [{"starts_on": "2026-02-09"}, {"starts_on": "2026-02-05"}]
    assert assignment.starts_on == date(2026, 2, 3)


def test_two_imports_that_spell_an_agent_differently_make_one(app: Flask) -> None:
    site = samples.place()
    first, second = staff(site), staff(site)
    made = first.agent_id("Zed", site.id, date(2026, 2, 5))
    assert second.agent_id("ZED", site.id, date(2026, 2, 5)) == made and second.made == 0
