"""An import: who handed in which file, and what became of every row."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base, one_of


class ImportKind(StrEnum):
    CALLS = "calls"
    ROSTER = "roster"
    CONTACTS = "contacts"
    OPTOUTS = "optouts"
    RESPONSES = "responses"
    TOTALS = "totals"


class ImportRecord(Base):
    """Every row read is counted once: new, updated, unchanged or rejected (`rejected_by` counts the reasons).

    `notes` counts oddities that were settled by a stated rule. An undone import keeps its record.
    """

    __tablename__ = "imports"
    __table_args__ = (CheckConstraint("read = new + updated + unchanged + rejected", name="counts_add_up"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    kind: Mapped[ImportKind] = mapped_column(one_of(ImportKind))
    source: Mapped[str] = mapped_column(default="")
    file_name: Mapped[str]
    sha256: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    actor: Mapped[str]
    read: Mapped[int] = mapped_column(default=0)
    new: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    rejected_by: Mapped[dict[str, Any]] = mapped_column(default=dict)
    rejects_file: Mapped[str | None]
    notes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str | None]
