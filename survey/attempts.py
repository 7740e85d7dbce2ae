"""Moving an attempt from state to state: each step is one conditional update, so it happens once whoever asks twice.

A step returns False when the attempt was not in the state it starts from; callers then leave it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, select, update
from sqlalchemy.dialects.postgresql import insert

from survey import clock
from survey.db import db
from survey.models import Attempt, AttemptEvent, AttemptState, Channel, Outcome, Survey

# No survey takes so long: a minute by itself, the slowest way through all its help a few.
LONGEST_CALL = timedelta(minutes=10)
# Somebody picked up, so the call is paid for; how long it lasted comes with the network's last word on it.
SPOKEN = (
    Outcome.COMPLETED,
    Outcome.HUNG_UP,
    Outcome.NO_INPUT,
    Outcome.LATER,
    Outcome.OPTED_OUT,
    Outcome.WRONG_PERSON,
    Outcome.VOICEMAIL,
    Outcome.UNKNOWN,
)
SPOKEN_UNBILLED = and_(
    Attempt.channel == Channel.IVR,
    Attempt.state == AttemptState.ENDED,
    Attempt.outcome.in_(SPOKEN),
    Attempt.provider_id.is_not(None),
    Attempt.billed_seconds.is_(None),
)
RUNNING = (AttemptState.DIALLING, AttemptState.UNDERWAY)
WAITING = (AttemptState.PLANNED, AttemptState.QUEUED)


def begin(attempt_id: int, hours_end_at: datetime | None = None) -> bool:
    """queued -> dialling: the intent. Commit before the network hears of it; the attempt is never begun again.

    `hours_end_at`: when a call must no longer ring.
    """
    return _move(
        attempt_id,
        (AttemptState.QUEUED,),
        state=AttemptState.DIALLING,
        started_at=clock.now(),
        hours_end_at=hours_end_at,
    )


def underway(attempt_id: int, provider_id: str) -> bool:
    """dialling -> underway: the channel has it, as `provider_id`. Also binds a call SID that a webhook brings first."""
    return _move(attempt_id, (AttemptState.DIALLING,), state=AttemptState.UNDERWAY, provider_id=provider_id)


def end(attempt_id: int, outcome: Outcome, detail: str | None = None) -> bool:
    """dialling or underway -> ended, and tells the scheduler to think again."""
    return _end(attempt_id, RUNNING, outcome, detail)


def give_up(attempt_id: int, detail: str) -> bool:
    """dialling -> ended, unknown: not for an attempt whose call has been bound to it meanwhile."""
    return _end(attempt_id, (AttemptState.DIALLING,), Outcome.UNKNOWN, detail)


def correct(attempt_id: int, wrong: Iterable[Outcome], outcome: Outcome, detail: str | None = None) -> bool:
    """ended -> ended with a truer outcome, when the present one is among `wrong`: news that outranks what we knew."""
    _lock_survey_of(attempt_id)
    corrected = db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.ENDED, Attempt.outcome.in_(list(wrong)))
        .values(outcome=outcome, detail=detail)
        .returning(Attempt.id)
    )
    if corrected.first() is None:
        return False
    _think_again(_survey_of(attempt_id))
    return True


def put_back(attempt_id: int, due_at: datetime) -> bool:
    """dialling -> planned, due later: only for what the channel certainly never processed (Twilio's 429)."""
    return _move(
        attempt_id,
        (AttemptState.DIALLING,),
        state=AttemptState.PLANNED,
        started_at=None,
        hours_end_at=None,
        due_at=due_at,
    )


def billed(attempt_id: int, seconds: int) -> None:
    """Keeps how long the attempt's call was connected, in seconds, as the network bills it. Flushes."""
    db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(billed_seconds=seconds)
        .execution_options(synchronize_session=False)
    )


def cancel(attempt_id: int, why: str) -> bool:
    """planned or queued -> cancelled."""
    return _move(attempt_id, WAITING, state=AttemptState.CANCELLED, detail=why, ended_at=clock.now())


def cancel_waiting(survey_ids: Iterable[int], why: str, channels: Iterable[Channel] = tuple(Channel)) -> int:
    """Cancels what has not begun of these surveys on these channels, to be planned anew; returns how many."""
    ids = list(survey_ids)
    db.session.execute(select(Survey.id).where(Survey.id.in_(ids)).order_by(Survey.id).with_for_update(of=Survey))
    result = db.session.scalars(
        update(Attempt)
        .where(Attempt.survey_id.in_(ids), Attempt.channel.in_(list(channels)), Attempt.state.in_(WAITING))
        .values(state=AttemptState.CANCELLED, detail=why, ended_at=clock.now())
        .returning(Attempt.survey_id)
    )
    cancelled = list(result)
    _think_again(cancelled)
    return len(cancelled)


def note(attempt_id: int, provider_id: str, kind: str, sequence: int = 0, **data: Any) -> bool:
    """Keeps one thing an outside part told us; False when it was told before. `data` holds no personal data."""
    row = insert(AttemptEvent).values(
        attempt_id=attempt_id,
        provider_id=provider_id,
        kind=kind,
        sequence=sequence,
        data=data,
        received_at=clock.now(),
    )
    return db.session.execute(row.on_conflict_do_nothing().returning(AttemptEvent.id)).first() is not None


def _lock_survey_of(attempt_id: int) -> None:
    """The survey first, then its attempts: the order in which closing takes them, so the two never wait in a ring."""
    db.session.execute(select(Survey.id).where(Survey.id.in_(_survey_of(attempt_id))).with_for_update())


def _survey_of(attempt_id: int) -> Select[int]:
    return select(Attempt.survey_id).where(Attempt.id == attempt_id)


def _end(attempt_id: int, before: tuple[AttemptState, ...], outcome: Outcome, detail: str | None) -> bool:
    _lock_survey_of(attempt_id)
    if not _move(attempt_id, before, state=AttemptState.ENDED, outcome=outcome, detail=detail, ended_at=clock.now()):
        return False
    _think_again(_survey_of(attempt_id))
    return True


def _think_again(survey_ids: Select[int] | list[int]) -> None:
    db.session.execute(
        update(Survey)
        .where(Survey.id.in_(survey_ids), Survey.closed_at.is_(None))
        .values(plan_at=clock.now())
        .execution_options(synchronize_session=False)
    )


def _move(attempt_id: int, before: tuple[AttemptState, ...], **values: Any) -> bool:
    moved = db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state.in_(before))
        .values(**values)
        .returning(Attempt.id)
    )
    return moved.first() is not None
