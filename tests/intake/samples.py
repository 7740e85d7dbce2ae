"""Small files, written where a test can hand them in, and the places the intake's tests use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from intake.calls import CallOptions, import_calls
from intake.mapping import mapping_of
from intake.reports import ImportReport
from survey.db import db
from survey.models import Call, Site
from tests import factories

HEADER = "call_id,agent,started_at,talk_seconds"


def written(folder: Path, text: str | bytes, name: str = "calls.csv") -> Path:
    """A file holding `text` exactly."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def place(**given: Any) -> Site:
    """A site in New York of an organisation "acme", with one agent "amy" called Amy Adams. Committed."""
    owner = factories.organisation(key="acme")
    site = factories.site(organisation=owner, key="north", **given)
    factories.agent(site, key="amy", name="Amy Adams")
    db.session.commit()
    return site


def taken(file: Any, mapping: dict[str, Any] | None = None, **options: Any) -> ImportReport:
    """Imports at that site, by a mapping given as a dict."""
    chosen = CallOptions(organisation="acme", site="north", mapping=mapping_of(mapping or {}))
    return import_calls(file, replace(chosen, **options), actor="test")


def stored() -> dict[str, Call]:
    """Every stored call by its external id, as the database has it now."""
    db.session.expire_all()
    return {call.external_id: call for call in db.session.query(Call)}


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    """(new, updated, unchanged, rejected), after checking that they add up."""
    assert report.read == report.new + report.updated + report.unchanged + report.rejected
    assert sum(report.rejected_by.values()) == report.rejected
    return report.new, report.updated, report.unchanged, report.rejected


def rows(*lines: str, header: str = HEADER) -> str:
    """A file's text: the header, then the lines."""
    return "\n".join([header, *lines, ""])


def one(folder: Path, header: str, line: str, **given: Any) -> Call:
    """The call that one row becomes."""
    report = taken(written(folder, rows(line, header=header)), **given)
    assert counts(report) == (1, 0, 0, 0), report
    (call,) = stored().values()
    return call
