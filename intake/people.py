"""Customers: their contacts made canonical, and one row per phone (or per email without a phone)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import func, or_, select, update

from intake.bulk import insert_many, is_any
from survey import phones
from survey.db import db
from survey.errors import InputError
from survey.models import Call, Customer
from survey.vault import email_index, phone_index

LONGEST_CONTACT = 320


@dataclass(frozen=True, slots=True)
class Contact:
    """How a customer can be reached, canonical: E.164 and a normalised address; None where not known."""

    phone: str | None = None
    email: str | None = None
    language: str | None = None
    relay: bool | None = None
    consents_to_calls: bool | None = None

    @property
    def usable(self) -> bool:
        return self.phone is not None or self.email is not None

    def over(self, older: Contact) -> Contact:
        """This contact, its gaps filled from an older one."""
        gaps = {name: getattr(older, name) for name in ATTRIBUTES if getattr(self, name) is None}
        return replace(self, **gaps)


ATTRIBUTES = ("phone", "email", "language", "relay", "consents_to_calls")


def canonical_phone(raw: str, country: str) -> tuple[str | None, str | None]:
    """(E.164, None), or (None, why not); never both. The fault never repeats the number."""
    if not raw:
        return None, None
    try:
        return phones.canonical(raw[:LONGEST_CONTACT], country), None
    except InputError as error:
        return None, f"phone: {error.what}"


def canonical_email(raw: str) -> tuple[str | None, str | None]:
    """(address, None), or (None, why not), by its form only: no look-up of its domain. The fault never repeats it."""
    if not raw:
        return None, None
    try:
        return validate_email(raw[:LONGEST_CONTACT], check_deliverability=False).normalized, None
    except EmailNotValidError:
        return None, "email: is not a valid email address"


def read_contact(phone: str, email: str, country: str) -> tuple[Contact, str | None]:
    """What of a phone and an email can be used, and why the rest cannot. `country` applies to numbers without a +."""
    number, phone_fault = canonical_phone(phone, country)
    address, email_fault = canonical_email(email)
    faults = "; ".join(fault for fault in (phone_fault, email_fault) if fault)
    return Contact(number, address), faults or None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made one call: the contact given with it, and when the call ended (a newer call knows better)."""

    contact: Contact
    ended_at: datetime
    external_id: str

    @property
    def key(self) -> bytes:
        """What makes two callers one customer."""
        if self.contact.phone is not None:
            return phone_index(self.contact.phone)
        return email_index(self.contact.email or "")


@dataclass(frozen=True, slots=True)
class _Stored:
    id: int
    email_index: bytes | None
    language: str | None
    relay: bool
    consents_to_calls: bool | None
    newest_call: datetime | None


def customer_ids(organisation_id: int, callers: Iterable[Caller]) -> dict[bytes, int]:
    """The customer of each caller by `Caller.key`, made or brought up to date where needed.

    What the customer's latest call says goes before what earlier ones said; an older call only fills gaps, and nothing
    known is erased. So the order in which files arrive makes no difference. The caller has taken its turn.
    """
    wanted = _latest(callers)
    stored = _stored(organisation_id, wanted)
    missing = {key: caller for key, caller in wanted.items() if key not in stored}
    _update({key: caller for key, caller in wanted.items() if key in stored}, stored)
    return {key: customer.id for key, customer in stored.items()} | _insert(organisation_id, missing)


def _latest(callers: Iterable[Caller]) -> dict[bytes, Caller]:
    merged: dict[bytes, Caller] = {}
    for caller in sorted(callers, key=lambda c: (c.ended_at, c.external_id)):
        before = merged.get(caller.key)
        merged[caller.key] = caller if before is None else replace(caller, contact=caller.contact.over(before.contact))
    return merged


def _stored(organisation_id: int, wanted: dict[bytes, Caller]) -> dict[bytes, _Stored]:
    if not wanted:
        return {}
    by_phone = [key for key, caller in wanted.items() if caller.contact.phone is not None]
    by_email = [key for key, caller in wanted.items() if caller.contact.phone is None]
    newest = select(func.max(Call.ended_at)).where(Call.customer_id == Customer.id).scalar_subquery()
    rows = db.session.execute(
        select(
            func.coalesce(Customer.phone_index, Customer.email_index),
            Customer.id,
            Customer.email_index,
            Customer.language,
            Customer.relay,
            Customer.consents_to_calls,
            newest,
        ).where(
            Customer.organisation_id == organisation_id,
            or_(
                is_any(Customer.phone_index, by_phone),
                Customer.phone_index.is_(None) & is_any(Customer.email_index, by_email),
            ),
        )
    )
    return {row[0]: _Stored(row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows}


def _insert(organisation_id: int, missing: dict[bytes, Caller]) -> dict[bytes, int]:
    if not missing:
        return {}
    rows = [_columns(caller.contact) | {"organisation_id": organisation_id} for caller in missing.values()]
    made: Sequence[Any] = insert_many(Customer, rows, "coalesce(phone_index, email_index), id")
    return {bytes(row[0]): row[1] for row in made}


def _columns(contact: Contact) -> dict[str, Any]:
    return {
        "phone": contact.phone,
        "phone_index": None if contact.phone is None else phone_index(contact.phone),
        "email": contact.email,
        "email_index": None if contact.email is None else email_index(contact.email),
        "language": contact.language,
        "relay": bool(contact.relay),
        "consents_to_calls": contact.consents_to_calls,
    }


def _update(known: dict[bytes, Caller], stored: dict[bytes, _Stored]) -> None:
    for key, caller in known.items():
        changes = _changes(caller, stored[key])
        if changes:
            db.session.execute(
                update(Customer)
                .where(Customer.id == stored[key].id)
                .values(**changes)
                .execution_options(synchronize_session=False)
            )


def _changes(caller: Caller, stored: _Stored) -> dict[str, Any]:
    """What the caller's contact says otherwise than the stored customer, as far as it knows better."""
    newer = stored.newest_call is None or caller.ended_at >= stored.newest_call
    given = caller.contact
    changes: dict[str, Any] = {}
    index = None if given.email is None else email_index(given.email)
    if index is not None and index != stored.email_index and (newer or stored.email_index is None):
        changes |= {"email": given.email, "email_index": index}
    if given.language not in (None, stored.language) and (newer or stored.language is None):
        changes["language"] = given.language
    if given.relay not in (None, stored.relay) and newer:
        changes["relay"] = given.relay
    if given.consents_to_calls not in (None, stored.consents_to_calls) and (newer or stored.consents_to_calls is None):
        changes["consents_to_calls"] = given.consents_to_calls
    return changes
