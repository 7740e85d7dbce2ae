"""The demo's live half: what it refuses, and that its calls end when it says, so that the campaign takes them."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime

import pytest

from simulator import live
from simulator.timelapse import World
from survey.errors import Refused


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"port {port} is taken"):
            live.check_port(port)
    live.check_port(port)


def test_a_live_call_ends_at_the_moment_given() -> None:
    at = datetime(2026, 7, 20, 15, 30, 7, tzinfo=UTC)
    for centre in World(1, date(2026, 1, 1)).centres():
        records = [centre.live_call(number, at) for number in range(12)]
        assert {record.ended_at for record in records} == {at}
        assert all(record.started_at < at for record in records)
        assert len({record.external_id for record in records}) == 12
