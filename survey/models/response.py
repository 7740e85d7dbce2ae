"""A response: what a survey's answers came to, derived once, at completion or at the deadline."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.attempt import Channel
from survey.models.survey import Survey


class Response(Base):
    """Complete with all three core answers, partial with one or two.

    `overall` and `agent` run from 1 to 5 = very satisfied.
    """

    __tablename__ = "responses"
    __table_args__ = (
        CheckConstraint(
            "complete = (resolved IS NOT NULL AND overall IS NOT NULL AND agent IS NOT NULL)", name="complete_has_all"
        ),
        CheckConstraint("num_nonnulls(resolved, overall, agent) > 0", name="not_empty"),
        CheckConstraint("resolved IN ('yes', 'no', 'unsure')", name="resolved_known"),
        CheckConstraint("overall BETWEEN 1 AND 5 AND agent BETWEEN 1 AND 5", name="scores_1_to_5"),
    )

    survey_id: Mapped[int] = mapped_column(ForeignKey("surveys.id"), primary_key=True)
    complete: Mapped[bool]
    resolved: Mapped[str | None]
    overall: Mapped[int | None]
    agent: Mapped[int | None]
    channel: Mapped[Channel] = mapped_column(one_of(Channel))
    derived_at: Mapped[datetime]

    survey: Mapped[Survey] = relationship()
