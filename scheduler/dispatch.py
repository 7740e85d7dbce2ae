"""Dispatch: what is due is claimed once, handed to the queue in the same transaction, and delivered once.

    planned --claim--> queued --deliver: guards, then the intent, committed--> dialling --> the channel's own

Every step is a conditional update, so any number of machines may tick and deliver at once, and a job may run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select, update

from scheduler import hours
from scheduler.claiming import claim_due
from scheduler.eligibility import why_not_called
from scheduler.planning import dials_begun, plan_due, window_of
from scheduler.policy import NUMBER_REST
from survey import attempts, breakers, clock
from survey.db import db, released
from survey.logs import logger
from survey.models import (
    Attempt,
    AttemptState,
    Breaker,
    Campaign,
    CampaignState,
    Channel,
    Customer,
    OptOut,
    Site,
    Standstill,
    Survey,
)

# A job is done at its turn, or taken over within a minute from a worker that died; one that failed (its database went
# away) never comes. Should it come after all, its turn is over and its attempt goes back.
LOST_AFTER = timedelta(minutes=2)
LATE_BY = timedelta(seconds=30)
# No call is begun so near the end of the hours that it could ring on after it: the longest ring is a minute, and one
# whose fate is in doubt is found at Twilio within a minute and a half, to be cancelled there if it is still queued.
LAST_DIAL_BEFORE_END = timedelta(minutes=3)
log = logger("scheduler")


class AskingChannel(Protocol):
    """A way of asking, as `application.py` hands it over."""

    def deliver(self, attempt_id: int) -> None: ...

    def reconcile(self) -> int: ...


Channels = Mapping[Channel, AskingChannel]
# Hands an attempt to the queue, with the moment of its turn.
Enqueue = Callable[[int, datetime], None]
# An attempt with what its guards look at, see `_locked`.
AttemptRow = Any


@dataclass(frozen=True)
class TickReport:
    """What one tick did: surveys planned, lost jobs taken back, attempts handed to the queue (ids)."""

    planned: int
    swept: int
    claimed: tuple[int, ...]


@dataclass(frozen=True)
class Refusal:
    """Why an attempt may not begin now. `later`: it waits as it is; else it is cancelled and planned anew."""

    reason: str
    later: bool = False


TURN_OVER = Refusal("its turn is over: it gets another one (if this goes on, see flask doctor)", later=True)


def tick(enqueue: Enqueue, limit: int = 500) -> TickReport:
    """Plans, and commits; then claims and enqueues in one transaction: an attempt is queued and has its job, or not."""
    planned = plan_due(limit)
    # What planning has locked is let go of before claiming locks more: closing surveys takes them in another order.
    db.session.commit()
    swept = sweep_lost()
    claimed = claim_due(limit)
    for attempt_id, turn_at in claimed.items():
        enqueue(attempt_id, turn_at)
    db.session.commit()
    return TickReport(planned, swept, tuple(claimed))


def sweep_lost() -> int:
    """Attempts whose job never came back are planned again; one that has begun never is. Returns how many."""
    lost = db.session.execute(
        update(Attempt)
        .where(
            Attempt.channel.in_(list(Channel)),  # as the index of what is on its way begins
            Attempt.state == AttemptState.QUEUED,
            Attempt.claimed_at < clock.now() - LOST_AFTER,
        )
        .values(state=AttemptState.PLANNED, claimed_at=None)
        .returning(Attempt.id)
        .execution_options(synchronize_session=False)
    )
    return len(lost.all())


def deliver(attempt_id: int, channels: Channels, turn_at: datetime | None = None) -> bool:
    """The job: checks the guards once more, commits the intent, then lets the channel speak. False when it did not.

    `turn_at` is the attempt's place in its campaign's pace. Commits. Running it twice, on any machines, is harmless:
    only one of them gets past the intent.
    """
    channel = _begin(attempt_id, turn_at)
    if channel is None:
        db.session.commit()
        return False
    with released():
        channels[channel].deliver(attempt_id)
    return True


def _begin(attempt_id: int, turn_at: datetime | None) -> Channel | None:
    """queued -> dialling if every guard agrees; the channel then, None otherwise."""
    row = _locked(attempt_id)
    if row is None or row.state is not AttemptState.QUEUED:
        return None
    now = clock.now()
    refusal = _turn_refusal(row, turn_at, now) or _refusal(row, now)
    if refusal is None:
        channel: Channel = row.channel
        return channel if attempts.begin(attempt_id, _hours_end(row, now)) else None
    tell = log.warning if refusal is TURN_OVER else log.info
    tell("attempt refused", attempt_id=attempt_id, reason=refusal.reason)
    if refusal.later:
        _put_back(attempt_id)
    elif attempts.cancel(attempt_id, refusal.reason):
        _plan_again(row.survey_id)
    return None


def _locked(attempt_id: int) -> AttemptRow | None:
    """The attempt with what its guards look at; its survey and customer stay locked until the intent is committed.

    So no newer call supersedes the survey, and no other attempt dials the same number, between the look and the intent.
    """
    return db.session.execute(
        select(
            Attempt.channel,
            Attempt.state,
            Attempt.survey_id,
            Attempt.claimed_at,
            select(Breaker.opened_at).where(Breaker.channel == Attempt.channel).scalar_subquery().label("left_alone"),
            select(Standstill.id).where(Standstill.in_force).exists().label("all_stopped"),
            Survey.closed_at,
            Survey.deadline,
            Campaign,
            Site.time_zone,
            Customer.organisation_id,
            Customer.phone,
            Customer.phone_index,
            Customer.email_index,
            Customer.consents_to_calls,
        )
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .join(Site, Site.id == Survey.site_id)
        .join(Customer, Customer.id == Survey.customer_id)
        .where(Attempt.id == attempt_id)
        .with_for_update(of=(Survey, Customer), key_share=True)
        .execution_options(populate_existing=True)
    ).first()


def _turn_refusal(row: AttemptRow, turn_at: datetime | None, now: datetime) -> Refusal | None:
    """Why this is not the moment, whatever the survey's own promises say."""
    if turn_at is not None and now > turn_at + LATE_BY:
        # A worker that was away has a row of turns that are over: made up for at once they would be a burst.
        return TURN_OVER
    if breakers.holds_back(row.left_alone, row.claimed_at):
        return Refusal("the channel keeps failing and is left alone for a while", later=True)
    return None


def _refusal(row: AttemptRow, now: datetime) -> Refusal | None:
    """Why the attempt may not begin at `now`, or None. The same promises the plan was made on, looked at once more."""
    campaign: Campaign = row.Campaign
    if row.closed_at is not None or now >= row.deadline:
        return Refusal("the survey closed")
    if campaign.state is CampaignState.CLOSED:
        return Refusal("the campaign closed")
    if campaign.state is not CampaignState.ACTIVE:
        return Refusal(f"the campaign is {campaign.state}", later=True)
    if row.all_stopped:
        return Refusal("all contact is stopped", later=True)
    if row.channel is Channel.WEB:
        return _contact_refusal(row.organisation_id, row.email_index, "email address")
    return _contact_refusal(row.organisation_id, row.phone_index, "phone number") or _dial_refusal(row, now)


def _contact_refusal(organisation_id: int, index: bytes | None, name: str) -> Refusal | None:
    if index is None:
        return Refusal(f"the customer has no {name} any more")
    opted_out = select(OptOut.id).where(
        OptOut.organisation_id == organisation_id, OptOut.contact_index == index, OptOut.removed_at.is_(None)
    )
    return Refusal(f"the {name} is opted out") if db.session.scalar(opted_out) is not None else None


def _dial_refusal(row: AttemptRow, now: datetime) -> Refusal | None:
    campaign: Campaign = row.Campaign
    without_consent = why_not_called(row.consents_to_calls, campaign.calls_need_consent)
    if without_consent is not None:
        return Refusal(without_consent)
    for at in (now, now + LAST_DIAL_BEFORE_END):
        decent = hours.verdict(row.phone, at, window_of(campaign), row.time_zone)
        if not decent.allowed:
            return Refusal("; ".join(decent.reasons))
    number = (row.organisation_id, row.phone_index)
    if len(dials_begun([number], now - NUMBER_REST).get(number, ())) >= campaign.dials_per_number:
        return Refusal(f"{campaign.dials_per_number} calls to this number in 30 days")
    return None


def _hours_end(row: AttemptRow, now: datetime) -> datetime | None:
    """When a call that begins now must no longer ring: the end of the calling hours, or the deadline."""
    if row.channel is not Channel.IVR:
        return None
    span = hours.next_span(row.phone, now, row.deadline, window_of(row.Campaign), row.time_zone)
    return row.deadline if span is None else span[1]


def _put_back(attempt_id: int) -> None:
    db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.QUEUED)
        .values(state=AttemptState.PLANNED, claimed_at=None)
        .execution_options(synchronize_session=False)
    )


def _plan_again(survey_id: int) -> None:
    db.session.execute(
        update(Survey)
        .where(Survey.id == survey_id, Survey.closed_at.is_(None))
        .values(plan_at=clock.now())
        .execution_options(synchronize_session=False)
    )
