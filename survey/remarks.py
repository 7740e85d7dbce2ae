"""Remarks beside a comparison: what blocks no decision, but whoever relies on the calls should know."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from survey.clock import iso
from survey.gaps import percent_up

# Internal calls count as handed in, but nobody is asked about them. Above one in twenty of at least twenty calls (so at
# least two) they are named; why they block nothing is in docs/decisions/0011-control-totals.md.
INTERNAL_ONE_IN = 20
INTERNAL_OF_AT_LEAST = 20


@dataclass(frozen=True)
class InternalShare:
    """How many of the calls of a site, or of an agent there, came in as internal: more than 5% of at least 20."""

    site: str
    agent: str | None
    calls: int
    internal: int

    @property
    def share(self) -> Fraction:
        return Fraction(self.internal, self.calls)

    @property
    def subject(self) -> str:
        """The site, or the agent at the site."""
        return self.site if self.agent is None else f"{self.agent} at {self.site}"

    @property
    def line(self) -> str:
        """The remark as one line of text."""
        return f"{self.subject}: {self.internal:,} of {self.calls:,} calls ({percent_up(self.share)}) are internal"

    def as_dict(self) -> dict[str, Any]:
        """The remark for JSON; the share is a fraction as text."""
        return asdict(self) | {"share": self.share}


@dataclass(frozen=True)
class ChangedCounts:
    """Counts that somebody removed, or replaced by others, after they had been handed in.

    `of_agents`: they counted single agents' calls, else the whole site's. `calls` is their sum before, `calls_after`
    what replaced it (of answered calls where they counted nothing else); both None where they are not known.
    """

    at: datetime
    actor: str
    removed: bool
    source: str
    site: str
    first: date
    last: date
    of_agents: bool
    counts: int
    calls: int | None
    calls_after: int | None

    @property
    def line(self) -> str:
        """The remark as one line of text."""
        done = f"{'removed' if self.removed else 'replaced'} on {self.at:%Y-%m-%d %H:%M} UTC by {self.actor}"
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        noun = f"count{'' if self.counts == 1 else 's'} of {'agents' if self.of_agents else 'the whole site'}"
        return f"{self.site} ({self.source}), {days}: {self.counts:,} {noun} {done}{self._sums}"

    @property
    def _sums(self) -> str:
        if self.calls is None:
            return ""
        after = "" if self.calls_after is None else f", {self.calls_after:,} after"
        return f" ({self.calls:,} {'call' if self.calls == 1 else 'calls'} before{after})"

    def as_dict(self) -> dict[str, Any]:
        """The remark for JSON."""
        return asdict(self) | {"at": iso(self.at)}
