"""The command line's manners: whatever goes wrong is one clear line and exit 1, never a stack trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

from survey.commands import PoliteGroup
from survey.db import db
from survey.errors import Refused


def not_there() -> None:
    create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing").connect()


def without_our_tables() -> None:
    db.session.execute(text("SELECT no_such_column FROM no_such_table"))


def of_another_version() -> None:
    db.session.execute(text("SELECT no_such_column FROM calls"))


def refused() -> None:
    raise Refused("not now", where="somewhere", how="Wait.")


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (not_there, "Refused: DATABASE_URL: the database could not do this (OperationalError). flask doctor"),
        (
            without_our_tables,
            "Refused: DATABASE_URL: the database is not set up for this version. Run flask database upgrade.",
        ),
        (
            of_another_version,
            "Refused: DATABASE_URL: the database is not set up for this version. Run flask database upgrade.",
        ),
        (refused, "Refused: somewhere: not now. Wait."),
    ],
)
def test_a_refusal_is_one_clear_line(app: Flask, act: Callable[[], None], told: str) -> None:
    group = PoliteGroup("testing")
    group.command("act")(act)
    result = app.test_cli_runner().invoke(group, ["act"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(told) and result.stderr.count("\n") == 1


def test_a_fault_of_ours_is_not_hushed_up(app: Flask) -> None:
    group = PoliteGroup("testing")
    group.command("act")(lambda: db.session.execute(text("SELEC 1")))
    assert app.test_cli_runner().invoke(group, ["act"]).exception is not None
