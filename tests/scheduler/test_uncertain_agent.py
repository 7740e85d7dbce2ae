"""Calls whose legs do not say who handled them last: drawn like any other, credited to their site alone, replayed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session

from scheduler.drawing import draw_campaign
from scheduler.replay import replay
from survey.clock import ManualClock
from survey.db import db
from survey.models import Call, Campaign, Draw, DrawReason, SamplingRate, Site, Survey
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.test_replay import bend, found


@pytest.fixture
def place(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Site]:
    yield make.site()


def everybody(place: Site) -> Campaign:
    return make.campaign([place], rate_numerator=1, rate_denominator=1)


def survey_of(call: Call) -> Survey:
    return db.session.scalars(select(Survey).where(Survey.call_id == call.id)).one()


def draw_of(call: Call) -> Draw:
    return db.session.scalars(select(Draw).where(Draw.call_id == call.id)).one()


def test_it_is_drawn_and_freezes_its_site_alone(place: Site) -> None:
    campaign = everybody(place)
    call = make.call(place=place, uncertain=True)
    draw_campaign(campaign)
    survey = survey_of(call)
    assert draw_of(call).reason is DrawReason.DRAWN
    assert (survey.agent_id, survey.supervisor_id, survey.site_id) == (None, None, place.id)
    assert survey.deadline == datetime(2026, 3, 17, 4, 0, tzinfo=UTC)
    assert survey.channels == ["ivr", "web"]
    assert replay(campaign) is None


def test_a_call_without_an_agent_that_is_not_marked_is_still_not_asked_about(place: Site) -> None:
    campaign = everybody(place)
    call = make.call(place=place, agent_id=None)
    draw_campaign(campaign)
    assert draw_of(call).reason is DrawReason.NO_AGENT
    assert replay(campaign) is None


def test_the_other_reasons_hold_for_it_too(place: Site) -> None:
    campaign = everybody(place)
    silent = make.call(place=place, uncertain=True, answered=False, talk_seconds=0)
    nobody = make.call(place=place, uncertain=True, customer=None)
    draw_campaign(campaign)
    assert (draw_of(silent).reason, draw_of(nobody).reason) == (DrawReason.UNANSWERED, DrawReason.NO_CONTACT)


def test_the_rate_is_the_one_for_all_and_never_an_agents(place: Site) -> None:
    campaign = make.campaign([place], rate_numerator=1, rate_denominator=10)
    agent = make.agent(place)
    before = make.call(place=place, uncertain=True, ended_at=NOON - timedelta(hours=3))
    after = make.call(place=place, uncertain=True)
    for agent_id, numerator, since in ((agent.id, 9, NOON - timedelta(hours=4)), (None, 3, NOON - timedelta(hours=2))):
        db.session.add(
            SamplingRate(
                campaign_id=campaign.id,
                agent_id=agent_id,
                numerator=numerator,
                denominator=10,
                in_force_from=since,
                published_at=since,
            )
        )
    db.session.flush()
    draw_campaign(campaign)
    assert (draw_of(before).rate, draw_of(after).rate) == (Fraction(1, 10), Fraction(3, 10))
    assert replay(campaign) is None


def test_it_takes_the_place_of_an_older_call(place: Site, at_noon: ManualClock) -> None:
    campaign = everybody(place)
    ann = make.customer(place.organisation_id)
    first = make.call(place=place, customer=ann)
    draw_campaign(campaign)
    at_noon.move_to(NOON + timedelta(hours=2))
    second = make.call(place=place, customer=ann, uncertain=True)
    draw_campaign(campaign)
    assert survey_of(first).superseded_by_call_id == second.id
    assert replay(campaign) is None


@pytest.mark.parametrize("subject", ["agent", "supervisor", "site"])
def test_credit_given_to_somebody_afterwards_is_named(place: Site, subject: str) -> None:
    campaign = everybody(place)
    call = make.call(place=place, uncertain=True)
    draw_campaign(campaign)
    somebody = {
        "agent": make.agent(place).id,
        "supervisor": make.supervisor(place.organisation).id,
        "site": make.site(organisation=place.organisation).id,
    }[subject]
    bend(f"UPDATE surveys SET {subject}_id = :id", id=somebody)
    difference = found(campaign)
    right = str(place.id if subject == "site" else None)
    assert (difference.what, difference.recorded, difference.recomputed) == (
        f"the id of the {subject} credited",
        str(somebody),
        right,
    )
    assert difference.call == f"test {call.external_id}"


def test_a_bad_survey_moved_to_another_agent_is_named(place: Site) -> None:
    campaign = everybody(place)
    call = make.call(place=place)
    draw_campaign(campaign)
    other = make.agent(place)
    bend("UPDATE surveys SET agent_id = :id", id=other.id)
    difference = found(campaign)
    assert (difference.what, difference.recomputed) == ("the id of the agent credited", str(call.agent_id))


def test_a_mark_removed_afterwards_is_named(place: Site) -> None:
    campaign = everybody(place)
    call = make.call(place=place, uncertain=True)
    draw_campaign(campaign)
    bend("UPDATE calls SET agent_uncertain = false WHERE id = :id", id=call.id)
    difference = found(campaign)
    assert (difference.what, difference.recomputed) == ("the reason", "no_agent")
