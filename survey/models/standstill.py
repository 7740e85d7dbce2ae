"""A standstill: while one is in force nobody is contacted, anywhere."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class Standstill(Base):
    """Begun by `flask stop`; at most one is in force, lifted ones are history."""

    __tablename__ = "standstills"
    __table_args__ = (Index("uq_standstills_in_force", "in_force", unique=True, postgresql_where="in_force"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    in_force: Mapped[bool] = mapped_column(default=True)
    begun_at: Mapped[datetime]
    begun_by: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]
