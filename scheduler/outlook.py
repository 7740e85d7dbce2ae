"""The outlook of a campaign that samples by targets: what everybody has got so far, and which calls are to come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import Date, cast, func, or_, select

from scheduler import changes
from scheduler.eligibility import ELIGIBLE
from scheduler.targets import Got, Seen, weeks_to_come
from survey import clock
from survey.db import db
from survey.models import Assignment, Call, Campaign, Disposition, Draw, Site, Survey

DAY, WEEK = timedelta(days=1), timedelta(days=7)
# How far back calls are counted, in whole weeks so that every weekday has its share; and answers, which are fewer.
MOST_WEEKS = 4
ANSWERS_SINCE = timedelta(days=56)
# A day's calls come in by the next morning.
LATE_TO_COME_IN = DAY
# No zone is further than this from UTC; and draws are made after their calls have ended.
ZONE_SPREAD = timedelta(hours=15)


@dataclass(frozen=True)
class Days:
    """The days a setting works with, as the campaign's westernmost site counts them.

    Calls from `since` to before `until` are counted, whole weeks of them. The rates hold from `first` on, which begins
    at `in_force_from` at the last site; `last` is the campaign's last day.
    """

    monday: date
    since: date
    until: date
    first: date
    last: date
    in_force_from: datetime

    @property
    def weeks(self) -> int:
        return (self.until - self.since).days // 7


@dataclass
class SoFar:
    """Surveys by whom they are credited to, as they froze it: who moves takes none along to another supervisor.

    Of each agent's `settled` ones, whose deadlines have passed lately, `answered` were complete. Only those tell how
    many answer: of the others those that did are closed already, and those that will not are not.
    """

    agents: defaultdict[int, Got] = field(default_factory=lambda: defaultdict(Got))
    supervisors: defaultdict[int, Got] = field(default_factory=lambda: defaultdict(Got))
    sites: defaultdict[int, Got] = field(default_factory=lambda: defaultdict(Got))
    settled: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)


def days_of(campaign: Campaign, at: datetime | None = None) -> Days:
    """The days of a setting made at a moment, now by default. A campaign not yet launched counts as launched now."""
    now = at or clock.now()
    today = min(_local(now, site) for site in campaign.sites)
    until = today - LATE_TO_COME_IN
    opened = max(_local(campaign.launched_at or clock.now(), site) for site in campaign.sites) + DAY
    opened = max(opened, campaign.starts_on)
    weeks = max(0, min(MOST_WEEKS, (until - opened).days // 7))
    return Days(
        monday=today - timedelta(days=today.weekday()),
        since=until - weeks * WEEK,
        until=until,
        first=today + DAY,
        last=campaign.ends_on,
        in_force_from=changes.next_day(campaign, now),
    )


def so_far(campaign: Campaign) -> SoFar:
    """What came of the campaign's surveys: how many answered, never what they said."""
    now = clock.now()
    lately = Survey.deadline.between(now - ANSWERS_SINCE, now)
    complete = Survey.disposition == Disposition.COMPLETE
    rows = db.session.execute(
        select(
            Survey.agent_id,
            Survey.supervisor_id,
            Survey.site_id,
            func.count().filter(lately).label("settled"),
            func.count().filter(lately, complete).label("answered"),
            func.count().filter(complete).label("complete"),
            func.count().filter(Survey.disposition.is_(None), Survey.deadline > now).label("open"),
        )
        .where(Survey.campaign_id == campaign.id)
        .group_by(Survey.agent_id, Survey.supervisor_id, Survey.site_id)
    )
    found = SoFar()
    for row in rows:
        got = Got(row.complete, row.open)
        found.sites[row.site_id] += got
        if row.supervisor_id is not None:
            found.supervisors[row.supervisor_id] += got
        if row.agent_id is not None:
            found.agents[row.agent_id] += got
            found.settled[row.agent_id] += row.settled
            found.answered[row.agent_id] += row.answered
    return found


def agents_of(campaign: Campaign, days: Days, surveys: SoFar) -> list[Seen]:
    """Everybody who is at the campaign's sites when the rates begin to hold, or will be before they are set again."""
    by_agent: Counter[int] = Counter()
    by_weekday: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for (agent_id, site_id, day), calls in calls_by_day(campaign, days.since, days.until).items():
        by_weekday[site_id][day.weekday()] += calls
        if agent_id is not None:
            by_agent[agent_id] += calls
    return seen_by(campaign, days, roster(campaign, days.since, days.first + WEEK), by_agent, by_weekday, surveys)


def seen_by(
    campaign: Campaign,
    days: Days,
    assigned: Mapping[int, Sequence[Assignment]],
    calls: Mapping[int, int],
    weekdays: Mapping[int, Mapping[int, int]],
    surveys: SoFar,
) -> list[Seen]:
    """The same from given calls in the days looked back on, by agent, and by site and weekday (Monday = 0). Pure.

    `assigned` may hold assignments of other days too.
    """
    sites = {site.id: site for site in campaign.sites}
    left: dict[tuple[int, date], Fraction] = {}
    found = []
    for agent_id, all_of_them in assigned.items():
        assignments = [
            each
            for each in all_of_them
            if each.starts_on < days.first + WEEK and (each.ends_on is None or each.ends_on > days.since)
        ]
        there = next((each for each in assignments if each.covers(days.first)), None)
        there = there or next((each for each in assignments if each.starts_on > days.first), None)
        if there is None:
            continue
        span = (there.site_id, max(days.last if each.ends_on is None else each.ends_on - DAY for each in assignments))
        if span not in left:
            left[span] = _weeks_left(sites[there.site_id], days, span[1], weekdays.get(there.site_id, {}))
        found.append(
            Seen(
                agent_id,
                there.supervisor_id,
                there.site_id,
                calls.get(agent_id, 0),
                Fraction(max((days.until - max(days.since, assignments[0].starts_on)).days, 0), 7),
                left[span],
                surveys.settled[agent_id],
                surveys.answered[agent_id],
                surveys.agents.get(agent_id, Got()),
            )
        )
    return found


def roster(campaign: Campaign, since: date, before: date) -> dict[int, list[Assignment]]:
    """The assignments to the campaign's sites on days from `since` to before `before`, in order, by agent."""
    rows = db.session.scalars(
        select(Assignment)
        .where(
            Assignment.site_id.in_([site.id for site in campaign.sites]),
            Assignment.starts_on < before,
            or_(Assignment.ends_on.is_(None), Assignment.ends_on > since),
        )
        .order_by(Assignment.agent_id, Assignment.starts_on)
    )
    by_agent: dict[int, list[Assignment]] = defaultdict(list)
    for row in rows:
        by_agent[row.agent_id].append(row)
    return by_agent


def _weeks_left(site: Site, days: Days, until: date, weekdays: Mapping[int, int]) -> Fraction:
    last = min(days.last, until)
    return weeks_to_come(days.first, last, weekdays, days_off(site, days.first, last))


def days_off(site: Site, first: date, last: date) -> frozenset[date]:
    """The days from `first` to `last` that are taken to bring no calls: public holidays, days closed, all once closed.

    Where some come on a holiday all the same, there are more than were expected.
    """
    calendar = site.calendar
    days = (first + n * DAY for n in range((last - first).days + 1))
    return frozenset(
        day
        for day in days
        if day in calendar.closed
        or (calendar.holiday(day) is not None and day not in calendar.opened)
        or (site.closed_on is not None and day >= site.closed_on)
    )


def calls_by_day(campaign: Campaign, since: date, until: date) -> dict[tuple[int | None, int, date], int]:
    """Calls that could be asked about, drawn or not, from `since` to before `until`: by agent, site and local day."""
    local_day = cast(func.timezone(Site.time_zone, Call.ended_at), Date)
    begins = datetime.combine(since, datetime.min.time(), UTC) - ZONE_SPREAD
    rows = db.session.execute(
        select(Call.agent_id, Call.site_id, local_day.label("day"), func.count().label("calls"))
        .select_from(Draw)
        .join(Call, Call.id == Draw.call_id)
        .join(Site, Site.id == Call.site_id)
        .where(
            Draw.campaign_id == campaign.id,
            Draw.decided_at >= begins,
            Draw.reason.in_(ELIGIBLE),
            local_day >= since,
            local_day < until,
        )
        .group_by(Call.agent_id, Call.site_id, local_day)
    )
    return {(row.agent_id, row.site_id, row.day): row.calls for row in rows}


def _local(moment: datetime, site: Site) -> date:
    return moment.astimezone(ZoneInfo(site.time_zone)).date()
