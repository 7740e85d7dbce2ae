"""Counting what is asked of the database: slow code is code that asks once a row, whatever the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from survey.db import db


@contextmanager
def counted() -> Iterator[list[str]]:
    """Yields the list that the block's statements are appended to."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
