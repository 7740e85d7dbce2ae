"""Campaigns that could ask about the same calls: the one launched first has them, and everything says so."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest
from flask import Flask

from scheduler import campaigns
from scheduler.drawing import draw_campaign
from scheduler.forecast.advice import warnings
from scheduler.forecast.words import whole
from scheduler.overlaps import Owner, overlaps, sentences
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    CampaignState,
    Draw,
    Level,
)
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.forecasting import DAY, FIRST, Centre, at_end, read, workdays


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre.make()


# --- campaigns that could ask about the same calls ---


def test_calls_of_a_campaign_launched_before_are_not_counted_again(centre: Centre) -> None:
    biller, seller = centre.agents[:2]
    centre.calls(biller, workdays(), 5, queue="billing")
    centre.calls(seller, workdays(), 5, queue="Sales")
    draft = centre.draft(rate_denominator=1)
    alone = read(draft).forecast
    assert whole(alone.total.calls) == 200
    first = make.campaign([centre.site], queues=["BILLING"], ends_on=FIRST + 13 * DAY)
    reading = read(draft)
    # The first two of four weeks: half of the billing calls are its.
    assert whole(reading.forecast.total.calls) == 150
    expected = at_end(reading, Level.AGENT)
    assert abs(expected[seller.id] - 2 * expected[biller.id]) < 1
    told = [one for one in warnings(reading) if f"campaign {first.key} too" in one]
    assert "too (50% of " in told[0] and "launched first and has them" in told[0]
    first.queues, first.ends_on = [], draft.ends_on
    with pytest.raises(Refused, match=f"no call is left .* '{first.key}' has the calls"):
        read(draft)


def test_which_campaigns_overlap_and_who_has_the_calls(centre: Centre) -> None:
    earlier, later = (make.campaign([centre.site], launched_at=NOON - n * DAY) for n in (9, 1))
    draft = centre.draft(queues=["billing"])
    make.campaign([make.site(organisation=centre.site.organisation)])
    make.campaign([centre.site], ends_on=FIRST - DAY)
    make.campaign([centre.site], state=CampaignState.CLOSED, closed_at=NOON)
    centre.draft(queues=["sales"])
    other = centre.draft(queues=["Billing"], starts_on=FIRST + DAY)
    assert [(one.other, one.owner) for one in overlaps(draft)] == [
        (earlier, Owner.OTHER),
        (later, Owner.OTHER),
        (other, Owner.FIRST_LAUNCHED),
    ]
    assert {one.other: one.owner for one in overlaps(earlier)}[later] is Owner.THIS
    assert {one.other: one.owner for one in overlaps(later)}[earlier] is Owner.OTHER
    last = overlaps(draft)[-1]
    assert (last.first, last.last, last.sites) == (FIRST + DAY, draft.ends_on, (centre.site,))
    third = centre.draft(queues=["billing"])
    assert [keys for _, keys in sentences(overlaps(draft))] == [[earlier.key], [later.key], [other.key, third.key]]
    told = sentences(overlaps(draft))[-1][0]
    assert f"by 2 drafts ({other.key}, {third.key}) too: whichever campaign is launched first has them." in told
    campaigns.close(earlier, actor="test")
    assert overlaps(earlier) == []


def test_the_owner_is_whoever_the_draw_gives_the_calls_to(centre: Centre) -> None:
    first, second = (make.campaign([centre.site], launched_at=NOON - n * DAY, rate_denominator=1) for n in (9, 5))
    call = centre.calls(centre.agents[0], [date(2026, 3, 11)], 1)[0]
    (of_first,), (of_second,) = overlaps(first), overlaps(second)
    assert (of_first.owner, of_second.owner) == (Owner.THIS, Owner.OTHER)
    assert not draw_campaign(second).decided and draw_campaign(first).decided
    assert db.session.query(Draw).one().call_id == call.id


def test_show_names_the_other_campaign(centre: Centre, app: Flask) -> None:
    first, second = (make.campaign([centre.site], launched_at=NOON - n * DAY) for n in (9, 5))
    db.session.commit()
    shown = app.test_cli_runner().invoke(args=["campaigns", "show", second.key]).output
    assert f"could be asked about by campaign {first.key} too: {first.key} was launched first and has them" in shown
    told = json.loads(app.test_cli_runner().invoke(args=["campaigns", "show", first.key, "--json"]).output)
    assert [(one["campaign"], one["calls_of"]) for one in told["overlaps"]] == [(second.key, "this")]
    draft = centre.draft()
    db.session.commit()
    launched = app.test_cli_runner().invoke(args=["campaigns", "launch", draft.key]).output
    for one in (first, second):
        assert re.search(f"! Calls from 2026-03-13 to .* could be asked about by campaign {one.key} too:", launched)
    assert "Give it now, dated, to those who are to check the draw" in launched
