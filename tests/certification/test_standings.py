"""Standings tell where a subject is on any day, and certify nobody."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from certification import charts, rules, standings
from certification.interval import wilson
from certification.standings import Standing
from survey.db import db
from survey.models import Agent, Assessment, Certificate, Level
from tests import factories
from tests.certification.world import LAST, World

MAY = date(2026, 5, 20)


def standing_of(found: list[Standing], agent: Agent) -> Standing:
    return next(each for each in found if (each.level, each.subject_id) == (Level.AGENT, agent.id))


def test_wilson_as_published() -> None:
    low, high = wilson(19, 25) or (0, 0)
    assert (round(low, 3), round(high, 3)) == (0.566, 0.885)
    assert wilson(0, 0) is None
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1  # type: ignore[index]


def test_too_few_to_judge_says_how_many_more(world: World) -> None:
    period = world.announce()
    agent = world.agent()
    world.ask(agent, world_class=18, day=date(2026, 4, 2))
    found = standing_of(standings.for_period(period, MAY), agent)
    assert found.summary == "too few to judge"
    assert found.verdict.missing == ("7 more surveys (18 of 25)", "2 more complete months (4 of 6)")


def test_a_standing_on_an_earlier_day_knows_nothing_later(world: World) -> None:
    period = world.announce()
    agent = world.agent()
    world.ask(agent, world_class=20, day=date(2026, 5, 20))
    world.ask(agent, satisfied=20, day=date(2026, 5, 21))
    assert standing_of(standings.for_period(period, MAY), agent).counts.n == 20
    assert standing_of(standings.for_period(period, date(2026, 5, 21)), agent).counts.n == 40


def test_a_standing_shows_what_stands_beside_the_rate(world: World) -> None:
    period = world.announce()
    agent = world.agent()
    world.ask(agent, world_class=19, satisfied=7, partial=3, late=2, superseded=4, silent=65)
    counts = standing_of(standings.for_period(period, LAST), agent).counts
    assert (counts.n, counts.partials, counts.late, counts.superseded, counts.drawn) == (26, 3, 2, 4, 100)
    assert counts.superseded_share == Fraction(4, 100)
    assert counts.rate_with_superseded == Fraction(19, 30)
    assert counts.weighted_rate == counts.rate == Fraction(19, 26)


def test_a_standing_that_passes_certifies_nobody(world: World) -> None:
    period = world.announce()
    agent = world.agent()
    world.ask(agent, world_class=30)
    assert standing_of(standings.for_period(period, LAST), agent).verdict.passes
    assert db.session.query(Assessment).count() == db.session.query(Certificate).count() == 0


def test_any_days_may_be_looked_at(world: World) -> None:
    agent = world.agent()
    world.ask(agent, world_class=5, day=date(2026, 2, 3))
    found = standings.between(world.programme, date(2026, 2, 1), date(2026, 2, 28), LAST)
    assert [each.level for each in found] == [Level.ORGANISATION, Level.SITE, Level.AGENT]
    assert (standing_of(found, agent).counts.n, standing_of(found, agent).coverage.months) == (5, 1)


def test_a_site_that_opens_later_stands_in_nobodys_way(world: World) -> None:
    """The days looked at are over before it opens."""
    later = factories.site(organisation=world.organisation, opened_on=date(2026, 7, 1))
    found = standings.between(world.programme, date(2026, 2, 1), date(2026, 2, 28), LAST)
    assert later.name not in [each.name for each in found]
    found = standings.between(world.programme, date(2026, 2, 1), date(2026, 7, 1), date(2026, 7, 1))
    assert later.name in [each.name for each in found]


def test_today_is_not_a_whole_day_yet(world: World) -> None:
    agent = world.agent()
    period = world.announce()
    world.clock.move_to(world.clock().replace(year=2026, month=1, day=31))
    assert standing_of(standings.for_period(period), agent).coverage.months == 0
    world.clock.move_to(world.clock().replace(month=2, day=1))
    assert standing_of(standings.for_period(period), agent).coverage.months == 1


def test_levels_are_shown_highest_first_and_a_supervisor_has_the_team(world: World) -> None:
    leader = world.supervisor()
    agents = [world.agent(leader), world.agent(leader)]
    period = world.announce()
    for agent in agents:
        world.ask(agent, leader, world_class=4)
    found = standings.for_period(period, LAST)
    assert [each.level for each in found] == [
        Level.ORGANISATION,
        Level.SITE,
        Level.SUPERVISOR,
        Level.AGENT,
        Level.AGENT,
    ]
    assert (found[2].counts.n, found[2].coverage.months) == (8, 6)
    assert found[0].required is None


@pytest.mark.parametrize(
    ("k", "n", "said"),
    [
        (0, 0, "No counted surveys yet; the line is more than 75%."),
        (19, 25, "Rate 76.0%, 95% interval 56.6% to 88.5%; the line is more than 75%."),
    ],
)
def test_the_picture_is_told_in_words(k: int, n: int, said: str) -> None:
    rule = rules.load("sqm-2011")
    assert charts.alternative(k, n, rule) == said
    assert f'aria-label="{said}"' in charts.interval(k, n, rule)
