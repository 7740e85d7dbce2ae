"""What was handed in: the list, one import's record, its rejects file, and undoing it; each for those it belongs to."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from console import imports, undoing
from intake import undo
from intake.reading import CHUNK
from intake.standing import Standing
from intake.undo_steps import Stage, Steps, under_way
from survey import clock, settings
from survey.db import db
from survey.errors import Refused
from survey.models import Call, ImportKind, ImportRecord, Site
from survey.turns import import_under_way
from tests import factories, statements
from tests.console.conftest import Browser, World
from tests.intake import samples

SignedIn = Callable[..., Browser]


def text_of(page: str) -> str:
    """The page's words, without its tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def main_of(page: str) -> str:
    return page.split("<main")[1]


def taken_in(site: Site, folder: Path, *lines: str, **options: Any) -> ImportRecord:
    """An import of a file with a header and these lines, for that site."""
    file = samples.written(folder, samples.rows(*lines))
    report = samples.taken(file, organisation=site.organisation.key, site=site.key, **options)
    db.session.expire_all()
    return db.session.get_one(ImportRecord, report.import_id)


@pytest.fixture
def rejected(place: Site, tmp_path: Path) -> ImportRecord:
    """An import with one good row and three bad ones, of two reasons; one of them names a phone as the agent."""
    return taken_in(
        place,
        tmp_path,
        "good,amy,2026-03-02 09:00,60",
        "a,zed,2026-03-02 09:00,60",
        "b,+12125550147,2026-03-02 09:00,60",
        "c,amy,2026-02-30 09:00,60",
    )


# --- the list ---


def test_an_empty_list_says_what_to_do(signed_in: SignedIn, place: Site) -> None:
    page = signed_in("manager", place.organisation).get("/console/imports").text
    assert "Nothing has been handed in yet." in page and 'href="/console/imports/new"' in page
    assert "flask calls import FILE" in page


def test_a_reader_is_offered_nothing_to_hand_in(signed_in: SignedIn, rejected: ImportRecord, place: Site) -> None:
    browser = signed_in("auditor", place.organisation)
    for path in ("/console/imports", f"/console/imports/{rejected.id}"):
        page = browser.get(path).text
        assert "/console/imports/new" not in page and "/undo" not in page


def test_every_line_says_who_when_what_and_how_many(signed_in: SignedIn, rejected: ImportRecord, place: Site) -> None:
    page = text_of(signed_in("auditor", place.organisation).get("/console/imports").text)
    assert "calls.csv Taken in, not all 12 Mar 2026, 13:00 EDT (17:00 UTC) test Calls north 4 1 0 0 3" in page


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"finished": True}, "Taken in"),
        ({"finished": True, "read": 2, "rejected": 2}, "Nothing taken"),
        ({"finished": True, "read": 2, "new": 1, "rejected": 1}, "Taken in, not all"),
        ({"ago": timedelta(minutes=59), "goes_on": True}, "Under way"),
        ({"ago": timedelta(hours=1), "goes_on": True}, "Cut off"),
        ({"ago": timedelta(minutes=1)}, "Cut off"),
        ({"finished": True, "undone": True}, "Undone"),
    ],
)
def test_the_state_of_an_import(signed_in: SignedIn, place: Site, given: dict[str, Any], state: str) -> None:
    now, goes_on = clock.now(), given.pop("goes_on", False)
    record = factories.import_record(
        place.organisation_id,
        started_at=now - given.pop("ago", timedelta(0)),
        finished_at=now if given.pop("finished", False) else None,
        undone_at=now if (undone := given.pop("undone", False)) else None,
        undone_by="jo@example.com" if undone else None,
        **given,
    )
    db.session.commit()
    browser = signed_in("auditor", place.organisation)
    with import_under_way(place.organisation_id) if goes_on else nullcontext():
        for path in ("/console/imports", f"/console/imports/{record.id}"):
            assert f">{state}</span>" in browser.get(path).text, path


def test_another_organisations_import_keeps_none_under_way(signed_in: SignedIn, place: Site) -> None:
    factories.import_record(place.organisation_id, finished_at=None)
    other = factories.organisation().id
    db.session.commit()
    with import_under_way(other):
        assert ">Cut off</span>" in signed_in("auditor", place.organisation).get("/console/imports").text


def test_one_cut_off_and_completed_by_a_later_import_says_so(signed_in: SignedIn, place: Site) -> None:
    now, owner = clock.now(), place.organisation_id
    cut = factories.import_record(owner, source="pwc")
    factories.import_record(owner, source="other", finished_at=now)
    factories.import_record(owner, source="pwc", sha256="1" * 64, finished_at=now)
    factories.import_record(owner, source="pwc", finished_at=now, undone_at=now, undone_by="jo")
    db.session.commit()
    browser = signed_in("auditor", place.organisation)
    paths = ("/console/imports", f"/console/imports/{cut.id}")
    assert not any("completed by" in text_of(browser.get(path).text) for path in paths)
    whole = factories.import_record(owner, source="pwc", finished_at=now)
    factories.import_record(owner, source="pwc", finished_at=now)
    db.session.commit()
    with import_under_way(owner):
        for path in paths:
            page = browser.get(path).text
            assert f"completed by import {whole.id}" in text_of(page) and ">Cut off</span>" in page, path


def test_rows_of_a_program_are_said_to_be_from_one(signed_in: SignedIn, place: Site) -> None:
    record = factories.import_record(place.organisation_id, file_name="-", finished_at=clock.now())
    db.session.commit()
    browser = signed_in("administrator", place.organisation)
    assert ">from a program</a>" in browser.get("/console/imports").text
    for path in ("", "/undo"):
        assert "from a program" in text_of(browser.get(f"/console/imports/{record.id}{path}").text)


def test_numbers_stand_in_one_line_at_the_right() -> None:
    style = (Path(imports.__file__).parent / "static" / "console.css").read_text()
    assert re.search(r"^\.num \{ text-align: right; white-space: nowrap; \}", style, re.M)


def test_remarks_and_what_to_do_stand_on_the_imports_page(signed_in: SignedIn, place: Site, tmp_path: Path) -> None:
    lines = "a,amy,2026-03-02 09:00,60", "b,zed,2026-03-02 09:00,60", "c,amy,,60"
    first, again = taken_in(place, tmp_path, *lines), taken_in(place, tmp_path, *lines, source="x")
    page = text_of(signed_in("auditor", place.organisation).get(f"/console/imports/{again.id}").text)
    assert "No column for phone or email: nobody can be asked about these calls." in page
    assert f"This file was import {first.id}, source north: under another source its calls are other calls." in page
    assert "started_at: is empty" in page and "Unknown agent Put them into the roster, or hand the file in" in page
    assert "these calls.: 0" not in page and "--create-agents" not in page


def test_an_import_under_way_says_how_often_its_counts_grow() -> None:
    assert f"grow with every {CHUNK:,} rows" in imports.STATES[Standing.UNDER_WAY].meaning and CHUNK == 5_000


def test_forty_a_page_newest_first_each_once(signed_in: SignedIn, place: Site) -> None:
    made = [factories.import_record(place.organisation_id, file_name=f"day-{n}.csv") for n in range(95)]
    factories.import_record(factories.organisation().id, file_name="not-ours.csv")
    db.session.commit()
    browser = signed_in("auditor", place.organisation)
    path, seen, pages = "/console/imports", [], 0
    while path and len(seen) < 200:
        page = browser.get(path).text
        seen += re.findall(r">(day-\d+\.csv)</a>", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path, pages = html.unescape(following[1]) if following else "", pages + 1
        assert "not-ours" not in page
    assert seen == [record.file_name for record in reversed(made)] and pages == 3


def test_the_list_asks_the_same_few_questions_however_long_it_is(signed_in: SignedIn, place: Site) -> None:
    browser = signed_in("auditor", place.organisation)
    asked = []
    for count in (1, 39):
        for _ in range(count):
            factories.import_record(place.organisation_id)
        db.session.commit()
        with statements.counted() as found:
            browser.get("/console/imports")
        asked.append(len(found))
    assert asked[0] == asked[1]


def test_long_names_are_broken_and_the_source_has_its_column(signed_in: SignedIn, place: Site) -> None:
    factories.import_record(place.organisation_id, file_name="x" * 200, source="the switch")
    db.session.commit()
    page = signed_in("auditor", place.organisation).get("/console/imports").text
    assert '<th scope="col">Source</th>' in page and 'data-name="Source"><span class="actor">the switch<' in page
    style = (Path(imports.__file__).parent / "static" / "console.css").read_text()
    # In cards a long word makes its line as wide as itself unless it may be broken anywhere; elsewhere it may overflow.
    assert '.imports th[scope="row"], .imports .actor { overflow-wrap: anywhere; }' in style
    assert re.search(r"^main \{[^}]*overflow-wrap: break-word;", style, re.M)


@pytest.mark.parametrize("before", ["refused-x", "refused-", "refused--1", "x", "-1", "1" * 19, "%00"])
def test_an_address_that_no_page_has_is_refused(signed_in: SignedIn, place: Site, before: str) -> None:
    assert signed_in("auditor").get(f"/console/imports?before={before}").status_code == 400


def test_beyond_the_oldest_there_is_a_way_back(signed_in: SignedIn, rejected: ImportRecord) -> None:
    page = signed_in("auditor").get("/console/imports?before=1").text
    assert "There are no older imports." in page and ">Newest</a>" in page


def test_an_account_of_all_organisations_is_told_whose_each_import_is(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    assert place.organisation.name in signed_in("auditor").get("/console/imports").text


# --- one import ---


def test_a_page_has_everything_in_the_record(signed_in: SignedIn, rejected: ImportRecord, place: Site) -> None:
    rejected.notes = {"local times that the clock change repeated (read as the first)": 2}
    db.session.commit()
    page = text_of(signed_in("auditor", place.organisation).get(f"/console/imports/{rejected.id}").text)
    for told in (
        "calls.csv Taken in, not all",
        "Read 4 rows of the file New 1",
        "Rejected 3 could not be taken",
        "Why 3 rows could not be taken",
        "Unknown agent Put them into the roster, or hand the file in again and let agents be made. 2 66.7%",
        "started_at: there is no such day 1 33.3%",
        f"Organisation {place.organisation.name}",
        "Source north",
        "Handed in by test",
        "Begun 12 Mar 2026, 13:00 EDT (17:00 UTC)",
        "Ended 12 Mar 2026, 13:00 EDT (17:00 UTC)",
        f"Its SHA-256 {rejected.sha256}",
        f"number {rejected.id}",
        "Local times that the clock change repeated (read as the first): 2",
        "First line Column Reason Rows 3 agent unknown agent: 'zed' 1 4 agent unknown agent: '•••••••••47' 1 5 ",
    ):
        assert told in page, told


def test_no_contact_stands_on_any_page(signed_in: SignedIn, rejected: ImportRecord, place: Site) -> None:
    browser = signed_in("administrator", place.organisation)
    for path in ("", f"/{rejected.id}", f"/{rejected.id}/undo"):
        page = browser.get(f"/console/imports{path}").text
        assert "5550147" not in page, path
    assert "•••••••••47" in browser.get(f"/console/imports/{rejected.id}").text


def test_kinds_are_called_as_people_call_them(signed_in: SignedIn, place: Site) -> None:
    for kind in ImportKind:
        factories.import_record(place.organisation_id, kind=kind)
    db.session.commit()
    page = text_of(signed_in("auditor").get("/console/imports").text)
    for name in ("Calls", "Roster", "Contacts", "Opt-outs", "Answers", "Control totals"):
        assert f"test {name} " in page


# --- the rejects file ---


def rejects_of(browser: Browser, record: ImportRecord) -> tuple[int, str]:
    answer = browser.get(f"/console/imports/{record.id}/rejects")
    return answer.status_code, text_of(answer.text)


def test_the_rejects_file_is_handed_out_as_it_was_written(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    answer = signed_in("auditor", place.organisation).get(f"/console/imports/{rejected.id}/rejects")
    assert answer.status_code == 200 and answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=rejects-of-import-{rejected.id}.csv"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.data == Path(str(rejected.rejects_file)).read_bytes()
    assert answer.text.splitlines()[1] == "3,agent,unknown agent: 'zed',a,zed,2026-03-02 09:00,60"


def test_a_file_named_at_the_import_is_found_too(signed_in: SignedIn, place: Site, tmp_path: Path) -> None:
    record = taken_in(place, tmp_path, "a,zed,2026-03-02 09:00,60", rejects=tmp_path / "mine.csv")
    assert rejects_of(signed_in("auditor"), record)[0] == 200


def test_a_file_that_is_not_on_this_machine_is_said_to_be_elsewhere(
    signed_in: SignedIn, rejected: ImportRecord
) -> None:
    Path(str(rejected.rejects_file)).unlink()
    browser = signed_in("auditor")
    status, said = rejects_of(browser, rejected)
    assert status == 404 and "The rejects file is not on this machine" in said and "hand the same file in again" in said
    page = browser.get(f"/console/imports/{rejected.id}").text
    assert "The rejects file is not on this machine" in text_of(page) and f'{rejected.id}/rejects"' not in page


def test_an_import_without_rejects_has_no_file(signed_in: SignedIn, place: Site, tmp_path: Path) -> None:
    record = taken_in(place, tmp_path, "a,amy,2026-03-02 09:00,60")
    browser = signed_in("auditor")
    status, said = rejects_of(browser, record)
    assert status == 404 and "This import left no rejects file" in said
    assert "rejects file" not in browser.get(f"/console/imports/{record.id}").text


def test_a_file_written_anew_by_another_import_is_not_handed_out(
    signed_in: SignedIn, place: Site, tmp_path: Path
) -> None:
    shared = tmp_path / "rejects.csv"
    first = taken_in(place, tmp_path, "a,zed,2026-03-02 09:00,60", rejects=shared)
    other = factories.site()
    second = taken_in(other, tmp_path, "theirs,zed,2026-03-02 09:00,60", rejects=shared)
    status, said = rejects_of(signed_in("auditor", place.organisation), first)
    assert status == 404 and "another file has been written in its place" in said and "theirs" not in said
    assert imports.rejects_file(second) == shared


@pytest.mark.parametrize("content", [b"name,password\n", b"", b"\xff\xfe\x00", b"line,column\n"])
def test_a_file_that_is_no_rejects_file_is_not_handed_out(
    signed_in: SignedIn, rejected: ImportRecord, content: bytes
) -> None:
    Path(str(rejected.rejects_file)).write_bytes(content)
    assert rejects_of(signed_in("administrator"), rejected)[0] == 404


@pytest.mark.parametrize("path", ["rejects.csv", "../secrets.csv", "/", "/etc/hostname", ""])
def test_no_path_leads_anywhere_else(
    signed_in: SignedIn, rejected: ImportRecord, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.current().aftercall_data
    (folder / "rejects" / "rejects.csv").write_text("line,column,reason\n1,a,b\n")
    (folder / "secrets.csv").write_text("line,column,reason\n1,a,b\n")
    monkeypatch.chdir(folder / "rejects")
    rejected.rejects_file = path
    db.session.commit()
    assert rejects_of(signed_in("administrator"), rejected)[0] == 404


# --- undoing ---


def test_undoing_is_asked_for_first_and_says_what_it_does(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    browser = signed_in("manager", place.organisation)
    page = browser.get(f"/console/imports/{rejected.id}").text
    assert f'href="/console/imports/{rejected.id}/undo"' in page
    asked = text_of(browser.get(f"/console/imports/{rejected.id}/undo").text)
    assert "1 call that it brought in is removed." in asked and "0 changes that it made" in asked
    assert "None has so far." in asked and "Where a later import" not in asked
    assert samples.stored().keys() == {"good"}, "asking changes nothing"


def test_an_undone_import_is_gone_and_its_record_stays(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    browser, path = signed_in("manager", place.organisation), f"/console/imports/{rejected.id}"
    answer = browser.post(f"{path}/undo", f"{path}/undo")
    assert (answer.status_code, answer.location) == (303, path)
    assert samples.stored() == {}
    page = text_of(browser.get(path).text)
    assert "Undone by manager" in page and "12 Mar 2026, 13:00 EDT (17:00 UTC) by manager" in page
    assert "Undo this import" not in page
    again = browser.post(f"{path}/undo", path.removesuffix(f"/{rejected.id}") + "/new")
    assert again.status_code == 409 and "Not undone" in text_of(again.text)


def test_an_import_whose_call_was_drawn_cannot_be_undone(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    factories.draw(samples.stored()["good"], factories.campaign([place]))
    db.session.commit()
    browser, path = signed_in("administrator", place.organisation), f"/console/imports/{rejected.id}/undo"
    page = browser.get(path).text
    assert "1 of its calls has gone through the draw by now." in text_of(page) and "<form" not in page.split("<main")[1]
    answer = browser.post(path, "/console/imports/new")
    assert answer.status_code == 409 and "Not undone:" in text_of(answer.text)
    assert samples.stored().keys() == {"good"} and db.session.get_one(ImportRecord, rejected.id).undone_at is None


def test_a_drawn_call_that_it_changed_holds_it_too(signed_in: SignedIn, place: Site, tmp_path: Path) -> None:
    taken_in(place, tmp_path, "good,amy,2026-03-02 09:00,60")
    second = taken_in(place, tmp_path, "good,amy,2026-03-02 09:00,61")
    factories.draw(samples.stored()["good"], factories.campaign([place]))
    db.session.commit()
    page = text_of(signed_in("administrator").get(f"/console/imports/{second.id}/undo").text)
    assert "0 calls that it brought in are removed. 1 change that it made" in page
    assert "1 of its calls has gone through the draw by now." in page


def test_a_later_import_is_named_before_anybody_presses(signed_in: SignedIn, place: Site, tmp_path: Path) -> None:
    first = taken_in(place, tmp_path, "good,amy,2026-03-02 09:00,60")
    second = taken_in(place, tmp_path, "good,amy,2026-03-02 09:00,61")
    page = signed_in("administrator").get(f"/console/imports/{first.id}/undo").text
    assert "Nothing: later imports say more about calls that import" in text_of(page)
    assert f"the newest before the others: {second.id}." in text_of(page) and "<form" not in page.split("<main")[1]


def test_a_refusal_is_told_in_its_own_words(
    signed_in: SignedIn, rejected: ImportRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(import_id: int, *, actor: str) -> None:
        raise Refused(f"import {import_id} is not to be undone by {actor[:5]}", how="Ask again tomorrow.")

    monkeypatch.setattr(undo, "undo", refuse)
    answer = signed_in("administrator").post(f"/console/imports/{rejected.id}/undo", "/console/imports/new")
    assert f"Not undone: import {rejected.id} is not to be undone by admin. Ask again tomorrow." in text_of(answer.text)


def test_a_long_undo_goes_on_beside_the_request_and_its_page_says_how_far_it_is(
    signed_in: SignedIn, rejected: ImportRecord, place: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, path = signed_in("manager", place.organisation), f"/console/imports/{rejected.id}"
    take_back, reached, go_on = undo.restore, Event(), Event()

    def held_up(import_id: int, steps: Steps) -> int:
        restored = take_back(import_id, steps)
        steps.at(Stage.CALLS, 20_000, 300_000)
        reached.set()
        assert go_on.wait(30)
        return restored

    monkeypatch.setattr(undo, "restore", held_up)
    monkeypatch.setattr(undoing, "PATIENCE_SECONDS", 0.1)
    answer = browser.post(f"{path}/undo", f"{path}/undo")
    assert (answer.status_code, answer.location) == (303, f"{path}/undo?begun=1") and reached.wait(30)
    page = browser.get(f"{path}/undo")
    assert page.headers["Refresh"] == f"3; url={path}/undo?begun=1"
    assert "Now: removing calls, 20,000 of 300,000 so far." in text_of(page.text) and "<form" not in main_of(page.text)
    assert under_way(rejected.id + 1) is None
    go_on.set()
    while (page := browser.get(f"{path}/undo?begun=1")).status_code == 200 and "Refresh" in page.headers:
        Event().wait(0.05)
    assert (page.status_code, page.location) == (303, path), "it ended, and its record says so"
    assert samples.stored() == {} and "Undone by manager" in text_of(browser.get(path).text)


def test_an_undo_that_met_a_fault_says_that_nothing_was_taken_back(
    signed_in: SignedIn, rejected: ImportRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(import_id: int, steps: Steps) -> int:
        Event().wait(0.3)
        raise ValueError("+12125550147")

    monkeypatch.setattr(undo, "restore", fail)
    monkeypatch.setattr(undoing, "PATIENCE_SECONDS", 0.1)
    browser, path = signed_in("administrator"), f"/console/imports/{rejected.id}/undo"
    assert browser.post(path, path).status_code == 303
    while "Refresh" in (page := browser.get(f"{path}?begun=1")).headers:
        Event().wait(0.05)
    said = text_of(page.text)
    assert "The undo did not reach its end, and nothing was taken back." in said and "5550147" not in said
    assert samples.stored().keys() == {"good"} and "<form" in main_of(page.text)


# --- whose it is ---

READ = ("", "/rejects")
ACT = ("/undo",)


def test_another_organisations_imports_do_not_exist(signed_in: SignedIn, rejected: ImportRecord, world: World) -> None:
    browser = signed_in("administrator", world.organisation)
    for path in (*READ, *ACT):
        assert browser.get(f"/console/imports/{rejected.id}{path}").status_code == 404, path
    assert browser.post(f"/console/imports/{rejected.id}/undo", "/console/imports/new").status_code == 404
    assert samples.stored().keys() >= {"good"}
    listed = browser.get("/console/imports").text
    assert f'/console/imports/{world.call.import_id}"' in listed and f'/console/imports/{rejected.id}"' not in listed


def test_strangers_and_wrong_roles_do_not_pass(browser: Browser, signed_in: SignedIn, rejected: ImportRecord) -> None:
    for path in (*READ, *ACT):
        answer = browser.get(f"/console/imports/{rejected.id}{path}")
        assert answer.status_code == 302 and "/console/sign-in" in answer.location, path
    assert browser.post(f"/console/imports/{rejected.id}/undo", "/console/sign-in").status_code == 302
    signed_in("auditor")
    assert browser.get(f"/console/imports/{rejected.id}/undo").status_code == 403
    assert browser.post(f"/console/imports/{rejected.id}/undo", "/console/").status_code == 403
    assert browser.post("/console/sign-out", "/console/").status_code == 302
    signed_in("supervisor")
    for path in (*READ, *ACT):
        assert browser.get(f"/console/imports/{rejected.id}{path}").status_code == 403, path
    assert samples.stored().keys() == {"good"}


def test_undoing_needs_the_pages_token(signed_in: SignedIn, rejected: ImportRecord) -> None:
    assert signed_in("administrator").post(f"/console/imports/{rejected.id}/undo").status_code == 400
    assert samples.stored().keys() == {"good"}


def test_the_overview_leads_to_the_rows_that_could_not_be_taken(
    signed_in: SignedIn, rejected: ImportRecord, place: Site
) -> None:
    factories.campaign([place])
    db.session.commit()
    page = signed_in("manager", place.organisation).get("/console/").text
    assert f'<a href="/console/imports/{rejected.id}">3 rows of 4 in calls.csv could not be taken.</a>' in page


def test_calls_lead_to_handing_some_in(signed_in: SignedIn, place: Site) -> None:
    assert db.session.query(Call).count() == 0
    assert 'href="/console/imports/new"' in signed_in("manager", place.organisation).get("/console/calls").text
