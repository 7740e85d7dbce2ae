"""A control total: how many calls the telephone system itself counted, for a site or an agent, in a span of time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class ControlTotal(Base):
    """Counts calls by their start, from `starts_at` up to but not including `ends_at`.

    `calls` are all of them, `answered` those an agent answered; either may be unknown. Agent null: the whole site.
    """

    __tablename__ = "control_totals"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("calls IS NOT NULL OR answered IS NOT NULL", name="counts_something"),
        CheckConstraint("calls >= 0 AND answered >= 0", name="not_negative"),
        Index(
            "uq_control_totals_site",
            "organisation_id",
            "source",
            "site_id",
            "starts_at",
            "ends_at",
            unique=True,
            postgresql_where="agent_id IS NULL",
        ),
        Index(
            "uq_control_totals_agent",
            "organisation_id",
            "source",
            "site_id",
            "agent_id",
            "starts_at",
            "ends_at",
            unique=True,
            postgresql_where="agent_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"))
    source: Mapped[str]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    calls: Mapped[int | None]
    answered: Mapped[int | None]
