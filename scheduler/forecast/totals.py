"""A forecast: what the last weeks of calls would come to, were they a campaign's, day by day to its end.

Pure, in whole numbers and fractions; rates and expectations are those of scheduler/targets.py, the load is that of
replay.py. An expectation is not a promise: `Verdict` says how near it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction

from scheduler.forecast.days import DAY, NOTHING, WEEK, Basis, Days, Member
from scheduler.forecast.replay import Load
from scheduler.targets import AgentRate, Got, Seen, Setting, aim_for, set_rates
from survey.models import Level


class Verdict(StrEnum):
    """Whether somebody reaches their number: the expectation has room for chance, has none, or is below it."""

    REACHED = "reached"
    LIKELY = "likely"
    UNCERTAIN = "uncertain"
    MISSED = "missed"


@dataclass(frozen=True)
class Subject:
    """An agent, supervisor or site: complete surveys so far and expected at the end, and on which day's calls enough.

    `rate` is an agent's own. `reached_on` is None where the number is reached already, or not within the campaign.
    """

    level: Level
    id: int
    target: int
    complete: int
    at_end: Fraction
    verdict: Verdict
    reached_on: date | None
    site_id: int | None = None
    rate: Fraction | None = None

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
    """`weeks` by their Mondays. `by_day` is the share of all that each day brings, from the basis's first on."""

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
    """The days to come at each site, and the rates for them: made once without the rest between surveys, once with."""

    def __init__(self, basis: Basis) -> None:
        self._basis, self._to_come = basis, Days(basis)
        self._days, self._upto = self._to_come.days, self._to_come.upto

    def setting(self, quarantined: Fraction = NOTHING) -> Setting:
        """The rates to come, and what they bring, when that share of the calls is of customers who have to rest."""
        basis, kept = self._basis, 1 - quarantined
        seen = [self._seen(agent_id, member, kept) for agent_id, member in sorted(basis.members.items())]
        return set_rates(seen, basis.wanted, basis.supervisors, basis.sites)

    def has_calls(self) -> bool:
        """Whether any day to come brings calls to this campaign."""
        return any(upto[-1] for upto in self._upto.values())

    def forecast(self, setting: Setting, load: Load) -> Forecast:
        """Everything that is expected at these rates, with that load a survey."""
        flows = [self._flow_of(each) for each in setting.agents]
        flows += [self._uncertain(site_id, 1 - load.quarantined_share) for site_id in self._upto]
        buckets = _buckets(flows)
        daily = [self._on(buckets, n, load) for n in range(len(self._days))]
        total = _added(daily)
        weeks: defaultdict[date, list[Figures]] = defaultdict(list)
        for day, figures in zip(self._days, daily, strict=True):
            weeks[day - day.weekday() * DAY].append(figures)
        return Forecast(
            total,
            tuple((monday, _added(found)) for monday, found in weeks.items()),
            tuple(self._subjects(setting, flows)),
            tuple((day, one.calls / (total.calls or 1)) for day, one in zip(self._days, daily, strict=True)),
            max((upto[-1] for upto in self._upto.values()), default=NOTHING),
        )

    def _seen(self, agent_id: int, member: Member, kept: Fraction) -> Seen:
        basis = self._basis
        calls = self._to_come.kept(member.site_id, basis.volume.agents.get(agent_id, {}))
        return Seen(
            agent_id,
            member.supervisor_id,
            member.site_id,
            round(calls * kept),
            Fraction(max((basis.until - max(basis.since, member.since)).days, 0), WEEK.days),
            self._upto[member.site_id][self._last(member)],
            basis.settled.get(agent_id, 0),
            basis.answered.get(agent_id, 0),
            basis.agents.get(agent_id, Got()),
        )

    def _last(self, member: Member) -> int:
        """How many of the days to come the agent is there."""
        until = self._basis.last + DAY if member.until is None else min(member.until, self._basis.last + DAY)
        return max((until - self._basis.first).days, 0)

    def _flow_of(self, each: AgentRate) -> _Flow:
        seen = each.seen
        end = self._last(self._basis.members[seen.agent_id])
        weeks = seen.weeks_left or 1
        return _Flow(seen.site_id, end, each.calls / weeks, each.rate, each.yields, seen.agent_id, seen.supervisor_id)

    def _uncertain(self, site_id: int, kept: Fraction) -> _Flow:
        basis = self._basis
        calls = round(self._to_come.kept(site_id, basis.volume.uncertain.get(site_id, {})) * kept)
        weekly = Fraction(calls * WEEK.days, basis.days_seen)
        return _Flow(site_id, len(self._days), weekly, basis.rate, basis.yields)

    def _on(self, buckets: _Buckets, n: int, load: Load) -> Figures:
        """What the calls of the n-th day bring."""
        calls = surveys = completes = NOTHING
        for (site_id, end), weekly in buckets.items():
            if n < end:
                share = self._upto[site_id][n + 1] - self._upto[site_id][n]
                calls, surveys, completes = (
                    calls + share * weekly[0],
                    surveys + share * weekly[1],
                    completes + share * weekly[2],
                )
        dials, mails, minutes = (load.each(made) * surveys for made in (load.dials, load.mails, load.minutes))
        return Figures(calls, surveys, completes, dials, mails, minutes)

    def _subjects(self, setting: Setting, flows: Sequence[_Flow]) -> list[Subject]:
        basis, wanted = self._basis, self._basis.wanted
        by_agent = {flow.agent_id: flow for flow in flows}
        found = []
        for each in setting.agents:
            seen, flow = each.seen, by_agent[each.seen.agent_id]
            made = self._subject(Level.AGENT, seen.agent_id, wanted.agent, seen.got, each.yields, [flow])
            found.append(replace(made, site_id=seen.site_id, rate=each.rate))
        gots = {Level.SUPERVISOR: basis.supervisors, Level.SITE: basis.sites}
        for level, target in ((Level.SUPERVISOR, wanted.supervisor), (Level.SITE, wanted.site)):
            groups: defaultdict[int, list[_Flow]] = defaultdict(list)
            for flow in flows:
                whose = flow.supervisor_id if level is Level.SUPERVISOR else flow.site_id
                if whose is not None:
                    groups[whose].append(flow)
            for whose, of_group in sorted(groups.items()):
                got = gots[level].get(whose, Got())
                found.append(self._subject(level, whose, target, got, basis.yields, of_group))
        return found

    def _subject(
        self, level: Level, subject_id: int, target: int, got: Got, yields: Fraction, flows: Sequence[_Flow]
    ) -> Subject:
        buckets = _buckets(flows)
        so_far = got.complete + got.open * yields

        def upto(n: int) -> Fraction:
            """Complete surveys about the calls of before and of the first n days."""
            more = (weekly[2] * self._upto[site_id][min(n, end)] for (site_id, end), weekly in buckets.items())
            return so_far + sum(more, NOTHING)

        at_end = upto(len(self._days))
        found = bisect_left(range(1, len(self._days) + 1), True, key=lambda n: upto(n) >= target)
        reached_on = self._days[found] if got.complete < target and found < len(self._days) else None
        return Subject(level, subject_id, target, got.complete, at_end, _verdict(target, got, at_end), reached_on)


@dataclass(frozen=True)
class _Flow:
    """Calls a week at a site, for so many of the days to come, their rate and how many of the drawn answer."""

    site_id: int
    end: int
    weekly: Fraction
    rate: Fraction
    yields: Fraction
    agent_id: int | None = None
    supervisor_id: int | None = None


# Weekly calls, surveys and complete ones, by site and for how many days.
_Buckets = Mapping[tuple[int, int], tuple[Fraction, Fraction, Fraction]]


def _buckets(flows: Sequence[_Flow]) -> _Buckets:
    """The flows added up where site and days are the same."""
    found: dict[tuple[int, int], tuple[Fraction, Fraction, Fraction]] = {}
    for flow in flows:
        calls, surveys, completes = found.get((flow.site_id, flow.end), (NOTHING, NOTHING, NOTHING))
        drawn = flow.weekly * flow.rate
        found[flow.site_id, flow.end] = (calls + flow.weekly, surveys + drawn, completes + drawn * flow.yields)
    return found


def _verdict(target: int, got: Got, at_end: Fraction) -> Verdict:
    if got.complete >= target:
        return Verdict.REACHED
    if at_end < target:
        return Verdict.MISSED
    return Verdict.LIKELY if at_end - got.complete >= aim_for(target - got.complete) else Verdict.UNCERTAIN


def _added(figures: Sequence[Figures]) -> Figures:
    return Figures(*(sum((getattr(one, name) for one in figures), NOTHING) for name in vars(Figures())))
