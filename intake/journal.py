"""What an import changed in rows that were there before it, kept as they were, so that it can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import null

from survey.db import Base, db
from survey.models import Agent, Assignment, Call, CallLeg, Customer, ImportChange

TABLES: Mapping[str, type[Base]] = {
    model.__tablename__: model for model in (Call, CallLeg, Customer, Agent, Assignment)
}


class Journal:
    """The journal of one import; flushed with the rows it tells of."""

    def __init__(self, import_id: int) -> None:
        self.import_id = import_id

    def changed(self, model: type[Base], row_id: int, before: Mapping[str, Any]) -> None:
        """A row of the model is about to change; `before` are the columns that do, as they are stored (sealed)."""
        self._add(model, row_id, {name: as_json(value) for name, value in before.items()})

    def made(self, model: type[Base], row_id: int) -> None:
        """A row of the model was made (calls and customers excepted, which are found without)."""
        self._add(model, row_id, None)

    def _add(self, model: type[Base], row_id: int, before: dict[str, Any] | None) -> None:
        change = {"import_id": self.import_id, "row_table": model.__tablename__, "row_id": row_id}
        # A bare None would be kept as the JSON value null, which is not nothing to a query.
        db.session.add(ImportChange(**change, before=null() if before is None else before))


def as_json(value: Any) -> Any:
    """A column's value as JSON can hold it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value
