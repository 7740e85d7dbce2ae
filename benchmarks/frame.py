"""The frame of `bin/bench`: figures beside their floors, a table or JSON lines, and whether each target is reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`ours` and `floor` in `unit` (more is better); `target` is the ratio to reach.

    The floor is the least work the job could be done with: a ratio says what our care costs, whatever the machine.
    `note` tells of a limit beside the ratio, `within` whether that was kept.
    """

    name: str
    ours: float
    floor: float
    unit: str
    target: float
    note: str = ""
    within: bool = True

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def reached(self) -> bool:
        return self.ratio >= self.target and self.within

    def as_line(self) -> str:
        """One JSON line."""
        values: dict[str, Any] = {
            "name": self.name,
            "ours": round(self.ours, 2),
            "floor": round(self.floor, 2),
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "target": self.target,
            "pass": self.reached,
        }
        if self.note:
            values["note"] = self.note
        return json.dumps(values)


@dataclass(frozen=True)
class Pace:
    """How long to measure: repetitions of a single thing, and days of a time-lapse."""

    repetitions: int
    days: int


QUICK = Pace(repetitions=300, days=4)
FULL = Pace(repetitions=3000, days=14)

Benchmark = Callable[[Pace], Figure]


def per_second(action: Callable[[int], object], repetitions: int) -> float:
    """How often a second `action(n)` can be done, n counting up; a tenth as many first warm things up."""
    warm_up = max(1, repetitions // 10)
    for n in range(warm_up):
        action(n)
    start = perf_counter()
    for n in range(warm_up, warm_up + repetitions):
        action(n)
    return repetitions / (perf_counter() - start)
