"""Undoing an import: what it made goes, what it changed is as it was, what others said stays; or it is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import reading, restoring
from intake.roster import import_roster
from intake.undo import UndoReport, undo
from survey.clock import ManualClock
from survey.db import db
from survey.errors import NotFound, Refused
from survey.models import (
    Agent,
    Assignment,
    AuditEntry,
    CallLeg,
    Customer,
    ImportChange,
    ImportKind,
    ImportRecord,
    LaterRecord,
    Site,
)
from tests import factories
from tests.factories import utc
from tests.intake import samples, snapshots
from tests.statements import counted

NINE = utc(2026, 3, 2, 14)
Record = dict[str, Any]


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def record(call: str, **given: Any) -> Record:
    found = {"external_id": call, "agent": "amy", "started_at": NINE, "talk_seconds": 60, "phone": "2125550101"}
    return found | given


def taken(*records: Record, **options: Any) -> int:
    """Imports the records and returns the import's number."""
    report = samples.taken(list(records), create_agents=True, **options)
    assert samples.counts(report)[3] == 0 and report.import_id is not None
    return report.import_id


def undone(number: int) -> UndoReport:
    report = undo(number, actor="jo")
    db.session.commit()
    return report


def refused(number: int, **options: Any) -> str:
    """What the refusal says; nothing has changed by it."""
    before = snapshots.exactly()
    with pytest.raises(Refused) as refusal:
        undo(number, actor="jo", **options)
    db.session.rollback()
    assert snapshots.exactly() == before
    return f"{refusal.value}"


# --- what goes, what comes back ---


def test_calls_customers_and_agents_it_brought_in_are_gone(site: Site) -> None:
    before = snapshots.exactly()
    number = taken(record("a"), record("b", agent="Zed", phone="", email="jo@example.com"), record("c", leg="1"))
    report = undone(number)
    assert snapshots.exactly() == before
    assert (report.calls_removed, report.customers_removed, report.agents_removed) == (3, 2, 1)
    assert report.rows_restored == 0 and db.session.query(ImportChange).count() == 0


def test_its_record_stays_and_the_trail_tells_of_it(site: Site, at_noon: ManualClock) -> None:
    number = taken(record("a"), record("b", talk_seconds=5))
    at_noon.move_to(at_noon() + timedelta(hours=1))
    undone(number)
    kept = db.session.get_one(ImportRecord, number)
    assert (kept.undone_at, kept.undone_by, kept.new) == (at_noon(), "jo", 2)
    entry = db.session.query(AuditEntry).filter_by(action="import undone").one()
    assert (entry.actor, entry.subject_type, entry.subject_id) == ("jo", "imports", number)
    assert entry.detail["calls_removed"] == 2 and "2125550101" not in str(entry.detail)


def test_what_it_changed_is_as_it_was_to_the_last_bit(site: Site) -> None:
    first = {"email": "jo@example.com", "language": "en", "relay": "no", "consents_to_calls": "yes", "queue": "sales"}
    late = utc(2026, 3, 5, 14)
    taken(
        record("a", **first),
        record("b", agent="Zed", started_at=late),
        record("l", leg="1", phone="2125550109"),
        record("p", phone="2125550104"),
    )
    before = snapshots.exactly()
    number = taken(
        record("a", talk_seconds=90, agent="Yan", queue="", topic="x", answered="yes", phone="2125550107"),
        record("d", started_at=late, email="new@example.com", language="es", relay="yes", consents_to_calls="no"),
        record("e", agent="Zed", started_at=utc(2026, 3, 1, 14)),
        record("l", leg="1", talk_seconds=70, phone="2125550109"),
        record("l", leg="2", talk_seconds=20, internal="yes", phone="2125550108"),
        record("p", leg="2", started_at=late),
    )
    assert snapshots.exactly() != before
    report = undone(number)
    assert snapshots.exactly() == before
    assert (report.calls_removed, report.agents_removed) == (2, 1) and report.rows_restored >= 5


@pytest.mark.parametrize("page", [2, 100])
def test_a_change_of_several_batches_is_taken_back_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 1)
    monkeypatch.setattr(restoring, "PAGE", page)
    taken(record("a"))
    before = snapshots.exactly()
    steps = [record("a", talk_seconds=talk, email=f"{talk}@example.com") for talk in (61, 62, 63)]
    number = taken(*steps, record("b"), record("b", leg="1"), record("b", leg="2", phone="2125550103"))
    later = taken(record("z", started_at=utc(2026, 3, 9, 14), email="late@example.com"))
    assert undone(number).calls_removed == 1
    assert snapshots.customers()["+12125550101"][1] == "late@example.com"
    undone(later)
    assert snapshots.exactly() == before
    assert not any(db.session.scalars(select(func.jsonb_typeof(Customer.said_by) == "null")))


def test_importing_again_after_an_undo_gives_the_same_as_at_first(site: Site) -> None:
    rows = [
        record("a", email="jo@example.com"),
        record("b", agent="Zed", phone="", email="Z@example.com"),
        record("c", leg="1"),
        record("c", leg="2", agent="Zed", started_at=NINE + timedelta(minutes=5)),
        record("a", talk_seconds=70),
    ]
    number = taken(*rows)
    once = snapshots.house()
    undone(number)
    assert undone(taken(*rows)).calls_removed == 3
    taken(*rows)
    assert snapshots.house() == once


def test_contacts_of_records_that_did_not_count_go_too(site: Site) -> None:
    """An older version's phone is nobody's; a phone that a call had before it changed is needed for the way back."""
    stamped = {"recorded_at": NINE}
    number = taken(record("a", **stamped), record("a", phone="2125550105", recorded_at=NINE - timedelta(1)))
    changed = taken(record("a", phone="2125550106", **stamped))
    undone(taken(record("z", phone="2125550107")))
    undone(changed)
    assert set(snapshots.customers()) == {"+12125550101"}
    undone(number)
    assert snapshots.customers() == {}


# --- refusals ---


def test_a_draw_of_any_of_its_calls_keeps_it(site: Site) -> None:
    first = taken(record("a"), record("b", phone="2125550102"))
    second = taken(record("b", phone="2125550102", talk_seconds=70))
    factories.draw(samples.stored()["b"], factories.campaign([site]), drawn=False, reason="too_short")
    db.session.commit()
    assert f"1 of the calls of import {first} has had its draw" in refused(first)
    assert f"1 of the calls of import {second} has had its draw" in refused(second)
    factories.draw(samples.stored()["a"], factories.campaign([site]), drawn=False, reason="too_short")
    db.session.commit()
    assert f"2 of the calls of import {first} have had their draw" in refused(first)


def test_what_was_kept_beside_a_draw_stays_beside_it(site: Site) -> None:
    taken(record("a"))
    factories.draw(samples.stored()["a"], factories.campaign([site]))
    db.session.commit()
    number = taken(record("a", talk_seconds=70), record("a", leg="2", started_at=NINE + timedelta(minutes=9)))
    assert db.session.query(LaterRecord).count() == 2 and db.session.query(CallLeg).count() == 2
    undone(number)
    assert db.session.query(LaterRecord).count() == 2 and db.session.query(CallLeg).count() == 0


LATER = {
    "changed the call": [record("a", leg="1", talk_seconds=200)],
    "changed a leg, not the call": [record("a", leg="1", queue="first")],
    "added a leg": [record("a", leg="3", agent="Zed")],
    "added a leg of no weight": [record("a", leg="3", talk_seconds=0, agent="")],
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
def test_later_imports_that_say_more_of_its_calls_are_named(site: Site, later: Sequence[Record]) -> None:
    both = [record("a", leg="1"), record("a", leg="2", started_at=NINE + timedelta(minutes=9), queue="last")]
    first = taken(*both)
    second = taken(record("a", leg="2", started_at=NINE + timedelta(minutes=9), queue="other"), *later)
    third = taken(*later, record("a", leg="2", started_at=NINE + timedelta(minutes=9), queue="third"))
    assert f"the newest before the others: {second}, {third}." in refused(first)
    assert f"the newest before the others: {third}." in refused(second)
    for number in (third, second, first):
        undone(number)
    assert samples.stored() == {}


def test_an_import_that_changed_a_leg_and_left_its_call_as_it_was_is_in_the_way(site: Site) -> None:
    legs = [record("a", leg="1"), record("a", leg="2", started_at=NINE + timedelta(minutes=9), queue="last")]
    first = taken(*legs)
    second = taken(record("a", leg="1", queue="first"))
    assert samples.stored()["a"].queue == "last"
    assert f"the newest before the others: {second}." in refused(first)


def test_it_is_undone_once(site: Site) -> None:
    number = taken(record("a"))
    undone(number)
    assert f"import {number} is undone already, by jo" in refused(number)


def test_unknown_of_another_organisation_or_of_another_kind(site: Site, tmp_path: Path) -> None:
    number = taken(record("a"))
    other = factories.organisation()
    roster = factories.import_record(site.organisation_id, kind=ImportKind.ROSTER)
    db.session.commit()
    for wrong, organisation in ((number + 100, None), (number, other.id)):
        with pytest.raises(NotFound, match=f"there is no import {wrong}"):
            undo(wrong, actor="jo", organisation_id=organisation)
    assert f"import {roster.id} is of a roster, not of calls" in refused(roster.id)
    assert undo(number, actor="jo", organisation_id=site.organisation_id).calls_removed == 1


# --- among other imports ---

SHARED = {
    1: [record("a", email="one@example.com", language="en", agent="Zed", started_at=utc(2026, 3, 5, 14))],
    2: [record("b", email="two@example.com", language="es", agent="Zed", started_at=utc(2026, 3, 6, 14))],
    3: [record("c", email="three@example.com", agent="Yan", started_at=utc(2026, 3, 7, 14), consents_to_calls="yes")],
}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (1, 3, 2), (3, 1, 2)])
def test_imports_that_share_customers_and_agents_are_undone_in_any_order(site: Site, order: Sequence[int]) -> None:
    empty = snapshots.exactly()
    numbers = {number: taken(*rows) for number, rows in SHARED.items()}
    for place, which in enumerate(order):
        undone(numbers[which])
        left = sorted(set(order[place + 1 :]))
        after = snapshots.house()
        assert set(after[0]) == {SHARED[number][0]["external_id"] for number in left}
        if left:
            (customer,) = after[2].values()
            assert customer[1] == SHARED[left[-1]][0]["email"]
    assert snapshots.exactly() == empty


def test_a_phone_given_up_by_a_call_waits_for_the_way_back(site: Site) -> None:
    first = taken(record("x"))
    taken(record("c"))
    moved = taken(record("c", phone="2125550102", agent="Zed"))
    undone(first)
    undone(moved)
    customer = samples.stored()["c"].customer
    assert customer is not None and customer.phone == "+12125550101" and db.session.query(Customer).count() == 1


def test_an_agent_given_up_by_a_call_waits_for_the_way_back(site: Site) -> None:
    first = taken(record("x", agent="Zed"))
    taken(record("c", agent="Zed"))
    moved = taken(record("c", agent="Yan"))
    assert undone(first).agents_removed == 0
    assert undone(moved).agents_removed == 1
    agent = samples.stored()["c"].agent
    assert agent is not None and agent.key == "Zed"


def test_a_first_day_set_back_still_covers_what_others_found_covered(site: Site) -> None:
    taken(record("a", agent="Zed", started_at=utc(2026, 3, 5, 14)))
    second = taken(record("b", agent="Zed", started_at=utc(2026, 3, 1, 14)))
    third = taken(record("c", agent="zed", started_at=utc(2026, 3, 3, 3)))
    undone(second)
    assert snapshots.staff()["zed", "zed"] == date(2026, 3, 2)  # the evening before, in New York
    undone(third)
    assert snapshots.staff()["zed", "zed"] <= date(2026, 3, 5)


def test_an_agent_the_roster_has_taken_over_stays(site: Site, tmp_path: Path) -> None:
    number = taken(record("a", agent="Zed"))
    head = f'[organisation]\nkey = "acme"\nname = "{site.organisation.name}"\ncountry = "US"\n'
    roster = samples.written(tmp_path, f'{head}[[agents]]\nkey = "Zed"\nname = "Zed Zimmer"\n', "roster.toml")
    import_roster(roster, actor="test")
    assert undone(number).agents_removed == 0
    assert {agent.name for agent in db.session.query(Agent)} == {"Amy Adams", "Zed Zimmer"}
    assert db.session.query(Assignment).count() == 2


def test_later_imports_that_may_have_repeated_some_of_it_are_named(site: Site) -> None:
    first = taken(record("a"))
    repeating = taken(record("a"), record("b"))
    taken(record("d"))
    taken(record("a"), source="elsewhere")
    report = undone(first)
    assert report.repeated_by == [repeating] and set(report.as_dict()) >= {"repeated_by", "calls_removed"}
    assert f"found some of their rows in already: {repeating}." in "\n".join(report.lines())
    assert "already" not in "\n".join(undone(repeating).lines())


def test_an_undo_asks_the_same_however_much_came_in(site: Site) -> None:
    """No statement lists what goes: a million customers would not fit into one."""
    told = []
    for many in (1, 300):
        rows = [record(f"c{n}", phone="", email=f"c{n}@example.com", agent=f"Agent {many}") for n in range(many)]
        number = taken(*rows)
        with counted() as asked:
            assert undone(number).customers_removed == many and db.session.query(Customer).count() == 0
        told.append([re.sub(r"(savepoint_)\d+", r"\1", statement) for statement in asked])
    assert told[0] == told[1] and max(map(len, told[0])) < 3_000
