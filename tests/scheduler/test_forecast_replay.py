"""What a forecast replays and what it rests on: experience or assumptions, the plan, the pace, the money."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from fractions import Fraction
from typing import Any

import pytest
from flask import Flask

from scheduler.forecast import lately
from scheduler.forecast import reading as past_calls
from scheduler.forecast.advice import warnings
from scheduler.forecast.experience import ASSUMED, Experience
from scheduler.forecast.limits import LIVE, PACE, pace_for, spend_for
from scheduler.forecast.replay import Load
from scheduler.forecast.report import names_in, report
from scheduler.forecast.words import assumptions, whole
from survey.clock import ManualClock
from survey.db import db
from survey.models import (
    AttemptState,
    Campaign,
    CampaignState,
    Channel,
    Disposition,
    DrawKey,
    Outcome,
    Survey,
)
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.forecasting import DAY, FIRST, UNTIL, Centre, forecast, read, workdays
from tests.statements import counted


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre.make()


# --- experience ---


def settle(centre: Centre, campaign: Campaign, n: int, complete: int, **given: Any) -> list[Survey]:
    """So many surveys that have ended, that many of them complete."""
    made = []
    for number, call in enumerate(centre.calls(centre.agents[0], [date(2026, 2, 9)], n)):
        survey = make.survey(call, campaign, supervisor=centre.leaders[0], **given)
        survey.disposition = Disposition.COMPLETE if number < complete else Disposition.NO_ANSWER
        survey.closed_at = survey.deadline
        made.append(survey)
    return made


def test_answers_seen_lately_by_these_channels_go_before_the_assumption(centre: Centre) -> None:
    before = make.campaign([centre.site], starts_on=date(2026, 1, 1))
    settle(centre, before, 30, 27)
    settle(centre, before, 9, 9, channels=["web", "ivr"])
    settle(centre, before, 8, 8, deadline=NOON - timedelta(days=91))
    settle(centre, before, 7, 7, deadline=NOON + DAY)
    other = make.survey()
    other.disposition, other.closed_at, other.deadline = Disposition.COMPLETE, NOON, NOON - DAY
    centre.calls(centre.agents[0], workdays(), 5)
    before.closed_at, before.state = NOON, CampaignState.CLOSED
    reading = read(centre.draft())
    assert (reading.settled, reading.basis.yields) == (30, Fraction(10 + 27, 50 + 30))
    assert reading.forecast.total.completes > reading.forecast.total.surveys * Fraction(45, 100)
    assert "Experience: 27 of the organisation's 30 surveys by these channels" in assumptions(reading)[3]


def test_dials_emails_and_minutes_seen_lately(centre: Centre) -> None:
    before = make.campaign([centre.site], starts_on=date(2026, 1, 1))
    for survey in settle(centre, before, 50, 0):
        ended = {"state": AttemptState.ENDED, "ended_at": NOON}
        make.attempt(survey, outcome=Outcome.VOICEMAIL, billed_seconds=121, **ended)
        make.attempt(survey, Channel.WEB, outcome=Outcome.BOUNCED, **ended)
    centre.calls(centre.agents[0], workdays(), 1)
    before.closed_at, before.state = NOON, CampaignState.CLOSED
    experience = read(centre.draft()).experience
    assert (experience.seen(Channel.IVR), experience.seen(Channel.WEB)) == (50, 50)
    # As many were seen as are assumed: half of each; three minutes begun, and one taken for granted.
    assert experience.share(Channel.IVR, Outcome.VOICEMAIL) == Fraction(50 + Fraction(27, 2), 100)
    assert experience.share(Channel.WEB, Outcome.BOUNCED) == Fraction(50 + Fraction(3, 2), 100)
    assert experience.minutes_of(Outcome.VOICEMAIL) == 2 and experience.minutes_of(Outcome.COMPLETED) == 2


def test_the_assumptions_are_shares_of_a_hundred() -> None:
    assert all(sum(assumed.values()) == 100 for assumed in ASSUMED.values())
    chance, experience = random.Random("assumed"), Experience({(Channel.WEB, Outcome.WRONG_PERSON): 50})
    picked = Counter(experience.picked(Channel.WEB, chance) for _ in range(20_000))
    for outcome, share in ((Outcome.WRONG_PERSON, 50), (Outcome.SILENCE, 43), (Outcome.COMPLETED, 5)):
        assert abs(picked[outcome] - 200 * share) < 250, outcome


# --- the replay ---


def always(outcome: Outcome) -> Experience:
    """So many dials of one outcome, and so many silent links, that nothing else happens."""
    ended = {(Channel.IVR, outcome): 10**12, (Channel.WEB, Outcome.SILENCE): 10**12}
    return Experience(ended, {Outcome.COMPLETED: 2 * 10**12})


def replayed(centre: Centre, campaign: Campaign, experience: Experience, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(lately, "experience", lambda _campaign: experience)
    return read(campaign).load


def test_every_survey_is_dialled_as_the_plan_says(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.calls(centre.agents[0], workdays(), 3)
    plan = [{"share": [1, 1], "channels": ["ivr"]}]
    draft = centre.draft(channel_plan=plan, call_until=time(12))
    load = replayed(centre, draft, always(Outcome.BUSY), monkeypatch)
    assert load.dials == 3 * load.surveys and not load.mails and not load.minutes
    assert set(load.dials_at) <= {9, 10, 11} and load.dials_at.total() == load.dials
    draft.channel_plan = [{"share": [1, 1], "channels": ["ivr", "web"]}]
    answered = replayed(centre, draft, always(Outcome.COMPLETED), monkeypatch)
    assert answered.dials == answered.surveys and not answered.mails and answered.minutes == 2 * answered.dials


def test_an_email_follows_and_is_reminded_of(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.calls(centre.agents[0], workdays(), 3)
    load = replayed(centre, centre.draft(), always(Outcome.DEAD), monkeypatch)
    assert load.dials == load.mails == load.surveys
    load = replayed(centre, centre.draft(reminders=1), always(Outcome.DEAD), monkeypatch)
    assert load.mails == 2 * load.surveys
    web = centre.draft(channel_plan=[{"share": [1, 1], "channels": ["web", "ivr"]}])
    load = replayed(centre, web, always(Outcome.DEAD), monkeypatch)
    assert load.dials == load.mails == load.surveys, "a silent link is followed by a call"


def test_customers_who_call_again_rest_or_are_asked_about_the_newer_call(centre: Centre) -> None:
    regular = make.customer(centre.site.organisation_id)
    centre.calls(centre.agents[0], workdays(), 1, customer=regular)
    reading = read(centre.draft(rate_denominator=1, quarantine_days=30))
    # Asked once in about thirty days.
    assert Fraction(9, 10) <= reading.load.quarantined_share < 1
    assert reading.forecast.total.calls <= 2
    assert read(centre.draft(rate_denominator=1, quarantine_days=0)).load.quarantined_share == 0
    twice = make.customer(centre.site.organisation_id)
    centre.calls(centre.agents[1], [date(2026, 3, 5)], 2, customer=twice)
    assert read(centre.draft(rate_denominator=1)).load.superseded > 0


def test_a_superseded_survey_is_not_dialled(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in workdays()[:10]:
        centre.calls(centre.agents[0], [day], 2, customer=make.customer(centre.site.organisation_id))
    load = replayed(centre, centre.draft(rate_denominator=1), always(Outcome.COMPLETED), monkeypatch)
    assert load.superseded > 0 and load.dials == load.surveys - load.superseded


def test_a_survey_before_the_days_looked_back_on_puts_a_customer_to_rest(centre: Centre) -> None:
    regular = make.customer(centre.site.organisation_id)
    centre.calls(centre.agents[0], [date(2026, 2, 20), UNTIL - DAY], 1, customer=regular)
    centre.calls(centre.agents[0], [UNTIL - 7 * DAY], 1)
    load = read(centre.draft(rate_denominator=1), weeks=1).load
    assert (load.eligible, load.quarantined) == (2 * load.rounds, load.rounds)


def test_a_number_is_not_dialled_more_often_than_it_may_be(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    regular = make.customer(centre.site.organisation_id, email=None)
    centre.calls(centre.agents[0], workdays(), 1, customer=regular)
    draft = centre.draft(rate_denominator=1, quarantine_days=0, dials_per_number=2)
    load = replayed(centre, draft, always(Outcome.NO_ANSWER), monkeypatch)
    assert 0 < load.dials <= 2 * load.rounds


# --- repeatable, harmless, quick ---


def test_the_same_calls_bring_the_same_forecast_whatever_the_key(centre: Centre, app: Flask) -> None:
    for agent in centre.agents:
        centre.calls(agent, workdays(), 3)
    campaign = make.campaign([centre.site], spend_cap=500)
    told = forecast(app, campaign)
    db.session.query(DrawKey).one().key_hex = (b"x" * 32).hex()
    assert forecast(app, campaign) == told


def test_nothing_is_written(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 3)
    draft = centre.draft()
    db.session.commit()
    with counted() as asked:
        past_calls.read(draft)
    assert {statement.split()[0] for statement in asked} == {"SELECT"}
    assert not db.session.dirty and not db.session.new
    assert not any("draw_keys" in statement for statement in asked)


def test_many_calls_take_no_more_statements(centre: Centre, app: Flask) -> None:
    centre.calls(centre.agents[0], workdays(), 1)
    draft = centre.draft(rate_denominator=1)

    def statements() -> int:
        db.session.commit()
        with counted() as asked:
            report(made := past_calls.read(draft), names_in(made))
        return len(asked)

    few = statements()
    for agent in centre.agents:
        centre.calls(agent, workdays(), 4)
    assert statements() == few <= 25


def test_of_very_many_calls_a_part_is_replayed(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for agent in centre.agents:
        centre.calls(agent, workdays(), 5)
    monkeypatch.setattr(past_calls, "MOST_CALLS", 100)
    reading = read(centre.draft())
    assert 50 < reading.load.eligible / reading.load.rounds < 150
    assert whole(reading.forecast.total.surveys) == 200, "all are counted"


# --- pace and money ---


def hourly(dials: int, weekdays: Sequence[int] = range(5), hours: Sequence[int] = range(14, 22)) -> dict[Any, Fraction]:
    return {(day, hour): Fraction(dials) for day in weekdays for hour in hours}


def test_a_pace_that_keeps_up() -> None:
    pace = pace_for(hourly(3600), calls_per_second=1, live_calls=100, seconds_a_call=Fraction(60))
    assert (pace.busiest, pace.possible, pace.bound_by, pace.waits, pace.keeps_up) == (60, 60, PACE, 0, True)


def test_a_pace_bounded_by_the_calls_at_a_time() -> None:
    pace = pace_for(hourly(600), calls_per_second=10, live_calls=5, seconds_a_call=Fraction(60))
    assert (pace.possible, pace.bound_by, pace.keeps_up) == (5, LIVE, False)
    assert pace.lost == Fraction(1, 2) and pace.waits > 12


def test_a_peak_is_made_up_for_later() -> None:
    peak = hourly(1800) | {(0, 14): Fraction(3600 * 3)}
    pace = pace_for(peak, calls_per_second=1, live_calls=1000, seconds_a_call=Fraction(60))
    assert (pace.busiest, pace.waits, pace.lost, pace.keeps_up) == (180, 2, 0, True)


def test_a_pace_too_slow_is_said(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 40)
    told = warnings(read(centre.draft(rate_denominator=1, calls_per_second=1, live_calls=1)))
    assert not any("will have to wait" in one for one in told)
    reading = read(centre.draft(rate_denominator=1))
    slow = replace(reading, pace=pace_for(hourly(600), 10, 5, Fraction(60)))
    assert any("Dials will have to wait" in one and "raise live_calls, or" in one for one in warnings(slow))


def test_money() -> None:
    days = [(FIRST + n * DAY, Fraction(1, 4)) for n in range(4)]
    assert spend_for(Fraction(100), Fraction(30), 79, days).reached_on == FIRST + DAY
    assert spend_for(Fraction(100), Fraction(30), 130, days).reached_on is None
    assert spend_for(Fraction(100), Fraction(30), None, days).reached_on is None


def test_the_cost_is_that_of_the_minutes(centre: Centre) -> None:
    centre.calls(centre.agents[0], workdays(), 10)
    reading = read(centre.draft(spend_cap=100))
    assert reading.spend.cost == reading.forecast.total.minutes * Fraction(14, 10) > 100
    assert any("use up the spend cap of 1.00;" in one for one in warnings(reading))
