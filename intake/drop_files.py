"""The files of a feed's folder: which are complete, claiming one, and putting it away with its report beside it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from intake.drop_settings import SETTINGS_FILE, Feed, FeedKind
from survey.errors import InputError

SETTLED_SECONDS = 30
# A file at which the service came to its end as often as that is not tried again.
MOST_TRIES = 2
TAKING, DONE, FAILED = "taking", "done", "failed"
# How programs name a file that they are still writing, and the empty file some put beside it when they are done.
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload", ".swp")
MARKERS = (".ok", ".done")
REPORT_JSON, REPORT_TEXT, REJECTS = ".report.json", ".report.txt", ".rejects.csv"
BESIDE = (REPORT_JSON, REPORT_TEXT, REJECTS)
# File systems end at 255 bytes; the reports' names are longer than their file's.
LONGEST_NAME = 200

Stamp = tuple[int, int]
"""Size and time of the last change of a file, in nanoseconds: what differs when it was written to."""

States = Mapping[str, os.stat_result]


@dataclass(frozen=True)
class Found:
    """A file of a feed's folder; `waits` says why it is not complete, and is empty when it is."""

    name: str
    stamp: Stamp
    waits: str = ""


def make_folders(feed: Feed) -> None:
    """Makes the feed's own folders where they are missing. Raises InputError for one that files cannot be moved to."""
    _check_access(feed.folder, feed.name)
    for name in (TAKING, DONE, FAILED):
        folder, where = feed.folder / name, f"{feed.name}/{name}"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror}", where=where) from None
        if folder.is_symlink() or folder.stat().st_dev != feed.folder.stat().st_dev:
            how = "Files are renamed into it: make it a plain folder."
            raise InputError("is a link or on another disk", where=where, how=how)
        _check_access(folder, where)


def _check_access(folder: Path, where: str) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        how = "Give the service's user leave to read and write there."
        raise InputError("is closed to the service", where=where, how=how)


def left_over(feed: Feed) -> list[Path]:
    """Files that were claimed and not put away, because whoever took them was killed; oldest first."""
    with os.scandir(feed.folder / TAKING) as entries:
        files = [entry for entry in entries if not entry.name.startswith(".") and not entry.is_dir()]
    files.sort(key=lambda entry: (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return [Path(entry.path) for entry in files]


def found(feed: Feed, before: Mapping[str, Stamp], now: datetime) -> list[Found]:
    """Every file that could be the feed's, oldest first; `before` is how each was at the look before."""
    states = _states(feed.folder)
    files = [_judged(name, states, before.get(name), now) for name in states if _of_interest(feed, name, states)]
    return sorted(files, key=lambda file: (file.stamp[1], file.name))


def _states(folder: Path) -> dict[str, os.stat_result]:
    """Everything in a folder, links as links; what vanishes meanwhile is left out."""
    states = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                states[entry.name] = entry.stat(follow_symlinks=False)
    return states


def _of_interest(feed: Feed, name: str, states: States) -> bool:
    """Not so: hidden files, the feed's own files and folders, and markers that lie beside their file."""
    if name.startswith(".") or name in {SETTINGS_FILE, feed.settings.mapping, TAKING, DONE, FAILED}:
        return False
    if name.casefold().startswith("readme") or (name.endswith(".toml") and feed.settings.kind is not FeedKind.ROSTER):
        return False
    return not any(name.endswith(marker) and name.removesuffix(marker) in states for marker in MARKERS)


def _judged(name: str, states: States, before: Stamp | None, now: datetime) -> Found:
    state = states[name]
    waits = _never(name, state)
    if not waits and not _marked(name, states):
        waits = _unsettled(now.timestamp() - state.st_mtime, _stamp(state), before)
    return Found(name, _stamp(state), waits)


def _never(name: str, state: os.stat_result) -> str:
    """Why a file is not taken however long it lies there; empty when nothing speaks against it."""
    if not stat.S_ISREG(state.st_mode):
        kind = "a link" if stat.S_ISLNK(state.st_mode) else "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe"
        return f"is {kind}, not a file"
    if name.casefold().endswith(UNFINISHED):
        return "is still being written, as its name says"
    if name.endswith(MARKERS):
        return "says that a file is finished which is not there"
    if name.endswith(BESIDE):
        return "is a report, not a file to take in"
    if len(os.fsencode(name)) > LONGEST_NAME:
        return f"has too long a name: rename it to {LONGEST_NAME} bytes at most"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        return "has a name with characters that cannot be written: rename it"
    return ""


def _marked(name: str, states: States) -> bool:
    """Whether a finished marker lies beside it; one older than the file was of a file of this name before it."""
    markers = [states[name + marker] for marker in MARKERS if name + marker in states]
    return any(marker.st_mtime_ns >= states[name].st_mtime_ns for marker in markers)


def _unsettled(age: float, stamp: Stamp, before: Stamp | None) -> str:
    if age < 0:
        return "was written to in the future, by its own account: it is taken once that time has come"
    if age < SETTLED_SECONDS:
        return f"was written to {age:.0f} seconds ago: it is taken once it was left alone for {SETTLED_SECONDS}"
    if before is None:
        return "was seen for the first time: it is taken when the next look finds it unchanged"
    if before != stamp:
        return "has changed since the last look"
    return ""


def claim(feed: Feed, name: str) -> Path:
    """Takes a file out of everybody else's sight and returns where it is now; its markers are removed.

    Raises OSError when it cannot be moved, FileExistsError while one of this name is still being taken.
    """
    target = feed.folder / TAKING / name
    if os.path.lexists(target):
        raise FileExistsError(0, "another file of this name is still being taken", name)
    # The markers first: one left behind would call the next file of this name finished while it is being written.
    for marker in MARKERS:
        (feed.folder / f"{name}{marker}").unlink(missing_ok=True)
    forget_tries(target)  # those at an earlier file of this name
    os.rename(feed.folder / name, target)
    return target


def tries(path: Path) -> int:
    """How many tries at a claimed file were begun and neither ended nor taken back: whoever made them was killed."""
    return sum(os.path.lexists(mark) for mark in _marks(path))


def begin_try(path: Path) -> Path:
    """Marks, before anything reads it, that a claimed file is being tried; returns the mark. Raises OSError."""
    mark = next((mark for mark in _marks(path) if not os.path.lexists(mark)), _marks(path)[-1])
    mark.touch()
    return mark


def forget_tries(path: Path) -> None:
    for mark in _marks(path):
        mark.unlink(missing_ok=True)


def _marks(path: Path) -> list[Path]:
    return [path.with_name(f".{path.name}.try-{number}") for number in range(1, MOST_TRIES + 1)]


def stamp_of(path: Path) -> Stamp:
    """How a file is now. Raises InputError for what is no plain file (any more)."""
    state = path.lstat()
    if not stat.S_ISREG(state.st_mode):
        raise InputError("is a link or no file at all", where=path.name, how="Hand in the file itself.")
    return _stamp(state)


def put_away(path: Path, folder: Path, number: int | None, now: datetime) -> Path:
    """Moves a taken file to `folder` and returns where it lies; nothing there is ever overwritten.

    Where its name (or that of a report beside it) is in use, the import's number is added, or without one the time.
    """
    target = folder / _free_name(folder, path.name, number, now)
    forget_tries(path)
    os.rename(path, target)
    return target


def _free_name(folder: Path, name: str, number: int | None, now: datetime) -> str:
    stem, suffix = os.path.splitext(name)
    mark = f"{now:%Y%m%dT%H%M%SZ}" if number is None else f"import-{number}"
    candidate, tried = name, 0
    while any(os.path.lexists(folder / f"{candidate}{ending}") for ending in ("", *BESIDE)):
        tried += 1
        candidate = f"{stem}.{mark}{suffix}" if tried == 1 else f"{stem}.{mark}-{tried}{suffix}"
    return candidate


def write_reports(file: Path, report: Mapping[str, Any], lines: Sequence[str], rejects: Path | None) -> None:
    """Puts the report, once for programs and once for people, and the rejected rows beside a file that was put away.

    Who may read the file may read them. Raises OSError when the disk is full.
    """
    _write(file, REPORT_JSON, json.dumps(report, default=str, ensure_ascii=False, indent=2))
    _write(file, REPORT_TEXT, "\n".join(lines))
    if rejects is not None:
        with rejects.open("rb") as source, _new(file, REJECTS).open("wb") as target:
            shutil.copyfileobj(source, target)


def _write(file: Path, ending: str, text: str) -> None:
    _new(file, ending).write_text(text + "\n", encoding="utf-8")


def _new(file: Path, ending: str) -> Path:
    """A new, empty file beside `file`, readable by whoever may read that. Raises OSError rather than overwrite one."""
    path = file.with_name(file.name + ending)
    mode = stat.S_IMODE(file.stat().st_mode) & 0o666 | stat.S_IRUSR | stat.S_IWUSR
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    return path


def _stamp(state: os.stat_result) -> Stamp:
    return state.st_size, state.st_mtime_ns
