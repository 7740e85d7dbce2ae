"""Writing many rows: each column travels as one array, which the database takes apart again; imports take turns.

A statement with a thousand VALUES takes the driver longer to write than the database to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Row, Table, any_, bindparam, func, literal, select, text
from sqlalchemy.orm import InstrumentedAttribute

from survey.db import Base, db

# Any number no other advisory lock of ours uses.
_TURN = 0x1A7E


def take_turn(organisation_id: int) -> None:
    """Waits until no other import writes for the organisation, and keeps the turn until the transaction ends.

    Taken before the first row is written or locked. What was looked up before a write is then still so at the write,
    and two imports of the same calls cannot wait for each other in a circle.
    """
    db.session.execute(select(func.pg_advisory_xact_lock(_TURN, func.hashint8(organisation_id))))


def insert_many(model: type[Base], rows: Sequence[dict[str, Any]], returning: str) -> Sequence[Row[Any]]:
    """Inserts the rows (all with the same columns); returns `returning` of each, which is SQL of ours, never input."""
    if not rows:
        return []
    table = model.__table__
    assert isinstance(table, Table)
    dialect = db.engine.dialect
    columns = [table.c[name] for name in rows[0]]
    arrays = ", ".join(f"CAST(:{column.name} AS {column.type.compile(dialect)}[])" for column in columns)
    names = ", ".join(column.name for column in columns)
    statement = text(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608 (names of our own models)
        f" RETURNING {returning}"
    ).bindparams(*(bindparam(column.name, type_=ARRAY(column.type)) for column in columns))
    values = {column.name: [row[column.name] for row in rows] for column in columns}
    return db.session.execute(statement, values).all()


def is_any(column: InstrumentedAttribute[Any], wanted: Sequence[Any]) -> ColumnElement[bool]:
    """`column` is one of `wanted`, however many those are."""
    return column == any_(literal(list(wanted), ARRAY(column.type)))
