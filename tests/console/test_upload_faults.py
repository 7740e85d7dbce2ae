"""What is wrong with an upload's choices: said in the form's words, at the field, once and whole; and gone uploads."""

from __future__ import annotations

import html
import io
import re

import pytest

from console import uploads
from console.upload_fields import LABELS, OPTIONS
from intake import refusals
from intake.mapping import CALL_FIELDS
from survey import clock
from survey.db import db
from survey.models import AuditEntry, ImportRecord, Site, Upload
from tests import factories
from tests.console.conftest import Browser
from tests.console.test_imports import SignedIn, text_of
from tests.console.uploading import (
    ASTERISK,
    GOOD,
    HEADER,
    LIST,
    SAID,
    THEIRS,
    columns_of,
    decide,
    hand_in,
    handed_in,
    send,
    waiting,
)
from tests.intake import samples


def summary_of(page: str) -> tuple[str, list[str]]:
    """The words of the summary at the top, and the ids that it leads to; both empty where there is none."""
    found = re.search(r'<div class="note[^>]*id="faults">(.*?)</div>', page, re.S)
    return (text_of(found[1]).strip(), re.findall(r'href="#([^"]+)"', found[1])) if found else ("", [])


def marked(page: str) -> dict[str, str]:
    """The words at each field that is marked as wrong, by the field's id: those that its description leads to."""
    found = {}
    for tag in re.findall(r'<(?:select|input|fieldset)[^>]*aria-invalid="true"[^>]*>', page):
        id, described = re.search(r'\bid="([^"]+)"', tag), re.search(r'aria-describedby="([^" ]+)', tag)
        assert id and described, tag
        words = re.search(rf'<div class="field-fault" id="{described[1]}">(.*?)</div>', page, re.S)
        assert words, described[1]
        found[id[1]] = text_of(words[1]).strip()
    return found


@pytest.mark.parametrize(
    ("form", "field", "said"),
    [
        ({"zone": "Mars/Olympus"}, "zone", "Time zone of local times: 'Mars/Olympus' is not a time zone"),
        ({"duration_unit": "hours"}, "duration_unit", "Durations without colons are in: 'hours' is not offered"),
        ({"date_order": "ydm"}, "order", "Which part of a date is the day: 'ydm' is not offered"),
        ({"format": "xlsx", "read_as": "xlsx"}, "format", "Kind of file: calls.csv: is not a readable Excel workbook"),
        ({"format": "tape"}, "format", "Kind of file: 'tape' is not a known format"),
        ({"site": "south"}, "site", "Site of the calls: there is no site 'south': choose one from the list"),
        ({"site": ""}, "site", "Site of the calls: nothing says at which site the calls were: choose the site here"),
        ({"source": "x" * 201}, "source", "Source: the answer is longer than 200 characters"),
        ({"column_started_at": ""}, "column_started_at", "Start: no column is chosen for it, and no call can do"),
        (
            {"column_talk_seconds": ""},
            "column_talk_seconds",
            "Conversation: no column says how long it took: choose one for Conversation, Whole call or End",
        ),
        ({"column_agent": "8"}, "column_agent", "Agent: that is not a column of this file"),
        ({"column_agent": "5"}, "column_agent", "Agent: the column 'phone' is chosen for Phone and for Agent"),
        (
            {"yes": "yes, x", "no": "X"},
            "no",
            "Not answered is written as: 'x' stands for answered and for not answered",
        ),
        ({"rest": "[1]"}, "mapping", "Mapping file: the page has lost what the mapping file said"),
        ({"rest": '{"wheels": 4}'}, "mapping", "Mapping file: wheels: is no key of this table"),
        (
            {"rest": '{"constants": {"ended_at": "soon"}}'},
            "mapping",
            "Mapping file: what it says for every call under End: not a date with a time: 'soon'",
        ),
        (
            {"rest": '{"constants": {"queue": "sales"}}', "column_queue": "7"},
            "column_queue",
            "Queue: the mapping file says it for every call",
        ),
    ],
)
@pytest.mark.parametrize("action", ["look", "import"])
def test_a_fault_is_told_in_the_forms_words_at_its_field(
    manager: Browser, form: dict[str, str], field: str, said: str, action: str
) -> None:
    path = handed_in(manager, samples.rows(GOOD, header=HEADER))
    answer = decide(manager, path, action, **(columns_of(HEADER) | form))
    summary, leads_to = summary_of(answer.text)
    assert answer.status_code in (400, 404) and said in summary, summary
    assert leads_to == [field] and f'id="{field}"' in answer.text
    words = marked(answer.text)
    assert list(words) == [field] and words[field][1:].rstrip(".") in summary
    assert 'id="faults"' in answer.text.split("<form id=")[0], "it stands at the top"
    assert 'id="reading"' not in answer.text, "nothing leads past it"
    for word in (*CALL_FIELDS, "columns.", "constants.", "--", "TOML", "mapping.toml"):
        if "_" in word or word not in CALL_FIELDS:
            assert word not in summary + "".join(words.values()), word


def test_every_label_is_the_one_on_the_page(manager: Browser) -> None:
    page = decide(manager, handed_in(manager, THEIRS), "look", **SAID, column_answered="4").text
    for field, label in OPTIONS.items() | {(f"column_{name}", label) for name, label in LABELS.items()}:
        shown = label if field != "mapping" else "Take the choices from a mapping file (TOML)"
        if field == "order":
            assert f"<legend>{label}</legend>" in page
        else:
            assert f'for="{field}">{html.escape(shown)}</label>' in page, field
    assert f"<h2>{OPTIONS['mapping']}</h2>" in page


def test_a_page_without_faults_has_no_summary(manager: Browser) -> None:
    page = decide(manager, handed_in(manager, samples.rows(GOOD, header=HEADER)), "look", **columns_of(HEADER)).text
    assert summary_of(page) == ("", []) and marked(page) == {} and 'id="reading"' in page


@pytest.mark.parametrize(
    ("header", "cells", "field", "said"),
    [
        ("ended_at", ("soon", "later", "soon"), "column_ended_at", ": not a date with a time."),
        ("answered", ("OK", "lost", "OK"), "column_answered", ": neither yes nor no."),
        ("duration", ("a while", "-5x", "a while"), "column_duration", ": not a duration."),
        ("internal", ("perhaps", "who knows", "perhaps"), "column_internal", ": neither yes nor no."),
    ],
)
def test_texts_that_cannot_be_read_are_shown_at_their_column(
    manager: Browser, header: str, cells: tuple[str, ...], field: str, said: str
) -> None:
    lines = [f"{n},amy,2026-03-02 09:00,60,{cell}" for n, cell in enumerate(cells)]
    columns = f"call_id,agent,started_at,talk_seconds,{header}"
    path = handed_in(manager, samples.rows(*lines, header=columns))
    for answer in (manager.get(path), decide(manager, path, "look", **columns_of(columns))):
        words = marked(answer.text)
        assert list(words) == [field] and words[field].startswith(f"3 of the 3 rows shown cannot be read{said}")
        assert f"The file says: '{cells[0]}' , '{cells[1]}' ." in words[field], words
        summary, leads_to = summary_of(answer.text)
        assert leads_to == [field] and f"{LABELS[header]}: 3 of the 3 rows shown cannot be read" in summary


def test_a_bad_row_here_and_there_is_no_fault_of_the_choices(manager: Browser) -> None:
    lines = [f"{n},amy,2026-03-02 09:00,{'soon' if n == 1 else 60}" for n in range(3)]
    page = manager.get(handed_in(manager, samples.rows(*lines))).text
    assert marked(page) == {} and "1 of its 3 rows cannot be taken; each says why." in text_of(page)


def test_a_contact_in_the_wrong_column_stays_masked_in_its_fault(manager: Browser) -> None:
    wrong = columns_of(HEADER) | {"column_ended_at": "5", "column_phone": "", "column_email": ""}
    page = decide(manager, handed_in(manager, samples.rows(GOOD, header=HEADER)), "look", **wrong).text
    assert "•" in marked(page)["column_ended_at"] and "555" not in page
    assert marked(page)["column_ended_at"].startswith("The row shown cannot be read")


def test_a_faulty_mapping_file_leaves_the_other_choices_as_they_were(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    faulty = (io.BytesIO(b"[columns]\nended_at = 3\n"), "m.toml")
    page = decide(manager, path, "look", **SAID, zone="Europe/Madrid", date_order="dmy", mapping=faulty).text
    words = marked(page)
    assert words == {"mapping": "Columns.ended_at (End): write text, between quotes."}
    assert "<option selected>Europe/Madrid</option>" in page
    assert re.search(r'id="column_started_at".*?value="2" selected>Begin', page, re.S)
    assert re.search(r"<details[^>]*open>\s*<summary><h2>Mapping file", page), "its field can be seen"


# --- everything at once, and the rows as they stand in the file ---

OTHERS = "Ref,Operator,When,Lasted,Outcome,Ring back"
STRANGE = samples.rows(*(f"R{n},zed,03/04/2025 09:00,1:20,lost,(212) 555-0147" for n in range(7)), header=OTHERS)


def test_all_that_can_be_told_is_told_at_once_in_the_order_of_the_form(manager: Browser) -> None:
    path = handed_in(manager, STRANGE)
    chosen = {"column_agent": "1", "column_started_at": "2", "column_answered": "4", "column_language": "3"}
    wrong = {"site": "south", "zone": "Mars/Olympus", "duration_unit": "hours", "source": "a\0b", "yes": "x", "no": "X"}
    wrong |= {"rest": '{"wheels": 4}'}
    answer = decide(manager, path, "import", **chosen, **wrong, column_queue="77")
    summary, leads_to = summary_of(answer.text)
    assert leads_to == [
        *("site", "source", "column_external_id", "column_agent", "column_answered", "column_talk_seconds"),
        *("column_language", "column_queue", "order", "zone", "duration_unit", "no", "mapping"),
    ]
    assert set(marked(answer.text)) == set(leads_to) and "To be mended: 13 things" in summary
    assert "Language: 7 of the 7 rows shown cannot be read: not a language tag" in summary
    assert "03/04/2025 Thu 3 Apr 2025 Tue 4 Mar 2025" in text_of(answer.text), "both readings although more is wrong"
    assert samples.stored() == {} and noted() == [], "nothing was tried with such choices"
    mended = {"column_external_id": "0", "column_agent": "1", "column_started_at": "2", "column_talk_seconds": "3"}
    rest = {"column_answered": "4", "no": "lost", "date_order": "dmy", "agents": "create"}
    after = decide(manager, path, "look", **mended, **rest)
    assert summary_of(after.text) == ("", []) and "its first 5 rows" in text_of(after.text)


def test_a_summary_takes_the_focus_and_is_an_alert(manager: Browser) -> None:
    path = handed_in(manager, STRANGE)
    opened, sent = manager.get(path).text, decide(manager, path, "look").text
    for page in (opened, sent):
        assert re.search(r'role="alert" tabindex="-1"[^>]* id="faults"', page)
    assert " autofocus" in sent and " autofocus" not in opened


def test_before_the_columns_are_known_the_first_rows_are_shown_as_they_are(manager: Browser) -> None:
    path = handed_in(manager, STRANGE)
    page = manager.get(path).text
    assert re.search(r'<details[^>]*id="first_rows" open>', page)
    assert "Line Ref Operator When Lasted Outcome Ring back 2 R0 zed 03/04/2025 09:00 1:20 lost ••••••••47 3" in (
        text_of(page)
    )
    assert page.count('<tr><th scope="row">') >= 5 and "555-0147" not in page
    read = manager.get(handed_in(manager, samples.rows(GOOD, header=HEADER))).text
    assert re.search(r'<details[^>]*id="first_rows">', read), "there to be opened where all can be read"


def test_a_source_that_an_import_needs_is_asked_for_at_the_first_look(manager: Browser) -> None:
    header = "call_id,site,started_at,talk_seconds"
    path = handed_in(manager, samples.rows("1,north,2026-03-02 09:00,60", header=header))
    answer = decide(manager, path, "look", **columns_of(header), site="")
    assert answer.status_code == 200 and summary_of(answer.text)[1] == ["source"]


def test_unknown_agents_of_a_telephone_system_are_settled_where_agents_are(manager: Browser) -> None:
    words = marked(manager.get(handed_in(manager, ASTERISK, "Master.csv")).text)
    assert list(words) == ["agents"]
    assert words["agents"].startswith("The row shown cannot be taken: the roster does not know the agent.")


def test_ids_of_calls_that_would_change_are_shown_whole(manager: Browser) -> None:
    ids = samples.rows("2125550147,amy,2026-03-02 09:00,60")
    columns = columns_of("call_id,agent,started_at,talk_seconds")
    assert decide(manager, handed_in(manager, ids), "import", **columns).status_code == 303
    page = decide(manager, handed_in(manager, ids.replace(",60", ",90")), "check", **columns).text
    assert "2125550147" in text_of(page).partition("The first calls that would change")[2]


def test_durations_of_a_spreadsheet_ask_for_their_unit(manager: Browser) -> None:
    path = handed_in(manager, samples.rows("1,amy,2026-03-02 09:00,0.00167"))
    words = marked(manager.get(path).text)
    assert list(words) == ["duration_unit"] and "The file says: '0.00167' . Choose days" in words["duration_unit"]
    columns = columns_of("call_id,agent,started_at,talk_seconds")
    after = decide(manager, path, "look", **columns, duration_unit="days")
    assert summary_of(after.text) == ("", []) and "amy yes 2:24" in text_of(after.text)


# --- dates that may be read in two ways ---

READINGS = (
    "'03/04/2025' is 3 April 2025 read day first and 4 March 2025 read month first, and no date in the file decides"
)


@pytest.mark.parametrize("action", ["open", "look", "check", "import"])
def test_two_readings_are_told_once_and_whole_with_the_choice_that_settles_it(manager: Browser, action: str) -> None:
    own = THEIRS.replace("Nr,Who,Begin,Talk", "call_id,agent,started_at,talk_seconds")
    path = handed_in(manager, own)
    answer = manager.get(path) if action == "open" else decide(manager, path, action, **SAID)
    assert answer.status_code == (400 if action in ("check", "import") else 200)
    page = text_of(answer.text)
    assert page.count("read day first and") == 1 and READINGS in page, page
    words = marked(answer.text)
    assert list(words) == ["order"] and READINGS in words["order"]
    assert words["order"].endswith("Choose which part is the day, then press Look again.")
    settled_by = answer.text.partition('<fieldset class="mb-3" id="order"')[2].partition("</fieldset>")[0]
    assert 'id="order_dmy"' in settled_by and READINGS in text_of(settled_by)
    summary, leads_to = summary_of(answer.text)
    assert leads_to == ["order"] and "Which part of a date is the day: nothing in the file tells" in summary
    assert "…" not in summary + words["order"]


def test_dates_that_contradict_each_other_are_told_there_too(manager: Browser) -> None:
    path = handed_in(manager, THEIRS + "2,amy,31/01/2025 09:00,60,Y,\n3,amy,01/31/2025 09:00,60,Y,\n")
    words = marked(decide(manager, path, "look", **SAID).text)
    assert "'31/01/2025' in line 3 can only be day first, '01/31/2025' in line 4 only month first" in words["order"]
    assert marked(decide(manager, path, "look", **SAID, date_order="dmy").text) == {}


# --- an upload that is not there any more ---


def test_an_imported_file_leads_to_its_import(manager: Browser) -> None:
    path = handed_in(manager)
    record = decide(manager, path, "import", **columns_of(HEADER)).location
    for answer in (manager.get(path), decide(manager, path, "look"), decide(manager, path, "import")):
        assert answer.status_code == 410 and f'href="{record}"' in answer.text
        page = text_of(answer.text)
        assert "calls.csv This file has been imported By manager" in page and "12 Mar 2026, 13:00 EDT" in page
    assert send(manager, f"{path}/cancel", {}).status_code == 410
    assert db.session.query(ImportRecord).count() == 1


def test_a_cancelled_file_says_so_and_leads_to_a_new_one(manager: Browser) -> None:
    path = handed_in(manager)
    send(manager, f"{path}/cancel", {})
    answer = manager.get(path)
    assert answer.status_code == 410 and 'href="/console/imports/new"' in answer.text
    assert "This file was cancelled, and nothing of it was taken in" in text_of(answer.text)


def test_an_expired_file_says_so_and_leads_to_a_new_one(manager: Browser, at_noon: clock.ManualClock) -> None:
    path = handed_in(manager)
    at_noon.move_to(clock.now() + uploads.KEPT)
    handed_in(manager)
    answer = manager.get(path)
    assert answer.status_code == 410 and 'href="/console/imports/new"' in answer.text
    assert "This file waited longer than a day, and nothing of it was taken in" in text_of(answer.text)
    entry = db.session.query(AuditEntry).filter_by(action="upload expired").one()
    assert (entry.actor, entry.subject_type, entry.subject_id) == ("service", Upload.__tablename__, 1)


@pytest.mark.parametrize("role", ["manager", "administrator"])
def test_what_became_of_anothers_file_is_not_told(
    browser: Browser, signed_in: SignedIn, place: Site, role: str
) -> None:
    path = handed_in(signed_in("manager", place.organisation))
    send(browser, f"{path}/cancel", {})
    for owner, sees in ((place.organisation, role == "administrator"), (factories.site().organisation, False)):
        db.session.commit()
        browser.post("/console/sign-out", "/console/")
        signed_in(role, db.session.merge(owner))
        answer = browser.get(path)
        assert answer.status_code == (410 if sees else 404) and ("calls.csv" in answer.text) is sees


def test_what_never_was_is_not_found(manager: Browser) -> None:
    assert manager.get(f"{LIST}/uploads/77").status_code == 404


# --- files that are refused here ---


def noted() -> list[refusals.Refusal]:
    db.session.rollback()
    return [refusals.told(entry) for entry in db.session.scalars(refusals.of(None))]


@pytest.mark.parametrize("content", [b"", HEADER.encode(), b"PK\x03\x04 and no more", b"x," * 200_000 + b"\n1,2\n"])
def test_a_file_refused_when_it_is_handed_in_is_noted(manager: Browser, place: Site, content: bytes) -> None:
    assert hand_in(manager, content, "march.csv").status_code == 400
    (refusal,) = noted()
    assert (refusal.door, refusal.file_name, refusal.organisation_id) == (
        "console",
        "march.csv",
        place.organisation_id,
    )
    assert refusal.actor.startswith("manager") and refusal.sha256 and "/" not in refusal.reason


def test_a_file_refused_when_it_is_imported_is_noted_and_looking_leaves_no_trace(manager: Browser) -> None:
    path = handed_in(manager, THEIRS)
    for action in ("look", "check", "mapping"):
        decide(manager, path, action, **SAID)
    assert noted() == []
    assert decide(manager, path, "import", **SAID).status_code == 400 and waiting() == 1
    assert [refusal.reason.partition(" is ")[0] for refusal in noted()] == ["line 2, column 'Begin': '03/04/2025'"]


# --- counting ---


def test_reasons_are_counted_not_repeated(manager: Browser) -> None:
    lines = [f"{n},zed,2026-03-02 09:00,60" for n in range(7)] + ["8,amy,soon,60", "9,amy,2026-03-02 09:00,60"]
    columns = columns_of("call_id,agent,started_at,talk_seconds")
    path = handed_in(manager, samples.rows(*lines))
    checked = text_of(decide(manager, path, "check", **columns).text)
    told = checked.partition("What they say, each once")[2]
    assert told.startswith(" Line 2, agent and 6 more unknown agent: 'zed' Line 9, started_at not a date with a time")
    answer = decide(manager, path, "import", **columns)
    page = text_of(manager.get(answer.location).text)
    assert "First line Column Reason Rows 2 agent unknown agent: 'zed' 7 9 started_at not a date with a time" in page


def test_one_is_one(manager: Browser) -> None:
    header = "call_id,agent,started_at,talk_seconds"
    path = handed_in(manager, samples.rows("1,zoe,2026-03-02 09:00,60"))
    answer = decide(manager, path, "check", **columns_of(header), agents="create")
    page = text_of(answer.text)
    assert "Read 1 row of the file" in page and "1 rows" not in page and "1 agents" not in page
    assert "supervisor: 1 " in page.partition("Settled by a rule, and counted")[2]
    answer = decide(manager, path, "import", **columns_of(header), agents="create")
    page = text_of(manager.get(answer.location).text)
    assert "1 row gone through: 1 new" in page and "1 rows" not in page and "1 agents" not in page
    page = text_of(manager.get(handed_in(manager, samples.rows("2,amy,soon,60"))).text)
    assert "1 of its 1 row cannot be taken." in page
