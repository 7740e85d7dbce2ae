"""Every import's record: what became of each row, counted once, and what a person is told about it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import update

from survey import clock
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import ImportKind, ImportRecord

FIRST = 10
# What a program's rows have in the place of a file's name.
NO_FILE = "-"
# Reasons that tell by themselves which column they are of.
TELLING = ("unknown ", "several ")
NOT_TEXT, SAVE_AS = "not UTF-8", "Save the file as CSV UTF-8, and hand it in again."
# What can be done about rows of a file of calls, by the beginning of their reason: on the command line, in the console.
REMEDIES: Mapping[str, tuple[str, str]] = {
    "unknown agent": (
        "Put them into the roster, or let agents be made: --create-agents.",
        "Put them into the roster, or hand the file in again and let agents be made.",
    ),
    NOT_TEXT: (SAVE_AS, SAVE_AS),
}
# Of rejects that differ so many are told apart, so that memory stays flat; a file rarely has a dozen.
MOST_DISTINCT = 1_000


@dataclass(frozen=True)
class Reject:
    """One rejected row: `where` is its line (or its place in a file without lines)."""

    where: str
    column: str
    reason: str


@dataclass
class Alike:
    """Rejected rows with one column and reason: where the first of them is, and how many there are."""

    where: str
    column: str
    reason: str
    count: int = 0

    @property
    def line(self) -> str:
        times = f" ({self.count:,} times, the first time here)" if self.count > 1 else ""
        return f"{self.where}{f', {self.column}' if self.column else ''}: {self.reason}{times}"


@dataclass(frozen=True)
class Change:
    """One row that changed what was stored: the names of what changed, never a customer's contact."""

    what: str
    fields: list[str]


@dataclass
class ImportReport:
    """What an import did (or, dry, would do). read = new + updated + unchanged + rejected.

    `notes` counts oddities that were settled by a stated rule; `remarks` are sentences on the file as a whole;
    `rejects` and `changes` are the first ten of each; `alike` has the rejects that differ, by column and reason;
    `import_id` is None after a dry run. `contacts` counts the rows of a contacts file, and `contacts_rejected` are the
    first ten kinds of its rejects.
    """

    kind: ImportKind
    file_name: str
    sha256: str
    dry_run: bool = False
    import_id: int | None = None
    read: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejected_by: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    alike: dict[tuple[str, str], Alike] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    rejects_file: str | None = None
    contacts: dict[str, int] | None = None
    contacts_rejected: list[Alike] | None = None

    @property
    def nothing_taken(self) -> bool:
        """Whether rows came and every one was rejected."""
        return self.read > 0 and self.rejected == self.read

    def count_new(self) -> None:
        self.count(new=1)

    def count_unchanged(self) -> None:
        self.count(unchanged=1)

    def count(self, *, new: int = 0, updated: int = 0, unchanged: int = 0) -> None:
        """Counts many rows at once."""
        self.read += new + updated + unchanged
        self.new += new
        self.updated += updated
        self.unchanged += unchanged

    def count_updated(self, what: str, fields: Iterable[str]) -> None:
        self.count(updated=1)
        self.note_change(what, fields)

    def note_change(self, what: str, fields: Iterable[str]) -> bool:
        """Remembers what changed, if it is one of the first; returns whether there is room for more."""
        if len(self.changes) < FIRST:
            self.changes.append(Change(what, sorted(fields)))
        return len(self.changes) < FIRST

    def count_rejected(self, where: str, column: str, reason: str, text: str = "") -> None:
        """`reason` is the sentence counted by, of calls with its column; `text` the same with this row's detail."""
        self.read += 1
        self.rejected += 1
        with_column = self.kind is ImportKind.CALLS and column and not reason.startswith(TELLING)
        self.rejected_by[f"{column}: {reason}" if with_column else reason] += 1
        if len(self.rejects) < FIRST:
            self.rejects.append(Reject(where, column, text or reason))
        kind = column, text or reason
        if kind in self.alike or len(self.alike) < MOST_DISTINCT:
            self.alike.setdefault(kind, Alike(where, *kind)).count += 1

    @property
    def most_rejected(self) -> list[Alike]:
        """Each column and reason once, the most frequent first: the first ten of them."""
        return sorted(self.alike.values(), key=lambda alike: -alike.count)[:FIRST]

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        report = asdict(self) | {"rejected_by": dict(self.rejected_by), "notes": dict(+self.notes)}
        del report["alike"]
        report["most_rejected"] = [asdict(alike) for alike in self.most_rejected]
        return {name: value for name, value in report.items() if value is not None}

    def lines(self) -> list[str]:
        """The report for a person."""
        would = self.dry_run
        lines = ["Dry run: nothing was written."] if would else []
        fates = ", ".join(f"{getattr(self, name):,} {name}" for name in ("new", "updated", "unchanged", "rejected"))
        rows = f"{self.file_name}: {counted(self.read, 'row')} read"
        lines.append(f"{rows}. There would be {fates}." if would else f"{rows}: {fates}.")
        if self.contacts is not None:
            lines.append(f"Contacts: {self._joined(self.contacts)}.")
            lines += [f"  contacts, {alike.line}" for alike in self.contacts_rejected or ()]
        lines += [noted(remark) for remark in self.remarks]
        lines += [noted(note, count, would=would) for note, count in (+self.notes).items()]
        reject = "Would reject" if would else "Rejected"
        lines += [
            f"{reject} {count:,}: {self._mended(reason)}" for reason, count in self.rejected_by.most_common(FIRST)
        ]
        lines += [f"  {alike.line}" for alike in self.most_rejected]
        lines += [f"  {'would change' if would else 'changed'} {c.what}: {', '.join(c.fields)}" for c in self.changes]
        if self.rejects_file:
            lines.append(f"Every rejected row: {self.rejects_file}")
        if self.import_id is not None and self.kind is ImportKind.CALLS:
            lines.append(f"It is import {self.import_id}{self._way_back}")
        return lines

    @property
    def _way_back(self) -> str:
        if self.new or self.updated:
            return f"; to undo it: flask imports undo {self.import_id}"
        return ", and brought nothing in."

    def _mended(self, reason: str) -> str:
        """A reason as a sentence, and what can be done about it."""
        return f"{reason}. {remedy(self.kind, reason)}".strip()

    def _joined(self, contacts: Mapping[str, int]) -> str:
        """What became of a contacts file's rows; in a dry run they were only read."""
        would = {name: "would be " if self.dry_run and name != "read" else "" for name in contacts}
        return ", ".join(f"{count:,} {would[name]}{name}" for name, count in contacts.items())


def counted(number: int, noun: str) -> str:
    """1 call, 2 calls, 1,000 calls: a number with a noun whose plural ends with an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def remedy(kind: ImportKind, reason: str, *, console: bool = False) -> str:
    """What can be done about rows rejected for that reason (as `rejected_by` has it), as a sentence; or nothing."""
    bare = reason.rpartition(": ")[2]
    for beginning, told in REMEDIES.items() if kind is ImportKind.CALLS else ():
        if bare.startswith(beginning):
            return told[console]
    return ""


def file_told(name: str) -> str:
    """An import's file name for a person."""
    return "from a program" if name == NO_FILE else name


def noted(note: str, count: int = 0, *, would: bool = False) -> str:
    """A note for a person. Its number stands behind it, because the note's own words speak of many.

    `would`: of a dry run, which made nobody. Without a number it is a remark, a sentence by itself.
    """
    if not count:
        return f"Note: {note}"
    how = f" {SAVE_AS}" if NOT_TEXT in note else ""
    if not would:
        return f"Note: {note}: {count:,}.{how}"
    return f"Would be noted: {note.replace('agents made', 'agents who would be made', 1)}: {count:,}.{how}"


def begin(report: ImportReport, organisation_id: int | None, actor: str, source: str = "") -> int:
    """Opens the import's record and returns its id (given up again when a dry run is rolled back)."""
    record = ImportRecord(
        organisation_id=organisation_id,
        kind=report.kind,
        source=source,
        file_name=report.file_name,
        sha256=report.sha256,
        started_at=clock.now(),
        actor=actor,
    )
    db.session.add(record)
    db.session.flush()
    report.import_id = record.id
    return record.id


def keep(report: ImportReport, *, finished: bool = False) -> None:
    """Writes the counts so far into the import's record, to be committed with the rows they count.

    Raises Refused where the import was undone meanwhile: what it goes on to write must not be committed.
    """
    counts = {name: getattr(report, name) for name in ("read", "new", "updated", "unchanged", "rejected")}
    result: Any = db.session.execute(
        update(ImportRecord)
        .where(ImportRecord.id == report.import_id, ImportRecord.undone_at.is_(None))
        .values(
            **counts,
            rejected_by=dict(report.rejected_by),
            rejects_file=report.rejects_file,
            notes=dict(+report.notes) | dict.fromkeys(report.remarks, 0),
            finished_at=clock.now() if finished else None,
        )
        .execution_options(synchronize_session=False)
    )
    if result.rowcount == 0:
        raise Refused(f"import {report.import_id} was undone while it ran", how="Nothing of it is in any more.")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises InputError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
