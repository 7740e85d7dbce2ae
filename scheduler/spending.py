"""What a campaign's calls have cost, and how many more it can pay for. Money in hundredths of the currency, exact."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from survey import clock, settings
from survey.attempts import LONGEST_CALL, SPOKEN_UNBILLED
from survey.db import db
from survey.models import Attempt, Campaign, Channel, Survey

MINUTE_SECONDS = 60
# Calls are paid by the minute begun. Source: support.twilio.com, article 223132307, on how minutes are rounded.
WHOLE_MINUTES = func.floor((Attempt.billed_seconds + MINUTE_SECONDS - 1) / MINUTE_SECONDS)
BILLED_WITHIN = timedelta(days=1)
CAP_REACHED = "the campaign's spend cap is reached"
LONGEST_CALL_MINUTES = -(-int(LONGEST_CALL.total_seconds()) // MINUTE_SECONDS)
RECKONED_MINUTES = case((Attempt.billed_seconds.is_(None), LONGEST_CALL_MINUTES), else_=WHOLE_MINUTES)


def minute_price() -> Fraction:
    """What one minute of a call costs, in hundredths of the currency (CALL_MINUTE_PRICE)."""
    return Fraction(settings.current().call_minute_price) * 100


def minutes_billed(campaign_ids: Collection[int]) -> dict[int, int]:
    """The minutes that the calls of these campaigns were connected, each call rounded up."""
    return _minutes(campaign_ids, WHOLE_MINUTES, Attempt.billed_seconds.is_not(None))


def minutes_at_most(campaign_ids: Collection[int]) -> dict[int, int]:
    """The same, with calls that are over and not billed yet at the longest they can have been."""
    return _minutes(campaign_ids, RECKONED_MINUTES, or_(Attempt.billed_seconds.is_not(None), SPOKEN_UNBILLED))


def minutes_for_good(campaign_ids: Collection[int]) -> dict[int, int]:
    """The same, with only those at the longest that will not be billed any more: no bill came for a day."""
    lost = and_(SPOKEN_UNBILLED, Attempt.ended_at < clock.now() - BILLED_WITHIN)
    return _minutes(campaign_ids, RECKONED_MINUTES, or_(Attempt.billed_seconds.is_not(None), lost))


def _minutes(campaign_ids: Collection[int], minutes: ColumnElement[Any], which: ColumnElement[bool]) -> dict[int, int]:
    rows = db.session.execute(
        select(Survey.campaign_id, func.sum(minutes).label("minutes"))
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(Survey.campaign_id.in_(campaign_ids), Attempt.channel == Channel.IVR, which)
        .group_by(Survey.campaign_id)
    )
    return {row.campaign_id: int(row.minutes) for row in rows}


def spent(campaign: Campaign) -> Fraction:
    """What the campaign's calls have cost so far, in hundredths of the currency."""
    return minutes_billed([campaign.id]).get(campaign.id, 0) * minute_price()


def calls_affordable(campaign: Campaign, minutes: int, live: int) -> int | None:
    """How many more calls may begin beside `live` ones without ever going above the cap; None where there is none.

    `minutes` are those of the calls that are over, at most. Each call under way is reckoned at the longest it can last,
    so that the cap holds whatever customers do.
    """
    if campaign.spend_cap is None:
        return None
    longest = LONGEST_CALL_MINUTES * minute_price()
    if longest == 0:
        return None
    left = campaign.spend_cap - minutes * minute_price() - live * longest
    return max(0, int(left // longest))


def exhausted(campaigns: Collection[Campaign]) -> set[int]:
    """The ids of those campaigns whose cap leaves no room for another call, now that none is under way."""
    capped = [campaign for campaign in campaigns if campaign.spend_cap is not None]
    if not capped:
        return set()
    minutes = minutes_for_good([campaign.id for campaign in capped])
    return {campaign.id for campaign in capped if calls_affordable(campaign, minutes.get(campaign.id, 0), 0) == 0}
