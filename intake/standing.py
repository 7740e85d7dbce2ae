"""How an import stands: one rule and one word each, for the command line and the console."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from survey.db import db
from survey.models import ImportRecord

# An import holds its organisation's lock while it goes on; one that has not ended by then was cut off all the same.
LONGEST = timedelta(hours=1)
# By these two imports are of one file's calls.
SAME_FILE = ("organisation_id", "kind", "source", "sha256")


class Standing(StrEnum):
    TAKEN = "taken in"
    PARTLY = "taken in, not all"
    NOTHING = "nothing taken"
    UNDONE = "undone"
    UNDER_WAY = "under way"
    CUT_OFF = "cut off"


def standing(
    record: ImportRecord, now: datetime, running: Collection[int], completed: Collection[int] = ()
) -> Standing:
    """`running` are organisations for which an import goes on (survey.turns.importing, asked before the record was
    read), `completed` imports that a later one made whole (`completed_by`)."""
    if record.undone_at is not None:
        return Standing.UNDONE
    if record.finished_at is None:
        goes_on = record.organisation_id in running and record.id not in completed
        return Standing.UNDER_WAY if goes_on and now - record.started_at < LONGEST else Standing.CUT_OFF
    if record.rejected:
        return Standing.NOTHING if record.rejected == record.read else Standing.PARTLY
    return Standing.TAKEN


def completed_by(records: Sequence[ImportRecord]) -> dict[int, int]:
    """The unfinished of these imports, to the first later one of the same file and source that reached its end."""
    unfinished = [record.id for record in records if record.finished_at is None]
    if not unfinished:
        return {}
    later = aliased(ImportRecord)
    same = and_(*(getattr(later, name) == getattr(ImportRecord, name) for name in SAME_FILE))
    ended = later.finished_at.is_not(None), later.undone_at.is_(None), later.id > ImportRecord.id
    rows = db.session.execute(
        select(ImportRecord.id, func.min(later.id))
        .join(later, and_(same, *ended))
        .where(ImportRecord.id.in_(unfinished))
        .group_by(ImportRecord.id)
    )
    return {row[0]: row[1] for row in rows}
