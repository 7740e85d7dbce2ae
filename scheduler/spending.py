"""What a campaign's calls have cost, and how many more it can pay for. Money in hundredths of the currency, exact."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from sqlalchemy import func, select

from survey import settings
from survey.attempts import LONGEST_CALL
from survey.db import db
from survey.models import Attempt, Campaign, Channel, Survey

MINUTE_SECONDS = 60
# Calls are paid by the minute begun (twilio.com/docs/voice: "rounded up to the nearest minute").
CAP_REACHED = "the campaign's spend cap is reached"
LONGEST_CALL_MINUTES = -(-int(LONGEST_CALL.total_seconds()) // MINUTE_SECONDS)


def minute_price() -> Fraction:
    """What one minute of a call costs, in hundredths of the currency (CALL_MINUTE_PRICE)."""
    return Fraction(settings.current().call_minute_price) * 100


def minutes_billed(campaign_ids: Collection[int]) -> dict[int, int]:
    """The minutes that the calls of these campaigns were connected, each call rounded up."""
    whole_minutes = (Attempt.billed_seconds + MINUTE_SECONDS - 1) / MINUTE_SECONDS
    rows = db.session.execute(
        select(Survey.campaign_id, func.sum(func.floor(whole_minutes)))
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(
            Survey.campaign_id.in_(campaign_ids), Attempt.channel == Channel.IVR, Attempt.billed_seconds.is_not(None)
        )
        .group_by(Survey.campaign_id)
    )
    return {campaign_id: int(minutes) for campaign_id, minutes in rows}


def spent(campaign: Campaign) -> Fraction:
    """What the campaign's calls have cost so far, in hundredths of the currency."""
    return minutes_billed([campaign.id]).get(campaign.id, 0) * minute_price()


def calls_affordable(campaign: Campaign, minutes: int, live: int) -> int | None:
    """How many more calls may begin beside `live` ones without ever going above the cap; None where there is none.

    Each call under way is reckoned at the longest it can last, so that the cap holds whatever customers do.
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
    minutes = minutes_billed([campaign.id for campaign in capped])
    return {campaign.id for campaign in capped if calls_affordable(campaign, minutes.get(campaign.id, 0), 0) == 0}
