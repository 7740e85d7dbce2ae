"""Opt-outs that come in by command or file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from intake.calls import find_organisation
from intake.formats import Table, open_table
from intake.mapping import guessed
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.rows import Row, RowFault, not_a_row, shown
from intake.sealed import LONGEST_CONTACT, canonical_email
from survey import audit, phones
from survey import optouts as ground
from survey.clock import iso
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import ImportKind, OptOut, OptOutSource, Organisation

KINDS = ("phone", "email")
EXTENSION = "phones with an extension (the whole number is left alone)"


class Recorded(NamedTuple):
    """An opt-out's kind, whether it is new, and whether its phone had an extension (it is of the whole number then)."""

    kind: str
    new: bool
    had_extension: bool = False


class _Contact(NamedTuple):
    kind: str
    mark: bytes
    had_extension: bool = False


def add(organisation_key: str, contact: str, *, actor: str) -> Recorded:
    """Records the opt-out of a phone number or email address; one in force already is not new.

    Commits. Raises InputError for what is neither, NotFound for an unknown organisation.
    """
    organisation = find_organisation(organisation_key)
    recorded = _record(_contact(contact, "", organisation), organisation, OptOutSource.COMMAND)
    if recorded.new:
        audit.record(actor, "opt-out added", organisation, kind=recorded.kind)
    db.session.commit()
    return recorded


def remove(organisation_key: str, contact: str, *, actor: str) -> str:
    """Lifts the opt-out of a contact and returns its kind. Commits.

    Raises NotFound when there is none in force. Raises InputError for a phone with an extension: the opt-out that would
    be lifted is the whole number's.
    """
    organisation = find_organisation(organisation_key)
    found = _contact(contact, "", organisation)
    if found.had_extension:
        how = "An opt-out is of the whole number, for everybody behind it. Give it without the extension to lift it."
        raise InputError("has an extension", where="contact", how=how)
    if not ground.remove(organisation.id, found.mark, actor):
        raise NotFound(f"this {found.kind} has no opt-out in force", where=organisation.key)
    db.session.commit()
    return found.kind


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
            recorded = _take_row(row, columns, organisation)
        except RowFault as fault:
            report.count_rejected(f"line {row.line}", fault.column, fault.reason, fault.text)
        except InputError as error:
            report.count_rejected(f"line {row.line}", "contact", error.what)
        else:
            (report.count_new if recorded.new else report.count_unchanged)()
            report.notes[EXTENSION] += recorded.had_extension


def _take_row(row: Row, columns: dict[str, int], organisation: Organisation) -> Recorded:
    if row.fault:
        raise not_a_row(row.fault)
    kind = row.cells[columns["kind"]].strip().casefold() if "kind" in columns else ""
    if kind and kind not in KINDS:
        raise RowFault("the kind is neither phone nor email", column="kind", detail=shown(kind))
    contact = _contact(row.cells[columns["contact"]].strip(), kind, organisation)
    return _record(contact, organisation, OptOutSource.IMPORT)


def _record(contact: _Contact, organisation: Organisation, source: OptOutSource) -> Recorded:
    new = ground.add(organisation.id, contact.kind, contact.mark, source)
    return Recorded(contact.kind, new, contact.had_extension)


def _contact(contact: str, kind: str, organisation: Organisation) -> _Contact:
    """A contact as a person wrote it, of that kind or (empty) the one it looks like; the refusal never repeats it."""
    if not contact:
        raise InputError("is empty", where="contact")
    if (kind or ("email" if "@" in contact else "phone")) == "email":
        address, fault = canonical_email(contact)
        if address is None:
            raise InputError(fault or "is empty", where="contact")
        return _Contact("email", ground.index_of("email", address))
    try:
        number, had_extension = phones.to_leave_alone(contact[:LONGEST_CONTACT], organisation.country)
    except InputError as error:
        raise InputError(f"phone: {error.what}", where="contact") from None
    return _Contact("phone", ground.index_of("phone", number), had_extension)
