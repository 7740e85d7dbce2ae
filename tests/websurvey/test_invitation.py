"""The invitation: what it says in each language, and that nothing put into it gets out of its place."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, compat32
from email.utils import parseaddr
from html import unescape

import pytest

from survey.errors import InputError
from survey.questionnaire import CORE, LANGUAGES, wording
from tests.websurvey.support import body, read
from websurvey import words
from websurvey.invitation import Invitation, build, is_web_address, message_id, plain_address

LINK = "https://survey.example.com/s/A-token-of-twenty-two0"
INVITATION = Invitation(
    message_id="<attempt-1.20260312170000@survey.example.com>",
    sent_at=datetime(2026, 3, 12, 17, 0, tzinfo=UTC),
    mail_from="survey@example.com",
    to="customer@example.com",
    link=LINK,
    language="en",
    country="US",
    organisation="Northwind Telecom",
    postal_address="1 Example Street",
    phone="+12125550100",
    privacy_url="https://example.com/privacy",
    agent="Ana",
    call_day=date(2026, 3, 12),
    last_day=date(2026, 3, 16),
    first_question=CORE[0],
)


def sent(**changed: object) -> EmailMessage:
    """The message as it arrives, read strictly."""
    return read(build(replace(INVITATION, **changed)).as_bytes(policy=SMTP))  # type: ignore[arg-type]


def spoken(message: EmailMessage, kind: str) -> str:
    """The words of a part on one line, markup gone."""
    text = body(message, kind)
    if kind == "html":
        text = unescape(re.sub(r"<title>.*?</title>|<[^>]+>", " ", text))
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("language", "subject", "sentences"),
    [
        (
            "en",
            "Northwind Telecom: was the reason for your March 12 call resolved?",
            [
                "You called Northwind Telecom on March 12 and last spoke with Ana.",
                "nothing is saved until you press Next.",
                "Three questions, under a minute, open until the end of Monday, March 16.",
                "Answers are used only to judge and improve our service.",
                "To reach us, relay welcome: +1 212-555-0100",
            ],
        ),
        (
            "es",
            "Northwind Telecom: ¿se resolvió el motivo de su llamada del 12 de marzo?",
            ["Usted llamó a Northwind Telecom el 12 de marzo", "hasta el final del lunes 16 de marzo."],
        ),
        (
            "fr",
            "Northwind Telecom : votre demande du 12 mars a-t-elle été réglée?",
            ["Vous avez appelé Northwind Telecom le 12 mars", "jusqu'à la fin du lundi 16 mars."],
        ),
    ],
)
def test_says_the_same_in_text_and_html(language: str, subject: str, sentences: list[str]) -> None:
    message = sent(language=language)
    assert message["Subject"] == subject
    question = wording("resolved", language)
    for kind in ("plain", "html"):
        text = spoken(message, kind)
        for sentence in [*sentences, question.text, *question.choices.values(), "Northwind Telecom, 1 Example Street"]:
            assert sentence in text, (kind, sentence)
        for value in ("yes", "no", "unsure"):
            assert f"{LINK}?answer={value}" in body(message, kind)
        assert f"{LINK}/unsubscribe" in body(message, kind)


@pytest.mark.parametrize("nobody", ["", "   ", "\u200b\n"])
@pytest.mark.parametrize(
    ("language", "sentence", "never"),
    [
        ("en", "Hello, You called Northwind Telecom on March 12. ", "spoke"),
        ("es", "Hola: Usted llamó a Northwind Telecom el 12 de marzo. ", "atendió"),
        ("fr", "Vous avez appelé Northwind Telecom le 12 mars. ", "parlé"),
    ],
)
def test_nobody_is_named_where_it_is_not_certain_who_was_last(
    language: str, sentence: str, never: str, nobody: str
) -> None:
    message = sent(language=language, agent=nobody)
    for kind in ("plain", "html"):
        text = spoken(message, kind)
        assert sentence in text and never not in text, (kind, text)


def test_headers() -> None:
    message = sent()
    assert message["From"] == "Northwind Telecom <survey@example.com>"
    assert message["To"] == "customer@example.com"
    assert message["Message-ID"] == "<attempt-1.20260312170000@survey.example.com>"
    assert message["Date"].datetime == INVITATION.sent_at
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] == f"<{LINK}/unsubscribe>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "name", ["Compañía Ñandú", "Café 🎉 Zürich", "Ł" * 200, "A" * 200, 'Quote "and" <angle>, comma; semi']
)
def test_names_come_through_unharmed(language: str, name: str) -> None:
    message = sent(language=language, organisation=name, agent="Zoë🙂")
    assert message["From"].addresses[0].addr_spec == "survey@example.com"
    assert message["Subject"].startswith(name[:70])
    for kind in ("plain", "html"):
        assert name in spoken(message, kind) and "Zoë🙂" in spoken(message, kind)
    raw = build(replace(INVITATION, organisation=name, language=language)).as_bytes(policy=SMTP)
    # Python 3.11's newer parser puts spaces between the parts of a long encoded name, against RFC 2047.
    sender = str(make_header(decode_header(BytesParser(policy=compat32).parsebytes(raw)["From"])))
    assert parseaddr(" ".join(sender.split())) == (name, "survey@example.com")
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998, "RFC 5322 line length"


@pytest.mark.parametrize(
    "bad", ["Acme\r\nBcc: thief@example.com", "Acme\nSubject: other", "Acme\r\n\r\n<script>", "\0Acme\x0b"]
)
def test_nothing_gets_out_of_its_header(bad: str) -> None:
    message = sent(organisation=bad, agent=bad, phone=bad, postal_address=bad)
    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1
    assert len(list(message.iter_parts())) == 2
    assert "<script>" not in body(message, "html")
    assert message["From"].addresses[0].addr_spec == "survey@example.com"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a@b\r\nRCPT TO:<thief@example.com>",
        "a b@example.com",
        "a@example.com>",
        "a,b@c.example",
        "josé@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a\x01@example.com",
        "=?utf-8?q?a?=@example.com",
        "a@" + "b" * 70 + ".example",
    ],
)
def test_unusable_recipients_are_refused(bad: str) -> None:
    with pytest.raises(InputError):
        build(replace(INVITATION, to=bad))


def test_a_domain_in_other_letters_goes_as_idna() -> None:
    assert plain_address("anna@bücher.example") == "anna@xn--bcher-kva.example"


def test_is_light_and_asks_nobody_else_for_anything() -> None:
    raw = build(replace(INVITATION, organisation="Ł" * 200)).as_bytes(policy=SMTP)
    assert len(raw) < 100_000
    html = body(sent(), "html")
    assert not re.search(r"<(img|script|link|iframe|style|object|video)\b|url\(|@import", html)
    addresses = set(re.findall(r"https?://([^/\"<\s]+)", html))
    assert addresses == {"survey.example.com", "example.com"}


def test_what_is_not_known_is_not_said() -> None:
    message = sent(phone="", privacy_url="", postal_address="")
    for kind in ("plain", "html"):
        assert "To reach us" not in spoken(message, kind)
        assert "Privacy" not in spoken(message, kind)
    assert spoken(message, "plain").endswith("Northwind Telecom")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://", "ftp://example.com", "https://a b", "//x"]
)
def test_a_link_that_is_no_web_address_is_left_out(url: str) -> None:
    assert not is_web_address(url)
    message = sent(privacy_url=url)
    assert "Privacy" not in spoken(message, "plain") + spoken(message, "html")


def test_message_id_is_the_attempts_own() -> None:
    drawn = datetime(2026, 3, 12, 17, 0, tzinfo=UTC)
    assert (
        message_id(7, drawn, "h.example") == message_id(7, drawn, "h.example") == "<attempt-7.20260312170000@h.example>"
    )
    assert message_id(8, drawn, "h.example") != message_id(7, drawn, "h.example")


def test_deadline_is_spoken_as_the_last_whole_day_at_the_site() -> None:
    closes = datetime(2026, 7, 8, 4, 0, tzinfo=UTC)
    assert words.last_day(closes, "America/New_York") == date(2026, 7, 7)
    assert words.weekday_and_day(date(2026, 7, 7), "en", "US") == "Tuesday, July 7"
    assert words.weekday_and_day(date(2026, 7, 7), "en", "GB") == "Tuesday, 7 July"
    assert words.weekday_and_day(date(2026, 7, 7), "fr", "ZZ") == "mardi 7 juillet"


@pytest.mark.parametrize(
    ("name", "first"),
    [("Ana Gómez", "Ana"), ("Gómez, Ana María", "Ana"), ("Ana", "Ana"), ("  ", ""), ("Gómez,", "Gómez"), ("", "")],
)
def test_first_name(name: str, first: str) -> None:
    assert words.first_name(name) == first


@pytest.mark.parametrize("part", ["page", "email"])
def test_every_language_has_every_text_with_the_same_blanks(part: str) -> None:
    blanks = {
        language: {key: sorted(re.findall(r"{\w+}", text)) for key, text in words.texts(language, part).items()}
        for language in LANGUAGES
    }
    assert all(blanks[language] == blanks["en"] for language in LANGUAGES)
