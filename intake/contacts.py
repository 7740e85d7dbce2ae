"""A contacts file beside a calls file: phone, email, language and consent by call id, joined batch by batch.

The file may be far larger than memory. It is staged, each row sealed like any customer's data, in a temporary table on
a connection of its own, which goes away with the import.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from intake.formats import Table, open_table
from intake.mapping import CONTACT_FIELDS, CallMapping, guessed, positions
from intake.rejects import RejectsFile
from intake.reports import ImportReport, file_sha256
from intake.rows import RowFault, not_a_row
from survey.db import db
from survey.errors import InputError
from survey.models import ImportKind
from survey.vault import vault

LONGEST_CELL = 1_000


class ContactsFile:
    """The staged contacts of one import. `given` is the set of fields the file has."""

    def __init__(
        self,
        connection: Connection,
        given: frozenset[str],
        report: ImportReport,
        table: Table,
        columns: dict[str, int],
    ) -> None:
        self._connection, self.given, self.report = connection, given, report
        self._table, self._columns = table, columns
        self._used = bytearray(report.read // 8 + 1)

    def of(self, external_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """The contact fields of the calls that have any, as text; where a call id came twice, the last row's."""
        rows = self._connection.execute(
            text(
                "SELECT DISTINCT ON (external_id) external_id, position, sealed FROM incoming_contacts"
                " WHERE external_id = ANY(:ids) ORDER BY external_id, position DESC"
            ),
            {"ids": list(external_ids)},
        )
        found: dict[str, dict[str, str]] = {}
        for external_id, position, sealed in rows:
            self._used[position // 8] |= 1 << position % 8
            found[external_id] = json.loads(vault().open(sealed))
        return found

    def rejects(self) -> Iterator[tuple[int, str, str]]:
        """Line, column and reason of every rejected row; the file is read anew for them, if there are any."""
        for row in self._table.rows() if self.report.rejected else ():
            try:
                _contact(row.cells, self._columns, row.fault)
            except RowFault as fault:
                yield row.line, fault.column, fault.text

    def keep_rejects(self, path: Path) -> None:
        """Writes every rejected row to a file of the contacts' own, which their record names; none where all are good.

        Raises InputError when it cannot be written.
        """
        with RejectsFile(path, ()) as kept:
            kept.check()
            for line, column, reason in self.rejects():
                kept.add(line, column, reason, ())
            self.report.rejects_file = kept.written

    def close_counts(self) -> dict[str, int]:
        """Counts each row once: new (joined to a call), unchanged (no call asked for it), rejected."""
        report = self.report
        report.new = int.from_bytes(self._used, "little").bit_count()
        report.unchanged = report.read - report.new - report.rejected
        return {"read": report.read, "used": report.new, "not used": report.unchanged, "rejected": report.rejected}


@contextmanager
def staged(path: Path, mapping: CallMapping) -> Iterator[ContactsFile]:
    """The contacts of a file, findable by call id within the block. Raises InputError when it cannot be read."""
    table = open_table(path)
    columns = positions(mapping.contacts or guessed(table.header, CONTACT_FIELDS), table.header, table.name)
    if "external_id" not in columns:
        raise InputError(
            "has no column for the call id",
            where=f"{table.name}, header",
            how="Call it call_id, or name it under [contacts] in the mapping.",
        )
    report = ImportReport(ImportKind.CONTACTS, table.name, file_sha256(path))
    with db.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("DROP TABLE IF EXISTS pg_temp.incoming_contacts"))
        connection.execute(
            text("CREATE TEMPORARY TABLE incoming_contacts (external_id text, position bigint, sealed text)")
        )
        try:
            _copy(connection, table, columns, report)
            connection.execute(text("CREATE INDEX ON incoming_contacts (external_id)"))
            yield ContactsFile(connection, frozenset(columns), report, table, columns)
        finally:
            connection.execute(text("DROP TABLE incoming_contacts"))


def _copy(connection: Connection, table: Table, columns: dict[str, int], report: ImportReport) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy("COPY incoming_contacts FROM STDIN") as copy:
        for row in table.rows():
            try:
                external_id, given = _contact(row.cells, columns, row.fault)
            except RowFault as fault:
                report.count_rejected(f"line {row.line}", fault.column, fault.reason, fault.text)
                continue
            copy.write_row((external_id, report.read, vault().seal(json.dumps(given))))
            report.read += 1
    report.notes.update(table.notes)


def _contact(cells: Any, columns: dict[str, int], fault: str) -> tuple[str, dict[str, str]]:
    if fault:
        raise not_a_row(fault)
    given = {field: cells[place].strip() for field, place in columns.items()}
    external_id = given.pop("external_id")
    if not external_id:
        raise RowFault("no call id", column="external_id")
    if "\0" in external_id or len(external_id) > LONGEST_CELL:
        raise RowFault(f"no call id: has a NUL byte or more than {LONGEST_CELL:,} characters", column="external_id")
    return external_id, {field: text[:LONGEST_CELL] for field, text in given.items() if text}
