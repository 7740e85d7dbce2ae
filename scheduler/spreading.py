"""When exactly, within the allowed time: what comes due at once is spread over it, so that no calls go out in bursts.

Pure. What is spread is allowed time: what finds no room before the hours close goes on when they open again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from scheduler.hours import Span

# Nothing is planned into the last minutes of the hours: what waits its turn there would come to it too late.
CLOSING_TIME = timedelta(minutes=15)
# What waits for the hours to open would otherwise all begin with their first second.
AT_OPENING = timedelta(hours=1)
NONE = timedelta(0)
WHOLE = 2**32


def mark(survey_id: int, tries: int) -> int:
    """A number below WHOLE, different from survey to survey and try to try, but always the same one."""
    # Multiplying by the golden ratio's 32-bit fraction spreads consecutive ids evenly (Knuth, TAOCP 6.4).
    return (survey_id * 2_654_435_769 + tries * 1_640_531_527) % WHOLE


def share(length: timedelta, mark: int) -> timedelta:
    """The mark's share of `length`, in whole seconds, less than all of it."""
    return timedelta(seconds=int(length.total_seconds()) * mark // WHOLE)


def moment(
    next_span: Callable[[datetime], Span | None], earliest: datetime, spread: timedelta, mark: int
) -> datetime | None:
    """The mark's moment within `spread` of allowed time from `earliest` on; None where no time is allowed at all.

    `next_span(at)` gives the rest of the first allowed stretch from `at` on, its end excluded.
    """
    stretches = _roomy(next_span, earliest, max(spread, AT_OPENING))
    if not stretches:
        return None
    if stretches[0][0] > earliest:
        spread = max(spread, AT_OPENING)
    room = sum((end - start for start, end in stretches), NONE)
    return _along(stretches, share(min(room, spread), mark))


def _roomy(next_span: Callable[[datetime], Span | None], earliest: datetime, enough: timedelta) -> list[Span]:
    """The allowed stretches without their closing time, until they are `enough` in all.

    Where none is longer than that, the beginning of the first.
    """
    found: list[Span] = []
    first, span, room = None, next_span(earliest), NONE
    while span is not None and room < enough:
        start, end = span
        first = first or start
        if end - start >= CLOSING_TIME:
            found.append((start, end - CLOSING_TIME))
            room += end - CLOSING_TIME - start
        span = next_span(end)
    return found or ([(first, first)] if first else [])


def _along(stretches: Sequence[Span], ahead: timedelta) -> datetime:
    """The moment that lies `ahead` of allowed time after the first stretch's start."""
    for start, end in stretches:
        if ahead <= end - start:
            return start + ahead
        ahead -= end - start
    return stretches[-1][1]
