"""An opt-out: a contact that asked to be left alone."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base, one_of


class OptOutSource(StrEnum):
    PHONE_KEY = "phone_key"
    WEB_PAGE = "web_page"
    ONE_CLICK = "one_click"
    IMPORT = "import"
    COMMAND = "command"
    CONSOLE = "console"


class OptOut(Base):
    """By contact, not by customer: `kind` is "phone" or "email", `contact_index` the keyed hash.

    Removed ones are kept as history.
    """

    __tablename__ = "optouts"
    __table_args__ = (
        Index(
            "uq_optouts_in_force",
            "organisation_id",
            "contact_index",
            unique=True,
            postgresql_where="removed_at IS NULL",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    kind: Mapped[str]
    contact_index: Mapped[bytes]
    source: Mapped[OptOutSource] = mapped_column(one_of(OptOutSource))
    survey_id: Mapped[int | None] = mapped_column(ForeignKey("surveys.id"))
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
