"""The command line's manners: exit 0 done, 1 refused with a clear reason, 2 usage; `--json` where a command reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext
from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy.exc import OperationalError, ProgrammingError

from survey.clock import iso
from survey.errors import AftercallError


class PoliteCommand(click.Command):
    """A command whose refusals are one clear line on stderr and exit status 1, never a stack trace.

    The database's own are among them: not there, or without our tables.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AftercallError as error:
            _refuse(ctx, error)
        except OperationalError as error:
            what = f"the database could not do this ({type(error.orig).__name__})"
            _refuse(ctx, AftercallError(what, where="DATABASE_URL", how="flask doctor says what is wrong."))
        except ProgrammingError as error:
            if not isinstance(error.orig, (UndefinedTable, UndefinedColumn)):
                raise
            what = "the database is not set up for this version"
            _refuse(ctx, AftercallError(what, where="DATABASE_URL", how="Run flask database upgrade."))


def _refuse(ctx: click.Context, error: AftercallError) -> None:
    click.echo(f"Refused: {error}", err=True)
    ctx.exit(error.exit_code)


class PoliteGroup(AppGroup):
    """A group of polite commands, each run inside the application's context."""

    command_class = PoliteCommand


json_option = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON instead of text.")


def command(name: str, **options: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A polite top-level command with the application's context."""

    def make(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=PoliteCommand, **options)(with_appcontext(function))

    return make


def emit(report: Any, lines: list[str], as_json: bool) -> None:
    """Prints a report: as one line of JSON, or as `lines`."""
    if as_json:
        click.echo(json.dumps(report, default=_plain, ensure_ascii=False))
    else:
        for line in lines:
            click.echo(line)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise TypeError(f"{type(value).__name__} does not go into JSON")
