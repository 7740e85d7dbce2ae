"""A leg: one stretch of a call as the telephone system recorded it, such as the part before or after a transfer."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class CallLeg(Base):
    """Legs are kept as they came; their call is what they say together. `leg` is unique in its call."""

    __tablename__ = "call_legs"
    __table_args__ = (
        UniqueConstraint("call_id", "leg"),
        CheckConstraint("ended_at >= started_at", name="ends_after_start"),
        CheckConstraint("talk_seconds >= 0", name="talk_not_negative"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"))
    leg: Mapped[str]
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), index=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), index=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"), index=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    answered: Mapped[bool]
    talk_seconds: Mapped[int]
    queue: Mapped[str | None]
    topic: Mapped[str | None]
    language: Mapped[str | None]
    internal: Mapped[bool] = mapped_column(default=False)
    contact_fault: Mapped[str | None]
    recorded_at: Mapped[datetime | None]
