"""The plan for one survey: what to try next, over which channel and when. Pure: facts in, one step out.

The channels are tried in the survey's own order. Each is used up by its outcomes, its cap or the lack of a legal hour
before the deadline; then the next one's turn comes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler import hours
from survey.models import LIVE_STATES, AttemptState, Channel, Outcome

FIRST_AFTER_DRAW = timedelta(minutes=5)
LAST_BEFORE_DEADLINE = timedelta(minutes=10)
BUSY_AGAIN_AFTER = timedelta(minutes=20)
FAILED_AGAIN_AFTER = timedelta(minutes=10)
MOST_FAILURES_BY_MAIL = 5
WEB_SILENCE = timedelta(hours=20)
SPREAD_FIRST_DIALS = timedelta(hours=4)
SPREAD_LATER_DIALS = timedelta(hours=2)
SPREAD_MAILS = timedelta(minutes=15)
NO_SPREAD = timedelta(0)
# Nothing is planned into the last minutes of the hours: what waits its turn there would come to it too late.
CLOSING_TIME = timedelta(minutes=15)
NUMBER_REST = timedelta(days=30)
# Noon and five o'clock, the customer's time, part the day into morning, afternoon and evening.
PARTS_OF_DAY = (time(0), time(12), time(17))


@dataclass(frozen=True)
class Tried:
    """One attempt of the survey, in the order of `ordinal`."""

    channel: Channel
    state: AttemptState
    outcome: Outcome | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


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
    due_at: datetime
    reason: str


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
    return Nothing("; ".join(reasons) or "no channel to ask on")


def _because(step: Step, reasons: Sequence[str]) -> Step:
    """A first try on a later channel says why the earlier ones came to an end."""
    if isinstance(step, (Dial, Mail)) and reasons and step.reason.startswith("first"):
        return type(step)(step.due_at, f"{step.reason}: {'; '.join(reasons)}")
    return step


def _dial(facts: SurveyFacts) -> Step | _UsedUp:
    dials = facts.on(Channel.IVR)
    if dials and dials[-1].state in LIVE_STATES:
        return Nothing("a call is planned or under way")
    if facts.phone is None or facts.why_withheld(Channel.IVR) is not None:
        return _UsedUp(facts.why_withheld(Channel.IVR) or "no phone number")
    if len(dials) >= facts.dials_per_survey:
        return _UsedUp(f"{len(dials)} calls made")
    if not dials:
        begun_before = bool(facts.on(Channel.WEB))
        earliest = facts.now if begun_before else facts.now + FIRST_AFTER_DRAW
        return _at_decent_hour(facts, earliest, SPREAD_FIRST_DIALS, "first call")
    return _dial_again(facts, dials)


def _dial_again(facts: SurveyFacts, dials: Sequence[Tried]) -> Step | _UsedUp:
    last = dials[-1]
    ended_at = last.ended_at or facts.now
    if last.outcome is Outcome.BUSY:
        return _at_decent_hour(facts, ended_at + BUSY_AGAIN_AFTER, NO_SPREAD, "the line was busy: again soon")
    if last.outcome is Outcome.FAILED:
        again_at = ended_at + FAILED_AGAIN_AFTER * 2 ** (_failures_in_a_row(dials) - 1)
        return _at_decent_hour(facts, again_at, NO_SPREAD, "the call could not be placed: again after a pause")
    why = AGAIN_IN_ANOTHER_PART.get(last.outcome) if last.outcome else None
    if why is None:
        return _UsedUp(USED_UP_BY.get(last.outcome, "the last call ended it") if last.outcome else "the last call")
    return _at_decent_hour(facts, _next_part(facts, ended_at), SPREAD_LATER_DIALS, f"{why}: another part of the day")


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
    """A dial from `earliest` on, at a decent hour, within the number's cap, spread over at most `spread`."""
    assert facts.phone is not None
    earliest = max(earliest, facts.now, _number_free_at(facts))
    span = _roomy_span(facts, facts.phone, earliest)
    if span is None:
        return _UsedUp("no calling hours left before the deadline")
    start, end = span
    return Dial(start + _share_of(max(min(end - start - CLOSING_TIME, spread), NO_SPREAD), facts), reason)


def _roomy_span(facts: SurveyFacts, phone: str, earliest: datetime) -> hours.Span | None:
    """The first allowed stretch that leaves a call time to come to its turn; failing that, the first there is."""
    first = hours.next_span(phone, earliest, facts.last_moment, facts.window, facts.site_zone)
    if first is None or first[1] - first[0] >= CLOSING_TIME:
        return first
    return hours.next_span(phone, first[1], facts.last_moment, facts.window, facts.site_zone) or first


def _number_free_at(facts: SurveyFacts) -> datetime:
    """When the number may be dialled again without going over its cap of dials in 30 days."""
    if len(facts.number_dials) < facts.dials_per_number:
        return facts.now
    return facts.number_dials[-facts.dials_per_number] + NUMBER_REST


def _mail(facts: SurveyFacts, last: bool) -> Step | _UsedUp:
    mails = facts.on(Channel.WEB)
    if mails and mails[-1].state in LIVE_STATES:
        return Nothing("the link is out until the deadline") if last else _after_silence(facts, mails[-1])
    if facts.why_withheld(Channel.WEB) is not None:
        return _UsedUp(facts.why_withheld(Channel.WEB) or "")
    if not mails:
        first = not facts.on(Channel.IVR)
        pause = FIRST_AFTER_DRAW + _share_of(SPREAD_MAILS, facts) if first else timedelta(0)
        return Mail(min(facts.now + pause, facts.last_moment), "first invitation")
    if mails[-1].outcome is Outcome.FAILED and len(mails) < MOST_FAILURES_BY_MAIL:
        pause = FAILED_AGAIN_AFTER * 2 ** (_failures_in_a_row(mails) - 1)
        again_at = max((mails[-1].ended_at or facts.now) + pause, facts.now)
        if again_at < facts.last_moment:
            return Mail(again_at, "the email could not be sent: again after a pause")
    outcome = mails[-1].outcome
    return _UsedUp(USED_UP_BY.get(outcome, "the invitation could not be sent") if outcome else "one invitation")


def _after_silence(facts: SurveyFacts, mail: Tried) -> Step | _UsedUp:
    """The link stays open; when it has not been answered for a while, the next channel is tried beside it."""
    if mail.started_at is None:
        return Wait(max(mail.due_at or facts.now, facts.now) + WEB_SILENCE, "the invitation is planned")
    if facts.now < mail.started_at + WEB_SILENCE:
        return Wait(mail.started_at + WEB_SILENCE, "the link is out")
    return _UsedUp("the link was not answered for 20 hours")


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


def _share_of(length: timedelta, facts: SurveyFacts) -> timedelta:
    """A share of `length`, different from survey to survey and try to try, but always the same one: no bursts."""
    # Multiplying by the golden ratio's 32-bit fraction spreads consecutive ids evenly (Knuth, TAOCP 6.4).
    mixed = (facts.survey_id * 2_654_435_769 + len(facts.tried) * 1_640_531_527) % 2**32
    return timedelta(seconds=int(length.total_seconds()) * mixed // 2**32)
