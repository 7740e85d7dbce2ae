"""Pace: how many attempts may be handed out now, and when each has its turn. Pure.

A campaign's attempts over one channel form a row of turns, one step apart, whoever claims them: the moment at which the
next turn is free lies in the database (`paces`) and is locked while turns are given out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from survey.models import Campaign, Channel

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Turns:
    """The turns that are free: from `first` on, `step` apart, `count` of them."""

    first: datetime
    step: timedelta
    count: int

    def take(self, wanted: int) -> Sequence[datetime]:
        """The earliest of them, `wanted` or as many as there are."""
        return [self.first + self.step * n for n in range(min(wanted, self.count))]

    def free_after(self, taken: int) -> datetime:
        """When the next turn is free once `taken` are gone."""
        return self.first + self.step * taken


def step_of(campaign: Campaign, channel: Channel) -> timedelta:
    """The time between two calls, or two emails, of the campaign."""
    if channel is Channel.IVR:
        return SECOND / campaign.calls_per_second
    return MINUTE / campaign.emails_per_minute


def free_turns(now: datetime, free_at: datetime | None, step: timedelta, ahead: timedelta, waiting: int = 0) -> Turns:
    """The turns free between `now` and `ahead` of it. Turns that nobody took are gone: they are not made up for.

    `free_at` is when the next turn is free, None before the first one. Handing out only what comes soon leaves the
    order open: an attempt with an earlier deadline that becomes due in the next seconds still goes first. `waiting`
    attempts have their turn and have not begun: no more wait at a time than have turns in `ahead`, or workers that
    cannot keep the pace would find nothing but turns that are over.
    """
    # Turns are given out no further: one that lies beyond was given by a clock that was ahead.
    first = now if free_at is None or free_at > now + ahead + MINUTE else max(now, free_at)
    left = now + ahead - first
    return Turns(first, step, max(0, min(-(-left // step), -(-ahead // step) - waiting)))
