"""Undoing a whole import of calls, as long as none of its calls has had its draw.

What the import made goes, what it changed becomes what it was before; what later imports said stays in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from intake.bulk import take_turn
from intake.journal import TABLES, from_json
from intake.reports import counted
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
    Site,
    Survey,
)
from survey.turns import waiting

# As many changes are taken back at once as fit into memory easily.
PAGE = 1_000
_CALLS = (Call.__tablename__, CallLeg.__tablename__)
_OF_CALLS = ImportChange.row_table.in_(_CALLS)


@dataclass
class UndoReport:
    """What an undo did; `customers_removed` are those of whom no call is left.

    `repeated_by` are later imports of the same source that counted rows as unchanged: some may have been this one's.
    """

    import_id: int
    calls_removed: int = 0
    rows_restored: int = 0
    customers_removed: int = 0
    agents_removed: int = 0
    repeated_by: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a person."""
        removed = f"{counted(self.calls_removed, 'call')} and {counted(self.customers_removed, 'customer')}"
        lines = [
            f"Import {self.import_id} is undone: {removed} removed, {counted(self.rows_restored, 'change')} taken back,"
            f" {counted(self.agents_removed, 'agent')} it had made removed.",
            "Its record stays. The same file can be imported again.",
        ]
        if self.repeated_by:
            numbers = ", ".join(map(str, self.repeated_by))
            lines.append(
                f"Later imports found some of their rows in already: {numbers}. What they only repeated of this import"
                " is gone with it: hand their files in again."
            )
        return lines


def undo(import_id: int, *, actor: str, organisation_id: int | None = None) -> UndoReport:
    """Undoes an import of calls, wholly or not at all. Flushes; the caller commits.

    Raises NotFound for an unknown import (or one of another organisation than `organisation_id`), and Refused where it
    is undone already, is no import of calls, one of its calls has had its draw, or a later import changed one of them.
    """
    record = _locked(import_id, organisation_id)
    check(record)
    assert record.organisation_id is not None
    report = UndoReport(import_id, repeated_by=_repeating(record))
    moved = list(db.session.scalars(_changed(Assignment, import_id).where(ImportChange.before.is_not(None)).distinct()))
    report.rows_restored = _restore(import_id)
    report.calls_removed = _deleted(Call, Call.import_id == import_id)
    _reach_back(moved, import_id)
    report.agents_removed = _remove_agents(import_id)
    _deleted(ImportChange, ImportChange.import_id == import_id)
    report.customers_removed = _remove_customers(record.organisation_id)
    record.undone_at, record.undone_by = clock.now(), actor
    audit.record(actor, "import undone", record, **{k: v for k, v in report.as_dict().items() if k != "import_id"})
    db.session.flush()
    return report


def _locked(import_id: int, organisation_id: int | None) -> ImportRecord:
    """The import, while neither another import nor a draw of the organisation is going on."""
    record = found(import_id, organisation_id)
    _check_kind(record)
    assert record.organisation_id is not None
    # The order in which a draw and an import take them: the organisation's row, then the turn.
    lock = select(Organisation.id).where(Organisation.id == record.organisation_id)
    with waiting("a draw of this organisation"):
        db.session.execute(lock.with_for_update(key_share=True))
    take_turn(record.organisation_id)
    db.session.refresh(record, with_for_update=True)
    return record


def found(import_id: int, organisation_id: int | None = None) -> ImportRecord:
    """The import as it is now. Raises NotFound for none, or one of another organisation than `organisation_id`."""
    record = db.session.get(ImportRecord, import_id, populate_existing=True)
    if record is None or (organisation_id is not None and record.organisation_id != organisation_id):
        raise NotFound(f"there is no import {import_id}", how="flask imports list shows them.")
    return record


def _check_kind(record: ImportRecord) -> None:
    if record.kind is not ImportKind.CALLS or record.organisation_id is None:
        raise Refused(f"import {record.id} is one of {record.kind}", how="Only an import of calls can be undone.")


def check(record: ImportRecord) -> None:
    """Raises Refused, as `undo` would, where the import cannot be undone."""
    _check_kind(record)
    if record.undone_at is not None:
        raise Refused(f"import {record.id} is undone already, by {record.undone_by}")
    its = or_(Call.import_id == record.id, Call.id.in_(_changed(Call, record.id)))
    drawn = db.session.scalar(select(func.count()).select_from(Draw).join(Call).where(its)) or 0
    if drawn:
        raise Refused(
            f"{drawn:,} of the calls of import {record.id} {'has had its' if drawn == 1 else 'have had their'} draw",
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
    """Other imports that touched, after this one, calls which it made or touched."""
    ours, other = _touched(), _touched()
    made = select(Call.id).where(Call.import_id == import_id)
    before = exists().where(ours.c.import_id == import_id, ours.c.call_id == other.c.call_id, ours.c.id < other.c.id)
    return select(other.c.import_id).where(other.c.import_id != import_id, or_(other.c.call_id.in_(made), before))


def _touched() -> Any:
    """(call id, import id, id of the change) of every change to a call that was there, or to its legs."""
    columns = ImportChange.import_id, ImportChange.id
    calls = select(ImportChange.row_id.label("call_id"), *columns).where(ImportChange.row_table == Call.__tablename__)
    of_leg = and_(ImportChange.row_table == CallLeg.__tablename__, ImportChange.row_id == CallLeg.id)
    return union_all(calls, select(CallLeg.call_id, *columns).join(CallLeg, of_leg)).subquery()


def _repeating(record: ImportRecord) -> list[int]:
    of_the_same = select(ImportRecord.id).where(
        ImportRecord.organisation_id == record.organisation_id,
        ImportRecord.kind == ImportKind.CALLS,
        ImportRecord.source == record.source,
        ImportRecord.id > record.id,
        ImportRecord.undone_at.is_(None),
        ImportRecord.unchanged > 0,
    )
    return list(db.session.scalars(of_the_same.order_by(ImportRecord.id)))


def _changed(model: Any, import_id: int) -> Any:
    return select(ImportChange.row_id).where(
        ImportChange.import_id == import_id, ImportChange.row_table == model.__tablename__
    )


# --- what it changed becomes what it was ---


def _restore(import_id: int) -> int:
    """Takes the import's changes back, the last first; returns how many those were."""
    restored = 0
    while changes := _last_changes(import_id):
        for change in changes:
            if change.before is None:
                _deleted(CallLeg, CallLeg.id == change.row_id)
            else:
                _restore_row(import_id, change)
                restored += 1
        _deleted(ImportChange, ImportChange.id.in_([change.id for change in changes]))
    return restored


def _last_changes(import_id: int) -> Sequence[Row[Any]]:
    """The last page of what it changed, and of the legs it added; agents and assignments it made come later."""
    its = or_(ImportChange.before.is_not(None), ImportChange.row_table == CallLeg.__tablename__)
    columns = ImportChange.id, ImportChange.row_table, ImportChange.row_id, ImportChange.before
    query = select(*columns).where(ImportChange.import_id == import_id, its)
    return db.session.execute(query.order_by(ImportChange.id.desc()).limit(PAGE)).all()


def _restore_row(import_id: int, change: Row[Any]) -> None:
    """Sets the columns back, except those a later import changed again: that one's own way back then leads further.

    Of calls and their legs there is no such import, or the undo was refused.
    """
    rest = dict(change.before)
    for later in () if change.row_table in _CALLS else _changed_later(import_id, change):
        shared = {name: rest.pop(name) for name in list(rest) if name in later.before}
        if shared:
            db.session.execute(
                update(ImportChange).where(ImportChange.id == later.id).values(before=later.before | shared)
            )
    if rest:
        table = TABLES[change.row_table].__table__
        assert isinstance(table, Table)
        values = {name: _as_stored(table.c[name].type, value) for name, value in rest.items()}
        db.session.execute(update(table).where(table.c.id == change.row_id).values(values))


def _changed_later(import_id: int, change: Row[Any]) -> Sequence[Row[Any]]:
    """What other imports changed in the row after this change, the first first."""
    return db.session.execute(
        select(ImportChange.id, ImportChange.before)
        .where(
            ImportChange.row_table == change.row_table,
            ImportChange.row_id == change.row_id,
            ImportChange.id > change.id,
            ImportChange.import_id != import_id,
            ImportChange.before.is_not(None),
        )
        .order_by(ImportChange.id)
    ).all()


def _as_stored(kind: Any, value: Any) -> Any:
    """A journalled value for its column; sealed texts go back as they are."""
    found = from_json(kind, value)
    return type_coerce(found, Text) if isinstance(found, str) else found


def _reach_back(assignment_ids: Sequence[int], import_id: int) -> None:
    """Agents' first days, set back just now, are no later than what later imports' calls say of them.

    Those found the agent there already, thanks to this import, and so moved nothing themselves.
    """
    for id in assignment_ids:
        assignment = db.session.get(Assignment, id, populate_existing=True)
        first = None if assignment is None else _first_day(assignment, import_id)
        if assignment is not None and first is not None:
            assignment.starts_on = min(assignment.starts_on, first)


def _first_day(of: Assignment, import_id: int) -> date | None:
    """The first day, at the site, on which later imports' calls name the agent there."""
    first = [
        db.session.scalar(
            select(func.min(model.started_at)).where(
                model.agent_id == of.agent_id, model.site_id == of.site_id, model.import_id > import_id
            )
        )
        for model in (Call, CallLeg)
    ]
    site = db.session.get_one(Site, of.site_id)
    return min((moment.astimezone(ZoneInfo(site.time_zone)).date() for moment in first if moment), default=None)


# --- what it made goes ---


def _deleted(model: Any, *conditions: ColumnElement[bool]) -> int:
    result: Any = db.session.execute(delete(model).where(*conditions).execution_options(synchronize_session=False))
    return int(result.rowcount)


def _remove_customers(organisation_id: int) -> int:
    """Removes those of whom nothing speaks any more: no call, and no former value that an undo may bring back."""
    spoken_of = [
        *(exists().where(model.customer_id == Customer.id) for model in (Call, CallLeg, Survey)),
        exists().where(_OF_CALLS, _former("customer_id") == Customer.id),
        exists().where(cast(LaterRecord.record["customer_id"].astext, BigInteger) == Customer.id),
    ]
    return _deleted(Customer, Customer.organisation_id == organisation_id, *(~each for each in spoken_of))


def _former(column: str) -> ColumnElement[int]:
    """The row that a call or leg named in the column before a change."""
    return cast(ImportChange.before[column].astext, BigInteger)


def _remove_agents(import_id: int) -> int:
    """Removes the agents it made, as far as nothing else has come to rest on them.

    One whom other imports' calls name by now is theirs from here on: the last undo of them takes the agent away.
    """
    made = list(db.session.scalars(_changed(Agent, import_id).where(ImportChange.before.is_(None))))
    named_by = _named_by(import_id, made)
    its = and_(ImportChange.import_id == import_id, ImportChange.row_table == Agent.__tablename__)
    for agent_id, other in named_by.items():
        db.session.execute(update(ImportChange).where(its, ImportChange.row_id == agent_id).values(import_id=other))
    removed = 0
    free = Agent.id.in_(set(made) - set(named_by))
    for agent_id in db.session.scalars(_as_made().where(free)).all():
        try:
            with db.session.begin_nested():
                _deleted(Assignment, Assignment.agent_id == agent_id)
                removed += _deleted(Agent, Agent.id == agent_id)
        except IntegrityError:
            continue  # something else rests on them, such as a rate of their own
    return removed


def _named_by(import_id: int, agent_ids: Sequence[int]) -> dict[int, int]:
    """Of these agents those whom calls of other imports name, or did before a change; and the first such import."""
    former, of_others = _former("agent_id"), ImportChange.import_id != import_id
    named = union_all(
        select(Call.agent_id, Call.import_id).where(Call.agent_id.in_(agent_ids)),
        select(CallLeg.agent_id, CallLeg.import_id).where(CallLeg.agent_id.in_(agent_ids)),
        select(former, ImportChange.import_id).where(_OF_CALLS, of_others, former.in_(agent_ids)),
    ).subquery()
    agent_id, by = named.c
    return {row[0]: row[1] for row in db.session.execute(select(agent_id, func.min(by)).group_by(agent_id))}


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
