"""Taking answers: appended, never overwritten; the third core answer completes the survey, with no further submit."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert

from survey import clock, lifecycle
from survey.db import db
from survey.models import Answer, Attempt, Disposition, Survey
from survey.questionnaire import CORE_KEYS, Question, checked_value, next_question, question


@dataclass(frozen=True)
class Taken:
    """What became of an answer: `new` is False for a repeat, `counted` False when it came after completion or deadline.

    `next_question` is the first question this survey still lacks, None when there is none.
    """

    new: bool
    counted: bool
    next_question: Question | None


def take(attempt: Attempt, key: str, value: str, sequence: int) -> Taken:
    """Appends the answer `value` to question `key`, given over `attempt`.

    `sequence` tells a repeated delivery (same number: one row) from a changed mind (higher number: a new row).
    Raises InputError for a value the question does not offer, NotFound for an unknown question.
    """
    survey = lifecycle.locked(attempt.survey_id)
    version = survey.campaign.questionnaire
    checked_value(question(version, key), value)
    now = clock.now()
    late = now >= survey.deadline
    was_open = survey.is_open
    appended = insert(Answer).values(
        survey_id=survey.id,
        attempt_id=attempt.id,
        question=key,
        value=value,
        sequence=sequence,
        channel=attempt.channel,
        received_at=now,
        late=late,
    )
    new = db.session.execute(appended.on_conflict_do_nothing().returning(Answer.id)).first() is not None
    rows = lifecycle.answers_of(survey.id)
    answered = frozenset(row.question for row in rows)
    if new and was_open and not late and answered.issuperset(CORE_KEYS):
        lifecycle.close(survey, now, rows=rows)
    elif new and late:
        _mark_late(survey, answered)
    return Taken(new, new and was_open and not late, next_question(version, answered))


# A contact that failed and was then answered too late is told apart from one that never was (AAPOR 2.27).
NOT_CHANGED_BY_LATE = (
    Disposition.COMPLETE,
    Disposition.PARTIAL,
    Disposition.OPTED_OUT,
    Disposition.SUPERSEDED,
    Disposition.LATE,
)


def _mark_late(survey: Survey, answered: frozenset[str]) -> None:
    closed_without = survey.disposition is not None and survey.disposition not in NOT_CHANGED_BY_LATE
    if closed_without and answered.issuperset(CORE_KEYS):
        survey.disposition = Disposition.LATE
