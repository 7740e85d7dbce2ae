"""Files whose names are bytes that are no text."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from intake import refusals
from survey.clock import ManualClock
from survey.db import db
from tests.intake import samples
from tests.intake.test_cli import run


def test_a_file_whose_name_is_no_text_is_refused_in_words_and_noted(
    app: Flask, at_noon: ManualClock, tmp_path: Path
) -> None:
    samples.place()
    file = tmp_path / os.fsdecode(b"caf\xe9.csv")
    file.write_text(samples.rows("1,amy,2026-03-02 09:00,60"))
    told = run(app, "calls", "import", file, "--organisation", "acme", "--site", "north")
    assert told.exit_code == 1 and "caf" in told.stderr
    assert "has a name with bytes that are not UTF-8. Rename the file." in told.stderr
    (entry,) = db.session.scalars(refusals.of(None))
    assert refusals.told(entry).file_name == "caf\\udce9.csv"
    roster = tmp_path / os.fsdecode(b"\xe9.toml")
    roster.write_text("")
    told = run(app, "roster", "import", roster)
    assert told.exit_code == 1 and "are not UTF-8" in told.stderr
