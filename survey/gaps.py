"""A gap: where the telephone system counted other calls than were handed in, by more than 0.5%, or counted none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from survey.calendars import day_start

# A difference of more than one in so many of what was counted is a gap: 0.5%.
ONE_IN = 200
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


class Span(StrEnum):
    """Over how long was counted: one control total, those of a month, or those of the whole range."""

    RANGE = "range"
    MONTH = "month"
    CELL = "cell"


def is_gap(counted: int, handed_in: int) -> bool:
    """Whether what was handed in, more or less of it, differs by more than 0.5% of what was counted."""
    return ONE_IN * abs(counted - handed_in) > counted


@dataclass(frozen=True)
class Gap:
    """Where the two differ: what was counted ("calls" or "answered"), whose, and from when until when.

    `agent` None: the whole site. `starts_at` and `ends_at` are those of the control total (or of the first and the last
    of those added up). `late` of the calls that came in did so after their deadline; they are not in `handed_in`.
    """

    span: Span
    what: str
    source: str
    site: str
    agent: str | None
    zone: str
    starts_at: datetime
    ends_at: datetime
    counted: int
    handed_in: int
    late: int

    @property
    def difference(self) -> int:
        return abs(self.counted - self.handed_in)

    @property
    def share(self) -> Fraction | None:
        """The difference as a share of what was counted; None where nothing was."""
        return Fraction(self.difference, self.counted) if self.counted else None

    @property
    def subject(self) -> str:
        """The site, or the agent at the site."""
        return self.site if self.agent is None else f"{self.agent} at {self.site}"

    @property
    def when(self) -> str:
        """The span in the site's own time: a month, whole days, or from one time to another."""
        starts_at, ends_at = (moment.astimezone(ZoneInfo(self.zone)) for moment in (self.starts_at, self.ends_at))
        if self.span is Span.MONTH:
            return f"{starts_at:%B %Y}"
        first, last = starts_at.date(), (ends_at - INSTANT).date()
        if self.span is Span.RANGE or self._whole_days(first, last):
            return f"{first}" if first == last else f"{first} to {last}"
        until = f"{ends_at:%H:%M %Z}" if first == last else f"{ends_at:%Y-%m-%d %H:%M %Z}"
        return f"{starts_at:%Y-%m-%d %H:%M %Z} to {until}"

    @property
    def apart(self) -> str:
        """How many calls are missing or too many, and as a share of what was counted."""
        share = "" if self.share is None else f" ({percent_up(self.share)})"
        return f"{self.difference:,} {'missing' if self.handed_in < self.counted else 'too many'}{share}"

    @property
    def figures(self) -> str:
        """What was counted, what came in, and how far apart they are."""
        noun = "calls" if self.what == "calls" else "answered calls"
        late = f", {self.late:,} came too late" if self.late else ""
        return f"{self.counted:,} {noun} counted, {self.handed_in:,} handed in: {self.apart}{late}"

    @property
    def line(self) -> str:
        """The gap as one line of text."""
        return f"{self.subject} ({self.source}), {self.when}: {self.figures}"

    def as_dict(self) -> dict[str, Any]:
        """The gap for JSON; the share is a fraction as text."""
        names = ("source", "site", "agent", "starts_at", "ends_at", "counted", "handed_in", "late")
        return {"level": self.span, "what": self.what, "share": self.share} | {n: getattr(self, n) for n in names}

    def _whole_days(self, first: date, last: date) -> bool:
        return (self.starts_at, self.ends_at) == (day_start(first, self.zone), day_start(last + DAY, self.zone))


@dataclass(frozen=True)
class Uncounted:
    """Days of one telephone system at one site for which no count of the whole site was handed in.

    `first` and `last` (local, both inclusive) are None when the system has no count at all in the days asked for.
    `calls` were handed in that no count holds. `partly`: there are counts on each of the days, but not at the hours of
    those calls.
    """

    source: str
    site: str
    first: date | None
    last: date | None
    calls: int
    partly: bool = False

    @property
    def when(self) -> str:
        """The days; empty when there is no count at all."""
        if self.first is None:
            return ""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def what(self) -> str:
        """What is missing, in words."""
        handed_in = f"{self.calls:,} {'call' if self.calls == 1 else 'calls'} handed in"
        if self.partly:
            return f"no counts for the hours of {handed_in}"
        lacking = "no counts at all of the whole site" if self.first is None else "no counts of the whole site"
        return f"{lacking}, {handed_in}"

    @property
    def line(self) -> str:
        """The gap as one line of text."""
        return f"{self.site} ({self.source}){f', {self.when}' if self.when else ''}: {self.what}"

    def as_dict(self) -> dict[str, Any]:
        """The gap for JSON."""
        names = ("source", "site", "first", "last", "calls", "partly")
        return {name: getattr(self, name) for name in names}


def percent_up(share: Fraction) -> str:
    """A share as a percentage with two decimals, rounded up: a gap never looks like the 0.5% that is none."""
    hundredths = -(-share.numerator * 10_000 // share.denominator)
    return f"{hundredths // 100}.{hundredths % 100:02d}%"
