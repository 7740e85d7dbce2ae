"""The progress bar of an import: for a person at a terminal, never for a program or a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from intake.reports import counted
from intake.undo_steps import Step

CHUNK = 1024 * 1024
ZIP, OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
JSON_BEGINS = (b"{", b"[")
UTF8_MARK = b"\xef\xbb\xbf"
# What "1,000,000 of about 1,000,000 rows, 100%, 100,000 rows/s", the time left and the signs between take of a line.
FIGURES_WIDTH = 70
SHORTEST_NAME, LONGEST_NAME = 8, 40
SHORTEST_BAR, LONGEST_BAR = 5, 40


@contextmanager
def undo_bar(*, wanted: bool) -> Iterator[Callable[[Step], None] | None]:
    """The same of an undo, told each of its steps."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    shown = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(LONGEST_BAR), Rows())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(step: Step) -> None:
            progress.update(task, description=step.stage.told, completed=step.done, total=step.total or None)

        yield tell


@contextmanager
def bar(path: Path, *, wanted: bool) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr while the block runs, told the rows so far; None when not wanted or stderr is no terminal.

    It is gone when the block ends, so that the report alone remains.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    console = Console(stderr=True)
    name, bar_width = fitted(path.name, console.width)
    with Progress(*columns(bar_width), console=console, transient=True) as progress:
        task = progress.add_task(name, total=rows_in(path))
        yield lambda rows: progress.update(task, completed=rows)


def columns(bar_width: int) -> Sequence[ProgressColumn]:
    """What stands on the line, from left to right; none of it ever goes on to a second line."""
    return (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        *((BarColumn(bar_width),) if bar_width else ()),
        Rows(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )


def fitted(name: str, width: int) -> tuple[str, int]:
    """The file's name, and the width of the bar, for a terminal of so many columns; no bar (0) where it is narrow.

    A name that is too long keeps its beginning and its end.
    """
    room = max(width - FIGURES_WIDTH, SHORTEST_NAME)
    longest = min(LONGEST_NAME, max(room - SHORTEST_BAR - 1, SHORTEST_NAME))
    if len(name) > longest:
        kept = longest - 1
        name = f"{name[: kept // 2]}…{name[-(kept - kept // 2) :]}"
    left = room - len(name) - 1
    return name, min(left, LONGEST_BAR) if left >= SHORTEST_BAR else 0


class Rows(ProgressColumn):
    """Rows so far, their share of all where that is known, and how many are read in a second."""

    def render(self, task: Task) -> Text:
        return Text(said(int(task.completed), None if task.total is None else int(task.total), task.speed))


def said(rows: int, total: int | None, speed: float | None) -> str:
    """12,000 of about 48,000 rows, 25%, 8,000 rows/s; without what is not known."""
    most = max(total or 0, rows)
    parts = [counted(rows, "row") if total is None else f"{rows:,} of about {counted(most, 'row')}"]
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
