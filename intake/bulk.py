"""Writing many rows at once, by COPY; imports take turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Select, any_, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute

from survey.db import Base, db
from survey.turns import waiting

# Any numbers no other advisory locks of ours use.
_TURN = 0x1A7E
_OPTOUTS_TURN = 0x1A7D
# The length of a contact's index (survey/vault.py).
INDEX_BYTES = 32


def take_turn(organisation_id: int) -> None:
    """Waits until no other import writes for the organisation, and keeps the turn until the transaction ends.

    Taken before the first row is written or locked. What was looked up before a write is then still so at the write,
    and two imports of the same calls cannot wait for each other in a circle.
    """
    with waiting("another import of this organisation"):
        db.session.execute(select(func.pg_advisory_xact_lock(_TURN, func.hashint8(organisation_id))))


def take_optouts_turn(organisation_id: int) -> None:
    """The same for imports of opt-outs, which wait for none but each other: who asked is left alone at once."""
    with waiting("another import of opt-outs of this organisation"):
        db.session.execute(select(func.pg_advisory_xact_lock(_OPTOUTS_TURN, func.hashint8(organisation_id))))


def copy_rows(model: type[Base], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows within the session's transaction. Values go in as they are: contacts must be sealed already."""
    driver: Any = db.session.connection().connection.driver_connection
    statement = f"COPY {model.__tablename__} ({', '.join(columns)}) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def new_ids(model: type[Base], count: int) -> list[int]:
    """Ids for rows about to be written."""
    sequence = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
    return list(db.session.scalars(sequence, {"name": model.__tablename__, "count": count}))


def is_any(column: InstrumentedAttribute[Any], wanted: Sequence[Any]) -> ColumnElement[bool]:
    """`column` (of numbers, texts or 32-byte indexes) is one of `wanted`, however many those are.

    They travel as one value, which the database takes apart: an array's elements are slow for the driver to write.
    """
    elements: Select[Any]
    if isinstance(column.type, LargeBinary):
        joined = literal(b"".join(wanted), LargeBinary)
        number = func.generate_series(0, len(wanted) - 1).column_valued("number")
        elements = select(func.substring(joined, number * INDEX_BYTES + 1, INDEX_BYTES))
    else:
        element = func.jsonb_array_elements_text(literal(list(wanted), JSONB)).column_valued("element")
        elements = select(cast(element, column.type))
    return column == any_(func.array(elements.scalar_subquery()))
