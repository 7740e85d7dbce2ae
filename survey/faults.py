"""A fault of this service for the log: its kind and where it arose, without its words, which may hold contacts."""

from __future__ import annotations

import traceback
from pathlib import Path

from survey.settings import PROJECT


def fault_told(fault: BaseException) -> str:
    """Like "IntegrityError at intake/calls.py:120 in _take < intake/cli.py:98 in calls_import": the innermost first."""
    frames = reversed(traceback.extract_tb(fault.__traceback__))
    places = [f"{_file(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
    cause = fault.__cause__ or fault.__context__
    kind = f"{type(fault).__name__}{f' (of {type(cause).__name__})' if cause else ''}"
    return f"{kind} at {' < '.join(places)}" if places else kind


def _file(path: str) -> str:
    found = Path(path)
    return str(found.relative_to(PROJECT)) if found.is_relative_to(PROJECT) else "/".join(found.parts[-2:])
