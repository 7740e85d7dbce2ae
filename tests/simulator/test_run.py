"""flask simulator run: what it prints, and that the real client finds the network where it says."""

from __future__ import annotations

import json
import socket
from collections import Counter

import pytest
from flask import Flask
from twilio.rest import Client

from simulator import cli
from simulator.network import Ring
from simulator.network.strangers import SHARES, strangers
from tests.simulator.stage import CALLER, CUSTOMER, Redirected, Stage, gather, say


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def test_it_serves_until_interrupted(app: Flask, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = []

    def use_it() -> None:
        base = f"http://127.0.0.1:{free_port}"
        client = Client("AC" + "5" * 32, "5" * 32, http_client=Redirected(base))
        call = client.calls.create(to=CUSTOMER, from_=CALLER, twiml=say("Hello"))
        statuses.append(client.calls(call.sid).fetch().status)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_until_interrupted", use_it)
    arguments = [
        "simulator",
        "run",
        "--port",
        str(free_port),
        "--speed",
        "0.1",
        "--public-base",
        "http://127.0.0.1:8000",
    ]
    result = app.test_cli_runner().invoke(args=[*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[0]) == {
        "TWILIO_API_BASE": f"http://127.0.0.1:{free_port}",
        "TWILIO_ACCOUNT_SID": "AC" + "5" * 32,
        "TWILIO_AUTH_TOKEN": "5" * 32,
        "TWILIO_FROM": "+12125550100",
        "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
    }
    assert statuses[0] in ("queued", "ringing") and "placed; a real network would have billed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--fault", "callback_lots=500"], "'callback_lots=500' is no fault"),
        (["--fault", "callback_lost=often"], "is no fault"),
        (["--fault", "callback_lost=9000", "--fault", "callback_delayed=9000"], "add up to at most 10000"),
        (["--public-base", "survey.example.com"], "is no address of a service"),
        (["--speed", "0"], "0 is not a speed"),
    ],
)
def test_what_makes_no_sense_is_refused(app: Flask, arguments: list[str], what: str) -> None:
    result = app.test_cli_runner().invoke(args=["simulator", "run", *arguments])
    assert result.exit_code == 1 and what in result.stderr


def test_a_port_that_is_taken_is_refused(app: Flask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = app.test_cli_runner().invoke(args=["simulator", "run", "--port", str(port)])
    assert result.exit_code == 1 and f"port {port} is taken" in result.stderr and "--port" in result.stderr


def rings(seed: int, count: int = 400) -> list[Ring]:
    stage, behaviour = Stage(), strangers(seed)
    calls = [stage.create(to=f"+1202555{number:04}") for number in range(count)]
    return [behaviour(call).on_ringing(call) for call in calls]


def test_strangers_are_as_likely_as_stated_and_the_same_by_seed() -> None:
    first = rings(1)
    assert first == rings(1) != rings(2)
    seen = Counter(ring.outcome for ring in first)
    assert sum(share for _, share in SHARES) == 100 and set(seen) == {outcome for outcome, _ in SHARES}
    assert all(abs(seen[outcome] - share * 4) <= 30 for outcome, share in SHARES)


@pytest.mark.parametrize(("keys", "digits"), [(("4", "2"), ["4", "2"]), ((), None)])
def test_strangers_press_what_they_are_told(keys: tuple[str, ...], digits: list[str] | None) -> None:
    stage = Stage()
    stage.service.answers |= {
        "/voice": gather("First?", "/two"),
        "/two": gather("Next?", "/three"),
        "/three": gather("Last?", "/four"),
        "/four": say("Goodbye."),
    }
    stage.customers = [strangers(1, keys, all_answer=True)(stage.create())]
    stage.finish()
    pressed = [form["Digits"] for path in ("/two", "/three", "/four") for form in stage.service.at(path)]
    assert pressed == digits if digits else (pressed[0] == "1" and len(pressed) == 3 and set(pressed) <= set("12345"))
