"""Rule 6: exact arithmetic on rules that are data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certification import rules, words
from certification.explain import explain_rule
from certification.judging import Counts, Coverage, Verdict, judge, judge_organisation
from certification.rules import OnConflict, RuleSet
from survey.errors import InputError, NotFound
from survey.models import Decision, Level

SQM = rules.load("sqm-2011")
SIX = Coverage(6)
INCLUSIVE = SQM.text.replace('operator = ">"', 'operator = ">="').replace("[3, 4]", "[85, 100]")


def counts(n: int, k: int, partials: int = 0, weighted: Fraction | None = None) -> Counts:
    """Counts at one rate; `weighted` gives another weighted rate."""
    whole = Fraction(2 * n)
    return Counts(n, k, partials, 0, 0, n, whole, Fraction(2 * k) if weighted is None else weighted * whole)


def decide(level: Level, n: int, k: int, partials: int = 0, rule: RuleSet = SQM) -> Verdict:
    return judge(rule, level, counts(n, k, partials), SIX)


@pytest.mark.parametrize(
    ("level", "n", "k", "passes"),
    [
        (Level.AGENT, 25, 19, True),
        (Level.AGENT, 25, 18, False),
        (Level.AGENT, 24, 24, False),
        (Level.AGENT, 32, 24, False),
        (Level.AGENT, 28, 21, False),
        (Level.AGENT, 28, 22, True),
        (Level.AGENT, 0, 0, False),
        (Level.SUPERVISOR, 200, 150, False),
        (Level.SUPERVISOR, 200, 151, True),
        (Level.SUPERVISOR, 199, 199, False),
        (Level.SITE, 800, 600, False),
        (Level.SITE, 800, 601, True),
        (Level.SITE, 799, 799, False),
    ],
)
def test_the_rule_table(level: Level, n: int, k: int, passes: bool) -> None:
    verdict = decide(level, n, k)
    assert verdict.passes is passes
    assert (verdict.missing == ()) is passes


def test_a_line_that_floats_get_wrong() -> None:
    """One more than exactly 75% passes, though as a float it is 0.75 still."""
    n, k = 4 * (10**17), 3 * (10**17)
    assert not SQM.clears(k, n) and SQM.clears(k + 1, n)
    assert (k + 1) / n == 0.75


@pytest.mark.parametrize(("n", "k", "passes"), [(100, 85, True), (100, 84, False), (40, 34, True), (40, 33, False)])
def test_an_inclusive_operator_is_data(n: int, k: int, passes: bool) -> None:
    assert decide(Level.AGENT, n, k, rule=rules.parse(INCLUSIVE)).passes is passes


@given(st.integers(0, 3000), st.sampled_from([SQM, rules.parse(INCLUSIVE)]))
def test_the_least_passing_count_is_the_least(n: int, rule: RuleSet) -> None:
    passing = [k for k in range(n + 1) if rule.clears(k, n)]
    assert rule.least_passing(n) == min(passing, default=None)


@pytest.mark.parametrize(
    ("answers", "is_it"),
    [
        ({"resolved": "yes", "overall": "5", "agent": "5"}, True),
        ({"resolved": "unsure", "overall": "5", "agent": "5"}, False),
        ({"resolved": "yes", "overall": "4", "agent": "5"}, False),
        ({"resolved": "yes", "overall": "5", "agent": "4"}, False),
        ({"resolved": "yes", "overall": "5"}, False),
    ],
)
def test_a_world_class_call(answers: dict[str, str], is_it: bool) -> None:
    assert SQM.is_world_class(answers) is is_it


def test_a_short_sample_is_said_in_words() -> None:
    assert decide(Level.AGENT, 18, 18).missing == ("7 more surveys (18 of 25)",)


def test_months_and_closed_sampling_are_said_in_words() -> None:
    verdict = judge(SQM, Level.AGENT, counts(40, 40), Coverage(4, (date(2026, 3, 1), date(2026, 4, 1))))
    assert verdict.missing == (
        "2 more complete months (4 of 6)",
        "sampling was closed in March and April 2026",
    )


def test_a_longer_period_does_not_leave_a_closed_month_out() -> None:
    assert not judge(SQM, Level.AGENT, counts(40, 40), Coverage(11, (date(2026, 3, 1),))).passes


@pytest.mark.parametrize(
    ("k", "n", "text"), [(24, 32, "75.0%"), (19, 26, "73.1%"), (29999, 40000, "74.998%"), (30001, 40000, "75.003%")]
)
def test_a_rate_beside_the_line_never_reads_as_on_it(k: int, n: int, text: str) -> None:
    assert words.percent(Fraction(k, n), SQM.threshold) == text


CONFLICTS = {
    "oversampling lifts the raw rate": counts(30, 24, weighted=Fraction(7, 10)),
    "partials as failures": counts(30, 24, partials=2),
}


@pytest.mark.parametrize("tallied", CONFLICTS.values(), ids=CONFLICTS.keys())
@pytest.mark.parametrize(("on_conflict", "decision"), [("fail", Decision.NOT_CERTIFIED), ("defer", Decision.DEFERRED)])
def test_a_conflict_is_decided_by_the_rule_file(tallied: Counts, on_conflict: str, decision: Decision) -> None:
    rule = rules.parse(SQM.text.replace('on_conflict = "fail"', f'on_conflict = "{on_conflict}"'))
    verdict = judge(rule, Level.AGENT, tallied, SIX)
    assert verdict.decision is decision
    assert len(verdict.missing) == 1 and on_conflict in verdict.missing[0]


def test_one_partial_that_flips_nothing_is_no_conflict() -> None:
    assert decide(Level.AGENT, 30, 24, partials=1).passes


def test_a_weighted_rate_alone_on_the_passing_side_defers_or_fails() -> None:
    tallied = counts(30, 22, weighted=Fraction(4, 5))
    assert judge(SQM, Level.AGENT, tallied, SIX).decision is Decision.NOT_CERTIFIED
    deferring = replace(SQM, on_conflict=OnConflict.DEFER)
    assert judge(deferring, Level.AGENT, tallied, SIX).decision is Decision.DEFERRED


def test_a_conflict_never_defers_what_lacks_surveys() -> None:
    deferring = replace(SQM, on_conflict=OnConflict.DEFER)
    verdict = judge(deferring, Level.AGENT, counts(24, 24, weighted=Fraction(1, 2)), SIX)
    assert verdict.decision is Decision.NOT_CERTIFIED


def test_partials_never_make_up_a_sample() -> None:
    assert not decide(Level.AGENT, 24, 24, partials=10).passes


def test_an_organisation_is_its_sites() -> None:
    good, bad, deferred = (Verdict(decision, ("reason",)) for decision in Decision)
    good = Verdict(Decision.CERTIFIED)
    assert judge_organisation([("A", good), ("B", good)]).passes
    assert judge_organisation([("A", good), ("B", bad), ("C", deferred)]).decision is Decision.NOT_CERTIFIED
    assert judge_organisation([("A", good), ("C", deferred)]).decision is Decision.DEFERRED
    assert judge_organisation([]).decision is Decision.NOT_CERTIFIED
    assert judge_organisation([("A", good), ("B", bad)]).missing == ("B is not certified: reason",)


FAULTS = [
    ("threshold = [3, 4]", "threshold = [4, 3]", "between 0 and 1"),
    ("threshold = [3, 4]", "threshold = 0.75", "threshold"),
    ('operator = ">"', 'operator = "<"', "operator"),
    ("agent = 25", "agent = 0", "minimum_surveys.agent"),
    ("agent = 25", "team = 25", "minimum_surveys.team"),
    ("months = 6", 'months = "six"', "period.months"),
    ('resolved = ["yes"]', 'resolved = ["perhaps"]', "must list answers out of no, unsure, yes"),
    ('overall = ["5"]', 'weather = ["5"]', "is not a core question"),
    ('on_conflict = "fail"', 'on_conflict = "ask"', "on_conflict"),
    ("site = 800", "", "must name site"),
    ("[rate]", "[rate", "is not TOML"),
    ('name = "sqm-2011"', 'name = "sqm-2011"\nbonus = 1', "bonus"),
]


@pytest.mark.parametrize(("good", "bad", "said"), FAULTS)
def test_a_faulty_rule_file_is_refused_with_its_fault(good: str, bad: str, said: str) -> None:
    assert good in SQM.text
    with pytest.raises(InputError, match=said):
        rules.parse(SQM.text.replace(good, bad, 1))


def test_an_unknown_rule_set_is_not_found() -> None:
    with pytest.raises(NotFound, match="sqm-2011"):
        rules.load("../rules/sqm-2011")


def test_a_programme_for_people_alone_is_a_file_too() -> None:
    """The shape of the 2016 rules: resolved and agent top box, at least 85%, three months, no sites."""
    text = INCLUSIVE.replace('overall = ["5"]\n', "").replace("site = 800", "").replace("months = 6", "months = 3")
    rule = rules.parse(text.replace('[organisation]\ncertified_when = "every active site"', ""))
    assert rule.is_world_class({"resolved": "yes", "overall": "1", "agent": "5"})
    assert not rule.certifies_organisation and Level.SITE not in rule.minimum_surveys


@pytest.mark.parametrize(
    ("n", "k", "passes", "said"),
    [
        (32, 24, False, "rate 75.0% (24 of 32), needs more than 75%"),
        (25, 19, True, None),
        (24, 24, False, "1 more survey (24 of 25)"),
    ],
)
def test_explain(n: int, k: int, passes: bool, said: str | None) -> None:
    told = explain_rule("sqm-2011", "agent", n, k, 6)
    assert told["passes"] is passes
    assert told["reasons"] == ([] if said is None else [said])
    assert told["needed"]["surveys"] == 25 and told["needed"]["world_class_calls"] == max(n, 25) * 3 // 4 + 1


@pytest.mark.parametrize(("level", "n", "k"), [("organisation", 25, 20), ("agent", 5, 6), ("agent", 5, -1)])
def test_explain_refuses_what_cannot_be(level: str, n: int, k: int) -> None:
    with pytest.raises(InputError):
        explain_rule("sqm-2011", level, n, k, 6)
