"""Connections that were quiet for a while are tried before they are used; those used a moment ago are taken as is.

A database that was started again leaves every pooled connection dead. Asking each one first (`pool_pre_ping`) costs a
trip to the database for every webhook and every job. One that worked a moment ago works, and should it not, the request
fails once: whoever asked asks again (Twilio on a 5xx, a job by its sweep), and all other connections are new then.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from sqlalchemy import Engine, event, exc

QUIET_SECONDS = 2.0


def try_quiet_ones(engine: Engine) -> None:
    """From now on each connection of the pool that was quiet for longer is tried before it is handed out."""

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used at"] = perf_counter()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get("used at")
        if used_at is None or perf_counter() - used_at < QUIET_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise exc.DisconnectionError from None  # the pool then opens a new one
