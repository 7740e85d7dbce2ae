"""Customers: one row per phone (or per email without a phone), brought up to date by what their calls say."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, func, null, or_, select, true, type_coerce, update

from intake.bulk import copy_rows, is_any, new_ids
from intake.call_rows import IncomingCall
from intake.journal import Journal
from intake.sealed import Contact
from survey.db import db
from survey.models import Call, Customer

_COLUMNS = (
    *("id", "organisation_id", "phone", "phone_index", "email", "email_index"),
    *("language", "relay", "consents_to_calls", "said_by"),
)
# What calls say of a customer: the field that says it, and the columns that keep it.
_SAID = {
    "email_index": ("email", "email_index"),
    "language": ("language",),
    "relay": ("relay",),
    "consents_to_calls": ("consents_to_calls",),
}

# When a call ended, its id, and the stamp of its record: the later one knows better.
Order = tuple[datetime, str, str]


class _Told(NamedTuple):
    """What some calls say of one customer: the latest of them, and of each field the latest that says it.

    `apart` is None where all is said by the latest.
    """

    newest: Order
    contact: Contact
    apart: Mapping[str, Order] | None

    @property
    def by(self) -> Mapping[str, Order]:
        return dict.fromkeys(_fields(self.contact), self.newest) if self.apart is None else self.apart


class _Stored(NamedTuple):
    """A customer as stored (the email is sealed), and their latest call."""

    id: int
    email: str | None
    email_index: bytes | None
    language: str | None
    relay: bool
    consents_to_calls: bool | None
    said_by: dict[str, Any] | None
    newest_end: datetime | None
    newest_id: str | None
    newest_stamp: datetime | None

    @property
    def newest(self) -> Order | None:
        return None if self.newest_end is None else _as_order(self.newest_end, self.newest_id or "", self.newest_stamp)

    def said(self, field: str) -> Order | None:
        """The order of the call that said what is stored of a field; None where none did."""
        if given := (self.said_by or {}).get(field):
            return datetime.fromisoformat(given[0]), given[1], given[2]
        # A relay nobody spoke of is stored as "no"; where a call said no, it is noted.
        said = self.relay if field == "relay" else getattr(self, field) is not None
        return self.newest if said else None


def customer_ids(
    organisation_id: int, calls: Sequence[IncomingCall], settled: Collection[str], journal: Journal
) -> dict[bytes, int]:
    """The customer of each call by its contact's key, made or brought up to date where needed.

    `settled` are the external ids of calls that have had their draw: what is said of them now changes no customer, or
    invitations could be led elsewhere afterwards.

    Of each field the latest call that says anything of it counts, and nothing known is erased. So the order in which
    files arrive makes no difference. The caller has taken its turn.
    """
    wanted = _told(calls)
    telling = _told(call for call in calls if call.external_id not in settled) if settled else wanted
    stored = _stored(organisation_id, wanted)
    ids = {key: customer.id for key, customer in stored.items()}
    missing = []
    for key, told in wanted.items():
        customer = stored.get(key)
        if customer is None:
            missing.append((key, told))
        elif (teller := telling.get(key)) is not None:
            _bring_up_to_date(customer, teller, journal)
    return ids | _insert(organisation_id, missing)


def _told(calls: Iterable[IncomingCall]) -> dict[bytes, _Told]:
    by_key: dict[bytes, list[IncomingCall]] = {}
    for call in calls:
        if call.contact is not None and (key := call.contact.key) is not None:
            by_key.setdefault(key, []).append(call)
    return {key: _together(calls) for key, calls in by_key.items()}


def _together(calls: list[IncomingCall]) -> _Told:
    if len(calls) == 1:  # as it mostly is
        (call,) = calls
        assert call.contact is not None
        return _Told(_order(call), call.contact, None)
    calls.sort(key=_order)
    contact, by = Contact(), dict[str, Order]()
    for call in calls:
        assert call.contact is not None
        contact = call.contact.over(contact)
        by |= dict.fromkeys(_fields(call.contact), _order(call))
    return _Told(_order(calls[-1]), contact, by)


def _fields(said: Contact) -> list[str]:
    return [field for field in _SAID if getattr(said, field) is not None]


def _order(call: IncomingCall) -> Order:
    return _as_order(call.ended_at, call.external_id, call.recorded_at)


def _as_order(ended_at: datetime, external_id: str, recorded_at: datetime | None) -> Order:
    return ended_at, external_id, "" if recorded_at is None else recorded_at.isoformat()


def _stored(organisation_id: int, wanted: Mapping[bytes, _Told]) -> dict[bytes, _Stored]:
    by_phone = [key for key, told in wanted.items() if told.contact.phone_index]
    by_email = [key for key, told in wanted.items() if not told.contact.phone_index]
    conditions = []
    if by_phone:
        conditions.append(is_any(Customer.phone_index, by_phone))
    if by_email:
        conditions.append(Customer.phone_index.is_(None) & is_any(Customer.email_index, by_email))
    if not conditions:
        return {}
    latest = (
        select(Call.ended_at, Call.external_id, Call.recorded_at)
        .where(Call.customer_id == Customer.id)
        .order_by(Call.ended_at.desc(), Call.external_id.collate("C").desc())
        .limit(1)
        .lateral()
    )
    rows = db.session.execute(
        select(
            func.coalesce(Customer.phone_index, Customer.email_index),
            Customer.id,
            type_coerce(Customer.email, Text),
            Customer.email_index,
            Customer.language,
            Customer.relay,
            Customer.consents_to_calls,
            Customer.said_by,
            *latest.c,
        )
        .select_from(Customer)
        .outerjoin(latest, true())
        .where(Customer.organisation_id == organisation_id, or_(*conditions))
    )
    return {row[0]: _Stored(*row[1:]) for row in rows}


def _insert(organisation_id: int, missing: Sequence[tuple[bytes, _Told]]) -> dict[bytes, int]:
    if not missing:
        return {}
    ids = new_ids(Customer, len(missing))
    rows = (
        (id, organisation_id, *told.contact[:5], bool(told.contact.relay), told.contact.consents_to_calls, _first(told))
        for id, (_, told) in zip(ids, missing, strict=True)
    )
    copy_rows(Customer, _COLUMNS, rows)
    return {key: id for id, (key, _) in zip(ids, missing, strict=True)}


def _first(told: _Told) -> str | None:
    """The `said_by` of a customer who is new."""
    if told.apart is None and told.contact.relay is not False:
        return None
    noted = _noted(told.by, told.newest, told.contact.relay)
    return json.dumps(noted) if noted else None


def _noted(by: Mapping[str, Order], newest: Order, relay: bool | None) -> dict[str, Any] | None:
    """What has to be remembered of who said what: all that the latest call did not say, and a "no" to relay."""
    apart = {field for field, order in by.items() if order != newest} | ({"relay"} if relay is False else set())
    return {field: [by[field][0].isoformat(), *by[field][1:]] for field in sorted(apart & by.keys())} or None


def _bring_up_to_date(stored: _Stored, told: _Told, journal: Journal) -> None:
    changes = _changes(stored, told)
    if not changes:
        return
    journal.changed(Customer, stored.id, {name: getattr(stored, name) for name in changes})
    if "email" in changes:
        changes["email"] = type_coerce(changes["email"], Text)  # sealed already
    if changes.get("said_by", ...) is None:
        changes["said_by"] = null()
    db.session.execute(
        update(Customer).where(Customer.id == stored.id).values(**changes).execution_options(synchronize_session=False)
    )


def _changes(stored: _Stored, told: _Told) -> dict[str, Any]:
    """What the calls say otherwise than the stored customer, as far as they know better."""
    by = {field: order for field in _SAID if (order := stored.said(field)) is not None}
    better = [field for field, order in told.by.items() if field not in by or order >= by[field]]
    by |= {field: told.by[field] for field in better}
    changes: dict[str, Any] = {}
    for field in better:
        if getattr(told.contact, field) != getattr(stored, field):
            changes |= {column: getattr(told.contact, column) for column in _SAID[field]}
    newest = told.newest if stored.newest is None else max(stored.newest, told.newest)
    said_by = _noted(by, newest, changes.get("relay", stored.relay) if "relay" in by else None)
    return changes if said_by == stored.said_by else changes | {"said_by": said_by}
