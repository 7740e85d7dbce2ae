"""Target sampling: how likely each agent's calls are to be drawn, from what is still missing and still to come.

Pure, in whole numbers and fractions. It looks at how many customers answered, never at what they said. The reasons for
the figures are in docs/decisions/0012-target-sampling.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property, lru_cache
from math import isqrt

from survey.models import Level

# How far above the number rates aim: in standard deviations of a count that is due by chance.
MARGIN = Fraction(3, 2)
# What is seen of one agent weighs as much as the campaign's mean after so many calls, and so many drawn ones.
PRIOR_CALLS = 5
PRIOR_DRAWN = 20
# What a campaign is taken to have seen before it has seen anything: one in five of so many drawn customers answered.
FIRST_DRAWN, FIRST_ANSWERED = 50, 10
NOTHING, EVERY_CALL, LEAST_YIELD = Fraction(0), Fraction(1), Fraction(1, 1000)
# Rates in whole percents, below 10% in half ones, below 1% in tenths of one.
_STEPS = ((Fraction(1, 100), 1000), (Fraction(1, 10), 200))
LADDER = tuple(Fraction(n, 1000) for n in (*range(1, 10), *range(10, 100, 5), *range(100, 1001, 10)))


@dataclass(frozen=True)
class Wanted:
    """The complete surveys wanted of each agent, supervisor and site, and the rates between which they are sought."""

    agent: int
    supervisor: int
    site: int
    floor: Fraction
    ceiling: Fraction


@dataclass(frozen=True)
class Got:
    """Surveys credited to somebody so far: complete ones, and those still open, about which nobody knows yet."""

    complete: int = 0
    open: int = 0

    def __add__(self, other: Got) -> Got:
        return Got(self.complete + other.complete, self.open + other.open)


@dataclass(frozen=True)
class Seen:
    """An agent as seen at a setting. Supervisor and site are those of the roster for the days to come.

    `calls` could have been asked about in the last `weeks`; `weeks_left` of such weeks are to come. `settled` of the
    drawn ones are past their deadline, and `answered` of these were complete.
    """

    agent_id: int
    supervisor_id: int | None
    site_id: int
    calls: int
    weeks: Fraction
    weeks_left: Fraction
    settled: int
    answered: int
    got: Got = field(default_factory=Got)


@dataclass(frozen=True)
class AgentRate:
    """The rate set for an agent, and what it rests on.

    `calls`: expected in the time left. `yields`: expected complete surveys per drawn call. `aim`: complete surveys
    that calls to come should bring, the margin in it. `driven_by`: whose number asks for this rate (None: nobody's).
    """

    seen: Seen
    calls: Fraction
    yields: Fraction
    missing: int
    aim: Fraction
    rate: Fraction
    driven_by: Level | None

    @property
    def expected(self) -> Fraction:
        """Complete surveys expected of the calls to come."""
        return self.expected_at(self.rate)

    @property
    def within_reach(self) -> bool:
        """Whether as many are expected as are missing, with those that are open."""
        return self.expected + self.seen.got.open * self.yields >= self.missing

    def expected_at(self, rate: Fraction) -> Fraction:
        return rate * self.completes_at_1

    @cached_property
    def completes_at_1(self) -> Fraction:
        """Complete surveys expected, were every call to come drawn."""
        return self.calls * self.yields


@dataclass(frozen=True)
class GroupRate:
    """What a supervisor or a site needs beyond what its agents need: `raised_to` is the least rate all of them get.

    None: its agents' own rates are enough. `expected`: complete surveys expected of the calls to come, after that;
    `from_open`: of the open surveys.
    """

    level: Level
    subject_id: int
    got: Got
    missing: int
    aim: Fraction
    raised_to: Fraction | None
    expected: Fraction
    from_open: Fraction

    @property
    def within_reach(self) -> bool:
        """Whether as many are expected as are missing, with those that are open."""
        return self.expected + self.from_open >= self.missing


@dataclass(frozen=True)
class Setting:
    """One setting of all rates of a campaign."""

    agents: tuple[AgentRate, ...]
    groups: tuple[GroupRate, ...]


def set_rates(
    agents: Sequence[Seen], wanted: Wanted, supervisors: Mapping[int, Got], sites: Mapping[int, Got]
) -> Setting:
    """The rates for the calls to come; `supervisors` and `sites` say what these have got so far, by id.

    First every agent's own, then the least that raises a supervisor's agents enough, then a site's.
    """
    flow, yields = _mean_flow(agents), _mean_yield(agents)
    like_others = PRIOR_CALLS / flow if flow else None, PRIOR_DRAWN * yields
    rates = [_own_rate(seen, wanted, *like_others) for seen in agents]
    found: list[GroupRate] = []
    for level, target, gots in (
        (Level.SUPERVISOR, wanted.supervisor, supervisors),
        (Level.SITE, wanted.site, sites),
    ):
        rates, raised = _raise_groups(rates, level, target, gots, wanted, yields)
        found += raised
    return Setting(tuple(rates), tuple(found))


@lru_cache(maxsize=4096)
def aim_for(missing: int) -> Fraction:
    """The expected number that brings `missing` all but surely: itself and MARGIN standard deviations of its own.

    A count by chance of expectation E strays by about the root of E, so E - MARGIN * root(E) = missing. In tenths.
    """
    if missing <= 0:
        return Fraction(0)
    squared = MARGIN**2 + 4 * missing
    root = Fraction(isqrt(int(squared * 10**6)) + 1, 1000)
    return _up(((MARGIN + root) / 2) ** 2, 10)


def readable(rate: Fraction) -> Fraction:
    """The rate rounded up to one that people can read."""
    return _up(rate, next((parts for below, parts in _STEPS if rate < below), 100))


def weeks_to_come(
    first: date, last: date, calls_by_weekday: Mapping[int, int], days_off: Collection[date] = ()
) -> Fraction:
    """How many weeks' calls the days from `first` to `last` will bring, by the weekdays (Monday = 0) of earlier calls.

    0 when the days are over. A day off brings none; without earlier calls, all weekdays count alike.
    """
    weights = calls_by_weekday if any(calls_by_weekday.values()) else dict.fromkeys(range(7), 1)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    come = sum(weights.get(day.weekday(), 0) for day in days if day not in days_off)
    return Fraction(come, sum(weights.values()))


def _mean_flow(agents: Iterable[Seen]) -> Fraction:
    """Calls an agent and week."""
    weeks = sum((seen.weeks for seen in agents), Fraction(0))
    return sum(seen.calls for seen in agents) / weeks if weeks else Fraction(0)


def _mean_yield(agents: Iterable[Seen]) -> Fraction:
    settled, answered = FIRST_DRAWN, FIRST_ANSWERED
    for seen in agents:
        settled, answered = settled + seen.settled, answered + seen.answered
    return Fraction(answered, settled)


def _own_rate(seen: Seen, wanted: Wanted, prior_weeks: Fraction | None, prior_answered: Fraction) -> AgentRate:
    """Taken to be as the others in PRIOR_CALLS more, which take so many weeks, and PRIOR_DRAWN more, of so many answer.

    No weeks: nobody had a call.
    """
    calls = _down(_flow(seen, prior_weeks) * seen.weeks_left, 10)
    own_yield = (seen.answered + prior_answered) / (seen.settled + PRIOR_DRAWN)
    yields = max(_down(own_yield, 1000), LEAST_YIELD)
    missing = max(wanted.agent - seen.got.complete, 0)
    aim = _still_aimed(missing, seen.got, yields)
    rate = _within(_needed(aim, calls * yields), wanted)
    return AgentRate(seen, calls, yields, missing, aim, rate, Level.AGENT if aim and rate > wanted.floor else None)


def _flow(seen: Seen, prior_weeks: Fraction | None) -> Fraction:
    """The agent's calls a week; an agent with few or none yet is taken to be more like the others."""
    return Fraction(0) if prior_weeks is None else (seen.calls + PRIOR_CALLS) / (seen.weeks + prior_weeks)


def _still_aimed(missing: int, got: Got, yields: Fraction) -> Fraction:
    """What calls to come should bring: open surveys will bring their share by themselves."""
    return max(aim_for(missing) - _down(got.open * yields, 10), NOTHING) if got.open else aim_for(missing)


def _needed(aim: Fraction, completes_at_1: Fraction) -> Fraction:
    """The rate that brings `aim`, when drawing every call would bring `completes_at_1`."""
    if not aim:
        return NOTHING
    return aim / completes_at_1 if completes_at_1 > aim else EVERY_CALL


def _within(rate: Fraction, wanted: Wanted) -> Fraction:
    return max(wanted.floor, min(readable(rate), wanted.ceiling))


def _raise_groups(
    rates: Sequence[AgentRate],
    level: Level,
    target: int,
    gots: Mapping[int, Got],
    wanted: Wanted,
    yields: Fraction,
) -> tuple[list[AgentRate], list[GroupRate]]:
    members: defaultdict[int | None, list[AgentRate]] = defaultdict(list)
    for each in rates:
        members[each.seen.supervisor_id if level is Level.SUPERVISOR else each.seen.site_id].append(each)
    kept, found = list(members.pop(None, ())), []
    for subject_id, own in members.items():
        assert subject_id is not None
        got = gots.get(subject_id, Got())
        missing = max(target - got.complete, 0)
        aim = _still_aimed(missing, got, yields)
        least = _least_rate(own, aim, wanted)
        raised = own if least is None else [_raised(each, least, level) for each in own]
        expected = sum((each.expected for each in raised), Fraction(0))
        found.append(GroupRate(level, subject_id, got, missing, aim, least, expected, got.open * yields))
        kept += raised
    order = {each.seen.agent_id: n for n, each in enumerate(rates)}
    return sorted(kept, key=lambda each: order[each.seen.agent_id]), found


def _least_rate(own: Sequence[AgentRate], aim: Fraction, wanted: Wanted) -> Fraction | None:
    """The lowest rate on the ladder that brings `aim` when no agent's is below it; the ceiling when none does."""

    def brings(least: Fraction) -> bool:
        return sum((each.expected_at(max(each.rate, least)) for each in own), Fraction(0)) >= aim

    if brings(Fraction(0)):
        return None
    steps = [step for step in LADDER if step < wanted.ceiling]
    found = bisect_left(steps, True, key=brings)
    least = steps[found] if found < len(steps) else wanted.ceiling
    return least if any(each.rate < least for each in own) else None


def _raised(each: AgentRate, least: Fraction, level: Level) -> AgentRate:
    return each if each.rate >= least else replace(each, rate=least, driven_by=level)


def _up(value: Fraction, parts: int) -> Fraction:
    return Fraction(-(-value.numerator * parts // value.denominator), parts)


def _down(value: Fraction, parts: int) -> Fraction:
    return Fraction(value.numerator * parts // value.denominator, parts)
