"""A draw: the random decision on one call, kept so that anyone with the key can repeat it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.call import Call


class DrawReason(StrEnum):
    """Why a call was drawn or not. All but the first two are reasons not to be eligible."""

    DRAWN = "drawn"
    NOT_SELECTED = "not_selected"
    UNANSWERED = "unanswered"
    TOO_SHORT = "too_short"
    INTERNAL = "internal"
    NO_AGENT = "no_agent"
    NO_ASSIGNMENT = "no_assignment"
    NO_CONTACT = "no_contact"
    INVALID_CONTACT = "invalid_contact"
    LANGUAGE_NOT_OFFERED = "language_not_offered"
    OPTED_OUT = "opted_out"
    QUARANTINED = "quarantined"
    PAST_DEADLINE = "past_deadline"


class Draw(Base):
    """Every call of a campaign has one, drawn or not.

    `u` is an unsigned 64-bit integer; all calls decided together share `decided_at`.
    """

    __tablename__ = "draws"
    __table_args__ = (
        CheckConstraint("u >= 0 AND u < 18446744073709551616", name="u_is_uint64"),
        CheckConstraint("rate_denominator > 0 AND rate_numerator BETWEEN 0 AND rate_denominator", name="rate_in_0_1"),
        CheckConstraint("drawn = (reason = 'drawn')", name="drawn_has_reason"),
        CheckConstraint(
            "reason NOT IN ('drawn', 'not_selected') OR"
            " (u * rate_denominator < rate_numerator * 18446744073709551616) = drawn",
            name="drawn_iff_below_rate",
        ),
        Index("ix_draws_campaign_decided", "campaign_id", "decided_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id"), unique=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    draw_key_id: Mapped[int] = mapped_column(ForeignKey("draw_keys.id"))
    u: Mapped[Decimal] = mapped_column(Numeric(20, 0))
    rate_numerator: Mapped[int]
    rate_denominator: Mapped[int]
    drawn: Mapped[bool]
    reason: Mapped[DrawReason] = mapped_column(one_of(DrawReason))
    decided_at: Mapped[datetime]

    call: Mapped[Call] = relationship()

    @property
    def rate(self) -> Fraction:
        return Fraction(self.rate_numerator, self.rate_denominator)
