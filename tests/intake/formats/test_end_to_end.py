"""Files of telephone systems taken in with nothing but their name: what the stored calls are."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Call, CallLeg, Customer
from tests.intake import samples
from tests.intake.formats import test_amazon_connect as amazon
from tests.intake.formats import test_asterisk as asterisk
from tests.intake.formats import test_freeswitch as freeswitch
from tests.intake.formats import test_genesys as genesys
from tests.intake.formats import test_twilio as twilio
from tests.intake.formats.reading import json_lines, needs_samples


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> None:
    samples.place()


def at(year: int, month: int, day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def agents() -> Counter[str | None]:
    """How many answered, customers' calls each agent is credited with."""
    db.session.expire_all()
    rows = db.session.execute(
        select(Agent.key).select_from(Call).outerjoin(Agent).where(Call.answered, ~Call.internal)
    ).scalars()
    return Counter(rows)


def count(*conditions: ColumnElement[bool] | InstrumentedAttribute[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(Call).where(*conditions)) or 0


def legs() -> int:
    return db.session.scalar(select(func.count()).select_from(CallLeg)) or 0


# --- the real records ---


@needs_samples
def test_the_real_asterisk_file_is_36_calls_of_which_24_were_answered() -> None:
    report = samples.taken(asterisk.MASTER, create_agents=True)
    assert report.read == 84 and report.rejected == 0
    assert (count(), legs()) == (36, 84)
    assert (count(Call.answered), count(Call.answered, Call.agent_id.is_not(None))) == (24, 24)
    assert agents() == {"301": 19, "200@stadionpbx": 5}
    assert count(Call.internal) == 0
    assert db.session.scalar(select(func.sum(Call.talk_seconds))) == 790


@needs_samples
def test_the_real_asterisk_file_again_changes_nothing() -> None:
    samples.taken(asterisk.MASTER, create_agents=True)
    again = samples.taken(asterisk.MASTER, create_agents=True)
    assert samples.counts(again) == (0, 0, 84, 0) and (count(), legs()) == (36, 84)


@needs_samples
def test_the_real_calls_between_extensions_are_internal() -> None:
    samples.taken(asterisk.CUSTOM, create_agents=True)
    assert (count(), count(Call.internal), count(Call.answered)) == (14, 14, 11)
    assert count(Call.customer_id.is_not(None)) == count(Call.contact_fault.is_not(None)) == 0


@needs_samples
def test_the_real_freeswitch_files() -> None:
    report = samples.taken(freeswitch.NATIVE, create_agents=True)
    assert report.read == 8 and report.rejected == 0
    assert (count(), count(Call.internal), count(Call.answered)) == (5, 2, 5)
    assert agents() == {"1001": 2, None: 1}
    samples.taken(freeswitch.RESAVED, create_agents=True)
    assert (count(), count(Call.internal), count(Call.answered)) == (13, 9, 5)


@needs_samples
def test_the_real_contact_record() -> None:
    samples.taken(amazon.SAMPLE, create_agents=True)
    (call,) = samples.stored().values()
    assert (call.answered, call.talk_seconds, call.queue, call.internal) == (True, 14, "Chinese CSR", False)
    assert (call.started_at, call.ended_at) == (at(2020, 3, 31, 16, 20, 1), at(2020, 3, 31, 16, 20, 30))
    assert call.recorded_at == at(2020, 3, 31, 16, 21, 44)
    assert call.agent is not None and call.agent.key == "agent1"


# --- what legs make of a call ---


def test_a_transfer_credits_the_last_agent_whatever_came_first(tmp_path: Path) -> None:
    second = amazon.CONTACT | {
        "ContactId": "c2",
        "InitialContactId": "c1",
        "InitiationMethod": "TRANSFER",
        "InitiationTimestamp": "2026-03-02T14:02:40Z",
        "DisconnectTimestamp": "2026-03-02T14:06:00Z",
        "Agent": {"Username": "bob", "AgentInteractionDuration": 180},
    }
    for objects in ([second, amazon.CONTACT], [amazon.CONTACT, second]):
        samples.taken(samples.written(tmp_path, json_lines(objects), "calls.json"), create_agents=True)
        (call,) = samples.stored().values()
        assert call.agent is not None and call.agent.key == "bob"
        assert (call.started_at, call.ended_at) == (at(2026, 3, 2, 14), at(2026, 3, 2, 14, 6))


def test_an_agent_who_was_only_consulted_is_not_credited(tmp_path: Path) -> None:
    """The consulted agent's work after the contact begins before that of the agent who has the customer."""
    consulted = amazon.CONTACT | {
        "ContactId": "c2",
        "InitialContactId": "c1",
        "InitiationMethod": "TRANSFER",
        "Agent": {
            "Username": "bob",
            "AgentInteractionDuration": 20,
            "AfterContactWorkStartTimestamp": "2026-03-02T14:01:30Z",
        },
    }
    samples.taken(samples.written(tmp_path, json_lines([consulted, amazon.CONTACT]), "calls.json"), create_agents=True)
    (call,) = samples.stored().values()
    assert call.agent is not None and call.agent.key == "amy"


def test_the_latest_version_of_a_record_wins_in_any_order(tmp_path: Path) -> None:
    later = amazon.CONTACT | {"LastUpdateTimestamp": "2026-03-02T15:00:00Z", "Queue": {"Name": "Support"}}
    samples.taken(samples.written(tmp_path, json_lines([later, amazon.CONTACT]), "calls.json"))
    (call,) = samples.stored().values()
    assert (call.queue, call.recorded_at) == ("Support", at(2026, 3, 2, 15))


def test_a_contact_by_chat_is_rejected_with_its_reason(tmp_path: Path) -> None:
    objects = [amazon.CONTACT, amazon.CONTACT | {"ContactId": "c2", "Channel": "CHAT"}]
    report = samples.taken(samples.written(tmp_path, json_lines(objects), "calls.json"))
    assert (report.new, report.rejected) == (1, 1)
    (reject,) = report.rejects
    assert (reject.where, reject.reason) == ("line 2", "is no telephone call: channel 'CHAT'")
    assert report.rejected_by == {"is no telephone call": 1}


def test_a_freeswitch_call_in_either_order(tmp_path: Path) -> None:
    for order in (1, -1):
        text = freeswitch.text_of(*[freeswitch.A_LEG, freeswitch.B_LEG][::order])
        samples.taken(samples.written(tmp_path, text), create_agents=True)
    (call,) = samples.stored().values()
    assert (call.external_id, call.talk_seconds, call.answered) == (freeswitch.B, 60, True)
    assert call.agent is not None and call.agent.key == "1001"
    assert (call.started_at, call.ended_at) == (at(2026, 3, 2, 14), at(2026, 3, 2, 14, 1, 30))
    assert db.session.scalar(select(Customer.phone)) == "+12125550101"


def test_a_genesys_conversation(tmp_path: Path) -> None:
    second = genesys.participant("agent", genesys.segment("interact", "14:04:00", "14:05:00"), userId="u-bob")
    talk = genesys.having(genesys.CUSTOMER, genesys.AGENT, second | {"participantId": "p2"})
    path = samples.written(tmp_path, json.dumps({"conversations": [talk]}), "calls.json")
    assert samples.taken(path, create_agents=True).rejected == 0
    (call,) = samples.stored().values()
    assert (call.external_id, call.talk_seconds, call.queue) == ("v1", 245, "q-sales")
    assert call.agent is not None and call.agent.key == "u-bob"
    assert (call.started_at, call.ended_at) == (at(2026, 3, 2, 14), at(2026, 3, 2, 14, 5))


def test_two_agents_of_one_conversation_are_rejected_one_by_one(tmp_path: Path) -> None:
    """Both legs stand on one line; only the one whose agent is unknown is rejected."""
    known = genesys.AGENT | {"userId": "amy"}
    unknown = genesys.AGENT | {"userId": "u-bob", "participantId": "p2"}
    talk = genesys.having(genesys.CUSTOMER, known, unknown)
    report = samples.taken(samples.written(tmp_path, json.dumps(talk), "calls.json"))
    assert (report.new, report.rejected, legs()) == (1, 1, 1)
    assert report.rejects[0].reason == "unknown agent: 'u-bob'"


def test_twilio_events(tmp_path: Path) -> None:
    path = samples.written(tmp_path, json_lines(map(twilio.streamed, twilio.TASK)), "calls.json")
    assert samples.counts(samples.taken(path)) == (1, 0, 0, 0)
    (call,) = samples.stored().values()
    assert (call.external_id, call.talk_seconds, call.queue, call.answered) == ("CA1", 120, "Sales", True)
    assert call.agent is not None and call.agent.key == "amy"


def test_a_twilio_call_and_the_leg_it_dialled(tmp_path: Path) -> None:
    path = samples.written(tmp_path, json.dumps({"calls": [twilio.PARENT, twilio.CHILD]}), "calls.json")
    assert samples.taken(path).rejected == 0
    (call,) = samples.stored().values()
    assert (call.external_id, call.talk_seconds, call.answered) == ("CA1", 150, True)
    assert call.agent is not None and call.agent.key == "amy" and call.customer_id is not None


def test_json_of_ones_own_by_its_names_and_by_a_mapping(tmp_path: Path) -> None:
    plain = {"call_id": "1", "agent": "amy", "started_at": "2026-03-02T09:00:00", "talk_seconds": 60}
    samples.taken(samples.written(tmp_path, json_lines([plain]), "calls.json"))
    nested = {"Id": 12345678901234567890, "Agent": {"Username": "amy"}, "Begin": "2026-03-02T09:00:00Z", "Talk": 1.5}
    mapping = {
        "columns": {"external_id": "Id", "agent": "Agent.Username", "started_at": "Begin", "talk_seconds": "Talk"},
        "duration_unit": "minutes",
    }
    samples.taken(samples.written(tmp_path, json.dumps({"calls": [nested]}), "calls.json"), mapping)
    calls = samples.stored()
    assert set(calls) == {"1", "12345678901234567890"}
    assert calls["12345678901234567890"].talk_seconds == 90


def test_a_mapping_adds_constants_values_and_a_zone_without_naming_columns(tmp_path: Path) -> None:
    mapping = {
        "constants": {"language": "es"},
        "values": {"agent": {"301": "amy"}},
        "zone": "UTC",
        "format": "asterisk",
    }
    samples.taken(samples.written(tmp_path, asterisk.legs({})), mapping)
    (call,) = samples.stored().values()
    assert (call.language, call.started_at) == ("es", at(2026, 3, 2, 9))
    assert call.agent is not None and call.agent.key == "amy"
