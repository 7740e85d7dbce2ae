"""A line: an attempt somebody may be talking on. Finds it for a webhook, and ties Twilio's call to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError

from ivr.conversation import Situation
from ivr.twiml import Facts
from ivr.wording import LANGUAGES, spoken
from survey import attempts, clock, lifecycle, logs
from survey.db import db
from survey.models import (
    Answer,
    Attempt,
    AttemptState,
    Campaign,
    Channel,
    Customer,
    Disposition,
    Organisation,
    Outcome,
    Site,
    Survey,
)

log = logs.logger("ivr")


# Made once: putting it together takes as long as asking it.
LINE_OF = (
    select(
        Attempt,
        Campaign,
        Survey.language,
        Survey.deadline,
        Survey.disposition,
        Customer.language.label("own_language"),
        Customer.relay,
        Organisation.name,
        Organisation.phone,
        Site.time_zone,
        select(func.array_agg(Answer.question))
        .where(Answer.survey_id == Survey.id, lifecycle.BY_THE_CUSTOMER)
        .scalar_subquery()
        .label("answered"),
        select(func.max(Answer.sequence)).where(Answer.attempt_id == Attempt.id).scalar_subquery().label("last_step"),
    )
    .join(Survey, Survey.id == Attempt.survey_id)
    .join(Customer, Customer.id == Survey.customer_id)
    .join(Campaign, Campaign.id == Survey.campaign_id)
    .join(Organisation, Organisation.id == Campaign.organisation_id)
    .join(Site, Site.id == Survey.site_id)
    .where(Attempt.id == bindparam("attempt_id"), Attempt.channel == Channel.IVR)
)


@dataclass(frozen=True)
class Line:
    """The attempt of a webhook, with what the conversation is decided from and what its prompts speak of.

    `steps` is the next free step number: higher than any answer of this attempt carries. `campaign` is here so that the
    session keeps it while answers are taken.
    """

    attempt: Attempt
    campaign: Campaign
    situation: Situation
    facts: Facts
    steps: int
    disposition: Disposition | None


def pick_up(attempt_id: int, call_sid: str) -> Line | None:
    """The line of a webhook, its call SID bound to the attempt; None for a call that is not ours.

    Not ours: an attempt unknown or not begun, or one that another call is bound to. Flushes; rolls back on a conflict.
    """
    line = find(attempt_id)
    if line is None or not call_sid or not _bound(line.attempt, call_sid):
        log.warning("webhook of an unknown call", attempt=attempt_id, call_sid=call_sid)
        return None
    return line


def find(attempt_id: int) -> Line | None:
    """The line of a phone attempt, in one query: webhooks are many."""
    row = db.session.execute(LINE_OF, {"attempt_id": attempt_id}).one_or_none()
    if row is None:
        return None
    situation = Situation(
        questionnaire=row.Campaign.questionnaire,
        answered=frozenset(row.answered or ()),
        language=spoken(row.language),
        languages=tuple(tag for tag in row.Campaign.languages if tag in LANGUAGES),
        choosing=not row.own_language,
        open=row.disposition is None,
        past_deadline=clock.now() >= row.deadline,
    )
    facts = Facts(row.name, row.phone, _last_day(row.deadline, row.time_zone), row.relay)
    steps_taken = 0 if row.last_step is None else row.last_step + 1
    return Line(row.Attempt, row.Campaign, situation, facts, steps_taken, row.disposition)


def _bound(attempt: Attempt, call_sid: str) -> bool:
    """Ties the call to the attempt if it is the first to say so; whether this call is the attempt's own.

    The webhook may well come before the answer to our own POST, and it is the only news when that answer is lost.
    """
    if attempt.provider_id is not None:
        return attempt.provider_id == call_sid
    given_up = attempt.state is AttemptState.ENDED and attempt.outcome is Outcome.UNKNOWN
    if attempt.state is not AttemptState.DIALLING and not given_up:
        return False
    try:
        if given_up:  # Reconciling found no call, and here it is: somebody is on the line, so they are heard.
            attempt.provider_id = call_sid
            db.session.flush()
        elif not attempts.underway(attempt.id, call_sid):
            db.session.refresh(attempt)
            return attempt.provider_id == call_sid
    except IntegrityError:  # The call was adopted for another attempt (see reconciling.py): it stays there.
        db.session.rollback()
        return False
    return True


def _last_day(deadline: datetime, zone: str) -> date:
    return (deadline - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
