"""Handing in a file of calls: how it would be read is shown first, nothing is taken in before the person says so."""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openpyxl import Workbook
from sqlalchemy import func, select, text
from werkzeug.test import TestResponse

from console import uploads
from console.mapping_file import as_toml
from console.upload_forms import GROUPS
from intake.mapping import CALL_FIELDS, mapping_of, read_mapping
from survey import clock, settings
from survey.db import db
from survey.models import AuditEntry, Call, ImportRecord, Organisation, Site, Upload
from tests import factories
from tests.console.conftest import HOST, Browser, World, token_in
from tests.console.test_imports import text_of
from tests.intake import samples

SignedIn = Callable[..., Browser]
NEW, LIST = "/console/imports/new", "/console/imports"
HEADER = "call_id,agent,started_at,talk_seconds,answered,phone,email,language"
GOOD = "HM-7,amy,2026-03-02 09:12:58,143,yes,(212) 555-0147,jo.bloggs@example.com,en"
FILE = samples.rows(GOOD, "HM-8,zed,2026-03-02 10:00,60,yes,2125550148,,en", header=HEADER)
# A file by no names of ours: its columns have to be said.
THEIRS = samples.rows("1,amy,03/04/2025 09:00,60,Y,2125550147", header="Nr,Who,Begin,Talk,Got it,Mobile")
SAID = {"column_external_id": "0", "column_agent": "1", "column_started_at": "2", "column_talk_seconds": "3"}


@pytest.fixture
def place(app: Flask, at_noon: clock.ManualClock) -> Site:
    return samples.place(name="North")


@pytest.fixture
def manager(signed_in: SignedIn, place: Site) -> Browser:
    return signed_in("manager", place.organisation)


def send(browser: Browser, path: str, form: Mapping[str, Any], token_from: str | None = NEW) -> TestResponse:
    """Posts a form with files, as a browser does."""
    fields = dict(form)
    if token_from is not None:
        fields["csrf_token"] = token_in(browser.get(token_from).text)
    db.session.rollback()
    return browser.client.post(path, base_url=HOST, data=fields, headers={"Referer": f"{HOST}/console/"})


def hand_in(browser: Browser, content: str | bytes = FILE, name: str = "calls.csv", **form: Any) -> TestResponse:
    """Hands in a file for the only organisation there is, unless another is named."""
    raw = content.encode() if isinstance(content, str) else content
    owner = form.pop("organisation", None) or db.session.scalar(select(func.min(Organisation.id)))
    return send(browser, NEW, {"file": (io.BytesIO(raw), name), "organisation": str(owner)} | form)


def handed_in(browser: Browser, content: str | bytes = FILE, name: str = "calls.csv", **form: Any) -> str:
    """The address of the upload's page."""
    answer = hand_in(browser, content, name, **form)
    assert answer.status_code == 303, text_of(answer.text)
    return str(answer.location)


def decide(browser: Browser, path: str, action: str, **form: Any) -> TestResponse:
    return send(browser, path, {"action": action, "site": "north", "agents": "refuse"} | form)


def columns_of(header: str) -> dict[str, str]:
    """The form's fields for a file whose columns are called as ours."""
    ours = {"call_id": "external_id"}
    return {f"column_{ours.get(name, name)}": str(n) for n, name in enumerate(header.split(","))}


def waiting() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Upload)) or 0


def left_on_disk() -> list[Path]:
    return list((settings.current().aftercall_data / "uploads").iterdir())


# --- handing in ---


def test_a_file_is_kept_sealed_and_shown_as_it_would_be_read(manager: Browser) -> None:
    path = handed_in(manager)
    stored = db.session.execute(text("SELECT content, file_name, created_by FROM uploads")).one()
    assert b"5550147" not in stored.content and stored.file_name == "calls.csv"
    assert stored.created_by.startswith("manager") and left_on_disk() == []
    page = text_of(manager.get(path).text)
    assert "2 HM-7 2 Mar 2026, 09:12:58 EST 09:15:21 amy yes 2:23 +1 ••••••••47, j•••@example.com en" in page, page
    assert "3 HM-8 Not taken agent: unknown agent: 'zed'" in page
    assert "Text with columns (CSV), as its content shows" in page
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
    assert "Excel workbook, as its content shows" in page and "HM-7 2 Mar 2026, 09:12:58 EST" in page


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


ASTERISK = (
    '"","+12125550147","600","inbound","""Jo Bloggs"" <+12125550147>","SIP/trunk-0000000a","SIP/201-0000000b","Queue",'
    '"billing,t","2026-03-02 09:00:00","2026-03-02 09:00:10","2026-03-02 09:02:10",130,120,"ANSWERED","DOCUMENTATION",'
    '"1772442000.10","","","1772442000.10","7"\n'
)


def test_a_telephone_systems_own_file_needs_no_choosing(manager: Browser) -> None:
    path = handed_in(manager, ASTERISK, "Master.csv")
    answer = decide(manager, path, "look", **columns_of_table(manager.get(path).text), agents="create")
    page = text_of(answer.text)
    assert "Asterisk, as its content shows" in page and "known for this kind of file; nothing to choose" in page
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
        (b"\x89PNG\r\n\x1a\n" + bytes(300), "calls.csv: is "),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "is an old Excel workbook (.xls)."),
        (b"PK\x03\x04 and no more", "is not a readable Excel workbook."),
        (b'call_id,"started_at\n1,2\n', "the header cannot be read"),
        (b"x" * 200_000 + b"\n1\n", "the header cannot be read"),
        (b"x," * 200_000 + b"\n1,2\n", "has 200,001 columns, more than the 1,000"),
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
    assert waiting() == 0 and manager.get(old).status_code == 404
    at_noon.move_to(clock.now() + timedelta(days=3650))
    handed_in(manager)
    assert left_on_disk() == []


def test_so_many_wait_and_no_more(manager: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_WAITING", 2)
    handed_in(manager), handed_in(manager)
    answer = hand_in(manager)
    assert answer.status_code == 409 and "2 files of this organisation wait" in text_of(answer.text)
    assert waiting() == 2


# --- saying how it is to be read ---


def test_choices_are_followed_when_looking_again(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    assert "has no column for the call's id" in text_of(manager.get(path).text)
    answer = decide(manager, path, "look", **SAID, column_phone="5")
    page = text_of(answer.text)
    assert answer.status_code == 200 and "Say above which part of a date is the day" in page
    assert "03/04/2025 Thu 3 Apr 2025 Tue 4 Mar 2025" in page, "both readings side by side"
    assert "1 Not taken Begin: may be day first or month first: '03/04/2025'" in page
    read = text_of(decide(manager, path, "look", **SAID, column_phone="5", date_order="dmy").text)
    assert "1 3 Apr 2025, 09:00:00 EDT 09:01:00 amy yes 1:00 +1 ••••••••47" in read
    assert "Left alone: Got it." in read and samples.stored() == {}


def test_the_order_of_dates_is_asked_for_only_where_it_is_needed(manager: Browser) -> None:
    assert 'name="date_order"' not in manager.get(handed_in(manager)).text
    decided = THEIRS + "2,amy,31/01/2025 09:00,60,Y,\n"
    assert 'name="date_order"' not in decide(manager, handed_in(manager, decided), "look", **SAID).text


def test_what_the_file_says_for_answered_is_shown_and_can_be_explained(manager: Browser) -> None:
    lines = [f"{n},amy,2026-03-02 09:00,60,{word}" for n, word in enumerate(("OK", "lost", "OK"))]
    path = handed_in(manager, samples.rows(*lines, header="call_id,agent,started_at,talk_seconds,answered"))
    before = text_of(manager.get(path).text)
    assert "The file's first rows say: OK (2), lost (1)." in before and "neither yes nor no: 'OK'" in before
    columns = columns_of("call_id,agent,started_at,talk_seconds,answered")
    after = text_of(decide(manager, path, "look", **columns, yes="ok", no="Lost, gone").text)
    assert "0 2 Mar 2026, 09:00:00 EST 09:01:00 amy yes 1:00" in after and "09:00:00 amy no 0:00" in after
    both = decide(manager, path, "look", **columns, yes="ok, x", no="X")
    assert both.status_code == 400 and "'x' stands for answered and for not answered" in text_of(both.text)


def test_zone_unit_and_agents_are_followed(manager: Browser) -> None:
    path = handed_in(manager)
    chosen = {"zone": "Europe/Madrid", "duration_unit": "minutes", "agents": "create"}
    page = decide(manager, path, "look", **columns_of(HEADER), **chosen).text
    assert "HM-7 2 Mar 2026, 03:12:58 EST 05:35:58 amy yes 2:23:00" in text_of(page)
    assert "zed New yes" in text_of(page) and "<option selected>Europe/Madrid</option>" in page
    assert samples.stored() == {}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"zone": "Mars/Olympus"}, "is not a time zone"),
        ({"duration_unit": "hours"}, "'hours' is not offered"),
        ({"date_order": "ydm"}, "'ydm' is not offered"),
        ({"format": "xlsx", "read_as": "xlsx"}, "is not a readable Excel workbook"),
        ({"format": "tape"}, "'tape' is not a known format"),
        ({"site": "south"}, "there is no site 'south'"),
        ({"site": ""}, "nothing says at which site the calls were"),
        ({"column_agent": "8"}, "is not a column of this file"),
        ({"column_agent": "-1"}, "is not a column of this file"),
        ({"column_agent": "9" * 400}, "is not a column of this file"),
        ({"column_started_at": ""}, "has no column for its start"),
        ({"column_agent": "5"}, "the column 'phone' is chosen for Phone and for Agent"),
        ({"source": "x" * 201}, "is longer than 200 characters"),
        ({"source": "a\0b"}, "cannot be printed"),
        ({"rest": "[1]"}, "the page has lost what the mapping file said"),
        ({"rest": "[" * 100_000}, "the page has lost what the mapping file said"),
        ({"rest": '{"values": 3}'}, "the page has lost what the mapping file said"),
        ({"rest": '{"constants": {"queue": "a\\u0000"}}', "column_queue": ""}, "a NUL byte"),
        ({"rest": '{"constants": {"topic": "\\ud800"}}'}, "something that is no character"),
        ({"rest": '{"wheels": 4}'}, "wheels: Extra inputs are not permitted"),
    ],
)
@pytest.mark.parametrize("action", ["look", "check", "import"])
def test_what_cannot_be_is_said_on_the_page(manager: Browser, form: dict[str, str], said: str, action: str) -> None:
    path = handed_in(manager)
    answer = decide(manager, path, action, **(columns_of(HEADER) | form))
    assert answer.status_code in (400, 404) and said in text_of(answer.text), text_of(answer.text)
    assert 'value="look"' in answer.text and samples.stored() == {} and waiting() == 1


def test_rows_that_name_their_site_need_a_source(manager: Browser) -> None:
    header = "call_id,site,started_at,talk_seconds"
    path = handed_in(manager, samples.rows("1,north,2026-03-02 09:00,60", header=header))
    columns = columns_of(header)
    assert decide(manager, path, "look", **columns, site="").status_code == 200
    for action in ("check", "import"):
        answer = decide(manager, path, action, **columns, site="")
        assert answer.status_code == 400 and "need a source" in text_of(answer.text)
    assert decide(manager, path, "import", **columns, site="", source="pbx").status_code == 303
    assert samples.stored()["1"].source == "pbx"


def test_a_file_without_a_header_shows_nobodys_number(manager: Browser) -> None:
    path = handed_in(manager, GOOD + "\n" + GOOD.replace("HM-7", "HM-8") + "\n")
    page = manager.get(path).text
    assert "5550147" not in page and "555-0147" not in page and "jo.bloggs" not in page
    assert "The first line of the file seems to be a call already." in page
    chosen = {"column_external_id": "0", "column_started_at": "2", "column_talk_seconds": "3", "column_queue": "5"}
    for action in ("look", "check", "import"):
        answer = decide(manager, path, action, **chosen)
        assert answer.status_code == 400 and "555" not in answer.text and "bloggs" not in answer.text
        assert "seems to be a call already, not the names of its columns" in text_of(answer.text)
    assert samples.stored() == {}


def test_no_page_on_the_way_shows_a_contact(manager: Browser) -> None:
    path = handed_in(manager)
    columns = columns_of(HEADER)
    wrong = columns | {"column_agent": "5", "column_phone": "", "column_email": "", "column_topic": "6"}
    words = columns | {"column_answered": "6", "column_email": ""}
    pages = [manager.get(path), manager.get(LIST)]
    for form in (columns, wrong, words):
        pages += [decide(manager, path, action, **form) for action in ("look", "check", "mapping")]
    pages.append(decide(manager, path, "import", **wrong))
    pages.append(manager.get(f"{LIST}/{db.session.scalar(select(func.max(ImportRecord.id)))}"))
    for page in pages:
        assert "5550147" not in page.text and "555-0147" not in page.text and "bloggs" not in page.text
    detail = db.session.execute(text("SELECT string_agg(detail::text, '') FROM audit_entries")).scalar_one()
    assert "555" not in detail and "bloggs" not in detail


# --- checking and importing ---


def test_a_check_counts_the_whole_file_and_writes_nothing(manager: Browser) -> None:
    lines = [GOOD.replace("HM-7", f"HM-{n}") for n in range(30)] + ["HM-99,zed,2026-03-02 09:00,60,yes,,,"]
    path = handed_in(manager, samples.rows(*lines, header=HEADER))
    page = text_of(decide(manager, path, "check", **columns_of(HEADER)).text)
    assert "The whole file, checked. Nothing was written." in page
    assert "Read 31 rows of the file New 30 not known before Updated 0" in page and "Rejected 1 " in page
    assert "Unknown agent 1" in page and "Line 32, agent unknown agent: 'zed'" in page
    assert samples.stored() == {} and waiting() == 1 and db.session.query(ImportRecord).count() == 0


def test_an_import_leads_to_its_page_and_lets_go_of_the_file(manager: Browser) -> None:
    path = handed_in(manager)
    answer = decide(manager, path, "import", **columns_of(HEADER))
    assert answer.status_code == 303
    call = samples.stored()["HM-7"]
    assert call.customer is not None and call.customer.phone == "+12125550147"
    record = db.session.query(ImportRecord).one()
    assert answer.location == f"{LIST}/{record.id}" and record.actor.startswith("manager")
    assert (record.file_name, record.read, record.new, record.rejected) == ("calls.csv", 2, 1, 1)
    page = text_of(manager.get(answer.location).text)
    assert "2 rows gone through: 1 new, 0 updated, 0 unchanged, 1 rejected." in page
    assert waiting() == 0 and left_on_disk() == [] and manager.get(path).status_code == 404
    assert decide(manager, path, "import", **columns_of(HEADER)).status_code == 404, "once is enough"
    assert db.session.query(ImportRecord).count() == 1


def test_an_import_that_is_refused_as_a_whole_keeps_the_file(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    answer = decide(manager, path, "import", **SAID)
    assert answer.status_code == 400 and "no date in the file decides" in text_of(answer.text)
    assert waiting() == 1 and samples.stored() == {} and db.session.query(ImportRecord).count() == 0


def test_a_button_pressed_twice_does_its_work_once(manager: Browser) -> None:
    path = handed_in(manager)
    upload_id = int(path.rpartition("/")[2])
    with uploads.in_hand(upload_id):
        for action in ("import", "check"):
            answer = decide(manager, path, action, **columns_of(HEADER))
            assert answer.status_code == 409 and "gone through at this very moment" in text_of(answer.text)
        assert send(manager, f"{path}/cancel", {}).status_code == 409
    assert samples.stored() == {} and waiting() == 1
    assert decide(manager, path, "import", **columns_of(HEADER)).status_code == 303


def test_cancelling_deletes_the_file(manager: Browser) -> None:
    path = handed_in(manager)
    answer = send(manager, f"{path}/cancel", {})
    assert (answer.status_code, answer.location) == (303, LIST)
    assert waiting() == 0 and manager.get(path).status_code == 404 and samples.stored() == {}
    assert send(manager, f"{path}/cancel", {}).status_code == 404


def test_looking_changes_nothing(manager: Browser) -> None:
    path = handed_in(manager)
    before = db.session.execute(text("SELECT * FROM uploads")).all()
    for _ in range(2):
        manager.get(path), manager.get(f"{path}?like=none"), manager.get(f"{path}?like=7")
        decide(manager, path, "look", **columns_of(HEADER), agents="create")
    db.session.rollback()
    assert db.session.execute(text("SELECT * FROM uploads")).all() == before
    assert {model: db.session.query(model).count() for model in (Call, ImportRecord)} == {Call: 0, ImportRecord: 0}


# --- the same again next time ---


def imported(manager: Browser, content: str = THEIRS, **form: str) -> int:
    path = handed_in(manager, content)
    assert decide(manager, path, "import", **SAID, date_order="dmy", **form).status_code == 303
    return db.session.scalar(select(func.max(ImportRecord.id))) or 0


def test_choices_that_worked_are_taken_up_by_the_next_file_like_it(manager: Browser) -> None:
    import_id = imported(manager, source="pbx", agents="create", column_answered="4", yes="Y, OK", no="N")
    page = manager.get(handed_in(manager, THEIRS.replace("\n1,", "\n2,"), "april.csv")).text
    assert f'href="/console/imports/{import_id}">calls.csv</a>' in page
    assert 'value="pbx"' in page and 'value="Y, OK"' in page and "make them" in page
    assert "2 3 Apr 2025, 09:00:00 EDT 09:01:00 amy yes" in text_of(page)
    fresh = manager.get(f"{LIST}/uploads/2?like=none").text
    assert "has no column for the call's id" in text_of(fresh) and 'value="pbx" list' not in fresh


def test_several_ways_of_reading_are_offered_to_choose_from(manager: Browser) -> None:
    first, second = imported(manager, source="east"), imported(manager, source="west")
    path = handed_in(manager, THEIRS)
    page = text_of(manager.get(path).text)
    assert "Read this one in the same way as calls.csv , 12 Mar 2026, 13:00 EDT (17:00 UTC) , source west" in page
    for like, source in ((first, "east"), (second, "west")):
        assert f'value="{source}" list' in manager.get(f"{path}?like={like}").text


def test_other_files_and_other_organisations_are_offered_nothing(
    manager: Browser, browser: Browser, signed_in: SignedIn, world: World
) -> None:
    imported(manager)
    assert "whose file had the same columns" not in manager.get(handed_in(manager, FILE)).text
    browser.post("/console/sign-out", "/console/")
    signed_in("manager", world.organisation)
    assert "same columns w" not in browser.get(handed_in(browser, THEIRS, organisation=world.organisation.id)).text


def test_choices_of_which_nothing_could_be_taken_are_not_offered_again(manager: Browser) -> None:
    imported(manager, THEIRS.replace("amy", "zed"))
    assert db.session.query(AuditEntry).filter_by(action="imported an upload").one().detail == {}
    assert "same columns w" not in manager.get(handed_in(manager, THEIRS)).text


def test_choices_written_down_by_another_version_are_passed_over(manager: Browser) -> None:
    import_id = imported(manager)
    db.session.add(
        AuditEntry(
            at=clock.now(),
            actor="x",
            action="imported an upload",
            subject_type="imports",
            subject_id=import_id,
            detail={"mapping": {"wheels": 4}},
        )
    )
    db.session.commit()
    assert "whose file had the same columns" in manager.get(handed_in(manager, THEIRS)).text


# --- mapping files ---

MAPPING = """
source = "switch"
date_order = "mdy"
nothing = ["-"]
[columns]
external_id = "Nr"
agent = "who"
started_at = "Begin"
talk_seconds = "Talk"
answered = "Got it"
[values]
answered = { Y = true, N = false }
[constants]
language = "es"
"""


def test_a_mapping_file_fills_the_form_and_what_the_form_lacks_is_carried_along(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    answer = decide(manager, path, "look", mapping=(io.BytesIO(MAPPING.encode()), "switch.toml"))
    page = answer.text
    assert answer.status_code == 200 and "says more than this page asks: constants, nothing" in text_of(page)
    assert 'value="switch"' in page and 'name="yes" value="Y"' in page
    assert "1 4 Mar 2025, 09:00:00 EST 09:01:00 amy yes 1:00 – es" in text_of(page)
    rest = re.search(r'name="rest" value="([^"]*)"', page)
    assert rest
    again = SAID | {"column_answered": "4", "source": "switch", "date_order": "mdy", "rest": html.unescape(rest[1])}
    assert decide(manager, path, "import", **again, yes="Y", no="N").status_code == 303
    call = samples.stored()["1"]
    assert (call.source, call.language) == ("switch", "es")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"columns = 3", "columns: Input should be a valid dictionary"),
        (b"[columns", "is not TOML"),
        (b"\xff\xfe\xff", "is not UTF-8 text"),
        (b"a = " + b"[" * 30_000, "the mapping file: is nested too deeply"),
        (b"#" * 64_001, "is longer than 64,000 bytes"),
        (b"[columns]\nexternal_id = 'No such'", "has no column"),
        (b"format = 'tape'", "'tape' is not a known format"),
    ],
)
def test_a_faulty_mapping_file_is_refused_with_its_fault(manager: Browser, content: bytes, said: str) -> None:
    path = handed_in(manager, THEIRS)
    answer = decide(manager, path, "look", mapping=(io.BytesIO(content), "switch.toml"))
    assert answer.status_code == 400 and said in text_of(answer.text), text_of(answer.text)


def test_choices_are_downloaded_as_a_mapping_file_that_reads_back(manager: Browser, tmp_path: Path) -> None:
    path = handed_in(manager, THEIRS)
    chosen = SAID | {"column_answered": "4", "yes": "Y", "no": "N, nobody's", "source": "pbx", "zone": "UTC"}
    answer = decide(manager, path, "mapping", **chosen, date_order="dmy")
    assert answer.status_code == 200 and answer.mimetype == "application/toml"
    assert answer.headers["Content-Disposition"] == "attachment; filename=pbx-mapping.toml"
    mapping = read_mapping(samples.written(tmp_path, answer.data, "pbx.toml"))
    assert mapping.columns == {"external_id": "Nr", "agent": "Who", "started_at": "Begin"} | {
        "talk_seconds": "Talk",
        "answered": "Got it",
    }
    assert mapping.values == {"answered": {"Y": True, "N": False, "nobody's": False}}
    assert (mapping.source, mapping.zone, mapping.date_order) == ("pbx", "UTC", "dmy")


def test_any_mapping_survives_being_written_down(tmp_path: Path) -> None:
    mapping = mapping_of(
        {
            "columns": {"external_id": 'a "b" \\ c', "agent": "año\x7f\n", "started_at": "s"},
            "values": {"answered": {"": False, "¿?": True}, "queue": {"a=b": "c"}},
            "constants": {"language": "en", "internal": False, "talk_seconds": 5},
            "date_format": ["%d.%m.%Y", "excel"],
            "nothing": ["-", "n/a"],
            "end": "wait + talk",
            "contacts": {"phone": "Mobile"},
        }
    )
    assert read_mapping(samples.written(tmp_path, as_toml(mapping), "mapping.toml")) == mapping


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
