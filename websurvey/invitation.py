"""The invitation: one email that says who asks, about which call, until when, and how to be left alone.

Pure: a message comes out of what goes in. RFC 5322 and 2045 for the message, 8058 for leaving by one click, 3834 for
`Auto-Submitted`.
"""

from __future__ import annotations

from binascii import b2a_qp
from dataclasses import dataclass
from datetime import date, datetime
from email.errors import MessageError
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from survey.errors import InputError
from survey.questionnaire import Question, wording
from websurvey import words

TEMPLATES = Path(__file__).parent / "templates"
LONGEST_SUBJECT_NAME = 80
UNUSABLE = "cannot be used as an email address"


class _Unfolded(UnstructuredHeader, BaseHeader):
    """A header that stays on its line: an address in angle brackets folded off it starts with a stray space."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_headers = HeaderRegistry()
_headers.map_to_type("message-id", _Unfolded)
_headers.map_to_type("list-unsubscribe", _Unfolded)
POLICY = SMTP.clone(header_factory=_headers)


@dataclass(frozen=True)
class Invitation:
    """Everything one invitation says. `link` is the survey's address, `last_day` the last whole day it stays open.

    `agent` is empty where nobody can be named.
    """

    message_id: str
    sent_at: datetime
    mail_from: str
    to: str
    link: str
    language: str
    country: str
    organisation: str
    postal_address: str
    phone: str
    privacy_url: str
    agent: str
    call_day: date
    last_day: date
    first_question: Question


@dataclass(frozen=True)
class Choice:
    """One answer to the first question, as a link that preselects it and saves nothing."""

    name: str
    url: str


def message_id(attempt_id: int, drawn_at: datetime, host: str) -> str:
    """The Message-ID of an attempt: the same whenever it is asked for, so that a second sending would be recognised.

    The draw's time tells installations apart that came after each other on one host and count from 1 again.
    """
    return f"<attempt-{attempt_id}.{drawn_at:%Y%m%d%H%M%S}@{host}>"


def build(invitation: Invitation) -> EmailMessage:
    """The message, as text and as HTML that say the same. Raises InputError when the recipient is unusable."""
    texts = words.texts(invitation.language, "email")
    message = EmailMessage(policy=POLICY)
    _set_headers(message, invitation, texts["subject"])
    spoken = _spoken(invitation)
    message["Content-Type"] = "multipart/alternative"
    message.attach(_part("plain", _template("invitation.txt").render(spoken)))
    message.attach(_part("html", _template("invitation.html").render(spoken)))
    return message


def plain_address(address: str) -> str:
    """An address as ASCII, its domain in IDNA where needed. Raises InputError when no relay could take it."""
    local, at, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise InputError(UNUSABLE, where="email") from None
    plain = f"{local}@{ascii_domain}"
    if not (local and at and ascii_domain) or not plain.isascii() or any(c in plain for c in '<>"\\(),:;[] \r\n\t\0'):
        raise InputError(UNUSABLE, where="email")
    return plain


def _set_headers(message: EmailMessage, invitation: Invitation, subject: str) -> None:
    name = words.one_line(invitation.organisation)
    message["From"] = Address(display_name=name, addr_spec=invitation.mail_from)
    message["To"] = _addressee(invitation.to)
    message["Subject"] = subject.format(org=_shortened(name), date=_short_day(invitation))
    message["Date"] = format_datetime(invitation.sent_at)
    message["Message-ID"] = invitation.message_id
    message["Content-Language"] = invitation.language
    message["Auto-Submitted"] = "auto-generated"
    message["List-Unsubscribe"] = f"<{invitation.link}/unsubscribe>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["MIME-Version"] = "1.0"


def _addressee(address: str) -> Address:
    """Raises InputError where the header's own grammar is stricter than that of addresses, or does not follow it."""
    try:
        return Address(addr_spec=plain_address(address))
    except (MessageError, ValueError, IndexError):
        raise InputError(UNUSABLE, where="email") from None


def _spoken(invitation: Invitation) -> dict[str, object]:
    """What the templates fill in: our texts with every name and day in its place."""
    texts = words.texts(invitation.language, "email")
    agent = words.one_line(invitation.agent)
    question = wording(invitation.first_question.key, invitation.language)
    filled = {
        key: text.format(
            org=words.one_line(invitation.organisation),
            agent=agent,
            date=_short_day(invitation),
            day=words.weekday_and_day(invitation.last_day, invitation.language, invitation.country),
        )
        for key, text in texts.items()
    }
    return {
        "texts": filled,
        "reason": filled["reason" if agent else "reason_unnamed"],
        "question": question.text,
        "choices": [
            Choice(question.choices[value], f"{invitation.link}?answer={value}")
            for value in invitation.first_question.values
        ],
        "invitation": invitation,
        "organisation": words.one_line(invitation.organisation),
        "postal_address": words.one_line(invitation.postal_address),
        "phone": words.one_line(words.phone(invitation.phone)),
        "privacy_url": invitation.privacy_url if is_web_address(invitation.privacy_url) else "",
        "unsubscribe": f"{invitation.link}/unsubscribe",
        "direction": words.direction(invitation.language),
    }


def is_web_address(url: str) -> bool:
    """Whether `url` may stand in a link: http or https, to somewhere."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and url.isprintable() and " " not in url


def _short_day(invitation: Invitation) -> str:
    return words.short_day(invitation.call_day, invitation.language, invitation.country)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_SUBJECT_NAME else name[: LONGEST_SUBJECT_NAME - 1].rstrip() + "…"


def _part(subtype: str, content: str) -> EmailMessage:
    """A text part in quoted-printable, encoded by the C library: the standard way costs several times as much."""
    part = EmailMessage(policy=POLICY)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(b2a_qp(content.encode(), istext=True).decode("ascii"))
    return part


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _template(name: str) -> Template:
    return _environment.get_template(f"websurvey/{name}")
