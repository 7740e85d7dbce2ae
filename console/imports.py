"""Imports: what was handed in, newest first, and one import's record with the rows that it could not take."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import func, or_, select

from console.calls import number_in
from console.scope import Scope, found
from intake.discreet import discreet
from survey.db import db
from survey.errors import NotFound
from survey.models import Call, Draw, ImportChange, ImportKind, ImportRecord, Organisation, Site

PAGE = 40
FIRST_REJECTS = 10
# An import says how far it is with every batch; one that has not ended by then was cut off.
LONGEST = timedelta(hours=1)
REJECTS_BEGIN = ["line", "column", "reason"]


@dataclass(frozen=True)
class State:
    """How an import stands: the pill's word and tone, and what it means."""

    name: str
    tone: str
    meaning: str


TAKEN = State("Taken in", "good", "Every row was looked at once, and counted.")
PARTLY = State("Taken in, not all", "fair", "Some rows could not be taken; each has its reason.")
NOTHING = State("Nothing taken", "bad", "No row of the file could be taken.")
UNDONE = State("Undone", "quiet", "It was taken back. What it did stands here as a record only.")
UNDER_WAY = State(
    "Under way",
    "open",
    "It is being taken in now; the counts grow with every thousand rows. Should they stand still, it was cut off: hand "
    "the same file in again, and it is completed.",
)
CUT_OFF = State(
    "Cut off",
    "bad",
    "It did not reach its end. The rows counted here are in. Hand the same file in again, and it is completed.",
)


@dataclass(frozen=True)
class Line:
    """One import of the list; `zone` is its organisation's, by whose time it is shown."""

    record: ImportRecord
    organisation: str
    state: State
    zone: str


@dataclass(frozen=True)
class Found:
    """One page of imports, and the id the next page begins below (None at the end)."""

    lines: list[Line]
    following: int | None


@dataclass(frozen=True)
class Reject:
    """One row that was not taken, with any contact in its reason masked."""

    line: str
    column: str
    reason: str


@dataclass(frozen=True)
class Effect:
    """How many calls an import brought in, and how many of those, and of the ones it changed, have had their draw."""

    calls: int
    drawn: int


@dataclass(frozen=True)
class Page:
    """One import: its record, and the rejects file as far as it can be read here (`why_no_file` says why not)."""

    record: ImportRecord
    organisation: str
    state: State
    zone: str
    why_no_file: str
    first_rejects: list[Reject]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why rows were rejected, the most frequent first."""
        return sorted(self.record.rejected_by.items(), key=lambda pair: (-pair[1], pair[0]))

    @property
    def notes(self) -> list[tuple[str, int]]:
        return sorted(self.record.notes.items(), key=lambda pair: (-pair[1], pair[0]))

    @property
    def can_be_undone(self) -> bool:
        """Whether undoing can be asked for at all; the undoing itself looks further."""
        return (
            self.record.kind is ImportKind.CALLS
            and self.record.undone_at is None
            and bool(self.record.new or self.record.updated)
        )


def search(within: Scope, before: str, now: datetime) -> Found:
    """A page of imports, newest first; `before` is the address's query. Raises InputError when it is no number."""
    last = number_in(before, "page")
    query = select(ImportRecord).where(within.holds(ImportRecord.organisation_id))
    if last is not None:
        query = query.where(ImportRecord.id < last)
    records = list(db.session.scalars(query.order_by(ImportRecord.id.desc()).limit(PAGE + 1)))
    shown = records[:PAGE]
    names, zones = _organisations(shown), _zones(shown)
    lines = [
        Line(
            record,
            names.get(record.organisation_id, ""),
            state_of(record, now),
            zones.get(record.organisation_id, "UTC"),
        )
        for record in shown
    ]
    return Found(lines, shown[-1].id if len(records) > PAGE else None)


def one(within: Scope, import_id: int) -> ImportRecord:
    """The import. Raises NotFound, also for another organisation's."""
    record = db.session.scalar(
        select(ImportRecord).where(ImportRecord.id == import_id, within.holds(ImportRecord.organisation_id))
    )
    checked: ImportRecord = found(record, "import")
    return checked


def read(record: ImportRecord, now: datetime) -> Page:
    """Everything the import's page shows."""
    try:
        path, why_no_file = rejects_file(record), ""
    except NotFound as missing:
        path, why_no_file = None, f"{missing.what}. {missing.how}".strip()
    return Page(
        record=record,
        organisation=_organisations([record]).get(record.organisation_id, ""),
        state=state_of(record, now),
        zone=_zones([record]).get(record.organisation_id, "UTC"),
        why_no_file=why_no_file if record.rejected else "",
        first_rejects=_first_rejects(path, _country(record)) if path else [],
    )


def state_of(record: ImportRecord, now: datetime) -> State:
    if record.undone_at is not None:
        return UNDONE
    if record.finished_at is None:
        return UNDER_WAY if now - record.started_at < LONGEST else CUT_OFF
    if record.rejected:
        return NOTHING if record.rejected == record.read else PARTLY
    return TAKEN


def effect_of_undo(record: ImportRecord) -> Effect:
    """What undoing the import would do, as far as it can be told beforehand."""
    changed = select(ImportChange.row_id).where(
        ImportChange.import_id == record.id, ImportChange.row_table == Call.__tablename__
    )
    brought = Call.import_id == record.id
    calls, drawn = db.session.execute(
        select(func.count().filter(brought), func.count(Draw.id))
        .select_from(Call)
        .outerjoin(Draw, Draw.call_id == Call.id)
        .where(or_(brought, Call.id.in_(changed)))
    ).one()
    return Effect(calls, drawn)


def rejects_file(record: ImportRecord) -> Path:
    """The file with the rows that were not taken, as this import left it on this machine.

    Raises NotFound, in a sentence for the reader, where there is none, it lies elsewhere, or it is another's by now.
    """
    if record.rejects_file is None:
        raise NotFound(
            "This import left no rejects file",
            how="The reasons are counted above." if record.rejected else "Every row was taken.",
        )
    path = Path(record.rejects_file)
    # A relative path meant something where the command was typed; from here it may lead anywhere.
    if not path.is_absolute() or not path.is_file():
        raise NotFound(
            "The rejects file is not on this machine",
            how=f"It was written where the file was taken in, as {record.rejects_file}, or has been removed since. Ask "
            "whoever runs this service for it; or hand the same file in again: what is in stays as it is, and the rows "
            "that cannot be taken are listed anew.",
        )
    if _written_since(record) or not _is_rejects_file(path):
        raise NotFound(
            "The rejects file is not there any more: another file has been written in its place",
            how="Hand the same file in again, and the rows that cannot be taken are listed anew.",
        )
    return path


def _written_since(record: ImportRecord) -> bool:
    """Whether a later import, perhaps another organisation's, was told to leave its rejects at the same place."""
    later = select(ImportRecord.id).where(ImportRecord.rejects_file == record.rejects_file, ImportRecord.id > record.id)
    return bool(db.session.scalar(select(later.exists())))


def _is_rejects_file(path: Path) -> bool:
    first = [row[: len(REJECTS_BEGIN)] for row in _rows(path, 1)]
    return first == [REJECTS_BEGIN]


def _first_rejects(path: Path, country: str) -> list[Reject]:
    rows = _rows(path, FIRST_REJECTS + 1)[1:]
    return [
        Reject(row[0], discreet(row[1], country), discreet(row[2], country))
        for row in rows
        if len(row) >= len(REJECTS_BEGIN)
    ]


def _rows(path: Path, count: int) -> list[list[str]]:
    """The first rows of a CSV; nothing where the file is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(islice(csv.reader(file), count))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _organisations(records: Iterable[ImportRecord]) -> dict[int | None, str]:
    """The names of the records' organisations by id."""
    wanted = {record.organisation_id for record in records}
    rows = db.session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(wanted)))
    return {row.id: row.name for row in rows}


def _zones(records: Iterable[ImportRecord]) -> dict[int | None, str]:
    """The time zone of each organisation: that of its first site by name."""
    wanted = {record.organisation_id for record in records}
    last_to_first = (Site.name.desc(), Site.id.desc())
    rows = db.session.execute(
        select(Site.organisation_id, Site.time_zone).where(Site.organisation_id.in_(wanted)).order_by(*last_to_first)
    )
    return {row.organisation_id: row.time_zone for row in rows}


def _country(record: ImportRecord) -> str:
    owner = None if record.organisation_id is None else db.session.get(Organisation, record.organisation_id)
    return owner.country if owner else "US"
