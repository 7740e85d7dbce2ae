"""A row as it was read from a file, and why a row cannot be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One row: the line it starts on (1 = the file's first) and its cells as text; `fault` says why it has none."""

    line: int
    cells: Sequence[str]
    fault: str = ""


def not_a_row(fault: str) -> RowFault:
    """Why a row without cells is rejected, from its `fault`: counted under its own words unless they hold numbers."""
    reason, opened, rest = fault.partition(" (")
    if any(mark.isdigit() for mark in reason):
        return RowFault("not a row", detail=fault)
    alone = rest.endswith(")") and "(" not in rest
    return RowFault(reason, detail=rest[:-1] if alone else (opened + rest).strip())


class RowFault(Exception):
    """Why one row is rejected; the rest of the file goes on.

    `reason` is one of a small number of sentences, so that rejects can be counted by it; `detail` holds what is special
    to this row and never a customer's contact; `column` is the file's own column name.
    """

    def __init__(self, reason: str, *, column: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.column, self.detail = reason, column, detail

    @property
    def text(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def shown(text: str, limit: int = 60) -> str:
    """A cell's text as it may stand in a message: quoted, one line, not too long."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
