"""Pooled connections whose server went away."""

from __future__ import annotations

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from survey import connections
from survey.db import db

BACKEND = text("SELECT pg_backend_pid()")


def ended() -> int:
    """Ends the server's side of the pooled connection that will be handed out next; returns its process."""
    process = db.session.scalar(BACKEND)
    db.session.remove()
    url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))
    return int(process or 0)


def test_one_that_was_quiet_is_replaced(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "QUIET_SECONDS", 0)
    process = ended()
    assert db.session.scalar(BACKEND) not in (None, process)


def test_one_used_a_moment_ago_fails_once_and_then_all_are_new(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "QUIET_SECONDS", 3600)
    process = ended()
    with pytest.raises(OperationalError):
        db.session.scalar(BACKEND)
    db.session.rollback()
    assert db.session.scalar(BACKEND) not in (None, process)


def test_one_used_a_moment_ago_is_not_asked_first(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(db.engine.dialect, "do_ping", asked.append)
    monkeypatch.setattr(connections, "QUIET_SECONDS", 3600)
    db.session.scalar(BACKEND)
    db.session.remove()
    db.session.scalar(BACKEND)
    assert asked == []
    db.session.remove()
    monkeypatch.setattr(connections, "QUIET_SECONDS", 0)
    db.session.scalar(BACKEND)
    assert len(asked) == 1
