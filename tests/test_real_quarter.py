"""A real quarter, the whole way: 5,000 recorded calls come in day by day, a tenth is asked, and standings are reported.

The calls' customers are made up: fictional numbers and example.com addresses, one of each a call.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from certification import programmes, standings
from intake.calls import CallOptions, import_calls
from intake.mapping import mapping_of
from scheduler import campaigns, clockwork, replay
from simulator import demo, figures
from simulator.centre import US_AREA_CODES, Experience, Person
from simulator.timelapse import TimeLapse, World
from survey import clock
from survey.db import db
from survey.models import Call, Draw, DrawReason, Organisation, Response, Survey
from tests import factories
from tests.intake.test_real_calls import MAPPING, ORIGINAL

pytestmark = pytest.mark.skipif(not ORIGINAL.is_file(), reason="the sample call records are not beside this checkout")

LAUNCH = datetime(2020, 12, 31, 17, tzinfo=UTC)
FIRST, LAST = date(2021, 1, 1), date(2021, 3, 31)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def acme(app: Flask) -> Iterator[str]:
    before = app.config["SETTINGS"]
    owner = factories.organisation(key="acme", name="Acme Telecom")
    site = factories.site(organisation=owner, key="north", time_zone="America/New_York", subdivision="NY")
    leader = factories.supervisor(owner)
    with ORIGINAL.open(encoding="utf-8-sig", newline="") as file:
        for name in sorted({row["Agent"] for row in csv.DictReader(file)}):
            factories.agent(site, leader, key=name.casefold(), name=name)
    db.session.commit()
    yield "acme"
    app.config["SETTINGS"] = before


def rows_by_day() -> dict[date, list[dict[str, str]]]:
    found: dict[date, list[dict[str, str]]] = {}
    with ORIGINAL.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(date.fromisoformat(row["Date"]), []).append(row)
    return found


def person_of(number: int) -> Person:
    phone = f"+1{US_AREA_CODES[number // 100]}55501{number % 100:02d}"
    return Person(number, phone, f"caller{number}@example.com", "en")


class Quarter:
    """The centre's telephone system: hands over each day's rows with the contacts of their callers."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder = world, folder

    def hand_over(self, day: date, rows: list[dict[str, str]]) -> None:
        calls, contacts = self._folder / "calls.csv", self._folder / "contacts.csv"
        with calls.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        with contacts.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["call_id", "phone", "email"])
            for row in rows:
                writer.writerow([row["Call Id"], *self._remembered(day, row)])
        options = CallOptions(organisation="acme", site="north", mapping=mapping_of(MAPPING), contacts=contacts)
        report = import_calls(calls, options, actor="test")
        assert (report.new, report.rejected) == (len(rows), 0)
        clockwork.draw()

    def _remembered(self, day: date, row: dict[str, str]) -> tuple[str, str]:
        person = person_of(int(row["Call Id"].removeprefix("ID")))
        ended = datetime.combine(day, time(23), NEW_YORK)
        good = self._world.chance.happens(80, row["Call Id"])
        self._world.memory.add(
            person, Experience(row["Call Id"], ended, *(("yes", "5", "5") if good else ("no", "2", "3")))
        )
        return person.phone or "", person.email or ""


def test_a_real_quarter(app: Flask, acme: str, tmp_path: Path) -> None:
    world, place = World(1, FIRST), demo.Folder(tmp_path)
    with (
        demo.hurried(),
        clock.standing_at(LAUNCH) as manual,
        demo.outside(app, place, world, manual) as network,
    ):
        campaign = campaigns.create(
            {
                "organisation": acme,
                "key": "quarter",
                "name": "A quarter",
                "sites": ["north"],
                "starts_on": FIRST,
                "ends_on": LAST,
                "rate": "1/10",
            },
            actor="test",
        )
        campaigns.launch(campaign, actor="test", key=b"q" * 32)
        owner = db.session.query(Organisation).filter_by(key=acme).one()
        programmes.create(owner, "wcc", "World class", "sqm-2011", [campaign])
        db.session.commit()
        quarter = Quarter(world, tmp_path)
        lapse = TimeLapse(app, world, network, manual, tmp_path, lambda day: None)
        for day, rows in sorted(rows_by_day().items()):
            at = datetime.combine(day, time(23, 30), NEW_YORK).astimezone(UTC)
            lapse.agenda.add(at, lambda day=day, rows=rows: quarter.hand_over(day, rows))  # type: ignore[misc]
        lapse.run_until(datetime(2021, 4, 8, tzinfo=UTC))
        figures.write_dials(network.log.dials(), place.dials)
        found = demo.report(place, 0.0)
        dialled = {dial.number for dial in network.log.dials()}
        told = standings.between(programmes.named(acme, "wcc"), FIRST, LAST)

    reasons = Counter(db.session.scalars(select(Draw.reason)))
    assert reasons[DrawReason.UNANSWERED] == 946, reasons
    assert reasons[DrawReason.DRAWN] + reasons[DrawReason.NOT_SELECTED] == 4054 == found["eligible"]
    assert 405 - 4 * 19 < found["drawn"] < 405 + 4 * 19  # 4,054 draws at 1 in 10, four standard deviations
    asked_unanswered = select(func.count()).select_from(Survey).join(Call, Call.id == Survey.call_id)
    assert db.session.scalar(asked_unanswered.where(~Call.answered)) == 0
    unanswered = {
        person_of(int(id[2:])).phone for id in db.session.scalars(select(Call.external_id).where(~Call.answered))
    }
    assert dialled and not dialled & unanswered
    assert found["dials"] > 100 and found["emails"] > 50 and found["responses"] > 200
    assert (found["duplicate_dials"], found["outside_hours"], found["after_deadline_counted"]) == (0, 0, 0)
    assert db.session.scalar(select(func.count()).where(Survey.closed_at.is_(None))) == 0
    agents = [standing for standing in told if standing.level == "agent"]
    assert len(agents) == 8
    responses = db.session.scalar(select(func.count()).select_from(Response).where(Response.complete))
    assert sum(standing.counts.n for standing in agents) == responses == found["responses"]
    assert replay.replay(campaigns.find("quarter")) is None
