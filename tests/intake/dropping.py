"""A drop folder of a test's own, with a picker that looks at it, and feeds that files are laid into."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import Flask
from structlog.testing import capture_logs

from intake.drop_folder import DropFolder
from intake.drop_report import Look
from survey import clock
from survey.settings import current
from tests.intake import samples

NORTH = 'organisation = "acme"\nsite = "north"\n'
ROW = "1,amy,2026-03-02 09:00,60"
CALLS = samples.rows(ROW)


@dataclass
class Drop:
    """The drop folder at `root`, and one picker that remembers its looks."""

    root: Path
    picker: DropFolder = field(default_factory=DropFolder)

    def feed(self, settings: str = NORTH, name: str = "acme") -> Path:
        """A feed with these settings."""
        folder = self.root / name
        folder.mkdir()
        (folder / "intake.toml").write_text(settings)
        return folder

    def look(self, at_most: int | None = None) -> Look:
        """One look, as the scheduler or the command makes it."""
        return self.picker.look(at_most)

    def picked(self) -> Look:
        """What the second of two looks found and did."""
        self.look(at_most=0)
        return self.look()


def opened(app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    """A drop folder below `folder`, and the settings say so; as long as the test runs."""
    root = folder / "intake"
    root.mkdir()
    monkeypatch.setitem(app.config, "SETTINGS", current().model_copy(update={"intake_dir": root}))
    return Drop(root)


def laid(folder: Path, name: str = "calls.csv", text: str = CALLS, age: float = 60) -> Path:
    """A file that was written to `age` seconds ago."""
    path = samples.written(folder, text, name)
    touched(path, age)
    return path


def touched(path: Path, age: float) -> None:
    written_at = clock.now().timestamp() - age
    os.utime(path, (written_at, written_at), follow_symlinks=False)


@contextmanager
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What goes to the log within the block, from INFO up."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with capture_logs() as entries:
            yield entries
    finally:
        structlog.configure(**before)


def names(folder: Path) -> set[str]:
    """What lies in a folder; empty when there is none."""
    return set(os.listdir(folder)) if folder.exists() else set()
