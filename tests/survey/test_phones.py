"""Phone numbers: canonical form, why a number is refused, zones, masks."""

from __future__ import annotations

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from survey import phones
from survey.errors import InputError
from tests.factories import utc

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@pytest.mark.parametrize("raw", ["(212) 555-0123", "+1 212-555-0123", "1 212 555 0123", "2125550123"])
def test_spellings_of_one_number_are_one_number(raw: str) -> None:
    assert phones.canonical(raw, "US") == "+12125550123"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("call me", "is not a phone number"),
        ("", "is not a phone number"),
        ("1", "is not a phone number"),
        ("12", "is not a valid phone number"),
        ("555-0123", "is not a valid phone number"),
        ("212 555 01", "is not a valid phone number"),
        ("212 555 01234", "is not a valid phone number"),
        ("+1 800 555 0100", "is a toll-free number"),
        ("+44 906 600 0000", "is a premium-rate number"),
        ("+33 810 55 01 00", "is a shared-cost number"),
        ("+44 55 5555 0100", "is a company-wide number"),
        ("+1 500 555 0100", "is a personal number, which may ring anywhere"),
        ("521 555 0100", "is a personal number, which may ring anywhere"),
        ("+44 70 0555 0100", "is a personal number, which may ring anywhere"),
        ("+44 76 4055 0100", "is a pager's number"),
    ],
)
def test_what_cannot_be_a_customers_phone_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        phones.canonical(raw, "US")
    assert refused.value.what == reason
    assert not any(digit in str(refused.value) for digit in "0123456789"), "the number itself is never told"


@pytest.mark.parametrize(
    "raw",
    [
        *("212555O1OO", "212555O1OO ext 5", "O212 555 0100", "l212 555 0100", "212 555 0100l", "+1 212 555 O100"),
        *("1-800-FLOWERS", "212 555 CALL", "212 555 0100 home", "home: 212 555 0100"),
    ],
)
def test_letters_among_the_digits_are_refused_not_read_as_keys(raw: str) -> None:
    """phonenumbers reads 212555O1OO as the keys with these letters on them: +12125556166, somebody else."""
    for read in (phones.canonical, phones.to_leave_alone):
        with pytest.raises(InputError) as refused:
            read(raw, "US")
        assert refused.value.what == "has letters in it"


@pytest.mark.parametrize("raw", ["tel:+12125550100", "TEL:212-555-0100", "tel:+1-212-555-0100"])
def test_the_scheme_of_a_number_is_no_letter_of_it(raw: str) -> None:
    assert phones.canonical(raw, "US") == "+12125550100"


@pytest.mark.parametrize("word", [" ext 5", " ext. 5", "x5", " extension 5", ";ext=5", " X 5", " anexo 5"])
def test_the_words_for_an_extension_are_no_letters_of_the_number(word: str) -> None:
    for scheme in ("", "tel:"):
        assert phones.to_leave_alone(f"{scheme}+12125550100{word}", "US") == ("+12125550100", True)


@pytest.mark.parametrize(
    ("raw", "country"),
    [
        *(("911", "US"), ("311", "US"), ("411", "US"), ("988", "US"), ("12345", "US"), ("55512", "US")),
        *(("999", "GB"), ("112", "GB"), ("60066", "GB"), ("110", "DE"), ("17", "FR"), ("000", "AU"), ("100", "IN")),
        *(("+1911", "GB"), ("9-1-1", "US"), ("911 ext 5", "US"), ("55555", "DE"), ("1911", "US")),
    ],
)
def test_short_numbers_have_a_reason_of_their_own(raw: str, country: str) -> None:
    with pytest.raises(InputError) as refused:
        phones.canonical(raw, country)
    assert refused.value.what == "is a short number"


def test_a_number_that_lost_a_digit_is_not_called_short() -> None:
    """India has short numbers of nine digits, the length of an Indian number with one digit missing."""
    for raw, country in (("987654321", "IN"), ("020 7946 012", "GB"), ("555-0123", "US")):
        with pytest.raises(InputError) as refused:
            phones.canonical(raw, country)
        assert refused.value.what == "is not a valid phone number", raw


@pytest.mark.parametrize(
    "raw", ["212-555-0100 ext 5", "212-555-0100 x5", "+1 212 555 0100;ext=5", "212-555-0100,5", "212-555-0100 #5"]
)
def test_a_number_with_an_extension_is_refused(raw: str) -> None:
    """Without the extension it would be the switchboard's, and one number for everybody behind it."""
    with pytest.raises(InputError) as refused:
        phones.canonical(raw, "US")
    assert refused.value.what == "has an extension"


@pytest.mark.parametrize(
    ("raw", "extension"), [("212-555-0100 ext 5", True), ("212-555-0100", False), ("+1 212 555 0100;ext=5", True)]
)
def test_a_number_to_leave_alone_is_the_whole_one(raw: str, extension: bool) -> None:
    assert phones.to_leave_alone(raw, "US") == ("+12125550100", extension)
    with pytest.raises(InputError, match="toll-free"):
        phones.to_leave_alone("+1 800 555 0100 x5", "US")


@pytest.mark.parametrize("raw", ["+1 500 555 0100", "+44 70 0555 0100", "+44 76 4055 0100 ext 5"])
def test_whoever_has_a_number_that_is_never_called_may_ask_to_be_left_alone(raw: str) -> None:
    assert phones.to_leave_alone(raw, "US")[0] == "+" + "".join(filter(str.isdigit, raw.partition(" ext")[0]))


def test_every_kind_of_number_is_either_taken_or_refused_by_a_reason() -> None:
    """phonenumbers' kinds; whoever adds one finds it here. VOIP numbers ring a person like any other telephone."""
    kinds = {name: kind for name, kind in vars(PhoneNumberType).items() if isinstance(kind, int)}
    taken = {name for name, kind in kinds.items() if kind not in phones.REFUSED_TYPES}
    assert taken == {"FIXED_LINE", "MOBILE", "FIXED_LINE_OR_MOBILE", "VOIP", "UNKNOWN"}
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in kinds.values():
            given = phonenumbers.example_number_for_type(region, kind)
            if given is not None:
                raw = phonenumbers.format_number(given, PhoneNumberFormat.E164)
                known = phonenumbers.number_type(given)
                assert (shortly(raw, region) is None) is (known in phones.REFUSED_TYPES), (raw, known)


def test_what_is_wrong_with_the_number_goes_before_its_extension() -> None:
    with pytest.raises(InputError, match="toll-free"):
        phones.canonical("+1 800 555 0100 x5", "US")


@pytest.mark.parametrize(
    ("raw", "country", "canonical"),
    [
        ("020 7946 0123", "GB", "+442079460123"),
        ("+44 (0)20 7946 0123", "US", "+442079460123"),
        ("06 6982 1234", "IT", "+390669821234"),
        ("+881 6 12345678", "US", "+881612345678"),
    ],
)
def test_numbers_of_other_countries(raw: str, country: str, canonical: str) -> None:
    assert phones.canonical(raw, country) == canonical


def by_the_book(raw: str, country: str) -> str | None:
    """E.164 of a valid number that may be a customer's, as phonenumbers' own functions have it, one after the other."""
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) in phones.REFUSED_TYPES:
        return None
    return None if number.extension else phonenumbers.format_number(number, PhoneNumberFormat.E164)


def shortly(raw: str, country: str) -> str | None:
    try:
        return phones.canonical(raw, country)
    except InputError:
        return None


def test_the_kind_is_unknown_just_where_the_number_is_not_valid() -> None:
    """canonical asks for the kind alone. 15,000 numbers of every calling code, a third of them near valid ones."""
    chance = random.Random(2026)
    seen = {True: 0, False: 0}
    for number in (_any_number(chance) for _ in range(15_000)):
        valid = phonenumbers.is_valid_number(number)
        assert (phonenumbers.number_type(number) != PhoneNumberType.UNKNOWN) is valid, number
        seen[valid] += 1
    assert min(seen.values()) > 2_000, seen


def _any_number(chance: random.Random) -> PhoneNumber:
    code = chance.choice(CODES)
    region = chance.choice(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code])
    example = phonenumbers.example_number(region)
    if example is not None and chance.random() < 0.5:
        near = int(example.national_number) + chance.randrange(-9_999, 10_000)
        return PhoneNumber(
            country_code=code, national_number=abs(near), italian_leading_zero=example.italian_leading_zero
        )
    digits = chance.randrange(1, 14)
    zero = chance.random() < 0.05 or None
    return PhoneNumber(country_code=code, national_number=chance.randrange(10**digits), italian_leading_zero=zero)


@settings(max_examples=300, deadline=None)
@given(
    raw=some.one_of(
        some.from_regex(r"\A[+0-9(][0-9 ().x;/-]{0,18}\Z"),
        some.builds(lambda code, rest: f"+{code}{rest}", some.sampled_from(CODES), some.integers(0, 10**12)),
        some.text(max_size=20),
    ),
    country=some.sampled_from(["US", "GB", "IT", "DE", "IN", "AR", "MX", "ZZ"]),
)
def test_whatever_is_written_comes_to_what_phonenumbers_makes_of_it(raw: str, country: str) -> None:
    if any(letter.isalpha() for letter in raw):
        assert shortly(raw, country) in (None, by_the_book(raw, country))
    else:
        assert shortly(raw, country) == by_the_book(raw, country)


def test_zones_of_a_number() -> None:
    assert phones.zones_of("+12125550123") == ("America/New_York",)
    assert phones.zones_of("+442079460123") == ("Europe/London",)


def test_a_number_without_known_zone_gets_its_countrys_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones.number_zones, "time_zones_for_number", lambda number: ("Etc/Unknown",))
    phones.zones_of.cache_clear()
    zones = phones.zones_of("+12125550123")
    phones.zones_of.cache_clear()
    assert {"America/New_York", "America/Los_Angeles", "Pacific/Honolulu"} <= set(zones)


def example(region: str, kind: int) -> str:
    """phonenumbers' own example of a number, as E.164."""
    found = phonenumbers.example_number_for_type(region, kind)
    assert found is not None and phonenumbers.number_type(found) == kind
    return phonenumbers.format_number(found, PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    ("region", "kind", "zone"),
    [
        ("BM", PhoneNumberType.MOBILE, "Atlantic/Bermuda"),
        ("AG", PhoneNumberType.MOBILE, "America/Antigua"),
        ("JM", PhoneNumberType.MOBILE, "America/Jamaica"),
        ("AS", PhoneNumberType.MOBILE, "Pacific/Pago_Pago"),
        ("BB", PhoneNumberType.VOIP, "America/Barbados"),
        ("BM", PhoneNumberType.FIXED_LINE, "Atlantic/Bermuda"),
        ("PR", PhoneNumberType.FIXED_LINE_OR_MOBILE, "America/Puerto_Rico"),
        ("US", PhoneNumberType.FIXED_LINE_OR_MOBILE, "America/New_York"),
    ],
)
def test_a_mobile_of_a_country_that_shares_its_calling_code_is_there(region: str, kind: int, zone: str) -> None:
    assert phones.zones_of(example(region, kind)) == (zone,)


def test_a_canadian_number_of_no_area_may_be_anywhere_under_its_calling_code() -> None:
    zones = phones.zones_of(example("CA", PhoneNumberType.VOIP))
    assert {"America/St_Johns", "America/Vancouver", "Pacific/Guam"} <= set(zones)


def test_the_numbers_whose_zones_leave_little_or_nothing_of_a_day_are_known() -> None:
    """Canada's of no area (+1 600), and mobiles and the like of Russia and Kazakhstan: more than nine hours apart."""
    wide = set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.VOIP):
            given = phonenumbers.example_number_for_type(region, kind)
            if given is not None and (e164 := shortly(phonenumbers.format_number(given, 0), region)):
                offsets = [utc(2026, 1, 5).astimezone(ZoneInfo(zone)).utcoffset() for zone in phones.zones_of(e164)]
                assert offsets, e164
                known = [offset for offset in offsets if offset is not None]
                if max(known) - min(known) > timedelta(hours=9):
                    wide.add(e164[:5])
    assert wide == {"+1600", "+7751", "+7771", "+7912"}, wide


def test_masks_keep_country_and_two_digits_only() -> None:
    assert phones.masked("+12125550123") == "+1 ••••••••23"
    assert phones.masked_email("somebody@example.com") == "s•••@example.com"
