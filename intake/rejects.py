"""The rejects file: every row that was not taken, with line, column and reason: what to correct in the file it is of.

It is no file to hand in again: it has no contacts, and its cells are made harmless for a spreadsheet.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from survey.errors import InputError

# What a spreadsheet would run as a formula is kept from it by a leading apostrophe.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class RejectsFile:
    """A CSV made at the first rejected row, so that a clean import leaves no file.

    `header` names the row's own columns: those that mean something to us, without customers' contacts.
    """

    def __init__(self, path: Path | None, header: Sequence[str]) -> None:
        self.path, self._header = path, header
        self._file: TextIO | None = None
        self._writer: Any = None

    def check(self, read: Collection[Path | None] = ()) -> None:
        """Raises InputError when the file cannot be made or is one of those `read`: better now than in the midst."""
        if self.path is None:
            return
        how = "Name another file with --rejects."
        if self.path.resolve() in {path.resolve() for path in read if path is not None}:
            raise InputError("would overwrite the file that is read", where=str(self.path), how=how)
        if self.path.exists() and not self.path.is_file():
            raise InputError("is not a file", where=str(self.path), how=how)
        if not os.access(self.path if self.path.exists() else self.path.parent, os.W_OK):
            raise InputError("cannot be written", where=str(self.path), how=how)

    def add(self, line: int, column: str, reason: str, cells: Sequence[str]) -> None:
        if self.path is None:
            return
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(["line", "column", "reason", *self._header])
        self._writer.writerow([line, column, *map(_harmless, [reason, *cells])])

    @property
    def written(self) -> str | None:
        """The file's path once there is something in it."""
        return str(self.path) if self._file is not None else None

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text.replace("\0", "")
