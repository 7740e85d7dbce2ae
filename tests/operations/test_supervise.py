"""The supervisor of bin/run: lines passed on, the dead raised, everything ended together."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[2]
DEAF = "trap '' TERM; sleep 60 & echo up; wait"


@contextmanager
def supervised(*commands: str, program: str = "") -> Iterator[subprocess.Popen[str]]:
    """The supervisor as a process of its own, killed in the end if it still lives."""
    start = ["-c", program] if program else ["-m", "operations.supervise"]
    process = subprocess.Popen(
        [sys.executable, *start, *commands], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if re.search(wanted, line):
            return lines
    pytest.fail(f"never said {wanted!r}: {lines}")


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def rest(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_all_on_a_signal_and_says_goodbye(number: signal.Signals) -> None:
    with supervised("--parting", "Goodbye.", "web=sh -c 'echo up; exec sleep 60'", "worker=sleep 60") as process:
        assert read_until(process, "up") == ["web       | up"]
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        process.send_signal(number)
        said = rest(process)
        assert process.wait(10) == 0
        assert sorted(said[:2]) == ["web       | ended (SIGTERM)", "worker    | ended (SIGTERM)"]
        assert said[2:] == ["Goodbye."]
        assert not any(alive(child) for child in children)


def test_starts_a_dead_one_again_after_a_growing_pause() -> None:
    with supervised("worker=sh -c 'echo try; exit 3'", "web=sleep 60") as process:
        assert process.stdout is not None
        assert [process.stdout.readline().rstrip() for _ in range(4)] == [
            "worker    | try",
            "worker    | ended by itself (exit 3); starting it again in 1 s",
            "worker    | try",
            "worker    | ended by itself (exit 3); starting it again in 2 s",
        ]
        process.terminate()
        assert process.wait(10) == 0, "also while it waits to start one again"


def test_a_command_that_is_not_there_keeps_no_other_from_running() -> None:
    with supervised("gone=/no/such/program", "web=sh -c 'sleep 0.3; echo up; exec sleep 60'") as process:
        said = read_until(process, "up")
        assert "No such file" in said[0]
        assert said[-1] == "web       | up"


def test_the_last_words_of_a_child_are_not_lost() -> None:
    with supervised(
        "web=sh -c 'trap \"seq 20000; echo bye; exit 0\" TERM; echo up; while true; do sleep 0.1; done'"
    ) as process:
        read_until(process, "up")
        process.terminate()
        assert rest(process)[-3:] == ["web       | 20000", "web       | bye", "web       | ended (exit 0)"]


def test_what_will_not_end_is_killed_with_all_it_started() -> None:
    impatient = (
        "import asyncio, sys; from operations.supervise import Child, Patience, supervise; "
        f"asyncio.run(supervise([Child('deaf', ('sh', '-c', {DEAF!r}))], Patience(grace=0.3)))"
    )
    with supervised(program=impatient) as process:
        read_until(process, "up")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 2
        started = time.monotonic()
        process.terminate()
        assert "deaf      | ended (SIGKILL)" in rest(process)
        assert process.wait(10) == 0
        assert time.monotonic() - started >= 0.3
        assert not any(alive(member) for member in family)


def test_a_line_without_end_does_not_stop_the_others() -> None:
    endless = f'{shlex.quote(sys.executable)} -c \'print("x" * 3_000_000); print("done"); input()\''
    with supervised(f"web={endless}", "worker=sh -c 'sleep 0.5; echo up; exec sleep 60'") as process:
        said = read_until(process, "worker .* up")
        assert "web       | (a line too long to show)" in said
        assert "web       | done" in said


def gone_within(pid: int, seconds: float) -> bool:
    """Whether the process ends in time: a signal takes a moment to be seen."""
    waited = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if not psutil.pid_exists(pid) or not alive(psutil.Process(pid)):
            return True
        waited.wait(0.05)
    return False


def test_what_a_dead_one_left_behind_goes_with_it() -> None:
    with supervised("worker=sh -c 'sleep 60 & echo $!; exit 3'") as process:
        said = read_until(process, "again in 1 s")
        assert said[-1].startswith("worker    | ended by itself (exit 3)")
        left_behind = int(said[0].split("|")[1])
        assert gone_within(left_behind, 10)


@pytest.mark.parametrize("argument", ["web", "=sleep 1", "web="])
def test_a_command_without_a_name_is_a_usage_error(argument: str) -> None:
    with supervised(argument) as process:
        assert "expected NAME=COMMAND" in "".join(rest(process))
        assert process.wait(10) == 2
