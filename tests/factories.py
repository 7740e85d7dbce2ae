"""Rows for tests: each factory makes one valid row with everything it hangs on, and takes any column by name."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from survey import clock, vault
from survey.calendars import deadline, table_version
from survey.db import db
from survey.models import (
    Agent,
    Assignment,
    Attempt,
    AttemptState,
    Call,
    Campaign,
    CampaignState,
    Channel,
    Customer,
    Draw,
    DrawKey,
    DrawReason,
    ImportKind,
    ImportRecord,
    Organisation,
    Site,
    Supervisor,
    Survey,
)

Row = TypeVar("Row")
_numbers = itertools.count(1)
# Area codes whose only time zone is New York's, so that a test's hours do not depend on how many rows were made before.
NEW_YORK_TIME = (
    *(201, 202, 203, 207, 212, 215, 216, 229, 239, 240, 248, 252, 267, 276, 301, 302, 304, 305, 313, 315, 321, 330),
    *(336, 339, 347, 351, 352, 386, 401, 404, 407, 410, 412, 413, 419, 434, 440, 443, 475, 478, 484, 502, 508, 513),
    *(516, 517, 518, 540, 551, 561, 567, 570, 571, 585, 586, 603, 607, 609, 610, 614, 616, 617, 631, 646, 678, 703),
    *(704, 706, 716, 717, 718, 724, 727, 732, 734, 740, 754, 757, 770, 772, 774, 781, 786, 802, 803, 804, 813, 814),
)
LONG_AGO = date(2015, 1, 1)


def organisation(**given: Any) -> Organisation:
    n = next(_numbers)
    return _added(
        Organisation(
            **{
                "key": f"org{n}",
                "name": f"Acme {n}",
                "country": "US",
                "phone": "+12125550100",
                "postal_address": "1 Example Street",
                "privacy_url": "https://example.com/privacy",
            }
            | given
        )
    )


def site(**given: Any) -> Site:
    n = next(_numbers)
    owner = given.pop("organisation", None) or organisation()
    return _added(
        Site(
            **{
                "organisation_id": owner.id,
                "key": f"site{n}",
                "name": f"Site {n}",
                "time_zone": "America/New_York",
                "country": "US",
                "closed_days": [],
                "opened_days": [],
            }
            | given
        )
    )


def supervisor(owner: Organisation, **given: Any) -> Supervisor:
    n = next(_numbers)
    return _added(Supervisor(**{"organisation_id": owner.id, "key": f"sup{n}", "name": f"Supervisor {n}"} | given))


def agent(place: Site, leader: Supervisor | None = None, **given: Any) -> Agent:
    """An agent assigned to `place` (and `leader`) since long ago."""
    n = next(_numbers)
    row = _added(Agent(**{"organisation_id": place.organisation_id, "key": f"agent{n}", "name": f"Agent {n}"} | given))
    _added(
        Assignment(
            agent_id=row.id, supervisor_id=None if leader is None else leader.id, site_id=place.id, starts_on=LONG_AGO
        )
    )
    return row


def customer(owner_id: int, phone: str | None = "", email: str | None = "", **given: Any) -> Customer:
    """A customer with a fictional phone and email of their own unless told otherwise (None = has none)."""
    n = next(_numbers)
    code = NEW_YORK_TIME[n // 100 % len(NEW_YORK_TIME)]
    phone = f"+1{code}55501{n % 100:02d}" if phone == "" else phone
    email = f"customer{n}@example.com" if email == "" else email
    return _added(
        Customer(
            **{
                "organisation_id": owner_id,
                "phone": phone,
                "phone_index": None if phone is None else vault.phone_index(phone),
                "email": email,
                "email_index": None if email is None else vault.email_index(email),
                "language": "en",
            }
            | given
        )
    )


def import_record(owner_id: int, **given: Any) -> ImportRecord:
    return _added(
        ImportRecord(
            **{
                "organisation_id": owner_id,
                "kind": ImportKind.CALLS,
                "file_name": "calls.csv",
                "sha256": "0" * 64,
                "started_at": clock.now(),
                "actor": "test",
            }
            | given
        )
    )


def call(handled_by: Agent | None = None, place: Site | None = None, *, uncertain: bool = False, **given: Any) -> Call:
    """An answered three-minute call that ended an hour ago.

    `uncertain`: several agents handled it, and its legs do not say who was the last.
    """
    n = next(_numbers)
    place = place or site()
    ended_at = given.pop("ended_at", clock.now() - timedelta(hours=1))
    owner_id = place.organisation_id
    caller = given.pop("customer", ...)
    caller = customer(owner_id) if caller is ... else caller
    return _added(
        Call(
            **{
                "organisation_id": owner_id,
                "site_id": place.id,
                "agent_id": None if uncertain else (handled_by or agent(place)).id,
                "agent_uncertain": uncertain,
                "customer_id": None if caller is None else caller.id,
                "import_id": given.pop("import_id", None) or import_record(owner_id).id,
                "source": "test",
                "external_id": f"call{n}",
                "started_at": ended_at - timedelta(minutes=4),
                "ended_at": ended_at,
                "received_at": clock.now(),
                "answered": True,
                "talk_seconds": 180,
            }
            | given
        )
    )


def campaign(places: list[Site] | None = None, *, launched: bool = True, **given: Any) -> Campaign:
    """An active campaign over `places`, launched a month ago at a rate of 1 in 2, with its draw key published."""
    n = next(_numbers)
    places = places or [site()]
    now = clock.now()
    launched_at = now - timedelta(days=30)
    row = _added(
        Campaign(
            **{
                "organisation_id": places[0].organisation_id,
                "key": f"campaign{n}",
                "name": f"Campaign {n}",
                "state": CampaignState.ACTIVE if launched else CampaignState.DRAFT,
                "launched_at": launched_at if launched else None,
                "starts_on": launched_at.date(),
                "ends_on": launched_at.date() + timedelta(days=365),
                "rate_numerator": 1,
                "rate_denominator": 2,
                "languages": ["en", "es", "fr"],
                "caller_id": "+12125550100",
                # So wide that only tests which ask for it are paced.
                "calls_per_second": 100,
                "live_calls": 10_000,
                "emails_per_minute": 60_000,
            }
            | given
        )
    )
    row.sites = places
    if launched:
        draw_key(row, published_at=launched_at)
    return row


def draw_key(of: Campaign, key: bytes = b"k" * 32, **given: Any) -> DrawKey:
    return _added(
        DrawKey(
            **{
                "campaign_id": of.id,
                "sha256": hashlib.sha256(key).hexdigest(),
                "key_hex": key.hex(),
                "published_at": clock.now(),
            }
            | given
        )
    )


def draw(of: Call, within: Campaign, **given: Any) -> Draw:
    """A draw that drew the call (u = 0)."""
    key = db.session.query(DrawKey).filter_by(campaign_id=within.id).one_or_none() or draw_key(within)
    return _added(
        Draw(
            **{
                "call_id": of.id,
                "campaign_id": within.id,
                "draw_key_id": key.id,
                "u": Decimal(0),
                "rate_numerator": within.rate_numerator,
                "rate_denominator": within.rate_denominator,
                "drawn": True,
                "reason": DrawReason.DRAWN,
                "decided_at": clock.now(),
            }
            | given
        )
    )


def survey(of: Call | None = None, within: Campaign | None = None, **given: Any) -> Survey:
    """An open survey about `of`, drawn just now, everything frozen as the draw would."""
    place = db.session.get(Site, of.site_id) if of is not None else (within.sites[0] if within else site())
    assert place is not None
    leader = given.pop("supervisor", None) or supervisor(place.organisation)
    of = of or call(agent(place, leader), place)
    within = within or campaign([place])
    return _added(
        Survey(
            **{
                "call_id": of.id,
                "draw_id": draw(of, within).id,
                "campaign_id": within.id,
                "customer_id": of.customer_id,
                "agent_id": of.agent_id,
                "supervisor_id": None if of.agent_uncertain else leader.id,
                "site_id": place.id,
                "rate_numerator": within.rate_numerator,
                "rate_denominator": within.rate_denominator,
                "deadline": deadline(of.ended_at, place.calendar).closes_at,
                "calendar_version": table_version(),
                "language": "en",
                "channels": ["ivr", "web"],
                "drawn_at": clock.now(),
                "plan_at": clock.now(),
            }
            | given
        )
    )


def attempt(of: Survey | None = None, channel: Channel = Channel.IVR, **given: Any) -> Attempt:
    """A planned attempt due now; give `state` for another, `started_at` and the like follow."""
    of = of or survey()
    state = given.get("state", AttemptState.PLANNED)
    started = {} if state in (AttemptState.PLANNED, AttemptState.QUEUED) else {"started_at": clock.now()}
    ordinal = db.session.query(Attempt).filter_by(survey_id=of.id).count() + 1
    return _added(
        Attempt(**{"survey_id": of.id, "ordinal": ordinal, "channel": channel, "due_at": clock.now()} | started | given)
    )


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def _added(row: Row) -> Row:
    db.session.add(row)
    db.session.flush()
    return row
