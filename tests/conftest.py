"""A real PostgreSQL for every test: one throw-away server, one database per test process, emptied after each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session, scoped_session

from application import create_app
from survey import clock, embedded
from survey.db import db
from survey.settings import load_settings

PROJECT = Path(__file__).resolve().parent.parent
# A Thursday, in the middle of a working day wherever the factories put a site.
NOON = datetime(2026, 3, 12, 17, 0, tzinfo=UTC)
# They wait more than they work: begun first, the others fill the time beside them.
LONGEST = ("tests/chaos/", "tests/test_real_quarter.py", "tests/simulator/test_timelapse.py")
KEPT_TABLES = {"alembic_version", "procrastinate_version"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
def server_url() -> str:
    """A server to make databases on: TEST_DATABASE_URL, or the embedded one in a folder of its own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given.replace("postgresql://", "postgresql+psycopg://", 1)
    folder = Path(tempfile.gettempdir()) / f"aftercall-tests-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    return embedded.start(folder, durable=False)


@pytest.fixture(scope="session")
def database_url(server_url: str, worker_id: str) -> str:
    """A fresh, migrated database of this test process."""
    run = os.getpid() if worker_id == "master" else os.getppid()
    name = f"aftercall_test_{run}_{worker_id}"
    with psycopg.connect(server_url.replace("+psycopg", ""), autocommit=True) as server:
        for (old,) in server.execute("SELECT datname FROM pg_database WHERE datname ~ '^aftercall_test_[0-9]+_'"):
            if not psutil.pid_exists(int(old.split("_")[2])):
                server.execute(f'DROP DATABASE IF EXISTS "{old}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def session_app(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    settings = load_settings(
        _env_file=None,
        aftercall_data=tmp_path_factory.mktemp("var"),
        database_url=database_url,
        secret_key="a secret key for tests only",
        data_key="a data key for tests only",
        public_base_url="https://survey.example.com",
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="12345",
        twilio_from="+12125550100",
        log_level="ERROR",
    )
    app = create_app(settings)
    app.testing = True
    with app.app_context():
        upgrade(directory=str(PROJECT / "migrations"))
    return app


@pytest.fixture
def app(session_app: Flask) -> Iterator[Flask]:
    """The application inside its context, its database empty before and after."""
    with session_app.app_context():
        yield session_app
        db.session.rollback()
        db.session.remove()
        _empty()


@pytest.fixture
def session(app: Flask) -> scoped_session[Session]:
    return db.session


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser; the address is the configured public one, so that signatures and links fit."""
    return app.test_client()


@pytest.fixture
def at_noon() -> Iterator[clock.ManualClock]:
    """The clock stands at NOON until the test moves it."""
    with clock.standing_at(NOON) as manual:
        yield manual


def _empty() -> None:
    tables = db.session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    names = ", ".join(name for name in tables if name not in KEPT_TABLES)
    db.session.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    db.session.commit()
    db.session.remove()
