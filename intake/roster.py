"""Taking in a roster: what is new is added, what changed is brought up to date, nothing is ever deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from intake.bulk import take_turn
from intake.reports import ImportReport, begin, file_sha256, keep
from intake.roster_file import (
    AssignmentEntry,
    OrganisationEntry,
    PersonEntry,
    Placed,
    RosterFile,
    SiteEntry,
    read_roster,
)
from intake.rows import RowFault
from survey import audit
from survey.db import db
from survey.models import Agent, Assignment, ImportKind, Organisation, Site, Supervisor

OVERLAP = "overlaps another assignment of this agent"
LEFT_OUT = "another assignment of this agent overlaps"

Keyed = TypeVar("Keyed", Site, Supervisor, Agent)


def import_roster(path: Path, *, assignments: Path | None = None, actor: str) -> ImportReport:
    """Imports a roster file (and a CSV of assignments beside it), whole and in one transaction; commits.

    Every entry counts as one row. A faulty entry is rejected with its place and reason, the rest goes in. Raises
    InputError where a file as a whole cannot be read.
    """
    file = read_roster(path, assignments)
    report = ImportReport(ImportKind.ROSTER, path.name, _sha256(path, assignments))
    own_before = _own_numbers(file.organisation.entry.key)
    organisation = _organisation(file.organisation, report)
    take_turn(organisation.id)
    begin(report, organisation.id, actor)
    _Roster(organisation, report).take(file)
    for bad in file.bad:
        _reject(report, bad.where, bad.fault)
    keep(report, finished=True)
    counts = {name: getattr(report, name) for name in ("new", "updated", "unchanged", "rejected")}
    audit.record(actor, "roster imported", organisation, file=report.file_name, sha256=report.sha256, **counts)
    if organisation.own_numbers != own_before:
        # Calls from these are asked about by nobody: whoever adds one must be found.
        changed = {"before": own_before, "after": organisation.own_numbers}
        audit.record(actor, "own numbers changed", organisation, **changed)
    db.session.commit()
    return report


class _Roster:
    """The stored people and sites of one organisation, while a file is compared with them."""

    def __init__(self, organisation: Organisation, report: ImportReport) -> None:
        self._organisation_id, self._report = organisation.id, report
        self._sites = _by_key(Site, organisation.id)
        self._supervisors = _by_key(Supervisor, organisation.id)
        self._agents = _by_key(Agent, organisation.id)

    def take(self, file: RosterFile) -> None:
        for site in file.sites:
            self._put(site.entry.key, _site_columns(site.entry), Site, self._sites)
        for person in file.supervisors:
            self._put(person.entry.key, _person_columns(person.entry), Supervisor, self._supervisors)
        for person in file.agents:
            self._put(person.entry.key, _person_columns(person.entry), Agent, self._agents)
        db.session.flush()
        self._take_assignments(file.assignments)

    def _put(self, key: str, columns: Mapping[str, Any], model: type[Keyed], known: dict[str, Keyed]) -> None:
        row = known.get(key.casefold())
        if row is None:
            row = known[key.casefold()] = model(organisation_id=self._organisation_id, key=key, **columns)
            db.session.add(row)
            self._report.count_new()
        else:
            _bring_up_to_date(row, columns, f"{model.__tablename__} {row.key}", self._report)

    def _take_assignments(self, rows: Sequence[Placed[AssignmentEntry]]) -> None:
        by_agent: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        for row in rows:
            try:
                columns = self._assignment_columns(row.entry)
            except RowFault as fault:
                _reject(self._report, row.where, fault)
            else:
                by_agent.setdefault(columns["agent_id"], []).append((row.where, columns))
        stored = _stored_assignments(by_agent)
        for agent_id, given in by_agent.items():
            self._take_agents_assignments(given, stored.get(agent_id, {}))
        db.session.flush()

    def _assignment_columns(self, entry: AssignmentEntry) -> dict[str, Any]:
        leader = _known(self._supervisors, entry.supervisor, "supervisor") if entry.supervisor else None
        return {
            "agent_id": _known(self._agents, entry.agent, "agent").id,
            "supervisor_id": None if leader is None else leader.id,
            "site_id": _known(self._sites, entry.site, "site").id,
            "starts_on": entry.starts_on,
            "ends_on": entry.ends_on,
        }

    def _take_agents_assignments(
        self, given: Sequence[tuple[str, dict[str, Any]]], stored: dict[date, Assignment]
    ) -> None:
        """All of one agent's assignments or none: half a change would leave the agent in two places, or in none."""
        overlapping = _overlapping(given, stored)
        for where, columns in given:
            before = stored.get(columns["starts_on"])
            if overlapping and not (before and _same(before, columns)):
                _reject(self._report, where, RowFault(OVERLAP if where in overlapping else LEFT_OUT, column="from"))
            elif before is None:
                db.session.add(Assignment(**columns))
                self._report.count_new()
            else:
                _bring_up_to_date(before, columns, where, self._report)


def _organisation(placed: Placed[OrganisationEntry], report: ImportReport) -> Organisation:
    columns = placed.entry.model_dump()
    found = db.session.scalar(select(Organisation).where(Organisation.key == placed.entry.key))
    if found is None:
        found = Organisation(**columns)
        db.session.add(found)
        report.count_new()
    else:
        _bring_up_to_date(found, columns, f"organisation {found.key}", report)
    db.session.flush()
    return found


def _own_numbers(key: str) -> list[str]:
    return db.session.scalar(select(Organisation.own_numbers).where(Organisation.key == key)) or []


def _bring_up_to_date(row: Any, columns: Mapping[str, Any], what: str, report: ImportReport) -> None:
    changes = {name: value for name, value in columns.items() if name != "key" and getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        report.count_updated(what, changes)
    else:
        report.count_unchanged()


def _site_columns(entry: SiteEntry) -> dict[str, Any]:
    days = {name: sorted(day.isoformat() for day in getattr(entry, name)) for name in ("closed_days", "opened_days")}
    weekend = None if entry.weekend is None else sorted(set(entry.weekend))
    return entry.model_dump(exclude={"key"}) | days | {"weekend": weekend}


def _person_columns(entry: PersonEntry) -> dict[str, Any]:
    return {"name": entry.name, "listed": entry.listed}


def _by_key(model: type[Keyed], organisation_id: int) -> dict[str, Keyed]:
    rows = db.session.scalars(select(model).where(model.organisation_id == organisation_id))
    return {row.key.casefold(): row for row in rows}


def _known(known: Mapping[str, Keyed], key: str, what: str) -> Keyed:
    found = known.get(key.casefold())
    if found is None:
        raise RowFault(f"unknown {what}", column=what, detail=repr(key))
    return found


def _stored_assignments(agent_ids: Mapping[int, object]) -> dict[int, dict[date, Assignment]]:
    found: dict[int, dict[date, Assignment]] = {}
    for row in db.session.scalars(select(Assignment).where(Assignment.agent_id.in_(list(agent_ids)))):
        found.setdefault(row.agent_id, {})[row.starts_on] = row
    return found


def _overlapping(given: Sequence[tuple[str, dict[str, Any]]], stored: Mapping[date, Assignment]) -> set[str]:
    """The places of the rows that overlap another of the same agent: one of the file, or a stored one it leaves out."""
    in_file = {columns["starts_on"] for _, columns in given}
    spans = [(columns["starts_on"], columns["ends_on"] or date.max, where) for where, columns in given]
    spans += [(row.starts_on, row.ends_on or date.max, "") for day, row in stored.items() if day not in in_file]
    spans.sort(key=lambda span: span[:2])
    clashes: set[str] = set()
    for n, (_, end, where) in enumerate(spans):
        for start, _, other in spans[n + 1 :]:
            if start >= end:
                break
            clashes |= {where, other}
    return clashes - {""}


def _same(before: Assignment, columns: Mapping[str, Any]) -> bool:
    return all(getattr(before, name) == value for name, value in columns.items())


def _reject(report: ImportReport, where: str, fault: RowFault) -> None:
    report.count_rejected(where, fault.column, fault.reason, fault.text)


def _sha256(path: Path, assignments: Path | None) -> str:
    """The file's own; with a CSV beside it, the SHA-256 of both files' hexadecimal sums, one after the other."""
    if assignments is None:
        return file_sha256(path)
    return hashlib.sha256((file_sha256(path) + file_sha256(assignments)).encode()).hexdigest()
