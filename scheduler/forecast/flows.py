"""Calls to come as flows, the rates at which they are drawn, and what has come of them by any day. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property

from scheduler.forecast.days import NOTHING

# A site, and from which to before which of the days to come.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Flow:
    """Calls a week at a site, from the `begin`-th to before the `end`-th day to come; `yields` of the drawn answer."""

    site_id: int
    begin: int
    end: int
    weekly: Fraction
    yields: Fraction
    agent_id: int | None = None
    supervisor_id: int | None = None

    @property
    def span(self) -> Span:
        return self.site_id, self.begin, self.end

    @cached_property
    def completes(self) -> Fraction:
        """Complete surveys a week, were every call drawn."""
        return self.weekly * self.yields


@dataclass(frozen=True)
class Step:
    """The rates in force from the `start`-th day to come on, whose date is `first`.

    `rates` are those of the agents who have one of their own. `set_on` is the day on which they will be set; None for
    what is in force already.
    """

    start: int
    first: date
    rates: Mapping[int, Fraction]
    default: Fraction
    set_on: date | None = None

    def rate_of(self, agent_id: int | None) -> Fraction:
        return self.default if agent_id is None else self.rates.get(agent_id, self.default)


class Weeks:
    """How many weeks' calls of a span its days bring. The same few are asked for of every agent, so each is kept."""

    def __init__(self, upto: Mapping[int, Sequence[Fraction]]) -> None:
        self._upto = upto
        self._kept: dict[tuple[Span, int, int], Fraction] = {}

    def between(self, span: Span, first: int, after_last: int) -> Fraction:
        """Those of the `first`-th to before the `after_last`-th day to come."""
        asked = span, first, after_last
        weeks = self._kept.get(asked)
        if weeks is None:
            site_id, begin, end = span
            since, until = max(first, begin), min(after_last, end)
            upto = self._upto[site_id]
            weeks = self._kept[asked] = upto[until] - upto[since] if since < until else NOTHING
        return weeks


class Course:
    """How something adds up over the days to come, as so much a week comes of each span's calls."""

    def __init__(self, weeks: Weeks) -> None:
        self._weeks = weeks
        self._starts: list[int] = []
        self._before: list[Fraction] = []
        self._weekly: list[Mapping[Span, Fraction]] = []

    def turn(self, start: int, weekly: Mapping[Span, Fraction]) -> None:
        """From the `start`-th day on this much a week comes; turns are made in the order of days."""
        if self._weekly and self._weekly[-1] == weekly:
            return
        self._before.append(self.by(start))
        self._starts.append(start)
        self._weekly.append(weekly)

    def by(self, n: int) -> Fraction:
        """What the first n days bring."""
        found = bisect_right(self._starts, n) - 1
        if found < 0:
            return NOTHING
        start, made = self._starts[found], self._before[found]
        for span, weekly in self._weekly[found].items():
            if weeks := self._weeks.between(span, start, n):
                made += weekly * weeks
        return made


def drawn(flow: Flow, steps: Iterable[Step], weeks: Weeks) -> Course:
    """How many weeks' calls of one flow are drawn at these rates; times its calls a week, that is surveys."""
    made = Course(weeks)
    for step in steps:
        made.turn(step.start, {flow.span: step.rate_of(flow.agent_id)})
    return made


def calls_a_week(flows: Iterable[Flow]) -> dict[Span, Fraction]:
    """All calls of these flows, drawn or not."""
    weekly: defaultdict[Span, Fraction] = defaultdict(Fraction)
    for flow in flows:
        weekly[flow.span] += flow.weekly
    return weekly


def course(
    flows: Iterable[Flow], steps: Iterable[Step], weeks: Weeks, at_full_rate: Callable[[Flow], Fraction]
) -> Course:
    """What these flows bring together at these rates; `at_full_rate` is what each brings a week, all calls drawn."""
    made = Course(weeks)
    full = [(flow, at_full_rate(flow)) for flow in flows]
    for step in steps:
        weekly: defaultdict[Span, Fraction] = defaultdict(Fraction)
        for flow, most in full:
            weekly[flow.span] += most * step.rate_of(flow.agent_id)
        made.turn(step.start, weekly)
    return made
