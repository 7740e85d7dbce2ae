"""Why a call has not gone through any campaign's draw: it is in none, and why not, or it waits for its turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.drawing import OPEN_TO_DRAW
from scheduler.frame import belongs_to
from survey.clock import iso
from survey.db import db
from survey.models import Call, Campaign, Site

MOST_NAMED = 3


def why_undecided(call: Call) -> str:
    """The reason in sentences, for a call without a draw; reads only."""
    campaigns = _of_its_site(call)
    launched = [one for one in campaigns if one.launched_at is not None]
    nearest = [(campaign, list(_against(campaign, call))) for campaign in launched]
    for campaign, reasons in nearest:
        if not reasons and db.session.scalar(select(Call.id).where(Call.id == call.id, belongs_to(campaign))):
            return _waits(campaign)
    if not campaigns:
        return f"It is in no campaign: none asks about calls of its site, {call.site.name}."
    if not launched:
        return f"It is in no campaign: {_some([one.name for one in campaigns])} has its site, and was never launched."
    told = [f"{campaign.name}: {', and '.join(reasons) or 'not one of its calls'}" for campaign, reasons in nearest]
    return f"It is in no campaign of its site. {_some(told, '; ')}."


def _waits(campaign: Campaign) -> str:
    if campaign.state in OPEN_TO_DRAW:
        return f"It is one of {campaign.name}'s calls, and waits for the next draw."
    return f"It would have been one of {campaign.name}'s calls, but came in after that had closed: it is never drawn."


def _of_its_site(call: Call) -> Sequence[Campaign]:
    """The campaigns that have its site, the latest launch first, and drafts after all others."""
    return db.session.scalars(
        select(Campaign)
        .where(Campaign.organisation_id == call.organisation_id, Campaign.sites.any(Site.id == call.site_id))
        .order_by(Campaign.launched_at.desc().nulls_last(), Campaign.id.desc())
    ).all()


def _against(campaign: Campaign, call: Call) -> Iterator[str]:
    """What keeps the call out of a launched campaign; nothing where the campaign's own condition decides."""
    day = call.ended_at.astimezone(ZoneInfo(call.site.time_zone)).date()
    if campaign.launched_at is not None and call.ended_at <= campaign.launched_at:
        yield f"it ended before the launch at {iso(campaign.launched_at)}"
    elif campaign.closed_at is not None and call.ended_at > campaign.closed_at:
        yield f"it ended after the close at {iso(campaign.closed_at)}"
    if not campaign.starts_on <= day <= campaign.ends_on:
        yield f"it ended on {day}, which is not from {campaign.starts_on} to {campaign.ends_on}"
    for what, named, own in (("queue", campaign.queues, call.queue), ("topic", campaign.topics, call.topic)):
        if named and (own or "").lower() not in [one.lower() for one in named]:
            its = f'its {what} is "{own}"' if own else f"it has no {what}"
            yield f"{its}, and not {' or '.join(named)}"


def _some(told: Sequence[str], between: str = ", ") -> str:
    rest = len(told) - MOST_NAMED
    return between.join(told[:MOST_NAMED]) + (f"{between}and {rest} more" if rest > 0 else "")
