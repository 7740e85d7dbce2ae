"""A campaign's forecast, read: past calls, roster and experience in a handful of queries. Nothing is written.

No draw key is opened: the replay draws by numbers of its own (replay.py), so a forecast tells nobody which
real calls a campaign will draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from sqlalchemy import or_, select

from scheduler import outlook, spending, weekly_rates
from scheduler.forecast import lately
from scheduler.forecast.calls import Counted, PastCalls
from scheduler.forecast.days import DAY, WEEK, Basis, Member
from scheduler.forecast.experience import Experience
from scheduler.forecast.flows import Flow, Step
from scheduler.forecast.known import known
from scheduler.forecast.limits import Pace, Spend, pace_for, spend_for
from scheduler.forecast.replay import SURVEYS_WANTED, Load, PastCall, Rules, might_be_asked, play, rounds_for
from scheduler.forecast.totals import Forecast, Outlook
from scheduler.forecast.weekly import Known, steps_to_come
from scheduler.overlaps import Overlap, Owner, overlaps
from scheduler.planning import window_of
from scheduler.rates import rates_of
from scheduler.words import DRAW_REASONS
from survey import clock
from survey.calendars import day_start
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Assignment,
    Campaign,
    CampaignState,
    Customer,
    DrawReason,
    Sampling,
)

WEEKS, MOST_WEEKS = 4, 26
# The replay's calls are held in memory.
MOST_CALLS = 20_000
IMPORT = "Import the calls of the last weeks first: flask calls import FILE. They need not be of the campaign."


@dataclass(frozen=True)
class Reading:
    """A campaign's forecast and all that it rests on. `experience` and `settled` say how much was seen of either.

    `weeks` were to be looked back on; `steps` are the rates, from when they hold.
    """

    campaign: Campaign
    weeks: int
    basis: Basis
    counted: Counted
    experience: Experience
    load: Load
    steps: Sequence[Step]
    forecast: Forecast
    pace: Pace
    spend: Spend
    overlaps: Sequence[Overlap]

    @property
    def settled(self) -> int:
        return sum(self.basis.settled.values())

    @property
    def taken(self) -> list[tuple[Overlap, Fraction]]:
        """The campaigns that have some of the calls, each with its share of those that could be asked about."""
        before = [one for one in self.overlaps if one.owner is Owner.OTHER]
        return [(one, self.basis.volume.share(bit)) for bit, one in enumerate(before)]


def read(campaign: Campaign, weeks: int = WEEKS) -> Reading:
    """The forecast from the calls of the last `weeks`, or as many as there are; of a draft as if it were launched now.

    Raises Refused when there is nothing to foresee, or nothing to go by, and says what to do.
    """
    _require_days(campaign)
    days = outlook.days_of(campaign)
    first = max(days.first, campaign.starts_on)
    members = _members(campaign, first)
    met = overlaps(campaign)
    before = [one for one in met if one.owner is Owner.OTHER]
    calls = PastCalls(campaign, [one.other for one in before], members.keys())
    since = _since(calls, campaign, days.until, weeks)
    counted = calls.counted(since, days.until)
    _require_eligible(campaign, counted)
    begins = max(day_start(first, site.time_zone) for site in campaign.sites)
    rates = rates_of(campaign)
    basis = _basis(campaign, counted, members, (since, days.until), first, before, rates.in_force(None, begins))
    ahead = Outlook(basis)
    if not ahead.has_calls():
        taken = ", ".join(repr(one.other.key) for one in before)
        raise Refused(
            f"no call is left for campaign {campaign.key!r} from {first} to {campaign.ends_on}",
            how=f"Its days are all days off, or {taken} has the calls: change its days."
            if taken
            else "Change its days.",
        )
    experience = lately.experience(campaign)
    there = known(campaign, rates, members.keys(), begins, days.until, first)
    flows, steps = _course(campaign, basis, ahead, there, Fraction(0))
    load = _replay(campaign, calls, basis, ahead.mean_rates(flows, steps), experience)
    if load.quarantined_share:
        flows, steps = _course(campaign, basis, ahead, there, load.quarantined_share)
    made = ahead.forecast(flows, steps, load)
    return Reading(
        campaign,
        weeks,
        basis,
        counted,
        experience,
        load,
        steps,
        made,
        _pace(campaign, made, load),
        _spend(campaign, made),
        met,
    )


def _course(
    campaign: Campaign, basis: Basis, ahead: Outlook, there: Known, quarantined: Fraction
) -> tuple[list[Flow], list[Step]]:
    """The calls to come, when that share of them is of customers who have to rest, and the rates for them."""
    flows = ahead.flows(quarantined)
    return flows, steps_to_come(campaign, basis, ahead.to_come, flows, there, clock.now())


def _require_days(campaign: Campaign) -> None:
    name = f"campaign {campaign.key!r}"
    if campaign.state is CampaignState.CLOSED:
        raise Refused(f"{name} is closed: nothing is to come", how="Forecast the one that is to follow it.")
    if not campaign.sites:
        raise Refused(f"{name} has no sites", how="Name some: flask campaigns change.")
    if max(outlook.days_of(campaign).first, campaign.starts_on) > campaign.ends_on:
        raise Refused(
            f"{name} has no days left after today", how=f"Its last day is {campaign.ends_on}: flask campaigns change."
        )


def _since(calls: PastCalls, campaign: Campaign, until: date, weeks: int) -> date:
    """The first day looked back on: as many whole weeks as there are; less than one only where there is no more.

    A week may well begin with a day without calls: that there were some in the week before shows that it is whole.
    """
    earliest = until - weeks * WEEK
    first = calls.first_day(earliest, until)
    if first is None:
        of = " of its queues and topics" if campaign.queues or campaign.topics else ""
        sites = ", ".join(site.key for site in campaign.sites)
        raise Refused(f"there are no calls{of} at {sites} from {earliest} to {until - DAY}", how=IMPORT)
    if first < earliest + WEEK and calls.first_day(earliest - WEEK, earliest) is not None:
        return earliest
    there = (until - first) // WEEK
    return until - there * WEEK if there else first


def _require_eligible(campaign: Campaign, counted: Counted) -> None:
    if counted.volume.total():
        return
    (reason, _), *_ = sorted(counted.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    how = "flask campaigns change alters what a draft asks for."
    if reason in (DrawReason.NO_ASSIGNMENT, DrawReason.NO_AGENT):
        how = "Import the roster: flask roster import FILE. It says who is at which site in the days to come."
    raise Refused(
        f"none of the {counted.calls:,} calls seen could be asked about by campaign {campaign.key!r}; mostly:"
        f" {DRAW_REASONS[reason]}",
        how=how,
    )


def _members(campaign: Campaign, first: date) -> dict[int, Member]:
    """Who is at the campaign's sites on its first day to come, or will be later; where they are first counts."""
    rows = db.session.execute(
        select(
            Assignment.agent_id, Assignment.supervisor_id, Assignment.site_id, Assignment.starts_on, Assignment.ends_on
        )
        .where(
            Assignment.site_id.in_([site.id for site in campaign.sites]),
            Assignment.starts_on <= campaign.ends_on,
            or_(Assignment.ends_on.is_(None), Assignment.ends_on > first),
        )
        .order_by(Assignment.agent_id, Assignment.starts_on)
    )
    members: dict[int, Member] = {}
    for row in rows:
        first_there = members.get(row.agent_id, Member(row.supervisor_id, row.site_id, row.starts_on))
        members[row.agent_id] = replace(first_there, until=row.ends_on)
    return members


def _basis(
    campaign: Campaign,
    counted: Counted,
    members: Mapping[int, Member],
    seen: tuple[date, date],
    first: date,
    before: Sequence[Overlap],
    rate: Fraction,
) -> Basis:
    surveys = outlook.so_far(campaign)
    settled, answered = lately.answers(campaign)
    wanted = weekly_rates.wanted_of(campaign)
    if campaign.sampling is Sampling.FIXED:
        wanted = replace(wanted, floor=rate, ceiling=rate)
    return Basis(
        since=seen[0],
        until=seen[1],
        first=first,
        last=campaign.ends_on,
        wanted=wanted,
        rate=rate,
        volume=counted.volume,
        members=members,
        off={site.id: outlook.days_off(site, seen[1], campaign.ends_on) for site in campaign.sites},
        taken=[(one.first, one.last) for one in before],
        settled=settled,
        answered=answered,
        agents=surveys.agents,
        supervisors=surveys.supervisors,
        sites=surveys.sites,
    )


def _replay(
    campaign: Campaign, calls: PastCalls, basis: Basis, rates: Mapping[int, Fraction], experience: Experience
) -> Load:
    def rate_of(call: PastCall) -> Fraction:
        return basis.rate if call.agent_id is None else rates.get(call.agent_id, basis.rate)

    total = basis.volume.total()
    drawn = sum(
        (rates.get(agent_id, basis.rate) * sum(masks.values()) for agent_id, masks in basis.volume.agents.items()),
        Fraction(0),
    )
    share = min(Fraction(1), MOST_CALLS / total, SURVEYS_WANTED / max(drawn, Fraction(1)))
    past = calls.sample(basis.since, basis.until, share)
    rounds = rounds_for(past, rate_of)
    rules = Rules(
        campaign.channel_plan,
        timedelta(days=campaign.quarantine_days),
        window_of(campaign),
        campaign.dials_per_survey,
        campaign.dials_per_number,
        campaign.reminders,
    )
    phones = _phones(might_be_asked(past, rate_of, rounds))
    return play(past, rules, rate_of, experience, phones, rounds)


def _phones(customer_ids: set[int]) -> dict[int, str]:
    """The numbers, for the hours at which they may be called; they are kept nowhere."""
    rows = db.session.execute(
        select(Customer.id, Customer.phone).where(Customer.id.in_(customer_ids), Customer.phone.is_not(None))
    )
    return {row.id: row.phone for row in rows if row.phone is not None}


def _pace(campaign: Campaign, made: Forecast, load: Load) -> Pace:
    """The load of the fullest week, as dials come to the places they have in the replay's weeks."""
    whole_week = made.total.dials / made.weeks_left if made.weeks_left else Fraction(0)
    a_week = max(whole_week, *(figures.dials for _, figures in made.weeks))
    weekly = {cell: a_week * count / load.dials for cell, count in load.dials_in.items()}
    minutes = load.minutes / load.dials if load.dials else Fraction(0)
    seconds = minutes * spending.MINUTE_SECONDS + campaign.ring_seconds
    return pace_for(weekly, campaign.calls_per_second, campaign.live_calls, seconds)


def _spend(campaign: Campaign, made: Forecast) -> Spend:
    cost = made.total.minutes * spending.minute_price()
    return spend_for(cost, spending.spent(campaign), campaign.spend_cap, made.by_day)
