"""Decisions over random small organisations, against a count written a second time, the slow and obvious way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certification import rules
from survey import clock
from survey.db import db
from survey.models import Decision, Level
from tests.certification.world import ANNOUNCED, LAST, World

MINIMUM = {"agent": 3, "supervisor": 5, "site": 6}
OUTCOMES = ("world_class", "world_class", "world_class", "satisfied", "unsure", "partial", "late", "silent")
# Days by which a survey is in the period or just out of it.
DAYS = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 14), date(2026, 5, 31), date(2026, 6, 30), date(2026, 7, 1)]
RATES = [Fraction(1), Fraction(1, 3), Fraction(1, 20)]
MOVES = date(2026, 4, 1)


@dataclass(frozen=True)
class Asked:
    agent: int
    day: date
    outcome: str
    rate: Fraction
    number: int


@dataclass(frozen=True)
class Centre:
    """Agents 0 to 3; odd ones move from site and supervisor 0 to 1 on 1 April. Site 1 may close, sampling end early."""

    asked: tuple[Asked, ...]
    on_conflict: str
    closed_on: date | None
    sampling_until: date

    def place(self, agent: int, day: date) -> int:
        """The site and supervisor an agent was at: both have the same number here."""
        return int(agent >= 2) if agent % 2 == 0 else int(day >= MOVES)


ASKED = st.builds(
    Asked,
    st.integers(0, 3),
    st.sampled_from(DAYS),
    st.sampled_from(OUTCOMES),
    st.sampled_from(RATES),
    st.integers(1, 6),
)
CENTRES = st.builds(
    Centre,
    st.lists(ASKED, max_size=14).map(tuple),
    st.sampled_from(["fail", "defer"]),
    st.sampled_from([None, None, date(2026, 6, 1), date(2026, 7, 2)]),
    st.sampled_from([date(2027, 1, 1), date(2027, 1, 1), date(2026, 6, 29)]),
)


def expected(centre: Centre) -> dict[tuple[str, int], tuple[int, int, str]]:
    """Every subject's n, k and decision, one survey after the other."""
    found = {}
    for level, subjects in (("agent", range(4)), ("supervisor", range(2)), ("site", range(2))):
        for subject in subjects:
            n = k = partials = 0
            weighted_n = weighted_k = Fraction(0)
            for each in centre.asked:
                credited = each.agent if level == "agent" else centre.place(each.agent, each.day)
                if credited != subject or not date(2026, 1, 1) <= each.day <= date(2026, 6, 30):
                    continue
                for _ in range(each.number):
                    if each.outcome == "partial":
                        partials += 1
                    if each.outcome in ("world_class", "satisfied", "unsure"):
                        n += 1
                        weighted_n += 1 / each.rate
                    if each.outcome == "world_class":
                        k += 1
                        weighted_k += 1 / each.rate
            whole = six_months(centre, level, subject)
            found[level, subject] = (n, k, decision(centre, level, (n, k, partials), (weighted_n, weighted_k), whole))
    sites = {found["site", 0][2], found["site", 1][2]}
    n, k = (found["site", 0][i] + found["site", 1][i] for i in (0, 1))  # type: ignore[operator]
    worst = next(each for each in ("not_certified", "deferred", "certified") if each in sites)
    return found | {("organisation", 0): (n, k, worst)}


def six_months(centre: Centre, level: str, subject: int) -> bool:
    """Whether sampling was open on all days of the six months where the subject was."""
    if centre.sampling_until < LAST:
        return False
    if centre.closed_on is None or centre.closed_on > LAST:
        return True
    # Site 1 closed on 1 June: gone are its own June, its supervisor's, and that of every agent who was there by then.
    at_site_1 = subject == 1 if level != "agent" else centre.place(subject, LAST) == 1
    return not at_site_1


def decision(
    centre: Centre, level: str, counts: tuple[int, int, int], weighted: tuple[Fraction, Fraction], whole: bool
) -> str:
    n, k, partials = counts
    if n < MINIMUM[level] or not whole:
        return "not_certified"
    raw = Fraction(k, n) > Fraction(3, 4)
    beside = [weighted[1] / weighted[0] > Fraction(3, 4)]
    if raw:
        beside.append(Fraction(k, n + partials) > Fraction(3, 4))
    if all(side is raw for side in beside):
        return "certified" if raw else "not_certified"
    return "deferred" if centre.on_conflict == "defer" else "not_certified"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CENTRES)
def test_decisions_equal_a_brute_force_count(app: Flask, monkeypatch: pytest.MonkeyPatch, centre: Centre) -> None:
    with monkeypatch.context() as patched, clock.standing_at(ANNOUNCED) as manual:
        patched.setattr(rules, "load", lambda name: small_rule(centre.on_conflict))
        try:
            assert decided(centre, manual) == expected(centre)
        finally:
            db.session.rollback()


def small_rule(on_conflict: str) -> rules.RuleSet:
    text = (rules.FOLDER / "sqm-2011.toml").read_text(encoding="utf-8")
    for level, old in (("agent", 25), ("supervisor", 200), ("site", 800)):
        text = text.replace(f"{level} = {old}", f"{level} = {MINIMUM[level]}")
    return rules.parse(text.replace('on_conflict = "fail"', f'on_conflict = "{on_conflict}"'))


def decided(centre: Centre, manual: clock.ManualClock) -> dict[tuple[str, int], tuple[int, int, str]]:
    """What the room decides, by the numbers that `Centre` uses."""
    world = World.make(manual, ["America/New_York", "Asia/Tokyo"], ends_on=centre.sampling_until)
    leaders = [world.supervisor("0"), world.supervisor("1")]
    agents = []
    for n in range(4):
        place = centre.place(n, date(2026, 1, 1))
        agents.append(world.agent(leaders[place], world.sites[place]))
        if n % 2:
            world.assign(agents[n], world.sites[1], leaders[1], MOVES, None)
    world.announce()
    for each in centre.asked:
        place = centre.place(each.agent, each.day)
        outcome = {each.outcome: each.number}
        world.ask(agents[each.agent], leaders[place], world.sites[place], day=each.day, rate=each.rate, **outcome)
    world.sites[1].closed_on = centre.closed_on
    numbers = {
        Level.AGENT: [each.id for each in agents],
        Level.SUPERVISOR: [each.id for each in leaders],
        Level.SITE: [each.id for each in world.sites],
        Level.ORGANISATION: [world.organisation.id],
    }
    return {
        (each.level.value, numbers[each.level].index(each.subject_id)): (each.n, each.k, Decision(each.decision).value)
        for each in world.decide()
    }
