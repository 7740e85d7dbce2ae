"""An upload: a file of calls handed in at the console, while a person looks at how it would be read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class Upload(Base):
    """`content` is sealed, since it holds customers' contacts; kept in the database so that any machine can go on.

    Deleted once it is imported, and after a day in any case.
    """

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    file_name: Mapped[str]
    content: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[str]
