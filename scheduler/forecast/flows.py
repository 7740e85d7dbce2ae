"""Calls to come as flows, the rates at which they are drawn, and what has come of them by any day. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from scheduler.forecast.days import NOTHING
from scheduler.targets import Setting

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


@dataclass(frozen=True)
class Step:
    """The rates in force from the `start`-th day to come on, whose date is `first`.

    `rates` are those of the agents who have one of their own. `set_on` is the day on which they will be set, and
    `setting` what is set then; None for what is in force already.
    """

    start: int
    first: date
    rates: Mapping[int, Fraction]
    default: Fraction
    set_on: date | None = None
    setting: Setting | None = None

    def rate_of(self, agent_id: int | None) -> Fraction:
        return self.default if agent_id is None else self.rates.get(agent_id, self.default)


class Course:
    """How something adds up over the days to come, as so much a week comes of each span's calls."""

    def __init__(self, upto: Mapping[int, Sequence[Fraction]]) -> None:
        self._upto = upto
        self._starts: list[int] = []
        self._before: list[Fraction] = []
        self._weekly: list[Mapping[Span, Fraction]] = []

    def turn(self, start: int, weekly: Mapping[Span, Fraction]) -> None:
        """From the `start`-th day on this much a week comes; turns are made in the order of days."""
        self._before.append(self.by(start))
        self._starts.append(start)
        self._weekly.append(weekly)

    def by(self, n: int) -> Fraction:
        """What the first n days bring."""
        found = bisect_right(self._starts, n) - 1
        if found < 0:
            return NOTHING
        start, made = self._starts[found], self._before[found]
        for (site_id, begin, end), weekly in self._weekly[found].items():
            since, until = max(start, begin), min(n, end)
            if since < until:
                made += weekly * (self._upto[site_id][until] - self._upto[site_id][since])
        return made


def courses(
    flows: Sequence[Flow], steps: Iterable[Step], upto: Mapping[int, Sequence[Fraction]]
) -> tuple[Course, Course, Course]:
    """The calls, surveys and complete surveys that these flows bring together at these rates."""
    made = Course(upto), Course(upto), Course(upto)
    for step in steps:
        weekly: tuple[defaultdict[Span, Fraction], ...] = tuple(defaultdict(Fraction) for _ in made)
        for flow in flows:
            drawn = flow.weekly * step.rate_of(flow.agent_id)
            for sums, each in zip(weekly, (flow.weekly, drawn, drawn * flow.yields), strict=True):
                sums[flow.span] += each
        for course, sums in zip(made, weekly, strict=True):
            course.turn(step.start, sums)
    return made
