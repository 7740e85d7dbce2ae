"""bin/demo keeps to a place of its own, whatever the settings of the real service say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT

# In place of the whole set-up: the Python that runs this test, and an application that tells what it would use.
SET_UP = f"set_up() {{ HOME_FOLDER=$PWD; PYTHON={sys.executable}; export FLASK_APP=wsgi; }}\n"
APPLICATION = """
import os
import click
from flask import Flask

app = Flask("probe")

@app.cli.command("demo")
def demo():
    click.echo(os.environ.get("DATABASE_URL", "none") + " " + os.environ["AFTERCALL_DATA"])
"""


def test_the_demo_takes_no_database_from_the_environment_or_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(PROJECT / "bin" / "demo", tmp_path / "bin" / "demo")
    (tmp_path / "bin" / "_setup").write_text(SET_UP)
    (tmp_path / "wsgi.py").write_text(APPLICATION)
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://real.example.com/customers\n")
    environment = {**os.environ, "DATABASE_URL": "postgresql://other.example.com/customers"}
    environment.pop("AFTERCALL_DATA", None)
    told = subprocess.run(
        [str(tmp_path / "bin" / "demo")], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"none {tmp_path}/var/demo\n"
