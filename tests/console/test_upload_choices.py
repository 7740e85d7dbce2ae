"""Saying how an upload is to be read, checking it, importing it, and being offered the same choices next time."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from console import uploads
from console.mapping_file import as_toml
from intake.mapping import mapping_of, read_mapping
from survey import clock
from survey.db import db
from survey.models import AuditEntry, Call, ImportRecord
from tests.console.conftest import Browser, World
from tests.console.test_imports import text_of
from tests.console.uploading import (
    FILE,
    GOOD,
    HEADER,
    LIST,
    SAID,
    THEIRS,
    columns_of,
    decide,
    handed_in,
    left_on_disk,
    send,
    waiting,
)
from tests.intake import samples

SignedIn = Callable[..., Browser]

# --- saying how it is to be read ---


def test_choices_are_followed_when_looking_again(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    assert "Call id: no column is chosen for it" in text_of(manager.get(path).text)
    answer = decide(manager, path, "look", **SAID, column_phone="5")
    page = text_of(answer.text)
    assert answer.status_code == 200 and "Which part of a date is the day: nothing in the file tells" in page
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
        ({"column_started_at": ""}, "Start: no column is chosen for it"),
        ({"column_agent": "5"}, "the column 'phone' is chosen for Phone and for Agent"),
        ({"source": "x" * 201}, "is longer than 200 characters"),
        ({"source": "a\0b"}, "cannot be printed"),
        ({"rest": "[1]"}, "the page has lost what the mapping file said"),
        ({"rest": "[" * 100_000}, "the page has lost what the mapping file said"),
        ({"rest": '{"values": 3}'}, "the page has lost what the mapping file said"),
        ({"rest": '{"constants": {"queue": "a\\u0000"}}', "column_queue": ""}, "a NUL byte"),
        ({"rest": '{"constants": {"topic": "\\ud800"}}'}, "something that is no character"),
        ({"rest": '{"wheels": 4}'}, "wheels: is no key of this table"),
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
    assert "Unknown agent" in page
    assert "Line 32, agent unknown agent: 'zed'" in page
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
    assert waiting() == 0 and left_on_disk() == [] and manager.get(path).status_code == 410
    assert decide(manager, path, "import", **columns_of(HEADER)).status_code == 410, "once is enough"
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
    assert waiting() == 0 and manager.get(path).status_code == 410 and samples.stored() == {}
    assert send(manager, f"{path}/cancel", {}).status_code == 410


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


def offers(page: str) -> bool:
    """Whether the page has the choices of an earlier import, or names some to choose from."""
    return "whose file had the same columns." in page or "Files with the same columns were imported before." in page


def test_choices_that_worked_are_taken_up_by_the_next_file_like_it(manager: Browser) -> None:
    import_id = imported(manager, source="pbx", agents="create", column_answered="4", yes="Y, OK", no="N")
    page = manager.get(handed_in(manager, THEIRS.replace("\n1,", "\n2,"), "april.csv")).text
    assert f'href="/console/imports/{import_id}">calls.csv</a>' in page
    assert 'value="pbx"' in page and 'value="Y, OK"' in page and "make them" in page
    assert "2 3 Apr 2025, 09:00:00 EDT 09:01:00 amy yes" in text_of(page)
    fresh = manager.get(f"{LIST}/uploads/2?like=none").text
    assert "Call id: no column is chosen for it" in text_of(fresh) and 'value="pbx" list' not in fresh


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
    assert offers(manager.get(handed_in(manager, THEIRS)).text)
    assert not offers(manager.get(handed_in(manager, FILE)).text)
    browser.post("/console/sign-out", "/console/")
    signed_in("manager", world.organisation)
    assert not offers(browser.get(handed_in(browser, THEIRS, organisation=world.organisation.id)).text)


def test_choices_of_which_nothing_could_be_taken_are_not_offered_again(manager: Browser) -> None:
    imported(manager, THEIRS.replace("amy", "zed"))
    assert db.session.query(AuditEntry).filter_by(action="imported an upload").one().detail == {}
    assert not offers(manager.get(handed_in(manager, THEIRS)).text)


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
    assert offers(manager.get(handed_in(manager, THEIRS)).text)


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
        (b"columns = 3", "columns: must be a table"),
        (b"[columns", "is not TOML"),
        (b"zone = 'UTC'\nzone = ?", "Mapping file: line 2, column 8: is not TOML"),
        (b"\xff\xfe\xff", "is not UTF-8 text"),
        (b"a = " + b"[" * 30_000, "lists are nested hundreds deep"),
        (b"#" * 64_001, "is longer than 64,000 bytes"),
        (b"[columns]\nexternal_id = 'No such'\nstarted_at = 'Begin'\ntalk_seconds = 'Talk'", "has no column 'No such'"),
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
