"""A period: the months a decision is about, and the day it is made, announced beforehand."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base
from survey.models.programme import Programme


class Period(Base):
    """Whole calendar months from `starts_on` to `ends_on` (both inclusive), by calls' local dates at their sites.

    `scope` freezes, at the announcement, which sites and people the decision is about:
    {"sites": [ids], "supervisors": [ids], "agents": [ids]}. A programme's periods never overlap
    (`certification` checks it).
    """

    __tablename__ = "periods"
    __table_args__ = (
        UniqueConstraint("programme_id", "starts_on"),
        CheckConstraint("ends_on > starts_on", name="ends_after_start"),
        CheckConstraint("decision_on > ends_on", name="decided_after_end"),
        CheckConstraint("extract(day from starts_on) = 1 AND extract(day from ends_on + 1) = 1", name="whole_months"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    programme_id: Mapped[int] = mapped_column(ForeignKey("programmes.id"))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    decision_on: Mapped[date]
    announced_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    scope: Mapped[dict[str, Any]]

    programme: Mapped[Programme] = relationship()
