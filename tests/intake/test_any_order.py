"""However a file is cut, shuffled and repeated, the rows stored are those of one clean file; each is counted once."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from intake import reading
from intake.calls import RowResult
from intake.cases import Fate
from intake.formats.delimited import Delimited
from intake.rows import Row
from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Assignment, Call, Campaign, Customer, Draw, ImportChange, ImportRecord
from tests import factories
from tests.factories import utc
from tests.intake import samples

Rows = list[dict[str, Any]]


def row(number: int, caller: int, agent: int, answered: bool) -> dict[str, Any]:
    """One call; a caller's address changes from call to call, and the number comes in two spellings."""
    phone = ("212555010{}", "+1 (212) 555-010{}")[number % 2].format(caller)
    return {
        "external_id": f"c{number}",
        "agent": f"Agent {agent}",
        "started_at": utc(2026, 1, 5, 12) + timedelta(days=number),
        "talk_seconds": 60 + number,
        "answered": answered,
        "phone": phone if caller < 4 else "",
        "email": f"caller{caller}.{number}@example.com" if caller < 4 else f"Caller{caller}@Example.com",
    }


@st.composite
def files(draw: st.DrawFn) -> tuple[Rows, list[Rows]]:
    """A clean file, and pieces of it that together hold every row at least once, in any order."""
    size = draw(st.integers(1, 8))
    kinds = st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans())
    clean = [row(number, *draw(kinds)) for number in range(size)]
    extra = draw(st.lists(st.sampled_from(clean), max_size=6))
    mixed = draw(st.permutations(clean + extra))
    cuts = sorted(draw(st.lists(st.integers(0, len(mixed)), max_size=3)))
    pieces = [mixed[start:end] for start, end in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    return clean, pieces


def imported(pieces: list[Rows]) -> tuple[set[Any], set[Any]]:
    """Imports the pieces into an empty house; returns what calls and agents it then holds, ids left out."""
    for table in (Call, ImportChange, Customer, ImportRecord):
        db.session.execute(delete(table))
    made = select(Agent.id).where(Agent.key != "amy")
    db.session.execute(delete(Assignment).where(Assignment.agent_id.in_(made)))
    db.session.execute(delete(Agent).where(Agent.key != "amy"))
    db.session.commit()
    for piece in pieces:
        report = samples.taken(piece, create_agents=True)
        assert samples.counts(report)[3] == 0
    names = ("external_id", "started_at", "ended_at", "answered", "talk_seconds", "contact_fault")
    calls = db.session.execute(
        select(Agent.name, Customer.phone, Customer.email, *(getattr(Call, name) for name in names))
        .select_from(Call)
        .join(Agent)
        .outerjoin(Customer)
    )
    staff = db.session.execute(select(Agent.name, Assignment.starts_on).join(Assignment))
    lowered = {tuple(v.casefold() if isinstance(v, str) else v for v in call) for call in calls}
    return lowered, {tuple(row) for row in staff}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=files())
def test_any_mix_of_pieces_gives_the_rows_of_one_clean_file(
    app: Flask, at_noon: ManualClock, files: tuple[Rows, list[Rows]]
) -> None:
    clean, pieces = files
    if db.session.query(Agent).count() == 0:
        samples.place()
    assert imported(pieces) == imported([clean])


# --- every row is counted once ---

NUMBERS = itertools.count()
HEADER = "call_id,leg,recorded_at,agent,started_at,talk_seconds,phone"
GOOD = ("c{},,,amy,2026-03-02 09:00,{},", "c{},,,,2026-03-02 09:00,{},2125550101", "c{},,,amy,2026-03-02 09:30,{},911")
LEGS = ("l{},a,,amy,2026-03-02 09:00,{},", "l{},b,,amy,2026-03-02 09:10,{},2125550102", "l{},,,,2026-03-02 09:20,{},")
VERSIONS = ("v{},,2026-03-02 10:00,amy,2026-03-02 09:00,{},", "v{},,2026-03-02 11:00,,2026-03-02 09:00,{},")
BAD = (
    *(",,,amy,2026-03-02 09:00,5,", "x,,,zed,2026-03-02 09:00,5,", "x,,,amy,2026-02-30 09:00,5,", "x,,,amy,soon,5,"),
    *("x,,,amy,2026-03-02 09:00,-5,", "x,,,amy,2026-03-02 09:00,6O,", "x,,never,amy,2026-03-02 09:00,5,", "x,y"),
    # A file of which more than a hundredth is NUL bytes is none of text, so the row is long.
    *(f"x\0{'y' * 200},,,amy,2026-03-02 09:00,5,", "x,,,amy,2026-03-02 09:00,5,,,z", 'x,,,"am"y,2026-03-02 09:00,5,'),
)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Rows of every kind, good and bad, some of them there several times, with empty lines between them."""
    number, talk = st.integers(0, 2), st.sampled_from([30, 60])
    kind = st.sampled_from([*GOOD, *LEGS, *VERSIONS])
    good = draw(st.lists(st.builds(str.format, kind, number, talk), min_size=1, max_size=8))
    bad = draw(st.lists(st.sampled_from([*BAD, ""]), max_size=4))
    return draw(st.permutations(good + bad + draw(st.lists(st.sampled_from(good), max_size=3))))


@pytest.fixture
def campaign(app: Flask, at_noon: ManualClock) -> Campaign:
    made = factories.campaign([samples.place()])
    db.session.commit()
    return made


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(lines(), min_size=1, max_size=2), drawn=st.booleans(), batch=st.integers(1, 9))
def test_every_row_of_any_file_is_counted_once(
    campaign: Campaign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[list[str]],
    drawn: bool,
    batch: int,
) -> None:
    source = f"system {next(NUMBERS)}"
    monkeypatch.setattr(reading, "CHUNK", batch)
    for rows in files:
        count_each(tmp_path, rows, source)
        if drawn:
            for call in db.session.query(Call).outerjoin(Draw).where(Draw.id.is_(None)):
                factories.draw(call, campaign)
            db.session.commit()


def test_what_a_file_tells_behind_its_last_row_is_told(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Delimited.rows

    def noting(self: Delimited, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield from read(self, path, notes, header)
        notes["things left out"] += 1

    monkeypatch.setattr(Delimited, "rows", noting)
    monkeypatch.setattr(reading, "CHUNK", 1)
    report = samples.taken(samples.written(tmp_path, samples.rows("1,amy,2026-03-02 09:00,60")))
    assert samples.counts(report) == (1, 0, 0, 0) and report.notes["things left out"] == 1
    assert db.session.query(ImportRecord).one().notes["things left out"] == 1


def count_each(folder: Path, rows: Sequence[str], source: str) -> None:
    """Imports the rows; each that is not empty is told of once, with the fate it is counted by, and none is lost."""
    text = samples.rows(*rows, header=HEADER)
    told: list[RowResult] = []
    rejects = folder / "rejects.csv"
    rejects.unlink(missing_ok=True)
    report = samples.taken(samples.written(folder, text), on_row=told.append, rejects=rejects, source=source)
    new, updated, unchanged, rejected = samples.counts(report)
    there = [number for number, row in enumerate(rows, start=2) if row]
    assert sorted(row.line for row in told) == there and report.read == len(there)
    fates = Counter(row.fate for row in told)
    assert (new, updated, rejected) == (fates[Fate.NEW], fates[Fate.UPDATED], fates[Fate.REJECTED])
    assert unchanged == fates[Fate.UNCHANGED] + fates[Fate.KEPT_BESIDE]
    bad = sorted(row.line for row in told if row.fate is Fate.REJECTED)
    assert bad == [number for number, row in enumerate(rows, start=2) if row in BAD]
    with rejects.open(newline="") if bad else nullcontext([]) as kept:
        assert sorted(int(row["line"]) for row in csv.DictReader(kept)) == bad
    stored = set(db.session.scalars(select(Call.external_id).where(Call.source == source)))
    assert {row.external_id for row in told if row.fate is not Fate.REJECTED} <= stored
