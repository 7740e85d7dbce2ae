"""Files that people write for us in TOML (rosters, mappings, feeds), and what is wrong with them, in plain words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from survey.errors import InputError

# A roster of a hundred thousand agents has about a fifth of it.
MOST_BYTES = 64_000_000
LONGEST_SHOWN = 40
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)$")
_TWICE = "is given twice: keep one of the two"
_BACKSLASH = r"a \ in a text means something else: write \\, or put the text between single quotes"
# How the library's messages begin, and what is said instead.
_TOML: tuple[tuple[str, str], ...] = (
    ("Invalid value", "this is no value: text stands between quotes, a date is 2026-03-31, yes or no true or false"),
    ("Invalid date", "there is no such date or time: write dates as 2026-03-31"),
    ("Expected '=' after", "a key must be followed by = and its value"),
    ("Invalid statement", "this is neither key = value nor a [table]"),
    ("Invalid initial character for a key", "this is neither key = value nor a [table]: quote keys with other signs"),
    ("Cannot overwrite", _TWICE),
    ("Cannot declare", f"a table {_TWICE}"),
    ("Cannot mutate", f"a table {_TWICE}"),
    ("Cannot redefine", f"a table {_TWICE}"),
    ("Duplicate inline", f"a key between braces {_TWICE}"),
    ("Unclosed array", "a list is not closed with ]"),
    ("Unclosed inline", "a table between braces is not closed with }"),
    ("Expected newline", "something stands behind the value: begin a new line for each key"),
    ("Expected ']'", "the name of a table is not closed with ]"),
    ("Unterminated string", "a text is not closed with its quote"),
    ("Expected '\"", "a text is not closed with its quotes"),
    ('Expected "\'', "a text is not closed with its quotes"),
    ("Illegal character '\\n'", "a text is not closed with its quote on the same line"),
    ("Unescaped '\\'", _BACKSLASH),
    ("Invalid hex", _BACKSLASH),
    ("Escaped character", _BACKSLASH),
    ("Illegal character", "a character stands here that must not: it may be invisible, so write the line anew"),
    ("Found invalid character", "a character stands here that must not: write the line anew"),
)  # fmt: skip


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises InputError, with line and column where that can be told, when it cannot be read."""
    try:
        with path.open("rb") as file:
            given = file.read(MOST_BYTES + 1)
        if len(given) > MOST_BYTES:
            how = "Is it another file, such as the calls themselves?"
            raise InputError(f"is larger than {MOST_BYTES // 1_000_000} MB", where=path.name, how=how)
        return tomllib.loads(given.decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError("is not UTF-8 text", where=f"{path.name}, line {line}", how="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, str(error)) from None
    except (ValueError, RecursionError):
        what = "is not TOML: a number has thousands of digits, or lists are nested hundreds deep"
        raise InputError(what, where=path.name) from None


def _not_toml(path: Path, message: str) -> InputError:
    told = next((told for begins, told in _TOML if message.startswith(begins)), "this cannot be understood")
    at = _POSITION.search(message)
    if at is None:
        return InputError(f"is not TOML: at its end, {told}", where=path.name)
    return InputError(f"is not TOML: {told}", where=f"{path.name}, line {at[1]}, column {at[2]}")


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
