"""What an import changed becomes what it was before, by few statements, however many rows those are.

Of each column the value that goes back is the one before the import's first change. Where another import changed the
column again afterwards, the row stays as that one left it, and the way back of that import leads further instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    Subquery,
    Text,
    TypeDecorator,
    case,
    cast,
    column,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute, aliased

from intake.journal import TABLES
from intake.undo_steps import Stage, Steps
from survey.db import db
from survey.models import Call, CallLeg, ImportChange

# As many rows are looked at by one statement; so often an undo can say how far it is.
PAGE = 10_000
OF_CALLS = (Call.__tablename__, CallLeg.__tablename__)


def restore(import_id: int, steps: Steps) -> int:
    """Takes the import's changes back, the last first; returns how many those were.

    Removes the legs that it added to calls which were there before, too.
    """
    its = (
        ImportChange.import_id == import_id,
        or_(ImportChange.before.is_not(None), ImportChange.row_table == CallLeg.__tablename__),
    )
    total, restored = db.session.execute(select(func.count(), func.count(ImportChange.before)).where(*its)).one()
    columns = _columns(import_id) if restored else {}
    for done, first, last in pages(ImportChange.id, *its):
        steps.at(Stage.CHANGES, done, total)
        page = (*its, ImportChange.id.between(first, last))
        for name, changed in columns.items():
            _restore_rows(name, changed, import_id, page)
        added = select(ImportChange.row_id).where(*page, ImportChange.before.is_(None))
        removed(delete(CallLeg).where(CallLeg.id.in_(added)))
        removed(delete(ImportChange).where(*page))
    return int(restored)


def pages(ids: InstrumentedAttribute[int], *conditions: ColumnElement[bool]) -> Iterator[tuple[int, int, int]]:
    """The ids by the page, the last first: how many went before, the first and the last id of each page."""
    place = func.row_number().over(order_by=ids.desc()) - 1
    numbered = select(ids.label("id"), cast(place, BigInteger).op("/")(PAGE).label("page")).where(*conditions)
    each = numbered.subquery()
    query = select(func.min(each.c.id), func.max(each.c.id)).group_by(each.c.page).order_by(each.c.page)
    for number, (first, last) in enumerate(db.session.execute(query).all()):
        yield number * PAGE, first, last


def removed(statement: Any) -> int:
    """Carries a DELETE (or UPDATE) out; returns how many rows it met."""
    result: Any = db.session.execute(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)


def _columns(import_id: int) -> dict[str, list[str]]:
    """The tables in which the import changed anything, and the columns of each."""
    names = func.jsonb_object_keys(ImportChange.before).table_valued(column("name", Text))
    query = (
        select(ImportChange.row_table, func.array_agg(names.c.name.distinct()))
        .select_from(ImportChange)
        .join(names, true())
        .where(ImportChange.import_id == import_id)
        .group_by(ImportChange.row_table)
    )
    return {table: sorted(changed) for table, changed in db.session.execute(query)}


def _restore_rows(
    table_name: str, columns: Collection[str], import_id: int, page: Collection[ColumnElement[bool]]
) -> None:
    model: Any = TABLES[table_name]
    if table_name not in OF_CALLS:  # of those no other import changed any later, or the undo was refused
        _lead_further(_values(table_name, import_id, page, changed_later=True))
    was = _values(table_name, import_id, page, changed_later=False)
    values = {name: _former(model.__table__.c[name], was.c.before) for name in columns}
    removed(update(model).where(model.id == was.c.id).values(values))


def _values(
    table_name: str, import_id: int, page: Collection[ColumnElement[bool]], *, changed_later: bool
) -> Subquery[Any]:
    """(id, before): the first values that the page's changes found, by row.

    Those with `changed_later` are of columns that another import changed afterwards, by the id of that change.
    """
    field = func.jsonb_each(ImportChange.before).table_valued(column("key", Text), column("value", JSONB))
    by = _next_change(import_id, field.c.key) if table_name not in OF_CALLS else null()
    said = (
        select(
            ImportChange.id, ImportChange.row_id, field.c.key, field.c.value, cast(by, BigInteger).label("changed_by")
        )
        .select_from(ImportChange)
        .join(field, true())
        .where(*page, ImportChange.row_table == table_name)
        .subquery()
    )
    id = said.c.changed_by if changed_later else said.c.row_id
    # Of values under one name the last stays.
    first = func.jsonb_object_agg(said.c.key, aggregate_order_by(said.c.value, said.c.id.desc()), type_=JSONB)
    of_those = said.c.changed_by.is_not(None) if changed_later else said.c.changed_by.is_(None)
    return select(id.label("id"), first.label("before")).where(of_those).group_by(id).subquery()


def _next_change(import_id: int, key: ColumnElement[str]) -> ColumnElement[int]:
    later = aliased(ImportChange)
    return (
        select(func.min(later.id))
        .where(
            later.row_table == ImportChange.row_table,
            later.row_id == ImportChange.row_id,
            later.id > ImportChange.id,
            later.import_id != import_id,
            later.before.has_key(key),
        )
        .scalar_subquery()
    )


def _lead_further(values: Subquery[Any]) -> None:
    removed(
        update(ImportChange)
        .where(ImportChange.id == values.c.id)
        .values(before=ImportChange.before.op("||")(values.c.before))
    )


def _former(of: Any, before: Any) -> ColumnElement[Any]:
    """A column's value before, where there is one; sealed texts go back as they are."""
    value = before[of.name]
    stored: ColumnElement[Any]
    if isinstance(of.type, LargeBinary):
        stored = func.decode(value.astext, "hex")
    elif isinstance(of.type, JSONB):
        stored = func.nullif(value, cast(literal("null", Text), JSONB))
    else:
        stored = cast(value.astext, Text() if isinstance(of.type, TypeDecorator) else of.type)
    return case((before.has_key(of.name), stored), else_=of)
