"""Stand-ins for what `application.py` hands the scheduler: channels that note what they were asked to deliver."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from survey import attempts
from survey.db import db
from survey.models import Attempt, AttemptState, Channel


class NotingChannel:
    """Notes the attempt, and the state in which other connections see it; then does what it was told to."""

    def __init__(self, then: Callable[[int], object] = lambda attempt_id: None) -> None:
        self.delivered: list[int] = []
        self.seen: list[AttemptState] = []
        self.then = then

    def deliver(self, attempt_id: int) -> None:
        with db.engine.connect() as other:
            self.seen.append(other.execute(select(Attempt.state).where(Attempt.id == attempt_id)).scalar_one())
        self.delivered.append(attempt_id)
        self.then(attempt_id)
        db.session.commit()

    def reconcile(self) -> int:
        return 0


def taking_it(attempt_id: int) -> None:
    attempts.underway(attempt_id, f"provider {attempt_id}")


def channels(one: NotingChannel) -> dict[Channel, NotingChannel]:
    return {Channel.IVR: one, Channel.WEB: one}
