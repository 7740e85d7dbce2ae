"""Control totals: the telephone system's own counts, taken in to be compared with the calls that were handed in.

table (formats/) -> reading each row (total_rows) -> staged as a whole, each cell once -> stored, all of them or none
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from intake.bulk import take_turn
from intake.calls import find_organisation
from intake.discreet import columns_told, discreet
from intake.formats import Table, open_table
from intake.mapping import DateOrder, guessed, positions
from intake.moments import Moments, order_shown_by
from intake.rejects import RejectsFile, kept_at
from intake.reports import FIRST, ImportReport, begin, file_sha256, keep
from intake.rows import Row, RowFault
from intake.staff import roster_names
from intake.total_history import stood_before
from intake.total_rows import FIELDS, TotalsReader
from survey import audit, clock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import Call, ImportKind, Organisation, Site

CONTRADICTED = "another row of the file counts the same hours otherwise"
CAME_TWICE = "the hour came twice that day: tell its rows apart by starts_at and ends_at with their offset"
UNKNOWN_SOURCE = "rows of a source that no call has come from yet (is --source the one the calls were imported with?)"

# One row each as it was read: `twice` marks an hour that the clocks had twice, of which two rows may mean either.
_STAGE = """
CREATE TEMPORARY TABLE incoming_totals (line bigint, site_id bigint, agent_id bigint, starts_at timestamptz,
    ends_at timestamptz, calls bigint, answered bigint, twice boolean) ON COMMIT DROP
"""

# Rows of one cell that say different things are all rejected: which of them is right is not for us to guess.
_CONTRADICTIONS = """
WITH several AS (
    SELECT site_id, COALESCE(agent_id, 0) AS agent, starts_at, ends_at FROM incoming_totals
    GROUP BY site_id, agent, starts_at, ends_at
    HAVING count(*) > 1 AND (count(DISTINCT calls) > 1 OR count(DISTINCT answered) > 1 OR bool_or(twice))
)
DELETE FROM incoming_totals incoming USING several
WHERE (incoming.site_id, COALESCE(incoming.agent_id, 0), incoming.starts_at, incoming.ends_at)
    = (several.site_id, several.agent, several.starts_at, several.ends_at)
RETURNING line, twice
"""

_EACH_ONCE = """
CREATE TEMPORARY TABLE told_totals ON COMMIT DROP AS
WITH told AS (
    SELECT site_id, agent_id, starts_at, ends_at, max(calls) AS calls, max(answered) AS answered, min(line) AS line
    FROM incoming_totals GROUP BY site_id, agent_id, starts_at, ends_at
)
SELECT told.*, stored.id AS stored_id, stored.calls AS calls_before, stored.answered AS answered_before
FROM told LEFT JOIN (
    SELECT * FROM control_totals WHERE organisation_id = :organisation AND source = :source
) stored ON (stored.site_id, COALESCE(stored.agent_id, 0), stored.starts_at, stored.ends_at)
    = (told.site_id, COALESCE(told.agent_id, 0), told.starts_at, told.ends_at)
"""

# Counts that the file replaces by others, as they stood.
_REPLACED = """
SELECT site_id, agent_id, starts_at, ends_at, calls_before AS calls, answered_before AS answered,
    COALESCE(calls, calls_before) AS calls_after, COALESCE(answered, answered_before) AS answered_after
FROM told_totals WHERE calls <> calls_before OR answered <> answered_before
"""

# What a file has no count for stays as it was.
_CHANGE = """
WITH changed AS (
    UPDATE control_totals stored SET calls = COALESCE(told.calls, stored.calls),
        answered = COALESCE(told.answered, stored.answered), import_id = :import_id
    FROM told_totals told
    WHERE stored.id = told.stored_id
        AND (told.calls <> stored.calls OR told.answered <> stored.answered
            OR (stored.calls IS NULL AND told.calls IS NOT NULL)
            OR (stored.answered IS NULL AND told.answered IS NOT NULL))
    RETURNING told.line, told.calls_before, told.answered_before, stored.calls, stored.answered
)
SELECT line, calls_before IS DISTINCT FROM calls AS calls, answered_before IS DISTINCT FROM answered AS answered,
    count(*) OVER () AS changed,
    CAST(sum(calls_before) OVER () AS bigint) AS calls_before, CAST(sum(calls) OVER () AS bigint) AS calls_after,
    CAST(sum(answered_before) OVER () AS bigint) AS answered_before,
    CAST(sum(answered) OVER () AS bigint) AS answered_after
FROM changed ORDER BY line LIMIT :first
"""

_ADD = """
WITH added AS (
    INSERT INTO control_totals
        (organisation_id, import_id, source, site_id, agent_id, starts_at, ends_at, calls, answered)
    SELECT :organisation, :import_id, :source, site_id, agent_id, starts_at, ends_at, calls, answered
    FROM told_totals WHERE stored_id IS NULL
    RETURNING id
)
SELECT count(*) FROM added
"""


@dataclass(frozen=True)
class TotalsOptions:
    """What an import of control totals is told. `organisation` and `site` are keys.

    `site` may be None when the rows name their site. `source` names the telephone system, as for the calls it counts
    (default: the site's key). `date_order` says what 03/04/2026 means.
    """

    organisation: str
    site: str | None = None
    source: str | None = None
    date_order: DateOrder | None = None


def import_totals(path: Path, options: TotalsOptions, *, actor: str, dry_run: bool = False) -> ImportReport:
    """Takes in a file of control totals: all of its good rows, or none when it stops in between. Commits.

    `dry_run` reads and compares all the same, and keeps nothing: no count, no record, no rejects file.

    A total of the same organisation, source, site, agent and span as one before brings that up to date. Raises
    InputError where the file as a whole cannot be taken, NotFound for an unknown organisation or site. A bad row only
    counts as rejected.
    """
    organisation = find_organisation(options.organisation)
    sites, site = sites_and(organisation, options.site)
    source = options.source or (site.key if site else "")
    if not source:
        raise InputError("the rows name their site", where="--source", how="Name the telephone system: --source NAME.")
    table = open_table(path)
    places = _places(table, site is not None)
    order = options.date_order or _order(table, places)
    report = ImportReport(ImportKind.TOTALS, table.name, file_sha256(path), dry_run)
    header = tuple(table.header)
    reader = TotalsReader(
        places, header, Moments(order=order), sites, site, roster_names(organisation.id), clock.now(), report.notes
    )
    try:
        _Import(table, reader, report, organisation, source).run(actor)
    finally:
        db.session.rollback()  # what was not committed: none of it, when it stopped in between
    return report


class _Import:
    """One run, within one transaction."""

    def __init__(
        self, table: Table, reader: TotalsReader, report: ImportReport, organisation: Organisation, source: str
    ) -> None:
        self.table, self.reader, self.report = table, reader, report
        self.organisation, self.source = organisation, source

    def run(self, actor: str) -> None:
        import_id = begin(self.report, self.organisation.id, actor, self.source)
        dry_run = self.report.dry_run
        with RejectsFile(
            None if dry_run else kept_at(import_id), [self.table.header[p] for p in self.reader.places.values()]
        ) as file:
            self.rejects = file
            self._stage()
            self._reject_contradictions()
        self.report.rejects_file = self.rejects.written
        self.report.notes.update(self.table.notes)
        sums = self._store(import_id)
        if dry_run:
            self.report.import_id = None  # given up with the rest: the transaction is rolled back
            return
        keep(self.report, finished=True)
        self._record(actor, sums)
        db.session.commit()

    def _stage(self) -> None:
        """Every good row goes into a table of its own, which ends with the transaction: memory stays flat."""
        db.session.execute(text(_STAGE))
        driver: Any = db.session.connection().connection.driver_connection
        with driver.cursor() as cursor, cursor.copy("COPY incoming_totals FROM STDIN") as copy:
            for row in self.table.rows():
                try:
                    copy.write_row(astuple(self.reader.read(row)))
                except RowFault as fault:
                    self._reject(row, fault)

    def _reject_contradictions(self) -> None:
        twice = {row.line: row.twice for row in db.session.execute(text(_CONTRADICTIONS))}
        for row in self.table.rows() if twice else ():
            if row.line in twice:
                self._reject(row, RowFault(CAME_TWICE if twice[row.line] else CONTRADICTED))

    def _reject(self, row: Row, fault: RowFault) -> None:
        """Contacts that have slipped into the columns are masked."""
        told = discreet(fault.text, self.organisation.country)
        self.report.count_rejected(f"line {row.line}", fault.column, fault.reason, told)
        texts = (row.cells[place] if row.cells else "" for place in self.reader.places.values())
        cells = [discreet(text, self.organisation.country) for text in texts]
        self.rejects.add(row.line, fault.column, told, cells)

    def _store(self, import_id: int) -> dict[str, Any]:
        """Brings the stored totals up to date and counts what became of each row; returns what was counted before."""
        take_turn(self.organisation.id)
        names = {"organisation": self.organisation.id, "source": self.source}
        db.session.execute(text(_EACH_ONCE), names)
        replaced = stood_before(_REPLACED, {})
        changed = db.session.execute(text(_CHANGE), {"import_id": import_id, "first": FIRST}).all()
        new = db.session.scalar(text(_ADD), names | {"import_id": import_id}) or 0
        updated = changed[0].changed if changed else 0
        good = db.session.scalar(text("SELECT count(*) FROM incoming_totals")) or 0
        report = self.report
        report.count(new=new, updated=updated, unchanged=good - new - updated)
        for row in changed:
            report.note_change(f"line {row.line}", [name for name in ("calls", "answered") if getattr(row, name)])
        report.notes[UNKNOWN_SOURCE] += 0 if self._source_known() else good
        sums = ("calls_before", "calls_after", "answered_before", "answered_after")
        before = {"stood_before": replaced} if replaced else {}
        return {name: getattr(changed[0], name) for name in sums} | before if changed else {}

    def _source_known(self) -> bool:
        calls = select(Call.id).where(Call.organisation_id == self.organisation.id, Call.source == self.source)
        return bool(db.session.scalar(select(calls.exists())))

    def _record(self, actor: str, sums: dict[str, Any]) -> None:
        """Lowering what was counted is one way to hide calls: so the trail says what was counted before and after."""
        report = self.report
        counts = {"new": report.new, "updated": report.updated, "rejected": report.rejected}
        told = {"source": self.source, "file": report.file_name, "sha256": report.sha256, "import": report.import_id}
        audit.record(actor, "control totals imported", self.organisation, **told, **counts, **sums)


def _places(table: Table, has_site: bool) -> dict[str, int]:
    """Our field to the number of its column. Raises InputError when no total could be made of them."""
    places = positions(guessed(table.header, FIELDS), table.header, table.name)
    needed = (
        ("the day (date, or starts_at and ends_at)", "date" in places or {"starts_at", "ends_at"} <= places.keys()),
        ("the count (calls or answered)", "calls" in places or "answered" in places),
        ("its site (or --site)", has_site or "site" in places),
    )
    for what, there in needed:
        if not there:
            raise InputError(
                f"has no column for {what}",
                where=f"{table.name}, header",
                how=columns_told(table.header),
            )
    if {"starts_at", "ends_at"} <= places.keys():
        return {name: place for name, place in places.items() if name not in ("date", "hour")}
    return {name: place for name, place in places.items() if name not in ("starts_at", "ends_at")}


def _order(table: Table, places: dict[str, int]) -> DateOrder | None:
    """What the file's own dates say about their order. Raises InputError where nothing decides."""
    dated = [places[name] for name in ("date", "starts_at", "ends_at") if name in places]
    texts = ((row.line, row.cells[place].strip()) for row in table.rows() if row.cells for place in dated)
    try:
        return order_shown_by(texts, ", ".join(repr(table.header[place]) for place in dated), table.name)
    except InputError as error:
        how = "Settle it with --date-order dmy or --date-order mdy."
        raise InputError(error.what, where=error.where, how=how) from None


def sites_and(organisation: Organisation, key: str | None) -> tuple[dict[str, Site], Site | None]:
    """The organisation's sites by key and by name, casefolded, and the one called `key`. Raises NotFound."""
    sites = db.session.scalars(select(Site).where(Site.organisation_id == organisation.id)).all()
    chosen = next((site for site in sites if key is not None and site.key.casefold() == key.casefold()), None)
    if key is not None and chosen is None:
        known = ", ".join(sorted(site.key for site in sites)) or "none"
        raise NotFound(f"there is no site {key!r}", how=f"The organisation's sites: {known}.")
    return {name.casefold(): site for site in sites for name in (site.name, site.key)}, chosen
