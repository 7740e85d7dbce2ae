"""What a look at the drop folder found and did, for people, for programs and beside each file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from intake.drop_files import DONE, FAILED
from intake.reports import ImportReport
from survey.errors import AftercallError

Outcome = ImportReport | AftercallError
"""What came of a file: a report of its rows, or why it was refused as a whole."""


def nothing_came_of_it(outcome: Outcome) -> bool:
    """Whether the file was refused as a whole or every row of it rejected."""
    return isinstance(outcome, AftercallError) or outcome.nothing_taken


def number_of(outcome: Outcome) -> int | None:
    """The number of the import; a refused file has none."""
    return None if isinstance(outcome, AftercallError) else outcome.import_id


@dataclass(frozen=True)
class Taken:
    """A file that was taken: it was handed in as `file`, and lies at `place` in its feed's folder now."""

    feed: str
    file: str
    place: str
    at: str
    sha256: str | None
    outcome: Outcome

    @property
    def failed(self) -> bool:
        return nothing_came_of_it(self.outcome)

    def as_dict(self) -> dict[str, Any]:
        """The report as it lies beside the file, and as `flask calls pick-up --json` prints it."""
        told = {
            "feed": self.feed,
            "file": self.file,
            "outcome": FAILED if self.failed else DONE,
            "place": self.place,
            "taken_at": self.at,
            "sha256": self.sha256,
        }
        if isinstance(self.outcome, AftercallError):
            return {**told, "refused": self.outcome.as_dict()}
        return {**told, "import": self.outcome.as_dict()}

    def lines(self) -> list[str]:
        """The report for a person."""
        number = number_of(self.outcome)
        head = f"{self.feed}/{self.file}: {'failed' if self.failed else 'taken in'}"
        head += "" if number is None else f" (import {number})"
        head += f"; it lies in {self.feed}/{self.place} now."
        if not isinstance(self.outcome, AftercallError):
            return [head, *self.outcome.lines()]
        refusal = f"Refused: {self.outcome}"
        hint = "In a drop folder such an option is a line of intake.toml (--date-order is date_order)."
        return [head, refusal, hint] if " --" in f" {self.outcome.how}" else [head, refusal]


@dataclass(frozen=True)
class LeftAlone:
    """A file or feed with which nothing was done, and why; `faulty` when it stays so until a person mends it."""

    what: str
    why: str
    faulty: bool = False

    def line(self) -> str:
        return f"{'Faulty' if self.faulty else 'Left alone'}: {self.what}: {self.why}"


@dataclass
class Look:
    """What one look found and did; it takes `at_most` so many files (None: all)."""

    at_most: int | None = None
    taken: list[Taken] = field(default_factory=list)
    left_alone: list[LeftAlone] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether it has taken all it may."""
        return self.at_most is not None and len(self.taken) >= self.at_most

    @property
    def failed(self) -> bool:
        """Whether a person has something to mend."""
        return any(file.failed for file in self.taken) or any(left.faulty for left in self.left_alone)

    def leave(self, what: str, why: str, *, faulty: bool = False) -> None:
        self.left_alone.append(LeftAlone(what, why, faulty))

    def as_dict(self) -> dict[str, Any]:
        return {
            "taken": [file.as_dict() for file in self.taken],
            "left_alone": [{"what": left.what, "why": left.why, "faulty": left.faulty} for left in self.left_alone],
        }

    def lines(self) -> list[str]:
        lines = [line for file in self.taken for line in file.lines()]
        return lines + [left.line() for left in self.left_alone] or ["There is nothing to take."]
