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
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from intake.bulk import take_turn
from intake.reports import counted
from intake.restoring import OF_CALLS, pages, removed, restore
from intake.undo_steps import Progress, Stage, Steps
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
from survey.turns import import_under_way, waiting

# What else imports bring in, as people call it.
NOT_CALLS = {
    ImportKind.ROSTER: "a roster",
    ImportKind.CONTACTS: "contacts",
    ImportKind.OPTOUTS: "opt-outs",
    ImportKind.RESPONSES: "answers",
    ImportKind.TOTALS: "control totals",
}
_OF_CALLS = ImportChange.row_table.in_(OF_CALLS)


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


def undo(
    import_id: int, *, actor: str, organisation_id: int | None = None, progress: Progress | None = None
) -> UndoReport:
    """Undoes an import of calls, wholly or not at all. Flushes; the caller commits. `progress` hears of every step.

    Raises NotFound for an unknown import (or one of another organisation than `organisation_id`), and Refused where it
    is undone already, is no import of calls, one of its calls has had its draw, or a later import changed one of them.
    """
    record = found(import_id, organisation_id)
    _check_kind(record)
    assert record.organisation_id is not None
    steps = Steps(import_id, progress)
    steps.at(Stage.WAITING)
    # The scheduler passes an organisation by for which an import is under way: no draw stands waiting for a long undo.
    with import_under_way(record.organisation_id):
        _lock(record)
        check(record)
        report = _taken_back(record, steps)
        record.undone_at, record.undone_by = clock.now(), actor
        audit.record(actor, "import undone", record, **{k: v for k, v in report.as_dict().items() if k != "import_id"})
        db.session.flush()
    return report


def _taken_back(record: ImportRecord, steps: Steps) -> UndoReport:
    import_id, organisation_id = record.id, record.organisation_id
    assert organisation_id is not None
    report = UndoReport(import_id, repeated_by=_repeating(record))
    moved = list(db.session.scalars(_changed(Assignment, import_id).where(ImportChange.before.is_not(None)).distinct()))
    report.rows_restored = restore(import_id, steps)
    report.calls_removed = _remove_calls(import_id, steps)
    steps.at(Stage.REST)
    _reach_back(moved, import_id)
    report.agents_removed = _remove_agents(import_id)
    removed(delete(ImportChange).where(ImportChange.import_id == import_id))
    report.customers_removed = _remove_customers(organisation_id)
    return report


def _lock(record: ImportRecord) -> None:
    """Until the transaction ends neither another import nor a draw of the organisation goes on."""
    assert record.organisation_id is not None
    # The order in which a draw and an import take them: the organisation's row, then the turn.
    lock = select(Organisation.id).where(Organisation.id == record.organisation_id)
    with waiting("a draw of this organisation"):
        db.session.execute(lock.with_for_update(key_share=True))
    take_turn(record.organisation_id)
    db.session.refresh(record, with_for_update=True)


def found(import_id: int, organisation_id: int | None = None) -> ImportRecord:
    """The import as it is now. Raises NotFound for none, or one of another organisation than `organisation_id`."""
    record = db.session.get(ImportRecord, import_id, populate_existing=True)
    if record is None or (organisation_id is not None and record.organisation_id != organisation_id):
        raise NotFound(f"there is no import {import_id}", how="flask imports list --organisation KEY lists them.")
    return record


def _check_kind(record: ImportRecord) -> None:
    if record.kind is not ImportKind.CALLS or record.organisation_id is None:
        raise Refused(
            f"import {record.id} is of {NOT_CALLS.get(record.kind, 'nobody')}, not of calls",
            how="Only an import of calls can be undone.",
        )


def check(record: ImportRecord) -> None:
    """Raises Refused, as `undo` would, where the import cannot be undone."""
    _check_kind(record)
    if record.undone_at is not None:
        raise Refused(f"import {record.id} is undone already, by {record.undone_by}")
    its = _its_calls(record.id).subquery()
    drawn = db.session.scalar(select(func.count()).select_from(Draw).join(its, its.c.id == Draw.call_id)) or 0
    if drawn:
        raise Refused(
            f"{drawn:,} of the calls of import {record.id} {'has had its' if drawn == 1 else 'have had their'} draw",
            how="A draw is never taken back: what was imported stays.",
        )
    later = db.session.scalars(_later_imports(record.id)).all()
    if later:
        numbers = ", ".join(map(str, later))
        raise Refused(
            f"later imports say more about calls that import {record.id} brought in",
            how=f"Undo them first, the newest before the others: {numbers}.",
        )


def _its_calls(import_id: int) -> Any:
    """The calls it brought in, and those that it changed."""
    return union(select(Call.id).where(Call.import_id == import_id), _changed(Call, import_id))


def _later_imports(import_id: int) -> Any:
    """Other imports that touched, after this one, calls which it made or touched; the first first."""
    ours, other = _touched(), _touched()
    made = select(Call.id.label("call_id"), literal(0, BigInteger).label("since")).where(Call.import_id == import_id)
    first = select(ours.c.call_id, func.min(ours.c.id)).where(ours.c.import_id == import_id).group_by(ours.c.call_id)
    its = union_all(made, first).subquery()
    after = and_(other.c.call_id == its.c.call_id, other.c.id > its.c.since, other.c.import_id != import_id)
    return select(other.c.import_id).join(its, after).distinct().order_by(other.c.import_id)


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


def _remove_calls(import_id: int, steps: Steps) -> int:
    its = Call.import_id == import_id
    total = db.session.scalar(select(func.count()).where(its)) or 0
    gone = 0
    for done, first, last in pages(Call.id, its):
        steps.at(Stage.CALLS, done, total)
        gone += removed(delete(Call).where(its, Call.id.between(first, last)))
    return gone


def _remove_customers(organisation_id: int) -> int:
    """Removes those of whom nothing speaks any more: no call, and no former value that an undo may bring back."""
    spoken_of = [
        *(exists().where(model.customer_id == Customer.id) for model in (Call, CallLeg, Survey)),
        exists().where(_OF_CALLS, _former("customer_id") == Customer.id),
        exists().where(cast(LaterRecord.record["customer_id"].astext, BigInteger) == Customer.id),
    ]
    of_nobody = (~each for each in spoken_of)
    return removed(delete(Customer).where(Customer.organisation_id == organisation_id, *of_nobody))


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
    gone = 0
    free = Agent.id.in_(set(made) - set(named_by))
    for agent_id in db.session.scalars(_as_made().where(free)).all():
        try:
            with db.session.begin_nested():
                removed(delete(Assignment).where(Assignment.agent_id == agent_id))
                gone += removed(delete(Agent).where(Agent.id == agent_id))
        except IntegrityError:
            continue  # something else rests on them, such as a rate of their own
    return gone


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
