"""A real quarter of 5,000 calls against control totals of the same calls: complete, until some calls are left out."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from intake.totals import TotalsOptions, import_totals
from survey import completeness
from survey.clock import ManualClock
from survey.db import db
from survey.gaps import Span
from survey.models import Agent, Call, ControlTotal, Organisation
from tests.intake import samples
from tests.intake.test_real_calls import MAPPING, ORIGINAL

pytestmark = pytest.mark.skipif(not ORIGINAL.is_file(), reason="the sample call records are not beside this checkout")

FIRST, LAST = date(2021, 1, 1), date(2021, 3, 31)


@pytest.fixture
def quarter(app: Flask, at_noon: ManualClock, tmp_path: Path) -> Organisation:
    """The calls, each handed in as it ended, and what a telephone system would count: hours, and agents' days."""
    samples.place()
    samples.taken(ORIGINAL, MAPPING, create_agents=True, source="pbx")
    db.session.execute(update(Call).values(received_at=Call.ended_at))
    db.session.commit()
    hours, days = _counts()
    for name, header, counts in (("hours.csv", "date,hour", hours), ("days.csv", "date,agent", days)):
        lines = [f"{','.join(key)},{calls},{answered}" for key, (calls, answered) in counts.items()]
        file = samples.written(tmp_path, samples.rows(*lines, header=f"{header},calls,answered"), name)
        report = import_totals(file, TotalsOptions("acme", "north", "pbx"), actor="test")
        assert samples.counts(report) == (len(lines), 0, 0, 0), report.lines()
    return db.session.query(Organisation).filter_by(key="acme").one()


def _counts() -> tuple[dict[tuple[str, ...], tuple[int, int]], dict[tuple[str, ...], tuple[int, int]]]:
    """By date and hour, and by date and agent: all calls, and those answered, counted in the file itself."""
    with ORIGINAL.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for keys in (
        [(row["Date"], row["Time"].split(":")[0]) for row in rows],
        [(row["Date"], row["Agent"]) for row in rows],
    ):
        answered = Counter(key for key, row in zip(keys, rows, strict=True) if row["Answered (Y/N)"] == "Y")
        found.append({key: (count, answered[key]) for key, count in Counter(keys).items()})
    return found[0], found[1]


def test_a_complete_quarter_has_no_gap(quarter: Organisation) -> None:
    report = completeness.compare(quarter.id, FIRST, LAST)
    assert report.gaps == [] and report.cells > 1_000 and report.late == 0


def test_twenty_six_bad_calls_left_out_are_found_on_every_level(quarter: Organisation) -> None:
    """0.52% of the quarter, all of one agent."""
    agent_id = db.session.scalar(
        select(Call.agent_id).group_by(Call.agent_id).order_by(func.count().desc(), Call.agent_id).limit(1)
    )
    left_out = select(Call.id).where(Call.agent_id == agent_id).order_by(Call.id).limit(26)
    db.session.execute(delete(Call).where(Call.id.in_(left_out)))
    report = completeness.compare(quarter.id, FIRST, LAST)
    agent = db.session.get(Agent, agent_id)
    assert agent is not None
    whole = [(gap.agent, gap.difference) for gap in report.gaps if gap.span is Span.RANGE and gap.what == "calls"]
    assert sorted(whole, key=str) == sorted([(None, 26), (agent.name, 26)], key=str)
    assert {gap.agent for gap in report.gaps} == {None, agent.name}
    cells = [gap for gap in report.gaps if gap.span is Span.CELL and gap.what == "calls"]
    assert sum(gap.difference for gap in cells if gap.agent) == 26
    assert sum(gap.difference for gap in cells if not gap.agent) == 26


def test_a_quarter_handed_in_at_its_end_is_not_handed_in(quarter: Organisation) -> None:
    db.session.execute(update(Call).values(received_at=func.now()))
    report = completeness.compare(quarter.id, FIRST, LAST)
    assert report.late == db.session.scalar(select(func.count()).select_from(Call)) == 5_000
    compared = db.session.scalar(select(func.count()).select_from(ControlTotal))
    assert len({(gap.starts_at, gap.agent) for gap in report.gaps if gap.span is Span.CELL}) == compared
