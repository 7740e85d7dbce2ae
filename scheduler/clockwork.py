"""Clockwork: everything that happens by itself as time goes on, in one pass or part by part.

The rows' own times are the schedule; the metronome only asks often enough what is due. The time-lapse drives the same
passes by a clock of its own. Every part commits, being the outermost of what it does.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask
from sqlalchemy import func, select

from scheduler import campaigns, dispatch, drawing, weekly_rates
from scheduler.dispatch import Channels, Enqueue, TickReport
from scheduler.drawing import DrawReport
from scheduler.frame import waits_for_draw
from scheduler.leadership import RENEW_SECONDS, Leadership
from survey import clock, lifecycle
from survey.db import db
from survey.logs import logger
from survey.models import Attempt, AttemptState, Call, Campaign, CampaignState, Survey

# Calls that come in later than this are past their deadline: deciding them can wait for the next full draw.
FRESH = timedelta(days=7)
LOOK_AGAIN_AFTER = timedelta(minutes=1)
DRAW_EVERY_SECONDS = 600
RATES_EVERY_SECONDS = 600
RECONCILE_EVERY_SECONDS = 30
CHORES_EVERY_SECONDS = 60
CLOSED_AT_ONCE = 500

log = logger("scheduler")


@dataclass(frozen=True)
class TurnReport:
    """What one turn did. `changed`: campaigns begun or closed; `expired`: surveys closed at their deadline."""

    changed: int
    draws: tuple[DrawReport, ...]
    expired: int
    tick: TickReport
    reconciled: int


def turn(enqueue: Enqueue, channels: Channels) -> TurnReport:
    """One pass of everything periodic. Quick when nothing is due: about a dozen small queries, no full draw."""
    changed, draws, expired = _begin_draw_and_close()
    ticked = dispatch.tick(enqueue)
    return TurnReport(changed, tuple(draws), expired, ticked, settle(channels))


def _begin_draw_and_close(calls_came_in: Callable[[], bool] | None = None) -> tuple[int, list[DrawReport], int]:
    changed = begin_and_close()
    draws = draw(clock.now() - FRESH) if (calls_came_in or _calls_came_in)() else []
    return changed, draws, close_expired()


def begin_and_close() -> int:
    """Campaigns whose first day begins become active; those whose last calls are settled close; keys are revealed."""
    return sum(_kept(part()) for part in (campaigns.begin_due, campaigns.close_ended, campaigns.reveal_keys))


def draw(ended_after: datetime | None = None) -> list[DrawReport]:
    """Decides every call that has no draw yet, or the fresh ones of them, of all open campaigns.

    Organisations into which a file is just going are left to a later turn: a draw that waited would hold up the others,
    and every import behind it.
    """
    reports = drawing.draw_all(ended_after, wait=False)
    db.session.commit()
    return reports


def set_rates() -> int:
    """Sets the rates of campaigns with targets, once a week each; returns how many rates were published."""
    published = 0
    for campaign in weekly_rates.due():
        published += weekly_rates.set_if_due(campaign)
        db.session.commit()
    return published


def close_expired() -> int:
    """Closes all surveys whose deadline has passed; returns how many."""
    closed, batch = 0, CLOSED_AT_ONCE
    while batch == CLOSED_AT_ONCE:
        batch = _kept(lifecycle.close_expired(CLOSED_AT_ONCE))
        closed += batch
    return closed


def _kept(done: int) -> int:
    """Commits what was done, if anything was: an idle turn is one transaction of a few reads."""
    if done:
        db.session.commit()
    return done


def settle(channels: Channels) -> int:
    """Lets each channel settle what is in doubt; returns how many attempts that were."""
    settled = sum(channel.reconcile() for channel in channels.values())
    db.session.commit()
    return settled


def do_chores(chores: Sequence[Callable[[], object]]) -> None:
    """Does each, and commits it before the next."""
    for chore in chores:
        chore()
        db.session.commit()


def next_due_at() -> datetime | None:
    """When something is due next: a planned attempt, a survey to think about, a deadline or a campaign's first day.

    In the past when something is overdue. Paused campaigns' attempts are not counted: nothing would come of them.
    """
    active = Campaign.state == CampaignState.ACTIVE
    attempts = (
        select(func.min(Attempt.due_at))
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(Attempt.state == AttemptState.PLANNED, active)
    )
    plans = (
        select(func.min(Survey.plan_at))
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(Survey.closed_at.is_(None), Survey.plan_at.is_not(None), active)
    )
    deadlines = select(func.min(Survey.deadline)).where(Survey.closed_at.is_(None))
    row = db.session.execute(
        select(attempts.scalar_subquery(), plans.scalar_subquery(), deadlines.scalar_subquery())
    ).one()
    return min((at for at in (*row, campaigns.next_change_at()) if at is not None), default=None)


def run(
    app: Flask, channels: Channels, enqueue: Enqueue, tick_seconds: int, chores: Sequence[Callable[[], object]] = ()
) -> None:
    """The metronome: runs until SIGTERM or SIGINT. Any number may run; one leads, the others take over within 15 s.

    `chores` are what other rooms do by themselves when their time has come (certification's decisions); each is quick
    when there is nothing to do.
    """
    with Leadership(app.config["SQLALCHEMY_DATABASE_URI"]) as leadership:
        metronome = BlockingScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
        schedule(metronome, app, leadership, channels, enqueue, tick_seconds, chores)
        leadership.renew()
        signal.signal(signal.SIGTERM, _stop)
        with suppress(KeyboardInterrupt, SystemExit):
            metronome.start()
        # Waits for the parts that are in the middle of something.
        metronome.shutdown()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def schedule(
    metronome: BackgroundScheduler | BlockingScheduler,
    app: Flask,
    leadership: Leadership,
    channels: Channels,
    enqueue: Enqueue,
    tick_seconds: int,
    chores: Sequence[Callable[[], object]] = (),
) -> None:
    """Puts the periodic parts on the metronome, each done only while this scheduler leads."""

    def beat(name: str, part: Callable[[], object], seconds: int) -> None:
        metronome.add_job(lambda: _beat(app, leadership, name, part), "interval", seconds=seconds, id=name)

    metronome.add_job(leadership.renew, "interval", seconds=RENEW_SECONDS, id="lead")
    # Beside each other: a long draw must not hold up what is due.
    watch = CallWatch()
    beat("turn", lambda: _begin_draw_and_close(watch.calls_came_in), tick_seconds)
    beat("dispatch", lambda: dispatch.tick(enqueue), tick_seconds)
    beat("draw", draw, DRAW_EVERY_SECONDS)
    beat("rates", set_rates, RATES_EVERY_SECONDS)
    beat("reconcile", lambda: settle(channels), RECONCILE_EVERY_SECONDS)
    if chores:
        beat("chores", lambda: do_chores(chores), CHORES_EVERY_SECONDS)


def _beat(app: Flask, leadership: Leadership, name: str, part: Callable[[], object]) -> None:
    """One beat of one part. What goes wrong is logged and tried again at the next beat: the clockwork must not stop."""
    if not leadership.held:
        return
    with app.app_context():
        try:
            part()
        except Exception:
            db.session.rollback()
            log.exception("a part of the clockwork failed; it is tried again at its next beat", part=name)


class CallWatch:
    """Whether calls came in, asked every second: the last days' calls are only gone through when one may be new."""

    def __init__(self) -> None:
        self._quiet_with: int | None = None
        self._look_again_at = datetime.min.replace(tzinfo=UTC)

    def calls_came_in(self) -> bool:
        """Whether a fresh call of an open campaign has no draw yet.

        While the newest call is the one there was when none had, the answer is no without a look; a look is taken every
        minute all the same: a call may come to its campaign by a later record, or be committed behind newer ones.
        """
        newest = db.session.scalar(select(func.max(Call.id)))
        if newest == self._quiet_with and clock.now() < self._look_again_at:
            return False
        if _calls_came_in():
            return True
        self._quiet_with, self._look_again_at = newest, clock.now() + LOOK_AGAIN_AFTER
        return False


def _calls_came_in() -> bool:
    """Whether a fresh call of an open campaign has no draw yet: goes through those of the last days."""
    return any(waits_for_draw(campaign, clock.now() - FRESH) for campaign in drawing.open_campaigns())
