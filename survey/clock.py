"""The one clock: every decision of ours takes its time from `now()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system


def now() -> datetime:
    """The time, as an aware datetime in UTC."""
    return _source()


def use(source: Callable[[], datetime] | None) -> None:
    """Takes time from `source` (aware UTC) from now on; None goes back to the system's clock."""
    global _source
    _source = source or _system


@contextmanager
def standing_at(moment: datetime) -> Iterator[ManualClock]:
    """Within the block the clock stands at `moment` until it is moved by hand."""
    before = _source
    manual = ManualClock(moment)
    use(manual)
    try:
        yield manual
    finally:
        use(before)


class ManualClock:
    """A clock that moves only when told, and never backwards: for time-lapse and tests."""

    def __init__(self, moment: datetime) -> None:
        self._moment = _as_utc(moment)

    def __call__(self) -> datetime:
        return self._moment

    def move_to(self, moment: datetime) -> None:
        """Moves the clock forward to `moment`; a moment already past leaves it where it is."""
        self._moment = max(self._moment, _as_utc(moment))


def _as_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the clock takes aware datetimes only")
    return moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """The moment as ISO 8601 in UTC with a Z, to the second: 2026-07-08T04:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
