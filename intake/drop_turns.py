"""One picker at a feed of the drop folder at a time, on whatever machines they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from intake.drop_settings import Feed
from survey.db import db

# The first of the two numbers of a feed's advisory lock; the second is made of the feed's name.
LOCK = 4205
# A picker whose machine vanishes lets go of its feed within about 12 seconds.
LOCKING_CONNECTION = {
    "application_name": "aftercall drop folder",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "2",
}


class Turns:
    """One picker at a feed at a time, on whatever machines they run: an advisory lock, gone when its holder is.

    Asked on the driver's own connection: ours would connect anew when it is lost, and hold nothing without a word.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @contextmanager
    def at(self, feed: Feed) -> Iterator[bool]:
        """Whether the feed is ours within the block; does not wait."""
        lock = [LOCK, feed.name]
        ours = bool(self._ask("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock))
        try:
            yield ours
        finally:
            if ours:
                with suppress(psycopg.OperationalError):  # a lost connection holds no lock
                    self._ask("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)

    def check(self) -> None:
        """Raises psycopg.OperationalError when the connection is lost, and with it every turn."""
        self._ask("SELECT 1", [])

    def _ask(self, statement: str, values: list[object]) -> Any:
        row = self._connection.execute(statement, values).fetchone()
        return row and row[0]


@contextmanager
def turns_taken() -> Iterator[Turns]:
    """On a connection of its own, which no transaction ends and which is closed at the end, not used again."""
    with db.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        driver: Any = connection.connection.driver_connection
        connection.detach()
        for setting in LOCKING_CONNECTION.items():
            driver.execute("SELECT set_config(%s, %s, false)", setting)
        yield Turns(driver)
