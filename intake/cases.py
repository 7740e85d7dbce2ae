"""One call while a batch's records of it are judged: what each record changes, and what the call then is.

Pure: the store reads what is there, asks here, and writes what came of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from intake.call_rows import IncomingCall
from intake.legs import combined

Values = dict[str, Any]

# What a later record of the same call may change; id, source, import and time of receipt stay as they first came.
ALWAYS_GIVEN = ("site_id", "started_at", "ended_at", "answered", "talk_seconds")
# Said by a record only when its file has the field.
WHERE_GIVEN = {
    "agent": "agent_id",
    "queue": "queue",
    "topic": "topic",
    "language": "language",
    "internal": "internal",
    "recorded_at": "recorded_at",
}
CONTACT = ("customer_id", "contact_fault")
KEPT = (*ALWAYS_GIVEN, *WHERE_GIVEN.values(), *CONTACT)
# The name of the one leg that a record without legs is, once its call has any.
WHOLE = ""


class Fate(StrEnum):
    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT_BESIDE = "kept_beside"
    REJECTED = "rejected"


class Verdict(NamedTuple):
    """What becomes of one record: its fate, and the columns of the call (or of its leg) in which it differs."""

    fate: Fate
    changes: Values


def columns_given(fields: Collection[str]) -> tuple[str, ...]:
    """The columns that records of a file with these fields say something about, contacts apart."""
    return (*ALWAYS_GIVEN, *(column for name, column in WHERE_GIVEN.items() if name in fields))


def is_older(before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a record is an older version than the one stored, by the telephone system's own stamps."""
    stamps = before["recorded_at"], values["recorded_at"]
    return None not in stamps and stamps[1] < stamps[0]


def with_stamps(
    records: Sequence[IncomingCall], stored: Mapping[str, Values], legs: Mapping[int, Mapping[str, Values]]
) -> list[IncomingCall]:
    """The records; one without a stamp has that of the version it brings up to date, which older ones do not outdo."""
    stamps: dict[tuple[str, str], datetime | None] = {}
    found = []
    for record in records:
        part = record.external_id, record.leg or WHOLE
        if part not in stamps:
            stamps[part] = _stamp(stored.get(record.external_id), part[1], legs)
        known, own = stamps[part], record.recorded_at
        if own is not None:
            stamps[part] = own if known is None else max(known, own)
        found.append(record if own is not None or known is None else record._replace(recorded_at=known))
    return found


def _stamp(call: Values | None, leg: str, legs: Mapping[int, Mapping[str, Values]]) -> datetime | None:
    """The stamp of what is stored of a leg, or of a call that has none."""
    if call is None:
        return None
    before = legs[call["id"]].get(leg) if call["id"] in legs else call if leg == WHOLE else None
    stamp: datetime | None = None if before is None else before["recorded_at"]
    return stamp


def changes_of(before: Mapping[str, Any], values: Mapping[str, Any], columns: Collection[str], contact: bool) -> Values:
    """The columns in which a record differs from what is stored, as far as it says anything about them.

    A record without the system's stamp erases nothing: its sender may have left an empty cell out, or a field. With
    stamps the newest version counts as a whole. An older one only gives the contact where none is known: a cell that
    the newest leaves empty is empty, so that the order in which versions arrive makes no difference.
    """
    said = CONTACT if contact else ()
    if is_older(before, values):
        names = [name for name in said if all(before[each] is None for each in CONTACT)]
    else:
        names = [*columns, *said, *(("internal",) if values["internal"] else ())]
    if values["recorded_at"] is None:
        names = [name for name in names if name in CONTACT or values[name] is not None]
    told = as_new(values)
    return {name: told[name] for name in names if told[name] != before[name]}


def as_new(values: Mapping[str, Any]) -> Values:
    """The columns as a record gives them of which nothing else is known: internal is only what is called so."""
    return {**values, "internal": bool(values["internal"])}


@dataclass
class Case:
    """One call: `values` are its columns as they stand now (None: not there yet), `legs` its legs by name."""

    id: int | None
    values: Values | None
    legs: dict[str, Values]
    drawn: bool
    stored: Values | None = field(init=False)
    stored_legs: dict[str, Values] = field(init=False)

    def __post_init__(self) -> None:
        self.stored = self.values
        self.stored_legs = dict(self.legs)

    def before(self, record: IncomingCall) -> Values | None:
        """What is known so far of what the record speaks of: the call, or one leg of it."""
        leg = self._leg(record)
        return self.values if leg is None else self.legs.get(leg)

    def take(self, record: IncomingCall, values: Values, columns: Collection[str]) -> Verdict:
        """Judges a record of the call and takes it in, unless the call has had its draw."""
        leg = self._leg(record)
        if leg is not None:
            return self._take_leg(leg, record, values, columns)
        if self.values is None:
            self.values = as_new(values) | {"agent_uncertain": False}
            return Verdict(Fate.NEW, values)
        changes = changes_of(self.values, values, columns, record.contact is not None)
        return self._changed(changes, Fate.UPDATED)

    def _leg(self, record: IncomingCall) -> str | None:
        return record.leg if record.leg is not None else (WHOLE if self.legs else None)

    def _take_leg(self, leg: str, record: IncomingCall, values: Values, columns: Collection[str]) -> Verdict:
        """A leg is kept in any case; what all legs together say goes into the call until its draw."""
        if not self.legs and self.values is not None:
            self.legs[WHOLE] = _as_leg(self.values, WHOLE)
        before, changes = self.legs.get(leg), as_new(values)
        if before is not None:
            changes = changes_of(before, values, columns, record.contact is not None)
            if not changes:
                return Verdict(Fate.UNCHANGED, {})
            self.legs[leg] = before | changes
        else:
            self.legs[leg] = _as_leg(changes, leg)
        whole = combined(list(self.legs.values()))
        if self.values is None:
            self.values = whole
            return Verdict(Fate.NEW, whole)
        differing = {name: value for name, value in whole.items() if value != self.values[name]}
        fate = Fate.NEW if before is None else Fate.UPDATED
        return self._changed(differing, fate) if differing else Verdict(fate, changes)

    def _changed(self, changes: Values, fate: Fate) -> Verdict:
        if not changes:
            return Verdict(Fate.UNCHANGED, {})
        if self.drawn:
            return Verdict(Fate.KEPT_BESIDE, changes)
        assert self.values is not None
        self.values = self.values | changes
        return Verdict(fate, changes)


def _as_leg(values: Mapping[str, Any], leg: str) -> Values:
    return {name: values[name] for name in KEPT} | {"leg": leg}
