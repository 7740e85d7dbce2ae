"""However a file is cut, shuffled and repeated, the rows stored are those of one clean file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Assignment, Call, Customer, ImportChange, ImportRecord
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
