"""Rule 3: the keyed number, the draw and the channel split, exactly and one number for one use."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.sampling import channel_sequence, checked_plan, fraction, is_drawn, number
from survey.errors import InputError

KEY = bytes(range(32))
LARGEST = 2**64 - 1
HALVES = [{"share": [1, 2], "channels": ["ivr", "web"]}, {"share": [1, 2], "channels": ["web"]}]
texts = st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text)


def test_the_number_is_the_first_eight_bytes_of_the_keyed_hash() -> None:
    digest = hmac.new(KEY, b"draw\x00pbx\x00call-1", hashlib.sha256).digest()
    assert number(KEY, "draw", "pbx", "call-1") == int.from_bytes(digest[:8], "big")


def test_a_worked_example_anyone_can_repeat() -> None:
    # printf 'draw\0S\0X' | openssl dgst -sha256 -mac HMAC -macopt hexkey:(64 zeros)
    assert number(bytes(32), "draw", "S", "X") == 0x07EC7FBB97415806


def test_source_and_id_cannot_run_into_each_other() -> None:
    assert number(KEY, "draw", "a1", "23") != number(KEY, "draw", "a", "123")


def test_draw_and_channel_numbers_are_different_numbers() -> None:
    assert number(KEY, "draw", "pbx", "1") != number(KEY, "channel", "pbx", "1")


def test_the_comparison_is_exact_at_the_line() -> None:
    assert is_drawn(2**63 - 1, Fraction(1, 2))
    assert not is_drawn(2**63, Fraction(1, 2))
    # (2^64 - 1) / 2^64 is 1.0 as a float, and 1.0 < 1 would be false.
    assert is_drawn(LARGEST, Fraction(1))
    assert not is_drawn(0, Fraction(0))


@given(u=st.integers(0, LARGEST), n=st.integers(0, 1000), d=st.integers(1, 1000))
def test_a_higher_rate_never_drops_a_call(u: int, n: int, d: int) -> None:
    rate = Fraction(min(n, d), d)
    if is_drawn(u, rate):
        assert is_drawn(u, min(Fraction(1), rate + Fraction(1, 1000)))
    assert is_drawn(u, rate) == (Fraction(u, 2**64) < rate)


def test_the_draw_is_uniform_and_independent_of_the_channel_split() -> None:
    drawn = [n for n in range(20_000) if is_drawn(number(KEY, "draw", "pbx", str(n)), Fraction(1, 10))]
    assert 1_850 < len(drawn) < 2_150  # 2000 +- 3.5 standard deviations
    ways = Counter(tuple(channel_sequence(number(KEY, "channel", "pbx", str(n)), HALVES)) for n in drawn)
    assert abs(ways["web",] - len(drawn) / 2) < 3.5 * (len(drawn) / 4) ** 0.5


@given(shares=st.lists(st.integers(1, 50), min_size=1, max_size=6), v=st.integers(0, LARGEST))
def test_every_number_has_its_sequence(shares: list[int], v: int) -> None:
    total = sum(shares)
    plan = [{"share": [n, total], "channels": [["ivr"], ["web"]][i % 2]} for i, n in enumerate(shares)]
    before = 0
    for entry, n in zip(plan, shares, strict=True):
        if v * total < (before + n) * 2**64:
            assert channel_sequence(v, plan) == entry["channels"]
            return
        before += n
    raise AssertionError("no share holds the number")


def test_the_split_is_exact_at_its_line() -> None:
    assert channel_sequence(2**63 - 1, HALVES) == ["ivr", "web"]
    assert channel_sequence(2**63, HALVES) == ["web"]
    assert channel_sequence(LARGEST, HALVES) == ["web"]


def test_a_plan_is_kept_in_lowest_terms() -> None:
    plan = checked_plan([{"share": "50%", "channels": ["ivr"]}, {"share": [2, 4], "channels": ("web",)}])
    assert plan == [{"share": [1, 2], "channels": ["ivr"]}, {"share": [1, 2], "channels": ["web"]}]


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ([], "no entries"),
        ([{"share": "1/2", "channels": ["ivr"]}], "add up to 1/2"),
        ([{"share": "2/3", "channels": ["ivr"]}, {"share": "2/3", "channels": ["web"]}], "add up to 4/3"),
        ([{"share": 1, "channels": ["fax"]}], "unknown channel 'fax'"),
        ([{"share": 1, "channels": []}], "no channels"),
        ([{"share": 1, "channels": ["web", "web"]}], "twice"),
        ([{"share": 0, "channels": ["web"]}], "share of 0"),
        ([{"share": 0.5, "channels": ["web"]}], "not an exact fraction"),
        ([{"share": [1.9, 2], "channels": ["ivr"]}, {"share": "1/2", "channels": ["web"]}], "not an exact fraction"),
        (["ivr", "web"], "entry 1: 'ivr' is not a share with its channels"),
        ("ivr", "no entries"),
        ([{"share": 1, "channels": "ivr"}], "not a share with its channels"),
    ],
)
def test_a_wrong_plan_is_refused(plan: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        checked_plan(plan)


@pytest.mark.parametrize("text", ["1/10", "0.1", "10%", Fraction(1, 10), [1, 10], (2, 20)])
def test_a_fraction_may_be_written_in_several_ways(text: object) -> None:
    assert fraction(text, "rate") == Fraction(1, 10)


@pytest.mark.parametrize("text", [0.1, "a tenth", "1/0", None, True, [1, 2, 3], [1.0, 2], [1, {}]])
def test_what_is_no_exact_fraction_is_refused(text: object) -> None:
    with pytest.raises(InputError):
        fraction(text, "rate")
