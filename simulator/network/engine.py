"""Moves a network's time: from event to event in a time-lapse, or on a thread of its own as their time comes."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from simulator.network.timeline import Action, Clock, LiveRunner, Timeline


class Engine:
    """A timeline and what runs it, one event at a time. `speed` is how many seconds of a call pass in one of the clock.

    `event_at` is the moment of the event that runs, or ran last.
    """

    def __init__(self, clock: Clock, speed: float) -> None:
        self.clock = clock
        self.timeline = Timeline()
        self.event_at = clock()
        self._speed = speed
        self._one_event_at_a_time = threading.Lock()
        self._runner: LiveRunner | None = None

    def next_event_at(self) -> datetime | None:
        """Give when the next event is due; None when the network is at rest."""
        return self.timeline.next_at()

    def run_due(self, now: datetime) -> int:
        """Run every event due by `now`, in order; give how many ran. Events made on the way run too if due."""
        ran = 0
        with self._one_event_at_a_time:
            while (due := self.timeline.take(now)) is not None:
                at, action = due
                self.event_at = at
                action(at)
                ran += 1
        return ran

    def run_until(self, end: datetime, move_clock: Callable[[datetime], object]) -> int:
        """Move the clock from event to event up to `end` (included), then to `end`; give how many events ran."""
        ran = 0
        while (at := self.next_event_at()) is not None and at <= end:
            move_clock(at)
            ran += self.run_due(at)
        move_clock(end)
        return ran

    def start(self) -> None:
        """Run events in real time on a thread of the network's own, until `stop`."""
        self._runner = LiveRunner(self, self.clock)
        self._runner.start()

    def stop(self) -> None:
        """Stop running events in real time. Harmless when nothing runs."""
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    # Moments, and seconds of a call

    def _later(self, at: datetime, seconds: float, action: Action) -> None:
        self.timeline.schedule(self._after(at, seconds), action)

    def _after(self, at: datetime, seconds: float) -> datetime:
        return at + timedelta(seconds=seconds / self._speed)

    def _call_seconds(self, start: datetime, end: datetime) -> float:
        return (end - start).total_seconds() * self._speed
