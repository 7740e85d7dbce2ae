"""What a tick says of what it did not hand out: the true reason, and when something can go again."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask

from scheduler import held_back
from scheduler.claiming import claim_due
from scheduler.held_back import Held, Reason
from survey import breakers, standstill
from survey.db import db
from survey.models import AttemptState, Campaign, CampaignState, Channel
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.test_claiming import due_calls

SECOND = timedelta(seconds=1)
pytestmark = pytest.mark.usefixtures("session", "at_noon")


def held() -> list[Held]:
    """After a tick's claiming, as the command asks."""
    claimed = claim_due()
    db.session.commit()
    return held_back.read(list(claimed))


def only() -> tuple[Reason, int, datetime | None]:
    (one,) = held()
    return one.reason, one.due, one.next_at


def planned(at: datetime, **campaign: Any) -> Campaign:
    """A campaign with one call planned for that time."""
    made = make.campaign(**campaign)
    make.attempt(make.survey(within=made, plan_at=None), due_at=at, reason="first call")
    db.session.commit()
    return made


def test_nothing_to_do_is_said_too() -> None:
    assert held() == [] and "no survey is open" in held_back.told([])[0]


@pytest.mark.parametrize(
    ("campaign", "expected"),
    [
        ({"state": CampaignState.PAUSED}, (Reason.PAUSED, 3, None)),
        ({"state": CampaignState.CLOSED, "closed_at": NOON}, (Reason.CLOSED, 3, None)),
        ({"live_calls": 1}, (Reason.LIVE_CALLS, 2, None)),
        # Two turns a tick of one second; the third call's comes then.
        ({"calls_per_second": 1}, (Reason.TURN, 1, NOON + 2 * SECOND)),
        ({"spend_cap": 50}, (Reason.SPEND_CAP, 1, None)),
        ({}, (Reason.NOT_DUE, 0, None)),
    ],
)
def test_what_holds_a_campaign_back(
    campaign: dict[str, Any], expected: tuple[Reason, int, datetime | None], app: Flask
) -> None:
    made = due_calls(3, **campaign)
    if made.spend_cap is not None:
        # The calls that are handed out may last so long that no third one is paid for.
        made.spend_cap = _price_of_two_calls()
        db.session.commit()
    assert only() == expected


def _price_of_two_calls() -> int:
    from_cents = held_back.spending.LONGEST_CALL_MINUTES * held_back.spending.minute_price()
    return int(-(-2 * from_cents // 1))


def test_a_stop_goes_before_everything_and_says_how_to_go_on() -> None:
    due_calls(2, state=CampaignState.PAUSED)
    standstill.begin("test", "a complaint")
    (one,) = held()
    assert (one.reason, one.due) == (Reason.STOPPED, 2)
    assert "(a complaint)" in one.says and "flask stop --lift" in one.says


def test_a_channel_that_keeps_failing_is_tried_again_at_its_time() -> None:
    due_calls(2)
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(Channel.IVR, "the network said no", None)
    db.session.commit()
    (one,) = held()
    assert (one.reason, one.next_at) == (Reason.FAILING, NOON + breakers.FIRST_PAUSE)
    assert "the network said no" in one.says


def test_workers_that_take_nothing() -> None:
    due_calls(5, calls_per_second=1)
    claim_due()
    assert only() == (Reason.WORKERS, 3, None)


@pytest.mark.parametrize(
    ("call_from", "reason", "due_at"),
    [
        (time(9), Reason.NOT_DUE, NOON + timedelta(hours=1)),
        (time(14), Reason.OUTSIDE_HOURS, NOON + timedelta(hours=1)),
    ],
)
def test_what_is_planned_for_later(call_from: time, reason: Reason, due_at: datetime) -> None:
    """At noon it is 13:00 in New York, where every site of these tests is."""
    planned(due_at, call_from=call_from)
    (one,) = held()
    assert (one.reason, one.due, one.next_at) == (reason, 0, due_at)
    if reason is Reason.OUTSIDE_HOURS:
        assert "13:00 in America/New_York is before the campaign's 14:00" in one.says


def test_due_calls_do_not_go_before_their_hours() -> None:
    """Held by its live calls at the end of the day: the next can go tomorrow, whenever one ends."""
    due_calls(2, live_calls=1, call_from=time(9), call_until=time(13), hours_by_weekday={"3": ["09:00", "13:00"]})
    reason, _, next_at = only()
    assert (reason, next_at) == (Reason.LIVE_CALLS, make.utc(2026, 3, 13, 13))


def test_surveys_not_planned_yet_and_links_that_are_out() -> None:
    made = make.campaign()
    make.survey(within=made)
    db.session.commit()
    assert only() == (Reason.NEXT_TICK, 1, None)
    survey = make.survey(within=make.campaign(), plan_at=NOON + timedelta(hours=5))
    make.attempt(survey, Channel.WEB, state=AttemptState.UNDERWAY)
    db.session.commit()
    waiting = held()[1]
    assert (waiting.reason, waiting.next_at) == (Reason.NOT_DUE, NOON + timedelta(hours=5))
    assert "1 open survey, 1 contact on the way" in waiting.says


def test_the_command_says_it_in_text_and_json(app: Flask) -> None:
    paused = due_calls(2, state=CampaignState.PAUSED)
    name = f"{paused.organisation.key}/{paused.key}"
    runner = app.test_cli_runner()
    assert runner.invoke(args=["dispatch", "tick"]).output.splitlines() == [
        "0 surveys planned, 0 attempts handed to the workers.",
        f"{name}: 2 due; the campaign is paused. To go on: flask campaigns resume {name}.",
    ]
    told = json.loads(runner.invoke(args=["dispatch", "tick", "--json"]).output)
    (one,) = told["campaigns"]
    assert (one["campaign"], one["reason"], one["due"], one["next_at"]) == (name, "paused", 2, None)
