"""flask demo: the time-lapse, its tables, then the live service. It stands above the rooms, like application.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import click
from flask import Flask, current_app
from flask_migrate import upgrade
from rich.console import Console
from rich.table import Table

from operations.users import fresh_sign_in
from simulator import demo, figures, live
from survey import clock
from survey.commands import command
from survey.db import db
from survey.errors import InputError, Refused
from survey.settings import current

ADMINISTRATOR = "admin@example.com"


@command("demo", help="Play six months of two contact centres in fast motion, then leave the service running.")
@click.option("--once", is_flag=True, help="Stop after the tables.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON; everything else goes to stderr.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another world.")
@click.option("--until", help="The day the time-lapse is played from, as 2026-07-20; today unless told otherwise.")
def demo_command(once: bool, as_json: bool, seed: int, until: str | None) -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    upgrade(directory=f"{app.root_path}/migrations")
    folder = demo.Folder(current().aftercall_data)
    record = folder.record()
    if record is None:
        record = demo.play(app, folder, seed, _day(until) if until else clock.now().date())
    elif record.seed != seed or until not in (None, record.until):
        raise Refused(
            f"a demo with seed {record.seed} has been played here",
            how=f"Remove {current().aftercall_data} to play another, or leave out --seed and --until.",
        )
    report = demo.report(folder, record.seconds)
    _print_tables(Console(stderr=as_json))
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print_report(report)
    if not once:
        _go_live(app, folder, seed, err=as_json)


def _day(until: str) -> date:
    try:
        return date.fromisoformat(until)
    except ValueError:
        raise InputError(f"{until!r} is not a day", where="--until", how="Write it as 2026-07-20.") from None


def _go_live(app: Flask, folder: demo.Folder, seed: int, *, err: bool) -> None:
    password = fresh_sign_in(ADMINISTRATOR, "administrator")
    db.session.commit()
    click.echo(f"\nThe console:   {live.ADDRESS}/console/   sign in as {ADMINISTRATOR} with {password}", err=err)
    click.echo(f"The registry:  {live.ADDRESS}/registry", err=err)
    click.echo(f"The mailbox:   {folder.mail} (one file a message)", err=err)
    click.echo("Ctrl-C ends the service; the database keeps running: flask database stop ends it.\n", err=err)
    live.serve(app, folder, seed)


def _print_tables(console: Console) -> None:
    connection = db.session.connection()
    console.print(_table("What became of the calls", ("organisation", "step", "count"), figures.funnel(connection)))
    columns = ("organisation", "level", "subject", "surveys", "world class", "decision", "what is missing")
    console.print(_table("Decisions", columns, figures.decisions(connection)))
    held = ("organisation", "level", "holder", "from", "until")
    console.print(_table("Certificates", held, figures.certificates(connection)))


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in {"count", "surveys", "world class"} else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def _print_report(report: dict[str, Any]) -> None:
    certificates = report.pop("certificates")
    click.echo("  ".join(f"{name} {value}" for name, value in report.items()))
    click.echo("certificates: " + "  ".join(f"{level} {count}" for level, count in certificates.items()))


commands: tuple[click.Command, ...] = (demo_command,)
