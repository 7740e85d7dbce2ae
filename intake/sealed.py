"""How a customer can be reached: phone and email made canonical, sealed and indexed, so that nobody need see them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

from survey import phones
from survey.errors import InputError
from survey.vault import email_index, phone_index, vault

LONGEST_CONTACT = 320
# Customers who call again mostly do so soon: their numbers need not be read and sealed a second time.
REMEMBERED = 50_000


class Contact(NamedTuple):
    """Phone and email sealed, each with its index; None where not known."""

    phone: str | None = None
    phone_index: bytes | None = None
    email: str | None = None
    email_index: bytes | None = None
    language: str | None = None
    relay: bool | None = None
    consents_to_calls: bool | None = None

    @property
    def key(self) -> bytes | None:
        """What makes two contacts one customer: the phone, or the email where there is none. None: neither is known."""
        return self.phone_index or self.email_index


class _Phone(NamedTuple):
    sealed: str | None
    found_by: bytes | None
    own: bool
    fault: str | None


class Sealer:
    """Reads contacts of one import. `own_numbers` are beginnings, in E.164, of the centre's own and test numbers."""

    def __init__(self, own_numbers: Sequence[str] = ()) -> None:
        self._own = tuple(own_numbers)
        self.phone = lru_cache(maxsize=REMEMBERED)(self._phone)
        self.email = lru_cache(maxsize=REMEMBERED)(self._email)

    def contact(self, phone: str, email: str, country: str) -> tuple[Contact, str | None, bool]:
        """What of a phone and an email can be used, why the rest cannot, and whether the number is the centre's own.

        `country` applies to numbers without a +. The reason never repeats the contact.
        """
        number = self.phone(phone, country) if phone else _NO_PHONE
        if not email:
            return Contact(number.sealed, number.found_by), number.fault, number.own
        sealed, index, email_fault = self.email(email)
        faults = "; ".join(fault for fault in (number.fault, email_fault) if fault)
        return Contact(number.sealed, number.found_by, sealed, index), faults or None, number.own

    def _phone(self, raw: str, country: str) -> _Phone:
        number, fault = canonical_phone(raw, country)
        if number is None:
            return _Phone(None, None, False, fault)
        return _Phone(vault().seal(number), phone_index(number), number.startswith(self._own), None)

    def _email(self, raw: str) -> tuple[str | None, bytes | None, str | None]:
        address, fault = canonical_email(raw)
        if address is None:
            return None, None, fault
        return vault().seal(address), email_index(address), None


_NO_PHONE = _Phone(None, None, False, None)


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
