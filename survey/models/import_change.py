"""An import's change to a row that was there before: what the row said until then, so that the import can be undone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class ImportChange(Base):
    """`before` holds the former values of the columns that changed (contacts sealed); null: the import made the row.

    New calls and customers have no such row: a call names its import itself.
    """

    __tablename__ = "import_changes"
    __table_args__ = (
        CheckConstraint(
            "row_table IN ('calls', 'call_legs', 'customers', 'agents', 'assignments')", name="of_a_known_table"
        ),
        Index("ix_import_changes_row", "row_table", "row_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), index=True)
    row_table: Mapped[str]
    row_id: Mapped[int]
    before: Mapped[dict[str, Any] | None]
