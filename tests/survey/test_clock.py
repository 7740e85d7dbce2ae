"""Rule 9: one clock."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from survey import clock
from tests.test_house import ROOMS, sources


def test_now_is_aware_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_manual_clock_moves_only_when_told_and_never_back() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with clock.standing_at(start) as manual:
        assert clock.now() == start
        manual.move_to(start + timedelta(hours=1))
        manual.move_to(start)
        assert clock.now() == start + timedelta(hours=1)
    assert clock.now() > start + timedelta(hours=1)


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        clock.ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001


def test_iso_is_utc_with_a_z() -> None:
    assert clock.iso(datetime(2026, 7, 8, 0, 0, tzinfo=timezone(timedelta(hours=-4)))) == "2026-07-08T04:00:00Z"


@pytest.mark.parametrize("path", sources(*ROOMS), ids=str)
def test_no_room_takes_time_from_elsewhere(path: Path) -> None:
    """Time of day is the clock's alone; a duration measured by perf_counter is not time of day."""
    if path.name == "clock.py" and path.parent.name == "survey":
        return
    forbidden = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"), ("time", "sleep")}
    calls = [
        (node.func.value.id, node.func.attr)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    ]
    assert not forbidden.intersection(calls)
