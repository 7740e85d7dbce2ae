"""The names of files that are handed in; a name is bytes to the system, and need not be text."""

from __future__ import annotations

from pathlib import Path

from survey.errors import InputError


def check_name(path: Path) -> None:
    """Raises InputError for a file whose name is no text: it could neither be shown nor kept in the import's record."""
    if writable(path.name) != path.name:
        what = "has a name with bytes that are not UTF-8"
        raise InputError(what, where=writable(path.name), how="Rename the file.")


def writable(name: str) -> str:
    """The name as it can be written down, with signs in place of the bytes that are no text."""
    return name.encode(errors="backslashreplace").decode()
