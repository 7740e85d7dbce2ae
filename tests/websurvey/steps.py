"""What a customer does on the pages, step by step: open, choose, send; and what came of it."""

from __future__ import annotations

from flask.testing import FlaskClient
from sqlalchemy import select

from survey import answers
from survey.db import db
from survey.models import Answer, Attempt, AttemptState, Channel, Survey
from tests import factories
from tests.websurvey.support import Page
from websurvey import words

ALL_THREE = (("resolved", "yes"), ("overall", "5"), ("agent", "4"))


def get(client: FlaskClient, path: str, status: int = 200) -> Page:
    response = client.get(path)
    assert response.status_code == status
    return Page(response.get_data(as_text=True))


def post(client: FlaskClient, path: str, status: int = 303, **fields: str) -> Page:
    """Sends a form and goes where it leads, as a browser does."""
    response = client.post(path, data=fields)
    assert response.status_code == status
    return get(client, response.headers["Location"]) if status == 303 else Page(response.get_data(as_text=True))


def choose(client: FlaskClient, page: Page, value: str) -> Page:
    """Picks a choice and presses the button."""
    assert value in page.question.choices
    return post(client, page.question.action, **page.question.fields, answer=value)


def said(language: str, key: str) -> str:
    return words.texts(language, "page")[key]


def answered(survey_id: int) -> list[tuple[str, str, int]]:
    db.session.rollback()
    rows = db.session.scalars(select(Answer).where(Answer.survey_id == survey_id).order_by(Answer.id))
    return [(row.question, row.value, row.sequence) for row in rows]


def phoned(survey: Survey, *given: tuple[str, str]) -> Attempt:
    """A phone attempt over which these answers came."""
    attempt = factories.attempt(survey, Channel.IVR, state=AttemptState.UNDERWAY)
    for sequence, (key, value) in enumerate(given):
        answers.take(attempt, key, value, sequence)
    db.session.commit()
    return attempt
