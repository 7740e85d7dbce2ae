"""The progress bar of an import: for a person at a terminal, never for a program or a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

CHUNK = 1024 * 1024
ZIP, OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
JSON_BEGINS = (b"{", b"[")
UTF8_MARK = b"\xef\xbb\xbf"


@contextmanager
def bar(path: Path, *, wanted: bool) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr while the block runs, told the rows so far; None when not wanted or stderr is no terminal.

    It is gone when the block ends, so that the report alone remains.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Rows(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(path.name, total=rows_in(path))
        yield lambda rows: progress.update(task, completed=rows)


class Rows(ProgressColumn):
    """Rows so far, their share of all where that is known, and how many are read in a second."""

    def render(self, task: Task) -> Text:
        return Text(said(int(task.completed), None if task.total is None else int(task.total), task.speed))


def said(rows: int, total: int | None, speed: float | None) -> str:
    """12,000 of about 48,000 rows, 25%, 8,000 rows/s; without what is not known."""
    parts = [f"{rows:,} rows" if total is None else f"{rows:,} of about {max(total, rows):,} rows"]
    if total:
        parts.append(f"{min(rows / total, 1):.0%}")
    if speed:
        parts.append(f"{speed:,.0f} rows/s")
    return ", ".join(parts)


def rows_in(path: Path) -> int | None:
    """About how many rows a file of delimited text has: its lines without the header. Quoted line ends count as well.

    None for a workbook, for JSON, and for what cannot be read twice. Reads the file once, a megabyte at a time.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return _lines(iter(lambda: file.read(CHUNK), b""))
    except OSError:
        return None  # the import says why


def _lines(chunks: Iterator[bytes]) -> int | None:
    head = next(chunks, b"")
    if head.startswith((ZIP, OLD_EXCEL)) or head.removeprefix(UTF8_MARK).lstrip().startswith(JSON_BEGINS):
        return None
    line_feeds, returns, last = head.count(b"\n"), head.count(b"\r"), head
    for chunk in chunks:
        line_feeds, returns, last = line_feeds + chunk.count(b"\n"), returns + chunk.count(b"\r"), chunk
    ended = last.rstrip(b"\0").endswith((b"\n", b"\r"))
    return max((line_feeds or returns) - ended, 0)
