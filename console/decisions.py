"""What needs a decision: each thing a person should look at today, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from console.scope import Scope
from survey import breakers, channel_trouble, settings
from survey.clock import iso
from survey.db import db
from survey.models import Campaign, CampaignState, Channel, Draw, DrawReason, ImportRecord, Period, Programme

LOOK_BACK = timedelta(days=7)
ENDS_SOON = timedelta(days=14)
# Then a day is over everywhere on earth.
DAY_LASTS = timedelta(hours=12)
CHANNELS_AT_REST = {Channel.IVR: "No calls are placed", Channel.WEB: "No emails are sent"}


@dataclass(frozen=True)
class Item:
    """One thing to look at: what it is, what to do, and the campaign or the import whose page tells more."""

    what: str
    how: str
    campaign_id: int | None = None
    import_id: int | None = None


def read(within: Scope, now: datetime, stuck: int) -> list[Item]:
    """Everything that waits for a person, most pressing first. `stuck`: attempts that hang while being placed."""
    items: list[Item] = []
    if stuck:
        items.append(
            Item(
                f"{_many(stuck, 'attempt')} left in doubt while being placed.",
                "The scheduler's sweep settles them by the network's own list. If they stay, run flask doctor.",
            )
        )
    items += _channels_not_set_up(within)
    items += _channels_left_alone(now)
    items += _channels_failing(now)
    items += _overdue_assessments(within, now)
    items += _campaigns(within, now)
    items += _without_roster(within, now)
    items += _rejected_rows(within, now)
    return items


def _channels_left_alone(now: datetime) -> Iterator[Item]:
    for breaker in breakers.open_now():
        again = "now" if breaker.retry_at is None or breaker.retry_at <= now else f"at {breaker.retry_at:%H:%M:%S} UTC"
        yield Item(
            f"{CHANNELS_AT_REST[breaker.channel]} since {breaker.opened_at:%H:%M} UTC: {breaker.reason}.",
            f"Nothing is lost: what is due waits, and one is tried {again}. If it goes on, run flask doctor.",
        )


def _channels_not_set_up(within: Scope) -> Iterator[Item]:
    """Settings that this machine lacks for the campaigns that are launched and not closed."""
    campaigns = db.session.scalars(
        select(Campaign).where(
            within.holds(Campaign.organisation_id), Campaign.state.not_in([CampaignState.DRAFT, CampaignState.CLOSED])
        )
    ).all()
    for channel in Channel:
        using = [one for one in campaigns if channel in channel_trouble.used_by(one)]
        told = channel_trouble.not_set(channel, using, settings.current()) if using else None
        if told is not None:
            yield Item(f"{told}.", "Set it where the workers run, and start them again. flask doctor checks it.")


def _channels_failing(now: datetime) -> Iterator[Item]:
    """What failed lately and has not worked since, and is not left alone yet."""
    for breaker in channel_trouble.lately(now).values():
        if breaker.opened_at is None and breaker.failed_at is not None:
            last_try = channel_trouble.LAST_TRY[breaker.channel]
            yield Item(
                f"{last_try[:1].upper()}{last_try[1:]} failed at {iso(breaker.failed_at)}: {breaker.reason}.",
                "It is tried again by itself. If it goes on, run flask doctor.",
            )


def _overdue_assessments(within: Scope, now: datetime) -> Iterator[Item]:
    periods = db.session.scalars(
        select(Period)
        .join(Programme, Programme.id == Period.programme_id)
        .where(within.holds(Programme.organisation_id), Period.decided_at.is_(None), Period.decision_on < now.date())
        .options(joinedload(Period.programme))
        .order_by(Period.decision_on)
    )
    for period in periods:
        yield Item(
            f"{period.programme.name}: the decision announced for {period.decision_on:%d %b %Y} is not made.",
            "Run flask certification assess: it says what is in the way.",
        )


def _campaigns(within: Scope, now: datetime) -> Iterator[Item]:
    campaigns = db.session.scalars(
        select(Campaign)
        .where(within.holds(Campaign.organisation_id), Campaign.state != CampaignState.CLOSED)
        .order_by(Campaign.name, Campaign.id)
    )
    for campaign in campaigns:
        if campaign.state is CampaignState.PAUSED:
            yield Item(
                f"{campaign.name} is paused: the draw goes on, deadlines pass, nobody is contacted.",
                "Resume it, or close it.",
                campaign.id,
            )
        elif campaign.state is CampaignState.DRAFT:
            yield _draft(campaign, now)
        elif campaign.ends_on <= (now + ENDS_SOON).date():
            yield Item(
                f"{campaign.name} ends on {campaign.ends_on:%d %b %Y}.",
                "Sampling has to stay open throughout a period: launch its successor in time.",
                campaign.id,
            )


def _draft(campaign: Campaign, now: datetime) -> Item:
    if campaign.ends_on >= (now - DAY_LASTS).date():
        return Item(f"{campaign.name} is a draft.", "Check it, then run flask campaigns launch.", campaign.id)
    over = f"{campaign.name} is a draft, and its last day, {campaign.ends_on:%d %b %Y}, is over."
    return Item(
        over, "Give it later days (flask campaigns change), or delete it (flask campaigns delete).", campaign.id
    )


def _without_roster(within: Scope, now: datetime) -> Iterator[Item]:
    count = (
        db.session.scalar(
            select(func.count())
            .select_from(Draw)
            .where(
                Draw.reason == DrawReason.NO_ASSIGNMENT,
                Draw.decided_at > now - LOOK_BACK,
                Draw.campaign_id.in_(within.campaign_ids()),
            )
        )
        or 0
    )
    if count:
        yield Item(
            f"{_many(count, 'call')} in 7 days came from agents who were on no roster that day.",
            "Complete the roster: flask roster import FILE. Later calls are then credited.",
        )


def _rejected_rows(within: Scope, now: datetime) -> Iterator[Item]:
    imports = db.session.scalars(
        select(ImportRecord)
        .where(
            within.holds(ImportRecord.organisation_id),
            ImportRecord.rejected > 0,
            ImportRecord.started_at > now - LOOK_BACK,
        )
        .order_by(ImportRecord.id.desc())
        .limit(5)
    )
    for record in imports:
        yield Item(
            f"{_many(record.rejected, 'row')} of {record.read} in {record.file_name} could not be taken.",
            "Each stands with its reason in the rejects file. Mend it in the file it came from, and import that again.",
            import_id=record.id,
        )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
