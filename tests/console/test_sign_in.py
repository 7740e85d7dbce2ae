"""Signing in and out: the right password only, patience with wrong ones, nothing told to strangers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from console import sign_in
from operations.users import users_group
from survey import clock
from survey.db import db
from survey.models import AuditEntry, User
from tests.conftest import NOON
from tests.console.conftest import PASSWORD, Browser, token_in

WRONG = "not the password"


def test_the_right_password_opens_the_console(browser: Browser, user: Callable[..., User]) -> None:
    answer = browser.sign_in(user("administrator").email)
    assert (answer.status_code, answer.location) == (302, "/console/")
    assert browser.get("/console/").status_code == 200


def test_upper_case_in_the_address_does_not_matter(browser: Browser, user: Callable[..., User]) -> None:
    assert browser.sign_in(user("administrator").email.upper()).status_code == 302


def test_a_wrong_password_does_not(browser: Browser, user: Callable[..., User]) -> None:
    answer = browser.sign_in(user("administrator").email, WRONG)
    assert answer.status_code == 200 and "The email address or the password is wrong." in answer.text
    assert browser.get("/console/").status_code == 302


def test_known_and_unknown_addresses_get_the_same_answer(browser: Browser, user: Callable[..., User]) -> None:
    known = browser.sign_in(user("administrator").email, WRONG).text
    unknown = browser.sign_in("nobody@example.com", WRONG).text
    assert fault(known) == fault(unknown)


def test_a_disabled_sign_in_stays_out(browser: Browser, user: Callable[..., User]) -> None:
    assert browser.sign_in(user("administrator", active=False).email).status_code == 200


def test_disabling_ends_open_sessions(browser: Browser, user: Callable[..., User], app: Flask) -> None:
    somebody = user("administrator")
    browser.sign_in(somebody.email)
    assert app.test_cli_runner().invoke(users_group, ["disable", somebody.email]).exit_code == 0
    assert browser.get("/console/").status_code == 302


def test_sign_in_without_the_forms_token_is_refused(browser: Browser, user: Callable[..., User]) -> None:
    answer = browser.post("/console/sign-in", email=user("administrator").email, password=PASSWORD)
    assert answer.status_code == 400
    assert browser.get("/console/").status_code == 302


def test_after_five_failures_even_the_right_password_waits(
    browser: Browser, user: Callable[..., User], at_noon: clock.ManualClock
) -> None:
    email = user("administrator").email
    for _ in range(sign_in.FAILURES):
        browser.sign_in(email, WRONG)
    refused = browser.sign_in(email)
    assert refused.status_code == 200 and "Try again in 15 min" in refused.text
    at_noon.move_to(NOON + sign_in.WITHIN + timedelta(seconds=1))
    assert browser.sign_in(email).status_code == 302


def test_an_unknown_address_waits_alike(browser: Browser, at_noon: clock.ManualClock) -> None:
    for _ in range(sign_in.FAILURES):
        browser.sign_in("nobody@example.com", WRONG)
    assert "Too many failed sign-ins" in browser.sign_in("Nobody@example.com", WRONG).text


def test_another_spelling_of_the_address_wins_no_further_tries(
    browser: Browser, user: Callable[..., User], at_noon: clock.ManualClock
) -> None:
    email = user("administrator").email
    for _ in range(sign_in.FAILURES):
        browser.sign_in(email, WRONG)
    for spelling in (email.upper(), f" {email}", email.replace("@example", "@ｅxample")):
        assert "Too many failed sign-ins" in browser.sign_in(spelling).text


def test_no_bearer_token_is_handed_out(browser: Browser, user: Callable[..., User]) -> None:
    page = browser.get("/console/sign-in").text
    answer = browser.client.post(
        "/console/sign-in?include_auth_token=1",
        base_url="https://survey.example.com",
        json={"email": user("administrator").email, "password": PASSWORD, "csrf_token": token_in(page)},
        headers={"Referer": "https://survey.example.com/", "X-CSRF-Token": token_in(page)},
    )
    assert answer.status_code == 302 and "token" not in answer.text


def test_a_success_begins_the_count_anew(
    browser: Browser, user: Callable[..., User], at_noon: clock.ManualClock
) -> None:
    email = user("administrator").email
    for password in [*[WRONG] * (sign_in.FAILURES - 1), PASSWORD]:
        last = browser.sign_in(email, password)
    assert last.status_code == 302
    browser.post("/console/sign-out", "/console/")
    assert browser.sign_in(email, WRONG).status_code == 200
    assert browser.sign_in(email).status_code == 302


def test_others_are_not_held_up(browser: Browser, user: Callable[..., User], at_noon: clock.ManualClock) -> None:
    for _ in range(sign_in.FAILURES):
        browser.sign_in("nobody@example.com", WRONG)
    assert browser.sign_in(user("administrator").email).status_code == 302


def test_the_trail_knows_failures_but_not_what_was_typed(browser: Browser, app: Flask) -> None:
    browser.sign_in("secret.typed.here@example.com", WRONG)
    entry = db.session.query(AuditEntry).one()
    assert (entry.action, entry.actor, entry.detail) == (sign_in.FAILED, "unknown", {})


def test_sign_out_takes_a_post_with_a_token(signed_in: Callable[..., Browser]) -> None:
    browser = signed_in("administrator")
    assert browser.get("/console/sign-out").status_code == 405
    assert browser.post("/console/sign-out", "/console/").status_code == 302
    assert browser.get("/console/").status_code == 302


def test_a_session_ends_after_its_hours(
    app: Flask, signed_in: Callable[..., Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cookie's own stamp is the library's: hours that are over already stand for waiting."""
    assert app.permanent_session_lifetime == timedelta(hours=12)
    browser = signed_in("administrator")
    assert browser.get("/console/").status_code == 200
    monkeypatch.setitem(app.config, "PERMANENT_SESSION_LIFETIME", timedelta(seconds=-1))
    assert browser.get("/console/").status_code == 302


def test_the_cookie_is_kept_from_scripts_and_plain_http(browser: Browser, user: Callable[..., User]) -> None:
    cookie = browser.sign_in(user("administrator").email).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "Secure" in cookie and "SameSite=Lax" in cookie


def test_next_leads_nowhere_else(browser: Browser, user: Callable[..., User]) -> None:
    email = user("administrator").email
    answer = browser.post(
        "/console/sign-in", "/console/sign-in", email=email, password=PASSWORD, next="https://evil.example.com/"
    )
    assert "evil" not in (answer.location or "")


def test_passwords_are_kept_by_argon2(user: Callable[..., User]) -> None:
    assert (user("auditor").password or "").startswith("$argon2id$")


@pytest.mark.parametrize(("count", "locked"), [(0, False), (4, False), (5, True), (9, True)])
def test_locked_until(count: int, locked: bool) -> None:
    failures = [NOON + timedelta(seconds=n) for n in range(count)]
    until = sign_in.locked_until(failures)
    assert (until is not None) is locked
    if until:
        assert until == failures[-5] + sign_in.WITHIN


def fault(page: str) -> str:
    return page.split('role="alert"')[1].split("</div>")[0]
