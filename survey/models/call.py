"""A call: one customer interaction as the telephone system saw it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base
from survey.models.agent import Agent
from survey.models.customer import Customer
from survey.models.site import Site


class Call(Base):
    """Unanswered calls are kept too. At most one handling agent: the last one; null when none or not certain.

    `contact_fault` says why a contact that was given cannot be used ("phone: is a toll-free number"). Intake stores
    what came; whether the call may be asked about is the scheduler's eligibility, kept on its draw.

    `agent_uncertain`: agents handled it, but its legs do not say who was the last: the site is credited, no agent is.
    `recorded_at` is the telephone system's own stamp of this version of the record: an older version never replaces it.
    """

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("organisation_id", "source", "external_id"),
        # The site and its organisation in one: each further key costs a look-up a row.
        ForeignKeyConstraint(["site_id", "organisation_id"], ["sites.id", "sites.organisation_id"]),
        CheckConstraint("ended_at >= started_at", name="ends_after_start"),
        CheckConstraint("talk_seconds >= 0", name="talk_not_negative"),
        CheckConstraint("answered OR talk_seconds = 0", name="unanswered_without_talk"),
        CheckConstraint("NOT agent_uncertain OR agent_id IS NULL", name="uncertain_without_agent"),
        Index("ix_calls_order", "site_id", "ended_at", "source", "external_id"),
        Index("ix_calls_customer_ended", "customer_id", "ended_at"),
        Index("ix_calls_agent_ended", "agent_id", "ended_at"),
        Index("ix_calls_import", "import_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int]
    site_id: Mapped[int]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"))
    source: Mapped[str]
    external_id: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    received_at: Mapped[datetime]
    answered: Mapped[bool]
    talk_seconds: Mapped[int] = mapped_column(default=0)
    queue: Mapped[str | None]
    topic: Mapped[str | None]
    language: Mapped[str | None]
    internal: Mapped[bool] = mapped_column(default=False)
    contact_fault: Mapped[str | None]
    agent_uncertain: Mapped[bool] = mapped_column(default=False)
    recorded_at: Mapped[datetime | None]

    site: Mapped[Site] = relationship()
    agent: Mapped[Agent | None] = relationship()
    customer: Mapped[Customer | None] = relationship()
