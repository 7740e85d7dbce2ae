"""Taking answers: appended, never overwritten; the third core answer completes the survey, with no further submit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from survey import clock, lifecycle
from survey.db import db
from survey.models import Answer, Attempt, Channel, Disposition
from survey.questionnaire import CORE_KEYS, Question, checked_value, next_question, question


@dataclass(frozen=True)
class Asking:
    """A survey as one attempt asks it, its row locked: one writer at a time decides what an answer came to."""

    survey_id: int
    attempt_id: int
    channel: Channel
    questionnaire: str
    deadline: datetime
    open: bool


@dataclass(frozen=True)
class Taken:
    """What became of an answer: `new` is False for a repeat, `counted` False when it came after completion or deadline.

    `next_question` is the first question this survey still lacks, None when there is none.
    """

    new: bool
    counted: bool
    next_question: Question | None


_given = Answer.__table__.alias()
_VALUES = ("survey_id", "attempt_id", "question", "value", "sequence", "channel", "received_at", "late")
# Made once: putting a statement together takes as long as asking it. It tells what was answered before, as of now that
# the survey is locked, and whether this answer is the customer's own.
_APPEND = (
    insert(Answer)
    .values({name: bindparam(name) for name in _VALUES})
    .on_conflict_do_nothing()
    .returning(
        select(func.array_agg(_given.c.question))
        .where(_given.c.survey_id == bindparam("survey_id"), lifecycle.by_the_customer(_given.c.attempt_id))
        .correlate(None)
        .scalar_subquery()
        .label("before"),
        lifecycle.by_the_customer(bindparam("attempt_id")).label("own"),
    )
)


def take(attempt: Attempt, key: str, value: str, sequence: int) -> Taken:
    """Appends the answer `value` to question `key`, given over `attempt`.

    `sequence` tells a repeated delivery (same number: one row) from a changed mind (higher number: a new row).
    Raises InputError for a value the question does not offer, NotFound for an unknown question.
    """
    survey = lifecycle.locked(attempt.survey_id)
    asking = Asking(
        survey_id=survey.id,
        attempt_id=attempt.id,
        channel=attempt.channel,
        questionnaire=survey.campaign.questionnaire,
        deadline=survey.deadline,
        open=survey.is_open,
    )
    return take_over(asking, key, value, sequence)


def take_over(asking: Asking, key: str, value: str, sequence: int) -> Taken:
    """The same as `take`, for one who has locked the survey already."""
    checked_value(question(asking.questionnaire, key), value)
    now = clock.now()
    late = now >= asking.deadline
    appended = {
        "survey_id": asking.survey_id,
        "attempt_id": asking.attempt_id,
        "question": key,
        "value": value,
        "sequence": sequence,
        "channel": asking.channel,
        "received_at": now,
        "late": late,
    }
    told = db.session.connection().execute(_APPEND, appended).one_or_none()
    if told is None:
        answered = frozenset(row.question for row in lifecycle.answers_of(asking.survey_id))
        return Taken(False, False, next_question(asking.questionnaire, answered))
    answered = frozenset(told.before or ()) | ({key} if told.own else frozenset())
    if asking.open and not late and answered.issuperset(CORE_KEYS):
        lifecycle.close(lifecycle.locked(asking.survey_id), now)
    elif late:
        _mark_late(asking.survey_id, answered)
    return Taken(True, asking.open and not late, next_question(asking.questionnaire, answered))


# A contact that failed and was then answered too late is told apart from one that never was (AAPOR 2.27).
NOT_CHANGED_BY_LATE = (
    Disposition.COMPLETE,
    Disposition.PARTIAL,
    Disposition.OPTED_OUT,
    Disposition.SUPERSEDED,
    Disposition.LATE,
)


def _mark_late(survey_id: int, answered: frozenset[str]) -> None:
    survey = lifecycle.locked(survey_id)
    closed_without = survey.disposition is not None and survey.disposition not in NOT_CHANGED_BY_LATE
    if closed_without and answered.issuperset(CORE_KEYS):
        survey.disposition = Disposition.LATE
