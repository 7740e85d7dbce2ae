"""A line: an attempt somebody may be talking on. Finds it for a webhook, and ties Twilio's call to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from ivr.conversation import Situation
from ivr.twiml import Facts
from ivr.wording import LANGUAGES, spoken
from survey import attempts, clock, lifecycle, logs
from survey.answers import Asking
from survey.db import db
from survey.models import (
    Answer,
    Attempt,
    AttemptEvent,
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
# An attempt event: the key of the step that is its sequence came too soon.
KEY_IGNORED = "key ignored"


def _line_of() -> Select[tuple[object, ...]]:
    """The line of `attempt_id`: columns alone, because no webhook changes what it reads here."""
    attempts_, surveys, campaigns = Attempt.__table__.c, Survey.__table__.c, Campaign.__table__.c
    customers, organisations, sites = Customer.__table__.c, Organisation.__table__.c, Site.__table__.c
    answers = Answer.__table__.c
    own = lifecycle.by_the_customer(answers.attempt_id)
    answered = select(func.array_agg(answers.question)).where(answers.survey_id == surveys.id, own)
    last_step = select(func.max(answers.sequence)).where(answers.attempt_id == attempts_.id)
    events = AttemptEvent.__table__.c
    ignored = select(func.array_agg(events.sequence)).where(
        events.attempt_id == attempts_.id,
        events.provider_id == attempts_.provider_id,
        events.kind == KEY_IGNORED,
    )
    return (
        select(
            attempts_.survey_id,
            attempts_.state,
            attempts_.outcome,
            attempts_.provider_id,
            campaigns.questionnaire,
            campaigns.languages,
            campaigns.speech,
            surveys.language,
            surveys.deadline,
            surveys.disposition,
            customers.language.label("own_language"),
            customers.relay,
            organisations.name,
            organisations.phone,
            sites.time_zone,
            answered.correlate(Survey.__table__).scalar_subquery().label("answered"),
            last_step.correlate(Attempt.__table__).scalar_subquery().label("last_step"),
            ignored.correlate(Attempt.__table__).scalar_subquery().label("ignored"),
        )
        .join(Survey.__table__, surveys.id == attempts_.survey_id)
        .join(Customer.__table__, customers.id == surveys.customer_id)
        .join(Campaign.__table__, campaigns.id == surveys.campaign_id)
        .join(Organisation.__table__, organisations.id == campaigns.organisation_id)
        .join(Site.__table__, sites.id == surveys.site_id)
        .where(attempts_.id == bindparam("attempt_id"), attempts_.channel == Channel.IVR)
    )


# Made once: putting a statement together takes as long as asking it.
LINE_OF = _line_of()
# A statement of its own: what is read in the one that waits for a lock is read as of before the wait.
LOCK_OF = (
    select(Survey.__table__.c.id)
    .where(
        Survey.__table__.c.id
        == select(Attempt.__table__.c.survey_id)
        .where(Attempt.__table__.c.id == bindparam("attempt_id"))
        .scalar_subquery()
    )
    .with_for_update()
)


@dataclass(frozen=True)
class Line:
    """The attempt of a webhook, with what the conversation is decided from and what its prompts speak of.

    `steps` is the next free step number: higher than any that an answer of this attempt carries, or a key ignored.
    """

    asking: Asking
    situation: Situation
    facts: Facts
    steps: int
    state: AttemptState
    outcome: Outcome | None
    call_sid: str | None
    disposition: Disposition | None


def pick_up(attempt_id: int, call_sid: str, *, locked: bool = False) -> Line | None:
    """The line of a webhook, its call SID bound to the attempt; None for a call that is not ours.

    Not ours: an attempt unknown or not begun, or one that another call is bound to. `locked`: with the survey's row
    locked, for whoever is to write down what it came to. Flushes; rolls back on a conflict.
    """
    line = find(attempt_id, locked=locked)
    if line is None or not call_sid or not _bound(line, call_sid):
        log.warning("webhook of an unknown call", attempt=attempt_id, call_sid=call_sid)
        return None
    return line


def find(attempt_id: int, *, locked: bool = False) -> Line | None:
    """The line of a phone attempt, in one query: webhooks are many."""
    connection, asked = db.session.connection(), {"attempt_id": attempt_id}
    if locked:
        connection.execute(LOCK_OF, asked)
    row = connection.execute(LINE_OF, asked).one_or_none()
    if row is None:
        return None
    asking = Asking(row.survey_id, attempt_id, Channel.IVR, row.questionnaire, row.deadline, row.disposition is None)
    situation = Situation(
        questionnaire=row.questionnaire,
        answered=frozenset(row.answered or ()),
        language=spoken(row.language),
        languages=tuple(tag for tag in row.languages if tag in LANGUAGES),
        choosing=not row.own_language,
        open=asking.open,
        past_deadline=clock.now() >= row.deadline,
        ignored=frozenset(row.ignored or ()),
    )
    facts = Facts(row.name, row.phone, _last_day(row.deadline, row.time_zone), row.relay, row.speech)
    steps_taken = 1 + max(-1 if row.last_step is None else row.last_step, *situation.ignored, -1)
    return Line(asking, situation, facts, steps_taken, row.state, row.outcome, row.provider_id, row.disposition)


def _bound(line: Line, call_sid: str) -> bool:
    """Ties the call to the attempt if it is the first to say so; whether this call is the attempt's own.

    The webhook may well come before the answer to our own POST, and it is the only news when that answer is lost.
    """
    if line.call_sid is not None:
        return line.call_sid == call_sid
    attempt_id = line.asking.attempt_id
    given_up = line.state is AttemptState.ENDED and line.outcome is Outcome.UNKNOWN
    if line.state is not AttemptState.DIALLING and not given_up:
        return False
    lifecycle.locked(line.asking.survey_id)  # the survey, then its attempts: as everybody does who takes both
    try:
        if given_up:  # Reconciling found no call, and here it is: somebody is on the line, so they are heard.
            db.session.execute(
                update(Attempt)
                .where(Attempt.id == attempt_id, Attempt.provider_id.is_(None))
                .values(provider_id=call_sid)
                .execution_options(synchronize_session=False)
            )
        elif attempts.underway(attempt_id, call_sid):
            return True
        return db.session.scalar(select(Attempt.provider_id).where(Attempt.id == attempt_id)) == call_sid
    except IntegrityError:  # The call was adopted for another attempt (see reconciling.py): it stays there.
        db.session.rollback()
        return False


def _last_day(deadline: datetime, zone: str) -> date:
    return (deadline - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
