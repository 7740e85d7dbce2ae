"""The progress bar: on a terminal only, with the rows so far, their share and their rate."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from flask import Flask

from intake import progress
from intake.progress import rows_in, said
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
    assert said(12_000, None, None) == "12,000 rows"
    assert said(12, 10, None) == "12 of about 12 rows, 100%", "line ends inside quotes make the guess wrong"


@pytest.mark.parametrize(("more", "shown"), [((), True), (("--json",), False)])
def test_a_terminal_is_shown_a_bar(app: Flask, tmp_path: Path, more: tuple[str, ...], shown: bool) -> None:
    ours, theirs = pty.openpty()
    child = importing(tmp_path, theirs, *more)
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
    assert child.returncode == 0 and str(ROWS) in report.replace(",", "")
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode())
    assert (f"{ROWS:,} of about {ROWS:,} rows" in told) is shown and ("calls[red].csv" in told) is shown


def test_what_is_piped_has_no_bar(app: Flask, tmp_path: Path) -> None:
    child = importing(tmp_path, subprocess.PIPE)
    report, errors = child.communicate(timeout=60)
    assert errors == "" and f"{ROWS:,} rows read: {ROWS:,} new" in report and "\x1b" not in report


def importing(folder: Path, stderr: int, *more: str) -> subprocess.Popen[str]:
    """A process that imports a file with its stderr there."""
    samples.place()
    rows = (f"c{number},amy,2026-03-02 09:00,60" for number in range(ROWS))
    file = samples.written(folder, samples.rows(*rows), "calls[red].csv")
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
        "COLUMNS": "160",
    }
    command = [sys.executable, "-m", "flask", "calls", "import", str(file), "--organisation", "acme", "--site", "north"]
    return subprocess.Popen(
        [*command, *more], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
