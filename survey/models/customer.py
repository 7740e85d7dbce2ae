"""A customer: who called, and how to reach them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from survey.db import Base
from survey.vault import Sealed


class Customer(Base):
    """Phone (E.164) and email are sealed; their indexes find them again.

    One customer per phone, or per email where there is no phone.
    `relay` is for customers who use a relay service (waits are doubled); `consents_to_calls` null means not known.
    `said_by` holds, of what not the latest call said, or a leg or a version did, which record it was: field to
    [stamp or end, id, leg, source, whether it is a stamp]. So a record that comes in late changes what earlier ones
    said and not what later ones did.
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("(phone IS NULL) = (phone_index IS NULL)", name="phone_indexed"),
        CheckConstraint("(email IS NULL) = (email_index IS NULL)", name="email_indexed"),
        Index(
            "uq_customers_phone",
            "organisation_id",
            "phone_index",
            unique=True,
            postgresql_where="phone_index IS NOT NULL",
        ),
        Index(
            "uq_customers_email_only",
            "organisation_id",
            "email_index",
            unique=True,
            postgresql_where="phone_index IS NULL AND email_index IS NOT NULL",
        ),
        Index("ix_customers_email_index", "email_index", postgresql_where="email_index IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    phone: Mapped[str | None] = mapped_column(Sealed)
    phone_index: Mapped[bytes | None]
    email: Mapped[str | None] = mapped_column(Sealed)
    email_index: Mapped[bytes | None]
    language: Mapped[str | None]
    relay: Mapped[bool] = mapped_column(default=False)
    consents_to_calls: Mapped[bool | None]
    said_by: Mapped[dict[str, Any] | None]
