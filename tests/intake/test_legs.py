"""Legs of one call, in whatever order, number and company they come: one call, credited to who handled it last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake import reading
from intake.call_store import BESIDE, FURTHER_LEGS
from intake.legs import combined, talked
from survey.clock import ManualClock
from survey.db import db
from survey.models import CallLeg, LaterRecord, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples, snapshots

NINE = utc(2026, 3, 2, 14)  # nine in the morning in New York
HEADER = "call_id,leg,agent,started_at,ended_at,answered,talk_seconds,queue,phone"
Leg = dict[str, Any]


def leg(name: str, begins: int, ends: int, agent: int | None = None, talk: int = 0, **given: Any) -> Leg:
    """A leg from one second of the call to another, answered when somebody talked."""
    found: Leg = {
        "leg": name,
        "site_id": 1,
        "agent_id": agent,
        "customer_id": None,
        "contact_fault": None,
        "started_at": NINE + timedelta(seconds=begins),
        "ended_at": NINE + timedelta(seconds=ends),
        "answered": talk > 0,
        "talk_seconds": talk,
        "queue": None,
        "topic": None,
        "language": None,
        "internal": False,
        "recorded_at": None,
    }
    return found | given


def second(call: Leg, column: str) -> int:
    return int((call[column] - NINE).total_seconds())


# --- what legs say together ---


def test_a_transfer_is_credited_to_the_last_agent_who_handled_it() -> None:
    call = combined([leg("2", 60, 200, agent=2, talk=140, site_id=8), leg("1", 0, 60, agent=1, talk=50, site_id=7)])
    assert (call["agent_id"], call["agent_uncertain"], call["site_id"]) == (2, False, 8)
    assert (second(call, "started_at"), second(call, "ended_at"), call["talk_seconds"]) == (0, 200, 190)
    assert call["answered"]


def test_an_agent_whose_phone_only_rang_handled_nothing() -> None:
    talked_to = leg("1", 0, 60, agent=1, talk=50)
    assert combined([talked_to, leg("2", 60, 90, agent=2)])["agent_id"] == 1
    machine = leg("ivr", 0, 60, talk=60)
    call = combined([machine, leg("2", 60, 90, agent=2)])
    assert call["answered"] and call["agent_id"] is None and not call["agent_uncertain"]


def test_an_unanswered_call_keeps_the_agent_whose_phone_rang_last() -> None:
    call = combined([leg("1", 0, 20, agent=1), leg("2", 20, 40, agent=2)])
    assert (call["agent_id"], call["answered"], call["talk_seconds"]) == (2, False, 0)


def test_a_machine_before_or_behind_the_agent_is_nobody() -> None:
    before, agent, behind = leg("1", 0, 30, talk=30), leg("2", 30, 90, agent=1, talk=60), leg("3", 90, 120, talk=20)
    assert combined([before, agent, behind])["agent_id"] == 1
    assert combined([before, behind])["agent_id"] is None


@pytest.mark.parametrize(("apart", "uncertain"), [(0, True), (1, True), (2, False)])
def test_two_agents_who_end_at_once_leave_the_site_alone(apart: int, uncertain: bool) -> None:
    legs = [leg("1", 0, 100, agent=1, talk=90, site_id=7), leg("2", 50, 100 + apart, agent=2, talk=40, site_id=8)]
    call = combined(legs)
    assert call["agent_uncertain"] is uncertain
    assert call["agent_id"] == (None if uncertain else 2) and call["site_id"] == 8


@pytest.mark.parametrize(
    ("legs", "site"),
    [
        # Who joined last, though the other's stamp is a second later.
        ([leg("1", 0, 101, agent=1, talk=90, site_id=7), leg("2", 50, 100, agent=2, talk=40, site_id=8)], 8),
        ([leg("1", 50, 100, agent=1, talk=40, site_id=7), leg("2", 0, 101, agent=2, talk=90, site_id=8)], 7),
        # Both joined at once: the later end, then the greater name.
        ([leg("1", 50, 101, agent=1, talk=40, site_id=7), leg("2", 50, 100, agent=2, talk=40, site_id=8)], 7),
        ([leg("1", 50, 100, agent=1, talk=40, site_id=7), leg("2", 50, 100, agent=2, talk=40, site_id=8)], 8),
        # Who had left two seconds before is out of it, and so is a machine.
        (
            [
                leg("1", 0, 100, agent=1, talk=90, site_id=7),
                leg("2", 50, 98, agent=2, talk=40, site_id=8),
                leg("3", 60, 100, talk=40, site_id=9),
                leg("4", 0, 100, agent=3, talk=100, site_id=6),
            ],
            6,
        ),
        # One agent who is at two sites by the file.
        ([leg("1", 0, 100, agent=1, talk=90, site_id=7), leg("2", 50, 100, agent=1, talk=40, site_id=8)], 8),
        # Nobody handled it: the same rule among all legs.
        ([leg("1", 0, 100, site_id=7), leg("2", 50, 100, site_id=8), leg("3", 90, 98, site_id=9)], 8),
    ],
)
def test_of_legs_that_end_at_once_at_several_sites_one_site_is_credited(legs: list[Leg], site: int) -> None:
    whole = combined(legs)
    assert whole["site_id"] == site
    assert all(combined(order) == whole for order in permutations(legs))
    handlers = {part["agent_id"] for part in legs if part["answered"] and second(part, "ended_at") >= 99} - {None}
    assert whole["agent_uncertain"] is (len(handlers) > 1)


def test_two_legs_of_one_agent_that_end_at_once_are_certain() -> None:
    call = combined([leg("1", 0, 100, agent=1, talk=90), leg("2", 50, 100, agent=1, talk=40)])
    assert (call["agent_id"], call["agent_uncertain"]) == (1, False)


def test_each_second_of_talk_counts_once() -> None:
    assert talked([leg("1", 0, 100, talk=100), leg("2", 20, 50, talk=30), leg("3", 90, 130, talk=40)]) == 130
    assert talked([leg("1", 0, 100, talk=10), leg("2", 200, 300, talk=20)]) == 30
    assert talked([leg("1", 0, 100, talk=100, answered=False), leg("2", 0, 10)]) == 0


def test_the_customer_is_who_the_earliest_leg_names_though_it_ends_last() -> None:
    inbound = leg("in", 0, 300, talk=300, customer_id=11, language="es")
    consulted = leg("consult", 50, 90, agent=2, talk=40, customer_id=12, language="en")
    silent = leg("ring", -5, 400)
    call = combined([consulted, inbound, silent])
    assert (call["customer_id"], call["contact_fault"], call["language"]) == (11, None, "es")
    faulty = leg("first", -9, 10, contact_fault="phone: is not valid")
    assert combined([faulty, inbound])["contact_fault"] is None
    assert combined([faulty, silent])["contact_fault"] == "phone: is not valid"


def test_queue_and_topic_are_the_last_handling_legs_else_the_latest_there_are() -> None:
    legs = [leg("1", 0, 60, agent=1, talk=50, queue="sales"), leg("2", 60, 90, queue="billing", topic="rates")]
    assert (combined(legs)["queue"], combined(legs)["topic"]) == ("sales", "rates")


def test_only_a_call_whose_legs_are_all_internal_is() -> None:
    inside, outside = leg("1", 0, 60, internal=True), leg("2", 0, 60)
    assert [combined(legs)["internal"] for legs in ([inside, inside], [inside, outside])] == [True, False]


@st.composite
def mixed(draw: st.DrawFn) -> list[Leg]:
    """Legs of any kind, names apart."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        begins, length = draw(st.integers(0, 40)), draw(st.integers(0, 30))
        talk = draw(st.integers(0, length))
        maybe: st.SearchStrategy[Any] = st.sampled_from([None, 1, 2, 3])
        columns = {name: draw(maybe) for name in ("customer_id", "contact_fault", "queue", "topic", "language")}
        stamp = draw(st.sampled_from([None, NINE, NINE + timedelta(1)]))
        columns |= {"site_id": draw(st.integers(1, 2)), "internal": draw(st.booleans()), "recorded_at": stamp}
        found.append(leg(str(number), begins, begins + length, draw(maybe), talk, **columns))
    return found


@settings(max_examples=150, deadline=None)
@given(legs=mixed(), data=st.data())
def test_whatever_their_order_legs_say_the_same(legs: list[Leg], data: st.DataObject) -> None:
    whole = combined(legs)
    assert combined(data.draw(st.permutations(legs))) == whole
    handled = [part for part in legs if part["answered"] and part["agent_id"] is not None]
    seconds = {second(part, "ended_at") - n for part in legs if part["answered"] for n in range(part["talk_seconds"])}
    assert whole["talk_seconds"] == talked(legs) == len(seconds)
    last = max((part["ended_at"] for part in handled), default=None)
    at_the_end = {part["agent_id"] for part in handled if last - part["ended_at"] <= timedelta(seconds=1)}
    assert whole["agent_uncertain"] is (len(at_the_end) > 1)
    if handled:
        assert {whole["agent_id"]} == ({None} if len(at_the_end) > 1 else at_the_end)
    tied = [part for part in handled or legs if latest(handled or legs) - part["ended_at"] <= timedelta(seconds=1)]
    joined_last = [part for part in tied if part["started_at"] == max(part["started_at"] for part in tied)]
    assert whole["site_id"] in {part["site_id"] for part in joined_last if part["ended_at"] == latest(joined_last)}
    assert not whole["agent_uncertain"] or whole["agent_id"] is None
    assert whole["answered"] or whole["talk_seconds"] == 0


def latest(legs: list[Leg]) -> Any:
    return max(part["ended_at"] for part in legs)


# --- from file to rows ---


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    place = samples.place()
    factories.agent(place, key="bob")
    db.session.commit()
    return place


def line(call: str, name: str, agent: str, begins: int, ends: int, talk: int, phone: str = "", queue: str = "") -> str:
    """A leg as a row of a file, times of day in minutes after nine."""
    times = f"2026-03-02 09:{begins:02}:00,2026-03-02 09:{ends:02}:00"
    return f"{call},{name},{agent},{times},{'yes' if talk else 'no'},{talk},{queue},{phone}"


FILE = [
    line("a", "1", "amy", 0, 5, 240, "2125550101", "sales"),
    line("a", "2", "bob", 5, 9, 200, "", "billing"),
    line("b", "1", "amy", 1, 5, 60, "2125550102"),
    line("b", "2", "bob", 2, 5, 60, "2125550103"),
    line("c", "", "amy", 3, 4, 30, "2125550104"),
    line("d", "1", "", 0, 1, 0, "2125550105"),
    line("d", "2", "amy", 1, 2, 0),
    line("d", "", "bob", 2, 4, 100),
]


def take(folder: Path, lines: Sequence[str], **options: Any) -> Any:
    return samples.taken(samples.written(folder, samples.rows(*lines, header=HEADER)), **options)


def test_a_file_of_legs_is_one_call_for_each_and_says_so(site: Site, tmp_path: Path) -> None:
    report = take(tmp_path, FILE)
    assert samples.counts(report) == (8, 0, 0, 0) and report.notes[FURTHER_LEGS] == 3
    calls = samples.stored()
    assert {id: call.agent and call.agent.key for id, call in calls.items()} == {
        "a": "bob",
        "b": None,
        "c": "amy",
        "d": "bob",
    }
    assert (calls["a"].talk_seconds, calls["a"].queue) == (440, "billing")
    assert calls["a"].customer is not None and calls["a"].customer.phone == "+12125550101"
    assert calls["b"].agent_uncertain and calls["b"].site_id == site.id and calls["b"].talk_seconds == 60
    assert calls["d"].customer is not None and calls["d"].customer.phone == "+12125550105"
    assert set(snapshots.legs()) == {("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("d", ""), ("d", "1"), ("d", "2")}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_legs_cut_shuffled_and_repeated_are_the_rows_of_one_clean_file(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    snapshots.emptied("amy", "bob")
    take(tmp_path, FILE)
    clean = snapshots.house()
    snapshots.emptied("amy", "bob")
    mixed = data.draw(st.permutations(FILE + data.draw(st.lists(st.sampled_from(FILE), max_size=5))))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(mixed) - 1), max_size=2, unique=True)))
    monkeypatch.setattr(reading, "CHUNK", data.draw(st.integers(1, 6)))
    reports = [take(tmp_path, mixed[a:b]) for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    assert snapshots.house() == clean
    assert sum(samples.counts(report)[0] for report in reports) == len(FILE)
    assert sum(samples.counts(report)[2] for report in reports) == len(mixed) - len(FILE)


@pytest.mark.parametrize("plain_first", [True, False])
def test_a_plain_record_is_the_leg_without_a_name(site: Site, tmp_path: Path, plain_first: bool) -> None:
    plain, named = line("x", "", "amy", 0, 5, 100, "2125550101"), line("x", "2", "bob", 5, 9, 50)
    for record in [plain, named] if plain_first else [named, plain]:
        assert samples.counts(take(tmp_path, [record])) == (1, 0, 0, 0)
    call = samples.stored()["x"]
    assert call.agent is not None and call.agent.key == "bob" and call.talk_seconds == 150
    assert set(snapshots.legs()) == {("x", ""), ("x", "2")}
    assert samples.counts(take(tmp_path, [plain, named])) == (0, 0, 2, 0)
    later = take(tmp_path, [line("x", "", "amy", 0, 5, 200, "2125550101")])
    assert samples.counts(later) == (0, 1, 0, 0) and samples.stored()["x"].talk_seconds == 250
    assert later.changes[0].fields == ["talk_seconds"]


def test_a_leg_brought_up_to_date_brings_its_call_up_to_date(site: Site, tmp_path: Path) -> None:
    take(tmp_path, FILE[:2])
    report = take(tmp_path, [line("a", "2", "amy", 5, 10, 200, "", "billing")])
    assert samples.counts(report) == (0, 1, 0, 0)
    call = samples.stored()["a"]
    assert call.agent is not None and call.agent.key == "amy" and call.talk_seconds == 440
    beneath = take(tmp_path, [line("a", "1", "amy", 0, 5, 240, "2125550101", "other")])
    assert samples.counts(beneath) == (0, 1, 0, 0) and samples.stored()["a"].queue == "billing"
    assert beneath.changes[0].fields == ["queue"]


def test_a_leg_after_the_draw_is_kept_and_its_call_stays_as_drawn(site: Site, tmp_path: Path) -> None:
    take(tmp_path, FILE[:1])
    factories.draw(samples.stored()["a"], factories.campaign([site]))
    db.session.commit()
    before = snapshots.exactly()["calls"]
    report = take(tmp_path, FILE[:2])
    assert samples.counts(report) == (0, 0, 2, 0) and report.notes[BESIDE] == 1
    assert snapshots.exactly()["calls"] == before
    assert {row.leg for row in db.session.query(CallLeg)} == {"1", "2"}
    (beside,) = db.session.query(LaterRecord)
    bob = db.session.query(CallLeg).filter_by(leg="2").one().agent_id
    assert beside.record == {
        "agent_id": bob,
        "ended_at": "2026-03-02T14:09:00+00:00",
        "queue": "billing",
        "talk_seconds": 440,
    }
    again = take(tmp_path, FILE[:2])
    assert samples.counts(again) == (0, 0, 2, 0) and again.notes[BESIDE] == 0
    assert db.session.query(LaterRecord).count() == 1
