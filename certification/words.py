"""Figures and rules in words: the same everywhere, so that nobody reads 75.0% as more than 75%."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from certification.rules import RuleSet
from survey.models import Level

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
ANSWERS = {
    "resolved": "the call was resolved",
    "overall": "very satisfied overall",
    "agent": "very satisfied with the agent",
}


def percent(rate: Fraction, line: Fraction | None = None) -> str:
    """The rate as a percentage to one decimal; to more where rounding would put it onto `line` and it is not there."""
    text = ""
    for digits in (1, 2, 3, 4):
        scale = 10**digits
        tenths = (rate * 100 * scale + Fraction(1, 2)).__floor__()
        text = f"{tenths // scale}.{tenths % scale:0{digits}d}%"
        if line is None or rate == line or Fraction(tenths, scale * 100) != line:
            break
    return text


def threshold(rule: RuleSet) -> str:
    """The line: "more than 75%" or "at least 85%"."""
    share = rule.threshold * 100
    figure = f"{share.numerator}%" if share.denominator == 1 else percent(rule.threshold)
    return f"at least {figure}" if rule.inclusive else f"more than {figure}"


def surveys(number: int) -> str:
    return "1 survey" if number == 1 else f"{number:,} surveys"


def months(number: int, which: str = "") -> str:
    """A number of months: "1 month", "3 more complete months"."""
    return " ".join(filter(None, (str(number), which, "month" if number == 1 else "months")))


def month_names(firsts: tuple[date, ...]) -> str:
    """Months named by their first days, the year only where it changes: "March and April 2026"."""
    named = [f"{MONTHS[first.month - 1]} {first.year}" for first in firsts]
    if len({first.year for first in firsts}) == 1:
        named = [*(MONTHS[first.month - 1] for first in firsts[:-1]), named[-1]]
    return listed(named)


def day(when: date) -> str:
    """A date without a doubt about the order of day and month: "4 March 2026"."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}"


def listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def world_class_call(rule: RuleSet) -> str:
    """What makes a world class call: "the call was resolved, very satisfied overall and ..."."""
    return listed([ANSWERS[key] for key in rule.world_class_call])


def requirement(rule: RuleSet, level: Level) -> str:
    """What the rule asks of a subject of that level, in one sentence."""
    if level is Level.ORGANISATION:
        return "Every active site is certified."
    return (
        f"{threshold(rule).capitalize()} world class calls among at least {surveys(rule.minimum_surveys[level])},"
        f" over at least {rule.months} complete calendar months with sampling open throughout."
    )


def percent_of(k: int, n: int, rule: RuleSet) -> str:
    """The rate k of n, beside the rule's line."""
    return percent(Fraction(k, n), rule.threshold) if n else "no rate"
