"""Planning: each open survey whose time has come gets its next attempt, as a row with its time and its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from sqlalchemy import ColumnElement, and_, any_, func, insert, or_, select, update

from scheduler import spending
from scheduler.circumstances import array_of
from scheduler.eligibility import why_not_called
from scheduler.hours import Window
from scheduler.policy import (
    NUMBER_REST,
    WEB_SILENCE,
    Dial,
    Mail,
    Step,
    SurveyFacts,
    Tried,
    Wait,
    next_step,
)
from survey import attempts, clock
from survey.db import db
from survey.lifecycle import BY_THE_CUSTOMER
from survey.models import (
    Answer,
    Attempt,
    AttemptState,
    Campaign,
    CampaignState,
    Channel,
    Customer,
    OptOut,
    Outcome,
    Site,
    Survey,
)

# A row of _SURVEYS below.
SurveyRow = Any
_SURVEYS = (
    select(
        Survey.id,
        Survey.deadline,
        Survey.channels,
        Survey.campaign_id,
        Customer.organisation_id,
        Customer.phone,
        Customer.phone_index,
        Customer.email_index,
        Customer.consents_to_calls,
        Campaign.calls_need_consent,
        Site.time_zone,
    )
    .join(Customer, Customer.id == Survey.customer_id)
    .join(Site, Site.id == Survey.site_id)
    .join(Campaign, Campaign.id == Survey.campaign_id)
)


def plan_due(limit: int = 500) -> int:
    """Plans the next step of up to `limit` surveys of active campaigns whose time to think has come; returns how many.

    Earliest deadline first. Rows another machine holds are left to it. Flushes; the caller commits.
    """
    now = clock.now()
    surveys = _due(now, limit)
    if not surveys:
        return 0
    facts = _facts(surveys, now, _optouts(surveys))
    _write([(one, next_step(one)) for one in facts])
    return len(surveys)


def facts_as_of(survey: Survey, at: datetime) -> SurveyFacts:
    """What decided on a survey's next step at `at`: dials and opt-outs of then, everything else as it is set now.

    For explanations. What the survey's closing did to its attempts is left out.
    """
    row = db.session.execute(_SURVEYS.where(Survey.id == survey.id)).one()
    (facts,) = _facts([row], at, _optouts([row], at))
    closed_at = survey.closed_at
    return replace(
        facts,
        number_dials=tuple(dial for dial in facts.number_dials if dial <= at),
        tried=tuple(
            replace(one, state=AttemptState.UNDERWAY, outcome=None, ended_at=None)
            if one.channel is Channel.WEB and closed_at is not None and one.ended_at == closed_at and one.started_at
            else one
            for one in facts.tried
        ),
    )


def window_of(campaign: Campaign) -> Window:
    """The campaign's calling hours."""
    own = tuple(
        (int(day), time.fromisoformat(begins), time.fromisoformat(ends))
        for day, (begins, ends) in sorted(campaign.hours_by_weekday.items())
    )
    return Window(
        campaign.call_from, campaign.call_until, tuple(campaign.call_weekdays), own, campaign.call_on_holidays
    )


def dials_begun(indexes: Collection[tuple[int, bytes]], since: datetime) -> dict[tuple[int, bytes], list[datetime]]:
    """When dials to these numbers, given as (organisation id, phone index), were begun after `since`, oldest first."""
    dials: dict[tuple[int, bytes], list[datetime]] = defaultdict(list)
    rows = db.session.execute(
        select(Customer.organisation_id, Customer.phone_index, Attempt.started_at)
        .join(Survey, Survey.customer_id == Customer.id)
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(
            # The index of the numbers begins with the organisation.
            Customer.organisation_id.in_({organisation_id for organisation_id, _ in indexes}),
            Customer.phone_index == any_(array_of({index for _, index in indexes})),
            Attempt.channel == Channel.IVR,
            ~Attempt.inbound,
            Attempt.started_at > since,
        )
        .order_by(Attempt.started_at)
    )
    for organisation_id, index, started_at in rows:
        if index is not None and started_at is not None:
            dials[organisation_id, index].append(started_at)
    return dials


def _due(now: datetime, limit: int) -> Sequence[SurveyRow]:
    return db.session.execute(
        _SURVEYS.where(Survey.closed_at.is_(None), Survey.plan_at <= now, Campaign.state == CampaignState.ACTIVE)
        .order_by(Survey.deadline, Survey.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Survey)
    ).all()


def _facts(surveys: Sequence[SurveyRow], now: datetime, optouts: set[tuple[int, bytes]]) -> list[SurveyFacts]:
    campaign_ids = {row.campaign_id for row in surveys}
    campaigns = {row.id: row for row in db.session.scalars(select(Campaign).where(Campaign.id.in_(campaign_ids)))}
    spent = spending.exhausted(campaigns.values())
    tried = _tried([row.id for row in surveys])
    numbers = {(row.organisation_id, row.phone_index) for row in surveys if row.phone_index is not None}
    dials = dials_begun(numbers, now - NUMBER_REST)
    facts = []
    for row in surveys:
        campaign = campaigns[row.campaign_id]
        facts.append(
            SurveyFacts(
                survey_id=row.id,
                now=now,
                deadline=row.deadline,
                channels=tuple(Channel(name) for name in row.channels),
                tried=tuple(tried[row.id]),
                withheld=tuple(_withheld(row, optouts, spent)),
                phone=row.phone,
                site_zone=row.time_zone,
                window=window_of(campaign),
                dials_per_survey=campaign.dials_per_survey,
                dials_per_number=campaign.dials_per_number,
                number_dials=tuple(dials.get((row.organisation_id, row.phone_index), ())),
                reminders=campaign.reminders,
            )
        )
    return facts


def _tried(survey_ids: Sequence[int]) -> dict[int, list[Tried]]:
    tried: dict[int, list[Tried]] = defaultdict(list)
    answered_at = (
        select(func.max(Answer.received_at))
        .where(
            # The index of the answers begins with the survey.
            Answer.survey_id == Attempt.survey_id,
            Answer.attempt_id == Attempt.id,
            Answer.late.is_(False),
            BY_THE_CUSTOMER,
        )
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(
            Attempt.survey_id,
            Attempt.channel,
            Attempt.state,
            Attempt.outcome,
            Attempt.due_at,
            Attempt.started_at,
            Attempt.ended_at,
            answered_at,
            Attempt.id,
            Attempt.inbound,
        )
        .where(Attempt.survey_id.in_(survey_ids))
        .order_by(Attempt.survey_id, Attempt.ordinal)
    )
    for row in rows:
        tried[row.survey_id].append(Tried(*list(row)[1:]))
    return tried


def _optouts(surveys: Sequence[SurveyRow], as_of: datetime | None = None) -> set[tuple[int, bytes]]:
    """The contacts of these surveys' customers that may not be used, now or at a time, as (organisation id, index)."""
    in_force: ColumnElement[bool] = OptOut.removed_at.is_(None)
    if as_of is not None:
        in_force = and_(OptOut.created_at <= as_of, or_(in_force, OptOut.removed_at > as_of))
    indexes = {index for row in surveys for index in (row.phone_index, row.email_index) if index is not None}
    rows = db.session.execute(
        select(OptOut.organisation_id, OptOut.contact_index).where(
            OptOut.organisation_id.in_({row.organisation_id for row in surveys}),
            OptOut.contact_index == any_(array_of(indexes)),
            in_force,
        )
    )
    return {(organisation_id, index) for organisation_id, index in rows}


def _withheld(row: SurveyRow, optouts: set[tuple[int, bytes]], spent: set[int]) -> list[tuple[Channel, str]]:
    withheld = []
    contacts = ((Channel.IVR, row.phone_index, "phone number"), (Channel.WEB, row.email_index, "email address"))
    for channel, index, name in contacts:
        if index is None:
            withheld.append((channel, f"no {name}"))
        elif (row.organisation_id, index) in optouts:
            withheld.append((channel, f"the {name} is opted out"))
    without_consent = why_not_called(row.consents_to_calls, row.calls_need_consent)
    if without_consent is not None:
        withheld.append((Channel.IVR, without_consent))
    if row.campaign_id in spent:
        withheld.append((Channel.IVR, spending.CAP_REACHED))
    return withheld


def _write(steps: Sequence[tuple[SurveyFacts, Step]]) -> None:
    for _, step in steps:
        if isinstance(step, Mail) and step.reminds_of is not None:
            attempts.end(step.reminds_of, Outcome.SILENCE, "a reminder follows; this link stays open too")
    planned = [_attempt(facts, step) for facts, step in steps if isinstance(step, (Dial, Mail))]
    if planned:
        db.session.execute(insert(Attempt), planned)
    db.session.execute(
        update(Survey), [{"id": facts.survey_id, "plan_at": _think_again_at(facts, step)} for facts, step in steps]
    )


def _attempt(facts: SurveyFacts, step: Dial | Mail) -> dict[str, Any]:
    return {
        "survey_id": facts.survey_id,
        "ordinal": len(facts.tried) + 1,
        "channel": Channel.IVR if isinstance(step, Dial) else Channel.WEB,
        "state": AttemptState.PLANNED,
        "reason": step.reason,
        "due_at": step.due_at,
    }


def _think_again_at(facts: SurveyFacts, step: Step) -> datetime | None:
    """When the survey is to be planned again by itself; an attempt that ends brings that forward."""
    if isinstance(step, Wait):
        return step.plan_at
    if isinstance(step, Mail) and (facts.channels[-1] is not Channel.WEB or facts.reminders):
        return step.due_at + WEB_SILENCE
    return None
