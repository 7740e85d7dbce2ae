"""Asterisk's call detail records: Master.csv as cdr_csv writes it (17 to 21 columns), or as cdr_custom's sample does.

There is no header: each row is known by its content. A row is one leg; the legs of a call have one linkedid. What the
columns mean: Asterisk documentation, "Call Detail Records (CDR)".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from intake.formats.delimited import headless_rows, rows_in
from intake.formats.scratch import NO_FIRST_LEG, LargeSet, large_set
from intake.rows import Row

HEADER = (
    *("external_id", "leg", "agent", "started_at", "ended_at", "answered", "talk_seconds", "queue", "phone"),
    "internal",
)
NO_SECOND = "legs answered without a second of talk (billsec 0, no conversation)"
INTERNAL = "legs of calls between extensions or to the outside (kept as internal)"
NO_PERSON = "answered legs at whose other end was no person (menus, announcements, detours)"
SEVERAL = "answered legs that may have reached one of several extensions (no agent named)"

_COURSE = "channel dstchannel lastapp lastdata start answer end duration billsec disposition amaflags"
_MASTER, _NEW = f"accountcode src dst dcontext clid {_COURSE}", "peeraccount linkedid sequence"
# cdr_csv writes uniqueid, userfield and the three of 1.8 where cdr.conf says so; the last two are cdr_custom's sample.
LAYOUTS = tuple(
    tuple(names.split())
    for names in (
        f"{_MASTER} uniqueid userfield {_NEW}",
        f"{_MASTER} uniqueid {_NEW}",
        f"{_MASTER} userfield {_NEW}",
        f"{_MASTER} {_NEW}",
        f"{_MASTER} uniqueid userfield",
        f"{_MASTER} uniqueid",
        f"clid src dst dcontext {_COURSE} accountcode uniqueid userfield sequence",
        f"clid src dst dcontext {_COURSE} accountcode uniqueid userfield",
    )
)
_DISPOSITIONS = {"ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"}
# By name, or by number as some export it.
_FLAGS = {"DOCUMENTATION", "BILLING", "OMIT", "DEFAULT", "UNKNOWN", "IGNORE", "1", "2", "3"}
# A system name may go before the two numbers.
_UNIQUE_ID = re.compile(r"(?:\S+-)?\d+\.\d+")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d+)?")
_MOMENT = re.compile(r"\d{4}\D\d{1,2}\D\d{1,2}[ T]\d{1,2}:\d{2}.*")
# Technology/peer-number: the number tells apart two calls of one peer.
_CHANNEL = re.compile(r"(?P<technology>[^/]+)/(?P<peer>[^/]+?)(?:/.*?)?(?:-[0-9a-fA-F]+)?(?:;[12])?")
# Longer numbers behind a trunk are somebody's outside, not an extension of a sister exchange: no agent is called so.
LONGEST_EXTENSION = 5
LONGEST_PREFIX = 4
# A context so called is where calls come in. A call passed on to a sister exchange under its own number stays that.
_COMES_IN = re.compile("trunk|pstn|did|inbound|incoming|public", re.I)


class Asterisk:
    """Legs as they were written, in the order in which they ended."""

    name = "asterisk"

    def recognises(self, head: bytes) -> bool:
        known = [_leg(cells) is not None for cells in rows_in(head)]
        return sum(known) * 2 >= len(known) > 0

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield Row(1, HEADER)
        with large_set() as first_legs:
            for row in headless_rows(path, Counter()):
                leg = _leg(row.cells)
                if leg and leg.get("uniqueid") == leg["linkedid"]:
                    first_legs.add(_first_leg(leg, _is_internal(leg)))
            for row in headless_rows(path, notes):
                yield _row(row, first_legs, notes)


def _first_leg(leg: Mapping[str, str], internal: bool) -> str:
    """What stands for the first leg of the leg's call, as far as it is internal or not."""
    return f"{leg['linkedid']} {'internal' if internal else 'a customer'}"


def _row(row: Row, first_legs: LargeSet, notes: Counter[str]) -> Row:
    if row.fault:
        return row
    leg = _leg(row.cells)
    if leg is None:
        return Row(row.line, (), f"is not a row as Asterisk writes them ({len(row.cells)} columns)")
    led_internal = _first_leg(leg, True) in first_legs
    if not led_internal and leg.get("uniqueid", leg["linkedid"]) != leg["linkedid"]:
        notes[NO_FIRST_LEG] += _first_leg(leg, False) not in first_legs
    internal = led_internal or _is_internal(leg)
    answered, agent = _conversation(leg, notes)
    notes[INTERNAL] += internal
    return Row(
        row.line,
        [
            leg["linkedid"],
            _name(leg),
            agent,
            leg["start"],
            leg["end"],
            "yes" if answered else "no",
            leg["billsec"] if answered else "0",
            leg["lastdata"].partition(",")[0] if leg["lastapp"] == "Queue" else "",
            "" if internal else leg["src"],
            "yes" if internal else "no",
        ],
    )


def _leg(cells: Sequence[str]) -> dict[str, str] | None:
    """The row's texts by Asterisk's names, in the layout that fits; None where none does.

    A call is known by linkedid; where there is none, each uniqueid is a call of its own.
    """
    for layout in LAYOUTS:
        if len(layout) == len(cells):
            leg = dict(zip(layout, (cell.strip() for cell in cells), strict=True))
            leg["linkedid"] = leg.get("linkedid") or leg.get("uniqueid", "")
            if _fits(leg):
                return leg
    return None


def _fits(leg: Mapping[str, str]) -> bool:
    return (
        leg["disposition"] in _DISPOSITIONS
        and leg["amaflags"].upper() in _FLAGS
        and all(_SECONDS.fullmatch(leg[name]) for name in ("duration", "billsec"))
        and all(_MOMENT.fullmatch(leg[name]) for name in ("start", "end"))
        and all(_UNIQUE_ID.fullmatch(leg[name]) for name in ("uniqueid", "linkedid") if name in leg)
        and leg.get("sequence", "0").isdigit()
    )


def _name(leg: Mapping[str, str]) -> str:
    """What tells the leg from the others of its call: several may have one uniqueid."""
    further = [leg["sequence"]] if "sequence" in leg else [leg["start"], leg["dstchannel"]]
    return " ".join([leg.get("uniqueid", leg["linkedid"]), *further])


def _conversation(leg: Mapping[str, str], notes: Counter[str]) -> tuple[bool, str]:
    """(whether somebody talked with the caller on this leg, who)."""
    if leg["disposition"] != "ANSWERED":
        return False, ""
    if not float(leg["billsec"]):
        notes[NO_SECOND] += 1
        return False, ""
    party = _CHANNEL.fullmatch(leg["dstchannel"])
    # Whom a Local channel leads to is said by the leg at its other end.
    if party is None or leg["lastapp"] not in ("Dial", "Queue") or party["technology"] == "Local":
        notes[NO_PERSON] += 1
        return False, ""
    behind = [number for number, trunk in _dialled(leg) if trunk == party["peer"] and len(number) <= LONGEST_EXTENSION]
    notes[SEVERAL] += len(behind) > 1
    if len(behind) > 1:
        return True, ""
    return True, f"{behind[0]}@{party['peer']}" if behind else party["peer"]


def _is_internal(leg: Mapping[str, str]) -> bool:
    """Whether the call comes from an extension, to another one or to the outside.

    From an extension: the caller's number is the name of the device that called. To the outside: the number called over
    a trunk is the one the caller dialled, give or take first digits (for an outside line, or of a country), outside a
    context where calls come in.
    """
    caller = _CHANNEL.fullmatch(leg["channel"])
    if caller is not None and caller["peer"] == leg["src"]:
        return True
    if _COMES_IN.search(leg["dcontext"]):
        return False
    return any(_same_number(leg["dst"], number) for number, _ in _dialled(leg))


def _same_number(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    close = len(shorter) > LONGEST_EXTENSION and len(longer) - len(shorter) <= LONGEST_PREFIX
    return close and longer.endswith(shorter)


def _dialled(leg: Mapping[str, str]) -> list[tuple[str, str]]:
    """(number, trunk) of everything that Dial called over a trunk: SIP/200@trunk, SIP/trunk/200."""
    if leg["lastapp"] != "Dial":
        return []
    found = []
    for called in leg["lastdata"].partition(",")[0].split("&"):
        technology, _, rest = called.partition("/")
        number, at, trunk = rest.partition("@")
        if not at:
            trunk, at, number = rest.partition("/")
        if at and technology != "Local":
            found.append((number, trunk))
    return found
