"""Logs are one JSON object a line, and say nothing about anybody."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from survey import logs
from survey.db import db

PHONE = "+12125550142"
LINK = "/s/A-token-of-twenty-two0"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the logs say when configured for this test alone."""
    root, before, said = logging.getLogger(), structlog.get_config(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", said)
    logs.configure("INFO")
    yield said
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_personal_values_are_withheld_whoever_passes_them(logged: io.StringIO) -> None:
    logs.logger("survey").warning("dialled", phone=PHONE, attempt=7)
    line = json.loads(logged.getvalue())
    assert (line["phone"], line["attempt"]) == ("(withheld)", 7)
    assert PHONE not in logged.getvalue()


def test_a_customers_link_is_withheld_from_what_libraries_say(logged: io.StringIO) -> None:
    logging.getLogger("somewhere").error("Exception on %s [%s]", f"{LINK}/unsubscribe", "POST")
    assert json.loads(logged.getvalue())["event"] == "Exception on /s/(withheld)/unsubscribe [POST]"


@pytest.mark.parametrize("ours", [True, False])
def test_a_fault_is_told_with_where_it_happened_on_one_line(logged: io.StringIO, ours: bool) -> None:
    try:
        raise LookupError(f"nothing at {LINK}")
    except LookupError:
        (logs.logger("survey") if ours else logging.getLogger("somewhere")).exception("it failed")
    (line,) = logged.getvalue().splitlines()
    told = json.loads(line)["exception"]
    assert "LookupError: nothing at /s/(withheld)" in told and "test_logs.py" in told


def test_a_failed_statement_is_told_without_its_values(app: Flask) -> None:
    with pytest.raises(SQLAlchemyError) as failed:
        db.session.execute(text("SELECT CAST(:phone AS text), 1/0"), {"phone": PHONE})
    assert "division by zero" in str(failed.value) and PHONE not in str(failed.value)
