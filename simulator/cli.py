"""flask demo: the time-lapse, its tables, then the live service. It stands above the rooms, like application.py."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import click
from flask import Flask, current_app
from flask_migrate import upgrade
from rich import box
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
FIRST_SEED = 1
RIGHT = {"count", "world class"}
GREETING = f"""
The console:   {live.ADDRESS}/console/
               sign in as {ADMINISTRATOR} with {{password}}
The registry:  {live.ADDRESS}/registry
The mailbox:   {{mail}} (one file a message)

Now calls end at each site, and each is asked about: by email after 5 to 20 minutes
(open the links printed below and answer), by phone within four hours of the day's
calling hours. The console shows what becomes of each.

Ctrl-C ends the service, but not its database. To end that too:
{{end}}
"""


@command("demo", help="Play six months of two contact centres in fast motion, then leave the service running.")
@click.option("--once", is_flag=True, help="Stop after the tables.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON; everything else goes to stderr.")
@click.option("--seed", type=int, help="Another seed is another world; 1 unless told otherwise.")
@click.option("--until", help="The day the time-lapse is played from, as 2026-07-20; today unless told otherwise.")
def demo_command(once: bool, as_json: bool, seed: int | None, until: str | None) -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if not once:
        live.check_port()
    upgrade(directory=f"{app.root_path}/migrations")
    folder = demo.Folder(current().aftercall_data)
    record = folder.record()
    if record is None:
        record = demo.play(
            app, folder, FIRST_SEED if seed is None else seed, _day(until) if until else clock.now().date()
        )
    else:
        check_same(record, seed, until)
    report = demo.report(folder, record.seconds)
    console = Console(stderr=as_json)
    _print_tables(console)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print_report(console, report)
    if not once:
        _go_live(app, folder, record.seed, err=as_json)


def check_same(record: demo.Record, seed: int | None, until: str | None) -> None:
    """Raises Refused when another demo is asked for than the one that has been played here."""
    if seed not in (None, record.seed) or until not in (None, record.until):
        raise Refused(
            f"a demo with seed {record.seed}, until {record.until}, has been played here",
            how=f"Leave out --seed and --until; or play another, when you have run: {_forgetting()}",
        )


def _day(until: str) -> date:
    try:
        return date.fromisoformat(until)
    except ValueError:
        raise InputError(f"{until!r} is not a day", where="--until", how="Write it as 2026-07-20.") from None


def _go_live(app: Flask, folder: demo.Folder, seed: int, *, err: bool) -> None:
    password = fresh_sign_in(ADMINISTRATOR, "administrator")
    db.session.commit()
    click.echo(GREETING.format(password=password, mail=folder.mail, end=_ending_the_database()), err=err)
    live.serve(app, folder, seed)


def _ending_the_database() -> str:
    """The whole command, to be copied into any shell."""
    project, data, python = map(shlex.quote, (current_app.root_path, str(current().aftercall_data), sys.executable))
    return f"cd {project} && AFTERCALL_DATA={data} {python} -m flask database stop"


def _forgetting() -> str:
    """The folder goes only after its database has ended: a server that loses its folder takes the next one's socket."""
    return f"{_ending_the_database()} && rm -r {shlex.quote(str(current().aftercall_data))}"


def _print_tables(console: Console) -> None:
    connection = db.session.connection()
    funnel = (_words(row) for row in figures.funnel(connection))
    console.print(_table("What became of the calls", ("organisation", "step", "count"), funnel))
    columns = ("level", "subject", "world class", "certified")
    for organisation, rows in groupby(figures.decisions(connection), key=lambda row: row[0]):
        console.print(_table(f"Decisions: {organisation}", columns, (row[1:] for row in rows)))


def _words(row: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(str(cell).replace("_", " ") for cell in row)


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]) -> Table:
    """A table without lines between its columns: it is readable in 80 columns too."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=name != "certified")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def _print_report(console: Console, report: dict[str, Any]) -> None:
    certificates = report.pop("certificates")
    rows = [*report.items(), *((f"certificates: {level}", count) for level, count in certificates.items())]
    console.print(_table("Figures", ("what", "count"), (_words(row) for row in rows)))


commands: tuple[click.Command, ...] = (demo_command,)
