"""The draw: every call of a campaign is decided once, and each drawn one becomes a survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import any_, func, insert, or_, select

from scheduler import frame
from scheduler.circumstances import Circumstances, Judged, array_of, indexes_of
from scheduler.decisions import Decisions, Eligible, decide
from scheduler.frame import CallRow, undrawn
from survey import clock, lifecycle, turns
from survey.calendars import table_version
from survey.db import db
from survey.errors import Refused
from survey.garbage import fewer_collections
from survey.models import (
    Attempt,
    AttemptState,
    Call,
    Campaign,
    CampaignState,
    Customer,
    Draw,
    DrawKey,
    DrawReason,
    Organisation,
    Survey,
)

OPEN_TO_DRAW = (CampaignState.SCHEDULED, CampaignState.ACTIVE, CampaignState.PAUSED)
# The longest a survey may stay open (a site's longest row of days off); earlier calls can no longer be superseded.
LONGEST_OPEN = timedelta(days=30)


@dataclass(frozen=True)
class DrawReport:
    """What one run decided: calls by reason, and how many older surveys gave way to newer calls."""

    campaign: str
    decided_at: datetime
    reasons: Counter[DrawReason] = field(default_factory=Counter)
    superseded: int = 0

    @property
    def decided(self) -> int:
        return self.reasons.total()

    def with_batch(self, batch: DrawReport) -> DrawReport:
        """This run's report and that of its next batch in one."""
        return DrawReport(
            self.campaign, batch.decided_at, self.reasons + batch.reasons, self.superseded + batch.superseded
        )

    @property
    def drawn(self) -> int:
        return self.reasons[DrawReason.DRAWN]


def draw_all(ended_after: datetime | None = None, *, wait: bool = True) -> list[DrawReport]:
    """Draws for all launched, not closed campaigns, in the order of their launch. Commits each before the next.

    Calls that ended before `ended_after`, if it is given, are left to another run, and without `wait` those of
    organisations into which calls are being imported just now.
    """
    reports = []
    for campaign in open_campaigns():
        reports.append(draw_campaign(campaign, ended_after, wait=wait, commits=True))
        db.session.commit()
    return reports


def open_campaigns() -> Sequence[Campaign]:
    """All launched, not closed campaigns, in the order of their launch."""
    return db.session.scalars(
        select(Campaign).where(Campaign.state.in_(OPEN_TO_DRAW)).order_by(Campaign.launched_at, Campaign.id)
    ).all()


def draw_campaign(
    campaign: Campaign, ended_after: datetime | None = None, *, wait: bool = True, commits: bool = False
) -> DrawReport:
    """Decides every call of the campaign that has come in and has no draw yet. Flushes; the caller commits.

    With `commits` each batch is committed by itself, so that nothing waits for a long draw: not a pause, nor a call to
    one of the customers looked at.

    Waits for an import of the organisation that is under way, or without `wait` decides nothing then. Calls that ended
    before `ended_after`, if it is given, are left to another run.

    Raises Refused unless the campaign is launched and not closed. A paused one draws: pausing stops contact only.
    """
    report = DrawReport(campaign.key, clock.now())
    if not _has_turn(campaign, wait):
        return report
    if campaign.state not in OPEN_TO_DRAW:
        raise Refused(f"campaign {campaign.key!r} is {campaign.state}", how="Only launched, not closed ones draw.")
    with fewer_collections():
        for rows in undrawn(campaign, ended_after):
            report = report.with_batch(_decide_batch(campaign, rows))
            if not commits or len(rows) < frame.BATCH:
                continue
            db.session.commit()
            if not _has_turn(campaign, wait) or campaign.state not in OPEN_TO_DRAW:
                break
    return report


def _has_turn(campaign: Campaign, wait: bool) -> bool:
    """Takes the turns a draw needs; False where an import has its own, and is not to be waited for."""
    if not turns.begin_draw(campaign.organisation_id, wait=wait):
        return False
    _take_turns(campaign)
    return True


def _decide_batch(campaign: Campaign, rows: Sequence[CallRow]) -> DrawReport:
    """Decides these calls, knowing all that were decided before; a batch is a run of its own to a replay."""
    known, in_doubt = _known(campaign, rows)
    rows = _certain(rows, in_doubt)
    at = _moment(known)
    if not rows:
        return DrawReport(campaign.key, at)
    key = db.session.scalars(select(DrawKey).where(DrawKey.campaign_id == campaign.id)).one()
    circumstances = Circumstances(campaign, key, rows)
    calls = [circumstances.judge(row, at) for row in rows]
    quarantine = timedelta(days=campaign.quarantine_days)
    decisions = decide([call.candidate for call in calls], known, at, quarantine)
    draw_ids = _write_draws(campaign, key, calls, decisions, at)
    _write_surveys(campaign, [call for call in calls if call.row.id in draw_ids], draw_ids, at)
    _close_superseded(decisions, at)
    return DrawReport(campaign.key, at, Counter(decisions.reasons.values()), len(decisions.superseded))


def _take_turns(campaign: Campaign) -> None:
    """One draw at a time in an organisation, on whatever machine: its campaigns share customers, so quarantine too.

    The weaker lock lets calls be imported meanwhile (their foreign keys look at the same row).
    """
    for model, row_id in ((Organisation, campaign.organisation_id), (Campaign, campaign.id)):
        db.session.scalars(
            select(model)
            .where(model.id == row_id)
            .with_for_update(key_share=True, of=model)
            .execution_options(populate_existing=True)
        ).one()


def _moment(known: Sequence[Eligible]) -> datetime:
    """The time of the run: never before an attempt it knows of was begun, even by a machine whose clock is ahead."""
    stamps = (at for call in known for at in (call.asked_at, call.closed_at) if at is not None)
    return max([clock.now(), *stamps])


def _certain(rows: Sequence[CallRow], in_doubt: set[bytes]) -> list[CallRow]:
    """The calls whose decision rests on nothing in doubt; the others wait for the next run.

    While an attempt is `dialling` it is not certain that the customer is being asked: it may yet be put back. So calls
    of that customer wait, and with them whoever shares a contact.
    """
    certain = []
    for row in rows:
        indexes = indexes_of(row)
        if in_doubt.isdisjoint(indexes):
            certain.append(row)
        else:
            in_doubt = in_doubt.union(indexes)
    return certain


def _known(campaign: Campaign, rows: Sequence[CallRow]) -> tuple[list[Eligible], set[bytes]]:
    """Eligible calls decided before, of the customers of these, as far back as they matter; and contacts in doubt."""
    far_back = max(timedelta(days=campaign.quarantine_days), LONGEST_OPEN)
    since = rows[0].ended_at - far_back
    phones = {row.phone_index for row in rows} - {None}
    emails = {row.email_index for row in rows} - {None}
    ours = Customer.organisation_id == campaign.organisation_id  # the index of the numbers begins with it
    same_customer = or_(Customer.phone_index == any_(array_of(phones)), Customer.email_index == any_(array_of(emails)))
    known = [call for _, call in eligible_calls(campaign.organisation_id, ours, same_customer, Call.ended_at > since)]
    return _as_locked(known)


def eligible_calls(organisation_id: int, *conditions: Any) -> list[tuple[int, Eligible]]:
    """An organisation's eligible calls and how their surveys stand: (draw id, call), in the order decided."""
    asked_at = select(func.min(Attempt.started_at)).where(Attempt.survey_id == Survey.id).scalar_subquery()
    rows = db.session.execute(
        select(
            Draw.id.label("draw_id"),
            Draw.drawn,
            Call.id,
            Call.ended_at,
            Call.source,
            Call.external_id,
            Customer.phone_index,
            Customer.email_index,
            Survey.closed_at,
            Survey.deadline,
            asked_at.label("asked_at"),
        )
        .join(Call, Call.id == Draw.call_id)
        .join(Customer, Customer.id == Call.customer_id)
        .outerjoin(Survey, Survey.draw_id == Draw.id)
        .where(
            Call.organisation_id == organisation_id,
            Draw.reason.in_((DrawReason.DRAWN, DrawReason.NOT_SELECTED)),
            *conditions,
        )
        .order_by(Draw.id)
    )
    return [(row.draw_id, _eligible(row)) for row in rows]


def _eligible(row: Any) -> Eligible:
    return Eligible(
        call_id=row.id,
        order=(row.ended_at, row.source, row.external_id),
        indexes=indexes_of(row),
        drawn=row.drawn,
        asked_at=row.asked_at,
        closed_at=row.closed_at,
        deadline=row.deadline,
    )


def _as_locked(known: Sequence[Eligible]) -> tuple[list[Eligible], set[bytes]]:
    """The same with the open surveys among them locked and looked at again: a worker may be beginning one just now.

    Also returns the contacts of those of which an attempt is dialling.
    """
    waiting = [call.call_id for call in known if call.drawn and call.closed_at is None]
    if not waiting:
        return list(known), set()
    db.session.execute(
        select(Survey.id).where(Survey.call_id.in_(waiting)).order_by(Survey.id).with_for_update(of=Survey)
    )
    dialling = func.bool_or(Attempt.state == AttemptState.DIALLING)
    rows = db.session.execute(
        select(Survey.call_id, Survey.closed_at, func.min(Attempt.started_at), func.coalesce(dialling, False))
        .outerjoin(Attempt, Attempt.survey_id == Survey.id)
        .where(Survey.call_id.in_(waiting))
        .group_by(Survey.id)
    )
    now = {call_id: (closed_at, asked_at, in_doubt) for call_id, closed_at, asked_at, in_doubt in rows}
    looked_at = [_updated(call, *now[call.call_id][:2]) if call.call_id in now else call for call in known]
    return looked_at, {index for call in known if now.get(call.call_id, (0, 0, False))[2] for index in call.indexes}


def _updated(call: Eligible, closed_at: datetime | None, asked_at: datetime | None) -> Eligible:
    return replace(call, closed_at=closed_at, asked_at=asked_at)


def _write_draws(
    campaign: Campaign, key: DrawKey, calls: Sequence[Judged], decisions: Decisions, at: datetime
) -> dict[int, int]:
    """Writes a draw for every call, in order; returns the draw ids of the drawn ones by call id."""
    values = [
        {
            "call_id": call.row.id,
            "campaign_id": campaign.id,
            "draw_key_id": key.id,
            "u": Decimal(call.u),
            "rate_numerator": call.rate.numerator,
            "rate_denominator": call.rate.denominator,
            "drawn": decisions.reasons[call.row.id] is DrawReason.DRAWN,
            "reason": decisions.reasons[call.row.id],
            "decided_at": at,
        }
        for call in calls
    ]
    written = db.session.execute(
        insert(Draw).returning(Draw.call_id, Draw.id, Draw.drawn, sort_by_parameter_order=True), values
    )
    return {call_id: draw_id for call_id, draw_id, drawn in written if drawn}


def _write_surveys(campaign: Campaign, calls: Collection[Judged], draw_ids: dict[int, int], at: datetime) -> None:
    if not calls:
        return
    shared = {
        "campaign_id": campaign.id,
        "calendar_version": table_version(),
        "drawn_at": at,
        "plan_at": at,
    }
    db.session.execute(insert(Survey), [shared | _frozen(call) | {"draw_id": draw_ids[call.row.id]} for call in calls])


def _frozen(call: Judged) -> dict[str, Any]:
    """What the survey of a drawn call freezes: no later roster, rate or calendar changes it."""
    return asdict(call.credit) | {
        "call_id": call.row.id,
        "customer_id": call.row.customer_id,
        "rate_numerator": call.rate.numerator,
        "rate_denominator": call.rate.denominator,
        "deadline": call.deadline,
        "language": call.language,
        "channels": [channel.value for channel in call.channels],
    }


def _close_superseded(decisions: Decisions, at: datetime) -> None:
    if not decisions.superseded:
        return
    surveys = db.session.scalars(
        select(Survey)
        .where(Survey.call_id.in_(decisions.superseded), Survey.closed_at.is_(None))
        .order_by(Survey.id)
        .with_for_update(of=Survey)
        .execution_options(populate_existing=True)
    ).all()
    newer = {
        call.id: call for call in db.session.scalars(select(Call).where(Call.id.in_(decisions.superseded.values())))
    }
    for survey in surveys:
        lifecycle.close(survey, at, superseded_by=newer[decisions.superseded[survey.call_id]])
