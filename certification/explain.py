"""What a rule set says to figures given by hand: the part of `flask explain rule` that knows the rules."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from certification import rules, words
from certification.judging import Counts, Coverage, judge
from survey.errors import InputError
from survey.models import Level


def explain_rule(rule_name: str, level: str, n: int, k: int, months: int) -> dict[str, Any]:
    """How the rule would decide on `k` world class calls out of `n` counted surveys over `months` complete months.

    Every survey is taken as drawn at one rate, with no partials and sampling open throughout. Raises NotFound for an
    unknown rule, InputError for a level it does not judge by surveys or counts that cannot be.
    """
    rule = rules.load(rule_name)
    judged = _judged_level(rule, level)
    if not 0 <= k <= n or months < 0:
        raise InputError(f"n = {n}, k = {k}, months = {months} cannot be", how="0 <= k <= n, and no negative months.")
    counts = Counts(n=n, k=k, drawn=n, weighted_n=Fraction(n), weighted_k=Fraction(k))
    verdict = judge(rule, judged, counts, Coverage(months))
    surveys = max(n, rule.minimum_surveys[judged])
    return {
        "rule": rule.name,
        "level": judged.value,
        "n": n,
        "k": k,
        "months": months,
        "passes": verdict.passes,
        "reasons": list(verdict.missing),
        "needed": {
            "rate": words.threshold(rule),
            "surveys": rule.minimum_surveys[judged],
            "months": rule.months,
            "world_class_calls": rule.least_passing(surveys),
            "out_of": surveys,
        },
    }


def _judged_level(rule: rules.RuleSet, level: str) -> Level:
    judged = [candidate.value for candidate in rule.minimum_surveys]
    if level not in judged:
        raise InputError(f"{rule.name} judges no {level!r} by its surveys", how=f"Give one of {', '.join(judged)}.")
    return Level(level)
