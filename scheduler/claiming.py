"""Claiming: which of the due attempts are handed out now, by the campaigns' paces and caps, each with its turn.

Claims of one campaign's channel take turns (its row of `paces` is locked), so pace and caps hold over all machines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from scheduler import spending
from scheduler.pacing import free_turns, step_of
from survey import attempts, breakers, clock, settings
from survey.db import db
from survey.models import (
    Attempt,
    AttemptState,
    Breaker,
    Campaign,
    CampaignState,
    Channel,
    Pace,
    Standstill,
    Survey,
)

# Each of these takes up one of the calls that a campaign may have at a time.
LIVE_CALLS = (AttemptState.QUEUED, AttemptState.DIALLING, AttemptState.UNDERWAY)


@dataclass(frozen=True)
class Demand:
    """A campaign's channel on which attempts are due; its pace is locked by us."""

    campaign: Campaign
    channel: Channel
    pace: Pace


def claim_due(limit: int = 500) -> dict[int, datetime]:
    """Takes up to `limit` due attempts of active campaigns; returns when each has its turn, by id, in order of turns.

    Of a campaign's channel the earliest deadlines go first, a step of its pace apart, as far ahead as until the next
    tick; no more calls than may be live or can be paid for. None during a standstill. Over a channel that keeps failing
    one goes when its pause is over. What another machine is claiming is left to it. Flushes; the caller commits.
    """
    now = clock.now()
    left_alone = {breaker.channel: breaker for breaker in breakers.open_now()}
    demands = [one for one in _demands(now) if _may_go(left_alone.get(one.channel), now)]
    room = _room_for_calls({one.campaign.id: one.campaign for one in demands if one.channel is Channel.IVR})
    waiting = _waiting(demands)
    claimed: dict[int, datetime] = {}
    for n, demand in enumerate(demands):
        # What is left is shared, so that no campaign takes it all. Who needs less leaves more to those behind.
        most = -(-(limit - len(claimed)) // (len(demands) - n))
        if demand.channel is Channel.IVR:
            most = min(most, room[demand.campaign.id])
        if demand.channel in left_alone and most:
            most = int(breakers.let_one_through(demand.channel, now))
        if most:
            claimed |= _claim(demand, most, waiting.get((demand.campaign.id, demand.channel), 0), now)
    return dict(sorted(claimed.items(), key=lambda pair: (pair[1], pair[0])))


def _may_go(breaker: Breaker | None, now: datetime) -> bool:
    return breaker is None or (breaker.retry_at is not None and breaker.retry_at <= now)


def _demands(now: datetime) -> list[Demand]:
    """The campaigns and channels on which something is due, earliest deadline first, as far as nobody else has them."""
    due = _due_lines(now)
    if not due:
        return []
    ids = {campaign_id for campaign_id, _ in due}
    campaigns = {one.id: one for one in db.session.scalars(select(Campaign).where(Campaign.id.in_(ids)))}
    paces = _locked_paces(due)
    return [Demand(campaigns[of[0]], of[1], paces[of]) for of in due if of in paces]


def _due_lines(now: datetime) -> Sequence[tuple[int, Channel]]:
    """(Campaign id, channel) of everything due."""
    rows = db.session.execute(
        select(Survey.campaign_id, Attempt.channel)
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(
            *_is_due(now),
            Campaign.state == CampaignState.ACTIVE,
            ~select(Standstill.id).where(Standstill.in_force).exists(),
        )
        .group_by(Survey.campaign_id, Attempt.channel)
        .order_by(func.min(Survey.deadline), Survey.campaign_id, Attempt.channel)
    )
    return [(campaign_id, channel) for campaign_id, channel in rows]


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Attempt.state == AttemptState.PLANNED, Attempt.due_at <= now


def _locked_paces(due: Sequence[tuple[int, Channel]]) -> dict[tuple[int, Channel], Pace]:
    """Their rows, made where they are missing, and locked; without those that another machine is claiming for."""
    ids = {campaign_id for campaign_id, _ in due}
    rows = db.session.execute(select(Pace.campaign_id, Pace.channel).where(Pace.campaign_id.in_(ids)))
    there = {(campaign_id, channel) for campaign_id, channel in rows}
    missing = [{"campaign_id": of[0], "channel": of[1], "free_at": clock.now()} for of in due if of not in there]
    if missing:
        db.session.execute(insert(Pace).values(missing).on_conflict_do_nothing())
    free = db.session.scalars(
        select(Pace)
        .where(Pace.campaign_id.in_(ids))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return {(row.campaign_id, row.channel): row for row in free}


def _room_for_calls(campaigns: dict[int, Campaign]) -> dict[int, int]:
    """How many more calls each of the campaigns may begin now. Where none can be paid for any more, planned ones go."""
    if not campaigns:
        return {}
    live = _live_calls(campaigns)
    capped = [one.id for one in campaigns.values() if one.spend_cap is not None]
    minutes = spending.minutes_at_most(capped) if capped else {}
    room = {}
    for campaign in campaigns.values():
        under_way, spent = live.get(campaign.id, 0), minutes.get(campaign.id, 0)
        payable = spending.calls_affordable(campaign, spent, under_way)
        free = max(0, campaign.live_calls - under_way)
        room[campaign.id] = free if payable is None else min(free, payable)
    for campaign_id in spending.exhausted([one for one in campaigns.values() if not live.get(one.id)]):
        _give_up_calls(campaign_id)
    return room


def _live_calls(campaign_ids: Collection[int]) -> dict[int, int]:
    rows = db.session.execute(
        select(Survey.campaign_id, func.count().label("calls"))
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(
            Attempt.state.in_(LIVE_CALLS), Attempt.channel == Channel.IVR, Survey.campaign_id.in_(list(campaign_ids))
        )
        .group_by(Survey.campaign_id)
    )
    return {row.campaign_id: row.calls for row in rows}


def _give_up_calls(campaign_id: int) -> None:
    """No call can be paid for any more: those that are due give way to the next channel, or to nothing."""
    due = select(Attempt.survey_id).join(Survey, Survey.id == Attempt.survey_id)
    due = due.where(*_is_due(clock.now()), Attempt.channel == Channel.IVR, Survey.campaign_id == campaign_id)
    attempts.cancel_waiting(db.session.scalars(due), spending.CAP_REACHED, [Channel.IVR])


def _waiting(demands: Collection[Demand]) -> dict[tuple[int, Channel], int]:
    """How many attempts of each campaign and channel have been handed out and not begun."""
    if not demands:
        return {}
    rows = db.session.execute(
        select(Survey.campaign_id, Attempt.channel, func.count().label("attempts"))
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(
            Attempt.channel.in_(list(Channel)),  # as the index of what is on its way begins
            Attempt.state == AttemptState.QUEUED,
            Survey.campaign_id.in_({demand.campaign.id for demand in demands}),
        )
        .group_by(Survey.campaign_id, Attempt.channel)
    )
    return {(row.campaign_id, row.channel): row.attempts for row in rows}


def _claim(demand: Demand, most: int, waiting: int, now: datetime) -> dict[int, datetime]:
    turns = free_turns(now, demand.pace.free_at, step_of(demand.campaign, demand.channel), ahead(), waiting)
    chosen = db.session.scalars(
        select(Attempt.id)
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(*_is_due(now), Attempt.channel == demand.channel, Survey.campaign_id == demand.campaign.id)
        .order_by(Survey.deadline, Attempt.id)
        .limit(min(most, turns.count))
        .with_for_update(skip_locked=True, of=Attempt)
    ).all()
    if not chosen:
        return {}
    claimed = set(
        db.session.scalars(
            update(Attempt)
            .where(Attempt.id.in_(chosen), Attempt.state == AttemptState.PLANNED)
            .values(state=AttemptState.QUEUED, claimed_at=now)
            .returning(Attempt.id)
            .execution_options(synchronize_session=False)
        )
    )
    ours = [attempt_id for attempt_id in chosen if attempt_id in claimed]
    demand.pace.free_at = turns.free_after(len(ours))
    db.session.flush()
    return dict(zip(ours, turns.take(len(ours)), strict=True))


def ahead() -> timedelta:
    """As far as turns are given out: until the next tick, with a second to spare."""
    return timedelta(seconds=settings.current().tick_seconds + 1)
