"""An agent: who handled the call (the CSR of the certification rules)."""

from __future__ import annotations

from survey.db import Base
from survey.models.staff import OnRoster


class Agent(OnRoster, Base):
    """Belongs to a supervisor and a site by dated assignments only, never by itself."""

    __tablename__ = "agents"
