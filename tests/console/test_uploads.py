"""Handing in a file of calls at the console: files as they should not be, and whose an upload is."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from openpyxl import Workbook
from sqlalchemy import text

from console import uploads
from console.upload_fields import GROUPS
from intake.mapping import CALL_FIELDS
from survey import clock, settings
from survey.db import db
from survey.models import ImportRecord, Site, Upload
from tests import factories
from tests.console.conftest import Browser, World
from tests.console.test_imports import text_of
from tests.console.uploading import (
    ASTERISK,
    FILE,
    GOOD,
    HEADER,
    LIST,
    NEW,
    SAID,
    THEIRS,
    columns_of,
    decide,
    hand_in,
    handed_in,
    left_on_disk,
    send,
    waiting,
)
from tests.intake import samples

SignedIn = Callable[..., Browser]

# --- handing in ---


def test_a_file_is_kept_sealed_and_shown_as_it_would_be_read(manager: Browser) -> None:
    path = handed_in(manager)
    stored = db.session.execute(text("SELECT content, file_name, created_by FROM uploads")).one()
    assert b"5550147" not in stored.content and stored.file_name == "calls.csv"
    assert stored.created_by.startswith("manager") and left_on_disk() == []
    page = text_of(manager.get(path).text)
    assert "2 HM-7 2 Mar 2026, 09:12:58 EST 09:15:21 amy yes 2:23 +1 ••••••••47, j•••@example.com en" in page, page
    assert "3 HM-8 Not taken agent: unknown agent: 'zed'" in page
    assert "CSV text (recognised)" in page
    assert samples.stored() == {} and waiting() == 1


def test_guessed_columns_are_preset(manager: Browser) -> None:
    page = manager.get(handed_in(manager)).text
    chosen = {}
    for name, options in re.findall(r'<select class="form-select" id="column_(\w+)"[^>]*>(.*?)</select>', page, re.S):
        found = re.search(r"selected>([^<]+)<", options)
        chosen[name] = found[1] if found else None
    assert chosen.keys() == set(CALL_FIELDS)
    assert {name: column for name, column in chosen.items() if column} == {
        **{name: name for name in HEADER.split(",") if name != "call_id"},
        "external_id": "call_id",
    }


def test_the_form_asks_for_every_field_there_is() -> None:
    assert sorted(field.name for group in GROUPS for field in group.fields) == sorted(CALL_FIELDS)


def test_an_excel_workbook_is_read_too(manager: Browser) -> None:
    book, content = Workbook(), io.BytesIO()
    assert book.active is not None
    for row in (HEADER.split(","), GOOD.split(",")):
        book.active.append(row)
    book.save(content)
    page = text_of(manager.get(handed_in(manager, content.getvalue(), "calls.xlsx")).text)
    assert "Excel workbook (recognised)" in page and "HM-7 2 Mar 2026, 09:12:58 EST" in page


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\Users\\jo\\March calls.CSV", "March calls.CSV"),
        ("../../etc/passwd", "passwd"),
        ("..", "calls"),
        ("", "calls"),
        ("a\0b\n.csv", "ab.csv"),
        ("año.csv", "año.csv"),
        (f"{'é' * 300}.csv", f"{'é' * 48}.csv"),
        (f"calls.{'x' * 300}", f"calls.{'x' * 93}"),
        ("<img src=x>.csv", "<img src=x>.csv"),
    ],
)
def test_a_files_name_is_only_a_name(given: str, kept: str) -> None:
    name = uploads.plain_name(given)
    assert name == kept and len(name.encode()) <= uploads.LONGEST_NAME


def test_a_strange_name_does_no_harm_anywhere(manager: Browser) -> None:
    path = handed_in(manager, name='<script>alert("x")</script>.csv')
    for page in (path, LIST):
        assert "<script>alert" not in manager.get(page).text
    assert decide(manager, path, "import", **columns_of(HEADER)).status_code == 303
    assert "<script>alert" not in manager.get(f"{LIST}/1").text


def test_a_telephone_systems_own_file_needs_no_choosing(manager: Browser) -> None:
    path = handed_in(manager, ASTERISK, "Master.csv")
    answer = decide(manager, path, "look", **columns_of_table(manager.get(path).text), agents="create")
    page = text_of(answer.text)
    assert "Asterisk (recognised)" in page and "known for this kind of file; nothing to choose" in page
    assert "1772442000.10 2 Mar 2026, 09:00:00 EST 09:02:10" in page and "+1 ••••••••47" in page
    assert "5550147" not in answer.text and "Bloggs" not in answer.text


def columns_of_table(page: str) -> dict[str, str]:
    """The columns as the page has them preset."""
    found = {}
    for name, options in re.findall(r'<select class="form-select" id="(column_\w+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="(\d+)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


# --- files as they should not be ---


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(60_000_000))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "calls.csv: is empty."),
        (b"\n \n", "calls.csv: is empty."),
        (HEADER.encode() + b"\n", "calls.csv: has a header but no rows."),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), "calls.csv: is a picture (PNG)"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "is an old Excel workbook (.xls)."),
        (
            b"%PDF-1.7\n%\xe2\xe3\n1 0 obj, and more\n",
            "calls.csv: is a PDF, not a list of calls. Let the telephone system",
        ),
        (b"\xff\xd8\xff\xe0\x01JFIF,\n1,2\n", "is a picture (JPEG), not a list of calls"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><table>,\n1,2\n", "is a web page (HTML), not a list of calls"),
        (bytes(range(1, 32)) * 20, "is neither text nor an Excel workbook, so it is no list of calls"),
        (b"PK\x03\x04 and no more", "is not a readable Excel workbook."),
        (b'call_id,"started_at\n1,2\n', "the header cannot be read"),
        (b"x" * 200_000 + b"\n1\n", "the header cannot be read"),
        (b"x," * 200_000 + b"\n1,2\n", "the header has 200,001 columns; 16,384 are the most"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_once(manager: Browser, content: bytes, said: str) -> None:
    answer = hand_in(manager, content)
    assert answer.status_code == 400 and said in text_of(answer.text), text_of(answer.text)
    assert 'role="alert"' in answer.text and 'type="file"' in answer.text
    assert waiting() == 0 and left_on_disk() == []


def test_a_workbook_made_to_fill_the_memory_is_refused(manager: Browser) -> None:
    answer = hand_in(manager, bomb(), "calls.xlsx")
    assert answer.status_code == 400 and "unpacks to 60 MB" in text_of(answer.text)
    assert waiting() == 0


def test_a_file_over_the_limit_gets_a_page_that_says_what_to_do(manager: Browser) -> None:
    answer = hand_in(manager, bytes(16 * 1024 * 1024 + 1))
    said = text_of(answer.text)
    assert answer.status_code == 413 and "too large to hand in here" in said
    assert "16 MB" in said and "drop folder ( INTAKE_DIR )" in said and "flask calls import FILE" in said
    assert waiting() == 0
    assert hand_in(manager, f"{FILE}{chr(10) * 15_900_000}").status_code == 303, "just below is taken"


def test_an_answer_waits_until_a_large_file_has_been_sent(manager: Browser) -> None:
    body = io.BytesIO(bytes(300_000))
    uploads.let_pass(body, 200_000)
    assert body.tell() == 200_000
    uploads.let_pass(body, 10**12)
    assert body.tell() == 300_000


@pytest.mark.parametrize(
    ("form", "said"), [({"file": b""}, "No file was chosen"), ({"organisation": "x"}, "'x' is not")]
)
def test_a_form_without_what_it_needs(manager: Browser, form: dict[str, Any], said: str) -> None:
    file = {} if "file" in form else {"file": (io.BytesIO(b"a,b\n1,2\n"), "a.csv")}
    answer = send(manager, NEW, {"organisation": "1", **file, **{k: v for k, v in form.items() if k != "file"}})
    assert answer.status_code == 400 and said in text_of(answer.text)


def test_what_is_older_than_a_day_goes_when_somebody_hands_in(
    manager: Browser, place: Site, at_noon: clock.ManualClock
) -> None:
    old = handed_in(manager)
    stale = settings.current().aftercall_data / "uploads" / "left-by-a-crash"
    stale.mkdir()
    at_noon.move_to(clock.now() + uploads.KEPT)
    assert "calls.csv</a>" not in manager.get(LIST).text, "not offered any more"
    assert hand_in(manager, b"").status_code == 400
    assert waiting() == 0 and manager.get(old).status_code == 410
    at_noon.move_to(clock.now() + timedelta(days=3650))
    handed_in(manager)
    assert left_on_disk() == []


def test_so_many_wait_and_no_more(manager: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_WAITING", 2)
    handed_in(manager), handed_in(manager)
    answer = hand_in(manager)
    assert answer.status_code == 409 and "2 files of this organisation wait" in text_of(answer.text)
    assert waiting() == 2


# --- whose it is ---


def test_an_upload_is_seen_by_whoever_handed_it_in_and_by_administrators(
    browser: Browser, signed_in: SignedIn, place: Site
) -> None:
    path = handed_in(signed_in("manager", place.organisation))
    expected = {"manager": 404, "auditor": 403, "supervisor": 403, "agent": 403, "issuer": 403, "administrator": 200}
    for role, status in expected.items():
        browser.post("/console/sign-out", "/console/")
        signed_in(role, place.organisation)
        refused = status if status != 200 else 400
        assert browser.get(path).status_code == status, role
        assert browser.post(path, "/console/", action="look", zone="x").status_code == refused, role
        assert browser.post(path, "/console/", action="import", zone="x").status_code == refused, role
        if status != 200:
            assert browser.post(f"{path}/cancel", "/console/").status_code == status, role
        if role in ("manager", "auditor", "administrator"):
            assert ("calls.csv</a>" in browser.get(LIST).text) is (status == 200), role
    assert waiting() == 1
    assert send(browser, f"{path}/cancel", {}).status_code == 303


@pytest.mark.parametrize("role", ["administrator", "manager"])
def test_another_organisations_uploads_do_not_exist(
    browser: Browser, signed_in: SignedIn, place: Site, world: World, role: str
) -> None:
    path = handed_in(signed_in("administrator", place.organisation), organisation=place.organisation_id)
    browser.post("/console/sign-out", "/console/")
    signed_in(role, world.organisation)
    assert browser.get(path).status_code == 404
    for action in ("look", "check", "import", "mapping"):
        assert decide(browser, path, action, **columns_of(HEADER)).status_code == 404, action
    assert send(browser, f"{path}/cancel", {}).status_code == 404
    assert "calls.csv</a> " not in browser.get(LIST).text.split("Not taken in yet")[0] or waiting() == 1
    assert hand_in(browser, organisation=place.organisation_id).status_code == 404, "nor can they be handed any"
    assert waiting() == 1 and db.session.query(ImportRecord).filter_by(actor=role).count() == 0


def test_strangers_are_sent_to_the_sign_in(browser: Browser, signed_in: SignedIn, place: Site) -> None:
    path = handed_in(signed_in("manager", place.organisation))
    browser.post("/console/sign-out", "/console/")
    for address in (NEW, path):
        assert "/console/sign-in" in browser.get(address).location
    for address in (NEW, path, f"{path}/cancel"):
        answer = send(browser, address, {"action": "import"}, token_from="/console/sign-in")
        assert answer.status_code == 302 and "/console/sign-in" in answer.location, address
    assert waiting() == 1 and samples.stored() == {}


def test_a_reader_may_hand_nothing_in(signed_in: SignedIn, place: Site) -> None:
    browser = signed_in("auditor", place.organisation)
    assert browser.get(NEW).status_code == 403
    assert send(browser, NEW, {"file": (io.BytesIO(b"x"), "x.csv")}, token_from="/console/").status_code == 403
    assert waiting() == 0


def test_every_form_needs_its_token(manager: Browser) -> None:
    path = handed_in(manager)
    raw = {"file": (io.BytesIO(FILE.encode()), "calls.csv"), "organisation": "1"}
    for address, form in ((NEW, raw), (path, {"action": "import", "site": "north"}), (f"{path}/cancel", {})):
        assert send(manager, address, form, token_from=None).status_code == 400, address
    assert waiting() == 1 and samples.stored() == {}


def test_an_account_of_all_organisations_says_whose_calls_they_are(
    signed_in: SignedIn, place: Site, world: World
) -> None:
    browser = signed_in("administrator")
    page = browser.get(NEW).text
    assert place.organisation.name in page and world.organisation.name in page
    answer = hand_in(browser, organisation=" ")
    assert answer.status_code == 400
    handed_in(browser, organisation=world.organisation.id)
    assert db.session.query(Upload).one().organisation_id == world.organisation.id


def test_without_a_site_a_roster_comes_first(signed_in: SignedIn, app: Flask) -> None:
    owner = factories.organisation()
    db.session.commit()
    page = signed_in("manager", owner).get(NEW).text
    assert "A roster comes first" in page and 'type="file"' not in page


def test_the_enter_key_looks_again_and_does_nothing_else(manager: Browser) -> None:
    """A browser sends a form by the first of its buttons when somebody presses Enter in a field."""
    buttons = re.findall(r'<button[^>]*name="action" value="(\w+)"', manager.get(handed_in(manager)).text)
    assert buttons == ["look", "check", "import", "mapping"]


def test_pages_are_kept_by_no_cache_and_name_their_parts(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    for answer in (manager.get(NEW), manager.get(path), decide(manager, path, "check", **SAID, date_order="dmy")):
        page = answer.text
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "style=" not in page and "<script>" not in page and page.count("<h1") == 1
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), "an id twice"
        for kind in ("input class", "select class"):
            for field in re.findall(rf'<{kind}="[^"]+"[^>]*\bid="([^"]+)"', page):
                assert f'for="{field}"' in page, f"{field} has no label"
        assert all(f'id="{found}"' in page for found in re.findall(r'aria-(?:labelledby|describedby)="([^" ]+)', page))
        assert page.count("<table") == page.count("<caption")
        assert "<th>" not in page


# --- what is said of the file as a whole ---


def test_the_page_says_what_the_file_lacks_and_the_check_does_too(signed_in: SignedIn, place: Site) -> None:
    browser = signed_in("manager", place.organisation)
    header = "call_id,operator,started_at,talk_seconds"
    text = samples.rows("1,x,2026-03-02 09:00,60", header=header)
    path = handed_in(browser, text)
    fields = {"column_external_id": "0", "column_started_at": "2", "column_talk_seconds": "3"}
    for page in (browser.get(path).text, decide(browser, path, "check", **fields).text.partition('id="checked"')[2]):
        for told in ("No column for phone or email: nobody", "No column for agent.", "Not used: operator."):
            assert told in text_of(page), told
    assert decide(browser, path, "import", **fields).status_code == 303
    again = handed_in(browser, text)
    (record,) = db.session.query(ImportRecord)
    page = text_of(decide(browser, again, "check", source="other", **fields).text)
    assert page.count(f"This file was import {record.id}, source north: under another source") == 2


def test_a_check_says_how_to_have_agents_made(signed_in: SignedIn, place: Site) -> None:
    browser = signed_in("manager", place.organisation)
    page = text_of(decide(browser, handed_in(browser), "check", **columns_of(HEADER)).text)
    assert "Unknown agent Choose another column, or let agents be made under" in page and "--create" not in page


def test_one_being_imported_does_not_wait_as_well(signed_in: SignedIn, place: Site) -> None:
    browser = signed_in("manager", place.organisation)
    path = handed_in(browser)
    with uploads.in_hand(int(path.rpartition("/")[2])):
        assert "Not taken in yet" in browser.get(LIST).text, "it is only checked"
        record = factories.import_record(place.organisation_id, finished_at=None)
        db.session.commit()
        assert "Not taken in yet" not in browser.get(LIST).text
    assert "Not taken in yet" in browser.get(LIST).text, "its import was cut off"
    db.session.delete(db.session.get_one(ImportRecord, record.id))
    db.session.commit()
