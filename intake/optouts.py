"""Opt-outs that come in by command or file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select

from intake.bulk import take_optouts_turn
from intake.calls import find_organisation
from intake.formats import Table, open_table
from intake.mapping import guessed
from intake.rejects import RejectsFile, kept_at
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.rows import Row, RowFault, not_a_row
from intake.sealed import LONGEST_CONTACT, canonical_email
from survey import audit, phones
from survey import optouts as ground
from survey.clock import iso
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import ImportKind, OptOut, OptOutSource, Organisation
from survey.turns import import_under_way

KINDS = ("phone", "email")
# As many contacts are written at once.
BATCH = 1_000
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
    asked = _contact(contact, "", organisation)
    new = ground.add(organisation.id, asked.kind, asked.mark, OptOutSource.COMMAND)
    recorded = Recorded(asked.kind, new, asked.had_extension)
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


def import_optouts(path: Path, organisation_key: str, *, actor: str, rejects: Path | None = None) -> ImportReport:
    """Takes in a file with the column `contact` and, if wanted, `kind`. Commits.

    One already in force counts as unchanged. `rejects` is where rejected rows go (default: the data folder): line,
    column and reason, never the contact. Raises InputError where the file cannot be read.
    """
    organisation = find_organisation(organisation_key)
    table = open_table(path)
    columns = guessed(table.header, ("contact", "kind"))
    if "contact" not in columns:
        raise InputError("has no column 'contact'", where=f"{table.name}, header")
    places = {field: table.header.index(name) for field, name in columns.items()}
    report = ImportReport(ImportKind.OPTOUTS, table.name, file_sha256(path))
    try:
        import_id = begin(report, organisation.id, actor)
        with RejectsFile(rejects or kept_at(import_id), ()) as rejects_file:
            rejects_file.check([path])
            # Stamped now, seen when committed: a draw in between would not know of them, and a replay would.
            with import_under_way(organisation.id):
                _Taking(table, places, organisation, report, rejects_file).take()
                report.rejects_file = rejects_file.written
                report.notes.update(table.notes)
                keep(report, finished=True)
                audit.record(actor, "opt-outs imported", organisation, new=report.new, rejected=report.rejected)
                db.session.commit()
    finally:
        db.session.rollback()  # what was not committed: none of it, when it broke off
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


class _Taking:
    """The rows of one file on their way in. Whichever column a contact stands in, nothing of a row is ever told."""

    def __init__(
        self,
        table: Table,
        places: dict[str, int],
        organisation: Organisation,
        report: ImportReport,
        rejects: RejectsFile,
    ) -> None:
        self._table, self._places, self._organisation = table, places, organisation
        self._report, self._rejects = report, rejects

    def take(self) -> None:
        take_optouts_turn(self._organisation.id)
        contacts = self._contacts()
        while batch := list(islice(contacts, BATCH)):
            kinds = {contact.mark: contact.kind for contact in batch}
            new = len(ground.add_all(self._organisation.id, kinds, OptOutSource.IMPORT))
            self._report.count(new=new, unchanged=len(batch) - new)
            self._report.notes[EXTENSION] += sum(contact.had_extension for contact in batch)

    def _contacts(self) -> Iterator[_Contact]:
        """The contacts of the good rows; the others are rejected on the way."""
        for row in self._table.rows():
            try:
                yield self._read(row)
            except RowFault as fault:
                self._reject(row, fault)
            except InputError as error:
                self._reject(row, RowFault(error.what, column="contact"))

    def _read(self, row: Row) -> _Contact:
        if row.fault:
            raise not_a_row(row.fault)
        kind = row.cells[self._places["kind"]].strip().casefold() if "kind" in self._places else ""
        if kind and kind not in KINDS:
            raise RowFault("the kind is neither phone nor email", column="kind")
        return _contact(row.cells[self._places["contact"]].strip(), kind, self._organisation)

    def _reject(self, row: Row, fault: RowFault) -> None:
        self._report.count_rejected(f"line {row.line}", fault.column, fault.reason, fault.text)
        self._rejects.add(row.line, fault.column, fault.text, ())


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
