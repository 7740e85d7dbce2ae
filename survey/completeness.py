"""Completeness: what the telephone system counted against what was handed in, so that no call is quietly left out.

A control total counts the calls of a site or an agent by their start. It is compared by itself, and added up by month
and over the whole range, each source, site and agent apart. A call counts as handed in when it came in before its
survey's deadline: one that came when nobody could be asked any more is as good as withheld. And no day is quietly left
out of the counts (`counted_days`). Nothing is written here.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select

from survey import clock, completeness_query, counted_days
from survey.calendars import day_start, deadline
from survey.completeness_query import Asked, Reach
from survey.counted_days import Feed, OpenSite
from survey.db import db
from survey.errors import InputError
from survey.gaps import DAY, INSTANT, Gap, Span, Uncounted, is_gap
from survey.models import Agent, Site
from survey.remarks import INTERNAL_OF_AT_LEAST, INTERNAL_ONE_IN, ChangedCounts, InternalShare

# A call that is said to have lasted longer has no deadline here, and is taken as handed in.
LONGEST_CALL_DAYS = 31
HOW = (
    "If calls are missing, import them: those that come in before their deadline count."
    " If the counts were wrong, import the right ones (flask calls totals import);"
    " those under a wrong source can be taken out (flask calls totals remove)."
    " If days have no counts, import those as well: 0 where nobody called, and one row may hold many days."
)
# The act that leaves no count behind; written to the audit trail by whoever removes counts.
REMOVED = "control totals removed"


@dataclass(frozen=True)
class Report:
    """What became of the comparison over some days (both inclusive, local to each site).

    `gaps` are those named, the widest spans first and the largest differences first among them; `found` counts all of
    them by their span. `cells` is how many control totals were compared, `late` how many calls came too late at the
    sites and sources that have totals, `uncovered` the past days of each site about which no total says anything.

    `uncounted` are days that had to be counted and were not: gaps, too. `internal` (the largest shares first) and
    `changed` (the earliest act first) are remarks, and no gaps.
    """

    starts_on: date
    ends_on: date
    cells: int
    late: int
    found: Mapping[Span, int]
    gaps: Sequence[Gap]
    uncovered: Mapping[str, Sequence[date]]
    uncounted: Sequence[Uncounted] = ()
    internal: Sequence[InternalShare] = ()
    changed: Sequence[ChangedCounts] = ()

    @property
    def number_of_gaps(self) -> int:
        """How many gaps there are, of every kind: any of them keeps a period from being decided."""
        return sum(self.found.values()) + len(self.uncounted)

    @property
    def comparable(self) -> bool:
        """Whether there is anything to compare, or was until it was removed."""
        return self.cells > 0 or any(each.removed for each in self.changed)

    @property
    def worst(self) -> list[Gap]:
        """The largest gap of each span that has one, the widest span first."""
        largest: dict[Span, Gap] = {}
        for gap in self.gaps:
            largest.setdefault(gap.span, gap)
        return list(largest.values())

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "from": self.starts_on,
            "until": self.ends_on,
            "control_totals": self.cells,
            "came_too_late": self.late,
            "found": {span: self.found.get(span, 0) for span in Span},
            "gaps": [gap.as_dict() for gap in self.gaps],
            "not_counted": [each.as_dict() for each in self.uncounted],
            "internal": [each.as_dict() for each in self.internal],
            "changed_counts": [each.as_dict() for each in self.changed],
            "days_without_totals": self.uncovered,
        }


def compare(
    organisation_id: int,
    starts_on: date,
    ends_on: date,
    *,
    site_ids: Sequence[int] | None = None,
    most: int | None = None,
) -> Report:
    """Compares every control total that touches the days, at these sites (None: all), with the calls handed in.

    `most` of each span are named, the largest ones (None: every one). The number of statements does not grow with the
    rows. Raises InputError where the days run backwards.
    """
    if ends_on < starts_on:
        raise InputError(f"{starts_on} to {ends_on} runs backwards", how="Give the first day first.")
    sites = _sites(organisation_id, site_ids)
    spans = {id: (day_start(starts_on, s.time_zone), day_start(ends_on + DAY, s.time_zone)) for id, s in sites.items()}
    asked = Asked(organisation_id, spans)
    covered = completeness_query.covered_days(asked)
    agents = _agents(organisation_id)
    named = _Named(sites, agents, most)
    if covered:
        named.take(completeness_query.differences(asked, _reach(sites, covered)))
    cells = sum(row.cells for row in covered)
    uncovered = _uncovered(sites, covered, starts_on, ends_on)
    changed = _changed(sites, asked, starts_on, ends_on)
    report = Report(starts_on, ends_on, cells, named.late, named.found, named.gaps(), uncovered, changed=changed)
    if not report.comparable:
        return report
    came = _HandedIn.read(asked)
    return replace(report, uncounted=_uncounted(sites, asked, came, report), internal=came.internal(sites, agents))


def span_of_totals(organisation_id: int) -> tuple[date, date] | None:
    """The first and the last local day that a control total of the organisation touches; None without any."""
    days = [
        (_day(row.starts_at, row.zone), _day(row.ends_at - INSTANT, row.zone))
        for row in completeness_query.first_and_last(organisation_id)
    ]
    return (min(first for first, _ in days), max(last for _, last in days)) if days else None


class _Named:
    """The gaps among the rows as they come: all counted, the largest kept. Memory grows only with what is kept."""

    def __init__(self, sites: Mapping[int, Site], agents: Mapping[int, str], most: int | None) -> None:
        self._sites, self._agents, self._most = sites, agents, most
        self._kept: defaultdict[Span, list[tuple[int, int, Gap]]] = defaultdict(list)
        self.found: Counter[Span] = Counter()
        self.late = 0

    def take(self, rows: Iterable[Row[Any]]) -> None:
        for row in rows:
            if row.span == "late":
                self.late = row.calls_late
                continue
            if row.calls is not None and is_gap(row.calls, row.calls_in):
                self._keep(self._gap(row, "calls", row.calls, row.calls_in, row.calls_late))
            if row.answered is not None and is_gap(row.answered, row.answered_in):
                self._keep(self._gap(row, "answered", row.answered, row.answered_in, row.answered_late))

    def gaps(self) -> list[Gap]:
        """Those kept: the widest spans first, the largest first among them, then the earliest."""
        kept = [gap for span in Span for _, _, gap in self._kept[span]]
        return sorted(kept, key=lambda gap: (list(Span).index(gap.span), -gap.difference, gap.starts_at, gap.subject))

    def _gap(self, row: Row[Any], what: str, counted: int, handed_in: int, late: int) -> Gap:
        site, agent = self._sites[row.site_id], None if row.agent_id is None else self._agents[row.agent_id]
        times = (site.time_zone, row.starts_at, row.ends_at)
        return Gap(Span(row.span), what, row.source, site.name, agent, *times, counted, handed_in, late)

    def _keep(self, gap: Gap) -> None:
        kept = self._kept[gap.span]
        self.found[gap.span] += 1
        # The number breaks ties: gaps themselves have no order.
        heapq.heappush(kept, (gap.difference, -self.found[gap.span], gap))
        if self._most is not None and len(kept) > self._most:
            heapq.heappop(kept)


@dataclass
class _HandedIn:
    """What came in on the days: by (site, source) the calls of each day, and where many of them are internal."""

    calls: dict[tuple[int, str], dict[date, int]] = field(default_factory=lambda: defaultdict(dict))
    outside: dict[tuple[int, str], dict[date, int]] = field(default_factory=lambda: defaultdict(dict))
    mostly_internal: list[Row[Any]] = field(default_factory=list)

    @classmethod
    def read(cls, asked: Asked) -> _HandedIn:
        came = cls()
        for row in completeness_query.handed_in(asked, INTERNAL_ONE_IN, INTERNAL_OF_AT_LEAST):
            if row.day is None:
                came.mostly_internal.append(row)
            else:
                came.calls[row.site_id, row.source][row.day] = row.calls
                came.outside[row.site_id, row.source][row.day] = row.outside
        return came

    def internal(self, sites: Mapping[int, Site], agents: Mapping[int, str]) -> list[InternalShare]:
        """The sites first, then the agents, the largest shares first among them."""
        found = [
            InternalShare(
                sites[row.site_id].name, None if row.agent_id is None else agents[row.agent_id], row.calls, row.internal
            )
            for row in self.mostly_internal
        ]
        return sorted(found, key=lambda each: (each.agent is not None, -each.share, each.subject))


def _uncounted(sites: Mapping[int, Site], asked: Asked, came: _HandedIn, report: Report) -> list[Uncounted]:
    counted = {(row.site_id, row.source): row for row in completeness_query.counted_spans(asked)}
    found: list[Uncounted] = []
    for site in sites.values():
        days = _gone_by(site, report.starts_on, report.ends_on)
        opened = OpenSite(site.name, site.calendar, days, site.opened_on, site.closed_on)
        keys = sorted(key for key in {*counted, *came.calls} if key[0] == site.id)
        feeds = [_feed(key[1], counted.get(key), came.calls[key], came.outside[key]) for key in keys]
        found += counted_days.uncounted(opened, feeds)
    return found


def _feed(source: str, counted: Row[Any] | None, calls: Mapping[date, int], outside: Mapping[date, int]) -> Feed:
    if counted is None:
        return Feed(source, None, None, frozenset(), calls, outside)
    touched = {first + n * DAY for first, last in counted.days for n in range((last - first).days + 1)}
    return Feed(source, counted.first_day, counted.last_day, touched, calls, outside, counted.agents)


def _changed(sites: Mapping[int, Site], asked: Asked, starts_on: date, ends_on: date) -> list[ChangedCounts]:
    return [
        ChangedCounts(
            *(row.at, row.actor, row.action == REMOVED, row.source, sites[row.site_id].name, row.first_day),
            *(row.last_day, row.of_agents, row.counts, row.calls, row.calls_after),
        )
        for row in completeness_query.changed_counts(asked, starts_on, ends_on)
    ]


def _sites(organisation_id: int, site_ids: Sequence[int] | None) -> dict[int, Site]:
    query = select(Site).where(Site.organisation_id == organisation_id).order_by(Site.name, Site.id)
    return {s.id: s for s in db.session.scalars(query) if site_ids is None or s.id in site_ids}


def _agents(organisation_id: int) -> dict[int, str]:
    rows = db.session.execute(select(Agent.id, Agent.name).where(Agent.organisation_id == organisation_id))
    return {row.id: row.name for row in rows}


def _reach(sites: Mapping[int, Site], covered: Iterable[Row[Any]]) -> Reach:
    """Over all the days that the totals touch, and for each of them and some days more, when its surveys close."""
    days: dict[int, tuple[date, date]] = {}
    for row in covered:
        first, last = days.get(row.site_id, (row.first_day, row.last_day))
        days[row.site_id] = min(first, row.first_day), max(last, row.last_day)
    closings = {}
    for site_id, (first, last) in days.items():
        calendar = sites[site_id].calendar
        for day in (first + n * DAY for n in range((last - first).days + 1 + LONGEST_CALL_DAYS)):
            closings[site_id, day] = deadline(day_start(day, calendar.zone), calendar).closes_at
    return Reach(
        min(day_start(first, sites[id].time_zone) for id, (first, _) in days.items()),
        max(day_start(last + DAY, sites[id].time_zone) for id, (_, last) in days.items()),
        closings,
    )


def _uncovered(
    sites: Mapping[int, Site], covered: Iterable[Row[Any]], starts_on: date, ends_on: date
) -> dict[str, list[date]]:
    """By site: the days of the range, gone by and with the site open, that no control total touches."""
    touched = {
        (row.site_id, row.first_day + n * DAY)
        for row in covered
        for n in range((row.last_day - row.first_day).days + 1)
    }
    found = {}
    for site in sites.values():
        first = max(starts_on, site.opened_on or starts_on)
        days = _gone_by(site, first, min(ends_on, (site.closed_on or date.max) - DAY))
        if missing := [day for day in days if (site.id, day) not in touched]:
            found[site.name] = missing
    return found


def _gone_by(site: Site, first: date, last: date) -> list[date]:
    """The days from the first to the last that are over at the site."""
    last = min(last, _day(clock.now(), site.time_zone) - DAY)
    return [first + n * DAY for n in range((last - first).days + 1)]


def _day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()
