"""What undoing an import would do, or why it cannot be undone, as far as it can be told beforehand; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from intake.reports import counted
from intake.undo import check, found
from survey.db import db
from survey.errors import Refused
from survey.models import Call, Draw, ImportChange, ImportKind, ImportRecord


@dataclass(frozen=True)
class Foretold:
    """`calls` it brought in would go, `changes` it made to calls that were there before would be taken back.

    `drawn` of its calls, and of those it changed, have had their draw; `refusal` is why it cannot be undone.
    """

    import_id: int
    calls: int
    changes: int
    drawn: int
    refusal: Refused | None

    def as_dict(self) -> dict[str, Any]:
        counts = {"calls": self.calls, "changes": self.changes, "drawn": self.drawn}
        return {"import_id": self.import_id, "dry_run": True} | counts

    def lines(self) -> list[str]:
        """What would be done, for a person; of no use where there is a refusal."""
        return [
            "Dry run: nothing was written.",
            f"Import {self.import_id} can be undone: {counted(self.calls, 'call')} that it brought in would be removed,"
            f" {counted(self.changes, 'change')} to calls that were there before would be taken back.",
            "Customers and agents that it made would go too, as far as nothing else speaks of them.",
        ]


def foretell(import_id: int, organisation_id: int | None = None) -> Foretold:
    """Raises NotFound for an unknown import, or one of another organisation than `organisation_id`."""
    record = found(import_id, organisation_id)
    calls, drawn = _effect(record) if record.kind is ImportKind.CALLS else (0, 0)
    return Foretold(import_id, calls, record.updated, drawn, _refusal(record))


def _refusal(record: ImportRecord) -> Refused | None:
    try:
        check(record)
    except Refused as refusal:
        return refusal
    return None


def _effect(record: ImportRecord) -> tuple[int, int]:
    """How many calls it brought in, and how many of those, and of the ones it changed, have had their draw."""
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
    return calls, drawn
