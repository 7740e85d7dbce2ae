"""A supervisor: who leads agents at a site. The certification rules also say "manager"."""

from __future__ import annotations

from survey.db import Base
from survey.models.staff import OnRoster


class Supervisor(OnRoster, Base):
    """Leads the agents whose assignments say so."""

    __tablename__ = "supervisors"
