"""The rates to come, setting by setting, as the clockwork will make them if calls and answers come as expected.

Pure. When rates are set, by what, and from when they hold is the scheduler's own rule, asked with what it will see:
outlook.days_of and outlook.seen_by, weekly_rates.is_due and weekly_rates.setting_of. Nothing of it is said here again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

from scheduler import outlook, weekly_rates
from scheduler.forecast.days import DAY, NOTHING, Basis, Days
from scheduler.forecast.flows import Course, Flow, Step, Weeks, calls_a_week
from scheduler.outlook import ANSWERS_SINCE, SoFar
from scheduler.targets import Got, Seen
from survey.calendars import day_start, deadline
from survey.models import Assignment, Campaign, Level, Sampling, Site

NOON = time(12)


@dataclass(frozen=True)
class Batch:
    """Surveys of a campaign with the same deadline (None: long past), credited alike: all, complete ones, open ones."""

    agent_id: int | None
    supervisor_id: int | None
    site_id: int
    deadline: datetime | None
    all: int
    complete: int
    open: int


@dataclass(frozen=True)
class Known:
    """What settings to come will find already there.

    `rates`: in force on the first day to come, by agent. `calls` that could be asked about, by agent, site and day.
    """

    rates: Mapping[int, Fraction] = field(default_factory=dict)
    calls: Mapping[tuple[int | None, int, date], int] = field(default_factory=dict)
    surveys: Sequence[Batch] = ()
    assigned: Mapping[int, Sequence[Assignment]] = field(default_factory=dict)


def steps_to_come(
    campaign: Campaign, basis: Basis, to_come: Days, flows: Sequence[Flow], known: Known, now: datetime
) -> list[Step]:
    """What is in force on the first day to come, then every setting that changes it, in order.

    A setting is made as early on its day as the clockwork makes it: at once today, later when the day begins at the
    campaign's last site.
    """
    steps = [Step(0, basis.first, known.rates, basis.rate)]
    if campaign.sampling is not Sampling.TARGET:
        return steps
    ahead = Ahead(campaign, basis, to_come, flows, known)
    ahead.go_on(steps[0])
    set_for, at, today = campaign.rates_set_for, now, _today(campaign, now)
    while today < basis.last:
        days = outlook.days_of(campaign, at)
        if weekly_rates.is_due(set_for, days):
            surveys = ahead.surveys(today, at)
            setting = weekly_rates.setting_of(campaign, ahead.seen(days, surveys), surveys)
            if setting is not None:
                set_for = days.monday
                rates = {**steps[-1].rates, **{each.seen.agent_id: each.rate for each in setting.agents}}
                start = max((days.first - basis.first).days, 0)
                steps.append(Step(start, days.first, rates, basis.rate, today))
                ahead.go_on(steps[-1])
        today += DAY
        at = max(day_start(today, site.time_zone) for site in campaign.sites)
    return steps


class Ahead:
    """What a setting on a day to come will see; `to_come` and `flows` bring what `known` does not hold yet."""

    def __init__(self, campaign: Campaign, basis: Basis, to_come: Days, flows: Sequence[Flow], known: Known) -> None:
        self._campaign, self._basis, self._to_come = campaign, basis, to_come
        self._flows, self._known = flows, known
        self._weeks = Weeks(to_come.upto)
        self._drawn = [Course(self._weeks) for _ in flows]
        self._calls_a_week = calls_a_week(flows)
        self._yields = {flow.agent_id: flow.yields for flow in flows if flow.agent_id is not None}
        self._closes = {site.id: _closings(site, to_come.days) for site in campaign.sites}

    def go_on(self, step: Step) -> None:
        """From that step's first day on, calls are drawn at its rates."""
        for flow, drawn in zip(self._flows, self._drawn, strict=True):
            drawn.turn(step.start, {flow.span: step.rate_of(flow.agent_id)})

    def seen(self, days: outlook.Days, surveys: SoFar) -> list[Seen]:
        """Everybody at that setting, by calls that came and calls that are expected to have come."""
        by_agent: defaultdict[int, Fraction] = defaultdict(Fraction)
        by_weekday: defaultdict[int, defaultdict[int, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for (agent_id, site_id, day), calls in self._known.calls.items():
            # What ended later is not all in yet: as many are taken to come as on other such days.
            if days.since <= day < min(days.until, self._basis.until):
                by_weekday[site_id][day.weekday()] += calls
                if agent_id is not None:
                    by_agent[agent_id] += calls
        first, upto = self._basis.first, self._to_come.upto
        since, until = max((days.since - first).days, 0), max((days.until - first).days, 0)
        still_coming_in = [
            self._basis.until + n * DAY
            for n in range((first - self._basis.until).days)
            if days.since <= self._basis.until + n * DAY < days.until
        ]
        lead = {
            site_id: [(day.weekday(), self._to_come.weight(site_id, day)) for day in still_coming_in]
            for site_id in upto
        }
        of_lead = {site_id: sum((weight for _, weight in weights), NOTHING) for site_id, weights in lead.items()}
        weeks = {span: self._weeks.between(span, since, until) for span in self._calls_a_week}
        weeks |= {span: brought + of_lead[span[0]] for span, brought in weeks.items() if not span[1]}
        for flow in self._flows:
            if flow.agent_id is not None:
                by_agent[flow.agent_id] += flow.weekly * weeks[flow.span]
        for (site_id, begin, end), weekly in self._calls_a_week.items():
            for n in range(max(since, begin), min(until, end)):
                day_brings = weekly * (upto[site_id][n + 1] - upto[site_id][n])
                by_weekday[site_id][(first + n * DAY).weekday()] += day_brings
            for weekday, weight in () if begin else lead[site_id]:
                by_weekday[site_id][weekday] += weekly * weight
        return outlook.seen_by(
            self._campaign,
            days,
            self._known.assigned,
            {agent_id: round(calls) for agent_id, calls in by_agent.items()},
            {site_id: {day: round(calls) for day, calls in found.items()} for site_id, found in by_weekday.items()},
            surveys,
        )

    def surveys(self, today: date, at: datetime) -> SoFar:
        """What will have come of the campaign's surveys by then: of those that end before it, the expected share."""
        sums = _Sums()
        for batch in self._known.surveys:
            lasting = batch.open if batch.deadline is not None and batch.deadline > at else 0
            yields = (
                self._basis.yields if batch.agent_id is None else self._yields.get(batch.agent_id, self._basis.yields)
            )
            complete = batch.complete + (batch.open - lasting) * yields
            sums.credit(batch.agent_id, batch.supervisor_id, batch.site_id, complete, Fraction(lasting))
            if batch.deadline is not None and at - ANSWERS_SINCE <= batch.deadline <= at:
                sums.settle(batch.agent_id, Fraction(batch.all), complete)
        n = max((today - self._basis.first).days, 0)
        over = {site_id: min(bisect_right(closes, at), n) for site_id, closes in self._closes.items()}
        long_over = {
            site_id: min(bisect_left(closes, at - ANSWERS_SINCE), over[site_id])
            for site_id, closes in self._closes.items()
        }
        for flow, drawn in zip(self._flows, self._drawn, strict=True):
            ended, before = drawn.by(over[flow.site_id]), drawn.by(long_over[flow.site_id])
            still_open, answered = flow.weekly * (drawn.by(n) - ended), flow.completes * ended
            sums.credit(flow.agent_id, flow.supervisor_id, flow.site_id, answered, still_open)
            if flow.agent_id is not None:
                lately = ended - before
                sums.settle(flow.agent_id, flow.weekly * lately, flow.completes * lately if before else answered)
        return sums.so_far()


class _Sums:
    """Expected numbers, added up before they are rounded; a survey half complete is not complete."""

    def __init__(self) -> None:
        # Of complete and open ones, or settled and answered: most agents' have one summand, which is kept as it is.
        self._got: dict[tuple[Level, int], tuple[Fraction, Fraction]] = {}
        self._lately: dict[int, tuple[Fraction, Fraction]] = {}

    def credit(
        self, agent_id: int | None, supervisor_id: int | None, site_id: int, complete: Fraction, still_open: Fraction
    ) -> None:
        whose = ((Level.AGENT, agent_id), (Level.SUPERVISOR, supervisor_id), (Level.SITE, site_id))
        for level, subject_id in whose:
            if subject_id is not None:
                before = self._got.get((level, subject_id))
                made = (complete, still_open) if before is None else (before[0] + complete, before[1] + still_open)
                self._got[level, subject_id] = made

    def settle(self, agent_id: int | None, settled: Fraction, answered: Fraction) -> None:
        if agent_id is not None:
            before = self._lately.get(agent_id)
            made = (settled, answered) if before is None else (before[0] + settled, before[1] + answered)
            self._lately[agent_id] = made

    def so_far(self) -> SoFar:
        found = SoFar()
        by_level = {Level.AGENT: found.agents, Level.SUPERVISOR: found.supervisors, Level.SITE: found.sites}
        for (level, subject_id), (complete, still_open) in self._got.items():
            by_level[level][subject_id] = Got(floor(complete), round(still_open))
        found.settled = Counter({agent_id: round(settled) for agent_id, (settled, _) in self._lately.items()})
        found.answered = Counter({agent_id: floor(answered) for agent_id, (_, answered) in self._lately.items()})
        return found


def _closings(site: Site, days: Sequence[date]) -> list[datetime]:
    """When surveys about the calls of each day close."""
    zone, calendar = ZoneInfo(site.time_zone), site.calendar
    return [deadline(datetime.combine(day, NOON, zone).astimezone(UTC), calendar).closes_at for day in days]


def _today(campaign: Campaign, now: datetime) -> date:
    return min(now.astimezone(ZoneInfo(site.time_zone)).date() for site in campaign.sites)
