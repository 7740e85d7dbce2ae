"""Rows to work on, many at once: surveys as the draw leaves them, some with their first attempt planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select

from survey import clock, vault
from survey.calendars import deadline, table_version
from survey.db import Base, db
from survey.models import (
    Attempt,
    AttemptState,
    Call,
    Campaign,
    Channel,
    Customer,
    Draw,
    DrawKey,
    DrawReason,
    Site,
    Survey,
)
from tests import factories as make

# So high that a campaign's pace never holds the load back.
UNHURRIED: dict[str, Any] = {"calls_per_second": 100, "live_calls": 10_000, "emails_per_minute": 60_000}


@dataclass(frozen=True)
class Wanted:
    """A survey to be made. Without `deadline` it has its site's; with `due_at` its first attempt is planned then.

    Wanted with one phone are surveys of one customer.
    """

    phone: str
    site: Site
    channels: tuple[Channel, ...] = (Channel.IVR,)
    email: str | None = None
    deadline: datetime | None = None
    due_at: datetime | None = None


def insert_surveys(campaign: Campaign, wanted: Sequence[Wanted], within: str) -> list[int]:
    """Makes the surveys, about calls that ended a minute ago; returns their ids. `within` names this lot. Flushes."""
    ended_at = clock.now() - timedelta(minutes=1)
    customers = _customers(campaign.organisation_id, wanted)
    calls = _calls(campaign, wanted, customers, ended_at, within)
    draws = _draws(campaign, calls)
    surveys = _surveys(campaign, wanted, customers, calls, draws, ended_at)
    planned = [
        _planned(survey_id, one) for survey_id, one in zip(surveys, wanted, strict=True) if one.due_at is not None
    ]
    if planned:
        db.session.execute(insert(Attempt), planned)
    return surveys


def _customers(organisation_id: int, wanted: Sequence[Wanted]) -> dict[str, int]:
    """The customers by phone; those not there yet are made."""
    mine = Customer.organisation_id == organisation_id
    indexes = [vault.phone_index(one.phone) for one in wanted]
    there = db.session.execute(select(Customer.phone, Customer.id).where(mine, Customer.phone_index.in_(indexes))).all()
    known = {str(phone): customer_id for phone, customer_id in there}
    new = {one.phone: one for one in wanted if one.phone not in known}
    rows = [
        {
            "organisation_id": organisation_id,
            "phone": one.phone,
            "phone_index": vault.phone_index(one.phone),
            "email": one.email,
            "email_index": None if one.email is None else vault.email_index(one.email),
            "language": "en",
        }
        for one in new.values()
    ]
    return known | (dict(zip(new, _inserted(Customer, rows), strict=True)) if rows else {})


def _calls(
    campaign: Campaign, wanted: Sequence[Wanted], customers: dict[str, int], ended_at: datetime, within: str
) -> list[int]:
    agents = {one.site.id: one.site for one in wanted}
    by_site = {site_id: make.agent(site).id for site_id, site in agents.items()}
    import_id = make.import_record(campaign.organisation_id).id
    return _inserted(
        Call,
        [
            {
                "organisation_id": campaign.organisation_id,
                "site_id": one.site.id,
                "agent_id": by_site[one.site.id],
                "customer_id": customers[one.phone],
                "import_id": import_id,
                "source": within,
                "external_id": str(n),
                "started_at": ended_at - timedelta(minutes=4),
                "ended_at": ended_at,
                "received_at": clock.now(),
                "answered": True,
                "talk_seconds": 180,
            }
            for n, one in enumerate(wanted)
        ],
    )


def _draws(campaign: Campaign, calls: Sequence[int]) -> list[int]:
    key = db.session.query(DrawKey).filter_by(campaign_id=campaign.id).one()
    drawn = {
        "campaign_id": campaign.id,
        "draw_key_id": key.id,
        "u": Decimal(0),
        "rate_numerator": 1,
        "rate_denominator": 1,
        "drawn": True,
        "reason": DrawReason.DRAWN,
        "decided_at": clock.now(),
    }
    return _inserted(Draw, [drawn | {"call_id": call_id} for call_id in calls])


def _surveys(
    campaign: Campaign,
    wanted: Sequence[Wanted],
    customers: dict[str, int],
    calls: Sequence[int],
    draws: Sequence[int],
    ended_at: datetime,
) -> list[int]:
    closing = {one.site.id: deadline(ended_at, one.site.calendar).closes_at for one in wanted}
    return _inserted(
        Survey,
        [
            {
                "call_id": call_id,
                "draw_id": draw_id,
                "campaign_id": campaign.id,
                "customer_id": customers[one.phone],
                "site_id": one.site.id,
                "rate_numerator": 1,
                "rate_denominator": 1,
                "deadline": one.deadline or closing[one.site.id],
                "calendar_version": table_version(),
                "language": "en",
                "channels": list(one.channels),
                "drawn_at": clock.now(),
                "plan_at": clock.now() if one.due_at is None else None,
            }
            for one, call_id, draw_id in zip(wanted, calls, draws, strict=True)
        ],
    )


def _planned(survey_id: int, one: Wanted) -> dict[str, Any]:
    return {
        "survey_id": survey_id,
        "ordinal": 1,
        "channel": one.channels[0],
        "state": AttemptState.PLANNED,
        "reason": "first",
        "due_at": one.due_at,
    }


def _inserted(model: type[Base], rows: list[dict[str, Any]]) -> list[int]:
    """Inserts the rows; their ids in the same order."""
    key = model.__table__.c.id
    return list(db.session.scalars(insert(model).returning(key, sort_by_parameter_order=True), rows))
