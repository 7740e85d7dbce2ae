"""Who handled a call: agents found by key or name, or made from the calls themselves when the import says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, update

from intake.bulk import take_turn
from intake.rows import RowFault, shown
from survey.db import db
from survey.models import Agent, Assignment


@dataclass
class _OwnAssignment:
    """The one assignment of an agent who came from call records: no supervisor, no end, so its start may move back."""

    id: int
    site_id: int
    starts_on: date


class Staff:
    """The agents of an organisation, as an import meets them. Keys and names are compared without regard to case."""

    def __init__(self, organisation_id: int, create: bool) -> None:
        self._organisation_id, self._create = organisation_id, create
        self._by_key: dict[str, int] = {}
        self._by_name: dict[str, list[int]] = {}
        self.made = 0
        for id, key, name in db.session.execute(
            select(Agent.id, Agent.key, Agent.name).where(Agent.organisation_id == organisation_id)
        ):
            self._remember(id, key, name)
        self._own = self._own_assignments() if create else {}

    def agent_id(self, text: str, column: str, site_id: int, day: date) -> int:
        """The agent called `text` by key or name. `day` is the call's, at its site.

        Raises RowFault for an agent who is unknown (unless agents are to be made) or whose name several have.
        """
        known = self._known(text.casefold(), text, column)
        if known is None and not self._create:
            raise RowFault("unknown agent", column=column, detail=shown(text))
        if known is None:
            return self._make(text, site_id, day)
        self._reach_back(known, site_id, day)
        return known

    def _known(self, wanted: str, text: str, column: str) -> int | None:
        by_key = self._by_key.get(wanted)
        if by_key is not None:
            return by_key
        by_name = self._by_name.get(wanted, [])
        if len(by_name) > 1:
            raise RowFault("several agents have this name", column=column, detail=shown(text))
        return by_name[0] if by_name else None

    def _remember(self, id: int, key: str, name: str) -> None:
        self._by_key[key.casefold()] = id
        self._by_name.setdefault(name.casefold(), []).append(id)

    def _make(self, text: str, site_id: int, day: date) -> int:
        """A new agent, at the call's site since the call's day."""
        take_turn(self._organisation_id)
        made = db.session.scalar(select(Agent.id).filter_by(organisation_id=self._organisation_id, key=text))
        if made is not None:  # by another import, since this one began
            self._own |= self._own_assignments()
            self._remember(made, text, text)
            self._reach_back(made, site_id, day)
            return made
        agent = Agent(organisation_id=self._organisation_id, key=text, name=text)
        db.session.add(agent)
        db.session.flush()
        assignment = Assignment(agent_id=agent.id, supervisor_id=None, site_id=site_id, starts_on=day)
        db.session.add(assignment)
        db.session.flush()
        self._remember(agent.id, text, text)
        self._own[agent.id] = _OwnAssignment(assignment.id, site_id, day)
        self.made += 1
        return agent.id

    def _reach_back(self, agent_id: int, site_id: int, day: date) -> None:
        """An earlier call than any before: the agent was there on that day already."""
        own = self._own.get(agent_id)
        if own is None or own.site_id != site_id or own.starts_on <= day:
            return
        take_turn(self._organisation_id)
        own.starts_on = day
        db.session.execute(
            update(Assignment).where(Assignment.id == own.id, Assignment.starts_on > day).values(starts_on=day)
        )

    def _own_assignments(self) -> dict[int, _OwnAssignment]:
        found: dict[int, list[Assignment]] = {}
        for assignment in db.session.scalars(
            select(Assignment).join(Agent).where(Agent.organisation_id == self._organisation_id)
        ):
            found.setdefault(assignment.agent_id, []).append(assignment)
        return {
            agent_id: _OwnAssignment(only.id, only.site_id, only.starts_on)
            for agent_id, (only, *more) in found.items()
            if not more and only.supervisor_id is None and only.ends_on is None
        }
