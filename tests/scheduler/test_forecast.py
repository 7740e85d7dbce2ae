"""Forecasts: calls of the last weeks, judged as the draw does, and what they would come to, told before a launch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from scheduler.drawing import draw_campaign
from scheduler.forecast.advice import warnings
from scheduler.forecast.totals import Verdict
from scheduler.forecast.words import assumptions, whole
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Agent,
    Assignment,
    CampaignState,
    Customer,
    Disposition,
    Draw,
    DrawReason,
    Level,
    OptOut,
    Sampling,
    SamplingRate,
)
from survey.models.optout import OptOutSource
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.forecasting import DAY, FIRST, SINCE, UNTIL, Centre, at_end, forecast, read, workdays

HALF, NINE_TENTHS = Fraction(1, 2), Fraction(9, 10)


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre.make()


def test_calls_come_as_they_came_and_are_drawn_at_the_rate(centre: Centre) -> None:
    for n, agent in enumerate(centre.agents):
        centre.calls(agent, workdays(), n + 1)
    made = read(centre.draft()).forecast
    # Ten calls on each of twenty working days, half of them drawn; one in five of these is taken to answer.
    assert (whole(made.total.calls), whole(made.total.surveys), whole(made.total.completes)) == (200, 100, 20)
    weeks = [(monday.isoformat(), whole(figures.calls)) for monday, figures in made.weeks]
    assert weeks == [
        ("2026-03-09", 10),
        ("2026-03-16", 50),
        ("2026-03-23", 50),
        ("2026-03-30", 50),
        ("2026-04-06", 40),
    ]
    assert sum(share for _, share in made.by_day) == 1


def test_holidays_and_days_off_bring_no_calls(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 2)
    centre.site.closed_days = ["2026-05-26"]
    # Monday 25 May is Memorial Day, Tuesday the site's own day off.
    may = read(centre.draft(starts_on=date(2026, 5, 25), ends_on=date(2026, 5, 31))).forecast
    assert [day.day for day, share in may.by_day if share] == [27, 28, 29]


@pytest.mark.parametrize("consent", [False, True])
def test_past_calls_are_judged_as_the_draw_judges_them(centre: Centre, consent: bool) -> None:
    tuesday, agent = [date(2026, 3, 10)], centre.agents[0]
    owner = centre.site.organisation_id

    def customer(**given: Any) -> Customer:
        return make.customer(owner, **given)

    opted_out = customer(email=None)
    db.session.add(
        OptOut(
            organisation_id=owner,
            kind="phone",
            contact_index=opted_out.phone_index,
            source=OptOutSource.COMMAND,
            created_at=NOON - timedelta(days=9),
        )
    )
    stranger = Agent(organisation_id=owner, key="stranger", name="Stranger")
    db.session.add(stranger)
    db.session.flush()
    for given in (
        {},
        {"internal": True},
        {"answered": False, "talk_seconds": 0},
        {"talk_seconds": 9},
        {"agent_id": None},
        {"agent_id": None, "agent_uncertain": True},
        {"agent_id": stranger.id},
        {"customer": None},
        {"customer": customer(phone=None, email=None), "contact_fault": "phone: is a toll-free number"},
        {"customer": customer(email=None, consents_to_calls=False)},
        {"customer": customer(email=None, consents_to_calls=None)},
        {"customer": opted_out},
        {"language": "de"},
        {"customer": customer(language="fr"), "language": "de-AT"},
        {"customer": customer(language="es-MX")},
        {"customer": customer(phone=None)},
    ):
        centre.calls(agent, tuesday, 1, **given)
    centre.calls(agent, tuesday, 2, customer=customer(email=None, consents_to_calls=True))
    campaign = make.campaign([centre.site], rate_denominator=1, quarantine_days=0, calls_need_consent=consent)
    counted = read(campaign, weeks=1).counted
    assert draw_campaign(campaign).decided == counted.calls == 18
    reasons = db.session.execute(select(Draw.reason, func.count().label("calls")).group_by(Draw.reason))
    drawn = {row.reason: row.calls for row in reasons}
    assert counted.volume.total() == drawn.pop(DrawReason.DRAWN)
    assert counted.reasons == drawn and len(drawn) == 9


def test_a_call_counts_by_the_share_of_the_channels_that_suit_it(centre: Centre) -> None:
    plan = [{"share": [1, 4], "channels": ["web"]}, {"share": [3, 4], "channels": ["ivr"]}]
    phone_only = make.customer(centre.site.organisation_id, email=None)
    centre.calls(centre.agents[0], [SINCE], 4, customer=phone_only)
    counted = read(centre.draft(channel_plan=plan)).counted
    assert counted.volume.total() == 3 and counted.reasons == {DrawReason.NO_CONTACT: 1}


def test_other_queues_topics_and_sites_do_not_count(centre: Centre) -> None:
    centre.calls(centre.agents[0], [SINCE], 3, queue="Billing", topic="refund")
    centre.calls(centre.agents[0], [SINCE], 5, queue="sales")
    make.call(ended_at=NOON - timedelta(days=9))
    assert read(centre.draft()).counted.calls == 8
    assert read(centre.draft(queues=["billing"], topics=["REFUND"])).counted.calls == 3


def test_days_are_counted_whole_weeks_at_a_time(centre: Centre) -> None:
    centre.calls(centre.agents[0], [UNTIL, SINCE - DAY], 7)
    centre.calls(centre.agents[0], workdays(UNTIL - 17 * DAY), 1)
    reading = read(centre.draft())
    # What came after the 10th may not be all in yet; of two weeks and three days, two weeks stand for all weekdays.
    assert (reading.basis.since, reading.basis.until, reading.counted.calls) == (UNTIL - 14 * DAY, UNTIL, 10)
    assert read(centre.draft(), weeks=1).counted.calls == 5


def test_a_week_that_begins_on_a_day_without_calls_is_whole(centre: Centre) -> None:
    """Looked back on from a Wednesday, a week begins on one; the centre is closed on Wednesdays."""
    open_days = [day for day in workdays(UNTIL - 20 * DAY) if day.weekday() != SINCE.weekday()]
    centre.calls(centre.agents[0], open_days, 1)
    assert read(centre.draft(), weeks=1).basis.days_seen == 7
    assert read(centre.draft(), weeks=2).basis.days_seen == 14


def test_less_than_a_week_makes_every_day_alike_and_is_said(centre: Centre) -> None:
    centre.calls(centre.agents[0], [UNTIL - 2 * DAY, UNTIL - DAY], 7)
    reading = read(centre.draft())
    assert reading.basis.days_seen == 2
    assert {share for _, share in reading.forecast.by_day} == {Fraction(1, 28)}
    assert "only the 2 days from 2026-03-09 to 2026-03-10 have any" in assumptions(reading)[0]


def test_who_reaches_the_number_when_and_who_misses_it(centre: Centre) -> None:
    for n, agent in enumerate(centre.agents):
        centre.calls(agent, workdays(), 4 * n + 1)
    one, five, nine, thirteen = (agent.id for agent in centre.agents)
    draft = centre.draft(rate_denominator=1, target_agent=21, target_supervisor=60, target_site=112)
    made = read(draft).forecast
    # Nine calls a day bring 1.8, so 21 with the twelfth working day from Friday the 13th; thirteen with the ninth.
    assert [(each.id, each.verdict, each.reached_on) for each in made.of(Level.AGENT)] == [
        (one, Verdict.MISSED, None),
        (five, Verdict.MISSED, None),
        (nine, Verdict.LIKELY, date(2026, 3, 30)),
        (thirteen, Verdict.LIKELY, date(2026, 3, 25)),
    ]
    assert [each.id for each in made.falling_short()] == [one, five]
    # The first team has ten calls a day, the second eighteen: 3.6 a day, 60 with the seventeenth working day.
    assert [(each.id, each.verdict, each.reached_on) for each in made.of(Level.SUPERVISOR)] == [
        (centre.leaders[0].id, Verdict.MISSED, None),
        (centre.leaders[1].id, Verdict.UNCERTAIN, date(2026, 4, 6)),
    ]
    (site,) = made.of(Level.SITE)
    assert site.verdict is Verdict.MISSED and site.missing < 1
    draft.target_agent = 30
    assert read(draft).forecast.of(Level.AGENT)[2].verdict is Verdict.UNCERTAIN


def test_what_a_launched_campaign_has_got_counts(centre: Centre) -> None:
    agent, leader = centre.agents[0], centre.leaders[0]
    centre.calls(agent, workdays(), 2)
    campaign = make.campaign([centre.site], target_agent=3, rate_denominator=10, ends_on=FIRST + 3 * DAY)
    for n in range(4):
        call = centre.calls(agent, [date(2026, 3, 12) - DAY], 1, external_id=f"asked{n}")[0]
        survey = make.survey(call, campaign, supervisor=leader)
        if n < 2:
            survey.disposition, survey.closed_at = Disposition.COMPLETE, NOON
    reading = read(campaign)
    (first,) = [one for one in reading.forecast.of(Level.AGENT) if one.id == agent.id]
    assert first.complete == 2 and not reading.settled
    # Two open ones bring a fifth each, and two days with two calls at a tenth 0.08 more.
    assert Fraction(245, 100) < first.at_end < Fraction(249, 100)


def test_who_leaves_brings_no_calls_after_it_and_who_has_left_none(centre: Centre) -> None:
    for agent in centre.agents[:3]:
        centre.calls(agent, workdays(), 5)
    stays, leaves, left = centre.agents[:3]
    for agent, last in ((leaves, FIRST + 7 * DAY), (left, FIRST)):
        db.session.query(Assignment).filter_by(agent_id=agent.id).one().ends_on = last
    reading = read(centre.draft(rate_denominator=1))
    expected = at_end(reading, Level.AGENT)
    assert left.id not in expected and reading.counted.reasons == {DrawReason.NO_ASSIGNMENT: 100}
    assert abs(expected[leaves.id] * 4 - expected[stays.id]) < Fraction(1, 10)
    assert reading.forecast.total.completes == sum(expected.values())


def test_a_call_nobody_can_tell_whose_counts_for_its_site_alone(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 5)
    centre.calls(None, workdays(), 5, uncertain=True)
    reading = read(centre.draft(rate_denominator=1))
    (of_site,), of_agents = at_end(reading, Level.SITE).values(), sum(at_end(reading, Level.AGENT).values())
    assert of_site - of_agents == 20 and sum(at_end(reading, Level.SUPERVISOR).values()) == of_agents


def test_with_targets_rates_are_raised_as_far_as_they_may(centre: Centre) -> None:
    for n, agent in enumerate(centre.agents):
        centre.calls(agent, workdays(), 1 + 15 * n)
    draft = centre.draft(sampling=Sampling.TARGET, ceiling_numerator=9, ceiling_denominator=10)
    reading = read(draft)
    by_agent = {one.id: one for one in reading.forecast.of(Level.AGENT)}
    few, *others = (by_agent[agent.id] for agent in centre.agents)
    assert few.rates == ((FIRST, HALF), (date(2026, 3, 22), NINE_TENTHS)) and few.verdict is Verdict.MISSED
    assert all(one.rates[1][1] < NINE_TENTHS for one in others)
    assert all(one.verdict is Verdict.LIKELY for one in others[1:])
    told = warnings(reading)
    assert told[0] == (
        "1 of 4 agents will have fewer than the 25 complete surveys wanted, counting all calls up to 2026-04-09."
    )
    assert "Why they miss it: even at the highest rate allowed (rate_ceiling, 90%), too few calls" in told[-2]
    assert told[-1] == (
        "What would help: begin with a higher rate (rate, now 50%), or allow higher rates (rate_ceiling, now 90%), or"
        " give the campaign a later last day (ends_on, now 2026-04-09)."
    )


def test_a_published_rate_goes_before_the_campaigns_own(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 10)
    campaign = make.campaign([centre.site], ends_on=FIRST + 27 * DAY)
    rate = {
        "numerator": 1,
        "denominator": 4,
        "published_at": NOON,
        "in_force_from": datetime(2026, 3, 13, 4, tzinfo=UTC),
    }
    db.session.add(SamplingRate(campaign_id=campaign.id, **rate))
    made = read(campaign).forecast
    assert whole(made.total.surveys) == whole(made.total.calls / 4)


# --- nothing to go by ---


def test_what_stands_in_the_way_is_said(centre: Centre) -> None:
    draft = centre.draft()
    with pytest.raises(
        Refused, match=r"there are no calls at .* from 2026-02-11 to 2026-03-10.*flask calls import FILE"
    ):
        read(draft)
    centre.calls(centre.agents[0], workdays(), 1, language="de")
    with pytest.raises(Refused, match=r"none of the 20 calls seen .* The customer's language is not offered"):
        read(draft)
    draft.languages = ["de"]
    read(draft)
    db.session.query(Assignment).delete()
    with pytest.raises(Refused, match="flask roster import FILE"):
        read(draft)
    draft.ends_on = draft.starts_on = date(2026, 3, 12)
    with pytest.raises(Refused, match="has no days left after today"):
        read(draft)
    closed = make.campaign([centre.site], state=CampaignState.CLOSED, closed_at=NOON)
    with pytest.raises(Refused, match="is closed: nothing is to come"):
        read(closed)


# --- the command ---


def test_the_command_tells_it_all(centre: Centre, app: Flask) -> None:
    for n, agent in enumerate(centre.agents):
        centre.calls(agent, workdays(), 6 * n)
    draft = centre.draft(rate_denominator=1, target_agent=20, spend_cap=200)
    told = forecast(app, draft, "--weeks", "2")
    assert told["seen"] | {"not_eligible": 0} == {
        "from": "2026-02-25",
        "to": "2026-03-10",
        "days": 14,
        "calls": 360,
        "eligible": 360,
        "not_eligible": 0,
    }
    assert sum(week["surveys"] for week in told["weeks"]) == told["total"]["surveys"]
    assert told["total"]["cost"] == told["spend"]["cost"] > told["spend"]["cap"] == 200
    assert told["agents"][0]["agent"] == centre.agents[0].key and told["agents"][0]["missing"] >= 18
    text = app.test_cli_runner().invoke(args=["campaigns", "forecast", draft.key]).output
    assert "Agents: 1 of 4 will have fewer than 20" in text and centre.agents[0].name in text
    assert "Dials by the hour of the customers' day" in text and "no number is wanted" in text
    assert "+1" not in text and "@" not in text


def test_the_command_refuses_clearly(centre: Centre, app: Flask) -> None:
    draft = centre.draft()
    db.session.commit()
    done = app.test_cli_runner().invoke(args=["campaigns", "forecast", draft.key])
    assert done.exit_code == 1 and done.stderr.startswith("Refused: there are no calls")
    assert app.test_cli_runner().invoke(args=["campaigns", "forecast", draft.key, "--weeks", "0"]).exit_code == 2
