"""Handing messages to a mail relay over SMTP (RFC 5321), with every way it can say no told apart.

What matters most is what is known after a failure: that nothing was sent, or that it may have been.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from urllib.parse import unquote, urlsplit

from survey.errors import ProviderError, SettingsError

DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
SERVICE_CLOSING = 421
# Enhanced status codes about the mailbox, and not about the message or ourselves (RFC 3463).
MAILBOX_FAULTS = frozenset({b"5.1.1", b"5.1.2", b"5.1.3", b"5.1.6", b"5.1.10", b"5.2.1"})


class RelayUnavailable(ProviderError):
    """The relay takes no mail from us now; this message certainly was not sent."""

    def __init__(self, what: str, *, how: str = "") -> None:
        super().__init__(what, permanent=False, where="mail relay", how=how)


class MessageRefused(ProviderError):
    """The relay refused this message; it certainly was not sent. `bounced`: because of the recipient's mailbox."""

    def __init__(self, what: str, *, permanent: bool, bounced: bool = False) -> None:
        super().__init__(what, permanent=permanent, where="mail relay")
        self.bounced = bounced


class MaybeSent(ProviderError):
    """The connection broke after the message was handed over and before the reply: it may be on its way."""

    def __init__(self, what: str) -> None:
        super().__init__(what, permanent=True, where="mail relay", how="It is not sent again: it may have arrived.")


@dataclass(frozen=True)
class RelayAddress:
    """Where the relay listens and how to sign in; `security` is "smtp", "smtps" (TLS) or "smtp+starttls"."""

    security: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)


def relay_address(url: str) -> RelayAddress:
    """Reads SMTP_URL: smtp://, smtps:// or smtp+starttls://[user:password@]host[:port]. Raises SettingsError."""
    how = "Write it as smtp+starttls://user:password@host:587, percent-encoding special characters."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("is not an address", where="SMTP_URL", how=how) from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise SettingsError("names no mail relay", where="SMTP_URL", how=how)
    return RelayAddress(
        parts.scheme,
        parts.hostname,
        port or DEFAULT_PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


class Relay:
    """One mail relay. Connections are kept open between messages; any number of threads may send, each over its own."""

    def __init__(self, address: RelayAddress, sender: str, our_host: str, timeout_seconds: int = 20) -> None:
        """`sender` is the ASCII address everything is sent from, `our_host` the name we greet the relay with."""
        self.sender = sender
        self._address, self._our_host, self._timeout = address, our_host, timeout_seconds
        self._idle: list[smtplib.SMTP] = []

    def send(self, message: EmailMessage, recipient: str) -> None:
        """Hands the message over; on return the relay has taken charge of it.

        Raises RelayUnavailable, MessageRefused or MaybeSent. `recipient` is an ASCII address.
        """
        content = message.as_bytes(policy=SMTP_POLICY)
        connection = self._begin()
        try:
            self._ask(connection, f"RCPT TO:<{recipient}>", about_mailbox=True)
            self._hand_over(connection, content)
        except MessageRefused:
            self._keep_after_refusal(connection)
            raise
        except ProviderError:
            connection.close()
            raise
        self._idle.append(connection)

    def close(self) -> None:
        """Says goodbye on every idle connection."""
        while (kept := self._kept()) is not None:
            try:
                kept.quit()
            except (smtplib.SMTPException, OSError):
                continue

    def _begin(self) -> smtplib.SMTP:
        """A connection on which MAIL FROM was taken: a kept one when it is still alive, else a new one."""
        command = f"MAIL FROM:<{self.sender}>"
        while (kept := self._kept()) is not None:
            try:
                self._ask(kept, command)
                return kept
            except RelayUnavailable:
                kept.close()
            except MessageRefused:
                self._keep_after_refusal(kept)
                raise
        fresh = self._connect()
        try:
            self._ask(fresh, command)
        except ProviderError:
            fresh.close()
            raise
        return fresh

    def _kept(self) -> smtplib.SMTP | None:
        """A kept connection, now the caller's alone; None when there is none. Another thread may take the last one."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> smtplib.SMTP:
        try:
            return self._open()
        except smtplib.SMTPAuthenticationError as error:
            raise RelayUnavailable(
                f"refused our sign-in ({error.smtp_code})", how="Check user and password in SMTP_URL."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise RelayUnavailable(
                f"cannot be reached ({type(error).__name__})", how="Check SMTP_URL and that the relay is up."
            ) from None

    def _open(self) -> smtplib.SMTP:
        address, context = self._address, ssl.create_default_context()
        connection: smtplib.SMTP
        if address.security == "smtps":
            connection = smtplib.SMTP_SSL(
                address.host, address.port, self._our_host, timeout=self._timeout, context=context
            )
        else:
            connection = smtplib.SMTP(address.host, address.port, self._our_host, timeout=self._timeout)
        try:
            if address.security == "smtp+starttls":
                connection.starttls(context=context)
            connection.ehlo_or_helo_if_needed()
            if address.user:
                connection.login(address.user, address.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, connection: smtplib.SMTP, command: str, *, about_mailbox: bool = False) -> None:
        code, words = _spoken(lambda: connection.docmd(command))
        if code not in (250, 251):
            raise _refusal(code, words, about_mailbox=about_mailbox)

    def _hand_over(self, connection: smtplib.SMTP, content: bytes) -> None:
        code, words = _spoken(lambda: connection.docmd("DATA"))
        if code != 354:
            raise _refusal(code, words)
        try:
            connection.send(_dot_stuffed(content))
            code, words = connection.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise MaybeSent(f"broke off after the message ({type(error).__name__})") from None
        if code != 250:
            raise _refusal(code, words, about_mailbox=words.split(b" ", 1)[0] in MAILBOX_FAULTS)

    def _keep_after_refusal(self, connection: smtplib.SMTP) -> None:
        try:
            connection.rset()
            self._idle.append(connection)
        except (smtplib.SMTPException, OSError):
            connection.close()


def _spoken(exchange: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    """One command and its reply, at a moment when a broken connection means that nothing was sent."""
    try:
        return exchange()
    except (smtplib.SMTPException, OSError) as error:
        raise RelayUnavailable(f"broke off ({type(error).__name__})") from None


def _refusal(code: int, words: bytes, *, about_mailbox: bool = False) -> ProviderError:
    if code == SERVICE_CLOSING:
        return RelayUnavailable(f"is closing ({code})")
    permanent = 500 <= code < 600
    return MessageRefused(
        f"said {code} {_enhanced(words)}".rstrip(), permanent=permanent, bounced=permanent and about_mailbox
    )


def _enhanced(words: bytes) -> str:
    """The enhanced status code alone: a relay's free words may repeat the recipient's address."""
    first = words.split(b" ", 1)[0]
    return first.decode("ascii", "replace") if first[:2] in (b"4.", b"5.") and len(first) < 12 else ""


def _dot_stuffed(content: bytes) -> bytes:
    """The message, its lines ending in CRLF, as DATA carries it: dots doubled, then a lone dot (RFC 5321, 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")
