"""Placing calls: the intent is committed before we are called; the network hears of each attempt once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from requests.exceptions import ConnectionError as WireError
from requests.exceptions import ConnectTimeout, RequestException
from sqlalchemy import func, select
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from urllib3.exceptions import MaxRetryError, NewConnectionError

from ivr import machines, outcomes, reconciling, taking_back, urls
from ivr.callers import caller_for
from ivr.client import twilio_client
from ivr.outcomes import Ruling
from ivr.reconciling import POSTED
from survey import attempts, breakers, clock, lifecycle, logs, settings
from survey.db import db, released
from survey.errors import SettingsError
from survey.models import (
    Attempt,
    AttemptEvent,
    AttemptState,
    Campaign,
    Channel,
    Customer,
    MachineDetection,
    Outcome,
    Survey,
)

log = logs.logger("ivr")

TIME_LIMIT = int(attempts.LONGEST_CALL.total_seconds())
# The end alone: that somebody picked up is told by the first document they are asked for.
EVENTS = ["completed"]
FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(seconds=30), timedelta(minutes=15)
UNREACHABLE = Ruling(None, "goes back: no connection to the phone network was made", everywhere=True)
NOT_SET = Ruling(None, "goes back: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM", everywhere=True)
IN_DOUBT = "the phone network gave no clear answer"


@dataclass(frozen=True)
class Dial:
    """What a call is placed from. `number` counts this attempt's goings to the network, this one included."""

    attempt_id: int
    survey_id: int
    to: str
    caller: str
    ring_seconds: int
    number: int
    claimed_at: datetime | None
    machine_detection: MachineDetection
    message: bool


class IvrChannel:
    """The phone, as the scheduler is handed it."""

    def deliver(self, attempt_id: int) -> None:
        """Places the call of an attempt whose intent (`dialling`) is committed. Commits; never posts one intent twice.

        placed            underway, with the call's SID
        429, 10004 ...    back to planned: certainly never processed
        refused           ended, as outcomes.BY_CODE says
        timeout, 5xx ...  left dialling: the call may have been placed, so only `reconcile` may say what became of it
        """
        dial = _begun(attempt_id)
        if dial is None:
            db.session.commit()
            return
        with released():
            result = _placed(dial)
        _tell_breaker(dial, result)
        if result is None:
            log.warning("call in doubt: left to be reconciled", attempt=attempt_id)
        elif isinstance(result, Ruling):
            _refused(dial, result)
        elif not attempts.underway(attempt_id, result):
            log.debug("call already bound by its webhook", attempt=attempt_id)
        db.session.commit()

    def reconcile(self) -> int:
        """Takes back what must no longer ring, adopts or closes the calls in doubt, and catches up with calls whose
        news got lost. Commits."""
        return taking_back.take_back() + reconciling.settle_doubtful() + reconciling.catch_up()


def _begun(attempt_id: int) -> Dial | None:
    """What is needed to dial; None when there is nothing to post: not dialling, posted before, or no number any more.

    The note "posted" carries the intent's own time and is unique: however often we are called for one intent (a job may
    run again after its worker was killed), the network hears of it once. After a put-back the intent is another one.
    """
    row = db.session.execute(
        select(
            Attempt.survey_id,
            Attempt.started_at,
            Attempt.claimed_at,
            Customer.phone,
            Campaign.caller_id,
            Campaign.caller_ids,
            Campaign.ring_seconds,
            Campaign.machine_detection,
        )
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Customer, Customer.id == Survey.customer_id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(Attempt.id == attempt_id, Attempt.channel == Channel.IVR, Attempt.state == AttemptState.DIALLING)
    ).one_or_none()
    caller = "" if row is None else caller_for(row.phone, row.caller_ids, row.caller_id)
    if row is None or not attempts.note(attempt_id, "", POSTED, _microseconds(row.started_at), caller=caller):
        log.warning("not posted: the attempt is not dialling, or was posted before", attempt=attempt_id)
        return None
    if row.phone is None:
        attempts.end(attempt_id, Outcome.DEAD, "no phone number")
        return None
    number = db.session.scalar(
        select(func.count()).where(AttemptEvent.attempt_id == attempt_id, AttemptEvent.kind == POSTED)
    )
    return Dial(
        attempt_id,
        row.survey_id,
        row.phone,
        caller,
        row.ring_seconds,
        number or 1,
        row.claimed_at,
        row.machine_detection,
        row.machine_detection is not MachineDetection.OFF and machines.may_leave_message(attempt_id),
    )


def _placed(dial: Dial) -> str | Ruling | None:
    """Posts the call: its SID; what a refusal comes to; None when it may or may not have been placed."""
    base = settings.current().public_base_url
    try:
        if not dial.caller:
            return NOT_SET
        call = twilio_client().calls.create(
            to=dial.to,
            from_=dial.caller,
            url=urls.webhook(base, dial.attempt_id, "voice"),
            fallback_url=urls.webhook(base, dial.attempt_id, "fallback"),
            status_callback=urls.webhook(base, dial.attempt_id, "status"),
            status_callback_event=EVENTS,
            timeout=dial.ring_seconds,
            time_limit=TIME_LIMIT,
            **machines.asked_for(dial.machine_detection, dial.message, base, dial.attempt_id),
        )
    except SettingsError:
        return NOT_SET
    except (TwilioRestException, TwilioServiceException) as refusal:
        log.warning("call refused", attempt=dial.attempt_id, status=refusal.status, code=refusal.code)
        ruling = outcomes.of_refusal(refusal.status, refusal.code)
        return None if ruling is None else _with_code(ruling, refusal.code)
    except RequestException as fault:
        return UNREACHABLE if _never_sent(fault) else None
    except (TwilioException, ValueError, KeyError):
        return None  # A success we cannot read: placed, under a SID we do not know.
    return str(call.sid) if call.sid else None


def _tell_breaker(dial: Dial, result: str | Ruling | None) -> None:
    """Whether the phone network works: it does when it takes a call, or refuses one for that call's own sake."""
    if result is None:
        breakers.failed(Channel.IVR, IN_DOUBT, dial.claimed_at)
    elif isinstance(result, Ruling) and result.everywhere:
        breakers.failed(Channel.IVR, result.done.removeprefix("goes back: "), dial.claimed_at)
    else:
        breakers.worked(Channel.IVR)


def _with_code(ruling: Ruling, code: int | None) -> Ruling:
    return replace(ruling, done=f"Twilio {code}: {ruling.done}")


def _never_sent(fault: RequestException) -> bool:
    """Whether certainly not a byte of the request went out: no connection came about.

    Refused, no route, no such host, or no answer to the connecting itself. After anything later (a reset, a read
    timeout, a TLS fault, a dropped connection) the other side may have read it: that stays in doubt.
    """
    if isinstance(fault, ConnectTimeout):
        return True
    cause = fault.args[0] if isinstance(fault, WireError) and fault.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _refused(dial: Dial, ruling: Ruling) -> None:
    """Ends the attempt; or puts it back, for what was certainly not processed, unless its survey has closed."""
    if not lifecycle.locked(dial.survey_id).is_open:
        attempts.end(dial.attempt_id, Outcome.FAILED, "the survey closed before the call was placed")
        return
    if ruling.outcome is not None:
        attempts.end(dial.attempt_id, ruling.outcome, ruling.done)
        return
    attempts.put_back(dial.attempt_id, clock.now() + backoff(dial.number))
    log.warning("attempt put back", attempt=dial.attempt_id, why=ruling.done)


def backoff(number: int) -> timedelta:
    """How long to wait after the `number`-th time (from 1): doubles from 30 s up to 15 min."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << min(number - 1, 10)))


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
