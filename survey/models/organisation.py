"""An organisation: the top of the hierarchy, and who asks."""

from __future__ import annotations

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base


class Organisation(Base):
    """Owns sites, people, campaigns and programmes. Customers are told its name, address, phone and privacy page.

    `own_numbers` are beginnings, in E.164, of numbers that are its own or used for tests: calls from them are internal.
    """

    __tablename__ = "organisations"
    __table_args__ = (CheckConstraint("key <> '' AND name <> ''", name="named"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    country: Mapped[str]
    language: Mapped[str] = mapped_column(default="en")
    postal_address: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    privacy_url: Mapped[str] = mapped_column(default="")
    own_numbers: Mapped[list[str]] = mapped_column(default=list)
