"""Why a call has gone through no draw: the reason is named, whichever it is."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from scheduler.undecided import why_undecided
from survey.models import CampaignState
from tests import factories
from tests.conftest import NOON

pytestmark = pytest.mark.usefixtures("session", "at_noon")
LAUNCH = NOON - timedelta(days=30)
EARLIER = NOON - timedelta(hours=2)


@pytest.mark.parametrize(
    ("campaign", "call", "says"),
    [
        ({}, {}, "It is one of Spring's calls, and waits for the next draw."),
        ({"state": CampaignState.PAUSED}, {}, "It is one of Spring's calls, and waits for the next draw."),
        (
            {"state": CampaignState.CLOSED, "closed_at": NOON},
            {},
            "It would have been one of Spring's calls, but came in after that had closed: it is never drawn.",
        ),
        ({"launched": False}, {}, "It is in no campaign: Spring has its site, and was never launched."),
        ({}, {"ended_at": LAUNCH}, "Spring: it ended before the launch at 2026-02-10T17:00:00Z."),
        (
            {"state": CampaignState.CLOSED, "closed_at": EARLIER},
            {},
            "Spring: it ended after the close at 2026-03-12T15:00:00Z.",
        ),
        (
            {"starts_on": date(2026, 3, 13)},
            {},
            "Spring: it ended on 2026-03-12, which is not from 2026-03-13 to 2027-02-10.",
        ),
        # Already Thursday by our clock, still Wednesday at the site.
        (
            {"starts_on": date(2026, 3, 12)},
            {"ended_at": factories.utc(2026, 3, 12, 3)},
            "Spring: it ended on 2026-03-11, which is not from 2026-03-12 to 2027-02-10.",
        ),
        (
            {"queues": ["Sales", "Repairs"]},
            {"queue": "billing"},
            'Spring: its queue is "billing", and not Sales or Repairs.',
        ),
        ({"queues": ["Sales"]}, {"queue": "SALES"}, "It is one of Spring's calls, and waits for the next draw."),
        (
            {"queues": ["Sales"], "topics": ["Refunds"]},
            {"topic": "Rates"},
            'Spring: it has no queue, and not Sales, and its topic is "Rates", and not Refunds.',
        ),
    ],
)
def test_the_reason_is_named(campaign: dict[str, Any], call: dict[str, Any], says: str) -> None:
    place = factories.site()
    factories.campaign([place], name="Spring", **campaign)
    told = why_undecided(factories.call(place=place, **call))
    assert told.removeprefix("It is in no campaign of its site. ") == says


def test_a_site_without_a_campaign() -> None:
    place = factories.site(name="North")
    factories.campaign([factories.site(organisation=place.organisation)])
    assert why_undecided(factories.call(place=place)).endswith("none asks about calls of its site, North.")


def test_of_many_campaigns_the_latest_are_named_and_the_first_launched_has_the_call() -> None:
    place = factories.site()
    for n in range(5):
        factories.campaign([place], name=f"C{n}", queues=["sales"], launched_at=LAUNCH + timedelta(days=n))
    told = why_undecided(factories.call(place=place))
    assert [f"C{n}:" in told for n in range(5)] == [False, False, True, True, True] and "and 2 more" in told
    assert "one of C0's calls" in why_undecided(factories.call(place=place, queue="sales"))
