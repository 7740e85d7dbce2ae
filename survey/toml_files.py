"""Files that people write for us in TOML, read; what is no TOML is told in plain words, with line and column."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from survey.errors import InputError

# A roster of a hundred thousand agents has about a fifth of it.
MOST_BYTES = 64_000_000
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
    ("Cannot overwrite", f"a key {_TWICE}"),
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
