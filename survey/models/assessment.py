"""An assessment: the one official decision on a subject for a period."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.period import Period


class Level(StrEnum):
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    SITE = "site"
    ORGANISATION = "organisation"


class Decision(StrEnum):
    CERTIFIED = "certified"
    NOT_CERTIFIED = "not_certified"
    DEFERRED = "deferred"


class Assessment(Base):
    """Made once. `n` counted surveys, `k` world class among them; the weighted rate is kept as a fraction.

    `reasons` lists what stood in the way, in words; `evidence` is what it was decided from (ids and values, no
    personal data) and `evidence_sha256` the hash of its canonical JSON.
    """

    __tablename__ = "assessments"
    __table_args__ = (
        UniqueConstraint("period_id", "level", "subject_id"),
        CheckConstraint("n >= 0 AND k BETWEEN 0 AND n AND partials >= 0 AND late >= 0", name="counts"),
        CheckConstraint("(decision = 'certified') = (jsonb_array_length(reasons) = 0)", name="refused_with_reasons"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"))
    level: Mapped[Level] = mapped_column(one_of(Level))
    subject_id: Mapped[int]
    subject_name: Mapped[str]
    rule_set: Mapped[str]
    rule_sha256: Mapped[str]
    decision: Mapped[Decision] = mapped_column(one_of(Decision))
    reasons: Mapped[list[str]]
    n: Mapped[int]
    k: Mapped[int]
    partials: Mapped[int]
    late: Mapped[int]
    weighted_numerator: Mapped[str | None]
    weighted_denominator: Mapped[str | None]
    evidence: Mapped[dict[str, Any]]
    evidence_sha256: Mapped[str]
    decided_at: Mapped[datetime]

    period: Mapped[Period] = relationship()
