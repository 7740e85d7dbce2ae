"""A file of calls imported whole; beside reading it, checking its phones and copying the rows into a bare table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter

import phonenumbers
import psutil
import psycopg
from sqlalchemy import text

from benchmarks import call_file
from benchmarks.frame import Figure, Pace
from benchmarks.ground import service
from intake.calls import CallOptions, import_calls
from survey.db import db
from tests import factories

TARGET = 0.6
MEMORY_TARGET_MB = 300
ROWS_A_REPETITION = 334  # a million rows at full pace


def measure(pace: Pace) -> Figure:
    """Rows a second of what `flask calls import` does, on a file of some 334 rows a repetition; memory is watched."""
    with service() as app, TemporaryDirectory() as folder:
        path = Path(folder) / "calls.csv"
        rows = ROWS_A_REPETITION * pace.repetitions
        call_file.write(path, rows)
        place()
        floor = rows / floor_seconds(path, app.config["SQLALCHEMY_DATABASE_URI"])
        with watched() as memory:
            start = perf_counter()
            report = import_calls(path, CallOptions(organisation="bench", site="bench"), actor="bench")
            ours = rows / (perf_counter() - start)
        if (report.new, report.rejected) != (rows, 0):
            raise RuntimeError(f"{report.new} calls were taken, {report.rejected} rejected")
    note = f"peak memory {memory.peak_mb:.0f} MB of {MEMORY_TARGET_MB}"
    return Figure("call import", ours, floor, "rows/s", TARGET, note, memory.peak_mb < MEMORY_TARGET_MB)


def place() -> None:
    """The organisation, site and agents that the file names."""
    owner = factories.organisation(key="bench")
    site = factories.site(organisation=owner, key="bench")
    for number in range(call_file.AGENTS):
        factories.agent(site, key=f"agent{number}")
    db.session.commit()
    db.session.execute(text("ANALYZE"))
    db.session.commit()


def floor_seconds(path: Path, database_url: str) -> float:
    """The least work: read by csv, each distinct phone parsed and validated, rows by COPY into one bare table."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        columns = ", ".join(f"{name} text" for name in call_file.HEADER)
        connection.execute(f"CREATE TABLE bare_calls ({columns})")
        connection.commit()
        start = perf_counter()
        seen: dict[str, bool] = {}
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            next(reader)
            with connection.cursor() as cursor, cursor.copy("COPY bare_calls FROM STDIN") as copy:
                for row in reader:
                    phone = row[-1]
                    if phone not in seen:
                        seen[phone] = phonenumbers.is_valid_number(phonenumbers.parse(phone, "US"))
                    copy.write_row(row)
        connection.commit()
        taken = perf_counter() - start
    if not all(seen.values()):
        raise RuntimeError("the file has numbers that are not valid")
    return taken


@dataclass
class Memory:
    """The most memory that this process and those it started held at once (proportional set size, in MB)."""

    peak_mb: float = 0.0


@contextmanager
def watched() -> Iterator[Memory]:
    """Looks at the memory four times a second within the block."""
    memory, over = Memory(), Event()

    def watch() -> None:
        while not over.wait(0.25):
            memory.peak_mb = max(memory.peak_mb, _held() / 1e6)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        over.set()
        watcher.join()


def _held() -> int:
    """Ours and our readers'; the database server's is not counted (it belongs to another process)."""
    total, us = 0, psutil.Process()
    for process in [us, *us.children(recursive=True)]:
        try:
            if "postgres" not in process.name():
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has just ended
    return total
