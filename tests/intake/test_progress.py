"""The progress bar: on a terminal only, with the rows so far, their share and their rate."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from flask import Flask
from rich.console import Console
from rich.progress import Progress

from intake import progress
from intake.progress import fitted, rows_in, said
from survey.db import db
from survey.settings import current
from tests.conftest import PROJECT
from tests.intake import samples

ROWS = 3_000


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2\n3,4\n", 2),
        (b"a,b\n1,2\n3,4", 2),
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n3;4\r\n", 2),
        (b"a,b\r1,2\r3,4\r", 2),
        ("a,b\n1,2\n3,4\n".encode("utf-16"), 2),
        (b"a,b\n", 0),
        (b"", 0),
        (b"PK\x03\x04\n\n\n", None),
        (b"\xef\xbb\xbf \n[{}]\n", None),
        (b'{"a": 1}\n{"a": 2}\n', None),
    ],
)
def test_rows_are_counted_by_line_ends(tmp_path: Path, content: bytes, rows: int | None) -> None:
    assert rows_in(samples.written(tmp_path, content)) == rows


def test_what_cannot_be_counted_beforehand_has_no_total(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert rows_in(tmp_path / "nowhere.csv") is None and rows_in(tmp_path / "pipe") is None


def test_counting_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "CHUNK", 4096)
    file = samples.written(tmp_path, b"x,y\n" * 500_000)
    tracemalloc.start()
    assert rows_in(file) == 499_999
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_what_the_bar_says() -> None:
    assert said(12_000, 48_000, 8_000.4) == "12,000 of about 48,000 rows, 25%, 8,000 rows/s"
    assert said(12_000, None, None) == "12,000 rows" and said(1, None, None) == "1 row"
    assert said(12, 10, None) == "12 of about 12 rows, 100%", "line ends inside quotes make the guess wrong"


@pytest.mark.parametrize(("more", "shown"), [((), True), (("--json",), False)])
def test_a_terminal_is_shown_a_bar(app: Flask, tmp_path: Path, more: tuple[str, ...], shown: bool) -> None:
    report, told = on_a_terminal(tmp_path, *more)
    assert str(ROWS) in report.replace(",", "")
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told)
    assert (f"{ROWS:,} of about {ROWS:,} rows" in told) is shown and ("calls[red].csv" in told) is shown


@pytest.mark.parametrize("columns", [80, 90, 100])
def test_the_bar_stays_on_one_line(app: Flask, tmp_path: Path, columns: int) -> None:
    name = f"calls of the year, {'north, ' * 10}last.csv"
    _, told = on_a_terminal(tmp_path, name=name, columns=columns)
    assert told.count("\x1b[1A") == 1, "it goes up once, to clear the line at the end, and never over a second line"
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told))
    shown = [line for line in lines if f"{ROWS:,} of about {ROWS:,} rows, 100%" in line]
    assert shown and max(map(len, lines)) <= columns
    assert "…" in shown[-1] and "csv" in shown[-1]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_million_rows_with_their_rate_and_time_left_fit_the_line(width: int) -> None:
    screen, seconds = io.StringIO(), iter(range(0, 100, 5))
    console = Console(file=screen, width=width, force_terminal=True)
    name, bar_width = fitted("the calls of the whole year, of every site.csv", width)
    drawn = Progress(*progress.columns(bar_width), console=console, get_time=lambda: next(seconds))
    task = drawn.add_task(name, total=1_000_000)
    for rows in (0, 100_000, 400_000):
        drawn.update(task, completed=rows)
    console.print(drawn.make_tasks_table(drawn.tasks))
    (line,) = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    assert re.search(r"400,000 of about 1,000,000 rows, 40%, \d+,000 rows/s 0:00:\d\d", line) and len(line) <= width


@pytest.mark.parametrize("width", [20, 79, 80, 100, 120, 200])
@pytest.mark.parametrize("name", ["a.csv", "calls of the north.csv", "x" * 300 + ".csv"])
def test_name_and_bar_share_what_the_figures_leave(name: str, width: int) -> None:
    short, bar = fitted(name, width)
    assert len(short) + (bar + 1 if bar else 0) <= max(width - progress.FIGURES_WIDTH, progress.SHORTEST_NAME)
    assert short == name or (short[0] == name[0] and short[-3:] == "csv" and "…" in short)
    assert width < 120 or bar >= progress.SHORTEST_BAR


def on_a_terminal(folder: Path, *more: str, name: str = "calls[red].csv", columns: int = 160) -> tuple[str, str]:
    """What an import prints (its report), and what it draws on a terminal as wide as that."""
    ours, theirs = pty.openpty()
    child = importing(folder, theirs, *more, name=name, columns=columns)
    os.close(theirs)
    screen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        screen += part
    os.close(ours)
    report, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return report, screen.decode()


def test_what_is_piped_has_no_bar(app: Flask, tmp_path: Path) -> None:
    child = importing(tmp_path, subprocess.PIPE)
    report, errors = child.communicate(timeout=60)
    assert errors == "" and f"{ROWS:,} rows read: {ROWS:,} new" in report and "\x1b" not in report


def importing(
    folder: Path, stderr: int, *more: str, name: str = "calls[red].csv", columns: int = 160
) -> subprocess.Popen[str]:
    """A process that imports a file with its stderr there."""
    samples.place()
    rows = (f"c{number},amy,2026-03-02 09:00,60" for number in range(ROWS))
    file = samples.written(folder, samples.rows(*rows), name)
    settings = current()
    environment = {
        **os.environ,
        "AFTERCALL_DATA": str(folder / "var"),
        "DATABASE_URL": db.engine.url.render_as_string(hide_password=False),
        "SECRET_KEY": settings.keys.secret_key,
        "DATA_KEY": settings.keys.data_key,
        "FLASK_APP": "wsgi.py",
        "FLASK_SKIP_DOTENV": "1",
        "AFTERCALL_ENV_FILE": "",
        "TERM": "xterm-256color",
        "COLUMNS": str(columns),
    }
    command = [sys.executable, "-m", "flask", "calls", "import", str(file), "--organisation", "acme", "--site", "north"]
    return subprocess.Popen(
        [*command, *more], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
