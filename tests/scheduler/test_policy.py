"""What is tried next, over which channel and when: one survey's facts in, one step out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.hours import Window, verdict
from scheduler.policy import Dial, Mail, Nothing, SurveyFacts, Tried, Wait, next_step
from survey.models import LIVE_STATES, AttemptState, Channel, Outcome

IVR, WEB = Channel.IVR, Channel.WEB
PHONE, SITE = "+12125550101", "America/New_York"
# Thursday noon in New York; the deadline is the start of Tuesday.
NOON = datetime(2026, 3, 12, 16, tzinfo=UTC)
FACTS = SurveyFacts(
    survey_id=1,
    now=NOON,
    deadline=datetime(2026, 3, 17, 4, tzinfo=UTC),
    channels=(IVR, WEB),
    phone=PHONE,
    site_zone=SITE,
)
DIALLED = NOON - timedelta(minutes=10)


def tried(channel: Channel, outcome: Outcome, ended_at: datetime = NOON) -> Tried:
    return Tried(channel, AttemptState.ENDED, outcome, DIALLED, DIALLED, ended_at)


def after(*outcomes: Outcome, **given: object) -> SurveyFacts:
    """The facts after these calls."""
    return replace(FACTS, tried=tuple(tried(IVR, outcome) for outcome in outcomes), **given)  # type: ignore[arg-type]


def local_hour(moment: datetime) -> int:
    return (moment - timedelta(hours=4)).hour


def test_the_first_call_comes_minutes_after_the_draw_within_the_hours() -> None:
    step = next_step(FACTS)
    assert isinstance(step, Dial)
    assert NOON + timedelta(minutes=5) <= step.due_at <= NOON + timedelta(hours=4, minutes=5)
    assert step.reason == "first call"


def test_calls_are_spread_and_always_in_the_same_way() -> None:
    due = [step.due_at for n in range(400) if isinstance(step := next_step(replace(FACTS, survey_id=n)), Dial)]
    again = [step.due_at for n in range(400) if isinstance(step := next_step(replace(FACTS, survey_id=n)), Dial)]
    assert due == again
    quarter_hours = [int((at - NOON) / timedelta(minutes=15)) for at in due]
    # 400 calls over 16 quarters of an hour: 25 each if they were perfectly even.
    assert max(quarter_hours.count(quarter) for quarter in range(17)) <= 40


def test_every_planned_call_is_at_a_decent_hour() -> None:
    for n in range(300):
        step = next_step(replace(FACTS, survey_id=n, now=NOON + timedelta(minutes=17 * n), phone="+61412345678"))
        if isinstance(step, Dial):
            assert verdict("+61412345678", step.due_at, Window(), SITE).allowed


@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.VOICEMAIL, Outcome.LATER, Outcome.UNKNOWN])
def test_after_nobody_answered_another_part_of_the_day_is_tried(outcome: Outcome) -> None:
    morning = after(outcome, now=NOON - timedelta(hours=1))  # 11:00
    morning = replace(morning, tried=(tried(IVR, outcome, NOON - timedelta(hours=1)),))
    step = next_step(morning)
    assert isinstance(step, Dial) and 12 <= local_hour(step.due_at) < 17
    evening = NOON + timedelta(hours=6)  # 18:00
    step = next_step(replace(FACTS, now=evening, tried=(tried(IVR, outcome, evening),)))
    assert isinstance(step, Dial)
    assert step.due_at.date() == datetime(2026, 3, 13, tzinfo=UTC).date() and local_hour(step.due_at) < 12


def test_nothing_is_planned_into_the_last_minutes_of_the_hours() -> None:
    evening = datetime(2026, 3, 12, 23, 10, tzinfo=UTC)  # 19:10 in New York, which stops at 20:00
    due = [
        step.due_at for n in range(200) if isinstance(step := next_step(replace(FACTS, survey_id=n, now=evening)), Dial)
    ]
    assert len(due) == 200 and max(due) < datetime(2026, 3, 12, 23, 45, tzinfo=UTC)
    busy_at = datetime(2026, 3, 12, 23, 30, tzinfo=UTC)
    step = next_step(replace(FACTS, now=busy_at, tried=(tried(IVR, Outcome.BUSY, busy_at),)))
    assert isinstance(step, Dial) and step.due_at == datetime(2026, 3, 13, 13, tzinfo=UTC)
    last_evening = replace(FACTS, deadline=datetime(2026, 3, 13, 4, tzinfo=UTC), now=busy_at)
    step = next_step(replace(last_evening, tried=(tried(IVR, Outcome.BUSY, busy_at),)))
    assert isinstance(step, Dial) and step.due_at == busy_at + timedelta(minutes=20)


def test_a_busy_line_is_tried_again_after_twenty_minutes() -> None:
    step = next_step(after(Outcome.BUSY))
    assert isinstance(step, Dial) and step.due_at == NOON + timedelta(minutes=20)


def test_what_could_not_be_placed_waits_longer_each_time() -> None:
    first, second = next_step(after(Outcome.FAILED)), next_step(after(Outcome.FAILED, Outcome.FAILED))
    assert isinstance(first, Dial) and first.due_at == NOON + timedelta(minutes=10)
    assert isinstance(second, Dial) and second.due_at == NOON + timedelta(minutes=20)


@pytest.mark.parametrize(
    "outcome", [Outcome.DEAD, Outcome.WRONG_PERSON, Outcome.NO_INPUT, Outcome.HUNG_UP, Outcome.OPTED_OUT]
)
def test_what_ends_the_phone_brings_the_email_at_once(outcome: Outcome) -> None:
    step = next_step(after(outcome))
    assert isinstance(step, Mail) and step.due_at == NOON
    assert step.reason.startswith("first invitation: ")


def test_after_three_calls_the_email_is_next() -> None:
    assert isinstance(next_step(after(Outcome.NO_ANSWER, Outcome.BUSY)), Dial)
    step = next_step(after(Outcome.NO_ANSWER, Outcome.BUSY, Outcome.NO_ANSWER))
    assert step == Mail(NOON, "first invitation: 3 calls made")


def test_cancelled_attempts_do_not_count() -> None:
    cancelled = Tried(IVR, AttemptState.CANCELLED, None, DIALLED, None, DIALLED)
    step = next_step(replace(FACTS, tried=(cancelled,) * 5))
    assert isinstance(step, Dial) and step.reason == "first call"


def test_without_a_decent_hour_before_the_deadline_the_email_goes_at_once() -> None:
    monday_night = datetime(2026, 3, 17, 0, 30, tzinfo=UTC)  # 20:30 in New York, deadline at midnight
    step = next_step(replace(FACTS, now=monday_night))
    assert isinstance(step, Mail)
    assert step.reason == "first invitation: no calling hours left before the deadline"


def test_nothing_begins_in_the_last_minutes() -> None:
    step = next_step(replace(FACTS, now=FACTS.deadline - timedelta(minutes=10)))
    assert step == Nothing("the deadline is too near")
    dial = next_step(replace(FACTS, channels=(IVR,), deadline=NOON + timedelta(minutes=30)))
    assert isinstance(dial, Dial) and dial.due_at < NOON + timedelta(minutes=20)


def test_a_withheld_phone_leaves_the_email() -> None:
    step = next_step(replace(FACTS, withheld=((IVR, "the phone number is opted out"),)))
    assert isinstance(step, Mail) and "opted out" in step.reason


def test_with_everything_withheld_nothing_is_left() -> None:
    withheld = ((IVR, "the phone number is opted out"), (WEB, "no email address"))
    step = next_step(replace(FACTS, withheld=withheld))
    assert step == Nothing("the phone number is opted out; no email address")


def test_a_number_has_its_cap_over_all_campaigns() -> None:
    dials = tuple(NOON - timedelta(days=days) for days in (29, 20, 10))
    step = next_step(replace(FACTS, number_dials=dials))
    # Free again a day from now, thirty days after the first of the three.
    assert isinstance(step, Dial) and step.due_at >= NOON + timedelta(days=1)
    recent = tuple(NOON - timedelta(days=days) for days in (3, 2, 1))
    assert isinstance(next_step(replace(FACTS, number_dials=recent)), Mail)


def test_one_invitation_and_then_silence() -> None:
    web_only = replace(FACTS, channels=(WEB,))
    step = next_step(web_only)
    assert isinstance(step, Mail) and NOON + timedelta(minutes=5) <= step.due_at <= NOON + timedelta(minutes=20)
    out = Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON)
    assert next_step(replace(web_only, tried=(out,))) == Nothing("the link is out until the deadline")


def test_after_twenty_hours_of_silence_the_phone_is_next() -> None:
    web_first = replace(FACTS, channels=(WEB, IVR), tried=(Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON),))
    silent_at = NOON + timedelta(hours=20)
    assert next_step(web_first) == Wait(silent_at, "the link is out")
    step = next_step(replace(web_first, now=silent_at))
    assert isinstance(step, Dial) and step.reason == "first call: the link was not answered for 20 hours"


def test_an_email_that_bounced_brings_the_phone_at_once() -> None:
    step = next_step(replace(FACTS, channels=(WEB, IVR), tried=(tried(WEB, Outcome.BOUNCED),)))
    assert isinstance(step, Dial) and step.reason == "first call: the email bounced"


def test_an_email_the_relay_did_not_take_is_tried_a_few_times() -> None:
    facts = replace(FACTS, channels=(WEB,), tried=(tried(WEB, Outcome.FAILED),) * 2)
    assert next_step(facts) == Mail(NOON + timedelta(minutes=20), "the email could not be sent: again after a pause")
    assert isinstance(next_step(replace(facts, tried=(tried(WEB, Outcome.FAILED),) * 5)), Nothing)


@pytest.mark.parametrize("state", LIVE_STATES)
def test_while_a_call_is_alive_nothing_else_is_planned(state: AttemptState) -> None:
    assert isinstance(next_step(replace(FACTS, tried=(Tried(IVR, state, None, NOON),))), Nothing)
