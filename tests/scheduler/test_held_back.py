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
from survey import breakers, channel_trouble, standstill
from survey.clock import ManualClock
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
    assert "the network said no" in one.says and "the network" not in one.warning


def test_workers_that_take_nothing() -> None:
    due_calls(5, calls_per_second=1)
    claim_due()
    assert only() == (Reason.WORKERS, 3, None)


@pytest.mark.parametrize(
    ("hours", "reason", "next_at", "says"),
    [
        ({}, Reason.NOT_DUE, NOON + timedelta(hours=1), "the first then (first call)."),
        ({"call_from": time(14)}, Reason.OUTSIDE_HOURS, NOON + timedelta(hours=1), "is before the campaign's 14:00"),
        # Hours that were changed after it was planned, at once or from when it is due.
        ({"call_from": time(15)}, Reason.OUTSIDE_HOURS, NOON + timedelta(hours=2), "is before the campaign's 15:00"),
        (
            {"call_until": time(13, 30)},
            Reason.OUTSIDE_HOURS,
            make.utc(2026, 3, 13, 13),
            "the first (first call) for 2026-03-12T18:00:00Z, outside its hours as they are now.",
        ),
        ({"call_until": time(13, 30), "call_weekdays": [3]}, Reason.OUTSIDE_HOURS, None, "has no calling hours left"),
    ],
)
def test_what_is_planned_for_later(hours: dict[str, Any], reason: Reason, next_at: datetime | None, says: str) -> None:
    """At noon it is 13:00 in New York, where every site of these tests is."""
    planned(NOON + timedelta(hours=1), **hours)
    (one,) = held()
    assert (one.reason, one.due, one.next_at) == (reason, 0, next_at)
    assert says in one.says


BY_PHONE = [{"share": [1, 1], "channels": ["ivr"]}]
NO_RELAY = "SMTP_URL is not set on this machine, so that it can send no email. flask doctor checks it."


def test_a_channel_that_is_not_set_up_is_told() -> None:
    """These tests have no mail relay: an email is handed out all the same, and comes back."""
    made = make.campaign(channel_plan=BY_PHONE)
    make.attempt(make.survey(within=made, plan_at=None), due_at=NOON + timedelta(hours=1))
    db.session.commit()
    assert [one.warning for one in held()] == [""], "it sends no email"
    made.channel_plan = [{"share": [1, 1], "channels": ["ivr", "web"]}]
    mail = make.attempt(make.survey(within=made, plan_at=None), Channel.WEB)
    db.session.commit()
    assert [(one.channel, one.handed_out, one.warning) for one in held()] == [
        (Channel.IVR, 0, ""),
        (Channel.WEB, 1, NO_RELAY),
    ]
    breakers.failed(Channel.IVR, "the network said no", None)
    assert ["said no" in one.warning for one in held_back.read([mail.id])] == [True, False], "each with its own line"
    breakers.worked(Channel.IVR)
    mail.state, mail.started_at = AttemptState.UNDERWAY, NOON
    db.session.commit()
    (calls,) = held()
    assert calls.warning == NO_RELAY, "its emails have no line of their own"
    assert held_back.told([calls])[0].endswith(f" Next: 2026-03-12T18:00:00Z. Beware: {NO_RELAY}")


def test_a_failure_since_which_nothing_worked_is_told(at_noon: ManualClock) -> None:
    planned(NOON + timedelta(days=1), channel_plan=BY_PHONE)

    def warning() -> str:
        db.session.commit()
        return held()[0].warning

    breakers.failed(Channel.IVR, "the network said no", None)
    assert warning().startswith(
        "the last try to place a call failed at 2026-03-12T17:00:00Z (the network said no), and none has"
    )
    at_noon.move_to(NOON + channel_trouble.LATELY)
    assert warning() == "", "long ago"
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(Channel.IVR, "the network said no", None)
    assert "calls keep failing (the network said no) and are left alone until 2026-03-13T17:00:30Z" in warning()
    breakers.worked(Channel.IVR)
    assert warning() == ""


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
