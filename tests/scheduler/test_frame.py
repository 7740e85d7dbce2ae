"""Which calls are a campaign's, where it names queues and topics, and where another was launched before it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from scheduler import clockwork
from scheduler.frame import undrawn, waits_for_draw
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.models import Campaign, Site
from tests import factories as make

KINDS = {
    "sales, bills": {"queue": "Sales", "topic": "bills"},
    "sales": {"queue": "sales", "topic": None},
    "support": {"queue": "support", "topic": "bills"},
    "neither": {"queue": None, "topic": None},
}


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    place = make.site()
    handled_by = make.agent(place)
    for name, kind in KINDS.items():
        make.call(handled_by, place, external_id=name, **kind)
    return place


def calls_of(campaign: Campaign) -> set[str]:
    return {row.external_id for rows in undrawn(campaign) for row in rows}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, set(KINDS)),
        ({"queues": ["SALES"]}, {"sales, bills", "sales"}),
        ({"topics": ["bills"]}, {"sales, bills", "support"}),
        ({"queues": ["sales", "support"], "topics": ["Bills"]}, {"sales, bills", "support"}),
        ({"queues": ["nowhere"]}, set()),
    ],
)
def test_a_campaign_keeps_to_its_queues_and_topics(site: Site, named: dict[str, Any], expected: set[str]) -> None:
    assert calls_of(make.campaign([site], **named)) == expected


def test_the_campaign_launched_first_has_the_call_and_the_rest_are_the_next_ones(site: Site) -> None:
    long_ago = clock.now() - timedelta(days=40)
    first = make.campaign([site], queues=["sales"], launched_at=long_ago)
    second = make.campaign([site])
    assert calls_of(first) == {"sales, bills", "sales"}
    assert calls_of(second) == {"support", "neither"}


def test_calls_of_other_queues_do_not_keep_the_clockwork_drawing(site: Site) -> None:
    campaign = make.campaign([site], queues=["sales"])
    since = clock.now() - clockwork.FRESH
    assert waits_for_draw(campaign, since)
    clockwork.draw()
    db.session.expire_all()
    assert not waits_for_draw(campaign, since)
