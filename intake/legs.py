"""Legs of one call, such as the parts before and after a transfer, put together: what the call was as a whole.

The last agent who handled it is credited. Where the legs do not say who that was, the site is credited and no agent
(source: the certification rules' treatment of transfers, docs/intake.md). An agent whose telephone only rang handled
nothing: a call that a machine answered is not theirs.

A call has one site even so, because its deadline and its count need one. Of legs that ended at once, at several sites,
it is that of the leg that began last: who joined last was passed the call. Where they began at once too, it is that of
the one that ended last by its stamp, then that of the greatest leg name: never of the one that came in first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

Values = Mapping[str, Any]

# Telephone systems stamp whole seconds: two legs that end this close together ended at once.
AT_ONCE = timedelta(seconds=1)


def combined(legs: Sequence[Values]) -> dict[str, Any]:
    """The columns of the call that these legs (at least one) make up, in whatever order they are given."""
    in_order = sorted(legs, key=lambda leg: (leg["ended_at"], leg["started_at"], leg["leg"]))
    handled = [leg for leg in in_order if leg["answered"] and leg["agent_id"] is not None]
    at_the_end = [leg for leg in handled or in_order if _at_once(leg, (handled or in_order)[-1])]
    last = max(at_the_end, key=lambda leg: (leg["started_at"], leg["ended_at"], leg["leg"]))
    uncertain = bool(handled) and len({leg["agent_id"] for leg in at_the_end}) > 1
    answered = any(leg["answered"] for leg in legs)
    newest_first = [last, *reversed(in_order)]
    earliest_first = sorted(legs, key=lambda leg: (leg["started_at"], leg["ended_at"], leg["leg"]))
    reached = _first(earliest_first, "customer_id") or _first(earliest_first, "contact_fault") or last
    return {
        "site_id": last["site_id"],
        "agent_id": None if uncertain or (answered and not handled) else last["agent_id"],
        "agent_uncertain": uncertain,
        "customer_id": reached["customer_id"],
        "contact_fault": reached["contact_fault"],
        "started_at": earliest_first[0]["started_at"],
        "ended_at": in_order[-1]["ended_at"],
        "answered": answered,
        "talk_seconds": talked(legs),
        "queue": _value(newest_first, "queue"),
        "topic": _value(newest_first, "topic"),
        "language": _value(earliest_first, "language"),
        "internal": all(leg["internal"] for leg in legs),
        "recorded_at": max((leg["recorded_at"] for leg in legs if leg["recorded_at"] is not None), default=None),
    }


def talked(legs: Sequence[Values]) -> int:
    """The seconds in which somebody talked on any of the legs, each second counted once."""
    spans = sorted(
        (leg["ended_at"] - timedelta(seconds=leg["talk_seconds"]), leg["ended_at"]) for leg in legs if leg["answered"]
    )
    total, until = timedelta(), None
    for begin, end in spans:
        begin = begin if until is None else max(begin, until)
        total += max(end - begin, timedelta())
        until = end if until is None else max(until, end)
    return int(total.total_seconds())


def _at_once(one: Values, other: Values) -> bool:
    apart: timedelta = abs(one["ended_at"] - other["ended_at"])
    return apart <= AT_ONCE


def _first(legs: Sequence[Values], column: str) -> Values | None:
    return next((leg for leg in legs if leg[column] is not None), None)


def _value(legs: Sequence[Values], column: str) -> Any:
    found = _first(legs, column)
    return None if found is None else found[column]
