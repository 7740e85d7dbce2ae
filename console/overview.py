"""The overview: today's promises, answers against plan, rates, channel health, and what needs a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import ColumnElement, Row, case, cast, distinct, func, select
from sqlalchemy import Date as SqlDate

from certification import rules
from certification.counts import world_class
from certification.interval import wilson
from console import decisions
from console.scope import Scope
from survey.db import db
from survey.models import (
    Attempt,
    AttemptState,
    Campaign,
    CampaignState,
    Channel,
    Disposition,
    Draw,
    Outcome,
    Response,
    Site,
    Standstill,
    Survey,
    campaign_sites,
)

RATE_DAYS = 30
HEALTH_DAYS = 7
# Whose world class call and line the overview shows: a rate beside the line has enough digits to tell the side.
CORE_RULE_SET = "sqm-2011"
STUCK_AFTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Promises:
    """Surveys open, those due within 24 hours and those of them not asked yet, and what closed today by disposition.

    Today is the present day at each survey's own site.
    """

    open: int
    due: int
    due_unasked: int
    closed: list[tuple[Disposition, int]]


@dataclass(frozen=True)
class Rates:
    """Of surveys closed in the last 30 days: all, the complete among them, the world class calls among those."""

    closed: int
    complete: int
    world_class: int

    @property
    def response_rate(self) -> Fraction | None:
        """AAPOR RR1: every drawn call is known to be eligible, so it is complete over all."""
        return Fraction(self.complete, self.closed) if self.closed else None

    @property
    def world_class_rate(self) -> Fraction | None:
        return Fraction(self.world_class, self.complete) if self.complete else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.world_class, self.complete)


@dataclass(frozen=True)
class Health:
    """Attempts that ended in the last 7 days, by channel and outcome; `stuck` hang while being placed."""

    outcomes: dict[Channel, list[tuple[Outcome, int]]]
    stuck: int


@dataclass(frozen=True)
class Page:
    """Everything the overview shows."""

    standstill: Standstill | None
    promises: Promises
    plan: Sequence[Row[Any]]
    scheduled: Sequence[Campaign]
    rates: Rates
    health: Health
    to_decide: list[decisions.Item]
    started: bool
    line: Fraction


def read(within: Scope, now: datetime) -> Page:
    """The overview of what is in reach, as of `now`."""
    standstill = db.session.scalar(select(Standstill).where(Standstill.in_force))
    health = Health(_outcomes(within, now), _stuck(within, now))
    return Page(
        standstill=standstill,
        promises=_promises(within, now),
        plan=_plan(within),
        scheduled=_scheduled(within),
        rates=_rates(within, now),
        health=health,
        to_decide=decisions.read(within, now, health.stuck),
        started=db.session.scalar(select(within.campaign_ids().exists())) or False,
        line=rules.load(CORE_RULE_SET).threshold,
    )


def _promises(within: Scope, now: datetime) -> Promises:
    due = Survey.deadline <= now + timedelta(hours=24)
    begun = select(Attempt.id).where(Attempt.survey_id == Survey.id, Attempt.started_at.is_not(None)).exists()
    row = db.session.execute(
        select(func.count(), _how_many(due), _how_many(due & ~begun)).where(
            Survey.closed_at.is_(None), Survey.campaign_id.in_(within.campaign_ids())
        )
    ).one()
    return Promises(row[0], row[1], row[2], _closed_today(within, now))


def _closed_today(within: Scope, now: datetime) -> list[tuple[Disposition, int]]:
    count = func.count()
    today = cast(func.timezone(Site.time_zone, now), SqlDate)
    rows = db.session.execute(
        select(Survey.disposition, count)
        .join(Site, Site.id == Survey.site_id)
        .where(
            within.holds(Site.organisation_id),
            # No day anywhere is longer than this; it spares the older rows the reckoning of their local day.
            Survey.closed_at > now - timedelta(hours=26),
            cast(func.timezone(Site.time_zone, Survey.closed_at), SqlDate) == today,
        )
        .group_by(Survey.disposition)
        .order_by(count.desc(), Survey.disposition)
    )
    return [(disposition, number) for disposition, number in rows if disposition is not None]


def _plan(within: Scope) -> Sequence[Row[Any]]:
    """Each running campaign: complete answers against its sites' target, agents answered about and at their target.

    And whether any of its calls has been decided, and any drawn.
    """
    complete = (
        select(Survey.campaign_id, Survey.agent_id, func.count().label("n"))
        .join(Response, Response.survey_id == Survey.id)
        .where(Response.complete)
        .group_by(Survey.campaign_id, Survey.agent_id)
        .subquery()
    )
    sites = (
        select(campaign_sites.c.campaign_id, func.count().label("sites"))
        .group_by(campaign_sites.c.campaign_id)
        .subquery()
    )
    return db.session.execute(
        select(
            Campaign,
            func.coalesce(func.sum(complete.c.n), 0).label("complete"),
            (func.coalesce(sites.c.sites, 0) * Campaign.target_site).label("target"),
            func.count(distinct(complete.c.agent_id)).label("agents"),
            _how_many((complete.c.n >= Campaign.target_agent) & complete.c.agent_id.is_not(None)).label("agents_there"),
            select(Draw.id).where(Draw.campaign_id == Campaign.id).exists().label("decided"),
            select(Survey.id).where(Survey.campaign_id == Campaign.id).exists().label("drawn"),
        )
        .outerjoin(complete, complete.c.campaign_id == Campaign.id)
        .outerjoin(sites, sites.c.campaign_id == Campaign.id)
        .where(within.holds(Campaign.organisation_id), Campaign.state.in_([CampaignState.ACTIVE, CampaignState.PAUSED]))
        .group_by(Campaign.id, sites.c.sites)
        .order_by(Campaign.name, Campaign.id)
    ).all()


def _scheduled(within: Scope) -> Sequence[Campaign]:
    """The campaigns that are launched and have not begun, the next one first."""
    return db.session.scalars(
        select(Campaign)
        .where(within.holds(Campaign.organisation_id), Campaign.state == CampaignState.SCHEDULED)
        .order_by(Campaign.starts_on, Campaign.name, Campaign.id)
    ).all()


def _rates(within: Scope, now: datetime) -> Rates:
    row = db.session.execute(
        select(
            func.count(),
            _how_many(Survey.disposition == Disposition.COMPLETE),
            _how_many((Survey.disposition == Disposition.COMPLETE) & world_class(rules.load(CORE_RULE_SET))),
        )
        .select_from(Survey)
        .outerjoin(Response, Response.survey_id == Survey.id)
        .where(Survey.closed_at > now - timedelta(days=RATE_DAYS), Survey.campaign_id.in_(within.campaign_ids()))
    ).one()
    return Rates(row[0], row[1], row[2])


def _outcomes(within: Scope, now: datetime) -> dict[Channel, list[tuple[Outcome, int]]]:
    count = func.count()
    rows = db.session.execute(
        select(Attempt.channel, Attempt.outcome, count)
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(
            Attempt.state == AttemptState.ENDED,
            Attempt.ended_at > now - timedelta(days=HEALTH_DAYS),
            Survey.campaign_id.in_(within.campaign_ids()),
        )
        .group_by(Attempt.channel, Attempt.outcome)
        .order_by(Attempt.channel, count.desc(), Attempt.outcome)
    )
    by_channel: dict[Channel, list[tuple[Outcome, int]]] = {}
    for channel, outcome, number in rows:
        if outcome is not None:
            by_channel.setdefault(channel, []).append((outcome, number))
    return by_channel


def _stuck(within: Scope, now: datetime) -> int:
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Attempt)
            .join(Survey, Survey.id == Attempt.survey_id)
            .where(
                Attempt.state == AttemptState.DIALLING,
                Attempt.started_at < now - STUCK_AFTER,
                Survey.campaign_id.in_(within.campaign_ids()),
            )
        )
        or 0
    )


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))
