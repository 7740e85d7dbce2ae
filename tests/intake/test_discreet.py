"""Whatever a file says, no page repeats a telephone number or an email address from it."""

from __future__ import annotations

import pytest

from intake.discreet import columns_told, discreet


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unknown agent: '+12125550123'", "unknown agent: '•••••••••23'"),
        ("2125550123", "••••••••23"),
        ("(212) 555-0123", "••••••••23"),
        ("Jo <jo.bloggs@example.com>, 212.555.0123", "Jo <j•••@example.com>, ••••••••23"),
        ("1.212.555.0123", "•••••••••23"),
        ("2125550123 2125550124", "••••••••23 ••••••••24"),
        ("2125550123/+442079460123", "••••••••23/••••••••••23"),
    ],
)
def test_contacts_are_masked_wherever_they_stand(text: str, shown: str) -> None:
    assert discreet(text, "US") == shown


@pytest.mark.parametrize(
    "text",
    [
        "HM-480123",
        "1616161616.123",
        "4711",
        "there is no such day: '2026-02-30 09:00'",
        "'03/04/2026 09:12' may be day first or month first",
        "31.03.2026 10",
        "amy",
        "6f0c2e7a-1f52-4c39-9a8f-0242ac120002",
    ],
)
def test_ids_dates_and_names_stay_readable(text: str) -> None:
    assert discreet(text, "US") == text


def test_a_cell_of_any_length_is_gone_through_once() -> None:
    for text in ("x" * 1_000_000, "1 " * 150_000, "(" * 300_000, "x@" * 150_000):
        assert len(discreet(text, "US")) <= 1_000_000


@pytest.mark.parametrize("name", ["2125550101", "+12125550101", "0171 9460123", "Jo <jo@example.com>"])
def test_a_header_that_is_a_row_of_data_is_not_told(name: str) -> None:
    told = columns_told(["17", "Jo Doe", name])
    assert "seems to have no header" in told and "Doe" not in told and name not in told


def test_a_header_that_is_one_is_told() -> None:
    assert columns_told(["Call Id", "", "2026-03-02 09:00", "Q1 2026"]) == "It has: Call Id, 2026-03-02 09:00, Q1 2026."


def test_the_country_says_what_a_number_without_a_plus_is() -> None:
    assert discreet("020 7946 0123", "GB") == "•••••••••23"
    assert discreet("020 7946 0123", "US") == "020 7946 0123"
