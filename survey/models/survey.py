"""A survey: one drawn call being asked about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.agent import Agent
from survey.models.call import Call
from survey.models.campaign import Campaign
from survey.models.customer import Customer
from survey.models.site import Site
from survey.models.supervisor import Supervisor


class Disposition(StrEnum):
    """How a survey ended. Null on the row means it is still open."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    OPTED_OUT = "opted_out"
    BROKEN_OFF = "broken_off"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    EMAIL_SILENCE = "email_silence"
    EMAIL_BOUNCED = "email_bounced"
    DEAD_NUMBER = "dead_number"
    WRONG_PERSON = "wrong_person"
    SUPERSEDED = "superseded"
    NEVER_ATTEMPTED = "never_attempted"
    CHANNEL_FAILED = "channel_failed"
    LATE = "late"


# AAPOR final disposition codes (github.com/leeper/responserates); non-contacts are told apart by our own names.
AAPOR: dict[Disposition, str] = {
    Disposition.COMPLETE: "1.1",
    Disposition.PARTIAL: "1.2",
    Disposition.OPTED_OUT: "2.11",
    Disposition.BROKEN_OFF: "2.12",
    Disposition.VOICEMAIL: "2.22",
    Disposition.LATE: "2.27",
    Disposition.NO_ANSWER: "2.2",
    Disposition.BUSY: "2.2",
    Disposition.EMAIL_SILENCE: "2.2",
    Disposition.EMAIL_BOUNCED: "2.2",
    Disposition.DEAD_NUMBER: "2.2",
    Disposition.WRONG_PERSON: "2.2",
    Disposition.SUPERSEDED: "2.2",
    Disposition.NEVER_ATTEMPTED: "2.2",
    Disposition.CHANNEL_FAILED: "2.2",
}


class Survey(Base):
    """
        drawn --planned--> asked (attempts) --third core answer--> closed: complete
                                            \\--opt-out, deadline, newer call--> closed: any other disposition

    Freezes agent, supervisor, site, rate and deadline at the draw: no later roster or setting changes them. Agent null:
    the call's legs did not say who handled it last, and only its site is credited.
    `deadline` is exclusive. A survey is open while `disposition` is null. `plan_at` is when the scheduler should next
    think about it: set at the draw and whenever an attempt ends, null while there is nothing to decide.
    """

    __tablename__ = "surveys"
    __table_args__ = (
        CheckConstraint("(disposition IS NULL) = (closed_at IS NULL)", name="closed_has_disposition"),
        CheckConstraint("rate_denominator > 0 AND rate_numerator BETWEEN 1 AND rate_denominator", name="rate_above_0"),
        CheckConstraint("superseded_by_call_id IS NULL OR superseded_by_call_id <> call_id", name="not_by_itself"),
        Index("ix_surveys_open_deadline", "deadline", postgresql_where="closed_at IS NULL"),
        Index("ix_surveys_plan", "plan_at", postgresql_where="closed_at IS NULL AND plan_at IS NOT NULL"),
        Index("ix_surveys_customer", "customer_id"),
        Index("ix_surveys_campaign", "campaign_id"),
        Index("ix_surveys_agent", "agent_id"),
        Index(
            "ix_surveys_superseded_by",
            "superseded_by_call_id",
            postgresql_where="superseded_by_call_id IS NOT NULL",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id"), unique=True)
    draw_id: Mapped[int] = mapped_column(ForeignKey("draws.id"), unique=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    supervisor_id: Mapped[int | None] = mapped_column(ForeignKey("supervisors.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    rate_numerator: Mapped[int]
    rate_denominator: Mapped[int]
    deadline: Mapped[datetime]
    calendar_version: Mapped[str]
    language: Mapped[str]
    channels: Mapped[list[str]]
    drawn_at: Mapped[datetime]
    disposition: Mapped[Disposition | None] = mapped_column(one_of(Disposition))
    closed_at: Mapped[datetime | None]
    superseded_by_call_id: Mapped[int | None] = mapped_column(ForeignKey("calls.id"))
    plan_at: Mapped[datetime | None]

    call: Mapped[Call] = relationship(foreign_keys=[call_id])
    campaign: Mapped[Campaign] = relationship()
    customer: Mapped[Customer] = relationship()
    agent: Mapped[Agent | None] = relationship()
    supervisor: Mapped[Supervisor | None] = relationship()
    site: Mapped[Site] = relationship()

    @property
    def rate(self) -> Fraction:
        return Fraction(self.rate_numerator, self.rate_denominator)

    @property
    def is_open(self) -> bool:
        return self.disposition is None
