"""The audit trail: every act of a person or of the service that changes what others rely on."""

from __future__ import annotations

from typing import Any

from survey import clock
from survey.db import Base, db
from survey.models import AuditEntry

SERVICE = "service"
COMMAND_LINE = "command line"


def record(actor: str, action: str, subject: Base | None = None, **detail: Any) -> None:
    """Notes that `actor` did `action` to `subject`; `detail` holds no customers' data. The caller commits."""
    db.session.add(
        AuditEntry(
            at=clock.now(),
            actor=actor,
            action=action,
            subject_type="" if subject is None else subject.__tablename__,
            subject_id=None if subject is None else getattr(subject, "id", None),
            detail=detail,
        )
    )
