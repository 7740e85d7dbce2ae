"""Which of any number of schedulers ticks: the one that holds an advisory lock, on a connection of its own."""

from __future__ import annotations

from types import TracebackType

import psycopg

from survey.logs import logger

# Numbers of the advisory locks in use: 4203 migrations (migrations/env.py), 4204 this one.
LOCK = 4204
# A leader whose machine vanishes is missed by the server within about 12 seconds; standing by asks every few.
RENEW_SECONDS = 3
_KEEPALIVES = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=2"

log = logger("scheduler")


class Leadership:
    """Held while its connection lives, so it ends with the process, however that dies.

    Nothing rests on there being one leader only: claims and draws take turns by row locks. It spares the others work.
    """

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy takes it. Nothing is connected before the first `renew`."""
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._connection: psycopg.Connection | None = None
        self.held = False

    def renew(self) -> bool:
        """Keeps, or tries to become, the leader; returns whether it is. A lost connection loses the lead."""
        before = self.held
        try:
            self.held = self._ask()
        except psycopg.Error:
            self.give_up()
        if self.held != before:
            log.info("this scheduler leads" if self.held else "this scheduler stands by")
        return self.held

    def give_up(self) -> None:
        """Lets go of the lead, and of the connection."""
        self.held = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self) -> bool:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=5,
                application_name="aftercall scheduler",
                options=_KEEPALIVES,
            )
        if self.held:
            self._connection.execute("SELECT 1")
            return True
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        return bool(row and row[0])

    def __enter__(self) -> Leadership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up()
