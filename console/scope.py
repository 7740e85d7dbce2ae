"""Whose rows a reader may see: those of their own organisation, or all of them when the sign-in belongs to none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask_login import current_user
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute

from survey.db import db
from survey.errors import NotFound
from survey.models import Campaign, Site

# Who reads what. Supervisors and agents have no page yet: a sign-in is not tied to a person of the roster, so the
# console could not tell own people from others', and who was drawn is hidden from them until the survey closes.
OVERVIEW_READERS = ("manager", "auditor", "issuer")
CALL_READERS = ("manager", "auditor")
STANDING_READERS = ("manager", "auditor", "issuer")
CAMPAIGN_MANAGERS = ("manager",)
INTAKE_MANAGERS = ("manager",)


@dataclass(frozen=True)
class Scope:
    """The organisation whose rows may be seen; None is every organisation of this installation."""

    organisation_id: int | None

    def holds(self, column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
        """The condition that `column`, an organisation's id, is within reach."""
        return true() if self.organisation_id is None else column == self.organisation_id

    def sites(self) -> list[Site]:
        return list(
            db.session.scalars(select(Site).where(self.holds(Site.organisation_id)).order_by(Site.name, Site.id))
        )

    def campaign_ids(self) -> Select[int]:
        """The ids of the campaigns within reach, to filter surveys, draws and attempts by."""
        return select(Campaign.id).where(self.holds(Campaign.organisation_id))


def current() -> Scope:
    """The scope of whoever is signed in."""
    return Scope(current_user.organisation_id)


def found(row: Any, what: str) -> Any:
    """The row; raises NotFound when there is none, which is also the answer for another organisation's."""
    if row is None:
        raise NotFound(f"There is no such {what}", how="It may have been removed, or belong to another organisation.")
    return row
