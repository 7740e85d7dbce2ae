"""What is tried next, over which channel and when: one survey's facts in, one step out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

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


def test_a_thousand_at_once_are_spread_and_none_begins_after_closing_time() -> None:
    """Drawn together at ten in the morning, at ten past seven in the evening, and in the night."""
    for drawn_at in (NOON - timedelta(hours=2), NOON + timedelta(hours=7, minutes=10), NOON + timedelta(hours=14)):
        due = [
            step.due_at
            for n in range(1000)
            if isinstance(step := next_step(replace(FACTS, survey_id=n, now=drawn_at)), Dial)
        ]
        assert len(due) == 1000
        by_minute = Counter(at.replace(second=0) for at in due)
        # Over four hours of allowed time four a minute would be perfectly even.
        assert max(by_minute.values()) <= 7
        assert all(verdict(PHONE, at + timedelta(minutes=15), Window(), SITE).allowed for at in due)


def test_what_finds_no_room_in_the_evening_is_called_in_the_morning() -> None:
    evening = NOON + timedelta(hours=7, minutes=10)  # 19:10 in New York, which stops at 20:00
    due = [
        step.due_at for n in range(240) if isinstance(step := next_step(replace(FACTS, survey_id=n, now=evening)), Dial)
    ]
    tonight = [at for at in due if at < NOON + timedelta(hours=8)]
    # Half an hour of the four is left before closing time, which is a quarter of an hour.
    assert 25 <= len(tonight) <= 35
    assert max(tonight) < NOON + timedelta(hours=7, minutes=45)
    assert {local_hour(at) for at in due} - {19} == {9, 10, 11, 12}


def test_nothing_is_planned_into_the_last_minutes_of_the_hours() -> None:
    busy_at = NOON + timedelta(hours=7, minutes=30)
    due = [
        step.due_at
        for n in range(200)
        if isinstance(
            step := next_step(replace(FACTS, survey_id=n, now=busy_at, tried=(tried(IVR, Outcome.BUSY, busy_at),))),
            Dial,
        )
    ]
    # What waits for the opening does not all begin at nine o'clock sharp.
    nine = datetime(2026, 3, 13, 13, tzinfo=UTC)
    assert len(due) == 200 and nine <= min(due) and max(due) < nine + timedelta(hours=1)
    assert max(Counter(due).values()) <= 2
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


@pytest.mark.parametrize("outcome", [Outcome.HUNG_UP, Outcome.NO_INPUT, Outcome.UNKNOWN, Outcome.FAILED])
def test_a_call_that_ended_after_some_answers_sends_the_link_that_resumes(outcome: Outcome) -> None:
    cut_off = replace(tried(IVR, outcome), answered_at=NOON)
    reason = "first invitation: the call ended after some answers, and the link goes on from there"
    assert next_step(replace(FACTS, tried=(cut_off,))) == Mail(NOON, reason)
    third = (tried(IVR, Outcome.NO_ANSWER), tried(IVR, Outcome.NO_ANSWER), cut_off)
    assert next_step(replace(FACTS, tried=third)) == Mail(NOON, reason)


@pytest.mark.parametrize("outcome", [Outcome.HUNG_UP, Outcome.NO_INPUT, Outcome.UNKNOWN, Outcome.DEAD])
def test_no_link_goes_where_the_sequence_has_no_email(outcome: Outcome) -> None:
    """Which customers are asked how is part of the sample: a channel outside the sequence is never used."""
    cut_off = replace(tried(IVR, outcome), answered_at=NOON)
    step = next_step(replace(FACTS, channels=(IVR,), tried=(cut_off,)))
    assert not isinstance(step, Mail)
    # What became of the call is not known: another one goes on from where it was.
    assert isinstance(step, Dial) is (outcome is Outcome.UNKNOWN)


def test_a_link_that_is_out_already_is_not_sent_once_more_after_a_call_that_was_cut_off() -> None:
    link = Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON - timedelta(hours=30), attempt_id=7)
    cut_off = replace(tried(IVR, Outcome.HUNG_UP), answered_at=NOON)
    step = next_step(replace(FACTS, channels=(WEB, IVR), tried=(link, cut_off), reminders=1))
    assert step == Nothing("the link was not answered for 20 hours; the customer hung up")


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


@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.VOICEMAIL, Outcome.LATER])
def test_without_another_part_of_the_day_the_email_goes_or_else_the_same_part_is_used(outcome: Outcome) -> None:
    evening = NOON + timedelta(hours=6)  # 18:00, the deadline at midnight
    facts = replace(
        FACTS, now=evening, deadline=datetime(2026, 3, 13, 4, tzinfo=UTC), tried=(tried(IVR, outcome, evening),)
    )
    assert isinstance(next_step(facts), Mail)
    for without_email in ({"channels": (IVR,)}, {"withheld": ((WEB, "no email address"),)}):
        step = next_step(replace(facts, **without_email))  # type: ignore[arg-type]
        assert isinstance(step, Dial) and step.due_at == evening + timedelta(hours=1)
        assert "no other part of the day is left" in step.reason
    late = NOON + timedelta(hours=7, minutes=30)
    step = next_step(replace(facts, channels=(IVR,), now=late, tried=(tried(IVR, outcome, late),)))
    assert step == Nothing("no calling hours left before the deadline")


def test_a_survey_drawn_too_late_for_every_channel_says_why() -> None:
    night = datetime(2026, 3, 17, 0, 30, tzinfo=UTC)  # 20:30 in New York, deadline at midnight
    step = next_step(replace(FACTS, now=night, withheld=((WEB, "no email address"),)))
    assert step == Nothing("no calling hours left before the deadline; no email address")


def test_a_window_without_an_hour_leaves_the_email() -> None:
    """A campaign's hours that the country's limits leave nothing of, and a weekend in France."""
    early = Window(time(5), time(8))
    assert isinstance(next_step(replace(FACTS, window=early)), Mail)
    friday_night = datetime(2026, 3, 13, 20, tzinfo=UTC)
    french = replace(FACTS, phone="+33199000123", site_zone="Europe/Paris", now=friday_night)
    assert isinstance(next_step(replace(french, deadline=datetime(2026, 3, 15, 23, tzinfo=UTC))), Mail)
    step = next_step(replace(french, deadline=datetime(2026, 3, 16, 23, tzinfo=UTC)))
    assert isinstance(step, Dial) and step.due_at >= datetime(2026, 3, 16, 9, tzinfo=UTC)


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
    reason = "first invitation: the number has been called 3 times in 30 days"
    step = next_step(replace(FACTS, number_dials=recent))
    assert isinstance(step, Mail) and step.reason == reason


def test_one_invitation_and_then_silence() -> None:
    web_only = replace(FACTS, channels=(WEB,))
    step = next_step(web_only)
    assert isinstance(step, Mail) and NOON + timedelta(minutes=5) <= step.due_at <= NOON + timedelta(minutes=20)
    out = Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON)
    assert next_step(replace(web_only, tried=(out,))) == Nothing("the link is out until the deadline")
    not_left = replace(out, state=AttemptState.PLANNED, started_at=None)
    planned = "an invitation is planned for 2026-03-12T16:00:00Z"
    assert next_step(replace(web_only, tried=(not_left,))) == Nothing(planned)
    web_first = replace(FACTS, channels=(WEB, IVR), tried=(not_left,))
    assert next_step(web_first) == Wait(NOON + timedelta(hours=20), planned)


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


def test_a_link_answered_in_part_is_left_alone_for_twenty_hours_more() -> None:
    answered_at = NOON + timedelta(hours=5)
    link = Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON, answered_at=answered_at)
    facts = replace(FACTS, channels=(WEB, IVR), tried=(link,))
    silent_at = answered_at + timedelta(hours=20)
    assert next_step(replace(facts, now=NOON + timedelta(hours=20))) == Wait(silent_at, "the link is out")
    step = next_step(replace(facts, now=silent_at))
    assert isinstance(step, Dial) and "no further answered for 20 hours" in step.reason


def test_calls_after_links_that_stayed_silent_together_are_spread() -> None:
    """A bounce comes alone and brings the phone within a quarter of an hour; silence comes to all at once."""
    silent_at = NOON + timedelta(hours=22)  # ten in the morning
    link = Tried(WEB, AttemptState.UNDERWAY, None, NOON, silent_at - timedelta(hours=20))
    bounced = tried(WEB, Outcome.BOUNCED, silent_at)
    for last, longest in ((link, timedelta(hours=4)), (bounced, timedelta(minutes=15))):
        facts = replace(FACTS, channels=(WEB, IVR), now=silent_at, tried=(last,))
        due = [step.due_at for n in range(200) if isinstance(step := next_step(replace(facts, survey_id=n)), Dial)]
        assert len(due) == 200 and longest * 0.9 < max(due) - silent_at < longest


LINK = Tried(WEB, AttemptState.UNDERWAY, None, NOON, NOON, attempt_id=7)
SILENT_AT = NOON + timedelta(hours=20)


def test_one_reminder_after_twenty_hours_of_silence() -> None:
    facts = replace(FACTS, channels=(IVR, WEB), tried=(tried(IVR, Outcome.DEAD), LINK), reminders=1)
    assert next_step(facts) == Wait(SILENT_AT, "the link is out, and may be reminded of")
    step = next_step(replace(facts, now=SILENT_AT))
    assert isinstance(step, Mail) and step.reminds_of == 7
    assert SILENT_AT <= step.due_at < SILENT_AT + timedelta(minutes=15)
    assert step.reason == "reminder: the link was not answered for 20 hours"
    first = replace(LINK, state=AttemptState.ENDED, outcome=Outcome.SILENCE, ended_at=SILENT_AT)
    second = Tried(WEB, AttemptState.UNDERWAY, None, SILENT_AT, SILENT_AT, attempt_id=8)
    for much_later in (SILENT_AT, SILENT_AT + timedelta(hours=21)):
        step = next_step(replace(facts, now=much_later, tried=(*facts.tried[:1], first, second)))
        assert step == Nothing("the link is out until the deadline")
    second = replace(second, state=AttemptState.PLANNED, started_at=None)
    step = next_step(replace(facts, now=SILENT_AT, tried=(*facts.tried[:1], first, second)))
    assert step == Nothing("a reminder is planned for 2026-03-13T12:00:00Z")


@pytest.mark.parametrize(
    "given",
    [
        {"reminders": 0},
        {"tried": (replace(LINK, answered_at=NOON),)},
        {"tried": (replace(LINK, state=AttemptState.ENDED, outcome=Outcome.BOUNCED),)},
        {"tried": (replace(LINK, state=AttemptState.ENDED, outcome=Outcome.WRONG_PERSON),)},
        {"deadline": SILENT_AT + timedelta(hours=3, minutes=59)},
        {"withheld": ((WEB, "the email address is opted out"),)},
    ],
)
def test_no_reminder_without_reason_or_time(given: dict[str, object]) -> None:
    facts = replace(FACTS, channels=(WEB,), tried=(LINK,), reminders=1, now=SILENT_AT)
    assert isinstance(next_step(facts), Mail)
    assert isinstance(next_step(replace(facts, **given)), Nothing)  # type: ignore[arg-type]


def test_where_the_phone_comes_after_the_email_the_reminder_waits_for_its_end() -> None:
    facts = replace(FACTS, channels=(WEB, IVR), tried=(LINK,), reminders=1, now=SILENT_AT)
    assert isinstance(next_step(facts), Dial)
    assert isinstance(next_step(replace(facts, tried=(LINK, tried(IVR, Outcome.DEAD)))), Mail)
    assert isinstance(next_step(replace(facts, withheld=((IVR, "no phone number"),))), Mail)


@pytest.mark.parametrize("state", [AttemptState.PLANNED, AttemptState.QUEUED, AttemptState.DIALLING])
def test_an_email_that_has_not_left_is_not_reminded_of(state: AttemptState) -> None:
    waiting = Tried(WEB, state, None, NOON, NOON if state is AttemptState.DIALLING else None, attempt_id=7)
    step = next_step(replace(FACTS, channels=(WEB,), tried=(waiting,), reminders=1, now=SILENT_AT))
    assert isinstance(step, Wait) and step.plan_at > SILENT_AT
    left = "the link is out" if waiting.started_at else "an invitation is planned for 2026-03-12T16:00:00Z"
    assert step.reason == f"{left}, and may be reminded of"


@pytest.mark.parametrize("state", LIVE_STATES)
def test_while_a_call_is_alive_nothing_else_is_planned(state: AttemptState) -> None:
    begun = state in (AttemptState.DIALLING, AttemptState.UNDERWAY)
    says = "a call is under way" if begun else "a call is planned for 2026-03-12T16:00:00Z"
    alive = Tried(IVR, state, None, NOON, NOON if begun else None)
    assert next_step(replace(FACTS, tried=(alive,))) == Nothing(says)
