"""Whether a campaign's pace and its money are enough for the load of a forecast. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

HOURS_A_WEEK, HOUR_SECONDS, HOUR_MINUTES = 168, 3600, 60
# A survey has two business days: a call that waits longer than this for its turn may come to it too late.
LONGEST_WAIT_HOURS = 12
PACE, LIVE = "calls_per_second", "live_calls"


@dataclass(frozen=True)
class Pace:
    """The busiest hour's calls a minute beside what may be placed, and by which setting that is bounded.

    `waits` is the longest that calls wait for their turn, in whole hours, and `lost` the share of all that never has
    one.
    """

    busiest: Fraction
    possible: Fraction
    bound_by: str
    waits: int = 0
    lost: Fraction = Fraction(0)

    @property
    def keeps_up(self) -> bool:
        return not self.lost and self.waits <= LONGEST_WAIT_HOURS


@dataclass(frozen=True)
class Spend:
    """What the calls to come cost, in hundredths of the currency, beside what is spent and may be.

    `reached_on` is the day whose calls reach the cap.
    """

    cost: Fraction
    spent: Fraction = Fraction(0)
    cap: int | None = None
    reached_on: date | None = None


def pace_for(
    weekly: Mapping[tuple[int, int], Fraction], calls_per_second: int, live_calls: int, seconds_a_call: Fraction
) -> Pace:
    """How calls that come due by weekday (Monday = 0) and hour fare at that pace.

    `seconds_a_call` is how long each takes up one of the calls at a time. Two weeks are gone through, so that what is
    left over of the first is seen. Hours in which no call comes due are taken to be closed.
    """
    by_pace, by_room = Fraction(calls_per_second), Fraction(live_calls) / max(seconds_a_call, Fraction(1))
    an_hour = min(by_pace, by_room) * HOUR_SECONDS
    due = [weekly.get(divmod(n, 24), Fraction(0)) for n in range(HOURS_A_WEEK)]
    waiting, longest, after_first = Fraction(0), Fraction(0), Fraction(0)
    for n, come in enumerate(due * 2):
        if come:
            # What is left at the end of the hour takes so many more open hours.
            waiting = max(waiting + come - an_hour, Fraction(0))
            longest = max(longest, waiting / an_hour)
        if n == HOURS_A_WEEK - 1:
            after_first = waiting
    return Pace(
        busiest=max(due, default=Fraction(0)) / HOUR_MINUTES,
        possible=an_hour / HOUR_MINUTES,
        bound_by=PACE if by_pace <= by_room else LIVE,
        waits=-int(-longest // 1),
        lost=max(waiting - after_first, Fraction(0)) / (sum(due) or 1),
    )


def spend_for(cost: Fraction, spent: Fraction, cap: int | None, by_day: Sequence[tuple[date, Fraction]]) -> Spend:
    """The money; `by_day` is the share of the cost that each day's calls make."""
    if cap is None:
        return Spend(cost, spent)
    so_far = spent
    for day, share in by_day:
        so_far += share * cost
        if so_far > cap:
            return Spend(cost, spent, cap, day)
    return Spend(cost, spent, cap)
