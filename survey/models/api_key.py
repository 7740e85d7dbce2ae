"""An API key: how a program is known to the JSON API."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base
from survey.models.organisation import Organisation


class ApiKey(Base):
    """Belongs to one organisation and sees nothing of another. Only its SHA-256 is kept; `scopes` say what it may."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str]
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    revoked_at: Mapped[datetime | None]

    organisation: Mapped[Organisation] = relationship()
