"""A sampling rate: the published chance that a call is drawn, in force from a moment on."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class SamplingRate(Base):
    """The latest row in force when a call ended decides; an agent's own row goes before the campaign's (agent null).

    Published no later than in force, so no rate can be chosen after a call it decides. With target sampling agents have
    rows of their own, set week by week from what is missing; else a person changes the rate for all.
    """

    __tablename__ = "sampling_rates"
    __table_args__ = (
        CheckConstraint("denominator > 0 AND numerator BETWEEN 0 AND denominator", name="rate_in_0_1"),
        CheckConstraint("published_at <= in_force_from", name="published_before"),
        Index("ix_sampling_rates_lookup", "campaign_id", "agent_id", "in_force_from"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    numerator: Mapped[int]
    denominator: Mapped[int]
    in_force_from: Mapped[datetime]
    published_at: Mapped[datetime]

    @property
    def rate(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)
