"""Storing calls by the batch: new ones in, changed ones brought up to date until their draw, later records beside.

take turn -> what is stored -> customers -> what becomes of each record (cases.py) -> write
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from intake.bulk import copy_rows, is_any, new_ids, take_turn
from intake.call_rows import IncomingCall
from intake.cases import KEPT, Case, Fate, Values, Verdict, changes_of, columns_given, is_older, with_stamps
from intake.journal import Journal, as_json
from intake.people import Known, customer_ids
from survey import clock
from survey.db import Base, db
from survey.errors import Refused
from survey.models import Agent, Call, CallLeg, Draw, LaterRecord

OLDER = "records older than what is stored (they change nothing but a missing contact)"
BESIDE = "records of calls that have had their draw (kept beside, changing nothing)"
AGAIN = "records that say otherwise of a call which this import had brought (is the id one call's alone?)"
FURTHER_LEGS = "further legs of a call (all legs together make up one call)"

_FIRST_COLUMNS = ("organisation_id", "source", "import_id", "received_at", "external_id")
_CALL_COLUMNS = (*KEPT, "agent_uncertain")
_LEG_COLUMNS = (*KEPT, "leg")


class Outcome(NamedTuple):
    """What became of one incoming call, and which of its columns differ from what was stored."""

    call: IncomingCall
    fate: Fate
    changed: tuple[str, ...] = ()


class CallStore:
    """Calls of one source of one organisation. `fields` are those this import has; it never erases others."""

    def __init__(self, organisation_id: int, source: str, journal: Journal, fields: frozenset[str]) -> None:
        self._organisation_id, self._source, self._journal = organisation_id, source, journal
        self._columns = columns_given(fields)
        self.notes: Counter[str] = Counter()

    def put(self, batch: Sequence[IncomingCall]) -> list[Outcome]:
        """Stores a batch; flushed, not committed. The outcomes are in the batch's order.

        A later record of a call replaces an earlier one. A call that has its draw is left as it was drawn. Raises
        Refused where an agent found earlier is gone by now.
        """
        take_turn(self._organisation_id)
        _check_agents(batch)
        stored = self._stored({call.external_id for call in batch})
        legs = _legs([values["id"] for values in stored.values()])
        times = Counter(call.external_id for call in batch)
        plain = [c for c in batch if c.leg is None and c.external_id not in stored and times[c.external_id] == 1]
        new = {call.external_id for call in plain} if len(plain) < len(batch) else set()
        others = [c for c in batch if c.external_id not in new] if len(plain) < len(batch) else []
        customers = self._customers(plain, others, stored, legs)
        self._write_plain(plain, customers)
        if not others:
            return [Outcome(call, Fate.NEW) for call in batch]
        settled = iter(self._settle(others, stored, legs, customers))
        return [Outcome(call, Fate.NEW) if call.external_id in new else next(settled) for call in batch]

    def _customers(
        self,
        plain: Sequence[IncomingCall],
        others: Sequence[IncomingCall],
        stored: Mapping[str, Values],
        legs: Mapping[int, Mapping[str, Values]],
    ) -> dict[bytes, int]:
        drawn = _with_draw([values["id"] for values in stored.values()])
        known = {
            external_id: Known(values["customer_id"], values["id"] in drawn) for external_id, values in stored.items()
        }
        speaking = with_stamps(others, stored, legs)
        return customer_ids(self._organisation_id, self._source, plain, speaking, known, self._journal, self.notes)

    def _stored(self, external_ids: Collection[str]) -> dict[str, Values]:
        """The stored calls of these ids, by external id."""
        columns = (Call.external_id, Call.id, Call.import_id, *(getattr(Call, name) for name in _CALL_COLUMNS))
        rows = db.session.execute(
            select(*columns).where(
                Call.organisation_id == self._organisation_id,
                Call.source == self._source,
                is_any(Call.external_id, list(external_ids)),
            )
        )
        return {
            row[0]: {"id": row[1], "import_id": row[2]} | dict(zip(_CALL_COLUMNS, row[3:], strict=True)) for row in rows
        }

    # --- most calls: new, and one record each ---

    def _write_plain(self, calls: Sequence[IncomingCall], customers: Mapping[bytes, int]) -> None:
        if not calls:
            return
        organisation_id, source, import_id = self._organisation_id, self._source, self._journal.import_id
        received_at = clock.now().isoformat()
        rows = (
            (
                *(organisation_id, source, import_id, received_at, c.external_id),
                *(c.site_id, c.started_at.isoformat(), c.ended_at.isoformat(), c.answered, c.talk_seconds),
                *(c.agent_id, c.queue, c.topic, c.language, bool(c.internal)),
                c.recorded_at,
                _customer_id(c, customers),
                c.contact_fault,
                False,
            )
            for c in calls
        )
        copy_rows(Call, (*_FIRST_COLUMNS, *_CALL_COLUMNS), rows)

    # --- calls that are there already, come twice, or come in legs ---

    def _settle(
        self,
        records: Sequence[IncomingCall],
        stored: Mapping[str, Values],
        legs: Mapping[int, dict[str, Values]],
        customers: Mapping[bytes, int],
    ) -> list[Outcome]:
        """The outcomes of the records, in their order, after writing what they change."""
        incoming = [(call, _values(call, customers)) for call in records]
        cases = self._cases(incoming, stored, legs)
        outcomes = []
        for call, values in incoming:
            case = cases[call.external_id]
            self._count(call, values, case)
            verdict = case.take(call, values, self._columns)
            if verdict.fate is Fate.KEPT_BESIDE:
                self._keep_beside(case, verdict)
            brought = case.stored is None or stored[call.external_id]["import_id"] == self._journal.import_id
            self.notes[AGAIN] += verdict.fate is Fate.UPDATED and brought
            outcomes.append(Outcome(call, verdict.fate, tuple(verdict.changes)))
        self._write(cases)
        return outcomes

    def _cases(
        self,
        incoming: Iterable[tuple[IncomingCall, Values]],
        stored: Mapping[str, Values],
        legs: Mapping[int, dict[str, Values]],
    ) -> dict[str, Case]:
        touched = {
            call.external_id
            for call, values in incoming
            if (before := stored.get(call.external_id)) is not None
            and (call.leg is not None or legs.get(before["id"]) or self._differs(before, call, values))
        }
        drawn = _drawn([stored[id]["id"] for id in touched])
        cases: dict[str, Case] = {}
        for call, _ in incoming:
            if call.external_id not in cases:
                before = stored.get(call.external_id)
                id = None if before is None else before["id"]
                values = None if before is None else {name: before[name] for name in _CALL_COLUMNS}
                cases[call.external_id] = Case(id, values, legs.get(id, {}) if id else {}, id in drawn)
        return cases

    def _differs(self, before: Values, call: IncomingCall, values: Values) -> bool:
        return bool(changes_of(before, values, self._columns, call.contact is not None))

    def _count(self, call: IncomingCall, values: Values, case: Case) -> None:
        before = case.before(call)
        self.notes[OLDER] += before is not None and is_older(before, values)
        self.notes[FURTHER_LEGS] += call.leg is not None and case.values is not None and call.leg not in case.legs

    def _keep_beside(self, case: Case, verdict: Verdict) -> None:
        record = {name: as_json(value) for name, value in sorted(verdict.changes.items())}
        self.notes[BESIDE] += 1
        db.session.execute(
            insert(LaterRecord)
            .values(
                call_id=case.id,
                import_id=self._journal.import_id,
                received_at=clock.now(),
                fingerprint=hashlib.sha256(json.dumps(record).encode()).digest(),
                record=record,
            )
            .on_conflict_do_nothing()
        )

    # --- writing cases ---

    def _write(self, cases: Mapping[str, Case]) -> None:
        new = [(external_id, case) for external_id, case in cases.items() if case.id is None]
        first = (self._organisation_id, self._source, self._journal.import_id, clock.now())
        for (_, case), id in zip(new, new_ids(Call, len(new)), strict=True):
            case.id = id
        rows = ((case.id, *first, external_id, *_in_order(case.values, _CALL_COLUMNS)) for external_id, case in new)
        copy_rows(Call, ("id", *_FIRST_COLUMNS, *_CALL_COLUMNS), rows)
        self._update(Call, [(case.id, case.stored, case.values) for case in cases.values() if case.stored is not None])
        self._write_legs(cases.values())

    def _write_legs(self, cases: Iterable[Case]) -> None:
        made, changed = [], []
        for case in cases:
            for name, leg in case.legs.items():
                before = case.stored_legs.get(name)
                if before is None:
                    made.append((case, leg))
                elif before != leg:
                    changed.append((before["id"], before, leg))
        ids = new_ids(CallLeg, len(made))
        import_id = self._journal.import_id
        rows = (
            (id, case.id, import_id, *_in_order(leg, _LEG_COLUMNS)) for id, (case, leg) in zip(ids, made, strict=True)
        )
        copy_rows(CallLeg, ("id", "call_id", "import_id", *_LEG_COLUMNS), rows)
        for id, (case, _) in zip(ids, made, strict=True):
            if case.stored is not None:  # else the leg goes with its call
                self._journal.made(CallLeg, id)
        self._update(CallLeg, changed)

    def _update(self, model: type[Base], rows: Iterable[tuple[int | None, Values, Values | None]]) -> None:
        """Brings rows up to date: (id, as stored, as they are to be)."""
        for id, before, after in rows:
            assert id is not None and after is not None
            changes = {name: value for name, value in after.items() if value != before[name]}
            if changes:
                self._journal.changed(model, id, {name: before[name] for name in changes})
                table: Any = model
                db.session.execute(
                    update(model).where(table.id == id).values(changes).execution_options(synchronize_session=False)
                )


def _values(call: IncomingCall, customers: Mapping[bytes, int]) -> Values:
    values = {name: getattr(call, name) for name in KEPT if name != "customer_id"}
    return values | {"customer_id": _customer_id(call, customers)}


def _customer_id(call: IncomingCall, customers: Mapping[bytes, int]) -> int | None:
    if call.contact is None or (key := call.contact.key) is None:
        return None
    return customers[key]


def _in_order(values: Values | None, columns: Sequence[str]) -> list[Any]:
    assert values is not None
    return [values[name] for name in columns]


def _legs(call_ids: Sequence[int]) -> dict[int, dict[str, Values]]:
    """The stored legs of calls, by call and name; each with its id."""
    found: dict[int, dict[str, Values]] = {}
    if call_ids:
        columns = (CallLeg.call_id, CallLeg.id, *(getattr(CallLeg, name) for name in _LEG_COLUMNS))
        for row in db.session.execute(select(*columns).where(is_any(CallLeg.call_id, call_ids))):
            leg = {"id": row[1]} | dict(zip(_LEG_COLUMNS, row[2:], strict=True))
            found.setdefault(row[0], {})[leg["leg"]] = leg
    return found


def _check_agents(batch: Sequence[IncomingCall]) -> None:
    """An undo takes the agents away that its import had made, whoever has looked them up before."""
    wanted = {call.agent_id for call in batch if call.agent_id is not None}
    if not wanted:
        return
    if len(db.session.scalars(select(Agent.id).where(is_any(Agent.id, list(wanted)))).all()) < len(wanted):
        raise Refused(
            "agents of these calls are gone: the import that made them has just been undone",
            how="Import the file again.",
        )


def _drawn(call_ids: Sequence[int]) -> frozenset[int]:
    """Those of the calls that have their draw. All are locked first: no draw can come in between."""
    if not call_ids:
        return frozenset()
    db.session.execute(select(Call.id).where(is_any(Call.id, call_ids)).order_by(Call.id).with_for_update())
    return _with_draw(call_ids)


def _with_draw(call_ids: Sequence[int]) -> frozenset[int]:
    if not call_ids:
        return frozenset()
    return frozenset(db.session.scalars(select(Draw.call_id).where(is_any(Draw.call_id, call_ids))))
