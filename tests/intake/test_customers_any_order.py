"""Whatever the order in which a customer's calls come in, of each thing the latest record that says it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake import reading
from survey.clock import ManualClock
from survey.db import db
from survey.models import Customer, Site
from tests.factories import utc
from tests.intake import samples, snapshots
from tests.intake.test_undo import taken, undone

NINE = utc(2026, 3, 2, 14)
Rows = list[dict[str, Any]]


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    """Records of a few calls of two customers: whole calls, legs, and versions with the telephone system's stamps.

    Some end, or are stamped, at the same moment. Each says what it likes; some name nobody.
    """
    rows = []
    parts = st.tuples(st.integers(0, 4), st.sampled_from(["", "", "1", "2"]))
    for number, leg in draw(st.lists(parts, min_size=2, max_size=6, unique=True)):
        stamps: list[Any] = draw(st.lists(st.integers(0, 4), max_size=3, unique=True))
        for stamp in stamps or [None]:
            said = {
                "phone": f"212555010{draw(st.integers(0, 1))}",
                "email": draw(st.sampled_from(["", "a@example.com", "b@example.com", "c@example.com"])),
                "language": draw(st.sampled_from(["", "en", "es"])),
                "relay": draw(st.sampled_from(["", "yes", "no"])),
                "consents_to_calls": draw(st.sampled_from(["", "yes", "no"])),
            }
            call = {
                "external_id": f"c{number}",
                "leg": leg,
                "recorded_at": "" if stamp is None else NINE + timedelta(minutes=90 * stamp),
                "agent": "amy",
                "started_at": NINE + timedelta(hours=draw(st.integers(0, 3))),
                "talk_seconds": draw(st.sampled_from([60, 7200])),
            }
            rows.append(call | (said if draw(st.integers(0, 4)) else {}))
    return rows


def order(row: dict[str, Any]) -> Any:
    end = row["started_at"] + timedelta(seconds=row["talk_seconds"])
    return row["recorded_at"] or end, row["external_id"], row["leg"]


def expected(rows: Rows) -> dict[str, Any]:
    """By the rule itself: of each field the last that was said."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=order):
        if "phone" in row:
            phone = f"+1{row['phone']}"
            known = found.setdefault(phone, [phone, None, None, False, None])
            for place, name in enumerate(("email", "language", "relay", "consents_to_calls"), start=1):
                if row[name]:
                    known[place] = {"yes": True, "no": False}.get(row[name], row[name])
    return {phone: tuple(known) for phone, known in found.items()}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), data=st.data())
def test_the_latest_record_that_says_a_thing_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch, history: Rows, data: st.DataObject
) -> None:
    snapshots.emptied("amy")
    mixed = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=3))))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(mixed) - 1), max_size=3, unique=True)))
    monkeypatch.setattr(reading, "CHUNK", data.draw(st.integers(1, 9)))
    for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
        taken(*mixed[a:b])
    assert snapshots.customers() == expected(history)


def test_what_was_noted_in_the_former_way_is_understood(site: Site) -> None:
    call = {"agent": "amy", "started_at": NINE, "talk_seconds": 60, "phone": "2125550101"}
    taken(call | {"external_id": "a", "consents_to_calls": "no"})
    note = [(NINE + timedelta(hours=2)).isoformat(), "z", ""]
    db.session.query(Customer).update({Customer.said_by: {"consents_to_calls": note}})
    db.session.commit()
    for hours, known in ((1, False), (3, True)):
        later = {"external_id": f"b{hours}", "started_at": NINE + timedelta(hours=hours), "consents_to_calls": "yes"}
        taken(call | later)
        assert snapshots.customers()["+12125550101"][-1] is known


def test_what_an_import_noted_goes_with_it(site: Site) -> None:
    both = [
        {"external_id": id, "started_at": utc(2026, 3, day, 14), "talk_seconds": 60} for id, day in (("a", 2), ("b", 5))
    ]
    taken(both[0] | {"phone": "2125550101", "email": "jo@example.com", "relay": "no"})
    before = snapshots.exactly()
    undone(taken(both[1] | {"phone": "2125550101"}))
    assert snapshots.exactly() == before
