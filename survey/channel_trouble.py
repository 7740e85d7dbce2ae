"""What is known to keep a channel from working without asking anybody: settings that are not set, tries that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from survey.clock import iso
from survey.db import db
from survey.models import Breaker, Campaign, Channel
from survey.settings import Settings

# A failure since which nothing has worked is told for so long.
LATELY = timedelta(days=1)
GOES_OUT = {Channel.IVR: "place no call", Channel.WEB: "send no email"}
KEEP_FAILING = {Channel.IVR: "calls keep failing", Channel.WEB: "emails keep failing"}
LAST_TRY = {Channel.IVR: "the last try to place a call", Channel.WEB: "the last try to send an email"}
Breakers = Mapping[Channel, Breaker]


def used_by(campaign: Campaign) -> set[Channel]:
    """The channels by which a campaign asks."""
    return {Channel(name) for entry in campaign.channel_plan for name in entry["channels"]}


def unset(channel: Channel, given: Settings, *, own_caller: bool = False) -> list[str]:
    """The settings that the channel needs and that are not set. `own_caller`: the campaign says which number calls."""
    if channel is Channel.WEB:
        return [] if given.smtp_url else ["SMTP_URL"]
    needed = {
        "TWILIO_ACCOUNT_SID": given.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": given.twilio_auth_token.get_secret_value(),
        "TWILIO_FROM": own_caller or given.twilio_from,
    }
    return [name for name, value in needed.items() if not value]


def not_set(channel: Channel, campaigns: Iterable[Campaign], given: Settings) -> str | None:
    """That a setting is missing without which none of these campaigns' calls, or emails, goes out; no full stop."""
    missing = unset(channel, given, own_caller=all(one.caller_id or one.caller_ids for one in campaigns))
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not set on this machine, so that it can {GOES_OUT[channel]}"


def lately(now: datetime) -> dict[Channel, Breaker]:
    """The channels that are left alone, or whose last try failed within LATELY before `now`."""
    failed = (Breaker.failures > 0) & (Breaker.failed_at > now - LATELY)
    return {
        one.channel: one
        for one in db.session.scalars(select(Breaker).where(or_(Breaker.opened_at.is_not(None), failed)))
    }


def failing(breaker: Breaker) -> str:
    """What `lately` found, without a full stop."""
    if breaker.opened_at is not None:
        again = f" until {iso(breaker.retry_at)}" if breaker.retry_at else ""
        return f"{KEEP_FAILING[breaker.channel]} ({breaker.reason}) and are left alone{again}"
    at = f" at {iso(breaker.failed_at)}" if breaker.failed_at else ""
    return f"{LAST_TRY[breaker.channel]} failed{at} ({breaker.reason}), and none has worked since"


def warnings(channel: Channel, campaign: Campaign, failed: Breakers, given: Settings) -> list[str]:
    """What is known to be wrong with a channel of a campaign: clauses without a full stop. `failed` as of `lately`."""
    found = [not_set(channel, [campaign], given)]
    # A missing setting says it all.
    if found == [None] and channel in failed:
        found.append(failing(failed[channel]))
    return [one for one in found if one is not None]
