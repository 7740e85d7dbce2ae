"""What one call's survey counts for: the periods it falls in, for whom, and what was decided there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload

from survey.db import db
from survey.models import Assessment, Level, Period, Programme, Survey, programme_campaigns

NOT_CERTAIN = "It is not certain who handled the call last: no agent and no supervisor is credited."


@dataclass(frozen=True)
class Subject:
    """Somebody or something the survey is credited to."""

    level: Level
    id: int
    name: str


@dataclass(frozen=True)
class Credit:
    """One subject in one period: whether the survey is in its scope, and the assessment when it is made."""

    subject: Subject
    in_scope: bool
    assessment: Assessment | None


@dataclass(frozen=True)
class Counting:
    """What a survey counts for; `why_not` says why it counts for nothing, `programmes` have it in their frame.

    `left_out` says why no agent is credited, where none is.
    """

    day: date
    subjects: list[Subject]
    left_out: str
    why_not: str
    programmes: list[Programme]
    periods: list[tuple[Period, list[Credit]]]


def of(survey: Survey, complete: bool) -> Counting:
    """What the survey counts for: every subject frozen at the draw, in each period its call's local day falls in."""
    day = survey.call.ended_at.astimezone(ZoneInfo(survey.site.time_zone)).date()
    subjects = _subjects(survey)
    programmes = _programmes(survey.campaign_id)
    periods = _periods(survey, day)
    made = _assessments(periods, subjects)
    return Counting(
        day=day,
        subjects=subjects,
        left_out=NOT_CERTAIN if survey.agent is None else "",
        why_not=_why_not(survey, complete, bool(programmes or periods)),
        programmes=programmes,
        periods=[(period, [_credit(period, subject, made) for subject in subjects]) for period in periods],
    )


def _why_not(survey: Survey, complete: bool, framed: bool) -> str:
    if survey.is_open:
        return "Nothing yet: the survey is open."
    if not complete:
        return "Nothing: only surveys closed with all three core answers before the deadline are counted."
    return "" if framed else "Nothing: its campaign belongs to no programme."


def _subjects(survey: Survey) -> list[Subject]:
    organisation = survey.site.organisation
    subjects = []
    if survey.agent is not None:
        subjects.append(Subject(Level.AGENT, survey.agent.id, survey.agent.name))
    if survey.supervisor is not None:
        subjects.append(Subject(Level.SUPERVISOR, survey.supervisor.id, survey.supervisor.name))
    subjects.append(Subject(Level.SITE, survey.site_id, survey.site.name))
    subjects.append(Subject(Level.ORGANISATION, organisation.id, organisation.name))
    return subjects


def _programmes(campaign_id: int) -> list[Programme]:
    return list(
        db.session.scalars(
            select(Programme)
            .join(programme_campaigns, programme_campaigns.c.programme_id == Programme.id)
            .where(programme_campaigns.c.campaign_id == campaign_id)
            .order_by(Programme.id)
        )
    )


def _periods(survey: Survey, day: date) -> list[Period]:
    """The announced periods of the organisation that have the day, and the campaign in the frame they froze."""
    rows = db.session.scalars(
        select(Period)
        .join(Programme, Programme.id == Period.programme_id)
        .where(Programme.organisation_id == survey.site.organisation_id, Period.starts_on <= day, Period.ends_on >= day)
        .options(joinedload(Period.programme))
        .order_by(Period.starts_on, Period.id)
    )
    return [period for period in rows if survey.campaign_id in period.scope["campaigns"]]


def _assessments(periods: list[Period], subjects: list[Subject]) -> dict[tuple[int, Level, int], Assessment]:
    wanted = [(subject.level, subject.id) for subject in subjects]
    rows = db.session.scalars(
        select(Assessment).where(
            Assessment.period_id.in_([period.id for period in periods]),
            tuple_(Assessment.level, Assessment.subject_id).in_(wanted),
        )
    )
    return {(row.period_id, row.level, row.subject_id): row for row in rows}


def _credit(period: Period, subject: Subject, made: dict[tuple[int, Level, int], Assessment]) -> Credit:
    # Sites are frozen at the announcement; people hired later are assessed too, by the surveys they have.
    in_scope = subject.level is not Level.SITE or subject.id in period.scope["sites"]
    return Credit(subject, in_scope, made.get((period.id, subject.level, subject.id)))
