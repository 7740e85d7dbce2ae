"""Opt-outs that come in by command or file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from intake.calls import find_organisation
from intake.formats import Table, open_table
from intake.mapping import guessed
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.rows import Row, RowFault, not_a_row, shown
from intake.sealed import canonical_email, canonical_phone
from survey import audit
from survey import optouts as ground
from survey.clock import iso
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import ImportKind, OptOut, OptOutSource, Organisation

KINDS = ("phone", "email")


def add(organisation_key: str, contact: str, *, actor: str) -> tuple[str, bool]:
    """Records the opt-out of a phone number or email address; returns its kind, and False when it was in force already.

    Commits. Raises InputError for what is neither, NotFound for an unknown organisation.
    """
    organisation = find_organisation(organisation_key)
    kind, index = _index(contact, "", organisation)
    new = ground.add(organisation.id, kind, index, OptOutSource.COMMAND)
    if new:
        audit.record(actor, "opt-out added", organisation, kind=kind)
    db.session.commit()
    return kind, new


def remove(organisation_key: str, contact: str, *, actor: str) -> str:
    """Lifts the opt-out of a contact and returns its kind. Commits. Raises NotFound when there is none in force."""
    organisation = find_organisation(organisation_key)
    kind, index = _index(contact, "", organisation)
    if not ground.remove(organisation.id, index, actor):
        raise NotFound(f"this {kind} has no opt-out in force", where=organisation.key)
    db.session.commit()
    return kind


def import_optouts(path: Path, organisation_key: str, *, actor: str) -> ImportReport:
    """Takes in a file with the column `contact` and, if wanted, `kind`. Commits.

    One already in force counts as unchanged. Raises InputError where the file cannot be read.
    """
    organisation = find_organisation(organisation_key)
    table = open_table(path)
    columns = guessed(table.header, ("contact", "kind"))
    if "contact" not in columns:
        raise InputError("has no column 'contact'", where=f"{table.name}, header")
    report = ImportReport(ImportKind.OPTOUTS, table.name, file_sha256(path))
    begin(report, organisation.id, actor)
    _take(table, {field: table.header.index(name) for field, name in columns.items()}, organisation, report)
    report.notes.update(table.notes)
    keep(report, finished=True)
    audit.record(actor, "opt-outs imported", organisation, new=report.new, rejected=report.rejected)
    db.session.commit()
    return report


def listed(organisation_key: str, *, removed_too: bool = False) -> list[dict[str, Any]]:
    """The organisation's opt-outs, oldest first; only those in force unless `removed_too`."""
    query = select(OptOut).where(OptOut.organisation_id == find_organisation(organisation_key).id).order_by(OptOut.id)
    if not removed_too:
        query = query.where(OptOut.removed_at.is_(None))
    return [
        {
            "id": optout.id,
            "kind": optout.kind,
            "source": optout.source.value,
            "created_at": iso(optout.created_at),
            "removed_at": iso(optout.removed_at) if optout.removed_at else None,
        }
        for optout in db.session.scalars(query)
    ]


def line(optout: dict[str, Any]) -> str:
    """One opt-out for a person."""
    lifted = f", lifted {optout['removed_at']}" if optout["removed_at"] else ""
    return f"{optout['id']:>6}  {optout['kind']:<5}  {optout['source']:<9}  since {optout['created_at']}{lifted}"


def _take(table: Table, columns: dict[str, int], organisation: Organisation, report: ImportReport) -> None:
    for row in table.rows():
        try:
            new = _take_row(row, columns, organisation)
        except RowFault as fault:
            report.count_rejected(f"line {row.line}", fault.column, fault.reason, fault.text)
        except InputError as error:
            report.count_rejected(f"line {row.line}", "contact", error.what)
        else:
            (report.count_new if new else report.count_unchanged)()


def _take_row(row: Row, columns: dict[str, int], organisation: Organisation) -> bool:
    if row.fault:
        raise not_a_row(row.fault)
    kind = row.cells[columns["kind"]].strip().casefold() if "kind" in columns else ""
    if kind and kind not in KINDS:
        raise RowFault("the kind is neither phone nor email", column="kind", detail=shown(kind))
    kind, index = _index(row.cells[columns["contact"]].strip(), kind, organisation)
    return ground.add(organisation.id, kind, index, OptOutSource.IMPORT)


def _index(contact: str, kind: str, organisation: Organisation) -> tuple[str, bytes]:
    """The kind and index of a contact as a person wrote it; the refusal never repeats it."""
    kind = kind or ("email" if "@" in contact else "phone")
    canonical, fault = canonical_email(contact) if kind == "email" else canonical_phone(contact, organisation.country)
    if canonical is None:
        raise InputError(fault or "is empty", where="contact")
    return kind, ground.index_of(kind, canonical)
