"""Customers: one row per phone (or per email without a phone), brought up to date by what their calls say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, func, or_, select, type_coerce, update

from intake.bulk import copy_rows, is_any, new_ids
from intake.call_rows import IncomingCall
from intake.journal import Journal
from intake.sealed import Contact
from survey.db import db
from survey.models import Call, Customer

_COLUMNS = (
    *("id", "organisation_id", "phone", "phone_index", "email", "email_index"),
    *("language", "relay", "consents_to_calls"),
)


class _Stored(NamedTuple):
    """A customer as stored; the email is sealed."""

    id: int
    email: str | None
    email_index: bytes | None
    language: str | None
    relay: bool
    consents_to_calls: bool | None
    newest_call: datetime | None


def customer_ids(
    organisation_id: int, calls: Sequence[IncomingCall], settled: Collection[str], journal: Journal
) -> dict[bytes, int]:
    """The customer of each call by its contact's key, made or brought up to date where needed.

    `settled` are the external ids of calls that have had their draw: what is said of them now changes no customer, or
    invitations could be led elsewhere afterwards.

    What the customer's latest call says goes before what earlier ones said; an older call only fills gaps, and nothing
    known is erased. The newest call need not say everything, so of older ones that fill the same gap the first to come
    in counts. The caller has taken its turn.
    """
    wanted = _latest(calls)
    telling = _latest(call for call in calls if call.external_id not in settled) if settled else wanted
    stored = _stored(organisation_id, wanted)
    ids = {key: customer.id for key, customer in stored.items()}
    missing = []
    for key, caller in wanted.items():
        customer, contact = stored.get(key), caller.contact
        assert contact is not None
        if customer is None:
            missing.append((key, contact))
        elif (teller := telling.get(key)) is not None and teller.contact is not None:
            _bring_up_to_date(customer, teller.contact, teller.ended_at, journal)
    return ids | _insert(organisation_id, missing)


def _latest(calls: Iterable[IncomingCall]) -> dict[bytes, IncomingCall]:
    """Each customer's latest call, its contact completed by what the others of these calls give."""
    merged: dict[bytes, IncomingCall] = {}
    for call in calls:
        contact = call.contact
        if contact is None:
            continue
        key = contact.key
        if key is None:
            continue
        if key in merged:
            older, newer = sorted((merged[key], call), key=lambda c: (c.ended_at, c.external_id))
            assert newer.contact is not None and older.contact is not None
            call = newer._replace(contact=newer.contact.over(older.contact))
        merged[key] = call
    return merged


def _stored(organisation_id: int, wanted: dict[bytes, IncomingCall]) -> dict[bytes, _Stored]:
    by_phone = [key for key, caller in wanted.items() if caller.contact and caller.contact.phone_index]
    by_email = [key for key, caller in wanted.items() if caller.contact and not caller.contact.phone_index]
    conditions = []
    if by_phone:
        conditions.append(is_any(Customer.phone_index, by_phone))
    if by_email:
        conditions.append(Customer.phone_index.is_(None) & is_any(Customer.email_index, by_email))
    if not conditions:
        return {}
    newest = select(func.max(Call.ended_at)).where(Call.customer_id == Customer.id).scalar_subquery()
    rows = db.session.execute(
        select(
            func.coalesce(Customer.phone_index, Customer.email_index),
            Customer.id,
            type_coerce(Customer.email, Text),
            Customer.email_index,
            Customer.language,
            Customer.relay,
            Customer.consents_to_calls,
            newest,
        ).where(Customer.organisation_id == organisation_id, or_(*conditions))
    )
    return {row[0]: _Stored(*row[1:]) for row in rows}


def _insert(organisation_id: int, missing: list[tuple[bytes, Contact]]) -> dict[bytes, int]:
    if not missing:
        return {}
    ids = new_ids(Customer, len(missing))
    rows = (
        (id, organisation_id, *contact[:5], bool(contact.relay), contact.consents_to_calls)
        for id, (_, contact) in zip(ids, missing, strict=True)
    )
    copy_rows(Customer, _COLUMNS, rows)
    return {key: id for id, (key, _) in zip(ids, missing, strict=True)}


def _bring_up_to_date(stored: _Stored, given: Contact, ended_at: datetime, journal: Journal) -> None:
    changes = _changes(given, ended_at, stored)
    if not changes:
        return
    journal.changed(Customer, stored.id, {name: getattr(stored, name) for name in changes})
    if "email" in changes:
        changes["email"] = type_coerce(changes["email"], Text)  # sealed already
    db.session.execute(
        update(Customer).where(Customer.id == stored.id).values(**changes).execution_options(synchronize_session=False)
    )


def _changes(given: Contact, ended_at: datetime, stored: _Stored) -> dict[str, Any]:
    """What the contact of a call says otherwise than the stored customer, as far as it knows better."""
    newer = stored.newest_call is None or ended_at >= stored.newest_call
    changes: dict[str, Any] = {}
    index = given.email_index
    if index is not None and index != stored.email_index and (newer or stored.email_index is None):
        changes |= {"email": given.email, "email_index": index}
    if given.language not in (None, stored.language) and (newer or stored.language is None):
        changes["language"] = given.language
    if given.relay not in (None, stored.relay) and newer:
        changes["relay"] = given.relay
    if given.consents_to_calls not in (None, stored.consents_to_calls) and (newer or stored.consents_to_calls is None):
        changes["consents_to_calls"] = given.consents_to_calls
    return changes
