"""What is wrong in a campaign's values, in plain words: which field, what stands there, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from scheduler.sampling import EXAMPLE as AN_ENTRY
from survey.errors import InputError

FIELDS_LISTED = "docs/guide-campaign-file.md lists them"
LONGEST_SHOWN = 40
# How a field is written, where the kind of its values does not tell already.
EXAMPLES: Mapping[str, str] = {
    "key": "letters, digits, and . _ - after the first, such as spring-2026",
    "caller_ids": "countries by their two capital letters, such as US or GB",
    "call_weekdays": "numbers from 0 (Monday) to 6 (Sunday), such as [0, 1, 2, 3, 4]",
    "hours_by_weekday": 'weekdays from 0 (Monday) to 6 (Sunday) with their hours, such as { 5 = ["10:00", "16:00"] }',
    "sampling": '"fixed" or "target"',
    "channel_plan": f"[{AN_ENTRY}]",
}


class PlanFaults(InputError):
    """What is wrong in a campaign's values, all of it: `faults` one by one, and in text each on its own line."""

    def __init__(self, faults: Sequence[str], where: str) -> None:
        self.faults = tuple(faults)
        several = len(self.faults) > 1
        how = f"Correct {'them' if several else 'it'} and try again."
        super().__init__("\n".join(self.faults), where=where, how=how)

    def __str__(self) -> str:
        if len(self.faults) < 2:
            return super().__str__()
        return "\n  ".join([f"{self.where}: {len(self.faults)} faults", *self.faults]) + f"\n{self.how}"


def fault(error: Mapping[str, Any], known: Collection[str]) -> str:
    """One of pydantic's faults in our words; `known` are the fields there are."""
    place, field = _place(error["loc"]), str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"{place}: {unknown(place, known)}"
    if error["type"] == "value_error":
        return f"{place}: {str(error['msg']).removeprefix('Value error, ')}"
    if error["type"] == "missing" and len(error["loc"]) == 1:
        return f"{place}: is missing, and must be given"
    say = WORDS.get(error["type"])
    if say is None:
        return f"{place}: {shown(error['input'])} cannot be taken ({EXAMPLES.get(field, FIELDS_LISTED)})"
    return f"{place}: {say(error, field)}"


def unknown(name: str, known: Collection[str]) -> str:
    """What is said of a field that a campaign does not have."""
    near = get_close_matches(name.lower(), known, 1, 0.6)
    return f"is no field of a campaign ({f'did you mean {near[0]}?' if near else FIELDS_LISTED})"


def shown(value: object) -> str:
    """A value as its file has it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _place(loc: tuple[int | str, ...]) -> str:
    """The field, and where in it: entries of lists are counted from 1."""
    parts = [part for part in loc if part != "[key]"]
    return ", ".join(f"entry {part + 1}" if isinstance(part, int) else str(part) for part in parts)


def _is(how: str) -> Callable[[Mapping[str, Any], str], str]:
    return lambda error, _field: f"is {shown(error['input'])} ({how})"


def _bound(name: str, what: str) -> Callable[[Mapping[str, Any], str], str]:
    def say(error: Mapping[str, Any], field: str) -> str:
        more = f": give {EXAMPLES[field]}" if field in EXAMPLES else ""
        return f"is {shown(error['input'])} (the {what} is {error['ctx'][name]:,}{more})"

    return say


def _written(error: Mapping[str, Any], field: str) -> str:
    return f"is {shown(error['input'])} (give {EXAMPLES.get(field, FIELDS_LISTED)})"


def _list(error: Mapping[str, Any], field: str) -> str:
    given = EXAMPLES.get(field, 'a list, such as ["one", "two"]')
    return f"is {shown(error['input'])} (give {given})"


_WHOLE = _is("give a whole number without quotes, such as 3")
_TEXT = _is("give text between quotes")
_DATE = _is("give a date without quotes, such as 2026-03-01")
_PAIR = _is('give from and until, such as ["10:00", "16:00"]')
WORDS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    "string_type": _TEXT,
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DATE),
    "bool_type": _is("give true or false, without quotes"),
    "list_type": _list,
    "finite_number": _WHOLE,
    "dict_type": _written,
    "enum": _written,
    "string_pattern_mismatch": _written,
    **dict.fromkeys(("tuple_type", "missing", "too_long"), _PAIR),
    "too_short": lambda error, field: f"names none (give {EXAMPLES.get(field, 'at least one')})",
    "string_too_short": lambda error, field: "is empty",
    "string_too_long": lambda error, field: f"is longer than {error['ctx']['max_length']} characters",
    "greater_than_equal": _bound("ge", "least"),
    "less_than_equal": _bound("le", "most"),
}
