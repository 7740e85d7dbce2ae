"""Wherever a test here speaks to the stand-in's REST API, Twilio's own document of that API listens."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from simulator.network import RestApi
from tests.simulator.contract import SPEC, Contract, watched


@cache
def the_contract() -> Contract | None:
    """Loaded once: the document is large."""
    return Contract(json.loads(SPEC.read_text(encoding="utf-8"))) if SPEC.exists() else None


@pytest.fixture(autouse=True)
def held_to_the_document(monkeypatch: pytest.MonkeyPatch) -> Iterator[Contract | None]:
    """Fails the test in which something disagrees with the document. None where the document is not there."""
    contract = the_contract()
    if contract is None:
        yield None
        return
    answer = RestApi.__call__

    def answer_watched(self: RestApi, environ: dict[str, Any], start_response: Any) -> Any:
        return watched(lambda *args: answer(self, *args), contract)(environ, start_response)

    contract.complaints.clear()
    contract.checked = 0
    monkeypatch.setattr(RestApi, "__call__", answer_watched)
    yield contract
    assert contract.complaints == []


@pytest.fixture
def contract(held_to_the_document: Contract | None) -> Contract:
    """The same for a test about it: skipped where the document is not there."""
    if held_to_the_document is None:
        pytest.skip(f"Twilio's OpenAPI document is not at {SPEC}")
    return held_to_the_document
