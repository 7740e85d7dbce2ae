"""A certificate: what a passed assessment awards; valid one year; public."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.assessment import Assessment, Level
from survey.models.organisation import Organisation


class Certificate(Base):
    """Valid from `achieved_on` up to but not including `valid_until`. Withdrawn ones are kept, with their reason.

    `public_id` is random and stands in the public address; an agent or supervisor is listed by name only with recorded
    consent, which is read when the page is shown.
    """

    __tablename__ = "certificates"
    __table_args__ = (
        CheckConstraint("valid_until > achieved_on", name="valid_for_a_while"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name="withdrawn_has_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    assessment_id: Mapped[int] = mapped_column(ForeignKey("assessments.id"), unique=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    level: Mapped[Level] = mapped_column(one_of(Level))
    subject_id: Mapped[int]
    subject_name: Mapped[str]
    issuer: Mapped[str | None]
    achieved_on: Mapped[date]
    valid_until: Mapped[date]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str | None]

    assessment: Mapped[Assessment] = relationship()
    organisation: Mapped[Organisation] = relationship()
