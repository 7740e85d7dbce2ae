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

from survey import settings
from survey.errors import InputError

# What a spreadsheet would run as a formula is kept from it by a leading apostrophe. The signs are those of
# https://owasp.org/www-community/attacks/CSV_Injection, full-width ones too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
            self._write(["line", "column", "reason", *self._header])
        self._write([str(line), column, reason, *cells])

    def _write(self, cells: Sequence[str]) -> None:
        """The one way into the file. Names of columns are the file's own texts, as the cells below them are."""
        self._writer.writerow(map(_harmless, cells))

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


def kept_at(import_id: int) -> Path:
    """Where an import's rejects file lies in the data folder, which is made where it is missing."""
    folder = settings.current().aftercall_data / "rejects"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"import-{import_id}.csv"


def _harmless(text: str) -> str:
    text = text.replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) else text
