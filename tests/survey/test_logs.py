"""Logs are one JSON object a line, and say nothing about anybody."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from survey import logs
from survey.db import db

PHONE = "+12125550142"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    logs.configure("INFO")
    yield capsys
    logs.configure("ERROR")
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_personal_values_are_withheld_whoever_passes_them(logged: pytest.CaptureFixture[str]) -> None:
    logs.logger("survey").warning("dialled", phone=PHONE, attempt=7)
    (line,) = logged.readouterr().err.splitlines()
    assert (json.loads(line)["phone"], json.loads(line)["attempt"]) == ("(withheld)", 7)
    assert PHONE not in line


def test_a_customers_link_is_withheld_from_what_libraries_say(logged: pytest.CaptureFixture[str]) -> None:
    link = "/s/A-token-of-twenty-two0/unsubscribe"
    logging.getLogger("somewhere").error("Exception on %s [%s]", link, "POST")
    told = json.loads(logged.readouterr().err)["event"]
    assert told == "Exception on /s/(withheld)/unsubscribe [POST]"


def test_a_failed_statement_is_told_without_its_values(app: Flask) -> None:
    with pytest.raises(SQLAlchemyError) as failed:
        db.session.execute(text("SELECT CAST(:phone AS integer)"), {"phone": "customer's own words"})
    assert "customer's own words" not in str(failed.value).replace(str(failed.value.__cause__), "")
    db.session.rollback()
