"""Counting: n, k and what stands beside them, for every subject of a level in one grouped query.

Counted = the survey closed as complete, with all three core answers inside its deadline. Supervisor and site are the
ones the survey froze at its draw; an agent keeps every survey of the frame, wherever in the organisation it was. Where
a call's last agent is not certain the survey froze its site alone: the site counts it, and nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import ColumnElement, Date, Row, Select, and_, cast, func, select, text

from certification.judging import Counts
from certification.rules import RuleSet
from survey.db import db
from survey.models import Call, Disposition, Level, Response, Site, Survey

SUBJECT = {Level.AGENT: Survey.agent_id, Level.SUPERVISOR: Survey.supervisor_id, Level.SITE: Survey.site_id}
# No zone is further than this from UTC: a coarse bound that an index can use, before the exact local date.
ZONE_SPREAD = timedelta(hours=15)


@dataclass(frozen=True)
class Frame:
    """Which surveys are in: the programme's campaigns, calls dated (at their site) from `starts_on` to `ends_on`.

    `closed_before` leaves out what was not closed by then (None: nothing).
    """

    campaign_ids: tuple[int, ...]
    starts_on: date
    ends_on: date
    closed_before: datetime | None = None


def tally(frame: Frame, rule: RuleSet, level: Level) -> dict[int, Counts]:
    """The counts of every agent, supervisor or site with a survey in the frame, by id."""
    subject = SUBJECT[level]
    complete = _complete()
    query = (
        _within(
            select(
                subject.label("subject"),
                Survey.rate_numerator,
                Survey.rate_denominator,
                func.count().filter(complete).label("n"),
                func.count().filter(complete, world_class(rule)).label("k"),
                func.count().filter(Survey.disposition == Disposition.PARTIAL).label("partials"),
                func.count().filter(Survey.disposition == Disposition.LATE).label("late"),
                func.count().filter(Survey.disposition == Disposition.SUPERSEDED).label("superseded"),
                func.count().label("drawn"),
            ),
            frame,
        )
        .where(subject.is_not(None))
        .group_by(subject, Survey.rate_numerator, Survey.rate_denominator)
    )
    found: defaultdict[int, Counts] = defaultdict(Counts)
    for row in db.session.execute(query):
        found[row.subject] += _counts(row)
    return dict(found)


def still_open(frame: Frame) -> int:
    """How many surveys of the frame have not closed yet."""
    return db.session.scalar(_within(select(func.count()), frame).where(Survey.disposition.is_(None))) or 0


def refresh_statistics() -> None:
    """Tells the database how large the counted tables are now.

    It plans by figures that may be from before a bulk import, and a plan made for empty tables takes minutes on full
    ones.
    """
    db.session.execute(text("ANALYZE surveys, calls, responses, control_totals"))


def rows(frame: Frame) -> list[Row[Any]]:
    """The surveys that a decision rests on, in id order: complete, partial and superseded, with their answers."""
    kept = (Disposition.COMPLETE, Disposition.PARTIAL, Disposition.SUPERSEDED)
    columns = (
        Survey.id,
        Survey.agent_id,
        Survey.supervisor_id,
        Survey.site_id,
        Survey.disposition,
        Survey.rate_numerator,
        Survey.rate_denominator,
        Response.complete,
        Response.resolved,
        Response.overall,
        Response.agent,
    )
    query = _within(select(*columns), frame).where(Survey.disposition.in_(kept)).order_by(Survey.id)
    return list(db.session.execute(query))


def _within(query: Select[*tuple[Any, ...]], frame: Frame) -> Select[*tuple[Any, ...]]:
    local_day = cast(func.timezone(Site.time_zone, Call.ended_at), Date)
    earliest = datetime.combine(frame.starts_on, time(0), UTC) - ZONE_SPREAD
    latest = datetime.combine(frame.ends_on, time(0), UTC) + timedelta(days=1) + ZONE_SPREAD
    query = (
        query.select_from(Survey)
        .join(Call, Call.id == Survey.call_id)
        .join(Site, Site.id == Survey.site_id)
        .outerjoin(Response, Response.survey_id == Survey.id)
        .where(
            Survey.campaign_id.in_(frame.campaign_ids),
            Call.ended_at.between(earliest, latest),
            local_day.between(frame.starts_on, frame.ends_on),
        )
    )
    return query if frame.closed_before is None else query.where(Survey.closed_at < frame.closed_before)


def _complete() -> ColumnElement[bool]:
    return and_(Survey.disposition == Disposition.COMPLETE, Response.complete)


def world_class(rule: RuleSet) -> ColumnElement[bool]:
    """The rule's criterion on a response: scores are kept as numbers, the rule writes answers as they are given."""
    wanted = dict(rule.world_class_call)
    conditions: list[ColumnElement[bool]] = []
    if "resolved" in wanted:
        conditions.append(Response.resolved.in_(wanted["resolved"]))
    for key, column in (("overall", Response.overall), ("agent", Response.agent)):
        if key in wanted:
            conditions.append(column.in_([int(value) for value in wanted[key]]))
    return and_(*conditions)


def _counts(row: Row[Any]) -> Counts:
    weight = Fraction(row.rate_denominator, row.rate_numerator)
    return Counts(
        row.n,
        row.k,
        row.partials,
        row.late,
        row.superseded,
        row.drawn,
        weighted_n=row.n * weight,
        weighted_k=row.k * weight,
    )
