"""A forecast: what the last weeks of calls would come to, were they a campaign's, day by day to its end.

Pure, in whole numbers and fractions; expectations are those of scheduler/targets.py, rates those of weekly.py, the load
is that of replay.py. An expectation is not a promise: `Verdict` says how near it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from operator import attrgetter

from scheduler.forecast.days import DAY, NOTHING, WEEK, Basis, Days, Member
from scheduler.forecast.flows import Course, Flow, Step, Weeks, calls_a_week, course, drawn
from scheduler.forecast.replay import Load
from scheduler.targets import AgentRate, Got, Seen, aim_for, set_rates
from survey.models import Level

WEEKLY, COMPLETES = attrgetter("weekly"), attrgetter("completes")


class Verdict(StrEnum):
    """Whether somebody reaches their number: there is room for chance, there is none, or too little is expected.

    Room for chance is what calls at the highest rates would bring: where answers are few, targets raise the rates.
    """

    REACHED = "reached"
    LIKELY = "likely"
    UNCERTAIN = "uncertain"
    MISSED = "missed"


@dataclass(frozen=True)
class Subject:
    """An agent, supervisor or site: complete surveys so far and expected at the end, and on which day's calls enough.

    `rates` are an agent's, each with the day from which it holds until the next one does. `reached_on` is None where
    the number is reached already, or not within the campaign.
    """

    level: Level
    id: int
    target: int
    complete: int
    at_end: Fraction
    verdict: Verdict
    reached_on: date | None
    site_id: int | None = None
    rates: tuple[tuple[date, Fraction], ...] = ()

    @property
    def missing(self) -> Fraction:
        """How many will be missing at the end."""
        return max(self.target - self.at_end, NOTHING)


@dataclass(frozen=True)
class Figures:
    """Calls that could be asked about and what they bring; dials, emails and minutes are counted with their call."""

    calls: Fraction = NOTHING
    surveys: Fraction = NOTHING
    completes: Fraction = NOTHING
    dials: Fraction = NOTHING
    mails: Fraction = NOTHING
    minutes: Fraction = NOTHING


@dataclass(frozen=True)
class Forecast:
    """`weeks` by their Mondays. `by_day` is the share of all surveys that each day to come brings."""

    total: Figures
    weeks: tuple[tuple[date, Figures], ...]
    subjects: tuple[Subject, ...]
    by_day: tuple[tuple[date, Fraction], ...]
    weeks_left: Fraction

    def of(self, level: Level) -> list[Subject]:
        """The subjects of that level, those that miss most first."""
        found = [one for one in self.subjects if one.level is level]
        return sorted(found, key=lambda one: (-one.missing, one.at_end - one.target, one.id))

    def falling_short(self) -> list[Subject]:
        """The agents who are expected to miss their number."""
        return [one for one in self.of(Level.AGENT) if one.verdict is Verdict.MISSED]


class Outlook:
    """The days to come at each site, and what they bring."""

    def __init__(self, basis: Basis) -> None:
        self._basis, self.to_come = basis, Days(basis)
        self._days, self._upto = self.to_come.days, self.to_come.upto
        self._weeks = Weeks(self._upto)

    def has_calls(self) -> bool:
        """Whether any day to come brings calls to this campaign."""
        return any(upto[-1] for upto in self._upto.values())

    def flows(self, quarantined: Fraction = NOTHING) -> list[Flow]:
        """Everybody's calls to come, when that share of the calls is of customers who have to rest.

        How many calls an agent takes and how many of their customers answer is expected as targets.py expects it.
        """
        basis, kept = self._basis, 1 - quarantined
        seen = [self._seen(agent_id, member, kept) for agent_id, member in sorted(basis.members.items())]
        expected = set_rates(seen, basis.wanted, basis.supervisors, basis.sites).agents
        return [*map(self._flow_of, expected), *(self._uncertain(site_id, kept) for site_id in self._upto)]

    def mean_rates(self, flows: Sequence[Flow], steps: Sequence[Step]) -> dict[int, Fraction]:
        """Each agent's rate over all their calls to come, to a thousandth."""
        found, end = {}, len(self._days)
        for flow in flows:
            if flow.agent_id is not None:
                weeks = self._weeks.between(flow.span, 0, end) if flow.weekly else NOTHING
                mean = drawn(flow, steps, self._weeks).by(end) / weeks if weeks else steps[-1].rate_of(flow.agent_id)
                found[flow.agent_id] = Fraction(round(mean * 1000), 1000)
        return found

    def forecast(self, flows: Sequence[Flow], steps: Sequence[Step], load: Load) -> Forecast:
        """Everything that is expected of these calls at these rates, with that load a survey."""
        coming = Course(self._weeks)
        coming.turn(0, calls_a_week(flows))
        surveys, complete = (course(flows, steps, self._weeks, brings) for brings in (WEEKLY, COMPLETES))
        sums = [[one.by(n) for one in (coming, surveys, complete)] for n in range(len(self._days) + 1)]
        daily = [_figures(sums[n], sums[n + 1], load) for n in range(len(self._days))]
        total = _added(daily)
        weeks: defaultdict[date, list[Figures]] = defaultdict(list)
        for day, figures in zip(self._days, daily, strict=True):
            weeks[day - day.weekday() * DAY].append(figures)
        return Forecast(
            total,
            tuple((monday, _added(found)) for monday, found in weeks.items()),
            tuple(self._subjects(flows, steps)),
            tuple((day, one.surveys / (total.surveys or 1)) for day, one in zip(self._days, daily, strict=True)),
            max((upto[-1] for upto in self._upto.values()), default=NOTHING),
        )

    def _seen(self, agent_id: int, member: Member, kept: Fraction) -> Seen:
        basis = self._basis
        calls = self.to_come.kept(member.site_id, basis.volume.agents.get(agent_id, {}))
        begin, end = self._span(member)
        return Seen(
            agent_id,
            member.supervisor_id,
            member.site_id,
            round(calls * kept),
            Fraction(max((basis.until - max(basis.since, member.since)).days, 0), WEEK.days),
            self._upto[member.site_id][end] - self._upto[member.site_id][begin],
            basis.settled.get(agent_id, 0),
            basis.answered.get(agent_id, 0),
            basis.agents.get(agent_id, Got()),
        )

    def _span(self, member: Member) -> tuple[int, int]:
        """From which to before which of the days to come the agent is there."""
        after_last = self._basis.last + DAY
        until = after_last if member.until is None else min(member.until, after_last)
        end = max((until - self._basis.first).days, 0)
        return min(max((member.since - self._basis.first).days, 0), end), end

    def _flow_of(self, each: AgentRate) -> Flow:
        seen = each.seen
        begin, end = self._span(self._basis.members[seen.agent_id])
        weekly = each.calls / (seen.weeks_left or 1)
        return Flow(seen.site_id, begin, end, weekly, each.yields, seen.agent_id, seen.supervisor_id)

    def _uncertain(self, site_id: int, kept: Fraction) -> Flow:
        basis = self._basis
        calls = round(self.to_come.kept(site_id, basis.volume.uncertain.get(site_id, {})) * kept)
        weekly = Fraction(calls * WEEK.days, basis.days_seen)
        return Flow(site_id, 0, len(self._days), weekly, basis.yields)

    def _subjects(self, flows: Sequence[Flow], steps: Sequence[Step]) -> Iterator[Subject]:
        basis, wanted = self._basis, self._basis.wanted
        highest = self._highest(steps)
        whole = [(flow, drawn(flow, steps, self._weeks)) for flow in flows]
        for flow, as_set in whole:
            if flow.agent_id is not None:
                got = basis.agents.get(flow.agent_id, Got())
                made = self._subject(
                    Level.AGENT, flow.agent_id, wanted.agent, got, flow.yields, [(flow, as_set)], highest
                )
                yield replace(made, site_id=flow.site_id, rates=_rates_of(flow, steps))
        gots = {Level.SUPERVISOR: basis.supervisors, Level.SITE: basis.sites}
        for level, target in ((Level.SUPERVISOR, wanted.supervisor), (Level.SITE, wanted.site)):
            groups: defaultdict[int, list[tuple[Flow, Course]]] = defaultdict(list)
            for flow, as_set in whole:
                whose = flow.supervisor_id if level is Level.SUPERVISOR else flow.site_id
                if whose is not None:
                    groups[whose].append((flow, as_set))
            for whose, of_group in sorted(groups.items()):
                got = gots[level].get(whose, Got())
                yield self._subject(level, whose, target, got, basis.yields, of_group, highest)

    def _subject(
        self,
        level: Level,
        subject_id: int,
        target: int,
        got: Got,
        yields: Fraction,
        drawn_of: Sequence[tuple[Flow, Course]],
        highest: Sequence[Step],
    ) -> Subject:
        """`drawn_of`: the subject's calls, drawn as rates will be set; `highest`: the highest rates they could be."""
        end, so_far = len(self._days), got.complete + got.open * yields
        at_end, reached_on = so_far + _completes(drawn_of, end), None
        if got.complete >= target:
            verdict = Verdict.REACHED
        elif at_end < target:
            verdict = Verdict.MISSED
        else:
            found = bisect_left(range(1, end + 1), True, key=lambda n: so_far + _completes(drawn_of, n) >= target)
            reached_on = self._days[found]
            most = _completes([(flow, drawn(flow, highest, self._weeks)) for flow, _ in drawn_of], end)
            roomy = so_far + most - got.complete >= aim_for(target - got.complete)
            verdict = Verdict.LIKELY if roomy else Verdict.UNCERTAIN
        return Subject(level, subject_id, target, got.complete, at_end, verdict, reached_on)

    def _highest(self, steps: Sequence[Step]) -> list[Step]:
        """The same settings, had each set the ceiling for everybody."""
        ceiling = self._basis.wanted.ceiling
        return [
            step if step.set_on is None else replace(step, rates=dict.fromkeys(step.rates, ceiling)) for step in steps
        ]


def _rates_of(flow: Flow, steps: Sequence[Step]) -> tuple[tuple[date, Fraction], ...]:
    """The agent's rate on their first day to come, and each that differs from the one before, with its first day."""
    found: list[tuple[date, Fraction]] = []
    for step in steps:
        rate = step.rate_of(flow.agent_id)
        if found and step.first == found[-1][0]:
            found.pop()
        if not found or rate != found[-1][1]:
            found.append((step.first, rate))
    return tuple(found)


def _completes(drawn_of: Sequence[tuple[Flow, Course]], n: int) -> Fraction:
    """The complete surveys that the first n days bring."""
    return sum((flow.completes * as_set.by(n) for flow, as_set in drawn_of), NOTHING)


def _figures(before: Sequence[Fraction], after: Sequence[Fraction], load: Load) -> Figures:
    """What a day's calls bring, from the sums of calls, surveys and complete ones before it and after it."""
    calls, surveys, completes = (late - early for early, late in zip(before, after, strict=True))
    dials, mails, minutes = (load.each(made) * surveys for made in (load.dials, load.mails, load.minutes))
    return Figures(calls, surveys, completes, dials, mails, minutes)


def _added(figures: Sequence[Figures]) -> Figures:
    return Figures(*(sum((getattr(one, name) for one in figures), NOTHING) for name in vars(Figures())))
