"""A breaker: a channel that keeps failing is left alone for a while, so that no attempt is wasted on it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base, one_of
from survey.models.attempt import Channel


class Breaker(Base):
    """
        closed --so many failures in a row--> open --`retry_at`--> one attempt is let through --it worked--> closed
                                               \\<------------------------ it failed -------/

    One row a channel, made by its first failure. `failures` counts those in a row, `openings` how often it has opened
    without having worked in between, `reason` is the last failure in plain words. Open while `opened_at` is set; of the
    attempts claimed up to that moment none may begin. See survey/breakers.py.
    """

    __tablename__ = "breakers"
    __table_args__ = (
        CheckConstraint("failures >= 0 AND openings >= 0", name="counts"),
        CheckConstraint("(opened_at IS NULL) = (retry_at IS NULL)", name="open_has_retry"),
    )

    channel: Mapped[Channel] = mapped_column(one_of(Channel), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    openings: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(default="")
    failed_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
