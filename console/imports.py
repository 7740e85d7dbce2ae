"""Imports: what was handed in, newest first, and one import's record with the rows that it could not take.

Among the imports stand the files that were refused as a whole, by the time they came.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import literal, select, tuple_, union_all

from console.calls import number_in
from console.scope import Scope, found
from intake import refusals
from intake.discreet import discreet
from intake.reading import CHUNK
from intake.refusals import Refusal
from intake.reports import Alike, file_told, remedy
from intake.standing import Standing, completed_by, standing
from survey.db import db
from survey.errors import NotFound
from survey.models import AuditEntry, ImportKind, ImportRecord, Organisation, Site
from survey.turns import importing

PAGE = 40
FIRST_REJECTS = 10
# Rows at the beginning of a rejects file of which the reasons are counted.
REJECTS_COUNTED = 1_000
# What the address of a next page calls the last line of the one before, where that is a refused file.
REFUSED_MARK = "refused-"
# How reasons begin that say something of the file itself.
OF_THE_FILE = ("is ", "has ", "holds ", "unpacks ")
REJECTS_BEGIN = ["line", "column", "reason"]


Row = TypeVar("Row", ImportRecord, AuditEntry)


@dataclass(frozen=True)
class State:
    """How an import stands: the pill's word and tone, and what it means."""

    name: str
    tone: str
    meaning: str


STATES = {
    Standing.TAKEN: State("Taken in", "good", "Every row was looked at once, and counted."),
    Standing.PARTLY: State("Taken in, not all", "fair", "Some rows could not be taken; each has its reason."),
    Standing.NOTHING: State("Nothing taken", "bad", "No row of the file could be taken."),
    Standing.UNDONE: State("Undone", "quiet", "It was taken back. What it did stands here as a record only."),
    Standing.UNDER_WAY: State(
        "Under way", "open", f"It is being taken in now; the counts grow with every {CHUNK:,} rows."
    ),
    Standing.CUT_OFF: State(
        "Cut off",
        "bad",
        "It did not reach its end. The rows counted here are in. Hand the same file in again, and it is completed.",
    ),
}
REFUSED = State("Refused", "bad", "The file as a whole could not be taken, and nothing of it was.")


@dataclass(frozen=True)
class Line:
    """One import of the list, or a file that was refused; `zone` is its organisation's, by whose time it is shown."""

    at: datetime
    what: ImportRecord | Refusal
    organisation: str
    state: State
    zone: str
    completed_by: int | None = None

    @property
    def name(self) -> str:
        return file_told(self.what.file_name)

    @property
    def record(self) -> ImportRecord | None:
        return self.what if isinstance(self.what, ImportRecord) else None

    @property
    def why(self) -> str:
        """Why the file was refused, as a sentence; empty for an import."""
        if isinstance(self.what, ImportRecord):
            return ""
        reason = self.what.reason
        said = f"It {reason}" if reason.startswith(OF_THE_FILE) else f"{reason[:1].upper()}{reason[1:]}"
        return said if said.endswith((".", "!", "?", "…")) else f"{said}."

    @property
    def mark(self) -> str:
        """What the address of a page that begins below this line says."""
        return f"{REFUSED_MARK if self.record is None else ''}{self.what.id}"


@dataclass(frozen=True)
class Found:
    """One page of imports, and the mark of the line that the next page begins below (None at the end)."""

    lines: list[Line]
    following: str | None


@dataclass(frozen=True)
class Page:
    """One import: its record, and the rejects file as far as it can be read here (`why_no_file` says why not)."""

    record: ImportRecord
    organisation: str
    state: State
    zone: str
    why_no_file: str
    alike: list[Alike]
    completed_by: int | None = None
    counted: int = REJECTS_COUNTED

    @property
    def name(self) -> str:
        return file_told(self.record.file_name)

    @property
    def reasons(self) -> list[tuple[str, int, str]]:
        """Why rows were rejected, how many, and what can be done; the most frequent first."""
        found = sorted(self.record.rejected_by.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(reason, count, remedy(self.record.kind, reason, console=True)) for reason, count in found]

    @property
    def notes(self) -> list[tuple[str, int]]:
        return sorted(((n, count) for n, count in self.record.notes.items() if count), key=lambda p: (-p[1], p[0]))

    @property
    def remarks(self) -> list[str]:
        """Sentences on the file as a whole: a record keeps them as notes without a number."""
        return [note for note, count in self.record.notes.items() if not count]

    @property
    def can_be_undone(self) -> bool:
        """Whether undoing can be asked for at all; the undoing itself looks further."""
        return (
            self.record.kind is ImportKind.CALLS
            and self.record.undone_at is None
            and bool(self.record.new or self.record.updated)
        )


def search(within: Scope, before: str, now: datetime) -> Found:
    """A page of imports and refused files, newest first; `before` is the address's query: the mark of a line.

    Raises InputError when it is none.
    """
    # Asked first: one that ends in between must not be taken for one that was cut off.
    running = importing()
    owner = within.organisation_id
    imported = select(ImportRecord.started_at.label("at"), literal(1).label("sort"), ImportRecord.id.label("id")).where(
        within.holds(ImportRecord.organisation_id)
    )
    refused = select(AuditEntry.at, literal(0), AuditEntry.id).where(*refusals.of_refusals(owner))
    every = union_all(imported, refused).subquery()
    place = tuple_(every.c.at, every.c.sort, every.c.id)
    query = select(every.c.sort, every.c.id).order_by(every.c.at.desc(), every.c.sort.desc(), every.c.id.desc())
    if (last := _marked(before)) is not None:
        begin = select(every.c.at, every.c.sort, every.c.id).where(every.c.sort == last[0], every.c.id == last[1])
        query = query.where(place < begin.scalar_subquery())
    keys = [(sort, id) for sort, id in db.session.execute(query.limit(PAGE + 1))]
    lines = _lines(keys[:PAGE], now, running)
    return Found(lines, lines[-1].mark if len(keys) > PAGE else None)


def _marked(before: str) -> tuple[int, int] | None:
    """Which of the two a line's mark speaks of (1: an import, 0: a refusal), and its id."""
    number = number_in(before.removeprefix(REFUSED_MARK) or before, "page")
    return None if number is None else (0 if before.startswith(REFUSED_MARK) else 1, number)


def _lines(keys: Sequence[tuple[int, int]], now: datetime, running: Collection[int]) -> list[Line]:
    records = _by_id(ImportRecord, [id for sort, id in keys if sort])
    refused = {
        id: refusals.told(entry) for id, entry in _by_id(AuditEntry, [id for sort, id in keys if not sort]).items()
    }
    shown: list[ImportRecord | Refusal] = [records[id] if sort else refused[id] for sort, id in keys]
    names, zones = _organisations(shown), _zones(shown)
    completed = completed_by(list(records.values()))
    return [
        Line(
            at=what.started_at if isinstance(what, ImportRecord) else what.at,
            what=what,
            organisation=names.get(what.organisation_id, ""),
            state=STATES[standing(what, now, running, completed)] if isinstance(what, ImportRecord) else REFUSED,
            zone=zones.get(what.organisation_id, "UTC"),
            completed_by=completed.get(what.id) if isinstance(what, ImportRecord) else None,
        )
        for what in shown
    ]


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
    running = importing()
    db.session.refresh(record)
    completed = completed_by([record])
    return Page(
        record=record,
        organisation=_organisations([record]).get(record.organisation_id, ""),
        state=STATES[standing(record, now, running, completed)],
        completed_by=completed.get(record.id),
        zone=_zones([record]).get(record.organisation_id, "UTC"),
        why_no_file=why_no_file if record.rejected else "",
        alike=_alike(path, _country(record)) if path else [],
    )


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


def _alike(path: Path, country: str) -> list[Alike]:
    """The first rejects, each column and reason once with the line of the first and how many there are; most first."""
    found: dict[tuple[str, str], Alike] = {}
    for row in _rows(path, REJECTS_COUNTED + 1)[1:]:
        if len(row) >= len(REJECTS_BEGIN):
            kind = discreet(row[1], country), discreet(row[2], country)
            found.setdefault(kind, Alike(row[0], *kind)).count += 1
    return sorted(found.values(), key=lambda alike: -alike.count)[:FIRST_REJECTS]


def _rows(path: Path, count: int) -> list[list[str]]:
    """The first rows of a CSV; nothing where the file is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(islice(csv.reader(file), count))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _by_id(model: type[Row], ids: Sequence[int]) -> dict[int, Row]:
    return {row.id: row for row in db.session.scalars(select(model).where(model.id.in_(ids)))} if ids else {}


def _organisations(records: Iterable[ImportRecord | Refusal]) -> dict[int | None, str]:
    """The names of the records' organisations by id."""
    wanted = {record.organisation_id for record in records}
    rows = db.session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(wanted)))
    return {row.id: row.name for row in rows}


def _zones(records: Iterable[ImportRecord | Refusal]) -> dict[int | None, str]:
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
