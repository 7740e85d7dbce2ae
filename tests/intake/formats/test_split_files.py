"""Calls whose records lie in several files: joined where each record leads to its call, told of where none does.

Nothing is lost, nothing is counted twice, and the whole file handed in afterwards mends what halves could not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats.freeswitch import HALF
from intake.formats.scratch import NO_FIRST_LEG
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from tests import factories
from tests.intake import samples, snapshots
from tests.intake.formats import test_amazon_connect as amazon
from tests.intake.formats import test_asterisk as asterisk
from tests.intake.formats import test_freeswitch as freeswitch
from tests.intake.formats import test_twilio as twilio
from tests.intake.formats.reading import json_lines, read_objects, read_text

AGENTS = {"values": {"agent": {"1001": "amy", "1002": "bob", "amy": "amy", "bob": "bob"}}}


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> None:
    factories.agent(samples.place(), key="bob")
    db.session.commit()


def take(folder: Path, text: str, format_name: str) -> ImportReport:
    report = samples.taken(samples.written(folder, text, "calls"), AGENTS, format=format_name)
    samples.counts(report)
    return report


def cut(data: st.DataObject, records: Sequence[Any]) -> list[list[Any]]:
    """The records shuffled, some there twice, in one to four files."""
    mixed = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=3))]))
    inside = range(1, len(mixed))
    places = sorted(data.draw(st.sets(st.sampled_from(inside), max_size=3))) if inside else []
    return [mixed[begin:end] for begin, end in zip([0, *places], [*places, len(mixed)], strict=True)]


# --- FreeSWITCH: the halves of a pair lead to one call each by itself ---


@st.composite
def pairs(draw: st.DrawFn) -> list[dict[str, str]]:
    """A and B legs of customers' calls, the uuids in any order, some with the customer's leg alone."""
    numbers = draw(st.lists(st.integers(1, 99), min_size=2, max_size=8, unique=True))
    found = []
    for a, b in zip(numbers[::2], numbers[1::2], strict=False):
        caller = {"caller_id_number": f"+12125550{100 + a}"}
        found.append(freeswitch.A_LEG | caller | {"uuid": freeswitch.uuid(a), "bleg_uuid": freeswitch.uuid(b)})
        if draw(st.integers(0, 3)):
            telephone = draw(st.sampled_from(["1001", "1002"]))
            b_leg = {"uuid": freeswitch.uuid(b), "destination_number": telephone, "accountcode": telephone}
            found.append(freeswitch.B_LEG | caller | b_leg)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legs=pairs(), data=st.data())
def test_a_pair_of_legs_in_two_files_is_one_call(
    tmp_path: Path, legs: list[dict[str, str]], data: st.DataObject
) -> None:
    snapshots.emptied("amy", "bob")
    take(tmp_path, freeswitch.text_of(*legs), "freeswitch")
    clean = snapshots.house()
    snapshots.emptied("amy", "bob")
    pieces = cut(data, legs)
    halves = 0
    for piece in pieces:
        report = take(tmp_path, freeswitch.text_of(*piece), "freeswitch")
        there = {leg["uuid"] for leg in piece}
        alone = {leg["uuid"] for leg in piece if leg["bleg_uuid"] and leg["bleg_uuid"] not in there}
        assert report.notes[HALF] == len(alone)
        halves += len(alone)
    calls, stored_legs, customers, _ = snapshots.house()
    assert (calls.keys(), stored_legs.keys(), customers.keys()) == (clean[0].keys(), clean[1].keys(), clean[2].keys())
    talk = snapshots.PLACES["talk_seconds"]
    for id, call in calls.items():
        whole = clean[0][id]
        assert call[:talk] + call[talk + 1 :] == whole[:talk] + whole[talk + 1 :]
        assert call[talk] >= whole[talk], "a customer's leg alone counts from when the exchange answered"
    take(tmp_path, freeswitch.text_of(*legs), "freeswitch")
    assert snapshots.house() == clean


def test_a_chain_of_three_legs_in_two_files_may_be_two_calls_and_is_told_of(tmp_path: Path) -> None:
    """The first names the second, and which call that belongs to stands in the other file."""
    first = freeswitch.A_LEG
    second = freeswitch.A_LEG | {"uuid": freeswitch.B, "bleg_uuid": freeswitch.C}
    third = freeswitch.B_LEG | {"uuid": freeswitch.C}
    assert take(tmp_path, freeswitch.text_of(first), "freeswitch").notes[HALF] == 1
    assert take(tmp_path, freeswitch.text_of(second, third), "freeswitch").notes[HALF] == 0
    assert set(samples.stored()) == {freeswitch.B, freeswitch.C}


# --- TaskRouter: a half says no call ---

TASKS = [
    *twilio.TASK[:6],
    *(told | {"task_queue_name": "Sales again"} for told in twilio.TASK[6:]),
    *(
        twilio.payload(kind, at, reservation, worker_name="bob", task_sid="WT2", task_attributes='{"call_sid": "CA2"}')
        for kind, at, reservation in [
            ("task.created", "00:10", None),
            ("reservation.accepted", "00:40", "WR2"),
            ("reservation.wrapup", "01:40", "WR2"),
            ("reservation.accepted", "01:45", "WR3"),
            ("reservation.completed", "02:50", "WR3"),
            ("task.completed", "02:50", None),
        ]
    ),
    *(
        twilio.payload(kind, at, None, task_sid="WT3", task_attributes='{"call_sid": "CA3"}')
        for kind, at in [("task.created", "01:10"), ("task.canceled", "02:40")]
    ),
]
CANCELED_BEHIND = [twilio.TASK[4], twilio.payload("task.canceled", "02:50", None)]
IN_TIME = sorted(TASKS, key=lambda told: str(told["timestamp"]))


def events(told: Sequence[dict[str, Any]]) -> str:
    return json_lines(map(twilio.streamed, told))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_task_cut_in_two_never_says_another_call(tmp_path: Path, data: st.DataObject) -> None:
    snapshots.emptied("amy", "bob")
    take(tmp_path, events(TASKS), "twilio")
    clean = snapshots.house()
    assert len(clean[0]) == 3 and len(clean[1]) == 4
    snapshots.emptied("amy", "bob")
    for piece in cut(data, TASKS):
        take(tmp_path, events(piece), "twilio")
    calls, legs, *_ = snapshots.house()
    assert calls.keys() <= clean[0].keys() and legs.keys() <= clean[1].keys()
    answered = snapshots.PLACES["answered"]
    assert all(leg[:2] == clean[1][key][:2] for key, leg in legs.items()), "site and agent"
    assert all(call[answered] == clean[0][id][answered] for id, call in calls.items())
    take(tmp_path, events(TASKS), "twilio")
    assert snapshots.house() == clean


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_files_that_overlap_give_the_rows_of_one_in_any_order(tmp_path: Path, data: st.DataObject) -> None:
    """Stretches of time, one of which holds each task whole."""
    snapshots.emptied("amy", "bob")
    take(tmp_path, events(TASKS), "twilio")
    clean = snapshots.house()
    snapshots.emptied("amy", "bob")
    last = len(IN_TIME)
    stretches = [(0, last)] + [
        tuple(sorted(data.draw(st.lists(st.integers(0, last), min_size=2, max_size=2, unique=True)))) for _ in range(3)
    ]
    for begin, end in data.draw(st.permutations(stretches)):
        take(tmp_path, events(IN_TIME[begin:end]), "twilio")
    assert snapshots.house() == clean


def test_a_file_that_goes_on_longer_counts_though_it_came_first(tmp_path: Path) -> None:
    for end in (len(TASKS), 6):  # the wrap-up is in both, the completion in the first
        take(tmp_path, events(TASKS[:end]), "twilio")
    assert samples.stored()["CA1"].queue == "Sales again"


def test_a_task_that_was_worked_on_is_never_an_unanswered_call(tmp_path: Path) -> None:
    """What comes behind the acceptance, with and without the reservation's own events."""
    for told in (twilio.TASK[3:], [twilio.TASK[7]], [twilio.TASK[0], twilio.TASK[5]], CANCELED_BEHIND):
        found = read_objects(tmp_path, map(twilio.streamed, told))
        assert not found.rows and {why.partition(" in ")[0] for _, why in found.faults} == {
            "no reservation.accepted event"
        }


# --- legs that do not know whether their call is internal ---


def test_a_leg_without_its_first_is_told_of(tmp_path: Path) -> None:
    later = {"uniqueid": "1772442000.2", "sequence": "8"}
    assert read_text(tmp_path, asterisk.legs(later), "asterisk").notes[NO_FIRST_LEG] == 1
    assert NO_FIRST_LEG not in read_text(tmp_path, asterisk.legs({}, later), "asterisk").notes
    second = amazon.CONTACT | {"ContactId": "c2", "InitialContactId": "c1"}
    assert read_objects(tmp_path, [second]).notes[NO_FIRST_LEG] == 1
    assert NO_FIRST_LEG not in read_objects(tmp_path, [second, amazon.CONTACT]).notes
    assert read_objects(tmp_path, [twilio.CHILD]).notes[NO_FIRST_LEG] == 1
    assert NO_FIRST_LEG not in read_objects(tmp_path, [twilio.CHILD, twilio.PARENT]).notes


def test_a_leg_of_an_internal_call_is_not_told_of_when_its_first_is_there(tmp_path: Path) -> None:
    ours = amazon.CONTACT | {"InitiationMethod": "OUTBOUND"}
    second = amazon.CONTACT | {"ContactId": "c2", "InitialContactId": "c1"}
    assert NO_FIRST_LEG not in read_objects(tmp_path, [second, ours]).notes
    ours = twilio.PARENT | {"direction": "outbound-api"}
    assert NO_FIRST_LEG not in read_objects(tmp_path, [twilio.CHILD, ours]).notes


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_legs_of_asterisk_and_of_amazon_are_joined_over_files(tmp_path: Path, data: st.DataObject) -> None:
    transferred = {"uniqueid": "1772442000.2", "sequence": "8", "dstchannel": "SIP/1002-00000009"}
    lines = asterisk.legs(
        {"dstchannel": "SIP/1001-00000008"}, transferred | {"end": "2026-03-02 09:09:00"}
    ).splitlines()
    agent = {"Username": "bob", "AgentInteractionDuration": 60}
    second = {"ContactId": "c2", "InitialContactId": "c1", "InitiationMethod": "TRANSFER", "Agent": agent}
    contacts = json_lines([amazon.CONTACT, amazon.CONTACT | second]).splitlines()
    for records, format_name in ((lines, "asterisk"), (contacts, "amazon-connect")):
        snapshots.emptied("amy", "bob")
        take(tmp_path, "\n".join([*records, ""]), format_name)
        clean = snapshots.house()
        assert len(clean[0]) == 1 and len(clean[1]) == 2
        snapshots.emptied("amy", "bob")
        for piece in cut(data, records):
            take(tmp_path, "\n".join([*piece, ""]), format_name)
        assert snapshots.house() == clean
