"""flask demo: the time-lapse, its tables, then the live service; flask simulator run: the stand-in network by itself.

They stand above the rooms, like application.py.
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

import click
from flask import Flask, current_app
from flask_migrate import upgrade
from rich import box
from rich.console import Console
from rich.table import Table

from operations.users import fresh_sign_in
from simulator import demo, figures, live
from simulator.network import Faults, HttpTransport, PhoneNetwork, RestServer, strangers
from simulator.network.faults import GROUPS
from survey import clock
from survey.commands import PoliteGroup, command, emit, json_option
from survey.db import db
from survey.errors import InputError, Refused
from survey.settings import current

ADMINISTRATOR = "admin@example.com"
FIRST_SEED = 1
STAND_IN_TOKEN = "5" * 32
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


stand_in = PoliteGroup("simulator", help="The stand-in phone network, for whoever develops against Twilio.")


@stand_in.command("run")
@click.option("--port", default=8010, show_default=True, help="Where its REST API listens, on this machine alone.")
@click.option("--seed", default=FIRST_SEED, show_default=True, help="Other people answer, press and say other things.")
@click.option("--speed", default=1.0, show_default=True, help="How many seconds of a call pass in one second.")
@click.option(
    "--public-base",
    help="Where your service is reached, as http://127.0.0.1:8000: webhooks go there, whatever host their address"
    " names. Without it they go to the address itself.",
)
@click.option("--keys", help="What everybody presses, one at each prompt, as 1,1,5,5; then nothing.")
@click.option("--all-answer", is_flag=True, help="Everybody picks up: nobody is busy, away or a machine.")
@click.option(
    "--fault", "faults", multiple=True, help="Something to go wrong, of 10,000: callback_lost=500. Repeatable."
)
@json_option
def run_command(
    port: int,
    seed: int,
    speed: float,
    public_base: str | None,
    keys: str | None,
    all_answer: bool,
    faults: tuple[str, ...],
    as_json: bool,
) -> None:
    """Serve Twilio's REST API for calls and recordings, and ring made-up people, until interrupted.

    Any client of Twilio's that can be pointed at another address works with it. Nobody real is called.
    """
    if speed <= 0:
        raise InputError(
            f"{speed:g} is not a speed", where="--speed", how="Write a number above 0: 10 is ten times life."
        )
    network = PhoneNetwork(
        auth_token=STAND_IN_TOKEN,
        account_sid=demo.ACCOUNT_SID,
        service=HttpTransport(connect_to=_base(public_base)),
        behaviour=strangers(seed, keys.split(",") if keys else (), all_answer=all_answer),
        clock=clock.now,
        seed=seed,
        faults=_faults(faults),
        speed=speed,
    )
    _check_free(port)
    with RestServer(network, port=port) as server:
        network.start()
        try:
            settings = _stand_in_settings(server.url, public_base)
            lines = [f"{name}={value}" for name, value in settings.items()]
            emit(settings, ["Set in the service's environment:", "", *lines, "", "Ctrl-C ends it."], as_json)
            _until_interrupted()
        except KeyboardInterrupt:
            pass
        finally:
            network.stop()
    placed = len(network.log.dials())
    calls = f"{placed} {'call was' if placed == 1 else 'calls were'} placed"
    click.echo(f"\n{calls}; a real network would have billed about ${network.billed}.", err=True)


def _stand_in_settings(url: str, public_base: str | None) -> dict[str, str]:
    settings = {
        "TWILIO_API_BASE": url,
        "TWILIO_ACCOUNT_SID": demo.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": STAND_IN_TOKEN,
        "TWILIO_FROM": "+12125550100",
    }
    return settings | ({"PUBLIC_BASE_URL": public_base} if public_base else {})


def _base(public_base: str | None) -> str:
    parts = urlsplit(public_base or "http://none")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise InputError(
            f"{public_base!r} is no address of a service", where="--public-base", how="As http://127.0.0.1:8000."
        )
    return public_base or ""


def _faults(given: Iterable[str]) -> Faults:
    names = {name for group in GROUPS for name in group}
    chances: dict[str, Any] = {}
    for one in given:
        name, _, chance = one.partition("=")
        if name not in names or not (chance.isascii() and chance.isdigit()):
            how = f"Write NAME=CHANCE, the chance out of 10,000. Names: {', '.join(sorted(names))}."
            raise InputError(f"{one!r} is no fault", where="--fault", how=how)
        chances[name] = int(chance)
    try:
        return Faults(**chances)
    except ValueError as fault:
        raise InputError(str(fault), where="--fault", how="Lower the chances.") from None


def _check_free(port: int) -> None:
    try:
        live.check_port(port)
    except Refused:
        raise Refused(f"port {port} is taken", how="Choose another with --port.") from None


def _until_interrupted() -> None:
    threading.Event().wait()


commands: tuple[click.Command, ...] = (demo_command, stand_in)
