"""The plan for one survey: what to try next, over which channel and when. Pure: facts in, one step out.

The channels are tried in the survey's own order. Each is used up by its outcomes, its cap or the lack of a legal hour
before the deadline; then the next one's turn comes at once. A channel that is not in that order is never used, whatever
happens: which customers are asked how is part of the sample (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler import hours, spreading
from survey.clock import iso
from survey.models import LIVE_STATES, AttemptState, Channel, Outcome

FIRST_AFTER_DRAW = timedelta(minutes=5)
LAST_BEFORE_DEADLINE = timedelta(minutes=10)
BUSY_AGAIN_AFTER = timedelta(minutes=20)
FAILED_AGAIN_AFTER = timedelta(minutes=10)
MOST_FAILURES_BY_MAIL = 5
WEB_SILENCE = timedelta(hours=20)
REMINDER_BEFORE_DEADLINE = timedelta(hours=4)
SAME_PART_AGAIN_AFTER = timedelta(hours=1)
SPREAD_FIRST_DIALS = timedelta(hours=4)
SPREAD_LATER_DIALS = timedelta(hours=2)
SPREAD_ALONE = timedelta(minutes=15)
SPREAD_MAILS = timedelta(minutes=15)
NUMBER_REST = timedelta(days=30)
# Noon and five o'clock, the customer's time, part the day into morning, afternoon and evening.
PARTS_OF_DAY = (time(0), time(12), time(17))


@dataclass(frozen=True)
class Tried:
    """One attempt of the survey, in the order of `ordinal`.

    `answered_at`: its latest answer in time, if any. `inbound`: the customer called us, so that it was no dial.
    """

    channel: Channel
    state: AttemptState
    outcome: Outcome | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    answered_at: datetime | None = None
    attempt_id: int | None = None
    inbound: bool = False


@dataclass(frozen=True)
class SurveyFacts:
    """All that decides on a survey's next step.

    `withheld` says why a channel may not be used (no contact, opted out). `number_dials` are the times of the dials
    begun to this number in the last 30 days, over all campaigns of the organisation, oldest first.
    """

    survey_id: int
    now: datetime
    deadline: datetime
    channels: tuple[Channel, ...]
    tried: tuple[Tried, ...] = ()
    withheld: tuple[tuple[Channel, str], ...] = ()
    phone: str | None = None
    site_zone: str = "UTC"
    window: hours.Window = field(default_factory=hours.Window)
    dials_per_survey: int = 3
    dials_per_number: int = 3
    number_dials: tuple[datetime, ...] = ()
    reminders: int = 0

    @property
    def last_moment(self) -> datetime:
        """When the last attempt must have begun, so that the customer still has time to answer."""
        return self.deadline - LAST_BEFORE_DEADLINE

    def on(self, channel: Channel) -> list[Tried]:
        """The attempts on a channel that began or may still; cancelled ones were never made."""
        return [one for one in self.tried if one.channel is channel and one.state is not AttemptState.CANCELLED]

    def why_withheld(self, channel: Channel) -> str | None:
        return dict(self.withheld).get(channel)


@dataclass(frozen=True)
class Dial:
    due_at: datetime
    reason: str


@dataclass(frozen=True)
class Mail:
    """`reminds_of` is the attempt whose link was not answered: it ends as silence, so that this one may begin."""

    due_at: datetime
    reason: str
    reminds_of: int | None = None


@dataclass(frozen=True)
class Wait:
    plan_at: datetime
    reason: str


@dataclass(frozen=True)
class Nothing:
    reason: str


@dataclass(frozen=True)
class _UsedUp:
    """This channel has nothing left to try."""

    reason: str


Step = Dial | Mail | Wait | Nothing


def next_step(facts: SurveyFacts) -> Step:
    """The next step of an open survey: dial or mail at a time, think again later, or nothing until its deadline."""
    if facts.now >= facts.last_moment:
        return Nothing("the deadline is too near")
    reasons: list[str] = []
    for position, channel in enumerate(facts.channels):
        last = position == len(facts.channels) - 1
        step = _dial(facts) if channel is Channel.IVR else _mail(facts, last)
        if not isinstance(step, _UsedUp):
            return _because(step, reasons)
        reasons.append(step.reason)
    return _reminder(facts) or Nothing("; ".join(reasons) or "no channel to ask on")


def _because(step: Step, reasons: Sequence[str]) -> Step:
    """A first try on a later channel says why the earlier ones came to an end."""
    if isinstance(step, (Dial, Mail)) and reasons and step.reason.startswith("first"):
        return type(step)(step.due_at, f"{step.reason}: {'; '.join(reasons)}")
    return step


def _dial(facts: SurveyFacts) -> Step | _UsedUp:
    dials = facts.on(Channel.IVR)
    if dials and dials[-1].state in LIVE_STATES:
        return Nothing("a call is under way" if dials[-1].started_at else f"a call is {_planned_for(facts, dials[-1])}")
    if facts.phone is None or facts.why_withheld(Channel.IVR) is not None:
        return _UsedUp(facts.why_withheld(Channel.IVR) or "no phone number")
    if not dials:
        return _dial_first(facts)
    if dials[-1].answered_at is not None and dials[-1].outcome in CUT_OFF_BY and _link_follows(facts):
        return _UsedUp("the call ended after some answers, and the link goes on from there")
    made = sum(not one.inbound for one in dials)
    if made >= facts.dials_per_survey:
        return _UsedUp(f"{made} calls made")
    return _dial_again(facts, dials)


def _dial_first(facts: SurveyFacts) -> Step | _UsedUp:
    mails = facts.on(Channel.WEB)
    earliest = facts.now if mails else facts.now + FIRST_AFTER_DRAW
    # An email that failed did so alone; links are silent, and calls drawn, many at once.
    alone = bool(mails) and mails[-1].state is AttemptState.ENDED
    return _at_decent_hour(facts, earliest, SPREAD_ALONE if alone else SPREAD_FIRST_DIALS, "first call")


def _dial_again(facts: SurveyFacts, dials: Sequence[Tried]) -> Step | _UsedUp:
    last = dials[-1]
    ended_at = last.ended_at or facts.now
    if last.outcome is Outcome.BUSY:
        return _at_decent_hour(facts, ended_at + BUSY_AGAIN_AFTER, spreading.NONE, "the line was busy: again soon")
    if last.outcome is Outcome.FAILED:
        again_at = ended_at + FAILED_AGAIN_AFTER * 2 ** (_failures_in_a_row(dials) - 1)
        return _at_decent_hour(facts, again_at, spreading.NONE, "the call could not be placed: again after a pause")
    why = AGAIN_IN_ANOTHER_PART.get(last.outcome) if last.outcome else None
    if why is None:
        return _UsedUp(USED_UP_BY.get(last.outcome, "the last call ended it") if last.outcome else "the last call")
    return _in_another_part(facts, ended_at, why)


def _in_another_part(facts: SurveyFacts, ended_at: datetime, why: str) -> Step | _UsedUp:
    """Another part of the day; where none is left and no email may follow, the same part is better than nothing."""
    reason = f"{why}: another part of the day"
    step = _at_decent_hour(facts, _next_part(facts, ended_at), SPREAD_LATER_DIALS, reason)
    if not isinstance(step, _UsedUp) or _link_follows(facts):
        return step
    reason = f"{why}: once more, as no other part of the day is left before the deadline"
    return _at_decent_hour(facts, ended_at + SAME_PART_AGAIN_AFTER, spreading.NONE, reason)


def _link_follows(facts: SurveyFacts) -> bool:
    """Whether an email may still come after the phone."""
    after_phone = facts.channels[facts.channels.index(Channel.IVR) + 1 :]
    return Channel.WEB in after_phone and facts.why_withheld(Channel.WEB) is None and not facts.on(Channel.WEB)


# What may have cut a customer off who had begun to answer.
CUT_OFF_BY = (Outcome.HUNG_UP, Outcome.NO_INPUT, Outcome.UNKNOWN, Outcome.FAILED)
AGAIN_IN_ANOTHER_PART = {
    Outcome.NO_ANSWER: "nobody answered",
    Outcome.VOICEMAIL: "voicemail answered",
    Outcome.LATER: "the customer asked to be called later",
    Outcome.UNKNOWN: "what became of the last call is not known",
}
USED_UP_BY = {
    Outcome.DEAD: "the number is dead",
    Outcome.WRONG_PERSON: "the number is somebody else's",
    Outcome.NO_INPUT: "no key was pressed",
    Outcome.HUNG_UP: "the customer hung up",
    Outcome.OPTED_OUT: "the customer opted out",
    Outcome.BOUNCED: "the email bounced",
    Outcome.SILENCE: "the email was not answered",
}


def _at_decent_hour(facts: SurveyFacts, earliest: datetime, spread: timedelta, reason: str) -> Step | _UsedUp:
    """A dial from `earliest` on, at a decent hour, within the number's cap, spread over `spread` of allowed time."""
    free_at = _number_free_at(facts)
    if free_at >= facts.last_moment:
        return _UsedUp(f"the number has been called {facts.dials_per_number} times in 30 days")
    earliest = max(earliest, facts.now, free_at)
    due_at = spreading.moment(lambda at: _span(facts, at), earliest, spread, _mark(facts))
    return _UsedUp("no calling hours left before the deadline") if due_at is None else Dial(due_at, reason)


def _span(facts: SurveyFacts, at: datetime) -> hours.Span | None:
    assert facts.phone is not None
    return hours.next_span(facts.phone, at, facts.last_moment, facts.window, facts.site_zone)


def _number_free_at(facts: SurveyFacts) -> datetime:
    """When the number may be dialled again without going over its cap of dials in 30 days."""
    if len(facts.number_dials) < facts.dials_per_number:
        return facts.now
    return facts.number_dials[-facts.dials_per_number] + NUMBER_REST


def _mail(facts: SurveyFacts, last: bool) -> Step | _UsedUp:
    mails = facts.on(Channel.WEB)
    if mails and mails[-1].state in LIVE_STATES:
        if last:
            until = " until the deadline" if mails[-1].started_at else ""
            return _reminder(facts) or Nothing(f"{_how_it_stands(facts, mails[-1])}{until}")
        return _after_silence(facts, mails[-1])
    if facts.why_withheld(Channel.WEB) is not None:
        return _UsedUp(facts.why_withheld(Channel.WEB) or "")
    if not mails:
        first = not facts.on(Channel.IVR)
        pause = FIRST_AFTER_DRAW + spreading.share(SPREAD_MAILS, _mark(facts)) if first else timedelta(0)
        return Mail(min(facts.now + pause, facts.last_moment), "first invitation")
    if mails[-1].outcome is Outcome.FAILED and len(mails) < MOST_FAILURES_BY_MAIL:
        pause = FAILED_AGAIN_AFTER * 2 ** (_failures_in_a_row(mails) - 1)
        again_at = max((mails[-1].ended_at or facts.now) + pause, facts.now)
        if again_at < facts.last_moment:
            return Mail(again_at, "the email could not be sent: again after a pause")
    outcome = mails[-1].outcome
    if outcome is Outcome.WRONG_PERSON:
        return _UsedUp("the email address is somebody else's")
    return _UsedUp(USED_UP_BY.get(outcome, "the invitation could not be sent") if outcome else "one invitation")


def _how_it_stands(facts: SurveyFacts, mail: Tried) -> str:
    """With a living email: its link is out, or it has not left yet."""
    if mail.started_at is not None:
        return "the link is out"
    earlier = any(one.outcome is Outcome.SILENCE for one in facts.on(Channel.WEB))
    return f"{'a reminder' if earlier else 'an invitation'} is {_planned_for(facts, mail)}"


def _planned_for(facts: SurveyFacts, attempt: Tried) -> str:
    return f"planned for {iso(attempt.due_at or facts.now)}"


def _after_silence(facts: SurveyFacts, mail: Tried) -> Step | _UsedUp:
    """The link stays open; when it has not been answered for a while, the next channel is tried beside it."""
    if mail.started_at is None:
        return Wait(max(mail.due_at or facts.now, facts.now) + WEB_SILENCE, _how_it_stands(facts, mail))
    silent_at = (mail.answered_at or mail.started_at) + WEB_SILENCE
    if facts.now < silent_at:
        return Wait(silent_at, "the link is out")
    answered = "no further" if mail.answered_at else "not"
    return _UsedUp(f"the link was {answered} answered for 20 hours")


def _reminder(facts: SurveyFacts) -> Step | None:
    """One more email about a link that is out and was not answered at all, if the campaign has it and time is left."""
    sent = [mail for mail in facts.on(Channel.WEB) if mail.outcome is not Outcome.FAILED]
    # A link that was reminded of already has ended as silence.
    if not sent or facts.reminders < 1 or sent[0].state not in LIVE_STATES:
        return None
    if facts.why_withheld(Channel.WEB) is not None or any(one.answered_at for one in facts.tried):
        return None
    link = sent[0]
    silent_at = (link.started_at or max(link.due_at or facts.now, facts.now)) + WEB_SILENCE
    if max(silent_at, facts.now) > facts.deadline - REMINDER_BEFORE_DEADLINE:
        return None
    if facts.now < silent_at or link.state is not AttemptState.UNDERWAY:
        waits_for = f"{_how_it_stands(facts, link)}, and may be reminded of"
        return Wait(max(silent_at, facts.now + FAILED_AGAIN_AFTER), waits_for)
    reason = "reminder: the link was not answered for 20 hours"
    return Mail(facts.now + spreading.share(SPREAD_MAILS, _mark(facts)), reason, link.attempt_id)


def _failures_in_a_row(tried: Sequence[Tried]) -> int:
    count = 0
    for one in reversed(tried):
        if one.outcome is not Outcome.FAILED:
            break
        count += 1
    return count


def _next_part(facts: SurveyFacts, ended_at: datetime) -> datetime:
    """The start of the part of the customer's day that follows the one of `ended_at`."""
    assert facts.phone is not None
    zone = ZoneInfo(hours.local_zone(facts.phone, facts.site_zone))
    day = ended_at.astimezone(zone).date()
    starts = [datetime.combine(day + timedelta(days=n), part, zone) for n in (0, 1) for part in PARTS_OF_DAY]
    return min(start for start in starts if start > ended_at).astimezone(UTC)


def _mark(facts: SurveyFacts) -> int:
    return spreading.mark(facts.survey_id, len(facts.tried))
