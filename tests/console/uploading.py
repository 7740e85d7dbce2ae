"""Handing in files at the console as a browser does, and what is left of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from werkzeug.test import TestResponse

from survey import settings
from survey.db import db
from survey.models import Organisation, Upload
from tests.console.conftest import HOST, Browser, token_in
from tests.console.test_imports import text_of
from tests.intake import samples

NEW, LIST = "/console/imports/new", "/console/imports"
HEADER = "call_id,agent,started_at,talk_seconds,answered,phone,email,language"
GOOD = "HM-7,amy,2026-03-02 09:12:58,143,yes,(212) 555-0147,jo.bloggs@example.com,en"
FILE = samples.rows(GOOD, "HM-8,zed,2026-03-02 10:00,60,yes,2125550148,,en", header=HEADER)
# A file by no names of ours: its columns have to be said.
THEIRS = samples.rows("1,amy,03/04/2025 09:00,60,Y,2125550147", header="Nr,Who,Begin,Talk,Got it,Mobile")
ASTERISK = (
    '"","+12125550147","600","inbound","""Jo Bloggs"" <+12125550147>","SIP/trunk-0000000a","SIP/201-0000000b","Queue",'
    '"billing,t","2026-03-02 09:00:00","2026-03-02 09:00:10","2026-03-02 09:02:10",130,120,"ANSWERED","DOCUMENTATION",'
    '"1772442000.10","","","1772442000.10","7"\n'
)
SAID = {"column_external_id": "0", "column_agent": "1", "column_started_at": "2", "column_talk_seconds": "3"}


def send(browser: Browser, path: str, form: Mapping[str, Any], token_from: str | None = NEW) -> TestResponse:
    """Posts a form with files, as a browser does."""
    fields = dict(form)
    if token_from is not None:
        fields["csrf_token"] = token_in(browser.get(token_from).text)
    db.session.rollback()
    return browser.client.post(path, base_url=HOST, data=fields, headers={"Referer": f"{HOST}/console/"})


def hand_in(browser: Browser, content: str | bytes = FILE, name: str = "calls.csv", **form: Any) -> TestResponse:
    """Hands in a file for the only organisation there is, unless another is named."""
    raw = content.encode() if isinstance(content, str) else content
    owner = form.pop("organisation", None) or db.session.scalar(select(func.min(Organisation.id)))
    return send(browser, NEW, {"file": (io.BytesIO(raw), name), "organisation": str(owner)} | form)


def handed_in(browser: Browser, content: str | bytes = FILE, name: str = "calls.csv", **form: Any) -> str:
    """The address of the upload's page."""
    answer = hand_in(browser, content, name, **form)
    assert answer.status_code == 303, text_of(answer.text)
    return str(answer.location)


def decide(browser: Browser, path: str, action: str, **form: Any) -> TestResponse:
    return send(browser, path, {"action": action, "site": "north", "agents": "refuse"} | form)


def columns_of(header: str) -> dict[str, str]:
    """The form's fields for a file whose columns are called as ours."""
    ours = {"call_id": "external_id"}
    return {f"column_{ours.get(name, name)}": str(n) for n, name in enumerate(header.split(","))}


def waiting() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Upload)) or 0


def left_on_disk() -> list[Path]:
    return list((settings.current().aftercall_data / "uploads").iterdir())
