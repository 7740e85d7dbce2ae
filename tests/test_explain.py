"""flask explain: decisions as the command line tells them, refusals without a stack trace."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from survey.clock import ManualClock
from survey.db import db
from survey.models import AttemptState
from tests import factories


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["explain", *words])


def told(app: Flask, *words: str) -> Any:
    result = run(app, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize(
    ("surveys", "world_class", "passes", "reason"),
    [(32, 24, False, "75.0%"), (25, 19, True, ""), (24, 24, False, "1 more survey"), (40, 38, True, "")],
)
def test_a_rule(app: Flask, surveys: int, world_class: int, passes: bool, reason: str) -> None:
    words = ("rule", "sqm-2011", "--level", "agent", "--n", str(surveys), "--k", str(world_class), "--months", "6")
    report = told(app, *words)
    assert report["passes"] is passes
    assert reason in " ".join(report["reasons"])


@pytest.mark.parametrize(
    ("ended_at", "closes_at"),
    [("2026-07-02T15:00:00-04:00", "2026-07-08T04:00:00Z"), ("2026-07-11T15:00:00-04:00", "2026-07-15T04:00:00Z")],
)
def test_a_deadline(app: Flask, ended_at: str, closes_at: str) -> None:
    report = told(app, "deadline", "--ended-at", ended_at, "--zone", "America/New_York", "--country", "US")
    assert report["deadline"] == closes_at


def test_a_draw_number_is_what_the_rule_says(app: Flask) -> None:
    key = "00ff" * 16
    digest = hmac.new(bytes.fromhex(key), b"draw\x00acme\x00call-1", hashlib.sha256).digest()
    report = told(app, "draw", "--key", key, "--source", "acme", "--id", "call-1", "--rate", "1/3")
    assert report["u"] == int.from_bytes(digest[:8], "big")
    assert report["drawn"] is (report["u"] * 3 < 2**64)


def test_calling_hours(app: Flask) -> None:
    late = told(app, "hours", "--number", "+12125550123", "--at", "2026-07-06T22:30:00-04:00")
    assert not late["allowed"] and "22:30 in America/New_York" in late["reasons"][0]
    assert "5550123" not in json.dumps(late)
    assert told(app, "hours", "--number", "+12125550123", "--at", "2026-07-06T12:00:00-04:00")["allowed"]


def test_a_calls_story(app: Flask, at_noon: ManualClock) -> None:
    attempt = factories.attempt(state=AttemptState.UNDERWAY)
    call_id = attempt.survey.call_id
    db.session.commit()
    story = told(app, "call", str(call_id))
    assert [moment["at"] for moment in story] == sorted(moment["at"] for moment in story)
    assert "drawn" in json.dumps(story).casefold()
    lines = run(app, "call", str(call_id)).output
    assert len(lines.splitlines()) == len(story)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule", "no-such-rule", "--level", "agent", "--n", "1", "--k", "1", "--months", "6"), "no rule set"),
        (("rule", "sqm-2011", "--level", "agent", "--n", "1", "--k", "2", "--months", "6"), "2"),
        (("deadline", "--ended-at", "2026-07-02T15:00", "--zone", "UTC", "--country", "US"), "no offset"),
        (("deadline", "--ended-at", "soon", "--zone", "UTC", "--country", "US"), "not a time"),
        (("deadline", "--ended-at", "2026-07-02T15:00Z", "--zone", "Mars", "--country", "US"), "time zone"),
        (("draw", "--key", "xyz", "--source", "s", "--id", "1"), "hex"),
        (("hours", "--number", "12", "--at", "2026-07-06T12:00Z"), "phone number"),
        (("call", "999"), "no such call"),
        (("deadline", "--ended-at", "9999-12-31T00:00Z", "--zone", "UTC", "--country", "US"), "too far from today"),
        (("deadline", "--ended-at", "2026-07-02T15:00Z", "--zone", "America", "--country", "US"), "time zone"),
        (("hours", "--number", "+12125550123", "--at", "0001-01-01T00:00Z"), "too far from today"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(app: Flask, words: tuple[str, ...], says: str) -> None:
    result = run(app, *words)
    assert result.exit_code == 1
    assert result.output.startswith("Refused: ") and says in result.output and len(result.output.splitlines()) == 1


def test_usage_is_exit_2(app: Flask) -> None:
    assert run(app, "rule", "sqm-2011").exit_code == 2
    assert run(app, "call", "99999999999999999999").exit_code == 2
