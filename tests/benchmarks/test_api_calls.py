"""The API's benchmark sends what it says: batches of a thousand new calls, seven of ten customers new."""

from __future__ import annotations

import json

import pytest

from benchmarks.api_calls import BATCH, bodies_of, demo_numbers


def test_every_call_is_new_and_seven_of_ten_phones_are() -> None:
    batches = [json.loads(body)["calls"] for body in bodies_of(3)]
    calls = [call for batch in batches for call in batch]
    assert [len(batch) for batch in batches] == [BATCH] * 3
    assert len({call["external_id"] for call in calls}) == 3 * BATCH
    assert len({call["phone"] for call in calls}) == 3 * BATCH * 7 // 10
    assert all("555-01" in call["phone"] and call["email"].endswith("@example.com") for call in calls)


def test_there_are_only_so_many_numbers_that_ring_nowhere() -> None:
    with pytest.raises(ValueError, match="demo numbers"):
        demo_numbers(1_000_000)
