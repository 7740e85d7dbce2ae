"""An attempt: one try at one survey over one channel (one dial, one email)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base, one_of
from survey.models.survey import Survey


class Channel(StrEnum):
    IVR = "ivr"
    WEB = "web"


class AttemptState(StrEnum):
    PLANNED = "planned"
    QUEUED = "queued"
    DIALLING = "dialling"
    UNDERWAY = "underway"
    ENDED = "ended"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What became of an ended attempt."""

    COMPLETED = "completed"
    HUNG_UP = "hung_up"
    NO_INPUT = "no_input"
    LATER = "later"
    OPTED_OUT = "opted_out"
    WRONG_PERSON = "wrong_person"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    DEAD = "dead"
    BOUNCED = "bounced"
    SILENCE = "silence"
    UNKNOWN = "unknown"


# Something may still come of these: a survey has at most one such attempt a channel.
LIVE_STATES = (AttemptState.PLANNED, AttemptState.QUEUED, AttemptState.DIALLING, AttemptState.UNDERWAY)


class Attempt(Base):
    """
        planned --claimed by a tick--> queued --intent committed--> dialling --the channel has it--> underway --> ended
           \\--survey closed--> cancelled <--guard says no--/           \\--refused, or swept--> ended

    `due_at` is the schedule. `started_at` is the intent: committed before the network hears of it, so an attempt that
    was started is never started again. `hours_end_at` is when a call must no longer ring, `billed_seconds` how long it
    was connected (empty while that is not known). `provider_id` is the call SID or the Message-ID. `token_hash` is of
    the link that was sent; the link itself is stored nowhere. FAILED may be tried again, DEAD never can be.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("survey_id", "ordinal"),
        CheckConstraint("ordinal > 0", name="ordinal_from_1"),
        CheckConstraint("(state IN ('ended', 'cancelled')) = (ended_at IS NOT NULL)", name="ended_has_time"),
        CheckConstraint("(state = 'ended') = (outcome IS NOT NULL)", name="ended_has_outcome"),
        CheckConstraint(
            "state NOT IN ('dialling', 'underway', 'ended') OR started_at IS NOT NULL", name="started_has_time"
        ),
        CheckConstraint("state NOT IN ('planned', 'queued') OR started_at IS NULL", name="not_started_twice"),
        Index("ix_attempts_due", "due_at", postgresql_where="state = 'planned'"),
        Index(
            "ix_attempts_moving",
            "channel",
            "state",
            "started_at",
            postgresql_where="state IN ('queued', 'dialling', 'underway')",
        ),
        Index(
            "uq_attempts_one_live",
            "survey_id",
            "channel",
            unique=True,
            postgresql_where="state IN ('planned', 'queued', 'dialling', 'underway')",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("surveys.id"))
    ordinal: Mapped[int]
    channel: Mapped[Channel] = mapped_column(one_of(Channel))
    state: Mapped[AttemptState] = mapped_column(one_of(AttemptState), default=AttemptState.PLANNED)
    reason: Mapped[str] = mapped_column(default="")
    due_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    hours_end_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    billed_seconds: Mapped[int | None]
    outcome: Mapped[Outcome | None] = mapped_column(one_of(Outcome))
    detail: Mapped[str | None]
    provider_id: Mapped[str | None] = mapped_column(unique=True)
    token_hash: Mapped[bytes | None] = mapped_column(unique=True)
    inbound: Mapped[bool] = mapped_column(default=False)

    survey: Mapped[Survey] = relationship()
