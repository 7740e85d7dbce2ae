"""Whatever the order in which a customer's calls come in, of each thing the latest call that says it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake import reading
from survey.clock import ManualClock
from survey.models import Site
from tests.factories import utc
from tests.intake import samples, snapshots
from tests.intake.test_undo import taken, undone

Rows = list[dict[str, Any]]


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    """Calls of two customers, some ended at the same moment; each says what it likes of them."""
    rows = []
    for number in range(draw(st.integers(2, 6))):
        said = {
            "phone": f"212555010{draw(st.integers(0, 1))}",
            "email": draw(st.sampled_from(["", "a@example.com", "b@example.com", "c@example.com"])),
            "language": draw(st.sampled_from(["", "en", "es"])),
            "relay": draw(st.sampled_from(["", "yes", "no"])),
            "consents_to_calls": draw(st.sampled_from(["", "yes", "no"])),
        }
        started_at = utc(2026, 3, 2, 14) + timedelta(hours=draw(st.integers(0, 3)))
        call = {"external_id": f"c{number}", "agent": "amy", "started_at": started_at, "talk_seconds": 60}
        rows.append(call | said)
    return rows


def expected(rows: Rows) -> dict[str, Any]:
    """By the rule itself: of each field the last that was said."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: (row["started_at"], row["external_id"])):
        phone = f"+1{row['phone']}"
        known = found.setdefault(phone, [phone, None, None, False, None])
        for place, name in enumerate(("email", "language", "relay", "consents_to_calls"), start=1):
            if row[name]:
                known[place] = {"yes": True, "no": False}.get(row[name], row[name])
    return {phone: tuple(known) for phone, known in found.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), data=st.data())
def test_the_latest_call_that_says_a_thing_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch, history: Rows, data: st.DataObject
) -> None:
    snapshots.emptied("amy")
    mixed = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=3))))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(mixed) - 1), max_size=3, unique=True)))
    monkeypatch.setattr(reading, "CHUNK", data.draw(st.integers(1, 9)))
    for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
        taken(*mixed[a:b])
    assert snapshots.customers() == expected(history)


def test_what_an_import_noted_goes_with_it(site: Site) -> None:
    both = [
        {"external_id": id, "started_at": utc(2026, 3, day, 14), "talk_seconds": 60} for id, day in (("a", 2), ("b", 5))
    ]
    taken(both[0] | {"phone": "2125550101", "email": "jo@example.com", "relay": "no"})
    before = snapshots.exactly()
    undone(taken(both[1] | {"phone": "2125550101"}))
    assert snapshots.exactly() == before
