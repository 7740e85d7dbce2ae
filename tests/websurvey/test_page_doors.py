"""What strangers, scanners and browsers may find: unknown links, headers, sound and light pages."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from survey.db import db
from survey.questionnaire import LANGUAGES
from survey.vault import token_hash
from tests import factories
from tests.websurvey.steps import ALL_THREE, get, post, said
from tests.websurvey.support import Mailbox, Page, dialling, everything, link_of, links_in, sent_link
from websurvey import links
from websurvey.channel import WebChannel

pytestmark = pytest.mark.usefixtures("at_noon")


def test_a_scanner_that_opens_every_link_changes_no_row(
    client: FlaskClient, channel: WebChannel, mailbox: Mailbox
) -> None:
    channel.deliver(dialling())
    (message,) = mailbox.messages
    found = links_in(message)
    assert len(found) == 4, "three choices and the way out"
    to_visit = {*found, f"{link_of(message)}/not-me", *get(client, link_of(message)).links} - {
        "https://example.com/privacy"
    }
    before = everything()
    for path in to_visit:
        for method in (client.get, client.head, client.options):
            assert method(path).status_code in (200, 303), path
    assert everything() == before


def test_unknown_mistyped_and_revoked_links_look_the_same(client: FlaskClient) -> None:
    attempt, path = sent_link()
    good = path.removeprefix("/s/")
    bodies = {client.get(f"/s/{token}").data for token in ("x", good[:-1] + "1", good.swapcase(), "é" * 50)}
    links.revoke(attempt.id)
    db.session.commit()
    revoked = client.get(path)
    assert revoked.status_code == 404
    assert {revoked.data} == bodies
    for method, page in (
        (client.post, ""),
        (client.post, "/unsubscribe"),
        (client.get, "/unsubscribe"),
        (client.post, "/not-me"),
    ):
        response = method(
            f"{path}{page}", data={"List-Unsubscribe": "One-Click", "question": "resolved", "answer": "yes"}
        )
        assert (response.status_code, response.data) == (404, revoked.data)


def test_an_unknown_link_speaks_the_readers_language(client: FlaskClient) -> None:
    page = Page(client.get("/s/nothing", headers={"Accept-Language": "fr-CA,fr;q=0.9"}).get_data(as_text=True))
    assert page.language == "fr" and said("fr", "unknown_title") in page.text


def test_links_are_unguessable() -> None:
    made = {links.new_token() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[\w-]{22}", token) for token in made)
    assert len(token_hash("x")) == 32


@pytest.mark.parametrize("page", ["", "/unsubscribe", "/../unknown"])
def test_headers(client: FlaskClient, page: str) -> None:
    _, path = sent_link()
    response = client.get("/s/unknown" if page == "/../unknown" else path + page)
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "noindex" in response.headers["X-Robots-Tag"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers


def test_no_cookie_is_set_by_answering(client: FlaskClient) -> None:
    _, path = sent_link()
    response = client.post(path, data={"question": "resolved", "answer": "yes", "sequence": "1"})
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_sound(client: FlaskClient, language: str) -> None:
    _attempt, path = sent_link()
    shown = [get(client, f"{path}?lang={language}"), get(client, f"{path}/unsubscribe?lang={language}")]
    shown.append(post(client, f"{path}?lang={language}", 422, question="resolved"))
    for key, value in ALL_THREE:
        shown.append(post(client, f"{path}?lang={language}", question=key, answer=value, sequence="1"))
    for page in shown:
        assert (page.language, page.unlabelled) == (language, 0)
        assert page.has("html", dir="ltr")
        assert len([tag for tag, _ in page.tags if tag == "h1"]) == 1
        assert page.has("main", **{"class": "card"})
        assert re.search(r"<title>\S.*</title>", page.html)
        assert page.has("meta", name="viewport", content="width=device-width, initial-scale=1")
        assert not re.search(r"<script|<img|style=|\son\w+=|{\w+}|{{", page.html)
        if page.asks:
            assert page.has("legend") and page.has("fieldset")


def test_names_are_text_and_never_markup(client: FlaskClient) -> None:
    organisation = factories.organisation(
        name="<script>alert(1)</script> {org} {{7*7}}", phone='"><b>', privacy_url="javascript:alert(1)"
    )
    _, path = sent_link(factories.survey(within=factories.campaign([factories.site(organisation=organisation)])))
    for page in (get(client, path), get(client, f"{path}/unsubscribe")):
        assert "<script" not in page.html and "<b>" not in page.html and "javascript:" not in page.html
        assert "<script>alert(1)</script> {org} {{7*7}}" in page.text


def test_first_view_is_light(client: FlaskClient) -> None:
    _, path = sent_link()
    page = client.get(path)
    (style,) = re.findall(r'href="(/s/websurvey\.css\?v=\w+)"', page.get_data(as_text=True))
    sheet = client.get(style)
    assert sheet.status_code == 200 and sheet.mimetype == "text/css"
    assert "max-age=31536000" in sheet.headers["Cache-Control"]
    assert len(page.data) + len(sheet.data) < 60_000
    assert not re.search(r"url\(|@import|https?:", sheet.get_data(as_text=True))
