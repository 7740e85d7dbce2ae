"""A contact centre before NOON, whose last weeks forecasts rest on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from flask import Flask

from scheduler.forecast import reading
from scheduler.forecast.reading import Reading
from survey.db import db
from survey.models import (
    Agent,
    Call,
    Campaign,
    Level,
    Site,
    Supervisor,
)
from tests import factories as make

DAY = timedelta(days=1)
# NOON is Thursday 12 March; calls of the 11th may still come in, so four weeks are looked back on until the 10th.
SINCE, UNTIL = date(2026, 2, 11), date(2026, 3, 11)
FIRST = date(2026, 3, 13)


@dataclass
class Centre:
    """One site in New York, its agents in two teams, and what they did in the weeks before NOON."""

    site: Site
    leaders: list[Supervisor]
    agents: list[Agent]
    import_id: int

    @classmethod
    def make(cls) -> Centre:
        """Four agents who have no calls yet."""
        site = make.site(name="North")
        leaders = [make.supervisor(site.organisation) for _ in range(2)]
        agents = [make.agent(site, leaders[n % 2]) for n in range(4)]
        return cls(site, leaders, agents, make.import_record(site.organisation_id).id)

    def calls(self, agent: Agent | None, days: Sequence[date], a_day: int, **given: Any) -> list[Call]:
        """So many calls on each of the days, at ten in the morning and every few minutes after it."""
        made = []
        for day in days:
            for n in range(a_day):
                ended_at = datetime(day.year, day.month, day.day, 15, tzinfo=UTC) + n * timedelta(minutes=7)
                values: dict[str, Any] = {"ended_at": ended_at, "import_id": self.import_id} | given
                made.append(make.call(agent, self.site, **values))
        return made

    def draft(self, **given: Any) -> Campaign:
        """A draft for the four weeks from the day after NOON, a Friday, which holds no holiday."""
        values: dict[str, Any] = {
            "launched": False,
            "starts_on": FIRST,
            "ends_on": FIRST + 27 * DAY,
            "target_supervisor": 0,
            "target_site": 0,
        }
        return make.campaign([self.site], **values | given)


def workdays(since: date = SINCE, until: date = UNTIL) -> list[date]:
    days = (since + n * DAY for n in range((until - since).days))
    return [day for day in days if day.weekday() < 5]


def read(campaign: Campaign, weeks: int = 4) -> Reading:
    db.session.commit()
    return reading.read(campaign, weeks)


def at_end(reading: Reading, level: Level) -> dict[int, Fraction]:
    return {one.id: one.at_end for one in reading.forecast.of(level)}


def forecast(app: Flask, campaign: Campaign, *options: str) -> dict[str, Any]:
    db.session.commit()
    done = app.test_cli_runner().invoke(args=["campaigns", "forecast", campaign.key, "--json", *options])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.output)
    return told
