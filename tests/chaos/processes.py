"""The service's own processes as `bin/run` starts them, to be killed and started again; each keeps a log of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest
import urllib3

from tests.conftest import PROJECT

PATIENCE_SECONDS = 60.0
ACCOUNT, TOKEN = "AC" + "0" * 32, "0123456789abcdef0123456789abcdef"
KEYS = {"SECRET_KEY": "a secret key for tests only", "DATA_KEY": "a data key for tests only"}
NOT_INHERITED = ("DATABASE_URL", "AFTERCALL_DATA", "SMTP_URL", "INTAKE_DIR", "WORKER_CONCURRENCY", "FLASK_APP")
FLASK = (sys.executable, "-m", "flask", "--app", "wsgi")


def wait_for(what: str, true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> float:
    """Waits until `true()`; returns after how many seconds. Fails the test when that takes far too long."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        if true():
            return time.monotonic() - begun
        time.sleep(0.02)
    pytest.fail(f"waited {seconds:.0f} seconds for {what} in vain")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Part:
    """One process of the service. `known_as` is how the database knows this life of it."""

    name: str
    command: tuple[str, ...]
    house: House
    settings: Mapping[str, str] = field(default_factory=dict)
    lives: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def known_as(self) -> str:
        return f"{self.name} {self.lives}"

    @property
    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def _log_path(self) -> Path:
        return self.house.folder / f"{self.name}.log"

    def start(self) -> None:
        self.lives += 1
        environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        environment |= {**self.house.settings, **self.settings, "PGAPPNAME": self.known_as}
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the process and to all it started."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_a_child(self) -> bool:
        """SIGKILL to one process that it started; False when there is none."""
        assert self.process is not None
        with suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children()
            if children:
                children[0].kill()
                return True
        return False

    def is_at_work(self) -> bool:
        """Connected to the database; the web server: answering."""
        if not self.alive:
            return False
        return self.house.web_answers() if self.name == "web" else self.house.connections_of(self.known_as) > 0


@dataclass
class House:
    """Everything the processes share: the database, the addresses of the stand-ins, a folder for their logs."""

    folder: Path
    database_url: str
    phone: str
    mail: str
    port: int = field(default_factory=free_port)
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def conninfo(self) -> str:
        return self.database_url.replace("postgresql+psycopg://", "postgresql://", 1)

    @property
    def settings(self) -> dict[str, str]:
        return {
            **KEYS,
            "AFTERCALL_ENV_FILE": "",
            "AFTERCALL_DATA": str(self.folder),
            "DATABASE_URL": self.database_url,
            "PUBLIC_BASE_URL": self.address,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": "+12125550100",
            "TWILIO_API_BASE": self.phone,
            "TWILIO_TIMEOUT_SECONDS": "2",
            "SMTP_URL": self.mail,
            "TICK_SECONDS": "1",
            # What a killed web server kept waiting comes at once, so keys may follow each other faster than fingers.
            "SECOND_KEY_MS": "0",
            "LOG_LEVEL": "INFO",
        }

    def web(self) -> Part:
        """The web server of bin/run, with one process for the requests."""
        bind = ("--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "4", "--no-control-socket")
        return self._part("web", (sys.executable, "-m", "gunicorn", *bind, "wsgi:app"))

    def scheduler(self, name: str = "scheduler") -> Part:
        return self._part(name, (*FLASK, "scheduler", "run"))

    def worker(self, name: str = "worker", **settings: str) -> Part:
        return self._part(name, (*FLASK, "worker", "run"), settings)

    def _part(self, name: str, command: tuple[str, ...], settings: Mapping[str, str] | None = None) -> Part:
        part = self.parts[name] = Part(name, command, self, settings or {})
        part.start()
        return part

    def web_answers(self) -> bool:
        with suppress(urllib3.exceptions.HTTPError), urllib3.PoolManager(retries=False) as pool:
            return pool.request("GET", f"{self.address}/healthz", timeout=5.0).status == 200
        return False

    def connections_of(self, name: str) -> int:
        """How many connections to the database go by this name; none while it cannot be asked."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.conninfo, connect_timeout=5) as connection:
            return connection.execute("SELECT FROM pg_stat_activity WHERE application_name = %s", [name]).rowcount
        return 0

    def wait_until_at_work(self) -> None:
        """Not for a scheduler that stands by: `known_as` is what the leader's turns are done by."""
        for part in self.parts.values():
            wait_for(f"{part.name} to be at work", part.is_at_work)

    def kill_all(self) -> None:
        for part in self.parts.values():
            part.kill()
