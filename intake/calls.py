"""Taking in completed calls: a file or rows in, calls stored, every row accounted for.

table (formats/) -> mapping -> reading each row (call_rows) -> storing by the batch (call_store) -> report
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from sqlalchemy import select

from intake.call_rows import CallReader, Cells, IncomingCall, row_text
from intake.call_store import CallStore, Fate, Outcome
from intake.contacts import ContactsFile, staged
from intake.formats import Table, as_text, given_table, open_table
from intake.mapping import CALL_FIELDS, SEALED_FIELDS, CallMapping, DateOrder, guessed, positions
from intake.moments import is_numeric_date, moments_of, order_shown_by
from intake.rejects import RejectsFile
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.rows import Row, RowFault
from intake.staff import Staff
from survey import clock, settings
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import ImportKind, Organisation, Site

BATCH = 1_000
# How many rows are looked at to see whether the file writes dates as 03/04/2026.
PEEK = 200
DRAWN_ALREADY = "drawn already, kept as it was drawn"
MADE_AGENTS = "agents made from the calls, at the site of their first call since its day, without a supervisor"

GivenRows = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class CallOptions:
    """What an import of calls is told. `organisation` and `site` are keys.

    `site` may be None when the rows name their site. `source` names the telephone system (default: the mapping's, else
    the site's key); calls are one call when organisation, source and external id are the same. `rejects` is where
    rejected rows go (default: the data folder; a dry run writes none unless told where).
    """

    organisation: str
    site: str | None = None
    source: str | None = None
    mapping: CallMapping = field(default_factory=CallMapping)
    contacts: Path | None = None
    create_agents: bool = False
    dry_run: bool = False
    rejects: Path | None = None
    date_order: DateOrder | None = None
    format: str | None = None
    progress: Callable[[int], None] | None = None


def import_calls(source: Path | GivenRows, options: CallOptions, *, actor: str) -> ImportReport:
    """Imports calls from a file, or from rows given as dicts of our field names.

    Commits batch by batch: a process killed in between leaves whole batches, and running it again completes them.
    Whatever else the session holds is committed with it; a dry run rolls everything back. Raises InputError where the
    file as a whole cannot be taken, NotFound for an unknown organisation or site. A bad row only counts as rejected.
    """
    if not isinstance(source, Path) and not source:
        return ImportReport(ImportKind.CALLS, "-", _sha256([]), options.dry_run)
    table = (
        open_table(source, options.format or options.mapping.format)
        if isinstance(source, Path)
        else given_table(source)
    )
    report = ImportReport(ImportKind.CALLS, table.name, _sha256(source), options.dry_run)
    try:
        _Import(table, options, report).run(actor)
    finally:
        if options.dry_run:
            db.session.rollback()
    return report


class _Import:
    """One run: who and where is looked up first, then the rows go through in batches."""

    def __init__(self, table: Table, options: CallOptions, report: ImportReport) -> None:
        self.table, self.options, self.report = table, options, report
        self.organisation = _organisation(options.organisation)
        self.sites, self.site = _sites(self.organisation.id, options.site)
        self.mapping = _complete(options.mapping, table, options.site is not None)
        self.cells = Cells(self.mapping, positions(self.mapping.columns, table.header, table.name))
        self.source = options.source or self.mapping.source or (self.site.key if self.site else "")
        if not self.source:
            raise InputError(
                "the rows name their site", where="--source", how="Name the telephone system: --source NAME."
            )
        self.shown_columns = [name for name in self.cells.places if name not in SEALED_FIELDS]

    def run(self, actor: str) -> None:
        moments = moments_of(self.mapping, self.options.date_order)
        moments.order = moments.order or self._order()
        contacts = staged(self.options.contacts, self.mapping) if self.options.contacts else nullcontext()
        with contacts as joined:
            staff = Staff(self.organisation.id, self.options.create_agents)
            self.reader = CallReader(self.cells, moments, self.sites, self.site, staff, clock.now(), self.report.notes)
            import_id = begin(self.report, self.organisation.id, actor, self.source)
            self.store = CallStore(self.organisation.id, self.source, import_id, self._given(joined))
            with RejectsFile(self._rejects_path(import_id), self._rejects_header()) as self.rejects:
                self.rejects.check((self._path_read(), self.options.contacts))
                self._take(joined)
            self._finish(staff, joined, actor)

    def _take(self, joined: ContactsFile | None) -> None:
        rows = self.table.rows()
        while batch := list(islice(rows, BATCH)):
            self._take_batch(batch, joined)
            self.report.rejects_file = self.rejects.written
            if len(batch) == BATCH and not self.options.dry_run:
                self.rejects.flush()
                keep(self.report)
                db.session.commit()
            if self.options.progress:
                self.options.progress(self.report.read)

    def _take_batch(self, batch: list[Row], joined: ContactsFile | None) -> None:
        extra = joined.of(self._external_ids(batch)) if joined else {}
        calls: list[IncomingCall] = []
        rows: dict[int, Row] = {}
        for row in batch:
            try:
                calls.append(self.reader.read(row, extra.get(self.reader.external_id(row), {})))
                rows[row.line] = row
            except RowFault as fault:
                self._reject(row, fault)
        for outcome in self.store.put(calls):
            self._count(outcome, rows[outcome.call.line])

    def _external_ids(self, batch: list[Row]) -> Iterator[str]:
        for row in batch:
            try:
                yield self.reader.external_id(row)
            except RowFault:
                continue  # rejected when it is read

    def _count(self, outcome: Outcome, row: Row) -> None:
        if outcome.fate is Fate.NEW:
            self.report.count_new()
        elif outcome.fate is Fate.UNCHANGED:
            self.report.count_unchanged()
        elif outcome.fate is Fate.UPDATED:
            self.report.count_updated(outcome.call.external_id, outcome.changed)
        else:
            changes = ", ".join(sorted(outcome.changed))
            self._reject(row, RowFault(DRAWN_ALREADY, detail=f"differs in {changes}"))

    def _reject(self, row: Row, fault: RowFault) -> None:
        self.report.count_rejected(f"line {row.line}", fault.column, fault.reason, fault.text)
        self.rejects.add(row.line, fault.column, fault.text, row_text(self.cells, row, self.shown_columns))

    def _finish(self, staff: Staff, joined: ContactsFile | None, actor: str) -> None:
        report = self.report
        report.rejects_file = self.rejects.written
        report.notes.update(self.table.notes)
        report.notes[MADE_AGENTS] += staff.made
        if joined:
            report.contacts = joined.close_counts()
            begin(joined.report, self.organisation.id, actor, self.source)
            keep(joined.report, finished=True)
        keep(report, finished=True)
        if self.options.dry_run:
            report.import_id = None
        else:
            db.session.commit()

    def _given(self, joined: ContactsFile | None) -> frozenset[str]:
        """The fields this import says something about."""
        return (
            frozenset(self.cells.places) | frozenset(self.mapping.constants) | (joined.given if joined else frozenset())
        )

    def _order(self) -> DateOrder | None:
        """What the file's own dates say about their order; asks the whole file only when its first rows need it."""
        columns = [name for name in ("date", "started_at", "ended_at") if name in self.cells.places]
        columns = [name for name in columns if not self._has_formats(name)]
        if not any(is_numeric_date(text) for _, text in self._dates(columns, islice(self.table.rows(), PEEK))):
            return None
        names = ", ".join(repr(self.cells.column(name)) for name in columns)
        return order_shown_by(self._dates(columns, self.table.rows()), names, self.table.name)

    def _dates(self, columns: list[str], rows: Iterable[Row]) -> Iterator[tuple[int, str]]:
        places = [self.cells.places[name] for name in columns]
        return ((row.line, row.cells[place].strip()) for row in rows if row.cells for place in places)

    def _has_formats(self, column: str) -> bool:
        return bool(self.mapping.date_format if column == "date" else self.mapping.datetime_format)

    def _path_read(self) -> Path | None:
        return self.table.source if isinstance(self.table.source, Path) else None

    def _rejects_header(self) -> list[str]:
        return [self.cells.column(name) for name in self.shown_columns]

    def _rejects_path(self, import_id: int) -> Path | None:
        if self.options.rejects or self.options.dry_run:
            return self.options.rejects
        folder = settings.current().aftercall_data / "rejects"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"import-{import_id}.csv"


def _complete(mapping: CallMapping, table: Table, has_site: bool) -> CallMapping:
    """The mapping, its columns guessed where it names none. Raises InputError when no call could be made of them."""
    columns = mapping.columns or {
        name: column for name, column in guessed(table.header, CALL_FIELDS).items() if name not in mapping.constants
    }
    complete = mapping.model_copy(update={"columns": columns})
    needed = (
        ("the call's id", ("external_id",)),
        ("its start", ("started_at",) if "date" not in columns else ("started_at", "date")),
        *((("its time of day", ("time",)),) if "date" in columns and "started_at" not in columns else ()),
        ("whether it was answered", ("answered", "talk_seconds")),
        ("how long it took", ("talk_seconds", "duration", "ended_at")),
        *(() if has_site else (("its site (or --site)", ("site",)),)),
    )
    for what, fields in needed:
        if not any(complete.has(name) for name in fields):
            raise InputError(
                f"has no column for {what} ({' or '.join(fields)})",
                where=f"{table.name}, header",
                how=f"Name it in a mapping (--mapping FILE.toml). It has: {', '.join(filter(None, table.header))}.",
            )
    return complete


def _organisation(key: str) -> Organisation:
    found = db.session.scalar(select(Organisation).where(Organisation.key == key))
    if found is None:
        raise NotFound(f"there is no organisation {key!r}", how="flask roster import makes organisations.")
    return found


def _sites(organisation_id: int, key: str | None) -> tuple[dict[str, Site], Site | None]:
    """The organisation's sites by key and by name, casefolded, and the one called `key`."""
    sites = db.session.scalars(select(Site).where(Site.organisation_id == organisation_id)).all()
    named = {name.casefold(): site for site in sites for name in (site.name, site.key)}
    if key is not None and key.casefold() not in {site.key.casefold() for site in sites}:
        known = ", ".join(sorted(site.key for site in sites)) or "none"
        raise NotFound(f"there is no site {key!r}", how=f"The organisation's sites: {known}.")
    return named, named[key.casefold()] if key is not None else None


def _sha256(source: Path | GivenRows) -> str:
    if isinstance(source, Path):
        return file_sha256(source)
    digest = hashlib.sha256()
    for line in chain.from_iterable((json.dumps({k: as_text(v) for k, v in row.items()}), "\n") for row in source):
        digest.update(line.encode())
    return digest.hexdigest()
