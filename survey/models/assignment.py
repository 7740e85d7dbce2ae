"""An assignment: which supervisor and site an agent belonged to, from when to when."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class Assignment(Base):
    """Days are local to the site; `starts_on` is the first day in it, `ends_on` the first day no longer (null = still).

    An agent's assignments never overlap (intake checks it); a call is credited by its own day.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("agent_id", "starts_on"),
        CheckConstraint("ends_on IS NULL OR ends_on > starts_on", name="ends_after_start"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    supervisor_id: Mapped[int | None] = mapped_column(ForeignKey("supervisors.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]

    def covers(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)
