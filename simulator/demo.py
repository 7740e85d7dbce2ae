"""The demo's outside world at work: the stand-in phone network and the mailbox, in fast motion and then live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

from flask import Flask
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import func, select, text

from simulator import figures
from simulator.mailbox import Mailbox
from simulator.network import PhoneNetwork, RestServer, WsgiTransport
from simulator.timelapse import Span, TimeLapse, World, latest_span, launch_moment
from survey import clock
from survey.db import Base, db
from survey.errors import Refused
from survey.models import Answer, Call, Organisation, Survey
from survey.settings import current

ACCOUNT_SID = "AC" + "5" * 32
AUTH_TOKEN = "a token for the stand-in network only"  # noqa: S105  (opens nothing but the stand-in)
ORGANISATIONS = {"harbour", "meadow"}


@dataclass(frozen=True)
class Record:
    """What a finished time-lapse leaves beside its database: with what it was played, and how long it took."""

    seed: int
    until: str
    first_day: str
    decision_day: str
    seconds: float


class Folder:
    """Where a demo keeps what is not in the database: exports, messages, the network's log."""

    def __init__(self, data: Path) -> None:
        self.root = data / "world"
        self.root.mkdir(parents=True, exist_ok=True)
        self.feeds, self.mail, self.dials = self.root / "feeds", self.root / "mail", self.root / "dials.jsonl"
        self._record = self.root / "played.json"

    def record(self) -> Record | None:
        """The time-lapse played here; None when none was finished."""
        return Record(**json.loads(self._record.read_text(encoding="utf-8"))) if self._record.exists() else None

    def keep(self, record: Record) -> None:
        self._record.write_text(json.dumps(asdict(record)), encoding="utf-8")

    def clear(self) -> None:
        """Forgets what an unfinished time-lapse left."""
        for message in self.mail.glob("*.eml"):
            message.unlink()
        self.dials.unlink(missing_ok=True)


def play(app: Flask, folder: Folder, seed: int, until: date) -> Record:
    """Plays the time-lapse into an empty database. Raises Refused when the database holds anybody else's data."""
    _start_empty(folder)
    start = perf_counter()
    span = latest_span(until)
    world = World(seed, span.first_day)
    with (
        hurried(),
        clock.standing_at(launch_moment(span)) as manual,
        outside(app, folder, world, manual) as network,
        _progress(span) as told,
    ):
        TimeLapse(app, world, network, manual, folder.feeds, told).play(span)
        figures.write_dials(network.log.dials(), folder.dials)
    record = Record(
        seed, until.isoformat(), span.first_day.isoformat(), span.decision_day.isoformat(), perf_counter() - start
    )
    folder.keep(record)
    return record


@contextmanager
def hurried() -> Iterator[None]:
    """Commits that do not wait for the disk: a time-lapse cut off by a power failure is played anew anyway."""
    _alter_database("SET synchronous_commit TO off")
    try:
        yield
    finally:
        _alter_database("RESET synchronous_commit")


def _alter_database(change: str) -> None:
    name = db.session.execute(text("SELECT quote_ident(current_database())")).scalar_one()
    db.session.execute(text(f"ALTER DATABASE {name} {change}"))
    db.session.commit()
    db.session.remove()
    db.engine.dispose()  # new connections take the setting


@contextmanager
def outside(app: Flask, folder: Folder, world: World, manual: clock.ManualClock) -> Iterator[PhoneNetwork]:
    """The stand-in network and the mailbox on loopback, with the application pointed at them."""
    mailbox = Mailbox(folder.mail, world.receive)
    network = PhoneNetwork(
        auth_token=AUTH_TOKEN,
        account_sid=ACCOUNT_SID,
        service=WsgiTransport(app),
        behaviour=world.behaviour,
        clock=manual,
        seed=world.seed,
    )
    with RestServer(network) as server:
        point_at(app, twilio_api_base=server.url, smtp_url=mailbox.start())
        try:
            yield network
        finally:
            mailbox.stop()


def point_at(app: Flask, **addresses: str) -> None:
    """Makes the application speak to the stand-ins instead of the real phone network and mail relay."""
    app.config["SETTINGS"] = current().model_copy(
        update={
            "twilio_account_sid": ACCOUNT_SID,
            "twilio_auth_token": SecretStr(AUTH_TOKEN),
            "twilio_from": "+12125550100",
            **addresses,
        }
    )


def report(folder: Folder, seconds: float) -> dict[str, Any]:
    """The demo's figures, the seconds last."""
    emails = sum(1 for _ in folder.mail.glob("*.eml"))
    found = figures.figures(db.session.connection(), figures.read_dials(folder.dials), emails)
    return {**found, "seconds": round(seconds, 1)}


def _start_empty(folder: Folder) -> None:
    """A time-lapse that was cut off is wiped away; anything else in the database is somebody's and stays."""
    keys = set(db.session.scalars(db.select(Organisation.key)))
    if not keys <= ORGANISATIONS:
        raise Refused(
            "this database holds other organisations than the demo's",
            how="Point AFTERCALL_DATA (or DATABASE_URL) at an empty place for the demo.",
        )
    tables = ", ".join(f'"{name}"' for name in Base.metadata.tables)
    db.session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    db.session.commit()
    folder.clear()


@contextmanager
def _progress(span: Span) -> Iterator[Any]:
    """A bar that tells the date and the counts so far; yields what the time-lapse is to call each day."""
    days = (span.last_day - span.first_day).days + 1
    columns = (
        TextColumn("{task.fields[day]}"),
        BarColumn(),
        TextColumn("{task.fields[calls]} calls  {task.fields[surveys]} surveys  {task.fields[answers]} answers"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=days, day=span.first_day.isoformat(), calls=0, surveys=0, answers=0)

        def told(day: date) -> None:
            calls, surveys, answers = (
                db.session.scalar(select(func.count()).select_from(model)) for model in (Call, Survey, Answer)
            )
            bar.update(task, advance=1, day=day.isoformat(), calls=calls, surveys=surveys, answers=answers)

        yield told
