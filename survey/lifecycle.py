"""How a survey ends: complete at the third core answer, otherwise at its deadline, an opt-out or a newer call.

The response is derived once, here. What a survey came to is a pure function of its evidence (`disposition_of`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from survey import attempts, clock, optouts
from survey.db import db
from survey.models import (
    Answer,
    Attempt,
    AttemptState,
    Call,
    Channel,
    Customer,
    Disposition,
    OptOutSource,
    Outcome,
    Response,
    Survey,
)
from survey.questionnaire import CORE_KEYS


def by_the_customer(attempt_id: Any) -> ColumnElement[bool]:
    """Whether what is said over that attempt (a column, or a parameter) is the customer's own.

    It is not where it was said by somebody who was the wrong person.
    """
    given = Attempt.__table__.alias()
    by_another = select(given.c.id).where(given.c.id == attempt_id, given.c.outcome == Outcome.WRONG_PERSON)
    return ~by_another.exists()


# On Answer.
BY_THE_CUSTOMER = by_the_customer(Answer.attempt_id)
CHANNEL_OF_KIND = {kind: channel for channel, kind in optouts.KIND_OF_CHANNEL.items()}


@dataclass(frozen=True)
class Evidence:
    """What is known of a survey when it closes: core questions answered in time and late, its attempts' outcomes."""

    in_time: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    outcomes: tuple[Outcome, ...] = ()
    opted_out: bool = False
    superseded: bool = False


# The strongest sign of contact decides; the order follows the AAPOR groups from refusal to never tried.
BY_OUTCOME: tuple[tuple[Outcome, Disposition], ...] = (
    (Outcome.OPTED_OUT, Disposition.OPTED_OUT),
    (Outcome.HUNG_UP, Disposition.BROKEN_OFF),
    (Outcome.NO_INPUT, Disposition.BROKEN_OFF),
    (Outcome.LATER, Disposition.BROKEN_OFF),
    (Outcome.WRONG_PERSON, Disposition.WRONG_PERSON),
    (Outcome.VOICEMAIL, Disposition.VOICEMAIL),
    (Outcome.NO_ANSWER, Disposition.NO_ANSWER),
    (Outcome.BUSY, Disposition.BUSY),
    (Outcome.SILENCE, Disposition.EMAIL_SILENCE),
    (Outcome.BOUNCED, Disposition.EMAIL_BOUNCED),
    (Outcome.DEAD, Disposition.DEAD_NUMBER),
    (Outcome.FAILED, Disposition.CHANNEL_FAILED),
    (Outcome.UNKNOWN, Disposition.CHANNEL_FAILED),
)


def disposition_of(evidence: Evidence) -> Disposition:
    """What the survey came to. Answers outweigh everything; then refusal, newer call, late completion, contact."""
    if evidence.in_time.issuperset(CORE_KEYS):
        return Disposition.COMPLETE
    if evidence.in_time:
        return Disposition.PARTIAL
    if evidence.opted_out:
        return Disposition.OPTED_OUT
    if evidence.superseded:
        return Disposition.SUPERSEDED
    if evidence.late.issuperset(CORE_KEYS):
        return Disposition.LATE
    return next((ended for outcome, ended in BY_OUTCOME if outcome in evidence.outcomes), Disposition.NEVER_ATTEMPTED)


def close(
    survey: Survey,
    at: datetime,
    *,
    opted_out: bool = False,
    superseded_by: Call | None = None,
) -> Disposition:
    """Closes an open survey (locked by the caller): ends its attempts, derives the response, sets the disposition."""
    end_attempts(survey, at)
    rows = answers_of(survey.id)
    in_time = [row for row in rows if not row.late]
    evidence = Evidence(
        in_time=_core(in_time),
        late=_core(row for row in rows if row.late),
        # What attempts came to is asked only where no answer outweighs it.
        outcomes=() if in_time else _outcomes(survey.id),
        opted_out=opted_out,
        superseded=superseded_by is not None,
    )
    survey.disposition = disposition_of(evidence)
    survey.closed_at = at
    survey.plan_at = None
    survey.superseded_by_call_id = None if superseded_by is None else superseded_by.id
    if evidence.in_time:
        _derive_response(survey, in_time, at)
    db.session.flush()
    return survey.disposition


def end_attempts(survey: Survey, at: datetime) -> None:
    """Cancels what has not begun; a link that is out ends as answered or as silence.

    A live call ends by its own callback.
    """
    waiting = Attempt.state.in_(attempts.WAITING)
    link_is_out = and_(Attempt.channel == Channel.WEB, Attempt.state == AttemptState.UNDERWAY)
    answered = select(Answer.id).where(Answer.attempt_id == Attempt.id, Answer.late.is_(False)).exists()
    db.session.execute(
        update(Attempt)
        .where(Attempt.survey_id == survey.id, or_(waiting, link_is_out))
        .values(
            state=case((waiting, AttemptState.CANCELLED), else_=AttemptState.ENDED),
            outcome=case((waiting, None), (answered, Outcome.COMPLETED), else_=Outcome.SILENCE),
            detail=case((waiting, "the survey closed"), else_=Attempt.detail),
            ended_at=at,
        )
        .execution_options(synchronize_session=False)
    )


def close_expired(limit: int = 500) -> int:
    """Closes surveys whose deadline has passed; returns how many. Rows another machine holds are left to it."""
    now = clock.now()
    expired = db.session.scalars(
        select(Survey)
        .where(Survey.closed_at.is_(None), Survey.deadline <= now)
        .order_by(Survey.deadline, Survey.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Survey)
    ).all()
    for survey in expired:
        close(survey, now)
    return len(expired)


def opt_out(survey: Survey, kinds: Collection[str], source: OptOutSource) -> None:
    """The customer asks to be left alone at the contacts of `kinds` ("phone", "email").

    Records it, ends this survey, and stops what waits for the same contact in others, which are planned anew.
    """
    customer = survey.customer
    optouts.add_customer(customer, kinds, source, survey.id)
    if survey.is_open:
        close(survey, clock.now(), opted_out=True)
    attempts.cancel_waiting(
        _open_surveys_of(customer), "the customer opted out", [CHANNEL_OF_KIND[kind] for kind in kinds]
    )


def locked(survey_id: int) -> Survey:
    """The survey, locked until the transaction ends: one writer at a time decides what an answer came to."""
    return db.session.scalars(
        select(Survey)
        .where(Survey.id == survey_id)
        .with_for_update(of=Survey)
        .execution_options(populate_existing=True)
    ).one()


def answers_of(survey_id: int) -> Sequence[Answer]:
    """The customer's own answers in the order they were appended."""
    return db.session.scalars(
        select(Answer).where(Answer.survey_id == survey_id, BY_THE_CUSTOMER).order_by(Answer.id)
    ).all()


def latest_values(rows: Iterable[Answer]) -> dict[str, Answer]:
    """The last answer to each question, `rows` being in the order they were appended.

    Within one attempt the sequence says which is last: a webhook may arrive after its successor.
    """
    latest: dict[str, Answer] = {}
    for row in rows:
        before = latest.get(row.question)
        overtaken = before is not None and before.attempt_id == row.attempt_id and before.sequence > row.sequence
        if not overtaken:
            latest[row.question] = row
    return latest


def _derive_response(survey: Survey, rows: Collection[Answer], at: datetime) -> None:
    latest: Mapping[str, Answer] = latest_values(row for row in rows if row.question in CORE_KEYS)
    values = {key: answer.value for key, answer in latest.items()}
    last = max(latest.values(), key=lambda answer: answer.id)
    row = insert(Response).values(
        survey_id=survey.id,
        complete=len(values) == len(CORE_KEYS),
        resolved=values.get("resolved"),
        overall=_score(values.get("overall")),
        agent=_score(values.get("agent")),
        channel=last.channel,
        derived_at=at,
    )
    db.session.execute(row.on_conflict_do_nothing(index_elements=["survey_id"]))


def _score(value: str | None) -> int | None:
    return None if value is None else int(value)


def _core(rows: Iterable[Answer]) -> frozenset[str]:
    return frozenset(row.question for row in rows if row.question in CORE_KEYS)


def _outcomes(survey_id: int) -> tuple[Outcome, ...]:
    rows = db.session.scalars(
        select(Attempt.outcome)
        .where(Attempt.survey_id == survey_id, Attempt.outcome.is_not(None))
        .order_by(Attempt.ordinal)
    )
    return tuple(outcome for outcome in rows if outcome is not None)


def _open_surveys_of(customer: Customer) -> list[int]:
    """Open surveys of everybody who shares the customer's phone or email: an opt-out is the contact's."""
    same_contact = [Customer.id == customer.id]
    if customer.phone_index is not None:
        same_contact.append(Customer.phone_index == customer.phone_index)
    if customer.email_index is not None:
        same_contact.append(Customer.email_index == customer.email_index)
    rows = db.session.scalars(
        select(Survey.id)
        .join(Customer, Customer.id == Survey.customer_id)
        .where(Customer.organisation_id == customer.organisation_id, or_(*same_contact), Survey.closed_at.is_(None))
    )
    return list(rows)
