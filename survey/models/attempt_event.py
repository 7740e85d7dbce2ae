"""An attempt event: one thing an outside part told us about an attempt."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class AttemptEvent(Base):
    """Append-only; the unique key makes a webhook that arrives twice one row. `data` never holds personal data."""

    __tablename__ = "attempt_events"
    __table_args__ = (UniqueConstraint("attempt_id", "provider_id", "kind", "sequence"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    provider_id: Mapped[str]
    kind: Mapped[str]
    sequence: Mapped[int] = mapped_column(default=0)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    received_at: Mapped[datetime]
