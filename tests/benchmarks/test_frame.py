"""The frame of bin/bench: a figure says whether it reached its target, beside its floor."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as bench
from benchmarks.frame import QUICK, Figure, Pace, per_second


def figure(ours: float) -> Figure:
    return Figure("name", ours, 200.0, "requests/s", 0.5)


@pytest.mark.parametrize(("ours", "reached"), [(99.9, False), (100.0, True), (400.0, True)])
def test_the_ratio_to_the_floor_decides(ours: float, reached: bool) -> None:
    line = json.loads(figure(ours).as_line())
    assert line["pass"] is reached is figure(ours).reached
    assert set(line) == {"name", "ours", "floor", "unit", "ratio", "target", "pass"}


def test_a_missed_target_is_exit_1_and_quick_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Pace] = []

    def measure(pace: Pace) -> Figure:
        asked.append(pace)
        return figure(10.0)

    monkeypatch.setattr(bench, "BENCHMARKS", {"answer-webhook": measure})
    result = CliRunner().invoke(bench.bench, ["--quick", "--json"])
    assert result.exit_code == 1 and asked == [QUICK]
    assert json.loads(result.output)["pass"] is False


def test_every_repetition_is_done_once_after_the_warm_up() -> None:
    seen: list[int] = []
    assert per_second(seen.append, 20) > 0
    assert seen == list(range(22))
