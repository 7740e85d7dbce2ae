"""What is wrong with the values of files that people write in TOML (rosters, mappings, feeds), in plain words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError


def faults(error: ValidationError, known: Collection[str] = ()) -> str:
    """What is wrong with the values of a table, fault by fault; `known` are the keys that it may have."""
    told = [fault_told(fault, known) for fault in error.errors()]
    return "; ".join(dict.fromkeys(told))


def fault_told(fault: Any, known: Collection[str] = ()) -> str:
    """One of pydantic's faults in our words: which key, what is wrong with it, and what to write."""
    place = [part for part in fault["loc"] if part not in _MEMBERS]
    where = ".".join(f"entry {part + 1}" if isinstance(part, int) else str(part) for part in place if part != "[key]")
    said = _said(fault, str(place[-1]) if place else "", known)
    return f"{where}: {said}" if where else said


def _said(fault: Any, key: str, known: Collection[str]) -> str:
    if len(fault["loc"]) > 1 and fault["loc"][-1] in _MEMBERS:
        return "write text between quotes, a whole number, or true or false"
    say = _WORDS.get(fault["type"])
    if say is not None:
        return say(fault)
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(key.casefold(), known, 1, 0.6)
        return f"is no key of this table{_or_known(near, known)}"
    if fault["type"] == "value_error":
        return str(fault["msg"]).removeprefix("Value error, ").removesuffix(".")
    return "cannot be taken as it is written: docs/intake.md shows how"


def _or_known(near: Collection[str], known: Collection[str]) -> str:
    if near:
        return f" (did you mean {next(iter(near))}?)"
    return f"; known are {', '.join(known)}" if known else ""


def _always(said: str) -> Callable[[Any], str]:
    return lambda _fault: said


def _too_long(fault: Any) -> str:
    return f"is longer than {fault['ctx']['max_length']:,} characters"


# How a choice between kinds of value (text, true or false, a number) names its members.
_MEMBERS = frozenset({"str", "bool", "int"})
_DATE = _always("write a date that exists, such as 2026-03-31")
_TABLE = _always("must be a table: lines of key = value below its name in [brackets]")
_WORDS: Mapping[str, Callable[[Any], str]] = {
    "missing": _always("is missing"),
    "string_type": _always("write text, between quotes"),
    **dict.fromkeys(("string_too_short", "too_short"), _always("is empty")),
    **dict.fromkeys(("string_too_long", "too_long"), _too_long),
    "list_type": _always('write a list, such as ["a", "b"]'),
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "literal_error": lambda fault: f"write {fault['ctx']['expected']!s}",
    "enum": lambda fault: f"write {fault['ctx']['expected']!s}",
    **dict.fromkeys(("bool_type", "bool_parsing"), _always("write true or false, without quotes")),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DATE),
}
