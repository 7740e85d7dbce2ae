"""Somebody calls us: a customer whose survey is open may answer it, anybody may ask for no more calls.

A customer is known by the number they call from. It can be forged, so a caller is taken for a customer only where we
dialled that number for the survey, from the number now called, and not where Twilio finds the number forged
(`StirVerstat`, STIR/SHAKEN). Attempts begun so are marked `inbound`, for whoever looks for unusual shares of them.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from ivr.callers import caller_for
from ivr.reconciling import POSTED
from survey import attempts, clock, lifecycle, optouts, phones
from survey.db import db
from survey.errors import InputError
from survey.models import (
    Attempt,
    AttemptEvent,
    AttemptState,
    Campaign,
    Channel,
    Customer,
    OptOutSource,
    Organisation,
    Survey,
)

# Twilio's words for a number whose signature does not hold.
FORGED = "TN-Validation-Failed"
CALLED_US = "the customer called us"


def number_of(caller: str) -> str | None:
    """The caller's number in E.164; None where it is hidden, or none."""
    try:
        return phones.canonical(caller, "US") if caller.startswith("+") else None
    except InputError:
        return None


def attempt_for(call_sid: str, caller: str | None, ours: str, verdict: str) -> int | None:
    """The attempt over which this caller answers a survey, begun now unless it is begun; None: nothing to answer.

    `ours` is the number called, `verdict` Twilio's on the caller's (StirVerstat). Flushes.
    """
    begun = db.session.scalar(select(Attempt.id).where(Attempt.provider_id == call_sid))
    if begun is not None:
        return begun
    if caller is None or verdict.startswith(FORGED):
        return None
    survey_id = _open_survey(caller, ours)
    if survey_id is None or not lifecycle.locked(survey_id).is_open:
        return None
    attempts.cancel_waiting([survey_id], CALLED_US, [Channel.IVR])
    return _begin(survey_id, call_sid)


def opt_out(caller: str, ours: str) -> int:
    """Leaves the number alone for every organisation that calls from `ours`; returns for how many. Flushes."""
    index = optouts.index_of("phone", caller)
    organisation_ids = _organisations_behind(ours)
    known = select(Survey.id).join(Customer, Customer.id == Survey.customer_id)
    surveys = db.session.scalars(
        known.where(
            Customer.organisation_id.in_(organisation_ids), Customer.phone_index == index, Survey.closed_at.is_(None)
        ).order_by(Survey.id)
    ).all()
    for survey_id in surveys:
        survey = lifecycle.locked(survey_id)
        if survey.is_open:
            lifecycle.opt_out(survey, ["phone"], OptOutSource.PHONE_KEY)
    for organisation_id in organisation_ids:
        optouts.add(organisation_id, "phone", index, OptOutSource.PHONE_KEY)
    return len(organisation_ids)


def _open_survey(caller: str, ours: str) -> int | None:
    """The survey we dialled this number for last, from the number it calls now, if it is open."""
    dialled = (
        select(AttemptEvent.id)
        .where(
            AttemptEvent.attempt_id == Attempt.id,
            AttemptEvent.kind == POSTED,
            AttemptEvent.data["caller"].astext == ours,
        )
        .exists()
    )
    return db.session.scalar(
        select(Survey.id)
        .join(Customer, Customer.id == Survey.customer_id)
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(
            Customer.organisation_id.in_(select(Organisation.id)),  # the index of the numbers begins with it
            Customer.phone_index == optouts.index_of("phone", caller),
            Survey.closed_at.is_(None),
            Survey.deadline > clock.now(),
            Attempt.channel == Channel.IVR,
            Attempt.started_at.is_not(None),
            dialled,
        )
        .order_by(Attempt.started_at.desc())
        .limit(1)
    )


def _begin(survey_id: int, call_sid: str) -> int | None:
    """A new attempt, under way; None while we are calling them ourselves just now."""
    now = clock.now()
    latest = select(func.coalesce(func.max(Attempt.ordinal), 0)).where(Attempt.survey_id == survey_id)
    row = insert(Attempt).values(
        survey_id=survey_id,
        ordinal=latest.scalar_subquery() + 1,
        channel=Channel.IVR,
        state=AttemptState.UNDERWAY,
        reason=CALLED_US,
        due_at=now,
        started_at=now,
        provider_id=call_sid,
        inbound=True,
    )
    return db.session.scalar(row.on_conflict_do_nothing().returning(Attempt.id))


def _organisations_behind(ours: str) -> list[int]:
    """Whoever has called from that number, or would: by its campaigns' caller ids, or by the installation's."""
    campaigns = db.session.execute(select(Campaign.organisation_id, Campaign.caller_id, Campaign.caller_ids))
    would = {
        row.organisation_id
        for row in campaigns
        if ours in row.caller_ids.values() or caller_for(None, {}, row.caller_id) == ours
    }
    has = (
        select(Campaign.organisation_id)
        .join(Survey, Survey.campaign_id == Campaign.id)
        .join(Attempt, Attempt.survey_id == Survey.id)
        .join(AttemptEvent, AttemptEvent.attempt_id == Attempt.id)
        .where(AttemptEvent.kind == POSTED, AttemptEvent.data["caller"].astext == ours)
    )
    return sorted(would.union(db.session.scalars(has.distinct())))
