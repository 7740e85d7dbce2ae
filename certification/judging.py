"""The decision itself: pure, in integers and fractions, the same for standings and assessments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from certification import words
from certification.rules import OnConflict, RuleSet
from survey.models import Decision, Level


@dataclass(frozen=True)
class Counts:
    """What a subject's surveys came to: `n` counted, `k` world class among them; the others are in neither.

    `weighted_n` and `weighted_k` are the same two with each survey weighing 1 / its inclusion rate, exactly.
    `drawn` is every survey of the frame, whatever became of it.
    """

    n: int = 0
    k: int = 0
    partials: int = 0
    late: int = 0
    superseded: int = 0
    drawn: int = 0
    weighted_n: Fraction = Fraction(0)
    weighted_k: Fraction = Fraction(0)

    @property
    def rate(self) -> Fraction | None:
        return Fraction(self.k, self.n) if self.n else None

    @property
    def weighted_rate(self) -> Fraction | None:
        return self.weighted_k / self.weighted_n if self.weighted_n else None

    @property
    def superseded_share(self) -> Fraction | None:
        """The share of drawn calls set aside because the customer rang again before being asked."""
        return Fraction(self.superseded, self.drawn) if self.drawn else None

    @property
    def rate_with_superseded(self) -> Fraction | None:
        """The rate with superseded calls as failures: those who ring again are more often unresolved."""
        asked = self.n + self.superseded
        return Fraction(self.k, asked) if asked else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.n + other.n,
            self.k + other.k,
            self.partials + other.partials,
            self.late + other.late,
            self.superseded + other.superseded,
            self.drawn + other.drawn,
            self.weighted_n + other.weighted_n,
            self.weighted_k + other.weighted_k,
        )


@dataclass(frozen=True)
class Coverage:
    """`months`: complete calendar months with sampling open; `closed`: first days of the months when it was not."""

    months: int
    closed: tuple[date, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The decision, and what is missing for a certificate, in words (empty exactly when certified)."""

    decision: Decision
    missing: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.decision is Decision.CERTIFIED


def judge(rule: RuleSet, level: Level, counts: Counts, coverage: Coverage) -> Verdict:
    """Judges an agent, supervisor or site.

    Sample size, months and open sampling can never be made up for. Where the raw rate and the checks beside it
    disagree, the rule's `on_conflict` decides. All counted surveys count: never the best, never the first ones.
    """
    lacking = [*_sample_size(rule, level, counts), *_months(rule, coverage)]
    clears = rule.clears(counts.k, counts.n)
    conflicts = _conflicts(rule, counts, clears)
    below = [] if clears or not counts.n else [_below(rule, counts)]
    if not (lacking or below or conflicts):
        return Verdict(Decision.CERTIFIED)
    deferred = conflicts and not lacking and rule.on_conflict is OnConflict.DEFER
    return Verdict(
        Decision.DEFERRED if deferred else Decision.NOT_CERTIFIED,
        (*lacking, *below, *(conflicts if clears or deferred else [])),
    )


def judge_organisation(sites: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Judges an organisation by its active sites (name, verdict): every one must be certified; no pooled rate helps."""
    if not sites:
        return Verdict(Decision.NOT_CERTIFIED, ("no active site",))
    missing = tuple(_site_missing(name, verdict) for name, verdict in sites if not verdict.passes)
    decisions = {verdict.decision for _, verdict in sites}
    if Decision.NOT_CERTIFIED in decisions:
        return Verdict(Decision.NOT_CERTIFIED, missing)
    return Verdict(Decision.DEFERRED if Decision.DEFERRED in decisions else Decision.CERTIFIED, missing)


def _site_missing(name: str, verdict: Verdict) -> str:
    what = "was deferred" if verdict.decision is Decision.DEFERRED else "is not certified"
    return f"{name} {what}: {'; '.join(verdict.missing)}"


def _sample_size(rule: RuleSet, level: Level, counts: Counts) -> list[str]:
    needed = rule.minimum_surveys[level]
    short = needed - counts.n
    return [f"{short:,} more {'survey' if short == 1 else 'surveys'} ({counts.n:,} of {needed:,})"] if short > 0 else []


def _months(rule: RuleSet, coverage: Coverage) -> list[str]:
    """A month in which sampling was closed cannot be left out by choosing a longer period."""
    short = rule.months - coverage.months
    lacking = []
    if short > 0:
        lacking.append(f"{words.months(short, 'more complete')} ({coverage.months} of {rule.months})")
    if coverage.closed:
        lacking.append(f"sampling was closed in {words.month_names(coverage.closed)}")
    return lacking


def _below(rule: RuleSet, counts: Counts) -> str:
    rate = words.percent(Fraction(counts.k, counts.n), rule.threshold)
    return f"rate {rate} ({counts.k:,} of {counts.n:,}), needs {words.threshold(rule)}"


def _conflicts(rule: RuleSet, counts: Counts, clears: bool) -> list[str]:
    """The checks beside the raw rate that come out on the other side of the line.

    Partials as failures touch the rate only, never the sample size: they can flip a pass and nothing else.
    """
    found = []
    weighted = counts.weighted_rate
    if weighted is not None and rule.clears(counts.weighted_k, counts.weighted_n) is not clears:
        found.append(_conflict(rule, "the weighted rate", weighted, clears))
    asked = counts.n + counts.partials
    if clears and not rule.clears(counts.k, asked):
        found.append(_conflict(rule, "the rate with partials as failures", Fraction(counts.k, asked), clears))
    return found


def _conflict(rule: RuleSet, what: str, rate: Fraction, clears: bool) -> str:
    sides = ("falls short", "passes") if clears else ("passes", "falls short")
    figure = words.percent(rate, rule.threshold)
    return f"{what}, {figure}, {sides[0]} where the plain rate {sides[1]}: the rule then says {rule.on_conflict}"
