"""How the application starts, or says why it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def test_faulty_settings_stop_the_start_with_one_clear_line() -> None:
    started = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=PROJECT,
        env={**os.environ, "AFTERCALL_ENV_FILE": "", "DATABASE_URL": "mysql://somewhere", "TICK_SECONDS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 1
    assert started.stderr.startswith("Refused: settings: ") and started.stderr.count("\n") == 1
    assert "DATABASE_URL" in started.stderr and "TICK_SECONDS" in started.stderr
