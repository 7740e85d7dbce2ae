"""Runs the migrations on the application's own database; the queue's tables are not Alembic's to compare."""

from __future__ import annotations

from alembic import context
from flask import current_app

import survey.models  # noqa: F401  (fills the metadata)
from survey.db import Base, db
from survey.vault import Sealed

QUEUE_PREFIX = "procrastinate_"


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith(QUEUE_PREFIX))


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """A sealed column is text to the database: migrations must not depend on our classes."""
    return "sa.Text()" if kind == "type" and isinstance(item, Sealed) else False


def run() -> None:
    configured = current_app.extensions["migrate"].configure_args
    with db.engine.connect() as connection:
        # One upgrade at a time, however many machines start at once.
        connection.exec_driver_sql("SELECT pg_advisory_lock(4203)")
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_name=include_name,
            render_item=render_item,
            compare_server_default=True,
            **configured,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        connection.exec_driver_sql("SELECT pg_advisory_unlock(4203)")
        connection.commit()


run()
