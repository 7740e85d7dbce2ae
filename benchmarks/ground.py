"""What benchmarks stand on: the service in an empty database of its own, and the bare route that is the floor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from flask import Flask
from flask_migrate import upgrade
from pydantic import SecretStr
from sqlalchemy import make_url

from application import create_app
from survey import embedded
from survey.settings import PROJECT, load_settings

DATABASE = "aftercall_bench"


@contextmanager
def service() -> Iterator[Flask]:
    """The application on an empty, migrated database, inside its context. Durable, as production is."""
    settings = load_settings()
    url = embedded.start(settings.aftercall_data)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    app = create_app(
        settings.model_copy(
            update={
                "database_url": make_url(url).set(database=DATABASE).render_as_string(hide_password=False),
                "twilio_auth_token": SecretStr("a token for benchmarks only"),
                "log_level": "ERROR",
            }
        )
    )
    with app.app_context():
        upgrade(directory=str(PROJECT / "migrations"))
        yield app


def bare_insert_route(database_url: str) -> Flask:
    """The least a webhook that keeps an answer could do: one Flask route, one INSERT by psycopg, one commit."""
    app = Flask("floor")
    connection = psycopg.connect(database_url.replace("+psycopg", ""))
    connection.execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, question text, value text)")
    connection.commit()

    @app.post("/answer")
    def answer() -> str:
        connection.execute("INSERT INTO floor (question, value) VALUES (%s, %s)", ("resolved", "yes"))
        connection.commit()
        return "<Response/>"

    return app
