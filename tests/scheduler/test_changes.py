"""A launched campaign may change in how customers are contacted, and its rates for calls to come."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler import campaigns
from scheduler.campaign_plan import CampaignPlan
from scheduler.changes import OPEN_FIELDS
from scheduler.plan_faults import PlanFaults
from scheduler.rates import rates_of
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import AuditEntry, Campaign, CampaignState, SamplingRate
from tests import factories as make
from tests.conftest import NOON


@pytest.fixture
def campaign(app: Flask, at_noon: ManualClock) -> Campaign:
    """A campaign of a site in New York, where it is morning."""
    return make.campaign([make.site(time_zone="America/New_York")])


def changed(campaign: Campaign, **values: Any) -> list[tuple[str, Any, Any]]:
    return [(one.field, one.before, one.after) for one in campaigns.change(campaign, values, actor="test")]


def test_contact_changes_at_once(campaign: Campaign) -> None:
    made = changed(campaign, dials_per_survey=2, hours_by_weekday={"5": ["10:00", "12:00"]}, call_on_holidays=True)
    assert [field for field, _, _ in made] == ["hours_by_weekday", "call_on_holidays", "dials_per_survey"]
    assert (campaign.dials_per_survey, campaign.call_on_holidays) == (2, True)
    assert campaign.hours_by_weekday == {"5": ["10:00", "12:00"]}
    assert changed(campaign, dials_per_survey=2, hours_by_weekday={"5": ["10:00", "12:00"]}) == []


def test_a_rate_changes_for_the_calls_of_the_next_day_at_its_last_site(campaign: Campaign) -> None:
    before = rates_of(campaign).in_force(None, clock.now())
    (change,) = campaigns.change(campaign, {"rate": "1/5"}, actor="test")
    midnight = datetime.combine(clock.now().date() + timedelta(days=1), datetime.min.time(), UTC)
    new_york = midnight + timedelta(hours=4 if clock.now().month in range(4, 11) else 5)
    assert change.from_when in (new_york, midnight + timedelta(hours=4), midnight + timedelta(hours=5))
    rates = rates_of(campaign)
    assert rates.in_force(None, change.from_when - timedelta(seconds=1)) == before
    assert rates.in_force(None, change.from_when) == Fraction(1, 5)
    assert changed(campaign, rate="1/5") == []  # said again, it is not published again
    assert changed(campaign, rate="1/2") == [("rate", Fraction(1, 5), Fraction(1, 2))]
    row = db.session.scalars(select(SamplingRate).where(SamplingRate.campaign_id == campaign.id)).first()
    assert row is not None and row.published_at == clock.now()


@pytest.mark.parametrize("field", sorted(set(CampaignPlan.model_fields) - set(OPEN_FIELDS) - {"organisation", "key"}))
def test_what_decides_on_calls_is_fixed(campaign: Campaign, field: str) -> None:
    other: dict[str, Any] = {
        "sites": [make.site(organisation=campaign.organisation).key],
        "queues": ["sales"],
        "topics": ["bills"],
        "starts_on": campaign.starts_on + timedelta(days=1),
        "channel_plan": [{"share": [1, 1], "channels": ["web"]}],
        "languages": ["en", "es"],
        "min_talk_seconds": 99,
        "quarantine_days": 99,
        "calls_need_consent": True,
        "sampling": "target",
    }
    if field == "questionnaire":
        pytest.skip("there is one questionnaire so far, so nothing to change it to")
    with pytest.raises(Refused, match=f"^campaign: {field} of campaign .* cannot be changed"):
        campaigns.change(campaign, {field: other[field], "dials_per_survey": 1}, actor="test")
    assert campaign.dials_per_survey == 3  # nothing of it was done
    with pytest.raises(PlanFaults) as found:
        campaigns.change(campaign, {field: other[field], "reminders": 2, "colour": 1, "ring_seconds": 25}, actor="test")
    assert [fault.split(":")[0] for fault in found.value.faults] == ["reminders", "colour", field]


def test_the_last_day_may_not_be_over(campaign: Campaign) -> None:
    yesterday = clock.now().date() - timedelta(days=1)
    with pytest.raises(InputError, match="is over"):
        campaigns.change(campaign, {"ends_on": yesterday}, actor="test")
    changed(campaign, ends_on=clock.now().date())
    assert campaign.ends_on == clock.now().date()


def test_a_closed_campaign_stays_as_it_is(campaign: Campaign) -> None:
    campaigns.close(campaign, actor="test")
    with pytest.raises(Refused, match="is closed"):
        campaigns.change(campaign, {"name": "Other"}, actor="test")


def test_the_audit_trail_keeps_what_changed_and_from_when(campaign: Campaign) -> None:
    changed(campaign, ring_seconds=30, caller_id="+442079460100")
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert entry.action == "campaign changed" and entry.detail["changes"] == [
        {"field": "ring_seconds", "before": "25", "after": "30", "from": "at once"},
        {"field": "caller_id", "before": "+12125550100", "after": "+442079460100", "from": "at once"},
    ]


def test_the_command_says_what_would_change_and_changes_nothing(app: Flask, campaign: Campaign, tmp_path: Path) -> None:
    db.session.commit()
    file = tmp_path / "campaign.toml"
    file.write_text('dials_per_survey = 2\nrate = "1/3"\n')
    told = ["campaigns", "change", f"{campaign.organisation.key}/{campaign.key}", str(file)]
    said = app.test_cli_runner().invoke(args=[*told, "--dry-run"]).output
    assert "would change" in said and "dials_per_survey: 3 -> 2, from now (calls and emails not yet begun)" in said
    assert "rate: 1/2 -> 1/3, from 20" in said and "(calls that end from then on)" in said
    db.session.expire_all()
    assert campaign.dials_per_survey == 3
    done = json.loads(app.test_cli_runner().invoke(args=[*told, "--json"]).output)
    assert [one["field"] for one in done["changes"]] == ["rate", "dials_per_survey"]
    db.session.expire_all()
    assert campaign.dials_per_survey == 2


def test_hours_of_a_weekday_must_be_one_of_the_calling_days(campaign: Campaign) -> None:
    with pytest.raises(InputError, match="6 is not one of call_weekdays"):
        campaigns.change(campaign, {"hours_by_weekday": {"6": ["10:00", "12:00"]}}, actor="test")
    with pytest.raises(InputError, match="10:00 is not after 12:00"):
        campaigns.change(campaign, {"hours_by_weekday": {"5": ["12:00", "10:00"]}}, actor="test")
    assert campaign.ends_on > date(2026, 1, 1)


def test_the_last_day_cannot_be_moved_once_it_is_over(at_noon: ManualClock, session: object) -> None:
    launched = make.campaign([place := make.site()], ends_on=NOON.date() - timedelta(days=1))
    assert place in launched.sites
    with pytest.raises(Refused, match="is over already"):
        campaigns.change(launched, {"ends_on": NOON.date() + timedelta(days=10)}, actor="test")


def test_a_longer_campaign_takes_no_days_that_another_was_launched_for(at_noon: ManualClock, session: object) -> None:
    place, today = make.site(), NOON.date()
    first = make.campaign([place], ends_on=today + timedelta(days=5), launched_at=NOON - timedelta(days=20))
    second = make.campaign([place], starts_on=today + timedelta(days=6), launched_at=NOON - timedelta(days=2))
    make.campaign([make.site(organisation=place.organisation)], starts_on=today + timedelta(days=6))
    free = today + timedelta(days=5)
    for begins in (today + timedelta(days=6), today - timedelta(days=9)):
        second.starts_on = begins
        with pytest.raises(Refused, match=rf"by {second.key}, launched later.* Keep {free} or .* close {second.key}"):
            campaigns.change(first, {"ends_on": today + timedelta(days=6)}, actor="test")
    second.starts_on = today + timedelta(days=8)
    with pytest.raises(Refused, match=rf"\. Give {today + timedelta(days=7)} or an earlier day, or close"):
        campaigns.change(first, {"ends_on": today + timedelta(days=9)}, actor="test")
    second.state, second.closed_at = CampaignState.CLOSED, NOON
    db.session.flush()
    campaigns.change(first, {"ends_on": today + timedelta(days=6)}, actor="test")
    assert first.ends_on == today + timedelta(days=6)


@pytest.mark.parametrize(
    ("stored", "at_fault"),
    [
        ({"floor_denominator": 20}, {"rate_floor": "1/30"}),
        ({"call_weekdays": []}, {"call_weekdays": []}),
    ],
)
def test_a_rule_made_after_the_launch_is_left_alone_unless_it_is_touched(
    app: Flask, at_noon: ManualClock, stored: dict[str, Any], at_fault: dict[str, Any]
) -> None:
    campaign = make.campaign([make.site()], **stored)
    assert [field for field, _, _ in changed(campaign, name="Spring", live_calls=3)] == ["name", "live_calls"]
    (field,) = at_fault
    with pytest.raises(InputError, match=f"campaign: {field}: "):
        campaigns.change(campaign, at_fault, actor="test")
    with pytest.raises(InputError, match="campaign: call_until: 08:00 is not after call_from"):
        changed(campaign, call_until="08:00")
    assert (campaign.name, campaign.live_calls) == ("Spring", 3)


@pytest.mark.parametrize(("changed", "again"), [({"spend_cap": "100.00"}, True), ({"name": "Another"}, False)])
def test_what_was_given_up_is_thought_about_again(
    session: object, at_noon: ManualClock, changed: dict[str, str], again: bool
) -> None:
    survey = make.survey(plan_at=None)
    over = make.survey(within=survey.campaign, plan_at=None, closed_at=NOON, disposition="no_answer")
    campaigns.change(survey.campaign, changed, actor="test")
    db.session.expire_all()
    assert (survey.plan_at is not None) is again and over.plan_at is None
