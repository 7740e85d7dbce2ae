"""What a tick did not hand out, and why: for whoever runs `flask dispatch tick`. Only reads, and only for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from scheduler import hours, spending
from scheduler.claiming import LIVE_CALLS, ahead
from scheduler.described import money
from scheduler.pacing import free_turns, step_of
from scheduler.planning import window_of
from scheduler.words import TO_LIFT, stop_told
from survey import breakers, channel_trouble, clock, settings, standstill
from survey.clock import iso
from survey.db import db
from survey.models import (
    LIVE_STATES,
    Attempt,
    AttemptState,
    Breaker,
    Campaign,
    CampaignState,
    Channel,
    Customer,
    Pace,
    Site,
    Standstill,
    Survey,
)

NAMES = {Channel.IVR: "calls", Channel.WEB: "emails"}
NO_HOURS_LEFT = "The customer who is first has no calling hours left before the deadline."
Line = tuple[int, Channel]


class Reason(StrEnum):
    """Why nothing, or no more, of a campaign was handed out."""

    STOPPED = "stopped"
    PAUSED = "paused"
    CLOSED = "closed"
    FAILING = "channel_failing"
    LIVE_CALLS = "live_calls"
    SPEND_CAP = "spend_cap"
    WORKERS = "workers"
    TURN = "turn"
    NEXT_TICK = "next_tick"
    OUTSIDE_HOURS = "outside_hours"
    NOT_DUE = "not_due"


@dataclass(frozen=True)
class Held:
    """How a campaign stands after a tick, over one channel or (None) as a whole.

    `due` attempts, or surveys to be planned, are not handed out; `handed_out` were. `next_at` is when something can go
    again, None where that hangs on a person or on calls that end. `warning` says what is known to be wrong with one of
    the campaign's channels: over it nothing may go out even when its time comes.
    """

    campaign: str
    channel: Channel | None
    due: int
    handed_out: int
    reason: Reason
    says: str
    next_at: datetime | None = None
    warning: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Count:
    """A campaign's attempts over one channel: due, planned for later, handed out and not begun, taking up a call."""

    due: int = 0
    later: int = 0
    queued: int = 0
    live: int = 0
    claimed: int = 0


@dataclass(frozen=True)
class _Surveys:
    """A campaign's open surveys, those whose time to be planned has come, and when the next one's does."""

    open: int
    to_plan: int
    plan_at: datetime | None


def read(claimed: Collection[int]) -> list[Held]:
    """Every campaign with open surveys, by name: what is held back and why. `claimed`: the attempts just handed out."""
    now = clock.now()
    surveys = _surveys(now)
    campaigns = db.session.scalars(
        select(Campaign)
        .where(Campaign.id.in_(surveys))
        .options(joinedload(Campaign.organisation))
        .order_by(Campaign.organisation_id, Campaign.key)
    ).all()
    counts = _counts(now, claimed, list(surveys))
    stop = standstill.in_force()
    left_alone = {breaker.channel: breaker for breaker in breakers.open_now()}
    failed = channel_trouble.lately(now)
    held: list[Held] = []
    for campaign in campaigns:
        of = {channel: counts.get((campaign.id, channel), _Count()) for channel in Channel}
        whole = _as_a_whole(campaign, of, surveys[campaign.id], stop)
        if whole is not None:
            held.append(whole)
        else:
            lines = list(_by_channel(campaign, of, surveys[campaign.id], left_alone, now))
            held += _warned(campaign, lines, failed)
    return held


def told(held: Sequence[Held]) -> list[str]:
    """The same in lines."""
    if not held:
        return ["Nothing is due: no survey is open, so nobody waits to be asked."]
    return [
        f"{one.campaign}{f', {NAMES[one.channel]}' if one.channel else ''}: {_first_up(one.says)}"
        + (f" Next: {iso(one.next_at)}." if one.next_at else "")
        + (f" Beware: {one.warning}" if one.warning else "")
        for one in held
    ]


def _warned(campaign: Campaign, lines: Sequence[Held], failed: channel_trouble.Breakers) -> list[Held]:
    """The same lines, each channel's known trouble told with its own line, or where it has none with the last one."""
    told = [one.channel for one in lines]
    notes: list[list[str]] = [[] for _ in lines]
    for channel in sorted(channel_trouble.used_by(campaign)):
        at = told.index(channel) if channel in told else -1
        if lines[at].channel is not channel or lines[at].reason is not Reason.FAILING:
            notes[at] += channel_trouble.warnings(channel, campaign, failed, settings.current())
    return [
        replace(line, warning=f"{'; '.join(found)}. flask doctor checks it." if found else "")
        for line, found in zip(lines, notes, strict=True)
    ]


def _as_a_whole(
    campaign: Campaign, of: Mapping[Channel, _Count], surveys: _Surveys, stop: Standstill | None
) -> Held | None:
    """What holds back all of the campaign, if anything does."""
    name = _name(campaign)
    due = sum(count.due for count in of.values()) + surveys.to_plan
    waits = f"{due:,} due" if due else f"nothing due, {_many(surveys.open, 'open survey')}"
    if stop is not None:
        says = f"{waits}; {stop_told(stop)}. {TO_LIFT}."
        return Held(name, None, due, 0, Reason.STOPPED, says)
    if campaign.state is CampaignState.PAUSED:
        says = f"{waits}; the campaign is paused. To go on: flask campaigns resume {name}."
        return Held(name, None, due, 0, Reason.PAUSED, says)
    if campaign.state is CampaignState.CLOSED:
        says = f"{waits}; the campaign is closed: nobody is contacted any more, open surveys run to their deadlines."
        return Held(name, None, due, 0, Reason.CLOSED, says)
    return None


def _by_channel(
    campaign: Campaign,
    of: Mapping[Channel, _Count],
    surveys: _Surveys,
    left_alone: Mapping[Channel, Breaker],
    now: datetime,
) -> Iterator[Held]:
    told = 0
    for channel, count in of.items():
        payable = _payable(campaign, count) if channel is Channel.IVR else None
        if count.due or count.later or count.claimed:
            yield _held(campaign, channel, count, payable, left_alone.get(channel), now)
        elif payable == 0:
            yield Held(_name(campaign), channel, 0, 0, Reason.SPEND_CAP, _cap(campaign, count))
        else:
            continue
        told += 1
    if not told or surveys.to_plan:
        yield _unplanned(campaign, surveys, sum(count.live for count in of.values()))


def _unplanned(campaign: Campaign, surveys: _Surveys, on_their_way: int) -> Held:
    """How it stands with open surveys for which nothing is planned. `on_their_way`: handed out, or a link is out."""
    if surveys.to_plan:
        says = f"{_many(surveys.to_plan, 'survey')} still to be planned: the next tick goes on."
        return Held(_name(campaign), None, surveys.to_plan, 0, Reason.NEXT_TICK, says)
    says = f"nothing due: {_many(surveys.open, 'open survey')}, {_many(on_their_way, 'contact')} on the way"
    says += "." if surveys.plan_at is None else "; the first is thought about again then."
    return Held(_name(campaign), None, 0, 0, Reason.NOT_DUE, says, surveys.plan_at)


def _held(
    campaign: Campaign, channel: Channel, count: _Count, payable: int | None, breaker: Breaker | None, now: datetime
) -> Held:
    """How it stands with one channel of a running campaign on which something is due, planned, or just handed out."""
    if not count.due:
        reason, says, next_at = _not_due(campaign, channel, count, now)
    else:
        reason, says, next_at = _why(campaign, channel, count, payable, breaker, now)
        if channel is Channel.IVR:
            says, next_at = _within_hours(campaign, says, next_at, now)
    handed = f"{count.claimed:,} handed out, " if count.claimed else ""
    waits = f"{count.due:,} due and not handed out" if count.due else "nothing more due" if handed else "nothing due"
    return Held(_name(campaign), channel, count.due, count.claimed, reason, f"{handed}{waits}: {says}", next_at)


def _why(
    campaign: Campaign, channel: Channel, count: _Count, payable: int | None, breaker: Breaker | None, now: datetime
) -> tuple[Reason, str, datetime | None]:
    """Why what is due was not handed out, in the order in which claiming looks at it; in words; when it can go."""
    if breaker is not None:
        says = f"the channel keeps failing and is left alone for a while ({breaker.reason}); one is tried again then."
        return Reason.FAILING, says, breaker.retry_at
    if channel is Channel.IVR and count.live >= campaign.live_calls:
        says = f"{_many(count.live, 'call')} begun or about to, and it may have {campaign.live_calls:,} at a time."
        return Reason.LIVE_CALLS, f"{says} More go as soon as one ends.", None
    if payable == 0:
        return Reason.SPEND_CAP, _cap(campaign, count), None
    step = step_of(campaign, channel)
    free_at = db.session.scalar(select(Pace.free_at).where(Pace.campaign_id == campaign.id, Pace.channel == channel))
    turns = free_turns(now, free_at, step, ahead(), count.queued)
    if turns.count:
        return Reason.NEXT_TICK, "they go with the next tick.", now
    if not count.claimed and count.queued >= -(-ahead() // step):
        says = f"{count.queued:,} handed out before are not begun yet. If this goes on, is a worker running?"
        return Reason.WORKERS, says, None
    pace = (
        f"{_many(campaign.calls_per_second, 'call')} a second"
        if channel is Channel.IVR
        else f"{_many(campaign.emails_per_minute, 'email')} a minute"
    )
    return Reason.TURN, f"they wait for their turn, at its pace of {pace}.", turns.first


def _cap(campaign: Campaign, count: _Count) -> str:
    until = " until the calls under way are over and reckoned" if count.live else ""
    return (
        f"no further call can be paid for{until}: its spend cap is {money(campaign.spend_cap or 0)}. "
        f"To raise it: flask campaigns change {_name(campaign)} FILE."
    )


def _not_due(campaign: Campaign, channel: Channel, count: _Count, now: datetime) -> tuple[Reason, str, datetime | None]:
    if not count.later:
        return Reason.NOT_DUE, "nothing is planned for later.", None
    first = _first(campaign, channel, Attempt.due_at, Attempt.id)
    if first is None:
        return Reason.NEXT_TICK, "they go with the next tick.", now
    why = f" ({first.reason})" if first.reason else ""
    planned = Reason.NOT_DUE, f"{count.later:,} planned for later, the first then{why}.", first.due_at
    if channel is not Channel.IVR or first.phone is None:
        return planned
    window = window_of(campaign)
    # The hours may have been changed since it was planned.
    legal = hours.next_allowed(first.phone, first.due_at, first.deadline, window, first.time_zone)
    if legal is None:
        says = f"{count.later:,} planned for later{why}. {NO_HOURS_LEFT}"
        return Reason.OUTSIDE_HOURS, says, None
    verdict = hours.verdict(first.phone, now, window, first.time_zone)
    if not verdict.allowed:
        says = f"it is outside the calling hours of the customer who is next: {'; '.join(verdict.reasons)}."
        return Reason.OUTSIDE_HOURS, says, legal
    if legal == first.due_at:
        return planned
    says = (
        f"{count.later:,} planned for later, the first{why} for {iso(first.due_at)}, outside its hours as they are now."
    )
    return Reason.OUTSIDE_HOURS, says, legal


def _within_hours(
    campaign: Campaign, says: str, next_at: datetime | None, now: datetime
) -> tuple[str, datetime | None]:
    """The same, not before the customer who goes first may be called."""
    first = _first(campaign, Channel.IVR, Survey.deadline, Attempt.id)
    if first is None or first.phone is None:
        return says, next_at
    earliest = max(next_at or now, now)
    legal = hours.next_allowed(first.phone, earliest, first.deadline, window_of(campaign), first.time_zone)
    if legal == earliest:
        return says, next_at
    if legal is None:
        return f"{says} {NO_HOURS_LEFT}", None
    return f"{says} The customer who is first may not be called before {iso(legal)}.", legal


def _first(campaign: Campaign, channel: Channel, *order: Any) -> Any:
    """The planned attempt that comes first, with whose it is; None when there is none any more."""
    return db.session.execute(
        select(Attempt.due_at, Attempt.reason, Survey.deadline, Customer.phone, Site.time_zone)
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Customer, Customer.id == Survey.customer_id)
        .join(Site, Site.id == Survey.site_id)
        .where(Attempt.state == AttemptState.PLANNED, Attempt.channel == channel, Survey.campaign_id == campaign.id)
        .order_by(*order)
        .limit(1)
    ).first()


def _payable(campaign: Campaign, count: _Count) -> int | None:
    if campaign.spend_cap is None:
        return None
    minutes = spending.minutes_at_most([campaign.id]).get(campaign.id, 0)
    return spending.calls_affordable(campaign, minutes, count.live)


def _surveys(now: datetime) -> dict[int, _Surveys]:
    rows = db.session.execute(
        select(
            Survey.campaign_id,
            func.count(),
            func.count().filter(Survey.plan_at <= now),
            func.min(Survey.plan_at).filter(Survey.plan_at > now),
        )
        .where(Survey.closed_at.is_(None))
        .group_by(Survey.campaign_id)
    )
    return {campaign_id: _Surveys(count, to_plan, plan_at) for campaign_id, count, to_plan, plan_at in rows}


def _counts(now: datetime, claimed: Collection[int], campaign_ids: list[int]) -> dict[Line, _Count]:
    planned = Attempt.state == AttemptState.PLANNED
    rows = db.session.execute(
        select(
            Survey.campaign_id,
            Attempt.channel,
            func.count().filter(planned, Attempt.due_at <= now),
            func.count().filter(planned, Attempt.due_at > now),
            func.count().filter(Attempt.state == AttemptState.QUEUED),
            func.count().filter(Attempt.state.in_(LIVE_CALLS)),
            func.count().filter(Attempt.id.in_(list(claimed))),
        )
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(Attempt.state.in_(LIVE_STATES), Survey.campaign_id.in_(campaign_ids))
        .group_by(Survey.campaign_id, Attempt.channel)
    )
    return {(campaign_id, channel): _Count(*rest) for campaign_id, channel, *rest in rows}


def _name(campaign: Campaign) -> str:
    return f"{campaign.organisation.key}/{campaign.key}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
