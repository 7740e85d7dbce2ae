"""A draw key: the secret of a campaign's draw, committed to at launch and revealed after the close."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base
from survey.vault import Sealed


class DrawKey(Base):
    """`sha256` (hex, of the raw key bytes) is public from `published_at` on.

    `key_hex` is sealed, and shown to nobody before `revealed_at`.
    """

    __tablename__ = "draw_keys"
    __table_args__ = (
        UniqueConstraint("campaign_id", "period"),
        CheckConstraint("length(sha256) = 64", name="sha256_hex"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    period: Mapped[int] = mapped_column(default=1)
    sha256: Mapped[str]
    key_hex: Mapped[str] = mapped_column(Sealed)
    published_at: Mapped[datetime]
    revealed_at: Mapped[datetime | None]
