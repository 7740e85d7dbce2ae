"""One small picture, made here as SVG: a rate with its interval against the line, and the same in words."""

from __future__ import annotations

from fractions import Fraction

from markupsafe import Markup

from certification import words
from certification.interval import wilson
from certification.rules import RuleSet

LEFT, RIGHT, MIDDLE = 8, 312, 22
SVG = Markup(
    '<svg class="interval {side}" viewBox="0 0 320 48" role="img" aria-label="{alternative}">'
    '<line class="interval-track" x1="{left}" y1="{middle}" x2="{right}" y2="{middle}" stroke="currentColor"'
    ' stroke-opacity=".25" stroke-width="2"/>'
    "{mark}"
    '<line class="interval-line" x1="{line}" y1="6" x2="{line}" y2="36" stroke="currentColor" stroke-width="1.5"'
    ' stroke-dasharray="3 2"/>'
    '<text class="interval-text" x="{line}" y="46" text-anchor="middle" font-size="10" fill="currentColor">'
    "{share}</text>"
    "</svg>"
)
MARK = Markup(
    '<rect class="interval-range" x="{low}" y="{top}" width="{width}" height="10" rx="5" fill="{colour}"'
    ' fill-opacity=".35"/><circle class="interval-rate" cx="{rate}" cy="{middle}" r="5.5" fill="{colour}"/>'
)
# Both keep a contrast of 3 to 1 on white and on near-black.
PASSING, FALLING_SHORT = "#2a8a5f", "#c4622d"


def interval(k: int, n: int, rule: RuleSet) -> Markup:
    """The rate k of n, its 95% interval and the rule's line on a scale from 0 to 100%, as an <svg> for a page.

    Colours are attributes, so that it needs no style sheet of its own; text and lines take the page's colour.
    """
    clears = rule.clears(k, n)
    return SVG.format(
        side="is-above" if clears else "is-below",
        alternative=alternative(k, n, rule),
        left=LEFT,
        right=RIGHT,
        middle=MIDDLE,
        mark=_mark(k, n, PASSING if clears else FALLING_SHORT),
        line=_x(float(rule.threshold)),
        share=words.percent(rule.threshold).replace(".0%", "%"),
    )


def alternative(k: int, n: int, rule: RuleSet) -> str:
    """The picture in words, for those who do not see it."""
    span = wilson(k, n)
    if span is None:
        return f"No counted surveys yet; the line is {words.threshold(rule)}."
    low, high = (words.percent(Fraction(share)) for share in span)
    rate = words.percent(Fraction(k, n), rule.threshold)
    return f"Rate {rate}, 95% interval {low} to {high}; the line is {words.threshold(rule)}."


def _mark(k: int, n: int, colour: str) -> Markup:
    span = wilson(k, n)
    if span is None:
        return Markup("")
    low, high = _x(span[0]), _x(span[1])
    return MARK.format(
        low=low, top=MIDDLE - 5, width=round(high - low, 1), colour=colour, rate=_x(k / n), middle=MIDDLE
    )


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)
