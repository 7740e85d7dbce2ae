"""A campaign's forecast: what it would come to if calls go on as they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import ceil

from console.calls import number_in
from scheduler.forecast import reading as forecast_reading
from scheduler.forecast.advice import warnings
from scheduler.forecast.reading import MOST_WEEKS, WEEKS, Reading
from scheduler.forecast.report import Names, by_hour, names_in
from scheduler.forecast.totals import Figures, Subject, Verdict
from scheduler.forecast.words import assumptions, floor_tenth, money, replayed, tenth, told_pace, told_rates, whole
from scheduler.spending import minute_price
from survey.errors import InputError, Refused
from survey.models import Campaign, DrawReason, Level

# More rows than anybody reads; those who miss most come first.
MOST_AGENTS = 200
VERDICTS = {
    Verdict.REACHED: ("Has its number", "good"),
    Verdict.LIKELY: ("Reaches it", "good"),
    Verdict.UNCERTAIN: ("May reach it", "fair"),
    Verdict.MISSED: ("Misses it", "bad"),
}
HEADINGS = {Level.SITE: "Sites", Level.SUPERVISOR: "Supervisors", Level.AGENT: "Agents"}


@dataclass(frozen=True)
class Row:
    """One subject: `at_end` and `missing` as people read them; `rates` are an agent's own."""

    name: str
    complete: int
    at_end: str
    target: int
    missing: int
    verdict: str
    tone: str
    reached_on: date | None
    rates: str


@dataclass(frozen=True)
class Counts:
    """A week's figures, or all, rounded."""

    calls: int
    surveys: int
    completes: int
    dials: int
    mails: int
    minutes: int
    cost: str


@dataclass(frozen=True)
class Page:
    """The forecast as shown; `refusal` says why there is none."""

    campaign: Campaign
    weeks: int
    reading: Reading | None = None
    names: Names | None = None
    refusal: Refused | None = None

    @property
    def warnings(self) -> list[str]:
        return [] if self.reading is None else warnings(self.reading)

    @property
    def assumptions(self) -> list[str]:
        return [] if self.reading is None else assumptions(self.reading)

    @property
    def replayed(self) -> str:
        return replayed(self._read)

    @property
    def total(self) -> Counts:
        return _counts(self._read.forecast.total)

    @property
    def by_week(self) -> list[tuple[date, Counts]]:
        first = self._read.basis.first
        return [(max(monday, first), _counts(figures)) for monday, figures in self._read.forecast.weeks]

    @property
    def hours(self) -> list[tuple[int, Fraction, str]]:
        """Each hour's dials on an average calling day, exactly and as people read them."""
        return [(hour, dials, tenth(dials)) for hour, dials in by_hour(self._read)]

    @property
    def busiest(self) -> Fraction:
        return max((dials for _, dials, _ in self.hours), default=Fraction(0))

    @property
    def pace(self) -> str:
        return told_pace(self._read)

    @property
    def cap(self) -> str | None:
        spend = self._read.spend
        return None if spend.cap is None else f"{money(Fraction(spend.cap))}, {money(spend.spent)} of it spent"

    @property
    def reasons(self) -> list[tuple[DrawReason, int]]:
        """Why calls seen could not be asked about, most frequent first."""
        found = self._read.counted.reasons.items()
        return [(reason, whole(calls)) for reason, calls in sorted(found, key=lambda pair: (-pair[1], pair[0]))]

    @property
    def eligible(self) -> int:
        return whole(self._read.basis.volume.total())

    @property
    def levels(self) -> list[tuple[str, list[Row], int]]:
        """Heading, rows, and how many more there are than shown, of each level."""
        found = []
        for level, heading in HEADINGS.items():
            subjects = self._read.forecast.of(level)
            rows = [self._row(one) for one in subjects[:MOST_AGENTS]]
            found.append((heading, rows, len(subjects) - len(rows)))
        return found

    def _row(self, one: Subject) -> Row:
        assert self.names is not None
        verdict, tone = VERDICTS[one.verdict] if one.target else ("No number wanted", "quiet")
        return Row(
            self.names[one.level][one.id][1],
            one.complete,
            tenth(floor_tenth(one.at_end)),
            one.target,
            ceil(one.missing),
            verdict,
            tone,
            one.reached_on,
            told_rates(one.rates) if one.rates else "",
        )

    @property
    def _read(self) -> Reading:
        assert self.reading is not None, "a page with a refusal shows no figures"
        return self.reading


def read(campaign: Campaign, weeks: str) -> Page:
    """The page; `weeks` is what the form sent. Raises InputError unless that is empty or a number it may be."""
    wanted = number_in(weeks, "weeks") if weeks else WEEKS
    if wanted is None or not 1 <= wanted <= MOST_WEEKS:
        raise InputError(f"weeks: {weeks!r} is not a number from 1 to {MOST_WEEKS}", how="Choose one of the list.")
    try:
        reading = forecast_reading.read(campaign, wanted)
    except Refused as refusal:
        return Page(campaign, wanted, refusal=refusal)
    return Page(campaign, wanted, reading, names_in(reading))


def _counts(figures: Figures) -> Counts:
    return Counts(
        calls=whole(figures.calls),
        surveys=whole(figures.surveys),
        completes=whole(figures.completes),
        dials=whole(figures.dials),
        mails=whole(figures.mails),
        minutes=whole(figures.minutes),
        cost=money(figures.minutes * minute_price()),
    )
