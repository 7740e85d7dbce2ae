"""What a forecast rests on: the calls seen, by whose they would be, and how many of them each day to come will bring.

Pure. A Monday stands for all Mondays; a site's holidays and days off bring no calls, as in targets.weeks_to_come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import accumulate

from scheduler.targets import FIRST_ANSWERED, FIRST_DRAWN, Got, Wanted, weeks_to_come

DAY, WEEK = timedelta(days=1), timedelta(days=7)
NOTHING = Fraction(0)
# Weights of days are rounded to this part of a week: exact ones of many sites would grow into huge fractions.
PARTS = 100_000
# Which of the campaigns launched before take a call: a bit each.
Mask = int


@dataclass(frozen=True)
class Member:
    """An agent of the roster for the days to come: with whom, where, since when and until when (None: for good)."""

    supervisor_id: int | None
    site_id: int
    since: date
    until: date | None = None


@dataclass
class Volume:
    """Calls of the days looked back on that could be asked about, by whose they would be.

    The mask says which of the campaigns launched before take such calls, a bit each. `agents` by agent id, `sites` by
    site id and weekday (Monday = 0); `uncertain`, by site id, are those whose last agent nobody can tell.
    """

    agents: defaultdict[int, defaultdict[Mask, Fraction]] = field(default_factory=lambda: _by_mask())
    uncertain: defaultdict[int, defaultdict[Mask, Fraction]] = field(default_factory=lambda: _by_mask())
    sites: defaultdict[int, defaultdict[Mask, defaultdict[int, Fraction]]] = field(
        default_factory=lambda: defaultdict(_by_mask)
    )

    def total(self) -> Fraction:
        return sum((_sum(calls) for by_mask in self.sites.values() for calls in by_mask.values()), NOTHING)

    def share(self, bit: int) -> Fraction:
        """How much of all is taken by the campaign of that bit."""
        taken = (_sum(calls) for masks in self.sites.values() for mask, calls in masks.items() if mask >> bit & 1)
        return sum(taken, NOTHING) / (self.total() or 1)


@dataclass(frozen=True)
class Basis:
    """What a forecast rests on. Calls were seen from `since` to before `until`, and are to come from `first` to `last`.

    `off` are the days without calls from `until` on, by site id; `taken` the first and last day of each campaign
    launched before. `rate` is the campaign's own, for whoever has no other. `settled` of the organisation's surveys by
    these channels are past their deadlines, `answered` of them complete, by agent id (None: not certain whose).
    """

    since: date
    until: date
    first: date
    last: date
    wanted: Wanted
    rate: Fraction
    volume: Volume
    members: Mapping[int, Member]
    off: Mapping[int, Collection[date]]
    taken: Sequence[tuple[date, date]] = ()
    settled: Mapping[int | None, int] = field(default_factory=dict)
    answered: Mapping[int | None, int] = field(default_factory=dict)
    agents: Mapping[int, Got] = field(default_factory=dict)
    supervisors: Mapping[int, Got] = field(default_factory=dict)
    sites: Mapping[int, Got] = field(default_factory=dict)

    @property
    def days_seen(self) -> int:
        return (self.until - self.since).days

    @property
    def last_seen(self) -> date:
        return self.until - DAY

    @property
    def yields(self) -> Fraction:
        """Complete surveys for each drawn one, over all, as targets.py takes it."""
        return Fraction(FIRST_ANSWERED + sum(self.answered.values()), FIRST_DRAWN + sum(self.settled.values()))


class Days:
    """The days to come at each of the campaign's sites."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self.days = [basis.first + n * DAY for n in range((basis.last - basis.first).days + 1)]
        # How many weeks' calls of the site the days before the n-th bring to this campaign.
        self.upto = {site_id: [NOTHING, *accumulate(self._weights(site_id, self.days))] for site_id in basis.off}

    def kept(self, site_id: int, by_mask: Mapping[Mask, Fraction]) -> Fraction:
        """The calls as if the site's free days were free for all: fewer, where campaigns before take more of them."""
        if set(self._basis.volume.sites.get(site_id, {})) | by_mask.keys() <= {0}:
            return by_mask.get(0, NOTHING)
        free = (count * self._free_weeks(site_id, mask) for mask, count in by_mask.items())
        return sum(free, NOTHING) / (self.upto[site_id][-1] or 1)

    def weight(self, site_id: int, day: date) -> Fraction:
        """How many weeks' calls of the site one day brings to this campaign; `off` must tell of it."""
        return self._weights(site_id, [day])[0]

    def _weights(self, site_id: int, days: Sequence[date]) -> list[Fraction]:
        """How many weeks' calls of the site each of the days brings to this campaign."""
        masks: Mapping[Mask, Mapping[int, Fraction]] = self._basis.volume.sites.get(site_id) or {}
        total = sum((_sum(calls) for calls in masks.values()), NOTHING)
        if not total:
            return [self._weight(site_id, 0, {}, day) for day in days]
        shares = [(mask, _sum(calls) / total, self._weekdays(calls)) for mask, calls in masks.items()]
        exact = (
            sum((share * self._weight(site_id, mask, weekdays, day) for mask, share, weekdays in shares), NOTHING)
            for day in days
        )
        return [Fraction(round(weight * PARTS), PARTS) for weight in exact]

    def _weight(self, site_id: int, mask: Mask, weekdays: Mapping[int, int], day: date) -> Fraction:
        taken = any(mask >> bit & 1 and begins <= day <= ends for bit, (begins, ends) in enumerate(self._basis.taken))
        return NOTHING if taken else weeks_to_come(day, day, weekdays, self._basis.off[site_id])

    def _weekdays(self, calls: Mapping[int, Fraction]) -> Mapping[int, int]:
        """Calls by weekday; of less than a week nothing can be told about weekdays."""
        return {} if self._basis.days_seen < WEEK.days else {day: round(count) for day, count in calls.items()}

    def _free_weeks(self, site_id: int, mask: Mask) -> Fraction:
        masks: Mapping[Mask, Mapping[int, Fraction]] = self._basis.volume.sites.get(site_id) or {}
        weekdays = self._weekdays(masks.get(mask, {}))
        return sum((self._weight(site_id, mask, weekdays, day) for day in self.days), NOTHING)


def _sum(calls: Mapping[int, Fraction]) -> Fraction:
    return sum(calls.values(), NOTHING)


def _by_mask() -> defaultdict[int, defaultdict[Mask, Fraction]]:
    return defaultdict(lambda: defaultdict(Fraction))
