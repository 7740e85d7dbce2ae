"""The global stop: while it is in force nobody is contacted, anywhere, by any machine."""

from __future__ import annotations

from sqlalchemy import select

from survey import audit, clock
from survey.db import db
from survey.errors import Refused
from survey.models import Standstill


def in_force() -> Standstill | None:
    """The standstill in force, or None."""
    return db.session.scalar(select(Standstill).where(Standstill.in_force))


def begin(actor: str, reason: str = "") -> Standstill:
    """Stops all contact; stopping twice keeps the first stop."""
    standing = in_force()
    if standing is not None:
        return standing
    standing = Standstill(begun_at=clock.now(), begun_by=actor, reason=reason)
    db.session.add(standing)
    db.session.flush()
    audit.record(actor, "contact stopped", standing, reason=reason)
    return standing


def lift(actor: str) -> Standstill:
    """Lets contact go on; raises Refused when nothing was stopped."""
    standing = in_force()
    if standing is None:
        raise Refused("contact is not stopped", how="There is nothing to lift.")
    standing.in_force = False
    standing.lifted_at, standing.lifted_by = clock.now(), actor
    audit.record(actor, "contact goes on", standing)
    return standing
