"""What a look at the drop folder found and did, for people, for programs and beside each file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from intake.drop_files import DONE, FAILED, REJECTS
from intake.drop_settings import SETTINGS_FILE
from intake.reports import ImportReport
from survey.errors import AftercallError

Outcome = ImportReport | AftercallError
"""What came of a file: a report of its rows, or why it was refused as a whole."""

# The command line's options that a feed has a setting for.
SETTING_OF: Mapping[str, str] = {
    "--site": "site",
    "--source": "source",
    "--format": "format",
    "--mapping": "mapping",
    "--date-order": "date_order",
    "--create-agents": "create_agents",
}
_OPTION = re.compile(rf"({'|'.join(SETTING_OF)})\b(?: ([A-Z]+(?:\.toml)?|dmy|mdy|ymd)\b)?")


def in_a_folder(text: str) -> str:
    """Advice for the command line as advice for an intake.toml: `--date-order dmy` is `date_order = "dmy"` there."""
    return _OPTION.sub(_as_setting, text)


def _as_setting(option: re.Match[str]) -> str:
    name, value = option.groups()
    return f'{SETTING_OF[name]} = "{value}"' if value else SETTING_OF[name]


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

    @property
    def told(self) -> Outcome:
        """The outcome for whoever has the folder and nothing else: no path of the server, no option of a command."""
        if isinstance(self.outcome, AftercallError):
            refusal = self.outcome
            where, how = in_a_folder(refusal.where), in_a_folder(refusal.how)
            return AftercallError(in_a_folder(refusal.what), where=where, how=how)
        notes = Counter({in_a_folder(note): count for note, count in self.outcome.notes.items()})
        beside = f"{self.feed}/{self.place}{REJECTS}" if self.outcome.rejects_file else None
        return replace(self.outcome, notes=notes, rejects_file=beside)

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
        outcome = self.told
        return {**told, "refused" if isinstance(outcome, AftercallError) else "import": outcome.as_dict()}

    def lines(self) -> list[str]:
        """The report for a person."""
        number = number_of(self.outcome)
        head = f"{self.feed}/{self.file}: {'failed' if self.failed else 'taken in'}"
        head += "" if number is None else f" (import {number})"
        head += f"; it lies in {self.feed}/{self.place} now."
        outcome = self.told
        said = [f"Refused: {outcome}"] if isinstance(outcome, AftercallError) else map(in_a_folder, outcome.lines())
        lines = [head, *said]
        return [*lines, self._hint] if self._names_a_setting else lines

    @property
    def _names_a_setting(self) -> bool:
        said = str(self.outcome) if isinstance(self.outcome, AftercallError) else "".join(self.outcome.lines())
        return in_a_folder(said) != said

    @property
    def _hint(self) -> str:
        return f"Such a setting is a line of {self.feed}/{SETTINGS_FILE}, which lies in the folder of this feed."


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
