"""Breakers: a channel that keeps failing is left alone for a while, so that no attempt is wasted on it.

The channels say how each try went; the scheduler asks before it claims and before it lets an attempt begin. One try is
let through when the pause is over: it closes the breaker, or makes the next pause twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from survey import clock
from survey.db import db
from survey.logs import logger
from survey.models import Breaker, Channel

OPENS_AFTER = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
# How long the one that was let through may take to say how it went, before another is.
PROBE_WAIT = timedelta(minutes=2)

log = logger("breakers")


def worked(channel: Channel) -> None:
    """The outside part did what it was asked: nothing is held against the channel any more. Flushes."""
    closed = db.session.execute(
        update(Breaker)
        .where(Breaker.channel == channel, Breaker.failures > 0)
        .values(failures=0, openings=0, opened_at=None, retry_at=None)
        .returning(Breaker.openings)
        .execution_options(synchronize_session=False)
    )
    if closed.first() is not None:
        log.info("channel works", channel=channel.value)


def failed(channel: Channel, reason: str, claimed_at: datetime | None) -> None:
    """The outside part failed, through no fault of the one customer. Flushes.

    `reason` in plain words, without personal data. `claimed_at` is when the attempt was claimed: the failure of one
    that was on its way when the breaker opened says nothing new and makes the pause no longer.
    """
    now = clock.now()
    db.session.execute(
        insert(Breaker).values(channel=channel, failures=0, openings=0, reason="").on_conflict_do_nothing()
    )
    breaker = db.session.scalars(
        select(Breaker).where(Breaker.channel == channel).with_for_update().execution_options(populate_existing=True)
    ).one()
    breaker.failures += 1
    breaker.reason, breaker.failed_at = reason, now
    if breaker.failures >= OPENS_AFTER and not holds_back(breaker.opened_at, claimed_at):
        breaker.openings += 1
        breaker.opened_at, breaker.retry_at = now, now + pause(breaker.openings)
        log.error(
            "channel left alone: it keeps failing", channel=channel.value, reason=reason, openings=breaker.openings
        )
    db.session.flush()


def pause(openings: int) -> timedelta:
    """How long the channel is left alone at its `openings`-th opening in a row (from 1)."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(openings - 1, 10)))


def open_now() -> Sequence[Breaker]:
    """The channels that are left alone at the moment."""
    return db.session.scalars(select(Breaker).where(Breaker.opened_at.is_not(None)).order_by(Breaker.channel)).all()


def let_one_through(channel: Channel, now: datetime) -> bool:
    """Whether the pause is over and this caller may send one attempt; another one only if that is never heard of.

    False also while somebody else is deciding. Flushes; the caller claims the attempt in the same transaction, and
    stamps it with this very `now`: what was claimed up to then goes back (see `holds_back`).
    """
    breaker = db.session.scalars(
        select(Breaker)
        .where(Breaker.channel == channel, Breaker.opened_at.is_not(None), Breaker.retry_at <= now)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()
    if breaker is None:
        return False
    breaker.opened_at, breaker.retry_at = now - timedelta.resolution, now + PROBE_WAIT
    db.session.flush()
    return True


def holds_back(opened_at: datetime | None, claimed_at: datetime | None) -> bool:
    """Whether an open breaker keeps an attempt from beginning: all but the one that was let through since."""
    return opened_at is not None and (claimed_at is None or claimed_at <= opened_at)
