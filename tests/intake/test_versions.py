"""Several records of one call: the newest version counts, whatever came first; after the draw they are kept beside."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake import reading
from intake.call_store import BESIDE, OLDER
from intake.calls import RowResult
from intake.cases import Fate
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from survey.models import CallLeg, LaterRecord, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples, snapshots

NINE = utc(2026, 3, 2, 14)
Record = dict[str, Any]


def version(number: int, call: str = "c", **given: Any) -> Record:
    """A record of a call as it stood so many minutes after it."""
    found = {
        "external_id": call,
        "agent": "amy",
        "started_at": NINE,
        "talk_seconds": 60,
        "queue": "sales",
        "language": "en",
        "phone": "2125550101",
        "recorded_at": NINE + timedelta(minutes=number),
    }
    return found | given


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    place = samples.place()
    factories.agent(place, key="bob")
    db.session.commit()
    return place


def taken(*records: Record, **options: Any) -> ImportReport:
    return samples.taken(list(records), **options)


# --- with the telephone system's own stamps ---


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_newest_version_counts_whatever_came_first(site: Site, order: Sequence[int]) -> None:
    versions = {1: version(1, queue="old", agent="bob"), 2: version(2, talk_seconds=70, queue="", agent="")}
    reports = [taken(versions[number]) for number in order]
    call = samples.stored()["c"]
    assert (call.talk_seconds, call.recorded_at) == (70, NINE + timedelta(minutes=2))
    # What the newest leaves empty is empty: whoever handled an earlier version of it is nobody now.
    assert (call.queue, call.agent_id) == (None, None)
    assert samples.counts(reports[1]) == ((0, 1, 0, 0) if order == (1, 2) else (0, 0, 1, 0))
    assert reports[1].notes[OLDER] == (order == (2, 1))


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_contact_is_not_lost_by_a_newer_version_without_one(site: Site, order: Sequence[int]) -> None:
    versions = {1: version(1), 2: version(2, phone="", talk_seconds=70)}
    for number in order:
        taken(versions[number])
    call = samples.stored()["c"]
    assert call.customer is not None and call.customer.phone == "+12125550101" and call.talk_seconds == 70


def test_a_faulty_contact_of_the_newest_version_is_not_mended_by_an_older_one(site: Site) -> None:
    for order in ([1, 2], [2, 1]):
        snapshots.emptied("amy", "bob")
        for number in order:
            taken(version(number, phone="2125550101" if number == 1 else "911"))
        call = samples.stored()["c"]
        assert call.customer is None and call.contact_fault == "phone: is a short number"


def test_a_record_without_a_stamp_is_no_older_than_any(site: Site) -> None:
    taken(version(5))
    assert samples.counts(taken(version(0, recorded_at="", talk_seconds=80))) == (0, 1, 0, 0)
    call = samples.stored()["c"]
    assert call.talk_seconds == 80 and call.recorded_at == NINE + timedelta(minutes=5)
    assert samples.counts(taken(version(4, talk_seconds=90))) == (0, 0, 1, 0)


def test_the_stamp_is_local_to_the_site_as_other_times_are(site: Site, tmp_path: Path) -> None:
    header = samples.HEADER + ",recorded_at"
    newer, older = ("1,amy,2026-03-02 09:00,60,2026-03-02 09:30", "1,amy,2026-03-02 09:00,50,2026-03-02T14:29:59Z")
    report = samples.taken(samples.written(tmp_path, samples.rows(newer, older, header=header)))
    assert samples.counts(report) == (1, 0, 1, 0) and samples.stored()["1"].talk_seconds == 60
    assert samples.stored()["1"].recorded_at == utc(2026, 3, 2, 14, 30)


def test_versions_of_a_leg_are_told_apart_by_their_stamps(site: Site) -> None:
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        snapshots.emptied("amy", "bob")
        for number in order:
            taken(version(number, leg="a", talk_seconds=60 + number), version(9, leg="b", talk_seconds=1, agent="bob"))
        assert {row.leg: row.talk_seconds for row in db.session.query(CallLeg)} == {"a": 63, "b": 1}
        assert samples.stored()["c"].talk_seconds == 63


def test_a_number_of_the_centres_own_makes_a_stored_call_internal(site: Site) -> None:
    taken(version(1, recorded_at=""))
    site.organisation.own_numbers = ["+1212555010"]
    db.session.commit()
    assert samples.counts(taken(version(1, recorded_at=""))) == (0, 1, 0, 0) and samples.stored()["c"].internal


# --- what they say of their customer, and what they leave out ---


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_version_says_whether_calls_are_welcome(site: Site, order: Sequence[int]) -> None:
    records = [
        version(180, talk_seconds=7200, email="old@example.com", consents_to_calls="yes"),
        version(240, talk_seconds=60, email="new@example.com", consents_to_calls="no"),
        version(0, "d", started_at=NINE + timedelta(hours=1), email="d@example.com", recorded_at=""),
    ]
    for number in order:
        taken(records[number])
    assert snapshots.customers() == {"+12125550101": ("+12125550101", "new@example.com", "en", False, False)}


@pytest.mark.parametrize("beside", [[], [version(0, "d", recorded_at="")]])
def test_a_version_says_it_when_it_was_recorded(site: Site, beside: list[Record]) -> None:
    taken(version(240, consents_to_calls="no"), *beside)
    later = {"started_at": NINE + timedelta(hours=2), "recorded_at": ""}
    taken(version(0, "e", consents_to_calls="yes", **later))
    assert [customer[-1] for customer in snapshots.customers().values()] == [False]


@pytest.mark.parametrize("leg", [None, "a"])
def test_an_older_version_does_not_undo_a_later_no_without_a_stamp(site: Site, leg: str | None) -> None:
    records = [
        version(3, leg=leg, consents_to_calls=""),
        version(0, leg=leg, recorded_at="", consents_to_calls="no"),
        version(2, leg=leg, consents_to_calls="yes"),
    ]
    for together in (True, False):
        snapshots.emptied("amy", "bob")
        for batch in [records] if together else [[record] for record in records]:
            taken(*batch)
        assert [customer[-1] for customer in snapshots.customers().values()] == [False]


@pytest.mark.parametrize("leg", [None, "a"])
def test_an_internal_call_stays_one_where_a_record_does_not_say(site: Site, leg: str | None) -> None:
    said = [version(0, recorded_at="", leg=leg, internal=internal) for internal in ("yes", "", "no", "")]
    found = []
    for record in said:
        taken(record)
        found.append(samples.stored()["c"].internal)
    assert found == [True, True, False, False]


def test_the_newest_version_is_internal_only_when_it_says_so(site: Site) -> None:
    for order in ([1, 2], [2, 1]):
        snapshots.emptied("amy", "bob")
        for number in order:
            taken(version(number, internal="yes" if number == 1 else ""))
        assert not samples.stored()["c"].internal


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Two to four versions of several calls; each says what it likes, as one telephone system would."""
    found = []
    for call in range(draw(st.integers(1, 3))):
        for number in range(draw(st.integers(2, 4))):
            told = {
                "talk_seconds": draw(st.integers(0, 3)) * 30,
                "agent": draw(st.sampled_from(["", "amy", "bob"])),
                "queue": draw(st.sampled_from(["", "sales", "billing"])),
                "language": draw(st.sampled_from(["", "en", "es"])),
                "internal": draw(st.sampled_from(["no", "yes"])),
                "phone": f"21255501{call:02}",
            }
            found.append(version(number, f"c{call}", **told))
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), data=st.data())
def test_versions_in_any_order_and_split_are_the_rows_of_the_newest(
    site: Site, monkeypatch: pytest.MonkeyPatch, history: list[Record], data: st.DataObject
) -> None:
    newest = {record["external_id"]: record for record in history}
    snapshots.emptied("amy", "bob")
    taken(*newest.values())
    clean = snapshots.house()
    snapshots.emptied("amy", "bob")
    mixed = data.draw(st.permutations(history))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(mixed) - 1), max_size=3, unique=True)))
    monkeypatch.setattr(reading, "CHUNK", data.draw(st.integers(1, 8)))
    for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
        assert samples.counts(taken(*mixed[a:b]))[3] == 0
    calls, legs, customers, _ = snapshots.house()
    # Customers' language is what their latest call says last, of which versions of one call tell nothing new.
    assert (calls, legs, set(customers)) == (clean[0], clean[1], set(clean[2]))


# --- without stamps ---


def test_without_stamps_the_later_record_wins_until_the_draw(site: Site) -> None:
    first, second = (version(0, recorded_at="", talk_seconds=talk) for talk in (60, 90))
    for record in (first, second, first):
        taken(record)
        assert samples.stored()["c"].talk_seconds == record["talk_seconds"]
    factories.draw(samples.stored()["c"], factories.campaign([site]))
    db.session.commit()
    report = taken(second)
    assert samples.counts(report) == (0, 0, 1, 0) and samples.stored()["c"].talk_seconds == 60


def test_after_the_draw_each_differing_record_is_kept_once(site: Site) -> None:
    taken(version(0))
    factories.draw(samples.stored()["c"], factories.campaign([site]))
    db.session.commit()
    before = snapshots.exactly()["calls"]
    fates: Counter[Fate] = Counter()

    def note(row: RowResult) -> None:
        fates[row.fate] += 1

    later = [version(1, talk_seconds=90), version(1, talk_seconds=90), version(2, queue="x"), version(0), version(-9)]
    report = taken(*later, on_row=note)
    assert samples.counts(report) == (0, 0, 5, 0) and +report.notes == {BESIDE: 3, OLDER: 1}
    assert fates == {Fate.KEPT_BESIDE: 3, Fate.UNCHANGED: 2}
    assert samples.counts(taken(later[0])) == (0, 0, 1, 0)
    assert snapshots.exactly()["calls"] == before
    kept = [row.record for row in db.session.query(LaterRecord).order_by(LaterRecord.id)]
    assert kept == [
        {"ended_at": iso(NINE, 90), "recorded_at": iso(NINE, 60), "talk_seconds": 90},
        {"queue": "x", "recorded_at": iso(NINE, 120)},
    ]
    assert "+12125550101" not in str(kept) and report.rejected == 0


def iso(moment: datetime, seconds: int) -> str:
    return (moment + timedelta(seconds=seconds)).isoformat()
