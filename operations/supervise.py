"""The small supervisor of `bin/run`: keeps a few commands alive on one machine, and ends them together.

    python -m operations.supervise web="gunicorn wsgi:app" worker="flask worker run"

Every line a command prints goes on, with its name in front. A command that ends is started again, after a pause that
doubles each time until it has once lived long enough. SIGTERM and SIGINT are passed on as SIGTERM; what has not ended
by then is killed. Ends with 0 when it was told to end.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import click

_LONGEST_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Child:
    """One command to keep alive, under a short name."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Patience:
    """How long to wait, all in seconds."""

    first_pause: float = 1
    longest_pause: float = 30
    settled_after: float = 60
    grace: float = 30


async def supervise(children: Sequence[Child], patience: Patience = Patience()) -> None:
    """Keeps the children alive until SIGTERM or SIGINT, then ends them and returns when the last is gone."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await asyncio.gather(*(_keep_alive(child, stopping, patience) for child in children))


async def _keep_alive(child: Child, stopping: asyncio.Event, patience: Patience) -> None:
    loop = asyncio.get_running_loop()
    pause = patience.first_pause
    while not stopping.is_set():
        started = loop.time()
        ending = await _live(child, stopping, patience)
        if stopping.is_set():
            _say(child, f"ended ({ending})")
            return
        if loop.time() - started >= patience.settled_after:
            pause = patience.first_pause
        _say(child, f"ended by itself ({ending}); starting it again in {pause:g} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)
        pause = min(pause * 2, patience.longest_pause)


async def _live(child: Child, stopping: asyncio.Event, patience: Patience) -> str:
    """One life of a child, from its start to its end; tells how it ended."""
    lines, child_writes = await _open_pipe()
    try:
        # A session of its own: Ctrl-C reaches it once, through us, and it can be killed with all it started.
        process = await asyncio.create_subprocess_exec(
            *child.command, stdout=child_writes, stderr=child_writes, start_new_session=True
        )
    except OSError as error:
        return str(error)
    finally:
        os.close(child_writes)
    passing_on = asyncio.create_task(_pass_on(child, lines))
    await _wait_or_end(process, stopping, patience.grace)
    # Whatever it leaves behind would hold its port, and its end of the pipe.
    _kill_group(process)
    await asyncio.wait({passing_on}, timeout=1)
    passing_on.cancel()
    return _how_it_ended(process)


async def _open_pipe() -> tuple[asyncio.StreamReader, int]:
    """A pipe of our own. With asyncio's, waiting for a process would mean waiting for everyone who holds its pipe."""
    we_read, child_writes = os.pipe()
    lines = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(we_read, "rb")
    )
    return lines, child_writes


async def _wait_or_end(process: Process, stopping: asyncio.Event, grace: float) -> None:
    """Returns when the process is gone: by itself or, once we are told to stop, by SIGTERM or at last by SIGKILL."""
    ended = asyncio.create_task(process.wait())
    told_to_stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({ended, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
    told_to_stop.cancel()
    if not ended.done():
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=grace)
    if not ended.done():
        _kill_group(process)
    await ended


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says "not permitted" where nobody is left
        os.killpg(process.pid, signal.SIGKILL)


async def _pass_on(child: Child, lines: asyncio.StreamReader) -> None:
    while True:
        try:
            line = await lines.readline()
        except ValueError:  # longer than any sensible line; the stream has dropped it
            _say(child, "(a line too long to show)")
            continue
        if not line:
            return
        _say(child, line.decode(errors="replace").rstrip())


def _how_it_ended(process: Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit {code}"


def _say(child: Child, line: str) -> None:
    click.echo(f"{child.name:<9} | {line}")


def _parse(argument: str) -> Child:
    name, equals, command = argument.partition("=")
    words = tuple(shlex.split(command))
    if not (name and equals and words):
        raise click.UsageError(f"expected NAME=COMMAND, got {argument!r}")
    return Child(name, words)


@click.command()
@click.option("--parting", default="", help="Said at the very end.")
@click.argument("commands", nargs=-1, required=True, metavar="NAME=COMMAND...")
def main(parting: str, commands: tuple[str, ...]) -> None:
    """Keeps the COMMANDs alive until told to end."""
    os.environ["PYTHONUNBUFFERED"] = "1"
    asyncio.run(supervise([_parse(argument) for argument in commands]))
    if parting:
        click.echo(parting)


if __name__ == "__main__":
    main()
