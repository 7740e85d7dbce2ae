"""The imports' history: who handed in which file when, and what became of its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from intake import refusals
from intake.calls import find_organisation
from intake.refusals import Refusal
from intake.reports import counted, file_told, noted, remedy
from intake.standing import Standing, completed_by, standing
from survey import clock
from survey.clock import iso
from survey.db import db
from survey.errors import NotFound
from survey.models import ImportKind, ImportRecord, Organisation
from survey.turns import importing

COUNTS = ("new", "updated", "unchanged", "rejected")


def listed(organisation_key: str) -> list[dict[str, Any]]:
    """The imports of an organisation and the files refused as a whole, oldest first.

    Raises NotFound for an unknown organisation. `state` is how an import stands, in the console's words; `completed_by`
    the import that completed one that was cut off. A refused file has no number; `refused` says why, `door` which way
    it came.
    """
    # Asked first: one that ends in between must not be taken for one that was cut off.
    running = importing()
    organisation = find_organisation(organisation_key)
    query = select(ImportRecord).where(ImportRecord.organisation_id == organisation.id).order_by(ImportRecord.id)
    records = db.session.scalars(query.execution_options(populate_existing=True)).all()
    completed = completed_by(records)
    taken = [(record.started_at, record.id, _told(record, running, completed)) for record in records]
    entries = db.session.scalars(refusals.of(organisation.id))
    refused = [(entry.at, entry.id, _told_refused(refusals.told(entry))) for entry in entries]
    return [record for _, _, record in sorted(taken + refused, key=lambda line: line[:2])]


def shown(number: int) -> dict[str, Any]:
    """One import, with the organisation's key. Raises NotFound when there is none of this number."""
    running = importing()
    record = db.session.get(ImportRecord, number, populate_existing=True)
    if record is None:
        raise NotFound(f"there is no import {number}", how="flask imports list --organisation KEY lists them.")
    organisation = db.session.get(Organisation, record.organisation_id) if record.organisation_id else None
    told = _told(record, running, completed_by([record]))
    return {**told, "organisation": None if organisation is None else organisation.key}


def line(record: dict[str, Any]) -> str:
    """One import or refused file of a list for a person; the telephone system's name stands before the file's."""
    if record["refused"]:
        return (
            f"{'-':>6}  {record['started_at']}  {record['kind']:<8}  {'-':<12}  {record['file_name']}"
            f"  by {record['actor']}: refused ({record['door']}): {record['refused']}"
        )
    told = record["state"] if record["undone_at"] or not record["finished_at"] else ""
    state = f"  {told}{_completed(record)}" if told else ""
    counts = ", ".join(f"{record[count]:,} {count}" for count in COUNTS)
    return (
        f"{record['id']:>6}  {record['started_at']}  {record['kind']:<8}  {record['source'] or '-':<12}"
        f"  {file_told(record['file_name'])}  by {record['actor']}: {record['read']:,} read: {counts}{state}"
    )


def lines(record: dict[str, Any]) -> list[str]:
    """One import for a person, all of it."""
    counts = ", ".join(f"{record[count]:,} {count}" for count in COUNTS)
    source = f", source {record['source']}" if record["source"] else ""
    return [
        f"Import {record['id']} ({record['kind']}) of {record['organisation'] or 'no organisation'}{source}",
        f"File: {file_told(record['file_name'])}",
        f"SHA-256: {record['sha256']}",
        f"By: {record['actor']}, from {record['started_at']}{_until(record)}",
        f"{counted(record['read'], 'row')} read: {counts}.",
        *(noted(note, count) for note, count in record["notes"].items()),
        *(
            f"Rejected {count:,}: {reason}. {remedy(ImportKind(record['kind']), reason)}".strip()
            for reason, count in record["rejected_by"].items()
        ),
        *_rejects(record["rejects_file"]),
        f"Undone: {record['undone_at']} by {record['undone_by']}." if record["undone_at"] else "Undone: no.",
    ]


def _told(record: ImportRecord, running: Collection[int], completed: Mapping[int, int]) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind.value,
        "source": record.source,
        "file_name": record.file_name,
        "sha256": record.sha256,
        "started_at": iso(record.started_at),
        "finished_at": iso(record.finished_at) if record.finished_at else None,
        "actor": record.actor,
        "read": record.read,
        **{count: getattr(record, count) for count in COUNTS},
        "rejected_by": _most_first(record.rejected_by),
        "notes": _most_first(record.notes),
        "rejects_file": record.rejects_file,
        "undone_at": iso(record.undone_at) if record.undone_at else None,
        "undone_by": record.undone_by,
        "state": standing(record, clock.now(), running, completed).value,
        "completed_by": completed.get(record.id),
        "refused": None,
    }


def _told_refused(refusal: Refusal) -> dict[str, Any]:
    return {
        "id": None,
        "kind": refusal.kind.value,
        "source": "",
        "file_name": refusal.file_name,
        "sha256": refusal.sha256,
        "started_at": iso(refusal.at),
        "actor": refusal.actor,
        "door": refusal.door,
        "refused": refusal.reason,
    }


def _most_first(counts: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _until(record: dict[str, Any]) -> str:
    if record["finished_at"]:
        return f" to {record['finished_at']}"
    if record["undone_at"]:
        return f"; undone at {record['undone_at']} by {record['undone_by']}, before it was finished"
    if record["state"] == Standing.UNDER_WAY:
        return ", under way: the counts grow"
    again = "" if record["completed_by"] else "; handing the file in again completes it"
    return f", cut off{_completed(record)}{again}"


def _completed(record: dict[str, Any]) -> str:
    return f", completed by import {record['completed_by']}" if record["completed_by"] else ""


def _rejects(file: str | None) -> list[str]:
    if file is None:
        return []
    return [f"Every rejected row: {file}{'' if Path(file).exists() else ' (not on this machine, or deleted)'}"]
