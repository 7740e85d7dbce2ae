"""Phone numbers: their one canonical form, where in the world they may ring, and how they are shown."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType
from phonenumbers import timezone as number_zones

from survey.errors import InputError

REFUSED_TYPES = {
    PhoneNumberType.TOLL_FREE: "is a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "is a premium-rate number",
    PhoneNumberType.SHARED_COST: "is a shared-cost number",
    PhoneNumberType.UAN: "is a company-wide number",
    PhoneNumberType.VOICEMAIL: "is a voicemail access number",
}


def canonical(raw: str, country: str) -> str:
    """The number as E.164. `country` (ISO 3166 alpha-2) applies where the number has no + prefix.

    Raises InputError for what cannot be a customer's own phone: unreadable, invalid, toll-free, premium and the like.
    """
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        raise InputError("is not a phone number", how="Give it as +, country code, number.") from None
    if not phonenumbers.is_valid_number(number):
        raise InputError("is not a valid phone number", how="Check its length and prefix.")
    kind = phonenumbers.number_type(number)
    if kind in REFUSED_TYPES:
        raise InputError(REFUSED_TYPES[kind], how="Give a number at which the customer can be reached.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=100_000)
def zones_of(e164: str) -> tuple[str, ...]:
    """Every time zone the number may be in, sorted; never empty for a number of a known country.

    Source: phonenumbers' time zone map; a number it calls Etc/Unknown is somewhere in its country,
    so it gets the country's zones.
    """
    number = phonenumbers.parse(e164)
    zones = _known(number_zones.time_zones_for_number(number))
    return zones or _country_zones(number)


def country_of(e164: str) -> str:
    """The number's country as ISO 3166 alpha-2; "ZZ" when it belongs to none."""
    return phonenumbers.region_code_for_number(phonenumbers.parse(e164)) or "ZZ"


def masked(e164: str) -> str:
    """The number as people may see it: country code and the last two digits."""
    number = phonenumbers.parse(e164)
    digits = str(number.national_number)
    return f"+{number.country_code} {'•' * (len(digits) - 2)}{digits[-2:]}"


def masked_email(address: str) -> str:
    """The address as people may see it: first letter and domain."""
    local, _, domain = address.partition("@")
    return f"{local[:1]}•••@{domain}"


def _known(zones: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(zone for zone in zones if zone != "Etc/Unknown"))


def _country_zones(number: PhoneNumber) -> tuple[str, ...]:
    prefix = PhoneNumber(country_code=number.country_code, national_number=0)
    return _known(number_zones.time_zones_for_geographical_number(prefix))
