"""The draw's decisions on a set of calls: chance, quarantine and "the most recent call", in the calls' own order.

Pure, and the same for the draw and its replay. The order is (ended at, source, external id), never that of arrival:
a call that comes in late is decided as if it had been there in time, as far as nobody was asked meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import chain

from scheduler.sampling import is_drawn
from survey.models import DrawReason

Order = tuple[datetime, str, str]
# Looked up once, and not in the enum at every call.
DRAWN, NOT_SELECTED, QUARANTINED = DrawReason.DRAWN, DrawReason.NOT_SELECTED, DrawReason.QUARANTINED


# Made once a call: slots, and not frozen, which would make each several times dearer. Nothing changes them.
@dataclass(slots=True)
class Candidate:
    """A call to decide. `against`: the reason not to ask about it, if any; `indexes`: of its customer's contacts."""

    call_id: int
    order: Order
    indexes: tuple[bytes, ...]
    u: int
    rate: Fraction
    against: DrawReason | None


@dataclass(slots=True)
class Eligible:
    """A call already found eligible, drawn or not, and how its survey stands.

    `asked_at` is when its first attempt was begun, `closed_at` when its survey closed; None when that has not been.
    """

    call_id: int
    order: Order
    indexes: tuple[bytes, ...]
    drawn: bool
    asked_at: datetime | None = None
    closed_at: datetime | None = None
    deadline: datetime | None = None

    def was_asked(self, at: datetime) -> bool:
        return self.drawn and self.asked_at is not None and self.asked_at <= at

    def is_waiting(self, at: datetime) -> bool:
        """Drawn, still open, and nothing begun yet: a newer call of the customer takes its place."""
        still_open = self.closed_at is None and (self.deadline is None or self.deadline > at)
        return self.drawn and still_open and not self.was_asked(at)


@dataclass(frozen=True)
class Decisions:
    """The reason for each call, and which calls gave way to which newer one (`superseded[older] = newer`, call ids)."""

    reasons: dict[int, DrawReason]
    superseded: dict[int, int]


def decide(
    candidates: Iterable[Candidate], known: Iterable[Eligible], at: datetime, quarantine: timedelta
) -> Decisions:
    """Decides the candidates, given in any order, at one moment, knowing the customers' eligible calls decided before.

    Quarantined: the customer was asked about an earlier call that ended less than `quarantine` before this one.
    Superseded: a drawn call whose customer has a newer eligible call before anything was begun; the newer one takes its
    own draw, so it may be that neither is asked. An ineligible call supersedes nothing: it could not take the place.
    """
    candidates, known = list(candidates), list(known)
    people = _People(known)
    reasons: dict[int, DrawReason] = {}
    newer_of: dict[int, Eligible] = {}
    # Most customers call once: for those only chance decides, and nobody need remember them.
    calls_of = Counter(chain.from_iterable(call.indexes for call in known))
    calls_of.update(chain.from_iterable(call.indexes for call in candidates))
    for call in candidates:
        if call.against is not None:
            reasons[call.call_id] = call.against
            continue
        others: Collection[Eligible] = ()
        for index in call.indexes:
            if calls_of[index] > 1:
                others = people.same_customer(call.indexes)
                break
        else:
            reasons[call.call_id] = DRAWN if is_drawn(call.u, call.rate) else NOT_SELECTED
            continue
        reasons[call.call_id] = reason = _reason(call, others, at, quarantine)
        if reason is not QUARANTINED:
            decided = Eligible(call.call_id, call.order, call.indexes, reason is DRAWN)
            if others:
                _supersede(decided, others, at, newer_of)
            people.add(decided)
    return Decisions(reasons, {older: newer.call_id for older, newer in newer_of.items()})


def _reason(call: Candidate, others: Collection[Eligible], at: datetime, quarantine: timedelta) -> DrawReason:
    """Of a call that may be asked about."""
    ended_at = call.order[0]
    for other in others:
        if other.was_asked(at) and other.order < call.order and ended_at - other.order[0] < quarantine:
            return QUARANTINED
    return DRAWN if is_drawn(call.u, call.rate) else NOT_SELECTED


def _supersede(call: Eligible, others: Collection[Eligible], at: datetime, newer_of: dict[int, Eligible]) -> None:
    """Notes the nearest newer call for each waiting one: this call for older ones, a newer one for this call."""
    for other in others:
        older, newer = (other, call) if other.order < call.order else (call, other)
        if not older.is_waiting(at):
            continue
        nearest = newer_of.get(older.call_id)
        if nearest is None or newer.order < nearest.order:
            newer_of[older.call_id] = newer


class _People:
    """Eligible calls by their customers' contacts: one shared contact makes it the same customer."""

    def __init__(self, known: Iterable[Eligible]) -> None:
        self._by_index: dict[bytes, list[Eligible]] = defaultdict(list)
        for call in known:
            self.add(call)

    def add(self, call: Eligible) -> None:
        for index in call.indexes:
            self._by_index[index].append(call)

    def same_customer(self, indexes: Iterable[bytes]) -> Collection[Eligible]:
        found = [calls for index in indexes if (calls := self._by_index.get(index))]
        if not found:
            return ()
        if len(found) == 1:
            return found[0]
        return {other.call_id: other for calls in found for other in calls}.values()
