"""Calls in doubt: finding out at Twilio what became of a POST whose answer, or of a call whose callbacks, got lost.

dialling, a minute old:   a call at Twilio fits -> adopted;  none after 5 minutes -> ended, unknown
underway, 5 minutes mute: its status at Twilio, as a callback would have told it
talked on, not billed:    how long it was, as a callback would have told it
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from requests.exceptions import RequestException
from sqlalchemy import ScalarSelect, and_, or_, select
from sqlalchemy.exc import IntegrityError
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest.api.v2010.account.call import CallInstance

from ivr import lines, outcomes, records
from ivr.callers import caller_for
from ivr.client import twilio_client
from survey import attempts, clock, logs
from survey.db import db, released
from survey.errors import SettingsError
from survey.models import Attempt, AttemptEvent, AttemptState, Campaign, Channel, Customer, Outcome, Survey

log = logs.logger("ivr")

IN_DOUBT_AFTER = timedelta(seconds=60)
GIVEN_UP_AFTER = timedelta(minutes=5)
MUTE_AFTER = timedelta(minutes=5)
# Twilio keeps calls for months; what it does not know after a day it will not know later.
ASKED_AFTER_FOR = timedelta(days=1)
# Twilio stamps to the second and by its own clock; an older call to the same number belongs to another attempt.
CLOCK_SKEW = timedelta(seconds=5)
AT_ONCE = 100
POSTED, LOOKED_UP = "posted", "looked up"
FAULTS = (TwilioException, RequestException, SettingsError, ValueError)


@dataclass(frozen=True)
class Doubtful:
    """An attempt left dialling, and what its call would look like."""

    attempt_id: int
    started_at: datetime
    to: str
    caller: str


@dataclass(frozen=True)
class Found:
    """A call as Twilio shows it."""

    sid: str
    status: str
    created_at: datetime


def settle_doubtful() -> int:
    """Adopts or closes what was left dialling; returns how many. Stops, and says so, when Twilio cannot be asked."""
    settled = 0
    for doubtful in _doubtful():
        try:
            with released():
                found = _calls_to(doubtful)
        except FAULTS as fault:
            if not told_of_fault(fault, "reconciling"):
                break
            continue
        settled += _settle(doubtful, found)
        db.session.commit()
    return settled


def catch_up() -> int:
    """Asks after calls that have been mute for too long; returns how many turned out to be over."""
    over = 0
    for attempt_id, sid in _mute():
        try:
            with released():
                call = looked_up(sid)
        except FAULTS as fault:
            if not told_of_fault(fault, "catching up"):
                break
            continue
        status = "" if call is None else str(call.status)
        attempts.note(attempt_id, sid, LOOKED_UP, int(clock.now().timestamp()), status=status)
        if call is not None:
            records.billed(attempt_id, str(call.duration or ""))
        over += _apply(attempt_id, status)
        db.session.commit()
    return over


def told_of_fault(fault: Exception, what: str) -> bool:
    """Logs that Twilio could not be asked; whether that is about this one call, so that the next may be asked after."""
    status = fault.status if isinstance(fault, TwilioRestException) else 0
    one_only = 400 <= status < 500 and status not in (401, 403, 408, 429)
    log.warning(
        f"{what}: the phone network cannot be asked", fault=type(fault).__name__, status=status, goes_on=one_only
    )
    return one_only


def _doubtful() -> list[Doubtful]:
    rows = db.session.execute(
        select(
            Attempt.id,
            Attempt.started_at,
            Customer.phone,
            Campaign.caller_id,
            Campaign.caller_ids,
            _placed_from().label("placed_from"),
        )
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Customer, Customer.id == Survey.customer_id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(
            Attempt.channel == Channel.IVR,
            Attempt.state == AttemptState.DIALLING,
            Attempt.started_at <= clock.now() - IN_DOUBT_AFTER,
        )
        .order_by(Attempt.started_at, Attempt.id)
        .limit(AT_ONCE)
    )
    return [
        Doubtful(
            attempt_id=row.id,
            started_at=row.started_at,
            to=row.phone or "",
            caller=row.placed_from or caller_for(row.phone, row.caller_ids, row.caller_id),
        )
        for row in rows
    ]


def _placed_from() -> ScalarSelect[str]:
    """The number that the attempt's last call was placed from: the campaign may have another one by now."""
    return (
        select(AttemptEvent.data["caller"].astext)
        .where(AttemptEvent.attempt_id == Attempt.id, AttemptEvent.kind == POSTED)
        .order_by(AttemptEvent.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )


def _mute() -> list[tuple[int, str]]:
    """Calls under way, and calls that somebody spoke on and nobody knows how long, of which no news has come."""
    now = clock.now()
    since = now - MUTE_AFTER
    news = select(AttemptEvent.id).where(AttemptEvent.attempt_id == Attempt.id, AttemptEvent.received_at > since)
    rows = db.session.execute(
        select(Attempt.id, Attempt.provider_id)
        .where(
            Attempt.channel == Channel.IVR,
            or_(
                and_(Attempt.state == AttemptState.UNDERWAY, Attempt.started_at <= since),
                and_(attempts.SPOKEN_UNBILLED, Attempt.ended_at.between(now - ASKED_AFTER_FOR, since)),
            ),
            ~news.exists(),
        )
        .order_by(Attempt.started_at, Attempt.id)
        .limit(AT_ONCE)
    )
    return [(row.id, row.provider_id) for row in rows]


def _calls_to(doubtful: Doubtful) -> list[Found]:
    """Every call at Twilio that could be the attempt's.

    The start time is empty until a call is dialled, and no start filter finds it before: the queued are asked for too.
    A filter left empty would list everybody's calls: without a number (erased meanwhile) nothing can be told.
    """
    if not (doubtful.to and doubtful.caller):
        return []
    calls = twilio_client().calls
    day = datetime.combine(doubtful.started_at.astimezone(UTC), time(0), UTC)
    started = calls.list(to=doubtful.to, from_=doubtful.caller, start_time_after=day, limit=AT_ONCE)
    queued = calls.list(to=doubtful.to, from_=doubtful.caller, status="queued", limit=AT_ONCE)
    dated = [call for call in [*queued, *started] if call.date_created is not None]
    return list({found.sid: found for found in map(_found, dated)}.values())


def _found(call: CallInstance) -> Found:
    created = call.date_created
    return Found(str(call.sid), str(call.status), created if created.tzinfo else created.replace(tzinfo=UTC))


def _settle(doubtful: Doubtful, found: Iterable[Found]) -> bool:
    """Adopts the call that fits; without one, closes an attempt that has been in doubt for long enough."""
    call = _fitting(doubtful, found)
    if call is not None:
        return _adopt(doubtful.attempt_id, call)
    if clock.now() - doubtful.started_at < GIVEN_UP_AFTER:
        return False
    # Twilio's list may lag, so this is no proof that nobody was called: the attempt ends as unknown, and is never
    # dialled again. Whether there is a new one, the plan decides, within its caps. A webhook that turns up after all
    # still binds the call to this attempt (lines.py) and corrects its outcome (records.py).
    return attempts.give_up(doubtful.attempt_id, "no call found at Twilio five minutes after the intent")


def _fitting(doubtful: Doubtful, found: Iterable[Found]) -> Found | None:
    """The earliest call made after the intent that no attempt has.

    Two attempts in doubt for one number at one time could be mistaken for each other; each call's first webhook carries
    the attempt's id, comes before this sweep in all but lost cases, and wins.
    """
    after = [call for call in found if call.created_at >= doubtful.started_at - CLOCK_SKEW]
    taken = set(db.session.scalars(select(Attempt.provider_id).where(Attempt.provider_id.in_([c.sid for c in after]))))
    return min((call for call in after if call.sid not in taken), key=lambda c: (c.created_at, c.sid), default=None)


def _adopt(attempt_id: int, call: Found) -> bool:
    try:
        adopted = attempts.underway(attempt_id, call.sid)
    except IntegrityError:  # Its webhook has just bound it elsewhere.
        db.session.rollback()
        return False
    if adopted:
        log.info("call adopted", attempt=attempt_id, call_sid=call.sid, status=call.status)
        _apply(attempt_id, call.status)
    return adopted


def looked_up(sid: str) -> CallInstance | None:
    """The call as Twilio shows it; None when Twilio knows no such call."""
    try:
        return twilio_client().calls(sid).fetch()
    except TwilioRestException as refusal:
        if refusal.status == 404:
            return None
        raise


def _apply(attempt_id: int, status: str) -> bool:
    """Does what a status callback would have done; True when the call is over."""
    line = lines.find(attempt_id)
    outcome = Outcome.UNKNOWN if not status else outcomes.of_status(status)
    if line is None or outcome is None:
        return False
    return records.over(attempt_id, outcome, line.disposition, "learned by asking Twilio")
