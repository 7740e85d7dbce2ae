"""Certification's clock stands before the announcement until a test moves it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from survey import clock
from survey.clock import ManualClock
from tests.certification.world import ANNOUNCED, World


@pytest.fixture
def before() -> Iterator[ManualClock]:
    with clock.standing_at(ANNOUNCED) as manual:
        yield manual


@pytest.fixture
def world(app: Flask, before: ManualClock) -> World:
    return World.make(before)
