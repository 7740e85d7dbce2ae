"""A real quarter of 5,000 calls, and the same calls as four spreadsheets re-saved them, come out as the same.

And one real day of a bank, whose file has neither a date nor an id of its own.
"""

from __future__ import annotations

import csv
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from phonenumbers import is_valid_number, parse
from sqlalchemy import func, select

from intake.call_rows import TALK_OF_UNANSWERED
from survey.db import db
from survey.models import Agent, Assignment, Call, Customer, ImportKind, ImportRecord, Survey
from tests.conftest import PROJECT
from tests.intake import samples
from tests.statements import counted

FOLDER = PROJECT.parent / "shared" / "data" / "pwc_call_center"
ORIGINAL = FOLDER / "call-center-dataset.csv"
VARIANTS = [
    "call-center-dataset.xlsx",
    "variant_1900_time_floats.csv",
    "variant_semicolon_dmy_fraction_time.csv",
    "variant_d-Mon-yy.csv",
]
MAPPING = {
    "columns": {
        "external_id": "Call Id",
        "agent": "Agent",
        "date": "Date",
        "time": "Time",
        "topic": "Topic",
        "answered": "Answered (Y/N)",
        "wait_seconds": "Speed of answer in seconds",
        "talk_seconds": "AvgTalkDuration",
    },
    "values": {"answered": {"Y": True, "N": False}},
}
# The mapping of someone who spells the formats out, for each way the calls were saved.
FORMATS = {
    "variant_1900_time_floats.csv": {"date_format": "%Y-%m-%d", "time_format": "1900-01-01 %H:%M:%S"},
    "variant_semicolon_dmy_fraction_time.csv": {"date_format": "%d.%m.%Y"},
    "variant_d-Mon-yy.csv": {"date_format": ["%d-%b-%y"], "time_format": "%H:%M"},
}

BANK = PROJECT.parent / "shared" / "data" / "bank_one_day" / "calls_one_day.csv"
BANK_MAPPING = {
    "id_columns": ["vru+line", "call_id"],
    "nothing": ["NO_SERVER"],
    "columns": {
        "time": "vru_entry",
        "wait_seconds": "q_time",
        "talk_seconds": "ser_time",
        "answered": "outcome",
        "agent": "server",
        "topic": "type",
    },
    "constants": {"date": "2026-03-02"},
    "values": {"answered": {"AGENT": True, "HANG": False, "PHANTOM": False}},
}

pytestmark = pytest.mark.skipif(not ORIGINAL.is_file(), reason="the sample call records are not beside this checkout")


@pytest.fixture
def site(app: Flask) -> None:
    samples.place()


def as_expected() -> dict[str, tuple[object, ...]]:
    """The original read by the csv module alone, local times placed by zoneinfo."""
    expected: dict[str, tuple[object, ...]] = {}
    with ORIGINAL.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            started = datetime.fromisoformat(f"{row['Date']}T{row['Time']:0>8}").replace(
                tzinfo=ZoneInfo("America/New_York")
            )
            hours, minutes, seconds = (row["AvgTalkDuration"] or "0:0:0").split(":")
            talk = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            expected[row["Call Id"]] = (row["Agent"], row["Topic"], row["Answered (Y/N)"] == "Y", talk, started)
    return expected


def as_stored() -> dict[str, tuple[object, ...]]:
    rows = db.session.execute(
        select(Call.external_id, Agent.name, Call.topic, Call.answered, Call.talk_seconds, Call.started_at).join(Agent)
    )
    return {row[0]: tuple(row[1:]) for row in rows}


def to_the_minute(calls: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {
        id: (*rest, started.replace(second=0))
        for id, (*rest, started) in calls.items()
        if isinstance(started, datetime)
    }


@pytest.mark.parametrize(
    ("name", "spelt_out"),
    [*((name, False) for name in [ORIGINAL.name, *VARIANTS]), *((name, True) for name in FORMATS)],
)
def test_every_variant_is_the_same_5000_calls(site: None, name: str, spelt_out: bool) -> None:
    mapping = MAPPING | (FORMATS[name] if spelt_out else {})
    report = samples.taken(FOLDER / name, mapping, create_agents=True)
    assert samples.counts(report) == (5000, 0, 0, 0)
    minutes_only = name == "variant_d-Mon-yy.csv"
    expected, found = as_expected(), as_stored()
    assert (to_the_minute(found) if minutes_only else found) == (to_the_minute(expected) if minutes_only else expected)
    talked = db.session.scalar(select(func.count()).where(Call.answered, Call.talk_seconds > 0))
    unanswered = db.session.scalar(select(func.count()).where(~Call.answered, Call.talk_seconds == 0))
    assert (talked, unanswered) == (4054, 946)


def test_a_second_import_changes_nothing_whatever_the_variant(site: None) -> None:
    samples.taken(ORIGINAL, MAPPING, create_agents=True)
    before = as_stored()
    # The fourth variant lost the seconds.
    for name in (ORIGINAL.name, *VARIANTS[:3]):
        assert samples.counts(samples.taken(FOLDER / name, MAPPING, create_agents=True)) == (0, 0, 5000, 0), name
    assert as_stored() == before


def test_agents_are_made_once_and_stand_at_the_site_since_their_first_call(site: None) -> None:
    samples.taken(ORIGINAL, MAPPING, create_agents=True)
    first_days: dict[object, object] = {}
    for agent, *_, started in as_expected().values():
        assert isinstance(started, datetime)
        first_days.setdefault(agent, started.date())
    rows = db.session.execute(select(Agent.name, Assignment.starts_on).join(Assignment).where(Agent.key != "amy")).all()
    assert len(rows) == 8 and {row[0]: row[1] for row in rows} == first_days


def test_without_a_roster_every_row_is_rejected_and_kept_in_the_rejects_file(site: None, tmp_path: Path) -> None:
    report = samples.taken(ORIGINAL, MAPPING, rejects=tmp_path / "rejects.csv")
    assert samples.counts(report) == (0, 0, 0, 5000) and report.nothing_taken
    assert len((tmp_path / "rejects.csv").read_text(encoding="utf-8").splitlines()) == 5001


def test_the_files_own_rating_and_resolved_columns_are_not_taken_for_answers(site: None) -> None:
    samples.taken(ORIGINAL, MAPPING, create_agents=True)
    assert db.session.scalar(select(func.count()).select_from(Survey)) == 0
    assert {call.topic for call in samples.stored().values()} == {
        "Contract related",
        "Technical Support",
        "Payment related",
        "Admin Support",
        "Streaming",
    }


def test_made_up_contacts_join_by_call_id(site: None, tmp_path: Path) -> None:
    areas = [code for code in range(201, 990) if is_valid_number(parse(f"+1{code}5550100"))]
    lines = [f"ID{n:04},{areas[n // 100]}-555-01{n % 100:02},caller{n}@example.com,en" for n in range(1, 5001)]
    contacts = samples.written(
        tmp_path, "\n".join(["Call Id,phone,email,language", *lines, "ID9999,,x@example.com,en"])
    )
    report = samples.taken(ORIGINAL, MAPPING, create_agents=True, contacts=contacts)
    assert report.contacts == {"read": 5001, "used": 5000, "not used": 1, "rejected": 0}
    assert (
        db.session.scalar(select(func.count()).where(Call.customer_id.is_not(None), Call.contact_fault.is_(None)))
        == 5000
    )
    reached = db.session.execute(
        select(Customer.phone, Customer.email).join(Call).where(Call.external_id == "ID0107")
    ).one()
    assert tuple(reached) == (f"+1{areas[1]}5550107", "caller107@example.com")
    assert db.session.scalar(select(func.count()).select_from(Customer)) == 5000
    kinds = db.session.scalars(select(ImportRecord.kind).order_by(ImportRecord.id)).all()
    assert kinds == [ImportKind.CALLS, ImportKind.CONTACTS]


def test_a_quarter_imports_by_the_batch(site: None) -> None:
    with counted() as asked:
        samples.taken(ORIGINAL, MAPPING, create_agents=True)
    assert len(asked) < 100, len(asked)


# --- a day of a bank ---


def bank_rows() -> list[dict[str, str]]:
    """The day's rows by the csv module alone."""
    with BANK.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not BANK.is_file(), reason="the bank's day is not beside this checkout")
def test_a_day_of_a_bank_without_date_or_id_of_its_own(site: None) -> None:
    rows = bank_rows()
    report = samples.taken(BANK, BANK_MAPPING, create_agents=True)
    assert samples.counts(report) == (len(rows), 0, 0, 0) and len(rows) == 2375
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes == {"AGENT": 1511, "HANG": 846, "PHANTOM": 18}
    talked = [row for row in rows if row["outcome"] == "AGENT"]
    silent = sum(row["ser_time"] != "0" for row in rows) - sum(row["ser_time"] != "0" for row in talked)
    assert report.notes[TALK_OF_UNANSWERED] == silent > 0
    calls = list(samples.stored().values())
    answered = [call for call in calls if call.answered]
    assert len(answered) == len(talked) and len(calls) - len(answered) == 846 + 18
    nobody = sum(row["server"] == "NO_SERVER" for row in talked)
    assert sum(call.agent_id is None for call in answered) == nobody == 6
    short = sum(int(row["ser_time"]) < 10 for row in talked)
    assert sum(call.talk_seconds < 10 for call in answered) == short == 59


@pytest.mark.skipif(not BANK.is_file(), reason="the bank's day is not beside this checkout")
def test_each_call_of_the_bank_is_the_row_it_came_from(site: None) -> None:
    samples.taken(BANK, BANK_MAPPING, create_agents=True)
    midnight = datetime(2026, 3, 2, tzinfo=ZoneInfo("America/New_York"))
    expected = {}
    for row in bank_rows():
        hours, minutes, seconds = map(int, row["vru_entry"].split(":"))
        started = midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)
        was_answered = row["outcome"] == "AGENT"
        talk = int(row["ser_time"]) if was_answered else 0
        agent = None if row["server"] == "NO_SERVER" else row["server"]
        ended = started + timedelta(seconds=talk + int(row["q_time"]))
        expected[f"{row['vru+line']}/{row['call_id']}"] = (agent, row["type"], was_answered, talk, started, ended)
    found = db.session.execute(
        select(
            *(Call.external_id, Agent.name, Call.topic, Call.answered),
            *(Call.talk_seconds, Call.started_at, Call.ended_at),
        ).outerjoin(Agent)
    )
    assert {row[0]: tuple(row[1:]) for row in found} == expected
    assert samples.counts(samples.taken(BANK, BANK_MAPPING, create_agents=True)) == (0, 0, 2375, 0)


@pytest.mark.skipif(not BANK.is_file(), reason="the bank's day is not beside this checkout")
def test_the_banks_call_id_alone_would_lose_calls(site: None) -> None:
    columns = BANK_MAPPING["columns"] | {"external_id": "call_id"}  # type: ignore[operator]
    report = samples.taken(BANK, BANK_MAPPING | {"columns": columns, "id_columns": []}, create_agents=True)
    assert (report.new, report.updated + report.unchanged) == (2375 - 86, 86)
