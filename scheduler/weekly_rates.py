"""Target sampling in rows: what has come in is read, rates are set (targets.py) and published for calls still to come.

Set once a week by the clockwork, and on demand. A rate holds from the start of the next day at the last of the
campaign's sites, so it is always published before the first call that it decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import Date, cast, func, insert, or_, select

from scheduler import changes
from scheduler.drawing import OPEN_TO_DRAW
from scheduler.rates import Rates, rates_of
from scheduler.targets import Got, Seen, Setting, Wanted, set_rates, weeks_to_come
from survey import audit, clock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Assignment,
    Call,
    Campaign,
    Disposition,
    Draw,
    DrawReason,
    Sampling,
    SamplingRate,
    Site,
    Survey,
)

DAY, WEEK = timedelta(days=1), timedelta(days=7)
# How far back calls are counted, in whole weeks so that every weekday has its share; and answers, which are fewer.
MOST_WEEKS = 4
ANSWERS_SINCE = timedelta(days=56)
# A day's calls come in by the next morning.
LATE_TO_COME_IN = DAY
# No zone is further than this from UTC; and draws are made after their calls have ended.
ZONE_SPREAD = timedelta(hours=15)
ELIGIBLE = (DrawReason.DRAWN, DrawReason.NOT_SELECTED)


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


@dataclass(frozen=True)
class WeeklyRates:
    """One setting: `setting` is None when there is nothing to go by, and `why_not` says why.

    `now` is each agent's rate at this moment; `changed` are the rates to come that differ from what is published.
    """

    days: Days
    setting: Setting | None = None
    now: Mapping[int, Fraction] = field(default_factory=dict)
    changed: Mapping[int, Fraction] = field(default_factory=dict)
    why_not: str | None = None


def due() -> list[Campaign]:
    """The campaigns whose rates have not been set this week. One query when there are none with targets."""
    campaigns = db.session.scalars(
        select(Campaign)
        .where(Campaign.sampling == Sampling.TARGET, Campaign.state.in_(OPEN_TO_DRAW))
        .order_by(Campaign.launched_at, Campaign.id)
    ).all()
    return [campaign for campaign in campaigns if _is_due(campaign, days_of(campaign))]


def set_if_due(campaign: Campaign) -> int:
    """Sets the rates unless that was done this week, by whatever machine; returns how many were published. Flushes."""
    _lock(campaign)
    if campaign.state not in OPEN_TO_DRAW or not _is_due(campaign, days_of(campaign)):
        return 0
    return len(publish(campaign, actor=audit.SERVICE).changed)


def publish(campaign: Campaign, *, actor: str) -> WeeklyRates:
    """Sets the rates now and publishes those that change. Flushes, and notes it in the audit trail.

    Said again with nothing new come in, it publishes nothing. Raises Refused as `work_out` does.
    """
    _lock(campaign)
    made = work_out(campaign)
    if made.setting is None:
        return made
    campaign.rates_set_for = made.days.monday
    if made.changed:
        at = clock.now()
        db.session.execute(
            insert(SamplingRate),
            [
                {
                    "campaign_id": campaign.id,
                    "agent_id": agent_id,
                    "numerator": rate.numerator,
                    "denominator": rate.denominator,
                    "in_force_from": made.days.in_force_from,
                    "published_at": at,
                }
                for agent_id, rate in made.changed.items()
            ],
        )
    db.session.flush()
    audit.record(
        actor,
        "sampling rates set",
        campaign,
        agents=len(made.setting.agents),
        changed=len(made.changed),
        in_force_from=clock.iso(made.days.in_force_from),
    )
    return made


def work_out(campaign: Campaign) -> WeeklyRates:
    """What setting the rates now would come to; nothing is changed.

    Raises Refused unless the campaign samples by targets, is launched, and not closed.
    """
    name = f"campaign {campaign.key!r}"
    if campaign.sampling is not Sampling.TARGET:
        raise Refused(
            f"{name} has a fixed rate", how='Only campaigns with sampling = "target" have rates set for them.'
        )
    if campaign.state not in OPEN_TO_DRAW:
        raise Refused(f"{name} is {campaign.state}", how="Rates are set while a campaign is launched and not closed.")
    days = days_of(campaign)
    if days.first > days.last:
        return WeeklyRates(days, why_not="No calls are to come: its last day is over, or is today.")
    if not days.weeks:
        return WeeklyRates(days, why_not=_too_early(campaign))
    agents = _agents(campaign, days)
    if not any(seen.calls for seen in agents):
        return WeeklyRates(days, why_not=_too_early(campaign))
    setting = set_rates(agents, wanted_of(campaign), *_by_group(campaign))
    rates, now = rates_of(campaign), clock.now()
    return WeeklyRates(
        days,
        setting,
        {each.seen.agent_id: rates.in_force(each.seen.agent_id, now) for each in setting.agents},
        _changed(setting, rates, days.in_force_from),
    )


def days_of(campaign: Campaign) -> Days:
    """The days of a setting made now. Of a campaign not yet launched, as if it were today."""
    now = clock.now()
    today = min(_local(now, site) for site in campaign.sites)
    until = today - LATE_TO_COME_IN
    opened = max(_local(campaign.launched_at or now, site) for site in campaign.sites) + DAY
    opened = max(opened, campaign.starts_on)
    weeks = max(0, min(MOST_WEEKS, (until - opened).days // 7))
    return Days(
        monday=today - timedelta(days=today.weekday()),
        since=until - weeks * WEEK,
        until=until,
        first=today + DAY,
        last=campaign.ends_on,
        in_force_from=changes.next_day(campaign),
    )


def wanted_of(campaign: Campaign) -> Wanted:
    """What the campaign wants, as targets.py takes it."""
    return Wanted(
        campaign.target_agent,
        campaign.target_supervisor,
        campaign.target_site,
        campaign.rate_floor,
        campaign.rate_ceiling,
    )


def _is_due(campaign: Campaign, days: Days) -> bool:
    over = campaign.rates_set_for is not None and campaign.rates_set_for >= days.monday
    return not over and bool(days.weeks) and days.first <= days.last


def _too_early(campaign: Campaign) -> str:
    return (
        f"There is not a whole week of drawn calls yet to go by. Until there is, the campaign's own rate,"
        f" {campaign.rate}, holds for every agent."
    )


def _lock(campaign: Campaign) -> None:
    """One setting at a time, on whatever machine; what another one has just done is seen."""
    db.session.flush()
    db.session.refresh(campaign, with_for_update={"key_share": True, "of": Campaign})


def _changed(setting: Setting, rates: Rates, at: datetime) -> dict[int, Fraction]:
    return {
        each.seen.agent_id: each.rate for each in setting.agents if each.rate != rates.in_force(each.seen.agent_id, at)
    }


def _agents(campaign: Campaign, days: Days) -> list[Seen]:
    """Everybody who is at the campaign's sites when the rates begin to hold, or will be before they are set again."""
    calls, weekdays = _calls(campaign, days)
    settled, gots = _answers(campaign)
    sites = {site.id: site for site in campaign.sites}
    left: dict[tuple[int, date], Fraction] = {}
    found = []
    for agent_id, assignments in _roster(campaign, days).items():
        there = next((each for each in assignments if each.covers(days.first)), None)
        there = there or next((each for each in assignments if each.starts_on > days.first), None)
        if there is None:
            continue
        span = (there.site_id, max(days.last if each.ends_on is None else each.ends_on - DAY for each in assignments))
        if span not in left:
            left[span] = _weeks_left(sites[there.site_id], days, span[1], weekdays[there.site_id])
        found.append(
            Seen(
                agent_id,
                there.supervisor_id,
                there.site_id,
                calls[agent_id],
                Fraction(max((days.until - max(days.since, assignments[0].starts_on)).days, 0), 7),
                left[span],
                *settled.get(agent_id, (0, 0)),
                gots.get(agent_id, Got()),
            )
        )
    return found


def _roster(campaign: Campaign, days: Days) -> dict[int, list[Assignment]]:
    """The assignments to the campaign's sites since the first day looked at, in order, by agent."""
    rows = db.session.scalars(
        select(Assignment)
        .where(
            Assignment.site_id.in_([site.id for site in campaign.sites]),
            Assignment.starts_on < days.first + WEEK,
            or_(Assignment.ends_on.is_(None), Assignment.ends_on > days.since),
        )
        .order_by(Assignment.agent_id, Assignment.starts_on)
    )
    by_agent: dict[int, list[Assignment]] = defaultdict(list)
    for row in rows:
        by_agent[row.agent_id].append(row)
    return by_agent


def _weeks_left(site: Site, days: Days, until: date, weekdays: Mapping[int, int]) -> Fraction:
    """Public holidays count as days without calls: where there are some all the same, more come than were expected."""
    last = min(days.last, until, days.last if site.closed_on is None else site.closed_on - DAY)
    calendar = site.calendar
    ahead = [days.first + n * DAY for n in range((last - days.first).days + 1)]
    off = {
        day
        for day in ahead
        if day in calendar.closed or (calendar.holiday(day) is not None and day not in calendar.opened)
    }
    return weeks_to_come(days.first, last, weekdays, off)


def _calls(campaign: Campaign, days: Days) -> tuple[Counter[int], defaultdict[int, Counter[int]]]:
    """Calls that could be asked about, in the days looked back on: by agent, and by site and weekday (Monday = 0)."""
    local_day = cast(func.timezone(Site.time_zone, Call.ended_at), Date)
    begins = datetime.combine(days.since, datetime.min.time(), UTC) - ZONE_SPREAD
    rows = db.session.execute(
        select(Call.agent_id, Call.site_id, local_day.label("day"), func.count().label("calls"))
        .select_from(Draw)
        .join(Call, Call.id == Draw.call_id)
        .join(Site, Site.id == Call.site_id)
        .where(
            Draw.campaign_id == campaign.id,
            Draw.decided_at >= begins,
            Draw.reason.in_(ELIGIBLE),
            local_day >= days.since,
            local_day < days.until,
        )
        .group_by(Call.agent_id, Call.site_id, local_day)
    )
    by_agent: Counter[int] = Counter()
    by_weekday: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for row in rows:
        by_weekday[row.site_id][row.day.weekday()] += row.calls
        if row.agent_id is not None:
            by_agent[row.agent_id] += row.calls
    return by_agent, by_weekday


def _answers(campaign: Campaign) -> tuple[dict[int, tuple[int, int]], dict[int, Got]]:
    """By agent: of the surveys whose deadlines have passed lately, how many there were and were complete; and all.

    Only those past their deadline tell how many answer: of the others those that did are closed already, and those
    that will not are not.
    """
    now = clock.now()
    lately = Survey.deadline.between(now - ANSWERS_SINCE, now)
    complete = Survey.disposition == Disposition.COMPLETE
    rows = db.session.execute(
        select(
            Survey.agent_id,
            func.count().filter(lately).label("settled"),
            func.count().filter(lately, complete).label("answered"),
            func.count().filter(complete).label("complete"),
            func.count().filter(Survey.disposition.is_(None), Survey.deadline > now).label("open"),
        )
        .where(Survey.campaign_id == campaign.id, Survey.agent_id.is_not(None))
        .group_by(Survey.agent_id)
    ).all()
    settled = {row.agent_id: (row.settled, row.answered) for row in rows}
    return settled, {row.agent_id: Got(row.complete, row.open) for row in rows}


def _by_group(campaign: Campaign) -> tuple[dict[int, Got], dict[int, Got]]:
    """What supervisors and sites have got so far, as the surveys froze them: an agent who moved took none along."""
    still_open = func.count().filter(Survey.disposition.is_(None), Survey.deadline > clock.now())
    complete = func.count().filter(Survey.disposition == Disposition.COMPLETE)
    rows = db.session.execute(
        select(Survey.supervisor_id, Survey.site_id, complete.label("complete"), still_open.label("open"))
        .where(Survey.campaign_id == campaign.id)
        .group_by(Survey.supervisor_id, Survey.site_id)
    ).all()
    supervisors = _summed((row.supervisor_id, row.complete, row.open) for row in rows if row.supervisor_id is not None)
    return supervisors, _summed((row.site_id, row.complete, row.open) for row in rows)


def _summed(rows: Iterable[tuple[int, int, int]]) -> dict[int, Got]:
    found: dict[int, Got] = {}
    for subject_id, complete, still_open in rows:
        before = found.get(subject_id, Got())
        found[subject_id] = Got(before.complete + complete, before.open + still_open)
    return found


def _local(moment: datetime, site: Site) -> date:
    return moment.astimezone(ZoneInfo(site.time_zone)).date()
