"""What agents and supervisors have in common: people of the roster, whose names stay plain."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column


class OnRoster:
    """Staff lists must be sorted and searched, so names are not sealed.

    `listed` is the person's recorded consent to stand in the public registry by name.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    key: Mapped[str]
    name: Mapped[str]
    listed: Mapped[bool] = mapped_column(default=False)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:
        return (UniqueConstraint("organisation_id", "key"),)
