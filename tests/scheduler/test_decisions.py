"""Rule 3: quarantine and "the most recent call" follow the calls' own order, whatever order they came in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from scheduler.decisions import Candidate, Decisions, Eligible, decide
from survey.models import DrawReason

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)
DAYS_30 = timedelta(days=30)
ANN, BEN = b"ann's phone", b"ben's phone"
LOW, HIGH = 0, 2**64 - 1


def call(
    n: int, minutes: float, u: int = LOW, who: tuple[bytes, ...] = (ANN,), against: DrawReason | None = None
) -> Candidate:
    """A call that ended `minutes` before noon; a LOW number is drawn, a HIGH one is not."""
    return Candidate(n, (NOON - timedelta(minutes=minutes), "pbx", f"{n:04d}"), who, u, Fraction(1, 2), against)


def earlier(n: int, days: float, **given: object) -> Eligible:
    """A call of Ann's, drawn when it ended `days` before noon."""
    values: dict[str, object] = {"drawn": True, "deadline": NOON + timedelta(days=1)} | given
    return Eligible(n, (NOON - timedelta(days=days), "pbx", f"{n:04d}"), (ANN,), **values)  # type: ignore[arg-type]


def test_chance_alone_decides_between_strangers() -> None:
    made = decide([call(1, 20), call(2, 10, HIGH, (BEN,))], [], NOON, DAYS_30)
    assert made == Decisions({1: DrawReason.DRAWN, 2: DrawReason.NOT_SELECTED}, {})


def test_a_customer_asked_within_thirty_days_is_left_alone() -> None:
    asked = earlier(1, 29.9, asked_at=NOON - timedelta(days=29), closed_at=NOON - timedelta(days=28))
    assert decide([call(2, 0)], [asked], NOON, DAYS_30).reasons == {2: DrawReason.QUARANTINED}


def test_quarantine_ends_after_exactly_that_many_days() -> None:
    asked = earlier(1, 30, asked_at=NOON - timedelta(days=29), closed_at=NOON - timedelta(days=28))
    assert decide([call(2, 0)], [asked], NOON, DAYS_30).reasons == {2: DrawReason.DRAWN}
    assert decide([call(3, 1)], [asked], NOON, DAYS_30).reasons == {3: DrawReason.QUARANTINED}


def test_a_survey_nobody_was_asked_in_quarantines_nobody() -> None:
    never_begun = earlier(1, 5, closed_at=NOON - timedelta(days=3))
    assert decide([call(2, 0)], [never_begun], NOON, DAYS_30).reasons == {2: DrawReason.DRAWN}


def test_one_shared_contact_makes_it_the_same_customer() -> None:
    asked = Eligible(1, (NOON - timedelta(days=3), "pbx", "1"), (BEN, ANN), True, NOON - timedelta(days=2))
    assert decide([call(2, 0, who=(b"a new phone", BEN))], [asked], NOON, DAYS_30).reasons[2] is DrawReason.QUARANTINED


def test_a_newer_call_takes_the_place_of_one_not_asked_yet() -> None:
    made = decide([call(2, 0)], [earlier(1, 1)], NOON, DAYS_30)
    assert made == Decisions({2: DrawReason.DRAWN}, {1: 2})


def test_the_newer_call_takes_its_own_draw_even_if_that_loses_both() -> None:
    made = decide([call(2, 0, HIGH)], [earlier(1, 1)], NOON, DAYS_30)
    assert made == Decisions({2: DrawReason.NOT_SELECTED}, {1: 2})


def test_a_call_that_cannot_be_asked_about_takes_nobodys_place() -> None:
    made = decide([call(2, 0, against=DrawReason.UNANSWERED)], [earlier(1, 1)], NOON, DAYS_30)
    assert made == Decisions({2: DrawReason.UNANSWERED}, {})


def test_a_survey_past_its_deadline_is_left_to_its_deadline() -> None:
    made = decide([call(2, 0)], [earlier(1, 3, deadline=NOON)], NOON, DAYS_30)
    assert made.superseded == {}


def test_of_three_calls_each_gives_way_to_the_next() -> None:
    made = decide([call(3, 0), call(1, 20), call(2, 10, HIGH)], [], NOON, DAYS_30)
    assert made.reasons == {1: DrawReason.DRAWN, 2: DrawReason.NOT_SELECTED, 3: DrawReason.DRAWN}
    assert made.superseded == {1: 2}


def test_a_call_that_comes_in_late_gives_way_to_the_newer_one_decided_before() -> None:
    newer = earlier(2, 1, asked_at=NOON - timedelta(hours=2))
    late = call(1, 3 * 24 * 60)
    assert decide([late], [newer], NOON, DAYS_30) == Decisions({1: DrawReason.DRAWN}, {1: 2})


customers = st.sampled_from([(ANN,), (BEN,), (ANN, BEN), (b"eve",)])
days_of_calls = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 2**64 - 1), customers, st.booleans()), max_size=14
)


def candidates(drawn: list[tuple[int, int, tuple[bytes, ...], bool]]) -> list[Candidate]:
    return [
        call(n, minutes, u, who, None if eligible else DrawReason.TOO_SHORT)
        for n, (minutes, u, who, eligible) in enumerate(drawn)
    ]


@given(day=days_of_calls, seed=st.integers())
def test_shuffled_arrival_gives_identical_decisions(
    day: list[tuple[int, int, tuple[bytes, ...], bool]], seed: int
) -> None:
    calls = candidates(day)
    shuffled = random.Random(seed).sample(calls, len(calls))
    assert decide(shuffled, [], NOON, DAYS_30) == decide(calls, [], NOON, DAYS_30)


@given(day=days_of_calls, seed=st.integers(), split=st.integers(0, 14))
def test_two_deliveries_in_any_order_give_the_same_draws_and_the_same_surveys_open(
    day: list[tuple[int, int, tuple[bytes, ...], bool]], seed: int, split: int
) -> None:
    calls = candidates(day)
    at_once = decide(calls, [], NOON, DAYS_30)
    shuffled = random.Random(seed).sample(calls, len(calls))
    first, second = shuffled[:split], shuffled[split:]
    one = decide(first, [], NOON, DAYS_30)
    two = decide(second, [_as_decided(c, one) for c in first if one.reasons[c.call_id] in BY_CHANCE], NOON, DAYS_30)
    assert one.reasons | two.reasons == at_once.reasons
    assert {*one.superseded, *two.superseded} == {*at_once.superseded}


BY_CHANCE = (DrawReason.DRAWN, DrawReason.NOT_SELECTED)


def _as_decided(one: Candidate, made: Decisions) -> Eligible:
    closed_at = NOON - timedelta(seconds=1) if one.call_id in made.superseded else None
    drawn = made.reasons[one.call_id] is DrawReason.DRAWN
    return Eligible(one.call_id, one.order, one.indexes, drawn, closed_at=closed_at)
