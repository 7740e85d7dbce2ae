"""Uploads: a file of calls handed in here waits, sealed, while a person looks at how it would be read.

It is seen by whoever handed it in and by administrators of its organisation, and goes away once it is imported or
cancelled. Whatever is older than a day goes away whenever somebody hands in another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, text, true
from sqlalchemy.orm import InstrumentedAttribute, defer

from console.scope import Scope, found
from console.upload_kinds import check_kind
from intake import refusals
from intake.formats import open_table
from intake.refusals import Door
from survey import audit, clock, settings
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import AuditEntry, ImportKind, ImportRecord, Organisation, Site, Upload
from survey.vault import vault

# What the application takes in one request (MAX_CONTENT_LENGTH), as people count it.
MEGABYTES = 16
KEPT = timedelta(days=1)
MOST_WAITING = 20
MOST_COLUMNS = 1_000
LONGEST_SENT = 512 * 1024 * 1024
# Bytes of UTF-8 that a file's name is cut to: file systems take 255.
LONGEST_NAME = 100
LONGEST_ENDING = 12
# Any number no other advisory lock of ours uses (others: survey/turns.py, intake/bulk.py, intake/drop_folder.py).
_IN_HAND = 0x1A81


@dataclass(frozen=True)
class Person:
    """Who is signed in, as far as uploads go: whose they are, and whose others' may be seen."""

    email: str
    within: Scope
    sees_others: bool

    def may_see(self) -> ColumnElement[bool]:
        own = true() if self.sees_others else Upload.created_by == self.email
        return self.within.holds(Upload.organisation_id) & own


@dataclass(frozen=True)
class Waiting:
    """An upload of the list; `zone` is its organisation's first site's."""

    id: int
    file_name: str
    created_at: datetime
    created_by: str
    zone: str


class Fate(StrEnum):
    """What became of an upload, as the audit trail calls it."""

    IMPORTED = "upload imported"
    CANCELLED = "upload cancelled"
    EXPIRED = "upload expired"


class Gone(NotFound):
    """An upload that is not kept any more, and what became of it; `zone` is its organisation's first site's."""

    status = 410

    def __init__(self, fate: Fate, file_name: str, at: datetime, by: str, zone: str, import_id: int | None) -> None:
        super().__init__(f"{file_name} does not wait here any more")
        self.fate, self.file_name, self.at, self.by = fate, file_name, at, by
        self.zone, self.import_id = zone, import_id


def organisations(within: Scope) -> Sequence[Organisation]:
    """The organisations that calls can be handed in for: those with a site, by name."""
    with_site = select(Site.id).where(Site.organisation_id == Organisation.id).exists()
    return db.session.scalars(
        select(Organisation).where(within.holds(Organisation.id), with_site).order_by(Organisation.name)
    ).all()


def keep(person: Person, organisation_id: int, given_name: str, content: bytes) -> Upload:
    """Stores a file, when it can be read at all; flushed. Old uploads, of everybody, go away.

    Raises InputError where nothing could be taken from the file whatever its columns mean, which is noted among the
    imports, and Refused while too many others of the organisation wait.
    """
    sweep()
    owner = found(
        db.session.scalar(
            select(Organisation).where(Organisation.id == organisation_id, person.within.holds(Organisation.id))
        ),
        "organisation",
    )
    _check_room(owner.id)
    name = plain_name(given_name)
    with _on_disk(name, content) as path:
        _check_readable(path, owner, person.email)
    upload = Upload(
        organisation_id=owner.id,
        file_name=name,
        content=vault().seal_bytes(content),
        created_at=clock.now(),
        created_by=person.email,
    )
    db.session.add(upload)
    db.session.flush()
    return upload


def one(person: Person, upload_id: int) -> Upload:
    """The upload. Raises Gone for one that was imported, cancelled or left to expire, NotFound for what never was.

    NotFound also for another organisation's and for another person's.
    """
    upload = db.session.scalar(select(Upload).where(Upload.id == upload_id, person.may_see()))
    if upload is None:
        _say_what_became_of(person, upload_id)
    kept: Upload = found(upload, "file waiting to be imported")
    return kept


def waiting(person: Person) -> list[Waiting]:
    """The uploads that may be seen, newest first, without opening them.

    Those past their day are left out, and those being imported whose import stands among the others already.
    """
    rows = db.session.execute(
        select(Upload.id, Upload.file_name, Upload.created_at, Upload.created_by, _zone(Upload.organisation_id))
        .where(person.may_see(), Upload.created_at > clock.now() - KEPT, ~_being_imported())
        .order_by(Upload.id.desc())
    )
    return [Waiting(*row) for row in rows]


def _being_imported() -> ColumnElement[bool]:
    """Whether an upload is in hand and an import of its file has begun; while it is only checked, there is none."""
    held = text(
        "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND classid = CAST(:lock AS oid) AND objid = CAST(hashint8(uploads.id) AS oid))"
    ).bindparams(lock=_IN_HAND)
    begun = exists().where(
        ImportRecord.organisation_id == Upload.organisation_id,
        ImportRecord.kind == ImportKind.CALLS,
        ImportRecord.file_name == Upload.file_name,
        ImportRecord.started_at >= Upload.created_at,
    )
    return and_(held, begun)


def drop(upload: Upload, fate: Fate, *, actor: str, import_id: int | None = None) -> None:
    """The file is gone, flushed; the audit trail says what became of it."""
    detail = {"organisation_id": upload.organisation_id, "file_name": upload.file_name, "by": upload.created_by}
    audit.record(actor, fate.value, upload, **detail, import_id=import_id)
    db.session.execute(delete(Upload).where(Upload.id == upload.id))


def sweep() -> None:
    """Removes every upload older than a day, and what a process that was killed left on this machine's disk."""
    oldest = clock.now() - KEPT
    old = select(Upload).where(Upload.created_at <= oldest).options(defer(Upload.content))
    for upload in db.session.scalars(old.with_for_update(skip_locked=True)).all():
        drop(upload, Fate.EXPIRED, actor=audit.SERVICE)
    for left in _shelf().iterdir():
        if datetime.fromtimestamp(left.stat().st_mtime, UTC) < oldest:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def opened(upload: Upload) -> Iterator[Path]:
    """The file as it was handed in, within the block."""
    with _on_disk(upload.file_name, vault().open_bytes(upload.content)) as path:
        yield path


@contextmanager
def in_hand(upload_id: int) -> Iterator[None]:
    """Within the block nobody else imports or checks this upload: a button pressed twice does its work once.

    Raises Refused where somebody does so already. Ends with the process that holds it.
    """
    key = (_IN_HAND, func.hashint8(upload_id))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(select(func.pg_try_advisory_lock(*key))):
            raise Refused(
                "This file is being gone through at this very moment",
                how="Look under Imports in a moment: its page appears there. Nothing is taken in twice.",
            )
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(*key)))


def let_pass(stream: IO[bytes], length: int) -> None:
    """Reads a request's body to its end, keeping nothing of it; of one beyond all reason only the beginning."""
    left = min(length, LONGEST_SENT)
    while left > 0 and (part := stream.read(min(left, 64 * 1024))):
        left -= len(part)


def plain_name(given: str) -> str:
    """A file's own name as it may stand on a page and on a disk: no folders, nothing unprintable, not too long."""
    name = given.replace("\\", "/").rpartition("/")[2]
    name = "".join(sign for sign in name if sign.isprintable()).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    room = LONGEST_NAME - len(f".{ending}".encode())
    stem = stem.encode()[:room].decode(errors="ignore")
    return f"{stem}{dot}{ending}" or "calls"


def _say_what_became_of(person: Person, upload_id: int) -> None:
    """Raises Gone where the trail knows it, and this person might have seen the upload."""
    entry = db.session.scalar(
        select(AuditEntry).where(
            AuditEntry.subject_type == Upload.__tablename__,
            AuditEntry.subject_id == upload_id,
            AuditEntry.action.in_([fate.value for fate in Fate]),
        )
    )
    if entry is None:
        return
    detail, owner = entry.detail, person.within.organisation_id
    if owner not in (None, detail["organisation_id"]) or not (person.sees_others or detail["by"] == person.email):
        return
    zone = db.session.scalar(select(_zone(detail["organisation_id"]))) or "UTC"
    raise Gone(Fate(entry.action), detail["file_name"], entry.at, entry.actor, zone, detail["import_id"])


def _zone(organisation_id: InstrumentedAttribute[int] | int) -> ColumnElement[str]:
    """The time zone of an organisation's first site."""
    first = select(Site.time_zone).where(Site.organisation_id == organisation_id).order_by(Site.name, Site.id).limit(1)
    return func.coalesce(first.scalar_subquery(), "UTC")


def _check_readable(path: Path, owner: Organisation, actor: str) -> None:
    with refusals.noted(path, ImportKind.CALLS, Door.CONSOLE, organisation=owner.key, actor=actor):
        check_kind(path)
        columns = len(open_table(path).header)
        if columns > MOST_COLUMNS:
            raise InputError(
                f"has {columns:,} columns, more than the {MOST_COLUMNS:,} that a page can show",
                where=path.name,
                how="Export only those that tell of the call; or use flask calls import with a mapping file.",
            )


def _check_room(organisation_id: int) -> None:
    count = db.session.scalar(select(func.count()).where(Upload.organisation_id == organisation_id)) or 0
    if count >= MOST_WAITING:
        raise Refused(
            f"{count} files of this organisation wait to be imported already",
            how="Import or cancel some of them first; each goes away by itself after a day.",
        )


@contextmanager
def _on_disk(name: str, content: bytes) -> Iterator[Path]:
    """The content as a file that only the service's own user can read, within the block."""
    with TemporaryDirectory(dir=_shelf()) as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def _shelf() -> Path:
    folder = settings.current().aftercall_data / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
