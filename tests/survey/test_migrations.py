"""The migrations make exactly the tables the models describe, go up with rows in them, and come down clean."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import create_engine, make_url

from survey.db import Base, db
from tests.conftest import PROJECT

SHAPE = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default IS NOT NULL"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid <> 0",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
}


def shape_of(url: str) -> dict[str, set[tuple[str, ...]]]:
    """Columns, constraints and indexes of our own tables, as text."""
    with psycopg.connect(url) as connection:
        return {
            what: {
                tuple(str(part) for part in row)
                for row in connection.execute(query)
                if not row[0].startswith(("procrastinate", "alembic"))
            }
            for what, query in SHAPE.items()
        }


@pytest.fixture
def empty_database(server_url: str, worker_id: str) -> Iterator[str]:
    name = f"aftercall_models_{worker_id}"
    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
        yield make_url(plain).set(database=name).render_as_string(hide_password=False)
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_migrations_equal_the_models(app: Flask, database_url: str, empty_database: str) -> None:
    engine = create_engine(empty_database.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    engine.dispose()
    migrated, described = shape_of(database_url.replace("+psycopg", "")), shape_of(empty_database)
    for what in SHAPE:
        assert migrated[what] == described[what], what


def test_down_and_up_again(app: Flask, database_url: str) -> None:
    folder = str(PROJECT / "migrations")
    before = shape_of(database_url.replace("+psycopg", ""))
    db.session.remove()
    try:
        downgrade(directory=folder, revision="base")
        with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
            left = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            assert {row[0] for row in left} == {"alembic_version", "alembic_version_pkc"}
    finally:
        upgrade(directory=folder)
    assert shape_of(database_url.replace("+psycopg", "")) == before


def test_the_queue_is_installed_by_the_same_upgrade(app: Flask, database_url: str) -> None:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
    assert found == (0,)
