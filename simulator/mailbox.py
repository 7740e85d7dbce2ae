"""A real mailbox on loopback: an SMTP server that keeps every message, and hands each to whoever reads it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Keeps messages as .eml files in `folder`; `on_message` is told of each as it arrives (in the server's thread)."""

    def __init__(self, folder: Path, on_message: Callable[[str, EmailMessage], None] | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._on_message = on_message
        self._count = sum(1 for _ in folder.glob("*.eml"))
        self._controller: Controller | None = None

    def start(self) -> str:
        """Starts the server on a free port; returns its address for SMTP_URL."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()
        return f"smtp://127.0.0.1:{port}"

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __len__(self) -> int:
        return self._count

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self._count += 1
        (self.folder / f"{self._count:06d}.eml").write_bytes(content)
        if self._on_message is not None:
            message = message_from_bytes(content, policy=policy.default)
            for address in envelope.rcpt_tos:
                self._on_message(address, message)
        return "250 kept"
