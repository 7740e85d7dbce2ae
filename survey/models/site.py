"""A site: one contact centre, with the calendar its deadlines follow."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.calendars import Calendar, dates
from survey.db import Base
from survey.models.organisation import Organisation


class Site(Base):
    """Carries time zone, country, subdivision, weekend and its own closed and opened days.

    `weekend` holds weekday numbers, Monday = 0; null means the country's.
    A closed site leaves its organisation's scope on `closed_on`.
    """

    __tablename__ = "sites"
    __table_args__ = (
        UniqueConstraint("organisation_id", "key"),
        UniqueConstraint("id", "organisation_id"),
        CheckConstraint("closed_on IS NULL OR opened_on IS NULL OR closed_on > opened_on", name="closed_after_opened"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    key: Mapped[str]
    name: Mapped[str]
    time_zone: Mapped[str]
    country: Mapped[str]
    subdivision: Mapped[str | None]
    weekend: Mapped[list[int] | None]
    closed_days: Mapped[list[str]] = mapped_column(default=list)
    opened_days: Mapped[list[str]] = mapped_column(default=list)
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]

    organisation: Mapped[Organisation] = relationship()

    @property
    def calendar(self) -> Calendar:
        return Calendar(
            zone=self.time_zone,
            country=self.country,
            subdivision=self.subdivision,
            weekend=None if self.weekend is None else tuple(self.weekend),
            closed=dates(self.closed_days),
            opened=dates(self.opened_days),
        )
