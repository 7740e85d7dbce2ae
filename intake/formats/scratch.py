"""A place for what must be known of a whole file before its first row can be given: on disk, gone with the reading.

SQLite keeps it in a file of its own that nobody else can open and that is gone when it is closed. No customer's contact
is ever put there: those are read from the file itself when a row is given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from survey.errors import Refused

# What a format counts where it had to know of another record to say whether a call is internal.
NO_FIRST_LEG = "legs whose first leg is not in this file (it says whether the call is internal: hand both in together)"


@contextmanager
def scratch(*tables: str) -> Iterator[sqlite3.Connection]:
    """A database with these tables (each as behind CREATE TABLE), for the time of the block.

    Raises Refused where there is no room for it.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for table in tables:
            connection.execute(f"CREATE TABLE {table}")
        try:
            yield connection
        except sqlite3.OperationalError as error:
            raise Refused(
                f"the scratch file that this kind of file needs could not be written: {error}",
                how="Make room where temporary files go (TMPDIR names another place), and import the file again.",
            ) from None


class LargeSet:
    """A set of texts of which there may be more than fit into memory."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, text: str) -> None:
        self._connection.execute("INSERT OR IGNORE INTO texts VALUES (?)", (text,))

    def __contains__(self, text: str) -> bool:
        return self._connection.execute("SELECT 1 FROM texts WHERE text = ?", (text,)).fetchone() is not None


@contextmanager
def large_set() -> Iterator[LargeSet]:
    """An empty one, for the time of the block."""
    with scratch("texts (text TEXT PRIMARY KEY) WITHOUT ROWID") as connection:
        yield LargeSet(connection)
