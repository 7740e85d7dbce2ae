"""What the tests of this room share: a mailbox on a real SMTP server, strict readers of messages, links, pages."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import Envelope, Session
from flask import Flask
from sqlalchemy import text

from survey.db import Base, db
from survey.models import Attempt, AttemptState, Channel, Survey
from survey.vault import token_hash
from tests import factories

TOKEN = "A-token-of-twenty-two0"


@dataclass
class Mailbox:
    """What the mail server took, and how it is told to behave."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    mail_reply: str = "250 OK"
    rcpt_reply: str = "250 OK"
    data_reply: str = "250 OK"
    hang_up_on_data: bool = False
    hang_up_on_mail: bool = False
    greetings: int = 0

    async def handle_EHLO(
        self, server: Server, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.greetings += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hang_up_on_mail:
            self.hang_up_on_mail = False
            _hang_up(server)
        elif self.mail_reply.startswith("250"):
            envelope.mail_from = address
        return self.mail_reply

    async def handle_RCPT(
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt_reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt_reply

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        if self.data_reply.startswith("250"):
            self.envelopes.append(envelope)
        if self.hang_up_on_data:
            _hang_up(server)
        return self.data_reply

    @property
    def messages(self) -> list[EmailMessage]:
        return [read(envelope.original_content) for envelope in self.envelopes]


def _hang_up(server: Server) -> None:
    assert server.transport is not None
    server.transport.abort()


@contextmanager
def serving(box: Mailbox, **options: Any) -> Iterator[Mailbox]:
    """Runs the mailbox's server on a free port of 127.0.0.1."""
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def set_to(app: Flask, **settings: Any) -> Iterator[None]:
    """Within the block the application runs with these settings changed."""
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = before.model_copy(update=settings)
    try:
        yield
    finally:
        app.config["SETTINGS"] = before


def read(content: bytes | str | None) -> EmailMessage:
    """The message as a strict reader takes it: any defect is an error."""
    assert isinstance(content, bytes)
    message = message_from_bytes(content, policy=SMTP.clone(raise_on_defect=True))
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    """The text or the HTML ("plain" or "html") of a message."""
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def links_in(message: EmailMessage) -> list[str]:
    """Every path of ours that a reader of the message, or a scanner, could follow."""
    whole = body(message, "plain") + body(message, "html") + message["List-Unsubscribe"]
    found = re.findall(r"https://survey\.example\.com(/[^\s\"<>]+)", whole)
    return sorted({path.replace("&amp;", "&") for path in found})


def link_of(message: EmailMessage) -> str:
    """The path of the survey a message invites to."""
    return "/".join(links_in(message)[0].split("?")[0].split("/")[:3])


def dialling(of: Survey | None = None, **given: Any) -> int:
    """The id of a web attempt whose intent is committed."""
    attempt = factories.attempt(of, Channel.WEB, state=AttemptState.DIALLING, **given)
    db.session.commit()
    return attempt.id


def sent_link(of: Survey | None = None, token: str = TOKEN, **given: Any) -> tuple[Attempt, str]:
    """An attempt whose link is out, and the path of the link."""
    values: dict[str, Any] = {
        "state": AttemptState.UNDERWAY,
        "token_hash": token_hash(token),
        "provider_id": f"<{token}@survey.example.com>",
    }
    attempt = factories.attempt(of or factories.survey(), Channel.WEB, **(values | given))
    db.session.commit()
    return attempt, f"/s/{token}"


def fresh(attempt_id: int) -> Attempt:
    """The attempt as the database has it now."""
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Attempt, attempt_id)


def everything() -> dict[str, list[str]]:
    """Every row of every table of ours, to be compared."""
    db.session.rollback()
    rows = {}
    for name in Base.metadata.tables:
        found = db.session.scalars(text(f'SELECT t::text FROM "{name}" t'))
        rows[name] = sorted(found)
    db.session.rollback()
    return rows


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    chosen: str | None = None


class Page(HTMLParser):
    """A page as these tests look at it: language, forms, links, and which inputs have a label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.language = html, ""
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.unlabelled = 0
        self._label, self._value = False, ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self._label = tag == "label" or (self._label and tag in {"input", "span"})
        if tag == "html":
            self.language = given["lang"] or ""
        elif tag == "a":
            self.links.append(given["href"] or "")
        elif tag == "form":
            self.forms.append(Form(given["action"] or ""))
        elif tag == "input":
            self._input(given)

    def _input(self, given: dict[str, str | None]) -> None:
        form, value = self.forms[-1], given["value"] or ""
        if given["type"] == "hidden":
            form.fields[given["name"] or ""] = value
            return
        self.unlabelled += not self._label
        self._value = value
        form.choices[value] = ""
        if "checked" in given:
            form.chosen = value

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._label and self._value and data.strip():
            self.forms[-1].choices[self._value] = data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._label, self._value = False, ""

    @property
    def question(self) -> Form:
        """The form that asks."""
        return next(form for form in self.forms if form.choices)

    @property
    def asks(self) -> str | None:
        """The key of the question on the page, None when it asks nothing."""
        return next((form.fields["question"] for form in self.forms if form.choices), None)

    def has(self, tag: str, **attributes: str) -> bool:
        return any(found == tag and attributes.items() <= given.items() for found, given in self.tags)
