"""Taking in completed calls: a file or rows in, calls stored, every row accounted for.

table (formats/) -> mapping -> reading each row (reading.py, call_rows.py) -> storing by the batch (call_store.py)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from intake import remarks
from intake.aside import chunks_from_aside
from intake.call_rows import SiteFacts
from intake.call_store import CallStore, Outcome
from intake.cases import Fate
from intake.constant_dates import DATE_FIELDS, check_constants
from intake.contacts import ContactsFile, staged
from intake.date_orders import is_numeric_date, order_shown_by
from intake.discreet import columns_told
from intake.formats import Table, as_text, given_table, naming_its_sheet, open_table
from intake.journal import Journal
from intake.mapping import CALL_FIELDS, CallMapping, DateOrder, guessed, position, positions
from intake.reading import Chunk, Reading, RejectedRow, chunks
from intake.rejects import RejectsFile, kept_at
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.rows import Row
from intake.staff import Staff, roster_names
from survey import clock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.garbage import fewer_collections
from survey.models import ImportKind, Organisation, Site
from survey.turns import import_under_way

# How many rows are looked at to see whether the file writes dates as 03/04/2026.
PEEK = 200
# From this size on a file is read by a process of its own, which takes a second to start.
LARGE_BYTES = 4_000_000
MADE_AGENTS = "agents made from the calls, at the site of their first call since its day, without a supervisor"

GivenRows = Sequence[Mapping[str, object]]


class RowResult(NamedTuple):
    """What became of one row; `line` is 1 for the first of rows handed over, the file's own line in a file."""

    line: int
    external_id: str | None
    fate: Fate
    column: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CallOptions:
    """What an import of calls is told. `organisation` and `site` are keys.

    `site` may be None when the rows name their site. `source` names the telephone system (default: the mapping's, else
    the site's key); calls are one call when organisation, source and external id are the same. `rejects` is where
    rejected rows go (default: the data folder; a dry run writes none unless told where). `progress` is called with the
    rows read so far, `on_row` for every row (in the file's order within a batch, rejected ones first).
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
    on_row: Callable[[RowResult], None] | None = None


def import_calls(source: Path | GivenRows, options: CallOptions, *, actor: str) -> ImportReport:
    """Imports calls from a file, or from rows given as dicts of our field names.

    Commits batch by batch: a process killed in between leaves whole batches, and running it again completes them.
    Whatever else the session holds is committed with it; a dry run rolls everything back. Raises InputError where the
    file as a whole cannot be taken, NotFound for an unknown organisation or site. A bad row only counts as rejected.
    """
    if not isinstance(source, Path) and not source:
        return ImportReport(ImportKind.CALLS, "-", _sha256([]), options.dry_run)
    table = open_calls(source, options)
    report = ImportReport(ImportKind.CALLS, table.name, _sha256(source), options.dry_run)
    try:
        _Import(table, options, report).run(actor)
    finally:
        # After a dry run, and where the import broke off: nobody may commit what it has not.
        db.session.rollback()
    return report


def open_calls(source: Path | GivenRows, options: CallOptions) -> Table:
    """The table that an import with these options reads. Raises InputError where there is none."""
    if isinstance(source, Path):
        return open_table(source, options.format or options.mapping.format)
    return given_table(source)


def reading_of(table: Table, options: CallOptions, mapping: CallMapping | None = None) -> Reading:
    """How the table is to be read: the mapping complete, sites and roster looked up, the order of its dates settled.

    `mapping` goes before the options' own. Raises InputError where no call could be made of the table's columns, or
    dates, the mapping's own among them, may be read in two ways; NotFound for an unknown organisation or site.
    """
    organisation = find_organisation(options.organisation)
    sites, site = _sites(organisation.id, options.site)
    with naming_its_sheet(table.source, table.format):
        complete = _complete(mapping or options.mapping, table, options.site is not None)
        places = positions(complete.columns, table.header, table.name)
        id_places = [position(name, "external_id", table.header, table.name) for name in complete.id_columns]
    reading = Reading(
        table=table,
        mapping=complete,
        places=places,
        id_places=id_places,
        sites=sites,
        site=site,
        names=roster_names(organisation.id),
        create_agents=options.create_agents,
        own_numbers=tuple(organisation.own_numbers),
        country=organisation.country,
        order=options.date_order or complete.date_order,
        now=clock.now(),
    )
    check_constants(complete, reading.order)
    return reading if reading.order else _with_order(reading)


class _Import:
    """One run: who and where is looked up first, then the rows go through in batches."""

    def __init__(self, table: Table, options: CallOptions, report: ImportReport) -> None:
        self.table, self.options, self.report = table, options, report
        self.organisation = find_organisation(options.organisation)
        self.reading = reading_of(table, options)
        self.source = source_of(self.reading, options)

    def run(self, actor: str) -> None:
        contacts = staged(self.options.contacts, self.reading.mapping) if self.options.contacts else nullcontext()
        with contacts as joined:
            self.report.remarks = self._remarks(joined)
            import_id = begin(self.report, self.organisation.id, actor, self.source)
            journal = Journal(import_id)
            self.staff = self._staff(journal)
            self.store = CallStore(self.organisation.id, self.source, journal, self._given(joined))
            with RejectsFile(self._rejects_path(import_id), self._rejects_header()) as self.rejects:
                self.rejects.check((self._path_read(), self.options.contacts))
                self._keep_rejected_contacts(joined)
                with import_under_way(self.organisation.id), fewer_collections():
                    self._take_all(joined)
                    # Within: whoever finds an import unfinished that nobody runs can be sure that it was cut off.
                    self._finish(joined, actor)

    def _remarks(self, joined: ContactsFile | None) -> list[str]:
        if self._path_read() is None:
            return []  # rows of a program: who hands them in says what was ignored
        said = remarks.of_columns(self.reading, joined.given if joined else ())
        return said + remarks.of_other_sources(self.organisation.id, self.report.sha256, self.source)

    def _staff(self, journal: Journal) -> Staff | None:
        if not self.options.create_agents:
            return None
        zones = {site.id: site.time_zone for site in self.reading.sites.values()}
        return Staff(self.organisation.id, self.reading.names, zones, journal)

    def _chunks(self, joined: ContactsFile | None) -> Generator[Chunk]:
        path = self._path_read()
        if joined is None and path is not None and path.stat().st_size >= LARGE_BYTES:
            return chunks_from_aside(self.reading)
        return chunks(self.reading, joined.of if joined else None)

    def _take_all(self, joined: ContactsFile | None) -> None:
        with closing(self._chunks(joined)) as chunks_read:
            for chunk in chunks_read:
                self._take(chunk)

    def _take(self, chunk: Chunk) -> None:
        for rejected in chunk.rejected:
            self._reject(rejected)
        calls = chunk.calls if self.staff is None else [self.staff.credited(call) for call in chunk.calls]
        self._count(self.store.put(calls) if calls else [])
        self.report.notes = chunk.notes + self.store.notes
        self.report.rejects_file = self.rejects.written
        if not self.options.dry_run:
            self.rejects.flush()
            keep(self.report)
            db.session.commit()
        if self.options.progress:
            self.options.progress(self.report.read)

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        fates = Counter(outcome.fate for outcome in outcomes)
        self.report.count(
            new=fates[Fate.NEW],
            updated=fates[Fate.UPDATED],
            unchanged=fates[Fate.UNCHANGED] + fates[Fate.KEPT_BESIDE],
        )
        for outcome in outcomes if fates[Fate.UPDATED] else ():
            if outcome.fate is Fate.UPDATED and not self.report.note_change(outcome.call.external_id, outcome.changed):
                break
        if self.options.on_row:
            for call, fate, _ in outcomes:
                self.options.on_row(RowResult(call.line, call.external_id, fate))

    def _reject(self, row: RejectedRow) -> None:
        self.report.count_rejected(f"line {row.line}", row.column, row.reason, row.text)
        self.rejects.add(row.line, row.column, row.text, row.cells)
        if self.options.on_row:
            self.options.on_row(RowResult(row.line, row.external_id, Fate.REJECTED, row.column, row.text))

    def _keep_rejected_contacts(self, joined: ContactsFile | None) -> None:
        if joined is not None and self.rejects.path is not None:
            for line, column, reason in joined.rejects():
                self.rejects.add(line, column, f"{joined.report.file_name}: {reason}", ())

    def _finish(self, joined: ContactsFile | None, actor: str) -> None:
        report = self.report
        report.notes[MADE_AGENTS] += self.staff.made if self.staff else 0
        if joined:
            report.contacts, report.contacts_rejected = joined.close_counts(), joined.report.most_rejected or None
            contacts_id = begin(joined.report, self.organisation.id, actor, self.source)
            if not self.options.dry_run:
                joined.keep_rejects(kept_at(contacts_id))
            keep(joined.report, finished=True)
        keep(report, finished=True)
        if self.options.dry_run:
            report.import_id = None
        else:
            db.session.commit()

    def _given(self, joined: ContactsFile | None) -> frozenset[str]:
        """The fields this import says something about: any, where rows are given, whatever a row's neighbours have."""
        if self._path_read() is None:
            return frozenset(CALL_FIELDS)
        fields = frozenset(self.reading.places) | frozenset(self.reading.mapping.constants)
        return fields | (joined.given if joined else frozenset())

    def _path_read(self) -> Path | None:
        return self.table.source if isinstance(self.table.source, Path) else None

    def _rejects_header(self) -> list[str]:
        return [self.reading.cells.column(name) for name in self.reading.shown_fields]

    def _rejects_path(self, import_id: int) -> Path | None:
        if self.options.rejects or self.options.dry_run:
            return self.options.rejects
        return kept_at(import_id)


def find_organisation(key: str) -> Organisation:
    """Raises NotFound for an unknown one."""
    found = db.session.scalar(select(Organisation).where(Organisation.key == key))
    if found is None:
        raise NotFound(f"there is no organisation {key!r}", how="flask roster import makes organisations.")
    return found


def source_of(reading: Reading, options: CallOptions) -> str:
    """The telephone system's name: as told, as the mapping says, or the site's key. Raises InputError without any."""
    source = options.source or reading.mapping.source or (reading.site.key if reading.site else "")
    if not source:
        raise InputError("the rows name their site", where="--source", how="Name the telephone system: --source NAME.")
    return source


# --- columns, dates, sites ---


def _complete(mapping: CallMapping, table: Table, has_site: bool) -> CallMapping:
    """The mapping, its columns guessed where it names none. Raises InputError when no call could be made of them."""
    columns = mapping.columns or {
        name: column for name, column in guessed(table.header, CALL_FIELDS).items() if name not in mapping.constants
    }
    complete = mapping.model_copy(update={"columns": columns})
    needed = (
        ("the call's id", ("external_id",)),
        ("its start", ("started_at",) if not complete.has("date") else ("started_at", "date")),
        *((("its time of day", ("time",)),) if complete.has("date") and not complete.has("started_at") else ()),
        ("whether it was answered", ("answered", "talk_seconds")),
        ("how long it took", ("talk_seconds", "duration", "ended_at")),
        *(() if has_site else (("its site, and no --site is given", ("site",)),)),
    )
    for what, fields in needed:
        if not any(complete.has(name) for name in fields):
            raise InputError(
                f"has no column for {what} ({' or '.join(fields)})",
                where=f"{table.name}, header",
                how=f"Name it in a mapping (--mapping FILE.toml). {columns_told(table.header)}",
            )
    return complete


def _with_order(reading: Reading) -> Reading:
    """With what the file's own dates say about their order; asks the whole file only when its first rows need it."""
    columns = [name for name in DATE_FIELDS if name in reading.places]
    columns = [name for name in columns if not _has_formats(reading.mapping, name)]
    places = [reading.places[name] for name in columns]
    if not any(is_numeric_date(text) for _, text in _dates(places, islice(reading.table.rows(), PEEK))):
        return reading
    names = ", ".join(repr(reading.cells.column(name)) for name in columns)
    order = order_shown_by(_dates(places, reading.table.rows()), names, reading.table.name)
    return replace(reading, order=order)


def _dates(places: Sequence[int], rows: Iterable[Row]) -> Iterator[tuple[int, str]]:
    return ((row.line, row.cells[place].strip()) for row in rows if row.cells for place in places)


def _has_formats(mapping: CallMapping, column: str) -> bool:
    return bool(mapping.date_format if column == "date" else mapping.datetime_format)


def _sites(organisation_id: int, key: str | None) -> tuple[dict[str, SiteFacts], SiteFacts | None]:
    """The organisation's sites by key and by name, casefolded, and the one called `key`."""
    sites = db.session.scalars(select(Site).where(Site.organisation_id == organisation_id)).all()
    named = {
        name.casefold(): SiteFacts(site.id, site.key, site.time_zone, site.country)
        for site in sites
        for name in (site.name, site.key)
    }
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
