"""Phone numbers: canonical form, zones, masks."""

from __future__ import annotations

import pytest

from survey import phones
from survey.errors import InputError


@pytest.mark.parametrize("raw", ["(212) 555-0123", "+1 212-555-0123", "1 212 555 0123", "2125550123"])
def test_spellings_of_one_number_are_one_number(raw: str) -> None:
    assert phones.canonical(raw, "US") == "+12125550123"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("call me", "is not a phone number"),
        ("12345", "not a valid"),
        ("+1 800 555 0100", "toll-free"),
        ("+44 906 600 0000", "premium"),
        ("", "is not a phone number"),
    ],
)
def test_what_cannot_be_a_customers_phone_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        phones.canonical(raw, "US")


def test_zones_of_a_number() -> None:
    assert phones.zones_of("+12125550123") == ("America/New_York",)
    assert phones.zones_of("+442079460123") == ("Europe/London",)


def test_a_number_without_known_zone_gets_its_countrys_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones.number_zones, "time_zones_for_number", lambda number: ("Etc/Unknown",))
    phones.zones_of.cache_clear()
    zones = phones.zones_of("+12125550123")
    phones.zones_of.cache_clear()
    assert {"America/New_York", "America/Los_Angeles", "Pacific/Honolulu"} <= set(zones)


def test_masks_keep_country_and_two_digits_only() -> None:
    assert phones.masked("+12125550123") == "+1 ••••••••23"
    assert phones.masked_email("somebody@example.com") == "s•••@example.com"
