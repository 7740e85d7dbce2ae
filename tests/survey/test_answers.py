"""Rule 2: no answer is lost or counted twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from survey import answers, attempts, lifecycle
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError
from survey.models import Answer, Attempt, AttemptState, Channel, Disposition, Outcome, Response
from tests import factories


@pytest.fixture
def dialled(app: Flask, at_noon: ManualClock) -> Attempt:
    return factories.attempt(state=AttemptState.UNDERWAY)


def response_of(attempt: Attempt) -> Response | None:
    return db.session.get(Response, attempt.survey_id)


def answer_all(attempt: Attempt, resolved: str = "yes", overall: str = "5", agent: str = "5") -> None:
    for number, (key, value) in enumerate([("resolved", resolved), ("overall", overall), ("agent", agent)]):
        answers.take(attempt, key, value, number)


def test_the_third_core_answer_completes_without_a_submit(dialled: Attempt) -> None:
    answers.take(dialled, "resolved", "yes", 0)
    answers.take(dialled, "overall", "5", 1)
    assert dialled.survey.is_open and response_of(dialled) is None
    taken = answers.take(dialled, "agent", "4", 2)
    assert taken.next_question is None
    assert dialled.survey.disposition is Disposition.COMPLETE
    response = response_of(dialled)
    assert response and (response.complete, response.resolved, response.overall, response.agent) == (True, "yes", 5, 4)


def test_a_repeated_delivery_is_one_answer(dialled: Attempt) -> None:
    assert answers.take(dialled, "resolved", "yes", 0).new
    again = answers.take(dialled, "resolved", "yes", 0)
    assert not again.new and again.next_question is not None and again.next_question.key == "overall"
    assert db.session.scalars(select(Answer)).all().__len__() == 1


def test_the_last_version_before_completion_counts_and_later_ones_are_history(dialled: Attempt) -> None:
    answers.take(dialled, "resolved", "no", 0)
    answers.take(dialled, "resolved", "yes", 1)
    answers.take(dialled, "overall", "5", 0)
    answers.take(dialled, "agent", "5", 0)
    later = answers.take(dialled, "resolved", "no", 2)
    response = response_of(dialled)
    assert response and response.resolved == "yes"
    assert later.new and not later.counted
    assert db.session.scalars(select(Answer)).all().__len__() == 5


def test_two_channels_make_one_response(dialled: Attempt) -> None:
    link = factories.attempt(dialled.survey, Channel.WEB, state=AttemptState.UNDERWAY)
    answers.take(dialled, "resolved", "yes", 0)
    answers.take(link, "overall", "5", 0)
    answers.take(link, "agent", "5", 0)
    answer_all(dialled, "no", "1", "1")
    response = response_of(dialled)
    assert response and response.resolved == "yes" and response.channel is Channel.WEB


def test_answers_after_the_deadline_are_kept_as_late_and_never_counted(dialled: Attempt, at_noon: ManualClock) -> None:
    at_noon.move_to(dialled.survey.deadline)
    answer_all(dialled)
    assert dialled.survey.is_open
    lifecycle.close_expired()
    assert dialled.survey.disposition is Disposition.LATE
    assert response_of(dialled) is None
    assert all(answer.late for answer in db.session.scalars(select(Answer)))


def test_the_last_second_before_the_deadline_counts(dialled: Attempt, at_noon: ManualClock) -> None:
    at_noon.move_to(dialled.survey.deadline - timedelta(seconds=1))
    answer_all(dialled)
    assert dialled.survey.disposition is Disposition.COMPLETE


def test_some_answers_at_the_deadline_are_a_partial(dialled: Attempt, at_noon: ManualClock) -> None:
    answers.take(dialled, "resolved", "yes", 0)
    at_noon.move_to(dialled.survey.deadline)
    answers.take(dialled, "overall", "5", 1)
    answers.take(dialled, "agent", "5", 2)
    assert lifecycle.close_expired() == 1
    response = response_of(dialled)
    assert dialled.survey.disposition is Disposition.PARTIAL
    assert response and not response.complete and response.overall is None


def test_a_value_that_is_not_offered_is_refused(dialled: Attempt) -> None:
    with pytest.raises(InputError, match="not a choice"):
        answers.take(dialled, "overall", "6", 0)


@pytest.mark.parametrize("change", ["UPDATE answers SET value = '1'", "DELETE FROM answers"])
def test_the_database_itself_refuses_to_change_an_answer(dialled: Attempt, change: str) -> None:
    answers.take(dialled, "resolved", "yes", 0)
    db.session.commit()
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        db.session.execute(text(change))


def test_completion_ends_what_else_was_out(dialled: Attempt) -> None:
    link = factories.attempt(dialled.survey, Channel.WEB, state=AttemptState.UNDERWAY)
    answer_all(dialled)
    db.session.refresh(link)
    assert (link.state, link.outcome) == (AttemptState.ENDED, Outcome.SILENCE)


def test_answers_of_the_wrong_person_never_count(dialled: Attempt) -> None:
    answers.take(dialled, "resolved", "no", 0)
    attempts.end(dialled.id, Outcome.WRONG_PERSON)
    link = factories.attempt(dialled.survey, Channel.WEB, state=AttemptState.UNDERWAY)
    taken = answers.take(link, "overall", "5", 0)
    assert taken.next_question is not None and taken.next_question.key == "resolved"
    answers.take(link, "agent", "5", 0)
    assert dialled.survey.is_open
    answers.take(link, "resolved", "yes", 0)
    response = response_of(dialled)
    assert response and response.resolved == "yes"
