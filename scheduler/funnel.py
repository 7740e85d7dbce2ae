"""What has become of a campaign's calls so far: from every call down to every response."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from scheduler import closing, described, notices
from scheduler.eligibility import ELIGIBLE
from scheduler.overlaps import overlaps, sentences
from survey.clock import iso
from survey.db import db
from survey.models import Attempt, AttemptState, Campaign, CampaignState, Draw, DrawKey, DrawReason, Response, Survey


def show(campaign: Campaign) -> dict[str, Any]:
    """The campaign and its funnel as plain values. The key itself is among them only once it has been revealed."""
    reasons = _counts(select(Draw.reason, func.count()).where(Draw.campaign_id == campaign.id).group_by(Draw.reason))
    surveys = _counts(
        select(Survey.disposition, func.count()).where(Survey.campaign_id == campaign.id).group_by(Survey.disposition)
    )
    met = overlaps(campaign)
    return {
        "organisation": campaign.organisation.key,
        "campaign": campaign.key,
        "name": campaign.name,
        "state": campaign.state.value,
        "sites": [site.key for site in campaign.sites],
        "starts_on": campaign.starts_on.isoformat(),
        "ends_on": campaign.ends_on.isoformat(),
        "rate": f"{campaign.rate_numerator}/{campaign.rate_denominator}",
        "launched_at": None if campaign.launched_at is None else iso(campaign.launched_at),
        "closed_at": None if campaign.closed_at is None else iso(campaign.closed_at),
        "draw_key": _key(campaign),
        "stopped": [note.told for note in notices.stopped()],
        "notes": [note.as_dict() for note in notices.standing(campaign)],
        "settings": described.settings(campaign),
        "closing": closing.aftermath(campaign).as_dict() if campaign.state is CampaignState.CLOSED else None,
        "calls_are": described.whose_calls(campaign),
        "calls": sum(reasons.values()),
        "eligible": sum(reasons.get(reason, 0) for reason in ELIGIBLE),
        "drawn": reasons.get(DrawReason.DRAWN, 0),
        "reasons": reasons,
        "surveys": surveys,
        "attempts": _attempts(campaign),
        "responses": _responses(campaign),
        "overlaps": [one.as_dict() for one in met],
        "overlaps_told": [told for told, _ in sentences(met)],
    }


def brief(campaign: Campaign) -> dict[str, Any]:
    """What commands say of any campaign they have to do with."""
    return {
        "organisation": campaign.organisation.key,
        "campaign": campaign.key,
        "name": campaign.name,
        "state": campaign.state.value,
        "starts_on": campaign.starts_on,
        "ends_on": campaign.ends_on,
    }


def _key(campaign: Campaign) -> dict[str, Any] | None:
    key = db.session.scalar(select(DrawKey).where(DrawKey.campaign_id == campaign.id))
    if key is None:
        return None
    shown = {"sha256": key.sha256, "published_at": iso(key.published_at)}
    if key.revealed_at is not None:
        shown |= {"key": key.key_hex, "revealed_at": iso(key.revealed_at)}
    return shown


def _attempts(campaign: Campaign) -> dict[str, Any]:
    """Attempts by channel: those begun, and of the ended ones how they ended."""
    rows = db.session.execute(
        select(Attempt.channel, Attempt.state, Attempt.outcome, func.count())
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(Survey.campaign_id == campaign.id)
        .group_by(Attempt.channel, Attempt.state, Attempt.outcome)
    )
    told: dict[str, Any] = {}
    for channel, state, outcome, count in rows:
        counts = told.setdefault(channel.value, {"begun": 0})
        counts["begun"] += 0 if state in (AttemptState.PLANNED, AttemptState.QUEUED, AttemptState.CANCELLED) else count
        counts[(outcome or state).value] = count
    return told


def _responses(campaign: Campaign) -> dict[str, int]:
    rows = db.session.execute(
        select(Response.complete, func.count().label("surveys"))
        .join(Survey, Survey.id == Response.survey_id)
        .where(Survey.campaign_id == campaign.id)
        .group_by(Response.complete)
    )
    counts = {row.complete: row.surveys for row in rows}
    return {"complete": counts.get(True, 0), "partial": counts.get(False, 0)}


def _counts(query: Any) -> dict[str, int]:
    """Counts by the value of an enum; of surveys without a disposition, which are open, as "open"."""
    return {"open" if name is None else str(name.value): count for name, count in db.session.execute(query)}
