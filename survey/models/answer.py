"""An answer: what a customer said to one question, append-only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base, one_of
from survey.models.attempt import Channel


class Answer(Base):
    """Never changed or deleted: a revised answer is a new row with a higher sequence, a repeated webhook the same row.

    `late` answers came after the deadline: kept for service recovery, never counted.
    """

    __tablename__ = "answers"
    __table_args__ = (
        UniqueConstraint("survey_id", "question", "attempt_id", "sequence"),
        CheckConstraint("sequence >= 0", name="sequence_from_0"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("surveys.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    question: Mapped[str]
    value: Mapped[str]
    sequence: Mapped[int]
    channel: Mapped[Channel] = mapped_column(one_of(Channel))
    received_at: Mapped[datetime]
    late: Mapped[bool] = mapped_column(default=False)
