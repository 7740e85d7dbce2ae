"""What is still to happen, in order: a heap of moments and actions, and the thread that runs them in real time."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

logger = logging.getLogger(__name__)

Action = Callable[[datetime], object]
Clock = Callable[[], datetime]

LONGEST_NAP = 0.5


class Timeline:
    """Actions by the moment they are due; equal moments keep the order in which they were scheduled. Thread-safe."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self.changed = threading.Event()

    def schedule(self, at: datetime, action: Action) -> None:
        """Have `action(at)` run when the time has come."""
        with self._lock:
            heapq.heappush(self._heap, (at, next(self._order), action))
        self.changed.set()

    def next_at(self) -> datetime | None:
        """Give when the next action is due; None when nothing is left."""
        with self._lock:
            return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> tuple[datetime, Action] | None:
        """Take the first action due by `now` off the heap; None when there is none."""
        with self._lock:
            if not self._heap or self._heap[0][0] > now:
                return None
            at, _, action = heapq.heappop(self._heap)
            return at, action

    def __len__(self) -> int:
        return len(self._heap)


class Runs(Protocol):
    """Anything with due events: the phone network."""

    timeline: Timeline

    def run_due(self, now: datetime) -> int:
        """Run everything due by `now`; give how many events ran."""
        ...


class LiveRunner:
    """Runs a network's events in real time, on a thread of its own, one at a time."""

    def __init__(self, network: Runs, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="phone-network", daemon=True)

    def start(self) -> None:
        """Begin; call once."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the event under way and end the thread; events still to come stay on the timeline."""
        self._stopping.set()
        self._network.timeline.changed.set()
        self._thread.join()

    def _run(self) -> None:
        timeline = self._network.timeline
        while not self._stopping.is_set():
            timeline.changed.clear()
            try:
                self._network.run_due(self._clock())
            except Exception:
                # One customer's line going dead must not silence the whole network.
                logger.exception("An event of the phone network failed; going on with the next")
                continue
            timeline.changed.wait(self._nap())

    def _nap(self) -> float:
        next_at = self._network.timeline.next_at()
        if next_at is None:
            return LONGEST_NAP
        return min(LONGEST_NAP, max(0.0, (next_at - self._clock()).total_seconds()))
