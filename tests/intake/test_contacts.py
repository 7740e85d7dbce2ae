"""Customers: their contacts read, joined and sealed; one row a person; a faulty contact never loses its call."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from console.imports import rejects_file
from intake.people import NOBODY, WITHDRAWN
from intake.reports import ImportReport
from scheduler.dispatch import deliver
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, Customer, ImportKind, ImportRecord, Site, Survey
from tests import factories
from tests.intake import samples, snapshots
from tests.intake.samples import one, rows
from tests.scheduler.fakes import NotingChannel, channels


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


# --- corrections, and rows that name nobody ---

CONSENTS = samples.HEADER + ",phone,consents_to_calls"


def consents(folder: Path, *lines: str, header: str = CONSENTS, **given: Any) -> tuple[ImportReport, dict[str, Any]]:
    """Imports the rows; what then is known of each customer's consent, by phone."""
    report = samples.taken(samples.written(folder, rows(*lines, header=header)), **given)
    return report, {phone: customer[-1] for phone, customer in snapshots.customers().items()}


def test_a_correction_counts_even_when_it_ends_the_call_earlier(site: Site, tmp_path: Path) -> None:
    consents(tmp_path, "1,amy,2026-03-02 09:00,120,2125550101,yes")
    report, known = consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,no")
    assert samples.counts(report) == (0, 1, 0, 0) and known == {"+12125550101": False}
    # From here on it is the correction's end that is compared with other calls'.
    _, known = consents(tmp_path, "0,amy,2026-03-02 08:59,110,2125550101,yes")
    assert known == {"+12125550101": False}
    _, known = consents(tmp_path, "2,amy,2026-03-02 09:00,90,2125550101,yes")
    assert known == {"+12125550101": True}


def test_a_correction_of_a_leg_counts_likewise(site: Site, tmp_path: Path) -> None:
    header = CONSENTS + ",leg"
    consents(tmp_path, "1,amy,2026-03-02 09:00,120,2125550101,yes,a", header=header)
    _, known = consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,no,a", header=header)
    assert known == {"+12125550101": False}


def test_a_correction_in_the_same_file_counts_likewise(site: Site, tmp_path: Path) -> None:
    lines = "1,amy,2026-03-02 09:00,120,2125550101,yes", "1,amy,2026-03-02 09:00,60,2125550101,no"
    assert consents(tmp_path, *lines)[1] == {"+12125550101": False}
    _, known = consents(tmp_path, "2,amy,2026-03-02 09:00,90,2125550101,yes")
    assert known == {"+12125550101": True}


def test_what_a_later_call_said_outlives_the_correction_of_an_earlier_one(site: Site, tmp_path: Path) -> None:
    consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,yes", "2,amy,2026-03-02 10:00,60,2125550101,no")
    assert consents(tmp_path, "1,amy,2026-03-02 09:00,90,2125550101,yes")[1] == {"+12125550101": False}


@pytest.mark.parametrize("at_once", [True, False])
def test_the_latest_call_corrected_leaves_what_it_does_not_repeat(site: Site, tmp_path: Path, at_once: bool) -> None:
    lines = "1,amy,2026-03-02 09:00,60,2125550101,", "2,amy,2026-03-02 09:00,600,2125550101,no"
    correction = "2,amy,2026-03-02 09:00,30,2125550101,"
    for batch in [[*lines, correction]] if at_once else [lines, [correction]]:
        consents(tmp_path, *batch)
    # What call 2 had said is still its own word, as it was at its former end.
    assert consents(tmp_path, "3,amy,2026-03-02 09:00,300,2125550101,yes")[1] == {"+12125550101": False}


def test_a_call_of_another_source_is_no_correction(site: Site, tmp_path: Path) -> None:
    consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,no", source="one")
    _, known = consents(tmp_path, "1,amy,2026-03-01 09:00,60,2125550101,yes", source="two")
    assert known == {"+12125550101": False}


@pytest.mark.parametrize("phone", ["", "911"])
def test_a_no_without_a_phone_is_the_calls_customers(site: Site, tmp_path: Path, phone: str) -> None:
    lines = "1,amy,2026-03-02 09:00,60,2125550101,yes", "2,amy,2026-03-02 09:00,60,2125550102,yes"
    consents(tmp_path, *lines)
    report, known = consents(tmp_path, f"1,amy,2026-03-02 09:00,60,{phone},no")
    assert known == {"+12125550101": False, "+12125550102": True} and not report.notes[NOBODY]


def test_a_no_without_a_phone_is_the_customers_of_another_record_in_the_file(site: Site, tmp_path: Path) -> None:
    header = CONSENTS + ",leg"
    for lines in itertools.permutations(
        ["1,amy,2026-03-02 09:00,60,2125550101,yes,a", "1,amy,2026-03-02 09:05,60,,no,b"]
    ):
        snapshots.emptied("amy")
        report, known = consents(tmp_path, *lines, header=header)
        assert known == {"+12125550101": False} and not report.notes[NOBODY]


def test_a_no_of_nobody_is_told(site: Site, tmp_path: Path) -> None:
    lines = "1,amy,2026-03-02 09:00,60,,no", "2,amy,2026-03-02 09:00,60,,"
    assert consents(tmp_path, *lines)[0].notes[NOBODY] == 1
    assert consents(tmp_path, *lines)[0].notes[NOBODY] == 1  # stored by now, but still nobody's
    assert not snapshots.customers()


def test_a_contacts_file_of_consents_alone(site: Site, tmp_path: Path) -> None:
    lines = "1,amy,2026-03-02 09:00,60,2125550101,yes", "2,amy,2026-03-02 09:00,60,,"
    consents(tmp_path, *lines)
    calls = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60", "2,amy,2026-03-02 09:00,60"))
    text = "id,consents_to_calls,relay,language\n1,no,yes,es\n2,no,,\n"
    report = samples.taken(calls, contacts=samples.written(tmp_path, text, "contacts.csv"))
    assert snapshots.customers() == {"+12125550101": ("+12125550101", None, "es", True, False)}
    assert report.notes[NOBODY] == 1


def test_a_row_without_a_phone_moves_its_call_not_what_others_said(site: Site, tmp_path: Path) -> None:
    consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,", "2,amy,2026-03-02 10:00,60,2125550101,yes")
    # Call 1 is the latest now; it has not said what call 2 did.
    consents(tmp_path, "1,amy,2026-03-02 09:00,36000,,")
    assert consents(tmp_path, "3,amy,2026-03-02 11:00,60,2125550101,no")[1] == {"+12125550101": False}


def test_a_call_that_turns_out_another_customers_leaves_its_word(site: Site, tmp_path: Path) -> None:
    consents(tmp_path, "1,amy,2026-03-02 09:00,60,2125550101,", "2,amy,2026-03-02 10:00,60,2125550101,no")
    consents(tmp_path, "2,amy,2026-03-02 10:00,60,2125550102,")
    # The word is as old as the call that said it, not as the one that is the customer's latest now.
    _, known = consents(tmp_path, "3,amy,2026-03-02 09:30,60,2125550101,yes")
    assert known == {"+12125550101": False, "+12125550102": None}


NO_LATER = {
    "by its phone": ("1,amy,2026-03-11 09:00,60,2125550101,no,b@example.com", "2125550101"),
    "by the call alone": ("1,amy,2026-03-11 09:00,60,,no,", "2125550101"),
    "by another email": ("1,amy,2026-03-11 09:00,60,,no,b@example.com", "2125550101"),
    "of a version that ends earlier": ("1,amy,2026-03-11 08:00,60,2125550101,no,", "2125550101"),
    "of somebody else": ("1,amy,2026-03-11 09:00,60,2125550102,no,b@example.com", "2125550102"),
}


@pytest.mark.parametrize(("later", "whose"), NO_LATER.values(), ids=NO_LATER)
def test_a_no_after_the_draw_is_obeyed_and_nothing_else_of_the_record(
    site: Site, tmp_path: Path, later: str, whose: str
) -> None:
    header = "call_id,agent,started_at,talk_seconds,phone,consents_to_calls,email,relay"
    first = "1,amy,2026-03-11 09:00,60,2125550101,yes,a@example.com,", "2,amy,2026-03-12 09:00,60,2125550101,,,"
    consents(tmp_path, *first, header=header)
    survey = factories.survey(samples.stored()["1"], factories.campaign([site]))
    due = factories.attempt(survey, state=AttemptState.QUEUED, claimed_at=clock.now())
    survey_id, due_id = survey.id, due.id
    db.session.commit()
    for times in (1, 2):
        report = samples.taken(samples.written(tmp_path, rows(f"{later},yes", header=header)))
        refusing = {told[0] for told in snapshots.customers().values() if told[-1] is False}
        assert report.notes[WITHDRAWN] == 1 and refusing - {None} == {f"+1{whose}"}, times
        assert report.updated == 0
    customer = db.session.get_one(Survey, survey_id).customer
    assert (customer.phone, customer.email, customer.relay) == ("+12125550101", "a@example.com", False)
    samples.taken(samples.written(tmp_path, rows(later.replace(",no,", ",yes,") + ",", header=header)))
    assert snapshots.customers()[f"+1{whose}"][-1] is False, "a yes is no withdrawal, and changes nothing"
    # The open survey's call, whose turn it is: not dialled, but for another customer's no.
    assert deliver(due_id, channels(NotingChannel())) == (whose != "2125550101")
    assert db.session.get_one(Attempt, due_id).detail == (
        "the customer does not consent to calls" if whose == "2125550101" else None
    )


# --- contacts files ---


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


def test_every_rejected_row_of_a_contacts_file_is_kept_with_line_and_reason(site: Site, tmp_path: Path) -> None:
    calls = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60", "2,zed,2026-03-02 09:00,60"))
    text = "call_id,phone\n1,2125550101,surplus,cells\n2,2125550102\n,2125550103\n,2125550104\n"
    contacts = samples.written(tmp_path, text, "contacts.csv")
    dry = samples.taken(calls, contacts=contacts, dry_run=True)
    report = samples.taken(calls, contacts=contacts)
    assert report.contacts == {"read": 4, "used": 1, "not used": 0, "rejected": 3}
    for each in (dry, report):
        assert each.lines().index("  contacts, line 4, external_id: no call id (2 times, the first time here)")
        assert "  contacts, line 2: not a row: has 4 columns where the header has 2" in each.lines()
    assert dry.rejects_file is None and report.rejects_file
    kept = Path(report.rejects_file).read_text(encoding="utf-8")
    assert kept.splitlines()[1:] == [
        "2,,contacts.csv: not a row: has 4 columns where the header has 2",
        "4,external_id,contacts.csv: no call id",
        "5,external_id,contacts.csv: no call id",
        "3,agent,unknown agent: 'zed',2,zed,2026-03-02 09:00,60",
    ]
    assert "55501" not in kept + str(report.as_dict())
    (record,) = db.session.query(ImportRecord).filter_by(kind=ImportKind.CONTACTS)
    assert (record.read, record.rejected) == (4, 3) and record.rejects_file != report.rejects_file
    own = rejects_file(record).read_text(encoding="utf-8").splitlines()  # as the console hands it out
    assert own[0] == "line,column,reason" and own[1:] == [
        line.replace("contacts.csv: ", "") for line in kept.splitlines()[1:4]
    ]
    assert rejects_file(db.session.get_one(ImportRecord, report.import_id)) == Path(report.rejects_file)


def test_the_rejects_of_a_contacts_file_are_kept_where_every_call_is_taken(site: Site, tmp_path: Path) -> None:
    calls = samples.written(tmp_path, rows("1,amy,2026-03-02 09:00,60"))
    contacts = samples.written(tmp_path, "id,phone\n" + "x" * 1_001 + ",2125550101\n", "contacts.csv")
    report = samples.taken(calls, contacts=contacts, rejects=tmp_path / "rejects.csv")
    assert samples.counts(report) == (1, 0, 0, 0) and report.rejects_file == str(tmp_path / "rejects.csv")
    kept = (tmp_path / "rejects.csv").read_text()
    assert '2,external_id,"contacts.csv: no call id: has a NUL byte' in kept and "xxx" not in kept


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
