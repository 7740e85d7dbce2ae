"""A real mail server on loopback, the web channel that sends to it, and a customer's link."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.websurvey.support import Mailbox, serving, set_to
from websurvey.channel import WebChannel


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with serving(Mailbox()) as box:
        yield box


@pytest.fixture
def channel(app: Flask, mailbox: Mailbox) -> Iterator[WebChannel]:
    """The channel, sending to the mailbox."""
    with set_to(app, smtp_url=f"smtp://127.0.0.1:{mailbox.port}"):
        channel = WebChannel()
        yield channel
        if channel._relay is not None:
            channel._relay.close()
