"""A pace: when the next attempt of a campaign may go out over a channel, so many a second, on however many machines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base, one_of
from survey.models.attempt import Channel


class Pace(Base):
    """The next turn is free at `free_at`. Locked while attempts are claimed, so that no two get the same turn."""

    __tablename__ = "paces"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[Channel] = mapped_column(one_of(Channel), primary_key=True)
    free_at: Mapped[datetime]
