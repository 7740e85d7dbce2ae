"""Whether a campaign's calling hours leave any time in which a phone may ring: by weekdays alone, without holidays."""

from __future__ import annotations

from scheduler.hours import LIMITS, Window, limits_of


def rings_in(where: str, weekday: int, window: Window) -> bool:
    """Whether a phone there, by a country or state of hours.LIMITS, may ring on that weekday within the window."""
    begins, ends = window.hours(weekday)
    allowed = limits_of(where, weekday) if weekday in window.weekdays else ()
    return any(max(begins, opens) < min(ends, closes) for opens, closes in allowed)


def rings_anywhere(window: Window) -> bool:
    """Whether there is a country where a phone may ring within the window, on whatever weekday."""
    return any(rings_in(where, weekday, window) for where in ("", *LIMITS) for weekday in window.weekdays)
