"""Turns: evenly spaced, never made up for, and only as far ahead as wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.pacing import free_turns, step_of
from survey.models import Campaign, Channel
from tests.conftest import NOON

SECOND = timedelta(seconds=1)


def test_the_step_is_the_campaigns_pace() -> None:
    campaign = Campaign(calls_per_second=4, emails_per_minute=120)
    assert step_of(campaign, Channel.IVR) == timedelta(milliseconds=250)
    assert step_of(campaign, Channel.WEB) == timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("free_at", "first", "count"),
    [
        (None, NOON, 10),
        (NOON - timedelta(hours=1), NOON, 10),  # an hour in which nothing was due is not made up for
        (NOON, NOON, 10),
        (NOON + SECOND, NOON + SECOND, 5),
        (NOON + 2 * SECOND, NOON + 2 * SECOND, 0),
        (NOON + timedelta(minutes=1), NOON + timedelta(minutes=1), 0),
    ],
)
def test_turns_begin_when_the_last_one_given_out_is_over(free_at: datetime | None, first: datetime, count: int) -> None:
    turns = free_turns(NOON, free_at, SECOND / 5, 2 * SECOND)
    assert (turns.first, turns.count) == (first, count)


@pytest.mark.parametrize(("waiting", "count"), [(0, 10), (1, 9), (10, 0), (50, 0)])
def test_no_more_wait_than_have_turns_in_the_time_ahead(waiting: int, count: int) -> None:
    assert free_turns(NOON, None, SECOND / 5, 2 * SECOND, waiting).count == count


def test_no_more_are_taken_than_there_are() -> None:
    turns = free_turns(NOON, None, SECOND, 2 * SECOND)
    assert turns.take(5) == [NOON, NOON + SECOND]
    assert turns.take(1) == [NOON]
    assert turns.free_after(1) == NOON + SECOND


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 40)), min_size=1, max_size=40),
    st.integers(1, 100),
    st.integers(1, 6),
)
def test_however_often_and_much_is_claimed_turns_are_a_step_apart(
    claims: list[tuple[int, int]], a_second: int, ahead: int
) -> None:
    """Claims at any moments (milliseconds after the last), of any size: the pace is never exceeded."""
    step, now, free_at, given_out = SECOND / a_second, NOON, None, []
    for pause, wanted in claims:
        now += timedelta(milliseconds=pause)
        turns = free_turns(now, free_at, step, timedelta(seconds=ahead))
        taken = turns.take(wanted)
        assert all(now <= turn < now + timedelta(seconds=ahead) for turn in taken)
        if taken:
            free_at = turns.free_after(len(taken))
        given_out += taken
    assert all(later - earlier >= step for earlier, later in pairwise(given_out))
