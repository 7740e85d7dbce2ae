"""Agents whom the roster does not know, made from the calls themselves when the import says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update

from intake.bulk import take_turn
from intake.call_rows import IncomingCall
from intake.journal import Journal
from intake.roster_names import RosterNames
from survey.db import db
from survey.models import Agent, Assignment


@dataclass
class _OwnAssignment:
    """The one assignment of an agent who came from call records: no supervisor, no end, so its start may move back."""

    id: int
    site_id: int
    starts_on: date


def roster_names(organisation_id: int) -> RosterNames:
    """The organisation's agents as call records may mention them."""
    agents = db.session.execute(select(Agent.id, Agent.key, Agent.name).where(Agent.organisation_id == organisation_id))
    return RosterNames.of((id, key, name) for id, key, name in agents)


class Staff:
    """Makes agents as an import meets them. `zones` are the sites' zones by id, `names` the roster, which grows."""

    def __init__(self, organisation_id: int, names: RosterNames, zones: Mapping[int, str], journal: Journal) -> None:
        self._organisation_id, self._names, self._journal = organisation_id, names, journal
        self._zones = {id: ZoneInfo(zone) for id, zone in zones.items()}
        self._own = self._own_assignments()
        self.made = 0

    def credited(self, call: IncomingCall) -> IncomingCall:
        """The call with its agent's id: found, or made at the call's site since the call's day."""
        if call.agent_id is None:
            if call.agent is None:
                return call
            return call._replace(agent_id=self.agent_id(call.agent, call.site_id, self._day(call)))
        if call.agent_id in self._own:
            self._reach_back(call.agent_id, call.site_id, self._day(call))
        return call

    def agent_id(self, name: str, site_id: int, day: date) -> int:
        """The agent of this key or name, made if need be; `day` is the call's, at its site."""
        known = self._names.find(name, "")
        if known is None:
            return self._make(name, site_id, day)
        self._reach_back(known, site_id, day)
        return known

    def _day(self, call: IncomingCall) -> date:
        return call.started_at.astimezone(self._zones[call.site_id]).date()

    def _make(self, name: str, site_id: int, day: date) -> int:
        take_turn(self._organisation_id)
        its_key = func.lower(Agent.key) == func.lower(name)
        same = select(Agent.id).where(Agent.organisation_id == self._organisation_id, its_key)
        made = db.session.scalar(same.order_by(Agent.id).limit(1))
        if made is not None:  # by another import, since this one began
            self._own |= self._own_assignments()
            self._names.add(made, name, name)
            self._reach_back(made, site_id, day)
            return made
        agent = Agent(organisation_id=self._organisation_id, key=name, name=name)
        db.session.add(agent)
        db.session.flush()
        assignment = Assignment(agent_id=agent.id, supervisor_id=None, site_id=site_id, starts_on=day)
        db.session.add(assignment)
        db.session.flush()
        self._journal.made(Agent, agent.id)
        self._journal.made(Assignment, assignment.id)
        self._names.add(agent.id, name, name)
        self._own[agent.id] = _OwnAssignment(assignment.id, site_id, day)
        self.made += 1
        return agent.id

    def _reach_back(self, agent_id: int, site_id: int, day: date) -> None:
        """An earlier call than any before: the agent was there on that day already."""
        own = self._own.get(agent_id)
        if own is None or own.site_id != site_id or own.starts_on <= day:
            return
        take_turn(self._organisation_id)
        known = self._own_assignments(agent_id).get(agent_id)
        if known is None:  # a roster has spoken since
            del self._own[agent_id]
            return
        if known.starts_on > day:
            self._journal.changed(Assignment, known.id, {"starts_on": known.starts_on})
            db.session.execute(update(Assignment).where(Assignment.id == known.id).values(starts_on=day))
            known.starts_on = day
        self._own[agent_id] = known

    def _own_assignments(self, agent_id: int | None = None) -> dict[int, _OwnAssignment]:
        """Of all agents, or of one, as the database has them now."""
        query = select(Assignment).join(Agent).where(Agent.organisation_id == self._organisation_id)
        query = query if agent_id is None else query.where(Agent.id == agent_id)
        found: dict[int, list[Assignment]] = {}
        for assignment in db.session.scalars(query.execution_options(populate_existing=True)):
            found.setdefault(assignment.agent_id, []).append(assignment)
        return {
            agent_id: _OwnAssignment(only.id, only.site_id, only.starts_on)
            for agent_id, (only, *more) in found.items()
            if not more and only.supervisor_id is None and only.ends_on is None
        }
