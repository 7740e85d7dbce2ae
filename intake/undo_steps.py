"""How far an undo is: told to whoever asked for it, and to anybody who looks while its transaction is still open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, text

from survey.db import db

# The name under which the database shows the connection of an undo; such a name ends at 63 bytes.
_NAME = "aftercall undo"


class Stage(StrEnum):
    """What an undo is doing; the value is the word for it between processes."""

    WAITING = "waiting"
    CHANGES = "changes"
    CALLS = "calls"
    REST = "rest"

    @property
    def told(self) -> str:
        return _TOLD[self]


_TOLD = {
    Stage.WAITING: "waiting for an import or a draw of this organisation to end",
    Stage.CHANGES: "taking changes back",
    Stage.CALLS: "removing calls",
    Stage.REST: "removing customers and agents of whom nothing speaks any more",
}


@dataclass(frozen=True)
class Step:
    """`done` of `total` rows of a stage; a total of 0: not known."""

    stage: Stage
    done: int = 0
    total: int = 0


Progress = Callable[[Step], None]


class Steps:
    """Tells of each step of one undo, on the session's connection: the name goes when the transaction ends."""

    def __init__(self, import_id: int, progress: Progress | None) -> None:
        self._import_id, self._progress = import_id, progress

    def at(self, stage: Stage, done: int = 0, total: int = 0) -> None:
        name = f"{_NAME} {self._import_id} {stage} {done} {total}"
        db.session.execute(select(func.set_config("application_name", name, True)))
        if self._progress is not None:
            self._progress(Step(stage, done, total))


def under_way(import_id: int) -> Step | None:
    """How far the undo of this import is, whichever process does it; None where none goes on."""
    name = db.session.scalar(
        text(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
            " AND starts_with(application_name, :name) ORDER BY xact_start LIMIT 1"
        ),
        {"name": f"{_NAME} {import_id} "},
    )
    if name is None:
        return None
    stage, done, total = name.split()[-3:]
    return Step(Stage(stage), int(done), int(total))
