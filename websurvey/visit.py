"""A visit: one opened link, with what its pages tell and where they lie."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from sqlalchemy import select

from survey import attempts, clock, lifecycle
from survey.db import db
from survey.models import Answer, Attempt, Channel, Survey
from survey.questionnaire import FALLBACK_LANGUAGE, LANGUAGES
from websurvey import screens
from websurvey.screens import Given, Known

# Which page a language link leads to, from pages that are not the questions themselves.
SHOWN_AFTER = {
    f"websurvey.{name}": page
    for name, page in [("not_me", "not_me"), ("unsubscribe", "unsubscribe"), ("stop", "unsubscribe")]
}
KEPT_ARGUMENTS = ("question", "answer")


class Visit:
    """One opened link: the attempt it was sent for, and what pages tell about it."""

    def __init__(self, token: str, attempt: Attempt) -> None:
        self.token, self.attempt = token, attempt
        self.survey: Survey = attempt.survey
        self.campaign = self.survey.campaign
        self.organisation = self.campaign.organisation
        self.site = self.survey.site
        self.known: Known = screens.known(attempt, self.survey, self.campaign.questionnaire, clock.now())
        self.languages = [code for code in self.campaign.languages if code in LANGUAGES] or [FALLBACK_LANGUAGE]
        wanted = request.args.get("lang", "")
        self.chosen_language = wanted if wanted in self.languages else None
        usual = self.survey.language if self.survey.language in self.languages else self.languages[0]
        self.language = self.chosen_language or usual

    def given(self) -> list[Given]:
        """The customer's answers, over any channel, in the order they were appended. Asks the database."""
        rows = db.session.execute(
            select(Answer.question, Answer.value, Answer.sequence, Answer.attempt_id)
            .where(Answer.survey_id == self.survey.id, lifecycle.BY_THE_CUSTOMER)
            .order_by(Answer.id)
        )
        return [Given(row.question, row.value, row.sequence, row.attempt_id == self.attempt.id) for row in rows]

    def mail_waits(self) -> bool:
        """Whether a further email about this survey has not left yet. Asks the database."""
        further = select(Attempt.id).where(
            Attempt.survey_id == self.survey.id, Attempt.channel == Channel.WEB, Attempt.state.in_(attempts.WAITING)
        )
        return db.session.scalar(further.limit(1)) is not None

    def url(self, page: str = "show", **more: str | None) -> str:
        """The address of one of this link's pages, in the language chosen."""
        query: dict[str, Any] = {"lang": self.chosen_language, **more}
        return url_for(f"websurvey.{page}", token=self.token, **query)

    def in_language(self, code: str) -> str:
        """The page being looked at, in another language."""
        page = SHOWN_AFTER.get(request.endpoint or "", "show")
        kept = {name: request.values.get(name) for name in KEPT_ARGUMENTS if name in request.values}
        return self.url(page, **(kept if page == "show" else {}), lang=code)
