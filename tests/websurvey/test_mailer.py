"""The mailer against a real SMTP server: what a relay can say, and what is known afterwards."""

from __future__ import annotations

import datetime as dt
import ipaddress
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from survey.errors import SettingsError
from tests.websurvey.support import Mailbox, free_port, serving
from websurvey.mailer import MaybeSent, MessageRefused, Relay, RelayAddress, RelayUnavailable, relay_address

TO = "customer@example.com"


def letter(text: str = "Hello") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "A letter"
    message.set_content(text)
    return message


@contextmanager
def relay_at(url: str) -> Iterator[Relay]:
    relay = Relay(relay_address(url), "survey@example.com", "survey.example.com", timeout_seconds=3)
    yield relay
    relay.close()


@pytest.fixture
def relay(mailbox: Mailbox) -> Iterator[Relay]:
    with relay_at(f"smtp://127.0.0.1:{mailbox.port}") as relay:
        yield relay


def test_letters_arrive_over_one_connection(relay: Relay, mailbox: Mailbox) -> None:
    for n in range(5):
        relay.send(letter(f"Letter {n}"), TO)
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [[TO]] * 5
    assert mailbox.envelopes[0].mail_from == "survey@example.com"
    assert mailbox.greetings == 1


def test_lines_of_dots_survive(relay: Relay, mailbox: Mailbox) -> None:
    text = ".\n..\n.start\nend.\n.\n"
    relay.send(letter(text), TO)
    relay.send(letter("after"), TO)
    assert mailbox.messages[0].get_content() == text.replace("\n", "\r\n")
    assert len(mailbox.messages) == 2


@pytest.mark.parametrize(
    ("said", "permanent", "bounced"),
    [
        ({"rcpt_reply": "550 5.1.1 no such user"}, True, True),
        ({"rcpt_reply": "553 mailbox name not allowed"}, True, True),
        ({"rcpt_reply": "450 4.2.0 greylisted"}, False, False),
        ({"mail_reply": "550 5.7.1 sender refused"}, True, False),
        ({"mail_reply": "451 4.3.0 local error"}, False, False),
        ({"data_reply": "554 5.7.1 looks like spam"}, True, False),
        ({"data_reply": "550 5.1.1 no such user"}, True, True),
        ({"data_reply": "452 4.3.1 disk full"}, False, False),
    ],
)
def test_refusals(relay: Relay, mailbox: Mailbox, said: dict[str, str], permanent: bool, bounced: bool) -> None:
    for name, reply in said.items():
        setattr(mailbox, name, reply)
    with pytest.raises(MessageRefused) as refused:
        relay.send(letter(), TO)
    assert (refused.value.permanent, refused.value.bounced) == (permanent, bounced)
    assert not mailbox.envelopes
    assert "user" not in str(refused.value) and "spam" not in str(refused.value), "a relay's words may name the person"


def test_a_refused_letter_does_not_stop_the_next(relay: Relay, mailbox: Mailbox) -> None:
    mailbox.rcpt_reply = "550 5.1.1 no"
    with pytest.raises(MessageRefused):
        relay.send(letter(), TO)
    mailbox.rcpt_reply = "250 OK"
    relay.send(letter(), TO)
    assert (len(mailbox.envelopes), mailbox.greetings) == (1, 1)


def test_broken_off_after_the_message_is_in_doubt(relay: Relay, mailbox: Mailbox) -> None:
    mailbox.hang_up_on_data = True
    with pytest.raises(MaybeSent):
        relay.send(letter(), TO)
    assert len(mailbox.envelopes) == 1, "it did arrive, though nobody told us"
    mailbox.hang_up_on_data = False
    relay.send(letter(), TO)
    assert len(mailbox.envelopes) == 2


def test_a_kept_connection_that_died_is_replaced(relay: Relay, mailbox: Mailbox) -> None:
    relay.send(letter(), TO)
    mailbox.hang_up_on_mail = True
    relay.send(letter(), TO)
    assert (len(mailbox.envelopes), mailbox.greetings) == (2, 2)


def test_a_closing_relay_is_unavailable(relay: Relay, mailbox: Mailbox) -> None:
    mailbox.mail_reply = "421 4.7.0 try later"
    with pytest.raises(RelayUnavailable):
        relay.send(letter(), TO)


def test_no_relay_there() -> None:
    with relay_at(f"smtp://127.0.0.1:{free_port()}") as relay, pytest.raises(RelayUnavailable, match="reached"):
        relay.send(letter(), TO)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://mail.example.com", RelayAddress("smtp", "mail.example.com", 25)),
        ("smtp://localhost:1025", RelayAddress("smtp", "localhost", 1025)),
        ("smtps://u:p%40ss@mail.example.com", RelayAddress("smtps", "mail.example.com", 465, "u", "p@ss")),
        ("smtp+starttls://me%40x:p:q@m.example:2587", RelayAddress("smtp+starttls", "m.example", 2587, "me@x", "p:q")),
    ],
)
def test_smtp_url(url: str, address: RelayAddress) -> None:
    assert relay_address(url) == address


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:port", "smtp://h:99999"]
)
def test_unusable_smtp_url(url: str) -> None:
    with pytest.raises(SettingsError, match="SMTP_URL"):
        relay_address(url)


def test_the_password_is_never_shown() -> None:
    assert "secret" not in repr(relay_address("smtps://user:secret@mail.example.com"))


def authenticator(_server: object, _session: object, _envelope: object, _mechanism: str, given: object) -> AuthResult:
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"post", b"pa:ss")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS context whose certificate (127.0.0.1) this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    whole, public = tmp_path / "server.pem", tmp_path / "trusted.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    whole.write_bytes(secret + public.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(whole)
    return context


def test_tls_with_sign_in(certificate: ssl.SSLContext) -> None:
    signed_in = {"authenticator": authenticator, "auth_required": True, "auth_require_tls": False}
    with serving(Mailbox(), ssl_context=certificate, **signed_in) as box:
        with relay_at(f"smtps://post:pa%3Ass@127.0.0.1:{box.port}") as relay:
            relay.send(letter(), TO)
        mistyped = f"smtps://post:wrong@127.0.0.1:{box.port}"
        with relay_at(mistyped) as relay, pytest.raises(RelayUnavailable, match="sign-in"):
            relay.send(letter(), TO)
    assert len(box.envelopes) == 1


def test_starttls_with_sign_in(certificate: ssl.SSLContext) -> None:
    options = {"authenticator": authenticator, "auth_required": True, "require_starttls": True}
    with serving(Mailbox(), tls_context=certificate, **options) as box:
        url = f"smtp+starttls://post:pa%3Ass@127.0.0.1:{box.port}"
        with relay_at(url) as relay:
            relay.send(letter(), TO)
        assert len(box.envelopes) == 1


def test_starttls_is_never_skipped(mailbox: Mailbox) -> None:
    with relay_at(f"smtp+starttls://127.0.0.1:{mailbox.port}") as relay, pytest.raises(RelayUnavailable):
        relay.send(letter(), TO)
    assert not mailbox.envelopes


def test_a_certificate_nobody_vouches_for_is_refused(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(Mailbox(), tls_context=certificate) as box:
        url = f"smtp+starttls://127.0.0.1:{box.port}"
        with relay_at(url) as relay, pytest.raises(RelayUnavailable):
            relay.send(letter(), TO)
        assert not box.envelopes


def test_another_thread_may_take_the_last_kept_connection(relay: Relay, mailbox: Mailbox) -> None:
    class Contended(list[smtplib.SMTP]):
        """Filled when looked at, emptied by another thread before anything is taken."""

        def __bool__(self) -> bool:
            seen = len(self) > 0
            self.clear()
            return seen

    relay.send(letter(), TO)
    relay._idle = Contended(relay._idle)
    relay.send(letter(), TO)
    relay.close()
    assert len(mailbox.envelopes) == 2
