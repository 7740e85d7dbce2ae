"""With targets a forecast's rates are those that the scheduler will set, on the same days and from the same days on.

The days foreseen are lived through as expected, and the scheduler's own rule is let loose on what has come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler import outlook, weekly_rates
from scheduler.forecast.advice import warnings
from scheduler.forecast.days import Basis, Days, Volume
from scheduler.forecast.flows import Step
from scheduler.forecast.known import known
from scheduler.forecast.weekly import Ahead
from scheduler.forecast.words import assumptions, told_rates, whole
from scheduler.rates import rates_of
from scheduler.targets import Got
from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Assignment, Call, Campaign, Customer, Disposition, DrawReason, Level, Sampling, Survey
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.forecasting import DAY, FIRST, SINCE, UNTIL, Centre, forecast, read, workdays

THIRD, A_FIFTH = Fraction(1, 3), Fraction(1, 5)
TARGET: dict[str, Any] = {"sampling": Sampling.TARGET, "rate_denominator": 3, "quarantine_days": 0}
CALLS_A_DAY = 4
# By the rule: a whole week of calls, of which the last day is the day before yesterday; then every Monday.
SATURDAY, MONDAYS = date(2026, 3, 21), [date(2026, 3, 23) + n * 7 * DAY for n in range(4)]
# Surveys come whole, and rates follow them.
ROUNDING = Fraction(2, 100)


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    """Everybody takes equally many calls: then what is seen of one agent is what is seen of all."""
    centre = Centre.make()
    _, leaves, joins, has_left = centre.agents
    for agent in centre.agents[:2]:
        centre.calls(agent, workdays(until=FIRST), CALLS_A_DAY, customer=make.customer(centre.site.organisation_id))
    db.session.query(Assignment).filter_by(agent_id=leaves.id).one().ends_on = date(2026, 4, 10)
    db.session.query(Assignment).filter_by(agent_id=joins.id).one().starts_on = date(2026, 3, 30)
    db.session.query(Assignment).filter_by(agent_id=has_left.id).one().ends_on = UNTIL
    return centre


class Life:
    """The campaign's days as foreseen: each call drawn at its rate, each fifth survey complete when its time is up."""

    def __init__(self, centre: Centre, campaign: Campaign, clock: ManualClock) -> None:
        self._centre, self._campaign, self._clock = centre, campaign, clock
        self._customer: Customer = make.customer(centre.site.organisation_id)
        self._due: dict[int, list[tuple[datetime, Fraction]]] = {}
        self._surveys: dict[int, list[Survey]] = {}

    def begin(self, day: date) -> bool:
        """Midnight in New York: surveys end, and the rates are set if they are due. Whether they were."""
        self._clock.move_to(datetime(day.year, day.month, day.day, 4, tzinfo=UTC))
        for agent_id, surveys in self._surveys.items():
            ended = [survey for survey in surveys if survey.deadline <= self._clock()]
            expected = sum((share for deadline, share in self._due[agent_id] if deadline <= self._clock()), Fraction(0))
            for n, survey in enumerate(ended):
                done = n < int(expected * A_FIFTH)
                survey.disposition = Disposition.COMPLETE if done else Disposition.NO_ANSWER
                survey.closed_at = survey.deadline
        db.session.flush()
        before = self._campaign.rates_set_for
        weekly_rates.set_if_due(self._campaign)
        return self._campaign.rates_set_for != before

    def take_calls(self, day: date) -> None:
        if day.weekday() > 4:
            return
        for agent, leader in zip(self._centre.agents, self._centre.leaders * 2, strict=True):
            if not self._works(agent, day):
                continue
            calls = self._centre.calls(agent, [day], CALLS_A_DAY, customer=self._customer)
            rate = rates_of(self._campaign).in_force(agent.id, calls[0].ended_at)
            due, surveys = self._due.setdefault(agent.id, []), self._surveys.setdefault(agent.id, [])
            drawn = whole(sum((share for _, share in due), rate * CALLS_A_DAY)) - len(surveys)
            for call in calls[:drawn]:
                surveys.append(make.survey(call, self._campaign, supervisor=leader))
            for call in calls[drawn:]:
                make.draw(call, self._campaign, drawn=False, reason=DrawReason.NOT_SELECTED, u=Decimal(2**64 - 1))
            deadline = make.deadline(calls[0].ended_at, self._centre.site.calendar).closes_at
            due.append((deadline, rate * CALLS_A_DAY))

    def _works(self, agent: Agent, day: date) -> bool:
        return db.session.query(Assignment).filter_by(agent_id=agent.id).one().covers(day)


def foreseen(steps: Sequence[Step]) -> dict[date, tuple[date, Mapping[int, Fraction]]]:
    """By the day on which they are set: from when the rates hold, and all of them."""
    return {step.set_on: (step.first, step.rates) for step in steps if step.set_on is not None}


def test_rates_are_foreseen_week_by_week_as_the_scheduler_sets_them(centre: Centre, at_noon: ManualClock) -> None:
    campaign = make.campaign(
        [centre.site],
        launched_at=NOON,
        starts_on=FIRST,
        ends_on=date(2026, 4, 17),
        target_agent=9,
        target_supervisor=0,
        target_site=20,
        **TARGET,
    )
    before = read(campaign)
    told = foreseen(before.steps)
    assert list(told) == [SATURDAY, *MONDAYS] and before.steps[0].rate_of(centre.agents[0].id) == THIRD
    life, set_on = Life(centre, campaign, at_noon), list[date]()
    for n in range((campaign.ends_on - FIRST).days + 1):
        today = FIRST + n * DAY
        if life.begin(today):
            set_on.append(today)
            first, rates = told[today]
            in_force = rates_of(campaign).in_force
            begins = datetime(first.year, first.month, first.day, 4, tzinfo=UTC)
            for agent in centre.agents[:3]:
                rate = in_force(agent.id, begins)
                assert abs(rate - rates.get(agent.id, THIRD)) <= ROUNDING, (today, agent.id, told)
        life.take_calls(today)
        if today == MONDAYS[2] - 5 * DAY:
            # Again on a Wednesday evening, from what has come in by then.
            at_noon.move_to(NOON + (n + 1) * DAY + timedelta(hours=10))
            told |= foreseen(read(campaign).steps)
    assert set_on == list(told)
    lived = db.session.scalars(select(Call.ended_at).join(Survey, Survey.call_id == Call.id)).all()
    for monday, figures in before.forecast.weeks:
        drawn = sum(monday <= ended_at.date() < monday + 7 * DAY for ended_at in lived)
        assert abs(figures.surveys - drawn) <= 2, (monday, drawn)


def test_surveys_of_now_are_foreseen_as_a_setting_will_find_them(app: Flask, at_noon: ManualClock) -> None:
    site = make.site()
    campaign, agent = make.campaign([site], starts_on=date(2026, 1, 1), **TARGET), make.agent(site)
    # The first one's deadline, 16 January, is 56 days ago until tomorrow; the last one's is 17 March.
    for ended_at in (NOON - 58 * DAY, NOON - 9 * DAY, NOON - timedelta(hours=1)):
        survey = make.survey(make.call(agent, site, ended_at=ended_at), campaign)
        if survey.deadline < NOON:
            survey.disposition, survey.closed_at = Disposition.COMPLETE, survey.deadline
    db.session.flush()
    wanted = weekly_rates.wanted_of(campaign)
    basis = Basis(SINCE, UNTIL, FIRST, campaign.ends_on, wanted, THIRD, Volume(), {}, {site.id: ()})
    there = known(campaign, rates_of(campaign), [agent.id], NOON, UNTIL, FIRST)
    at_noon.move_to(NOON + DAY)
    foreseen_then = Ahead(campaign, basis, Days(basis), [], there).surveys(FIRST, NOON + DAY)
    assert foreseen_then == outlook.so_far(campaign)
    assert (foreseen_then.agents[agent.id], foreseen_then.settled[agent.id]) == (Got(complete=2, open=1), 1)


def test_a_campaign_over_before_its_rates_are_set_keeps_its_own(centre: Centre) -> None:
    short = centre.draft(**TARGET, ends_on=SATURDAY, target_agent=9)
    reading = read(short)
    assert len(reading.steps) == 1
    assert whole(reading.forecast.total.surveys) == whole(reading.forecast.total.calls / 3)
    assert {told_rates(one.rates) for one in reading.forecast.of(Level.AGENT)} == {"33.3%"}
    assert any(
        "own rate of 33.3% holds for every agent at first, and to the end" in line for line in assumptions(reading)
    )
    assert any("Why they miss it: until a whole week of the campaign's calls" in line for line in warnings(reading))
    # One day more, and Saturday's rates hold for it.
    short.ends_on = SATURDAY + DAY
    assert [step.first for step in read(short).steps] == [FIRST, SATURDAY + DAY]


def test_the_page_and_the_command_say_from_when_rates_hold(centre: Centre, app: Flask) -> None:
    draft = centre.draft(**TARGET, ends_on=date(2026, 4, 17), target_agent=9)
    told = forecast(app, draft)
    assert told["rates_set"][:2] == [
        {"on": "2026-03-21", "from": "2026-03-22"},
        {"on": "2026-03-23", "from": "2026-03-24"},
    ]
    (joins,) = [one for one in told["agents"] if one["agent"] == centre.agents[2].key]
    assert [rate["from"] for rate in joins["rates"]][:2] == ["2026-03-13", "2026-03-24"]
    (line,) = [line for line in told["rests_on"] if line.startswith("Rates:")]
    assert "own rate of 33.3% holds for every agent at first. On 2026-03-21, once a whole week" in line
    assert "for calls from 2026-03-22 on; and again every Monday" in line


def test_a_rate_is_told_with_those_that_follow() -> None:
    first, tenth = (FIRST, THIRD), Fraction(1, 10)
    assert told_rates([first]) == "33.3%"
    assert told_rates([first, (SATURDAY, tenth)]) == "33.3%, from 2026-03-21 10%"
    later = [(SATURDAY, Fraction(1, 2)), (MONDAYS[0], tenth)]
    assert told_rates([first, *later]) == "33.3%, from 2026-03-21 10% to 50%"
