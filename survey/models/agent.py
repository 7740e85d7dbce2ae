"""An agent: who handled the call (the CSR of the certification rules)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class Agent(Base):
    """Name stays plain: staff lists must be sorted and searched.

    `listed` is the person's recorded consent to stand in the public registry by name.
    """

    __tablename__ = "agents"
    __table_args__ = (UniqueConstraint("organisation_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    key: Mapped[str]
    name: Mapped[str]
    listed: Mapped[bool] = mapped_column(default=False)
