"""Storing calls by the batch: new ones in, changed ones brought up to date until their draw, the rest left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update

from intake.bulk import insert_many, is_any, take_turn
from intake.call_rows import IncomingCall
from intake.people import Caller, customer_ids
from survey import clock
from survey.db import db
from survey.models import Call, Draw

# What a later record of the same call may change; id, source, import and time of receipt stay as they first came.
ALWAYS_GIVEN = ("site_id", "started_at", "ended_at", "answered", "talk_seconds")
WHERE_GIVEN = {"agent": "agent_id", "queue": "queue", "topic": "topic", "language": "language", "internal": "internal"}
CONTACT = ("customer_id", "contact_fault")
KEPT = (*ALWAYS_GIVEN, *WHERE_GIVEN.values(), *CONTACT)

Values = dict[str, Any]


class Fate(StrEnum):
    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DRAWN = "drawn"


@dataclass(frozen=True)
class Outcome:
    """What became of one incoming call, and which of its columns differ from what was stored."""

    call: IncomingCall
    fate: Fate
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class CallStore:
    """Calls of one source of one organisation. `given` are the fields this import has; it never erases others."""

    organisation_id: int
    source: str
    import_id: int
    given: frozenset[str]

    def put(self, batch: Sequence[IncomingCall]) -> list[Outcome]:
        """Stores a batch, in its order; flushed, not committed.

        A later record of a call replaces an earlier one. A call that has its draw is left as it was drawn.
        """
        take_turn(self.organisation_id)
        customers = self._customers(batch)
        incoming = [(call, self._values(call, customers)) for call in batch]
        stored = self._stored({call.external_id for call in batch}, lock=False)
        differing = {call.external_id for call, values in incoming if self._differs(stored, call, values)}
        # Locked before it is asked whether they are drawn: no draw can come in between.
        stored |= self._stored(differing, lock=True)
        outcomes, changed = self._judged(incoming, stored, _drawn(stored[id]["id"] for id in differing if id in stored))
        self._write(changed, stored)
        return outcomes

    def _customers(self, batch: Sequence[IncomingCall]) -> dict[bytes, int]:
        return customer_ids(self.organisation_id, [c for c in map(_caller, batch) if c is not None])

    def _values(self, call: IncomingCall, customers: dict[bytes, int]) -> Values:
        values = {name: getattr(call, name) for name in KEPT if name != "customer_id"}
        caller = _caller(call)
        return values | {"customer_id": None if caller is None else customers[caller.key]}

    def _differs(self, stored: dict[str, Values], call: IncomingCall, values: Values) -> bool:
        before = stored.get(call.external_id)
        return before is not None and bool(self._changes(before, call, values))

    def _changes(self, before: Values, call: IncomingCall, values: Values) -> Values:
        """The columns in which a record differs from what is stored, as far as it says anything about them."""
        names = [*ALWAYS_GIVEN, *(column for field, column in WHERE_GIVEN.items() if field in self.given)]
        if call.contact is not None:
            names += CONTACT
        return {name: values[name] for name in names if values[name] != before[name]}

    def _judged(
        self, incoming: Sequence[tuple[IncomingCall, Values]], stored: dict[str, Values], drawn: frozenset[int]
    ) -> tuple[list[Outcome], dict[str, Values]]:
        """Each record's outcome, and the calls to write as they are after the whole batch."""
        current, outcomes, changed = dict(stored), [], {}
        for call, values in incoming:
            before = current.get(call.external_id)
            changes = values if before is None else self._changes(before, call, values)
            fate = _fate(before, changes, drawn)
            outcomes.append(Outcome(call, fate, () if before is None else tuple(changes)))
            if fate in (Fate.NEW, Fate.UPDATED):
                current[call.external_id] = changed[call.external_id] = (before or {}) | changes
        return outcomes, changed

    def _write(self, changed: dict[str, Values], stored: dict[str, Values]) -> None:
        first = {
            "organisation_id": self.organisation_id,
            "source": self.source,
            "import_id": self.import_id,
            "received_at": clock.now(),
        }
        new = [values | first | {"external_id": id} for id, values in changed.items() if id not in stored]
        insert_many(Call, new, "id")
        old = [values for id, values in changed.items() if id in stored]
        if old:
            db.session.execute(update(Call).execution_options(synchronize_session=False), old)

    def _stored(self, external_ids: Iterable[str], *, lock: bool) -> dict[str, Values]:
        """The stored calls of these ids, by external id."""
        wanted = list(external_ids)
        if not wanted:
            return {}
        query = select(Call.external_id, Call.id, *(getattr(Call, name) for name in KEPT)).where(
            Call.organisation_id == self.organisation_id,
            Call.source == self.source,
            is_any(Call.external_id, wanted),
        )
        rows = db.session.execute(query.with_for_update() if lock else query)
        return {row.external_id: {"id": row.id} | {name: getattr(row, name) for name in KEPT} for row in rows}


def _caller(call: IncomingCall) -> Caller | None:
    if call.contact is None or not call.contact.usable:
        return None
    return Caller(call.contact, call.ended_at, call.external_id)


def _fate(before: Values | None, changes: Values, drawn: frozenset[int]) -> Fate:
    if before is None:
        return Fate.NEW
    if not changes:
        return Fate.UNCHANGED
    return Fate.DRAWN if before.get("id") in drawn else Fate.UPDATED


def _drawn(call_ids: Iterable[int]) -> frozenset[int]:
    wanted = list(call_ids)
    if not wanted:
        return frozenset()
    return frozenset(db.session.scalars(select(Draw.call_id).where(is_any(Draw.call_id, wanted))))
