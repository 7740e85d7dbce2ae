"""Draws wait for imports: no call is decided while the file it came in may still say more of it.

A file goes in batch by batch, and the legs of one call may stand in two of them. While it goes in, its import holds a
share of the organisation's lock; a draw takes the whole of it. The locks end with whoever holds them, however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer

from sqlalchemy import func, select, text

from survey.db import db
from survey.models import Organisation

# Any number no other advisory lock of ours uses.
_LOCK = 0x1A7F
# A shorter wait is not worth a word.
SILENT_SECONDS = 1.5

Tell = Callable[[str], None]
_told_of_waits: ContextVar[Tell | None] = ContextVar("told of waits", default=None)


@contextmanager
def waits_told(tell: Tell) -> Iterator[None]:
    """Within the block `tell` is called, once for each kind of wait, with what a long wait is for.

    It is called from another thread, while this one waits.
    """
    told: set[str] = set()

    def once(what: str) -> None:
        if what not in told:
            told.add(what)
            tell(what)

    before = _told_of_waits.set(once)
    try:
        yield
    finally:
        _told_of_waits.reset(before)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Around a statement that may wait for others: tells `what` it waits for, once it has waited SILENT_SECONDS.

    Costs nothing where nobody is told of waits (see `waits_told`).
    """
    tell = _told_of_waits.get()
    if tell is None:
        yield
        return
    timer = Timer(SILENT_SECONDS, tell, [f"waiting for {what} to finish"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def import_under_way(organisation_id: int) -> Iterator[None]:
    """Within the block no draw of the organisation begins; waits for one going on. Several may import at once."""
    with db.engine.connect() as connection:
        # Of its own, because the session gives its connection back whenever a batch is committed.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        with waiting("a draw of this organisation"):
            connection.execute(select(func.pg_advisory_lock_shared(_LOCK, func.hashint8(organisation_id))))
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock_shared(_LOCK, func.hashint8(organisation_id))))


def importing() -> set[int]:
    """The organisations for which an import is under way, or waits for a draw to end."""
    held = text(
        "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND classid = CAST(:lock AS oid) AND objid = CAST(hashint8(organisations.id) AS oid))"
    ).bindparams(lock=_LOCK)
    return set(db.session.scalars(select(Organisation.id).where(held)))


def begin_draw(organisation_id: int, *, wait: bool) -> bool:
    """Whether a draw may begin in this transaction: no import is under way, and none begins until it ends.

    With `wait` it waits for imports to finish, and none begins before it.
    """
    if wait:
        db.session.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashint8(organisation_id))))
        return True
    return bool(db.session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK, func.hashint8(organisation_id)))))
