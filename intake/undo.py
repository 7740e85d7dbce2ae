"""Undoing a whole import of calls, as long as none of its calls has had its draw.

What the import made goes, what it changed becomes what it was before; what later imports said stays in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, Text, and_, delete, exists, func, or_, select, type_coerce, union, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from intake.bulk import take_turn
from intake.journal import TABLES, from_json
from survey import audit, clock
from survey.db import db
from survey.errors import NotFound, Refused
from survey.models import (
    Agent,
    Assignment,
    Call,
    CallLeg,
    Customer,
    Draw,
    ImportChange,
    ImportKind,
    ImportRecord,
    LaterRecord,
    Organisation,
    Survey,
)


@dataclass
class UndoReport:
    """What an undo did; `customers_removed` are those of whom no call is left."""

    import_id: int
    calls_removed: int = 0
    rows_restored: int = 0
    customers_removed: int = 0
    agents_removed: int = 0
    later_records_removed: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a person."""
        removed = f"{self.calls_removed:,} calls and {self.customers_removed:,} customers"
        return [
            f"Import {self.import_id} is undone: {removed} removed, {self.rows_restored:,} changes taken back,"
            f" {self.agents_removed:,} agents it had made removed.",
            "Its record stays. The same file can be imported again.",
        ]


def undo(import_id: int, *, actor: str, organisation_id: int | None = None) -> UndoReport:
    """Undoes an import of calls, wholly or not at all. Flushes; the caller commits.

    Raises NotFound for an unknown import (or one of another organisation than `organisation_id`), and Refused where it
    is undone already, is no import of calls, one of its calls has had its draw, or a later import changed one of them.
    """
    record = _locked(import_id, organisation_id)
    _check(record)
    report = UndoReport(import_id)
    report.later_records_removed = _deleted(LaterRecord, LaterRecord.import_id == import_id)
    customers = _customers_of(import_id)
    report.rows_restored = _restore(import_id)
    report.calls_removed = _deleted(Call, Call.import_id == import_id)
    report.customers_removed = _remove_customers(customers)
    report.agents_removed = _remove_agents(import_id)
    _deleted(ImportChange, ImportChange.import_id == import_id)
    record.undone_at, record.undone_by = clock.now(), actor
    audit.record(actor, "import undone", record, **{k: v for k, v in report.as_dict().items() if k != "import_id"})
    db.session.flush()
    return report


def _locked(import_id: int, organisation_id: int | None) -> ImportRecord:
    """The import, while neither another import nor a draw of the organisation is going on."""
    record = db.session.get(ImportRecord, import_id, populate_existing=True)
    if record is None or (organisation_id is not None and record.organisation_id != organisation_id):
        raise NotFound(f"there is no import {import_id}", how="flask imports list shows them.")
    if record.kind is not ImportKind.CALLS or record.organisation_id is None:
        raise Refused(f"import {import_id} is one of {record.kind}", how="Only an import of calls can be undone.")
    # The order in which a draw and an import take them: the organisation's row, then the turn.
    lock = select(Organisation.id).where(Organisation.id == record.organisation_id)
    db.session.execute(lock.with_for_update(key_share=True))
    take_turn(record.organisation_id)
    db.session.refresh(record, with_for_update=True)
    return record


def _check(record: ImportRecord) -> None:
    if record.undone_at is not None:
        raise Refused(f"import {record.id} is undone already, by {record.undone_by}")
    its = or_(Call.import_id == record.id, Call.id.in_(_changed(Call, record.id)))
    drawn = db.session.scalar(select(func.count()).select_from(Draw).join(Call).where(its)) or 0
    if drawn:
        raise Refused(
            f"{drawn:,} of the calls of import {record.id} have had their draw",
            how="A draw is never taken back: what was imported stays.",
        )
    later = sorted(set(db.session.scalars(_later_imports(record.id))))
    if later:
        numbers = ", ".join(map(str, later))
        raise Refused(
            f"later imports say more about calls that import {record.id} brought in",
            how=f"Undo them first, the newest before the others: {numbers}.",
        )


def _later_imports(import_id: int) -> Any:
    """Other imports that changed, after this one, calls which it made or changed, or gave them legs."""
    made = select(Call.id).where(Call.import_id == import_id)
    ours, other = aliased(ImportChange), aliased(ImportChange)
    its_leg, other_leg = aliased(CallLeg), aliased(CallLeg)
    of_made = select(ImportChange.import_id).where(
        ImportChange.row_table == Call.__tablename__, ImportChange.row_id.in_(made), ImportChange.import_id != import_id
    )
    of_changed = (
        select(other.import_id)
        .join(ours, and_(ours.row_table == other.row_table, ours.row_id == other.row_id, ours.id < other.id))
        .where(ours.import_id == import_id, other.import_id != import_id, other.row_table == Call.__tablename__)
    )
    legs_of_made = select(CallLeg.import_id).where(CallLeg.call_id.in_(made), CallLeg.import_id != import_id)
    legs_beside = (
        select(other_leg.import_id)
        .join(its_leg, and_(its_leg.call_id == other_leg.call_id, its_leg.id < other_leg.id))
        .where(its_leg.import_id == import_id, other_leg.import_id != import_id)
    )
    return union(of_made, of_changed, legs_of_made, legs_beside)


def _changed(model: Any, import_id: int) -> Any:
    return select(ImportChange.row_id).where(
        ImportChange.import_id == import_id, ImportChange.row_table == model.__tablename__
    )


def _customers_of(import_id: int) -> list[int]:
    """The customers of the calls the import brought in or changed: some may be left without a call."""
    its = or_(Call.import_id == import_id, Call.id.in_(_changed(Call, import_id)))
    of_calls = select(Call.customer_id).where(its, Call.customer_id.is_not(None))
    of_legs = select(CallLeg.customer_id).where(CallLeg.import_id == import_id, CallLeg.customer_id.is_not(None))
    return list(db.session.scalars(of_calls.union(of_legs)))


# --- what it changed becomes what it was ---


def _restore(import_id: int) -> int:
    """Takes the import's changes back, the last first; returns how many rows that were."""
    changes = db.session.scalars(
        select(ImportChange).where(ImportChange.import_id == import_id).order_by(ImportChange.id.desc())
    ).all()
    for change in changes:
        if change.before is not None:
            _restore_row(change, change.before)
        elif change.row_table == CallLeg.__tablename__:
            _deleted(CallLeg, CallLeg.id == change.row_id)
    return sum(change.before is not None for change in changes)


def _restore_row(change: ImportChange, before: dict[str, Any]) -> None:
    """Sets the columns back, except those a later import changed again: that one's own way back then leads further."""
    rest = dict(before)
    for later in _changed_later(change):
        shared = {name: rest.pop(name) for name in list(rest) if name in (later.before or {})}
        if shared:
            later.before = (later.before or {}) | shared
    if rest:
        table = TABLES[change.row_table].__table__
        assert isinstance(table, Table)
        values = {name: _as_stored(table.c[name].type, value) for name, value in rest.items()}
        db.session.execute(update(table).where(table.c.id == change.row_id).values(values))


def _changed_later(change: ImportChange) -> Sequence[ImportChange]:
    return db.session.scalars(
        select(ImportChange)
        .where(
            ImportChange.row_table == change.row_table,
            ImportChange.row_id == change.row_id,
            ImportChange.id > change.id,
            ImportChange.import_id != change.import_id,
        )
        .order_by(ImportChange.id)
    ).all()


def _as_stored(kind: Any, value: Any) -> Any:
    """A journalled value for its column; sealed texts go back as they are."""
    found = from_json(kind, value)
    return type_coerce(found, Text) if isinstance(found, str) else found


# --- what it made goes ---


def _deleted(model: Any, *conditions: ColumnElement[bool]) -> int:
    result: Any = db.session.execute(delete(model).where(*conditions).execution_options(synchronize_session=False))
    return int(result.rowcount)


def _remove_customers(ids: list[int]) -> int:
    """Removes those of whom nothing else speaks."""
    spoken_of = [exists().where(model.customer_id == Customer.id) for model in (Call, CallLeg, Survey)]
    return _deleted(Customer, Customer.id.in_(ids), *(~each for each in spoken_of)) if ids else 0


def _remove_agents(import_id: int) -> int:
    """Removes the agents it made, as far as nothing else has come to rest on them."""
    made = _changed(Agent, import_id).where(ImportChange.before.is_(None))
    removed = 0
    for agent_id in db.session.scalars(made.where(ImportChange.row_id.in_(_as_made()))).all():
        try:
            with db.session.begin_nested():
                _deleted(Assignment, Assignment.agent_id == agent_id)
                removed += _deleted(Agent, Agent.id == agent_id)
        except IntegrityError:
            continue  # other imports' calls name them by now
    return removed


def _as_made() -> Any:
    """Agents who are still as call records make them: no roster has said anything of them since."""
    bare = and_(Assignment.supervisor_id.is_(None), Assignment.ends_on.is_(None))
    return (
        select(Agent.id)
        .join(Assignment, Assignment.agent_id == Agent.id)
        .where(Agent.name == Agent.key, ~Agent.listed)
        .group_by(Agent.id)
        .having(func.count() == 1, func.bool_and(bare))
    )
