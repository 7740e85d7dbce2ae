"""Files that were refused as a whole: nothing of them was taken, so no import tells of them. The audit trail does.

Every door notes its refusals here: the command line, the drop folder, the console. A dry run leaves none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from intake.discreet import discreet
from intake.file_names import writable
from intake.reports import file_sha256
from survey import clock
from survey.db import db
from survey.errors import AftercallError, InputError, Refused
from survey.logs import logger
from survey.models import AuditEntry, ImportKind, ImportRecord, Organisation

# What the audit trail calls it. Its subject is an import that never was: the table without an id.
ACTION = "import refused"
LONGEST_REASON = 500

log = logger("intake")


class Door(StrEnum):
    """Which way a file came."""

    COMMAND_LINE = "command line"
    DROP_FOLDER = "drop folder"
    CONSOLE = "console"


@dataclass(frozen=True)
class Attempt:
    """A file on its way in. `organisation` is its key, `sha256` None where it cannot be read."""

    file_name: str
    sha256: str | None
    kind: ImportKind
    door: Door
    organisation: str | None
    actor: str
    begun: datetime


@dataclass(frozen=True)
class Refusal:
    """A file that was refused. `organisation_id` and `sha256` are None where they could not be known."""

    id: int
    at: datetime
    actor: str
    organisation_id: int | None
    kind: ImportKind
    file_name: str
    sha256: str | None
    reason: str
    door: str


@contextmanager
def noted(
    file: Path, kind: ImportKind, door: Door, *, organisation: str | None, actor: str, dry_run: bool = False
) -> Iterator[None]:
    """Within the block `file` is taken in: where it is refused, that is noted, and the refusal goes on its way.

    `organisation` is a key. Nothing is noted of a dry run, of a file that is not there, and where rows were taken
    before the import broke off (its own record tells of those).
    """
    begun = clock.now()
    try:
        yield
    except AftercallError as refusal:
        if not dry_run and file.exists():
            attempt = Attempt(writable(file.name), sha256_if_readable(file), kind, door, organisation, actor, begun)
            note(attempt, refusal)
        raise


def note(attempt: Attempt, refusal: AftercallError) -> None:
    """Writes a refusal down, in a transaction of its own: the one that was refused is rolled back.

    What is `Refused` is no fault of the file and may be taken a minute later: it is not written down. A database that
    is away is logged and hides no refusal.
    """
    if isinstance(refusal, Refused):
        return
    try:
        with Session(db.engine) as own:
            if not _has_a_record(own, attempt):
                own.add(_entry(own, attempt, refusal))
                own.commit()
    except SQLAlchemyError as error:
        log.warning("a refused import could not be noted", door=attempt.door.value, fault=type(error).__name__)


def sha256_if_readable(file: Path) -> str | None:
    """The file's SHA-256; None for one that cannot be read."""
    try:
        return file_sha256(file)
    except InputError:
        return None


def of(organisation_id: int | None) -> Select[AuditEntry]:
    """The entries of an organisation's refusals; None: everybody's, those of an unknown organisation too."""
    return select(AuditEntry).where(*of_refusals(organisation_id))


def of_refusals(organisation_id: int | None) -> list[ColumnElement[bool]]:
    """The conditions of `of`, by the index of the subject."""
    refused = [
        AuditEntry.subject_type == ImportRecord.__tablename__,
        AuditEntry.subject_id.is_(None),
        AuditEntry.action == ACTION,
    ]
    if organisation_id is None:
        return refused
    return [*refused, AuditEntry.detail["organisation_id"].as_integer() == organisation_id]


def told(entry: AuditEntry) -> Refusal:
    """What an entry of the trail says."""
    detail = entry.detail
    return Refusal(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        organisation_id=detail["organisation_id"],
        kind=ImportKind(detail["kind"]),
        file_name=detail["file_name"],
        sha256=detail["sha256"],
        reason=detail["reason"],
        door=detail["door"],
    )


def _entry(own: Session, attempt: Attempt, refusal: AftercallError) -> AuditEntry:
    owner = own.scalar(select(Organisation).where(Organisation.key == attempt.organisation))
    return AuditEntry(
        at=clock.now(),
        actor=attempt.actor,
        action=ACTION,
        subject_type=ImportRecord.__tablename__,
        subject_id=None,
        detail={
            "organisation_id": owner.id if owner else None,
            "kind": attempt.kind.value,
            "file_name": attempt.file_name,
            "sha256": attempt.sha256,
            "reason": _reason(refusal, attempt.file_name, owner.country if owner else "US"),
            "door": attempt.door.value,
        },
    )


def _reason(refusal: AftercallError, file_name: str, country: str) -> str:
    """What is wrong and where in the file: no folder of the server, no contact, and not without end."""
    _, named, behind = refusal.where.partition(file_name)
    where = behind.lstrip(", ") if named else refusal.where
    said = discreet(f"{where}: {refusal.what}" if where else refusal.what, country)
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]}…"


def _has_a_record(own: Session, attempt: Attempt) -> bool:
    """Whether rows of this very try were committed before it broke off."""
    its = select(ImportRecord.id).where(
        ImportRecord.sha256 == attempt.sha256,
        ImportRecord.actor == attempt.actor,
        ImportRecord.started_at >= attempt.begun,
        ImportRecord.finished_at.is_(None),
    )
    return bool(own.scalar(select(its.exists())))
