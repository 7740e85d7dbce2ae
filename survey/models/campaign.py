"""A campaign: which calls may be asked, by which channels, how many, in which hours, with which questionnaire."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.organisation import Organisation
from survey.models.site import Site


class CampaignState(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


class MachineDetection(StrEnum):
    """Whether Twilio listens for answering machines: not, before the survey begins, or while it does."""

    OFF = "off"
    SYNC = "sync"
    ASYNC = "async"


class Sampling(StrEnum):
    """How the chance of a call to be drawn is set: once for all, or week by week by what is still missing."""

    FIXED = "fixed"
    TARGET = "target"


campaign_sites = Table(
    "campaign_sites",
    Base.metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("site_id", ForeignKey("sites.id"), primary_key=True),
)


class Campaign(Base):
    """
        draft --launch--> scheduled --its first day--> active <--pause/resume--> paused
                                                         \\--close, or after its last day--> closed

    Only calls that end after `launched_at`, on a day from `starts_on` to `ends_on` (inclusive, at the site), are drawn.
    Pausing stops contact, not the draw. `channel_plan` is a list of {"share": [n, d], "channels": ["ivr", "web"]}
    whose shares add up to 1: the sequence a survey goes through. `queues` and `topics`, where any are named, are the
    only ones asked about. Hours are local to the customer, weekday numbers from Monday = 0; `hours_by_weekday` names
    those of single weekdays ({"5": ["10:00", "16:00"]}) that differ from `call_from` and `call_until`.

    `rate` holds for calls before the first published rate. With target sampling each agent's rate is set week by week
    between `rate_floor` and `rate_ceiling`; `rates_set_for` is the Monday of the week for which that was done last.

    `caller_ids` by two-letter country go before `caller_id`. No more than `calls_per_second` and `emails_per_minute`
    go out, `live_calls` at a time, and none once their minutes could cost more than the `spend_cap` (in hundredths of
    the currency in which calls are paid). `reminders` (0 or 1) is how many emails follow one that was not answered.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("organisation_id", "key"),
        CheckConstraint("ends_on >= starts_on", name="ends_after_start"),
        CheckConstraint("rate_denominator > 0 AND rate_numerator BETWEEN 0 AND rate_denominator", name="rate_in_0_1"),
        CheckConstraint("call_until > call_from", name="hours_in_a_day"),
        CheckConstraint("(state = 'draft') = (launched_at IS NULL)", name="launched_unless_draft"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_time"),
        CheckConstraint("dials_per_survey BETWEEN 1 AND 10 AND dials_per_number BETWEEN 1 AND 10", name="few_dials"),
        CheckConstraint("quarantine_days BETWEEN 0 AND 365", name="quarantine_days"),
        CheckConstraint("ring_seconds BETWEEN 15 AND 60", name="ring_seconds"),
        CheckConstraint(
            "floor_denominator > 0 AND floor_numerator BETWEEN 0 AND floor_denominator", name="floor_in_0_1"
        ),
        CheckConstraint(
            "ceiling_denominator > 0 AND ceiling_numerator BETWEEN 1 AND ceiling_denominator", name="ceiling_in_0_1"
        ),
        CheckConstraint("calls_per_second BETWEEN 1 AND 100 AND live_calls BETWEEN 1 AND 10000", name="pace_of_calls"),
        CheckConstraint("emails_per_minute BETWEEN 1 AND 60000", name="pace_of_emails"),
        CheckConstraint("reminders BETWEEN 0 AND 1", name="reminders"),
        CheckConstraint("spend_cap IS NULL OR spend_cap >= 0", name="spend_cap"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    key: Mapped[str]
    name: Mapped[str]
    state: Mapped[CampaignState] = mapped_column(one_of(CampaignState), default=CampaignState.DRAFT)
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    launched_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    questionnaire: Mapped[str] = mapped_column(default="core-1")
    languages: Mapped[list[str]] = mapped_column(default=lambda: ["en"])
    channel_plan: Mapped[list[Any]] = mapped_column(default=lambda: [{"share": [1, 1], "channels": ["ivr", "web"]}])
    rate_numerator: Mapped[int] = mapped_column(default=1)
    rate_denominator: Mapped[int] = mapped_column(default=10)
    sampling: Mapped[Sampling] = mapped_column(one_of(Sampling), default=Sampling.FIXED)
    floor_numerator: Mapped[int] = mapped_column(default=1)
    floor_denominator: Mapped[int] = mapped_column(default=100)
    ceiling_numerator: Mapped[int] = mapped_column(default=1)
    ceiling_denominator: Mapped[int] = mapped_column(default=1)
    rates_set_for: Mapped[date | None]
    queues: Mapped[list[str]] = mapped_column(default=list)
    topics: Mapped[list[str]] = mapped_column(default=list)
    min_talk_seconds: Mapped[int] = mapped_column(default=10)
    quarantine_days: Mapped[int] = mapped_column(default=30)

    call_from: Mapped[time] = mapped_column(default=time(9))
    call_until: Mapped[time] = mapped_column(default=time(20))
    call_weekdays: Mapped[list[int]] = mapped_column(default=lambda: [0, 1, 2, 3, 4, 5])
    hours_by_weekday: Mapped[dict[str, Any]] = mapped_column(default=dict)
    call_on_holidays: Mapped[bool] = mapped_column(default=False)
    calls_need_consent: Mapped[bool] = mapped_column(default=False)
    machine_detection: Mapped[MachineDetection] = mapped_column(one_of(MachineDetection), default=MachineDetection.OFF)
    voicemail_message: Mapped[bool] = mapped_column(default=False)
    speech: Mapped[bool] = mapped_column(default=False)
    dials_per_survey: Mapped[int] = mapped_column(default=3)
    dials_per_number: Mapped[int] = mapped_column(default=3)
    ring_seconds: Mapped[int] = mapped_column(default=25)
    caller_id: Mapped[str | None]
    caller_ids: Mapped[dict[str, Any]] = mapped_column(default=dict)
    calls_per_second: Mapped[int] = mapped_column(default=1)
    live_calls: Mapped[int] = mapped_column(default=20)
    emails_per_minute: Mapped[int] = mapped_column(default=60)
    reminders: Mapped[int] = mapped_column(default=0)
    spend_cap: Mapped[int | None]

    target_agent: Mapped[int] = mapped_column(default=25)
    target_supervisor: Mapped[int] = mapped_column(default=200)
    target_site: Mapped[int] = mapped_column(default=800)

    organisation: Mapped[Organisation] = relationship()
    sites: Mapped[list[Site]] = relationship(secondary=campaign_sites, order_by=Site.id)

    @property
    def rate(self) -> Fraction:
        return Fraction(self.rate_numerator, self.rate_denominator)

    @property
    def rate_floor(self) -> Fraction:
        return Fraction(self.floor_numerator, self.floor_denominator)

    @property
    def rate_ceiling(self) -> Fraction:
        return Fraction(self.ceiling_numerator, self.ceiling_denominator)
