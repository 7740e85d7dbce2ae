"""A later record: what the telephone system said of a call after its draw; kept beside, changing nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class LaterRecord(Base):
    """`record` holds the columns in which it differs from the call as it was drawn; `fingerprint` tells repeats."""

    __tablename__ = "later_records"
    __table_args__ = (UniqueConstraint("call_id", "fingerprint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id"))
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), index=True)
    received_at: Mapped[datetime]
    fingerprint: Mapped[bytes]
    record: Mapped[dict[str, Any]]
