"""Stand-ins for what `application.py` hands the scheduler: channels that note what they were asked to deliver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from survey import attempts
from survey.db import db
from survey.models import Attempt, AttemptState, Channel


class Jobs(list[int]):
    """A queue that only notes: the ids handed to it; `turns` says when each has its turn."""

    def __init__(self) -> None:
        self.turns: dict[int, datetime] = {}

    def __call__(self, attempt_id: int, turn_at: datetime) -> None:
        self.append(attempt_id)
        self.turns[attempt_id] = turn_at


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
