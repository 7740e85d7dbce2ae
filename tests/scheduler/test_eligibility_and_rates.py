"""Who may be asked at all, and at which rate: by the call's own facts and its own end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy.orm import Session, scoped_session

from scheduler.eligibility import CallFacts, Contacts, reason_against, usable_channels
from scheduler.rates import rates_of
from survey.clock import ManualClock
from survey.db import db
from survey.models import Channel, DrawReason, SamplingRate
from tests import factories as make

NOW = datetime(2026, 3, 12, 17, tzinfo=UTC)
BOTH = (Channel.IVR, Channel.WEB)
FINE = CallFacts(
    internal=False,
    answered=True,
    talk_seconds=10,
    min_talk_seconds=10,
    has_agent=True,
    agent_uncertain=False,
    assigned=True,
    sequence=BOTH,
    contacts=Contacts(phone=True, email=True),
    language="en",
    deadline=NOW + timedelta(seconds=1),
    decided_at=NOW,
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"internal": True}, DrawReason.INTERNAL),
        ({"answered": False, "talk_seconds": 0}, DrawReason.UNANSWERED),
        ({"talk_seconds": 9}, DrawReason.TOO_SHORT),
        ({"has_agent": False, "assigned": False}, DrawReason.NO_AGENT),
        ({"assigned": False}, DrawReason.NO_ASSIGNMENT),
        ({"has_agent": False, "assigned": False, "agent_uncertain": True}, None),
        ({"has_agent": False, "assigned": False, "agent_uncertain": True, "talk_seconds": 9}, DrawReason.TOO_SHORT),
        ({"has_agent": False, "assigned": False, "agent_uncertain": True, "deadline": NOW}, DrawReason.PAST_DEADLINE),
        ({"deadline": NOW}, DrawReason.PAST_DEADLINE),
        ({"language": None}, DrawReason.LANGUAGE_NOT_OFFERED),
        ({"contacts": Contacts()}, DrawReason.NO_CONTACT),
        ({"contacts": Contacts(faulty=True)}, DrawReason.INVALID_CONTACT),
        ({"contacts": Contacts(phone=True, faulty=True)}, None),
        ({"contacts": Contacts(phone=True, phone_withheld=True)}, DrawReason.OPTED_OUT),
        ({"contacts": Contacts(phone=True, email=True, phone_withheld=True)}, None),
        ({"contacts": Contacts(phone=True, phone_withheld=True, faulty=True)}, DrawReason.OPTED_OUT),
        ({"contacts": Contacts(phone=True), "sequence": (Channel.WEB,)}, DrawReason.NO_CONTACT),
    ],
)
def test_each_reason_not_to_ask(change: dict[str, object], reason: DrawReason | None) -> None:
    assert reason_against(replace(FINE, **change)) is reason  # type: ignore[arg-type]


def test_only_usable_channels_are_kept_in_their_order() -> None:
    assert usable_channels((Channel.WEB, Channel.IVR), Contacts(phone=True, email=True)) == [Channel.WEB, Channel.IVR]
    assert usable_channels(BOTH, Contacts(phone=True, email=True, phone_withheld=True)) == [Channel.WEB]
    assert usable_channels(BOTH, Contacts(phone=True)) == [Channel.IVR]


def test_the_rate_in_force_at_the_calls_end_decides(session: scoped_session[Session], at_noon: ManualClock) -> None:
    place = make.site()
    agent, other = make.agent(place), make.agent(place)
    campaign = make.campaign([place], rate_numerator=1, rate_denominator=10)
    monday = NOW - timedelta(days=3)
    for agent_id, n, since in ((None, 1, monday), (agent.id, 3, monday), (agent.id, 5, NOW)):
        session.add(
            SamplingRate(
                campaign_id=campaign.id,
                agent_id=agent_id,
                numerator=n,
                denominator=4 if agent_id is None else 7,
                in_force_from=since,
                published_at=monday,
            )
        )
    db.session.flush()
    rates = rates_of(campaign)
    just_before, just_then = NOW - timedelta(microseconds=1), NOW
    assert rates.in_force(agent.id, monday - timedelta(microseconds=1)) == Fraction(1, 10)
    assert rates.in_force(other.id, monday) == Fraction(1, 4)
    assert rates.in_force(agent.id, just_before) == Fraction(3, 7)
    assert rates.in_force(agent.id, just_then) == Fraction(5, 7)
