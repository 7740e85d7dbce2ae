"""Calls that must no longer ring: what Twilio has not dialled yet when the calling hours end is cancelled there.

Twilio queues what is above the account's calls per second, for up to a day, and says nothing of a call that is
cancelled in its queue (source: Twilio's documentation of the Call resource).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from ivr.client import twilio_client
from ivr.reconciling import AT_ONCE, FAULTS, told_of_fault
from survey import attempts, clock
from survey.db import db, released
from survey.models import Attempt, AttemptEvent, AttemptState, Channel, Outcome

# The channel is asked to reconcile every half minute: a call is taken back before its hours end, never after.
BEFORE_HOURS_END = timedelta(seconds=45)
TAKEN_BACK = "still queued at Twilio when the calling hours ended: cancelled there"
# The note that a call was seen to be out of the queue by then: it need not be looked at again.
OUT = "out of the queue when the hours ended"


def take_back() -> int:
    """Cancels what is still queued of the calls whose hours end; returns how many. Commits each."""
    taken = 0
    for attempt_id, sid in _ending():
        try:
            with released():
                cancelled = _cancelled_in_queue(sid)
        except FAULTS as fault:
            if not told_of_fault(fault, "taking calls back"):
                break
            continue
        if cancelled:
            taken += attempts.end(attempt_id, Outcome.FAILED, TAKEN_BACK)
        else:
            attempts.note(attempt_id, sid, OUT)
        db.session.commit()
    return taken


def _ending() -> list[tuple[int, str]]:
    seen = select(AttemptEvent.id).where(AttemptEvent.attempt_id == Attempt.id, AttemptEvent.kind == OUT)
    rows = db.session.execute(
        select(Attempt.id, Attempt.provider_id)
        .where(
            Attempt.channel == Channel.IVR,
            Attempt.state == AttemptState.UNDERWAY,
            Attempt.hours_end_at <= clock.now() + BEFORE_HOURS_END,
            ~seen.exists(),
        )
        # The latest to be placed are the likeliest to be queued still.
        .order_by(Attempt.started_at.desc(), Attempt.id.desc())
        .limit(AT_ONCE)
    )
    return [(row.id, row.provider_id) for row in rows]


def _cancelled_in_queue(sid: str) -> bool:
    """Cancels the call if nobody's phone rings yet; whether it did. One that rings or is talked on goes on."""
    call = twilio_client().calls(sid)
    return str(call.fetch().status) == "queued" and str(call.update(status="canceled").status) == "canceled"
