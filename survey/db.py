"""The database handle, and the column types every model shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Enum, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Parent of every model: text is TEXT, times are aware, ids are 64 bits, dicts and lists are JSONB."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  (read by SQLAlchemy as a plain dict)
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        list[str]: JSONB(),
        list[int]: JSONB(),
    }


# Models derive from Base itself, typed; the extension shares its metadata and gives engine, session and app context.
db = SQLAlchemy(metadata=Base.metadata)


def one_of(enum: type[StrEnum]) -> Enum:
    """A text column kept to the values of `enum` by a check constraint (a new value is then a plain migration)."""
    return Enum(
        enum,
        name=enum.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=40,
        values_callable=lambda members: [member.value for member in members],
    )


@contextmanager
def released() -> Iterator[None]:
    """Around a network call: ends the transaction and gives the connection back, so that nothing waits on the wire.

    Everything the block needs must have been read before; objects are detached by the commit that precedes it.
    """
    db.session.commit()
    db.session.remove()
    yield
