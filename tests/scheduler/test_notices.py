"""What whoever makes or launches a campaign is told: it is allowed, but may not do what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy.orm import Session, scoped_session

from console.campaigns import read
from scheduler import campaigns, closing, described
from scheduler.notices import notes, standing
from survey import standstill
from survey.clock import ManualClock
from survey.db import db
from survey.models import Campaign, Customer, Disposition, Sampling, SamplingRate, Site
from tests import factories as make
from tests.conftest import NOON

PHONE_ALONE = [{"share": [1, 1], "channels": ["ivr"]}]


@pytest.fixture
def place(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Site]:
    """A site in New York with three calls of two queues, on a Thursday."""
    site = make.site()
    agent = make.agent(site)
    for queue in ("Billing", "support", "support"):
        make.call(agent, site, queue=queue)
    yield site


def draft(place: Site, **given: Any) -> Campaign:
    return make.campaign([place], launched=False, **{"starts_on": date(2026, 3, 12)} | given)


def told(campaign: Campaign) -> dict[str, str]:
    found = notes(campaign)
    assert len({note.about for note in found}) == len(found)
    return {note.about: note.told for note in found}


def test_a_campaign_with_nothing_odd_has_no_notes(place: Site) -> None:
    make.call(make.agent(place), place, queue="BILLING", customer=make.customer(place.organisation_id))
    db.session.query(Customer).update({Customer.consents_to_calls: True})
    campaign = draft(place, queues=["billing", "SUPPORT"], calls_need_consent=True, call_until=time(9, 16))
    assert told(campaign) == {}
    campaign.queues = ["bills"]
    assert "(those seen: support, billing)" in told(campaign)["queue"].lower()


@pytest.mark.parametrize(
    ("given", "about", "says"),
    [
        ({"starts_on": date(2026, 3, 11)}, "days", "Its first day, 2026-03-11, is past: calls that end before the"),
        (
            {"starts_on": date(2026, 3, 1), "ends_on": date(2026, 3, 11)},
            "days",
            "Its last day, 2026-03-11, is over: it can get no call any more; give later days",
        ),
        (
            {"queues": ["billing", "bills"]},
            "queue",
            'No call of its sites ever had the queue "bills" (those seen: support, Billing).',
        ),
        (
            {"queues": ["bills"]},
            "queue",
            'the queue "bills" (those seen: support, Billing); unless such calls come, it asks nobody.',
        ),
        ({"topics": ["x"]}, "topic", 'the topic "x" (its calls name no topic); unless such calls come'),
        (
            {"call_from": time(21), "call_until": time(22)},
            "hours",
            "No phone in US may ring in its calling hours (Mon-Sat 21:00-22:00): there its customers are only emailed.",
        ),
        (
            {"call_weekdays": [5], "channel_plan": PHONE_ALONE},
            "hours",
            "In its first week to come, after calls of Monday, Tuesday, Wednesday, Sunday no phone in US may ring in"
            " its hours before the deadline: of those customers whom it asks by phone alone are never asked.",
        ),
        # Of Thursday's calls the Monday is the last day, and a day on which phones ring.
        ({"call_weekdays": [0], "channel_plan": PHONE_ALONE}, "hours", "after calls of Tuesday, Wednesday no phone"),
        (
            {"call_until": time(9, 10)},
            "hours",
            "In US its hours of Monday, Tuesday, Wednesday, Thursday, Friday, Saturday are no longer than 15 minutes",
        ),
        ({"calls_need_consent": True}, "consent", "no customer of its sites' calls is on record as having agreed to"),
        ({"spend_cap": 1}, "spend_cap", "Its spend cap, 0.01, pays for no call, since one may cost up to"),
    ],
)
def test_what_may_not_be_as_it_was_meant_is_said(place: Site, given: dict[str, Any], about: str, says: str) -> None:
    found = told(draft(place, **given))
    assert list(found) == [about] and says in found[about]


def test_who_never_calls_is_told_nothing_of_calls(place: Site) -> None:
    by_email = [{"share": [1, 1], "channels": ["web"]}]
    assert told(draft(place, channel_plan=by_email, spend_cap=1, call_from=time(21), call_until=time(22))) == {}


def test_sites_that_cannot_have_calls_are_named(place: Site) -> None:
    silent = make.site(organisation=place.organisation, key="shut", closed_on=date(2026, 3, 1))
    found = told(draft(silent, queues=["billing"]))
    assert found["days"] == "Site shut is closed since 2026-03-01, before the campaign's first day."
    assert found["calls"].startswith("No call of its sites has come in yet") and "queue" not in found
    silent.closed_on = date(2026, 3, 12)
    assert told(draft(silent))["days"] == "Site shut is closed since 2026-03-12, the campaign's first day."
    silent.closed_on = date(2026, 3, 13)
    late = draft(silent, starts_on=date(2026, 3, 14))
    assert told(late)["days"] == "Site shut closes on 2026-03-13, before the campaign's first day."


def test_a_stop_and_the_campaign_that_has_the_calls_come_first(place: Site) -> None:
    other = make.campaign([place], launched_at=NOON - timedelta(days=1))
    standstill.begin("ops", "fire drill")
    campaign = draft(place, spend_cap=1)
    found = notes(campaign)
    assert [note.about for note in found] == ["stop", "overlap", "spend_cap"]
    assert "by ops (fire drill)" in found[0].told and found[0].told.endswith("To go on: flask stop --lift")
    assert found[1].as_dict()["campaign"] == other.key and "was launched first and has them" in found[1].told
    standstill.lift("ops")
    assert [note.about for note in notes(campaign)] == ["overlap", "spend_cap"]
    assert [note.about for note in standing(campaign)] == ["spend_cap"]
    other.spend_cap = 1
    assert [note.told for note in standing(other)] == read(other).notes and "pays for no call" in read(other).notes[0]


# --- how a campaign is set ---


def test_of_two_rates_for_one_moment_the_last_is_named(place: Site) -> None:
    campaign = make.campaign([place])
    campaigns.change(campaign, {"rate": "1/3"}, actor="test")
    campaigns.change(campaign, {"rate": "1/5"}, actor="test")
    text = "\n".join(described.lines(described.settings(campaign)))
    assert "1/2 (50%) for all; 1/5 (20%) from 2026-03-13T04:00:00Z\n" in text
    assert [rate.rate for rate in read(campaign).rates] == [Fraction(1, 5)]


def test_where_the_key_can_be_read_depends_on_the_address(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert described.this_machine_only("http://127.0.0.1:8000") and described.this_machine_only("http://localhost")
    assert not described.this_machine_only("https://surveys.example.com")
    assert "Anybody can read it at" in described.commitment("00")[2]
    monkeypatch.setattr(described, "this_machine_only", lambda url: True)
    assert "for anybody to read once PUBLIC_BASE_URL is an address that others" in described.commitment("00")[2]


def test_the_rates_of_the_week_are_shown_as_a_range(place: Site) -> None:
    campaign = make.campaign([place], sampling=Sampling.TARGET, floor_denominator=50, ceiling_denominator=2)
    for percent, since in ((5, -9), (20, -9), (30, -2), (90, 1)):
        agent = make.agent(place)
        values = {"campaign_id": campaign.id, "agent_id": agent.id, "published_at": NOON - timedelta(days=10)}
        at = NOON + timedelta(days=since)
        db.session.add(SamplingRate(**values, numerator=percent, denominator=100, in_force_from=at))
    text = "\n".join(described.lines(described.settings(campaign)))
    assert "set for each agent, from 1/50 (2%) to 1/2 (50%), once a whole week of calls is in" in text
    assert "3 agents from 1/20 (5%) to 3/10 (30%), the others 1/2 (50%); new ones hold from 2026-03-13T" in text
    assert read(campaign).own_rates == [Fraction(percent, 100) for percent in (5, 20, 30)]


def test_hours_stand_by_weekday(place: Site) -> None:
    own = {"5": ["10:00", "16:00"], "2": ["12:00", "13:00"]}
    campaign = draft(place, hours_by_weekday=own, call_weekdays=[0, 1, 2, 3, 5])
    assert described.hours(campaign) == ("Mon-Tue 09:00-20:00, Wed 12:00-13:00, Thu 09:00-20:00, Sat 10:00-16:00")


@pytest.mark.parametrize(("hundredths", "text"), [(0, "0.00"), (5, "0.05"), (125_000, "1,250.00")])
def test_money_is_exact(hundredths: int, text: str) -> None:
    assert described.money(hundredths) == text


def test_closing_says_what_is_still_open(place: Site) -> None:
    campaign = make.campaign([make.site(organisation=place.organisation)])
    survey = make.survey(within=campaign)
    campaigns.close(campaign, actor="test")
    left = closing.aftermath(campaign)
    assert (left.open_surveys, left.last_deadline, left.revealed) == (1, survey.deadline, False)
    text = " ".join(closing.lines(left))
    assert "1 survey is still open" in text and "until 2026-03-17T04:00:00Z, the last deadline" in text
    assert "may still change; after it they are final" in text
    assert f"It was closed before its last day, {campaign.ends_on}, was over" in text
    campaign.ends_on = NOON.date() - timedelta(days=1)
    assert closing.aftermath(campaign).early is None
    survey.disposition, survey.closed_at, survey.plan_at = Disposition.NO_ANSWER, NOON, None
    campaigns.reveal_keys()
    text = " ".join(closing.lines(closing.aftermath(campaign)))
    assert "No survey is open" in text and "The draw key is revealed." in text
