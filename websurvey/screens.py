"""Which screen a link shows: a pure function of what is known about the survey and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from survey.models import Attempt, Disposition, Outcome, Survey
from survey.questionnaire import Question, next_question, questions


class Kind(StrEnum):
    """What a screen is for. ASK and LATE show a question, the others say a last word (the text of that name)."""

    ASK = "ask"
    LATE = "late"
    THANKS = "thanks"
    THANKS_PHONE = "thanks_phone"
    THANKS_LATE = "thanks_late"
    WRONG_PERSON = "wrong_person_done"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Given:
    """One answer as it was appended; `here` when it came over this link."""

    question: str
    value: str
    sequence: int
    here: bool


@dataclass(frozen=True)
class Known:
    """What decides the screen, besides the answers."""

    version: str
    wrong_person: bool
    opted_out: bool
    complete: bool
    closed: bool

    @property
    def takes_answers(self) -> bool:
        return not (self.wrong_person or self.opted_out)


@dataclass(frozen=True)
class Asked:
    """A question on the screen: where it stands, what is chosen, and the sequence number its next answer has."""

    question: Question
    number: int
    total: int
    previous: Question | None
    chosen: str | None
    sequence: int


@dataclass(frozen=True)
class Screen:
    kind: Kind
    asked: Asked | None = None


def known(attempt: Attempt, survey: Survey, version: str, now: datetime) -> Known:
    """Reads what decides the screen off the rows.

    A survey that closes before its deadline is complete, superseded, or was opted out of.
    """
    complete = survey.disposition is Disposition.COMPLETE
    closed_early = survey.closed_at is not None and survey.closed_at < survey.deadline
    return Known(
        version=version,
        wrong_person=attempt.outcome is Outcome.WRONG_PERSON,
        opted_out=closed_early and not complete and survey.superseded_by_call_id is None,
        complete=complete,
        closed=survey.closed_at is not None or now >= survey.deadline,
    )


def screen(about: Known, answers: Sequence[Given], wanted: str = "", preselected: str = "") -> Screen:
    """The screen for a survey.

    `wanted` is the key of a question to go back to, `preselected` a choice for the questionnaire's first question;
    either is left aside when it does not fit.
    """
    if about.wrong_person:
        return Screen(Kind.WRONG_PERSON)
    if about.opted_out:
        return Screen(Kind.STOPPED)
    if about.complete:
        return Screen(Kind.THANKS if any(answer.here for answer in answers) else Kind.THANKS_PHONE)
    first_open = next_question(about.version, {answer.question for answer in answers})
    if first_open is None:
        return Screen(Kind.THANKS_LATE if about.closed else Kind.THANKS)
    question = _reachable(about.version, wanted, first_open)
    return Screen(Kind.LATE if about.closed else Kind.ASK, asked(about.version, question, answers, preselected))


def asked(version: str, question: Question, answers: Sequence[Given], preselected: str = "") -> Asked:
    """The question as it stands among the others, with what was chosen before."""
    order = questions(version)
    index = order.index(question)
    given = [answer for answer in answers if answer.question == question.key]
    chosen = given[-1].value if given else preselected
    return Asked(
        question=question,
        number=index + 1,
        total=len(order),
        previous=order[index - 1] if index else None,
        chosen=chosen if chosen in question.values and (given or index == 0) else None,
        sequence=next_sequence(answers, question.key),
    )


def next_sequence(answers: Sequence[Given], key: str) -> int:
    """The number that the next answer to a question over this link has."""
    return 1 + max((answer.sequence for answer in answers if answer.here and answer.question == key), default=0)


def _reachable(version: str, wanted: str, first_open: Question) -> Question:
    """Back to any question before the first open one, never beyond it."""
    order = questions(version)
    before = order[: order.index(first_open)]
    return next((question for question in before if question.key == wanted), first_open)
