"""Opt-outs by command and by file: recorded once, lifted with a trace, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from intake import optouts as intake_optouts
from survey import optouts
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import AuditEntry, ImportRecord, Organisation
from tests import factories
from tests.intake import samples


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> None:
    samples.place()


def actions() -> list[str]:
    return [entry.action for entry in db.session.query(AuditEntry).order_by(AuditEntry.id)]


def test_an_optout_holds_for_the_customer_however_the_number_was_written() -> None:
    customer = factories.customer(db.session.query(Organisation).one().id, phone="+12125550101", email=None)
    assert intake_optouts.add("acme", "(212) 555-0101", actor="jo")[:2] == ("phone", True)
    assert intake_optouts.add("acme", "+1 212 555 0101", actor="jo")[:2] == ("phone", False)
    assert optouts.kinds_in_force(customer) == {"phone"}
    assert intake_optouts.remove("acme", "212.555.0101", actor="jo") == "phone"
    assert optouts.kinds_in_force(customer) == frozenset()
    assert actions() == ["opt-out added", "opt-out removed"]


def test_lifting_what_is_not_in_force_is_refused() -> None:
    with pytest.raises(NotFound):
        intake_optouts.remove("acme", "jo@example.com", actor="jo")
    assert actions() == []


def test_a_file_of_optouts(tmp_path: Path) -> None:
    good = "contact,kind\n212-555-0101,\nJo@example.com,email\njo@EXAMPLE.com,\n,\n"
    rows = f"{good}12,phone\nx@example.com,fax\n212-555-0102,email\n"
    report = intake_optouts.import_optouts(samples.written(tmp_path, rows), "acme", actor="jo")
    assert samples.counts(report) == (2, 0, 1, 3)
    assert report.rejected_by == {
        "phone: is not a valid phone number": 1,
        "the kind is neither phone nor email": 1,
        "email: is not a valid email address": 1,
    }
    assert "555" not in str(report.as_dict())
    assert db.session.query(ImportRecord).one().new == 2
    assert samples.counts(intake_optouts.import_optouts(tmp_path / "calls.csv", "acme", actor="jo")) == (0, 0, 3, 3)


@pytest.mark.parametrize("written", ["+1 212 555 0123 ext 5", "212-555-0123 x5", "+12125550123;ext=5", "2125550123 #5"])
def test_a_phone_with_an_extension_stops_the_whole_number(tmp_path: Path, written: str) -> None:
    """A call to the number would reach the house of whoever asked to be left alone."""
    customer = factories.customer(db.session.query(Organisation).one().id, phone="+12125550123", email=None)
    file = samples.written(tmp_path, f"contact\n{written}\n212-555-0123\n800-555-0199 x5\n")
    report = intake_optouts.import_optouts(file, "acme", actor="jo")
    assert samples.counts(report) == (1, 0, 1, 1) and report.notes == {intake_optouts.EXTENSION: 1}
    assert f"Note: {intake_optouts.EXTENSION}: 1." in report.lines()
    assert optouts.kinds_in_force(customer) == {"phone"}
    assert intake_optouts.add("acme", written, actor="jo") == ("phone", False, True)


def test_lifting_by_an_extension_is_refused_since_it_would_lift_the_whole_number() -> None:
    assert intake_optouts.add("acme", "212-555-0123 x5", actor="jo") == ("phone", True, True)
    with pytest.raises(InputError, match="the whole number") as refused:
        intake_optouts.remove("acme", "212-555-0123 x6", actor="jo")
    assert "0123" not in str(refused.value)
    assert intake_optouts.remove("acme", "212-555-0123", actor="jo") == "phone"


def test_the_list_shows_no_contact() -> None:
    intake_optouts.add("acme", "212-555-0101", actor="jo")
    intake_optouts.add("acme", "jo@example.com", actor="jo")
    intake_optouts.remove("acme", "jo@example.com", actor="jo")
    (found,) = intake_optouts.listed("acme")
    assert found == {
        "id": found["id"],
        "kind": "phone",
        "source": "command",
        "created_at": "2026-03-12T17:00:00Z",
        "removed_at": None,
    }
    everything = intake_optouts.listed("acme", removed_too=True)
    assert [optout["removed_at"] for optout in everything] == [None, "2026-03-12T17:00:00Z"]


@pytest.mark.parametrize("contact", ["", "hello", "jo@", "800-555-0199"])
def test_what_is_no_contact_is_refused_without_repeating_it(contact: str) -> None:
    with pytest.raises(InputError) as refused:
        intake_optouts.add("acme", contact, actor="jo")
    assert not contact or contact not in str(refused.value)
