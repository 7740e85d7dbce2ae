"""Customers: their contacts read, joined and sealed; one row a person; a faulty contact never loses its call."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from survey.clock import ManualClock
from survey.db import db
from survey.models import Customer, Site
from tests.intake import samples
from tests.intake.samples import one, rows


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


@pytest.mark.parametrize(
    ("phone", "email", "fault", "reached"),
    [
        ("800-555-0199", "", "phone: is a toll-free number", False),
        ("500-555-0100", "", "phone: is a personal number, which may ring anywhere", False),
        ("500-555-0100", "jo@example.com", "phone: is a personal number, which may ring anywhere", True),
        ("12", "", "phone: is not a valid phone number", False),
        ("n/a", "not an address", "phone: is not a phone number; email: is not a valid email address", False),
        ("n/a", "jo@example.com", "phone: is not a phone number", True),
        ("2125550101", "jo@", "email: is not a valid email address", True),
        ("", "", None, False),
    ],
)
def test_a_refused_contact_never_loses_the_call(
    site: Site, tmp_path: Path, phone: str, email: str, fault: str | None, reached: bool
) -> None:
    call = one(tmp_path, samples.HEADER + ",phone,email", f"c1,amy,2026-03-02 09:00,60,{phone},{email}")
    assert call.contact_fault == fault
    assert (call.customer_id is not None) is reached


def test_the_sites_country_reads_numbers_without_a_plus(app: Flask, tmp_path: Path) -> None:
    samples.place(country="GB", time_zone="Europe/London")
    call = one(tmp_path, samples.HEADER + ",phone", "c1,amy,2026-03-02 09:00,60,020 7946 0123")
    assert call.customer and call.customer.phone == "+442079460123"


def test_one_customer_by_phone_else_by_email(site: Site, tmp_path: Path) -> None:
    lines = [
        "1,,2026-03-02 09:00,5,212-555-0101,a@example.com",
        "2,,2026-03-02 10:00,5,+1 212 555 0101,b@example.com",
        "3,,2026-03-02 11:00,5,,C@example.com",
        "4,,2026-03-02 12:00,5,,c@EXAMPLE.com",
        "5,,2026-03-02 08:00,5,12125550101,old@example.com",
    ]
    samples.taken(samples.written(tmp_path, rows(*lines, header=samples.HEADER + ",phone,email")))
    calls = samples.stored()
    assert calls["1"].customer_id == calls["2"].customer_id == calls["5"].customer_id
    assert calls["3"].customer_id == calls["4"].customer_id != calls["1"].customer_id
    # The latest call knows the customer's address best.
    assert calls["1"].customer and calls["1"].customer.email == "b@example.com"
    assert db.session.scalar(select(func.count()).select_from(Customer)) == 2


def test_an_older_call_does_not_overrule_what_a_newer_one_said(site: Site, tmp_path: Path) -> None:
    header = "id,started_at,talk_seconds,phone,email,language,consents_to_calls"
    for id, day, email, language, consent in [
        ("2", 4, "new@example.com", "", "no"),
        ("1", 2, "old@example.com", "fr", "yes"),
    ]:
        text = rows(f"{id},2026-03-{day:02} 09:00,5,2125550101,{email},{language},{consent}", header=header)
        samples.taken(samples.written(tmp_path, text))
    (customer,) = db.session.query(Customer)
    assert (customer.email, customer.language, customer.consents_to_calls) == ("new@example.com", "fr", False)


def test_a_contacts_file_joins_by_call_id_and_its_last_row_counts(site: Site, tmp_path: Path) -> None:
    calls = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60", "2,amy,2026-03-02 09:00,60"))
    contacts = samples.written(
        tmp_path,
        "ID;Mobile;mail;language;consents_to_calls;relay\n1;2125550101;;es;no;yes\n1;2125550102;x@example.com;es-MX;no;yes\n9;2125550109;;;;\n;1;;;;\n",
        "contacts.csv",
    )
    names = ("language", "consents_to_calls", "relay")
    mapping = {"contacts": {"external_id": "ID", "phone": "Mobile", "email": "mail"} | {name: name for name in names}}
    report = samples.taken(calls, mapping, contacts=contacts)
    assert report.contacts == {"read": 4, "used": 1, "not used": 2, "rejected": 1}
    found = samples.stored()
    assert found["2"].customer is None
    customer = found["1"].customer
    assert customer and (customer.phone, customer.email, customer.language) == ("+12125550102", "x@example.com", "es")
    assert (customer.consents_to_calls, customer.relay, found["1"].language) == (False, True, "es")


def test_an_import_without_contacts_erases_none(site: Site, tmp_path: Path) -> None:
    calls = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60"))
    contacts = samples.written(tmp_path, "id,phone,language\n1,2125550101,es\n", "contacts.csv")
    samples.taken(calls, contacts=contacts)
    assert samples.counts(samples.taken(calls)) == (0, 0, 1, 0)
    assert samples.stored()["1"].customer_id is not None and samples.stored()["1"].language == "es"


def test_contacts_are_sealed_in_the_database(site: Site, tmp_path: Path) -> None:
    one(tmp_path, samples.HEADER + ",phone,email", "c1,amy,2026-03-02 09:00,60,2125550101,jo@example.com")
    raw = db.session.execute(
        func.row_to_json(Customer.__table__.table_valued()).select().select_from(Customer)
    ).scalar_one()
    assert "5550101" not in str(raw) and "jo@" not in str(raw)
