"""Who may pass: every page needs a sign-in, the right role, and the right organisation; GET changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from survey.db import db
from survey.models import AuditEntry, CampaignState
from tests.console.conftest import Browser, World, make_world

PAGES = {
    "/console/": {"administrator", "manager", "auditor", "issuer"},
    "/console/campaigns": {"administrator", "manager", "auditor"},
    "/console/campaigns/{campaign}": {"administrator", "manager", "auditor"},
    "/console/campaigns/{campaign}/forecast": {"administrator", "manager", "auditor"},
    "/console/calls": {"administrator", "manager", "auditor"},
    "/console/calls/{call}": {"administrator", "manager", "auditor"},
    "/console/standings": {"administrator", "manager", "auditor", "issuer"},
    "/console/completeness": {"administrator", "manager", "auditor", "issuer"},
    "/console/imports": {"administrator", "manager", "auditor"},
    "/console/imports/{import}": {"administrator", "manager", "auditor"},
    "/console/imports/{import}/undo": {"administrator", "manager"},
    "/console/imports/new": {"administrator", "manager"},
}
ACTS = {
    "/console/campaigns/{campaign}/pause": {"administrator", "manager"},
    "/console/campaigns/{campaign}/resume": {"administrator", "manager"},
    # Without the box ticked it does nothing, and goes back to the page.
    "/console/campaigns/{campaign}/delete": {"administrator", "manager"},
}
# Doors to a file, with tests of their own: test_imports.py and test_uploads.py.
FILES = {
    "/console/imports/{import}/rejects",
    "/console/imports/uploads/{upload}",
    "/console/imports/uploads/{upload}/cancel",
}
ROLES = ("administrator", "manager", "supervisor", "agent", "auditor", "issuer")


def filled(path: str, world: World) -> str:
    return path.format_map({"campaign": world.campaign.id, "call": world.call.id, "import": world.call.import_id})


def console_rules(app: Flask) -> Iterator[tuple[str, set[str]]]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("console.") and rule.endpoint != "console.static":
            yield str(rule), set(rule.methods or ())


def test_the_tables_above_name_every_door_of_the_console(app: Flask) -> None:
    doors = {re.sub(r"<int[^:]*:(campaign|call|import|upload)_id>", r"{\1}", rule) for rule, _ in console_rules(app)}
    assert doors == PAGES.keys() | ACTS.keys() | FILES


def test_every_page_sends_strangers_to_the_sign_in(app: Flask, browser: Browser, world: World) -> None:
    for path in PAGES:
        answer = browser.get(filled(path, world))
        assert answer.status_code == 302 and "/console/sign-in" in answer.location, path


def test_every_act_refuses_strangers(browser: Browser, world: World) -> None:
    for path in ACTS:
        answer = browser.post(filled(path, world), "/console/sign-in")
        assert answer.status_code == 302 and "/console/sign-in" in answer.location, path
    assert world.campaign.state is CampaignState.ACTIVE


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_others(signed_in: Callable[..., Browser], world: World, role: str) -> None:
    browser = signed_in(role)
    for path, allowed in PAGES.items():
        assert browser.get(filled(path, world)).status_code == (200 if role in allowed else 403), path


@pytest.mark.parametrize("role", ROLES)
def test_each_role_does_its_acts_and_no_others(signed_in: Callable[..., Browser], world: World, role: str) -> None:
    browser = signed_in(role)
    for path, allowed in ACTS.items():
        answer = browser.post(filled(path, world), "/console/")
        assert answer.status_code == (303 if role in allowed else 403), path


def test_another_organisation_does_not_exist(signed_in: Callable[..., Browser], world: World) -> None:
    other = make_world()
    browser = signed_in("administrator", world.organisation)
    for path in PAGES:
        if "{" in path:
            assert browser.get(filled(path, world)).status_code == 200, path
            assert browser.get(filled(path, other)).status_code == 404, path
    for path in ACTS:
        assert browser.post(filled(path, other), "/console/").status_code == 404, path
    db.session.expire_all()
    assert other.campaign.state is CampaignState.ACTIVE


@pytest.mark.parametrize("path", [path for path in PAGES if "{" not in path])
def test_lists_hold_the_own_organisation_only(signed_in: Callable[..., Browser], world: World, path: str) -> None:
    other = make_world()
    page = signed_in("manager", world.organisation).get(path).text
    for stranger in (
        other.campaign.name,
        other.call.external_id,
        other.undrawn.external_id,
        other.agent.name,
        other.site.name,
    ):
        assert f">{stranger}<" not in page


def test_a_sign_in_without_organisation_sees_all(signed_in: Callable[..., Browser], world: World) -> None:
    other = make_world()
    page = signed_in("auditor").get("/console/campaigns").text
    assert world.campaign.name in page and other.campaign.name in page


def test_get_changes_nothing(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("administrator")
    before = everything()
    for path in (*PAGES, *ACTS, "/console/sign-in", "/console/calls?id=x&agent=y&from=2026-01-01&to=2026-12-31"):
        browser.get(filled(path, world))
    assert everything() == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/calls?id=%00", 400),
        ("/console/calls?agent=a%00", 400),
        (f"/console/calls/{2**63}", 404),
        (f"/console/campaigns/{2**63}", 404),
        (f"/console/calls/{2**63 - 1}", 404),
    ],
)
def test_what_no_row_can_hold_is_refused_and_no_crash(
    signed_in: Callable[..., Browser], world: World, path: str, status: int
) -> None:
    assert signed_in("auditor").get(path).status_code == status


def test_post_without_the_pages_token_is_refused(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("administrator")
    for path in ACTS:
        assert browser.post(filled(path, world)).status_code == 400, path
    assert browser.post("/console/sign-out").status_code == 200
    assert browser.get("/console/").status_code == 200, "still signed in"
    db.session.expire_all()
    assert world.campaign.state is CampaignState.ACTIVE


def test_pause_and_resume_are_done_once_and_written_down(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("manager", world.organisation)
    page = f"/console/campaigns/{world.campaign.id}"
    assert browser.post(f"{page}/pause", page).status_code == 303
    db.session.expire_all()
    assert world.campaign.state is CampaignState.PAUSED
    assert "is paused" in browser.get("/console/").text
    assert browser.post(f"{page}/resume", page).status_code == 303
    db.session.expire_all()
    assert world.campaign.state is CampaignState.ACTIVE
    actors = [row.actor for row in db.session.query(AuditEntry).filter_by(subject_type="campaigns")]
    assert len(actors) == 2 and all(actor.startswith("manager") for actor in actors)


def test_an_auditor_is_offered_no_button(signed_in: Callable[..., Browser], world: World) -> None:
    assert "Pause contact" not in signed_in("auditor").get(f"/console/campaigns/{world.campaign.id}").text


def test_pages_are_kept_by_no_cache_and_run_no_inline_code(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("administrator")
    for path in PAGES:
        answer = browser.get(filled(path, world))
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "style=" not in answer.text and "<style" not in answer.text and "onclick" not in answer.text
        assert "<script>" not in answer.text and "cdn" not in answer.text


def test_every_page_has_a_skip_link_one_heading_and_labels(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("administrator")
    for path in PAGES:
        page = browser.get(filled(path, world)).text
        assert 'class="skip" href="#main"' in page and page.count("<h1") == 1, path
        assert page.count("<label") >= page.count('<input class="form-control"'), path


def everything() -> dict[str, list[str]]:
    """Every table's rows as text."""
    db.session.rollback()
    tables = db.session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")).all()
    return {table: sorted(db.session.scalars(text(f'SELECT t::text FROM "{table}" t')).all()) for table in tables}
