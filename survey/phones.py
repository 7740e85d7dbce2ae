"""Phone numbers: their one canonical form, where in the world they may ring, and how they are shown."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, shortnumberinfo
from phonenumbers import timezone as number_zones

from survey.errors import InputError

REFUSED_TYPES = {
    PhoneNumberType.TOLL_FREE: "is a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "is a premium-rate number",
    PhoneNumberType.SHARED_COST: "is a shared-cost number",
    PhoneNumberType.UAN: "is a company-wide number",
    PhoneNumberType.VOICEMAIL: "is a voicemail access number",
    # Led on to wherever its owner is, so no hour is known to be decent there: +1 500 and 521 to 588, +44 70.
    PhoneNumberType.PERSONAL_NUMBER: "is a personal number, which may ring anywhere",
    PhoneNumberType.PAGER: "is a pager's number",
}
# Whoever has one may still ask to be left alone.
MAY_BE_LEFT_ALONE = {PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER}
_LETTER = re.compile(r"[^\W\d_]")
_SCHEME = re.compile(r"\s*tel:", re.IGNORECASE)
_EXTENSION = re.compile(r"[^\W\d_]+[.:=]?\s*\d+#?\s*$")
# The most digits of a text message's short code, the longest short number that people write where a phone is asked for.
LONGEST_SHORT = 6
# Two dozen countries share this calling code; of these two alone an area code is but a part.
_SHARED, _BY_AREA = 1, {"US", "CA", None}


def canonical(raw: str, country: str) -> str:
    """The number as E.164. `country` (ISO 3166 alpha-2) applies where the number has no + prefix.

    Raises InputError for what cannot be a customer's own phone: unreadable, short, invalid, toll-free, premium and the
    like, personal numbers and pagers; for a number with letters, since an O is no 0, and read as on a telephone's keys
    it would be somebody else's; and for one with an extension. Without it a call would reach the switchboard, so
    somebody else, and two people of one company would pass for one customer.
    """
    number, kind = _readable(raw, country)
    _check_kind(kind)
    if number.extension is not None:
        raise InputError("has an extension", how="Give a number that rings the customer's own phone.")
    return _as_e164(number)


def to_leave_alone(raw: str, country: str) -> tuple[str, bool]:
    """(The number as E.164, whether it had an extension) of a phone whose owner must not be called.

    A call to the number would reach the house of whoever is behind the extension, so the whole number is meant. Raises
    InputError as `canonical` does, but neither for an extension nor for a personal number or a pager.
    """
    number, kind = _readable(raw, country)
    if kind not in MAY_BE_LEFT_ALONE:
        _check_kind(kind)
    return _as_e164(number), number.extension is not None


def _readable(raw: str, country: str) -> tuple[PhoneNumber, int]:
    """(A valid number, its kind); the kind and an extension are for the caller to judge."""
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        raise InputError("is not a phone number", how="Give it as +, country code, number.") from None
    if _LETTER.search(raw) and _has_letters(raw, number):
        raise InputError("has letters in it", how="Give it in digits alone.")
    # A million rows come through here. The kind is unknown just where the number is not valid, so it is asked once.
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        raise _not_valid(number)
    return number, kind


def _has_letters(raw: str, number: PhoneNumber) -> bool:
    """Whether it has other letters than those of "tel:" and of a word for its extension."""
    rest = _SCHEME.sub("", raw, count=1) if _SCHEME.match(raw) else raw
    return bool(_LETTER.search(_EXTENSION.sub("", rest) if number.extension is not None else rest))


def _check_kind(kind: int) -> None:
    if kind in REFUSED_TYPES:
        raise InputError(REFUSED_TYPES[kind], how="Give a number at which the customer can be reached.")


def _as_e164(number: PhoneNumber) -> str:
    """Without phonenumbers' formatting rules, which E.164 does not need and which take time."""
    return f"+{number.country_code}{phonenumbers.national_significant_number(number)}"


@lru_cache(maxsize=100_000)
def zones_of(e164: str) -> tuple[str, ...]:
    """Every time zone the number may be in, sorted; never empty for a number of a known country.

    Source: phonenumbers' time zone map; a number it calls Etc/Unknown is somewhere in its country,
    so it gets the country's zones. So do mobiles of countries that share +1 with the United States and Canada: by their
    calling code alone they would be anywhere from Guam to Newfoundland, and no hour would suit.
    """
    number = phonenumbers.parse(e164)
    if number.country_code == _SHARED and phonenumbers.region_code_for_number(number) not in _BY_AREA:
        return _known(number_zones.time_zones_for_geographical_number(number))
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


def _not_valid(number: PhoneNumber) -> InputError:
    """Why a number that is not valid is not: it is short, like those of emergencies and text messages, or wrong."""
    digits = len(phonenumbers.national_significant_number(number))
    like_a_short_one = digits <= LONGEST_SHORT and shortnumberinfo.is_possible_short_number(number)
    if like_a_short_one or shortnumberinfo.is_valid_short_number(number):
        return InputError("is a short number", how="Give the customer's whole number, with its area code.")
    return InputError("is not a valid phone number", how="Check its length and prefix.")


def _known(zones: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(zone for zone in zones if zone != "Etc/Unknown"))


def _country_zones(number: PhoneNumber) -> tuple[str, ...]:
    prefix = PhoneNumber(country_code=number.country_code, national_number=0)
    return _known(number_zones.time_zones_for_geographical_number(prefix))
