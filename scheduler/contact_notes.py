"""What may keep a campaign's phone calls from being placed as was meant, told in a sentence each; reads only."""

from __future__ import annotations

from datetime import time

from sqlalchemy import select

from scheduler import described
from scheduler.hours import DAY_NAMES, limits_of
from scheduler.planning import window_of
from scheduler.spending import LONGEST_CALL_MINUTES, calls_affordable, minute_price
from scheduler.spreading import CLOSING_TIME
from survey.db import db
from survey.models import Call, Campaign, Customer

MINUTES = int(CLOSING_TIME.total_seconds()) // 60


def of_cap(campaign: Campaign, so: str) -> str | None:
    """That its spend cap pays for no call; `so` is what becomes of its customers then."""
    if calls_affordable(campaign, 0, 0) != 0:
        return None
    longest = described.money(int(LONGEST_CALL_MINUTES * minute_price()))
    return (
        f"Its spend cap, {described.money(campaign.spend_cap or 0)}, pays for no call, since one may cost up to"
        f" {longest} (CALL_MINUTE_PRICE): {so}. Raise it: flask campaigns change."
    )


def of_consent(campaign: Campaign, so: str) -> str | None:
    """That nobody may be called, since none of the customers of its sites' calls is on record as having agreed."""
    if not campaign.calls_need_consent:
        return None
    at_sites = Call.site_id.in_([site.id for site in campaign.sites])
    called = select(Call.id).where(Call.customer_id == Customer.id, at_sites).exists()
    agreed = Customer.organisation_id == campaign.organisation_id, Customer.consents_to_calls.is_(True)
    if db.session.scalar(select(Customer.id).where(*agreed, called).limit(1)) is not None:
        return None
    return (
        "calls_need_consent: no customer of its sites' calls is on record as having agreed to be called: unless calls"
        f" come that say so, {so}."
    )


def of_short_hours(campaign: Campaign, country: str) -> str | None:
    """That hours leave no more than their closing time: then all that is due is planned to one moment."""
    window = window_of(campaign)
    short = []
    for day in sorted(window.weekdays):
        begins, ends = window.hours(day)
        spans = [(max(begins, opens), min(ends, closes)) for opens, closes in limits_of(country, day)]
        lengths = [_minutes(until) - _minutes(since) for since, until in spans if since < until]
        if lengths and max(lengths) <= MINUTES:
            short.append(DAY_NAMES[day])
    if not short:
        return None
    return (
        f"In {country} its hours of {', '.join(short)} are no longer than {MINUTES} minutes, too short to spread calls"
        " over: these go to longer hours before the deadline, or where there are none all to the moment at which the"
        " hours open, as many as its pace allows."
    )


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute
