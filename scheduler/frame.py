"""Which calls are a campaign's: of its sites and days, ended after its launch, and of no campaign launched before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select, tuple_

from survey.calendars import day_start
from survey.db import db
from survey.models import Call, Campaign, Customer, Draw, Site

# A row of COLUMNS below.
CallRow = Any

# The order of the draw. By code point: the database's own text order would depend on its locale.
ORDER = (Call.ended_at, Call.source.collate("C"), Call.external_id.collate("C"))
BATCH = 20_000
# What judging a call needs. Not the sealed contacts themselves: opening them is slow, and nobody need see them.
COLUMNS = (
    Call.id,
    Call.site_id,
    Call.agent_id,
    Call.agent_uncertain,
    Call.customer_id,
    Call.source,
    Call.external_id,
    Call.ended_at,
    Call.answered,
    Call.talk_seconds,
    Call.internal,
    Call.language,
    Call.contact_fault,
    Customer.phone_index,
    Customer.email_index,
    Customer.language.label("customer_language"),
    Customer.consents_to_calls,
)


def undrawn(campaign: Campaign, ended_after: datetime | None = None) -> Iterator[list[CallRow]]:
    """The campaign's calls that have no draw yet, as COLUMNS, in the order of the draw, BATCH at a time.

    `ended_after` leaves older ones out: looking through all the calls of a long campaign takes its time. What is left
    undrawn of a batch does not come again.
    """
    query = select(*COLUMNS).outerjoin(Customer, Customer.id == Call.customer_id).order_by(*ORDER).limit(BATCH)
    conditions = _undrawn(campaign, ended_after)
    rows = list(db.session.execute(query.where(*conditions)))
    while rows:
        yield rows
        if len(rows) < BATCH:
            return
        last = rows[-1]
        further = tuple_(*ORDER) > tuple_(last.ended_at, last.source, last.external_id)
        # The first of the three once more, alone: that the index understands.
        rows = list(db.session.execute(query.where(*conditions, Call.ended_at >= last.ended_at, further)))


def waits_for_draw(campaign: Campaign, ended_after: datetime) -> bool:
    """Whether a call of the campaign that ended after that has no draw yet."""
    return bool(db.session.scalar(select(select(Call.id).where(*_undrawn(campaign, ended_after)).exists())))


def _undrawn(campaign: Campaign, ended_after: datetime | None) -> list[ColumnElement[bool]]:
    drawn = select(Draw.id).where(Draw.call_id == Call.id).exists()
    recent = [] if ended_after is None else [Call.ended_at > ended_after]
    return [belongs_to(campaign), ~drawn, *recent]


def belongs_to(campaign: Campaign) -> ColumnElement[bool]:
    """The condition on Call for being in this campaign and in none that was launched before it."""
    return and_(_within(campaign), *(not_(_within(earlier)) for earlier in _launched_before(campaign)))


def _within(campaign: Campaign) -> ColumnElement[bool]:
    """After the launch, on the campaign's days as each site counts them, before its close; of its queues and topics."""
    if campaign.launched_at is None:
        return false()
    at_sites = or_(*(_at_site(campaign, site.id, *_days(campaign, site.time_zone)) for site in campaign.sites), false())
    return and_(at_sites, *of_kind(campaign))


def of_kind(campaign: Campaign) -> list[ColumnElement[bool]]:
    """Of one of the campaign's queues and of one of its topics, where it names any; written however, as to case.

    A call without a queue (or topic) is of none of them, which must be said: to a database, null is not "not equal".
    """
    named = ((Call.queue, campaign.queues), (Call.topic, campaign.topics))
    return [
        func.coalesce(func.lower(column), "").in_([name.lower() for name in names]) for column, names in named if names
    ]


def _at_site(campaign: Campaign, site_id: int, first: datetime, end: datetime) -> ColumnElement[bool]:
    conditions = [Call.site_id == site_id, Call.ended_at > campaign.launched_at, Call.ended_at >= first]
    conditions.append(Call.ended_at < end)
    if campaign.closed_at is not None:
        conditions.append(Call.ended_at <= campaign.closed_at)
    return and_(*conditions)


def _days(campaign: Campaign, zone: str) -> tuple[datetime, datetime]:
    return day_start(campaign.starts_on, zone), day_start(campaign.ends_on + timedelta(days=1), zone)


def meeting(campaign: Campaign, first: date, last: date) -> tuple[ColumnElement[bool], ...]:
    """The conditions on Campaign for having a site in common with this one, and days from `first` to `last`."""
    return (
        Campaign.organisation_id == campaign.organisation_id,
        Campaign.starts_on <= last,
        Campaign.ends_on >= first,
        Campaign.sites.any(Site.id.in_([site.id for site in campaign.sites])),
    )


def _launched_before(campaign: Campaign) -> Sequence[Campaign]:
    """Campaigns of the organisation launched earlier that share a site with this one and whose days meet its own."""
    return db.session.scalars(
        select(Campaign)
        .where(
            *meeting(campaign, campaign.starts_on, campaign.ends_on),
            tuple_(Campaign.launched_at, Campaign.id) < tuple_(campaign.launched_at, campaign.id),
        )
        .order_by(Campaign.launched_at, Campaign.id)
    ).all()
