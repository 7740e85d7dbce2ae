"""The embedded PostgreSQL: started once, shared by all, and found again whatever became of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from survey import embedded
from survey.embedded_user import ROOT_RUNS_AS, ServerUser, check_ways_in, owner_of
from survey.errors import AftercallError

PROJECT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter (pytest's own may not be), emptied of servers at the end."""
    folder = Path(tempfile.mkdtemp(prefix="aftercall-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for home in folder.rglob("postgresql"):
        if (home / "postmaster.pid").exists():
            embedded.stop(home.parent)
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def new_data(place: Path) -> Path:
    """Where nothing is yet."""
    return place / "var"


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder / "var"


@pytest.fixture
def running(data: Path) -> str:
    """The server of this file's tests, running again whatever the test before did to it."""
    return embedded.start(data, durable=False)


def ask(url: str, question: str) -> str:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        answer = connection.execute(question)
        row = answer.fetchone() if answer.description else None
        return str(row[0]) if row else ""


def postmaster(data: Path) -> int:
    return int((data / "postgresql" / "postmaster.pid").read_text().split()[0])


def elsewhere(data: Path) -> subprocess.Popen[str]:
    """Another process that starts the server, prints its URL and ends."""
    program = "import sys, pathlib; from survey import embedded; print(embedded.start(pathlib.Path(sys.argv[1])))"
    return subprocess.Popen([sys.executable, "-c", program, str(data)], stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def of_the_servers_user(data: Path, *command: str) -> subprocess.Popen[bytes]:
    """A process that PostgreSQL's own check would take for a server: it runs as the server's user."""
    owner = (data / "postgresql").stat()
    return subprocess.Popen(command, user=owner.st_uid if AS_ROOT else None)


def test_is_started_once_and_reused(data: Path, running: str) -> None:
    since = ask(running, "SELECT pg_postmaster_start_time()")
    assert embedded.start(data) == running == embedded.find(data)
    assert ask(running, "SELECT current_database()") == "aftercall"
    assert ask(running, "SELECT pg_postmaster_start_time()") == since


def test_what_was_stored_is_there_after_a_stop(data: Path, running: str) -> None:
    ask(running, "CREATE TABLE stored AS SELECT 42 AS number")
    assert embedded.stop(data) is True
    assert embedded.find(data) is None
    assert embedded.stop(data) is False
    assert ask(embedded.start(data), "SELECT number FROM stored") == "42"


def test_listens_to_nobody_else(data: Path, running: str) -> None:
    assert ask(running, "SHOW listen_addresses") == ""
    assert (data / "postgresql").stat().st_mode & 0o777 == 0o700, "the socket's folder is its user's alone"
    assert not [c for c in psutil.Process(postmaster(data)).net_connections("inet") if c.status == "LISTEN"]


def test_its_log_keeps_no_customer_data(data: Path, running: str) -> None:
    ask(running, "CREATE TABLE numbers (phone text PRIMARY KEY)")
    for _ in range(2):
        try:
            ask(running, "INSERT INTO numbers VALUES ('+12125550123')")
        except psycopg.errors.UniqueViolation:
            log = (data / "postgresql" / "server.log").read_text()
    assert "duplicate key" in log
    assert "5550123" not in log


def test_only_throw_away_databases_skip_the_disk(data: Path) -> None:
    embedded.stop(data)
    usual = embedded.start(data)
    careful = ("fsync", "synchronous_commit", "full_page_writes")
    assert [ask(usual, f"SHOW {name}") for name in careful] == ["on"] * 3
    embedded.stop(data)
    hasty = embedded.start(data, durable=False)
    assert [ask(hasty, f"SHOW {name}") for name in careful] == ["off"] * 3


def test_many_may_start_it_at_once(new_data: Path) -> None:
    starters = [elsewhere(new_data) for _ in range(4)]
    urls = {starter.communicate()[0].strip() for starter in starters}
    assert [starter.returncode for starter in starters] == [0] * 4
    assert urls == {embedded.find(new_data)}, "one server, and it outlives the processes that started it"


def test_a_killed_server_is_started_again_when_its_orphans_are_gone(data: Path, running: str) -> None:
    ask(running, "CREATE TABLE kept AS SELECT 42 AS number")
    ask(running, "CHECKPOINT")
    with psycopg.connect(running.replace("+psycopg", "")) as busy:
        orphan = psutil.Process(busy.info.backend_pid)
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 8000000)")
        os.kill(postmaster(data), signal.SIGKILL)
        url = embedded.start(data)
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, "two servers would ruin the data"
        assert ask(url, "SELECT number FROM kept") == "42"
        busy.close()


@pytest.mark.parametrize(
    "command", [("sleep", "60"), ("true",)], ids=["a process of somebody else", "a dead one not yet collected"]
)
def test_a_reused_number_in_the_lock_files_fools_nobody(data: Path, running: str, command: tuple[str, ...]) -> None:
    files = [data / "postgresql" / name for name in ("postmaster.pid", ".s.PGSQL.5432.lock")]
    texts = [file.read_text() for file in files]
    number = str(postmaster(data))
    embedded.stop(data)
    stranger = of_the_servers_user(data, *command)
    for file, text in zip(files, texts, strict=True):
        file.write_text(text.replace(number, str(stranger.pid), 1))

    assert embedded.find(data) is None
    assert embedded.stop(data) is False
    assert ask(embedded.start(data), "SELECT 1") == "1"
    if command[0] == "sleep":
        assert stranger.poll() is None, "the stranger lives on"
    stranger.kill()
    stranger.wait()


def test_a_broken_pid_file_is_no_obstacle(data: Path, running: str) -> None:
    for left_behind in ("", "4711\n", "not a number\n/\n1\n5432\n/tmp\n"):
        embedded.stop(data)
        (data / "postgresql" / "postmaster.pid").write_text(left_behind)
        assert embedded.find(data) is None
        assert ask(embedded.start(data), "SELECT 1") == "1"


def test_a_first_start_cut_short_is_begun_anew(new_data: Path) -> None:
    half_made = new_data / "postgresql.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(new_data, durable=False), "SELECT 1") == "1"
    assert not half_made.exists()


@pytest.mark.parametrize("name", ["quite-long-" * 12, "Müller's folder, odd"], ids=["long", "odd"])
def test_long_and_odd_paths_work(place: Path, name: str) -> None:
    data = place / name / "var"
    url = embedded.start(data, durable=False)
    assert ask(url, "SELECT current_database()") == "aftercall"
    sockets = Path(url.split("host=")[1].split("&")[0])
    assert sockets.parent == Path("/tmp")
    assert sockets.stat().st_mode & 0o777 == 0o700
    embedded.stop(data)
    assert not sockets.exists()

    sockets.mkdir()
    sockets.chmod(0o777)
    if AS_ROOT:
        owner = (data / "postgresql").stat()
        os.chown(sockets, owner.st_uid, owner.st_gid)
    with pytest.raises(AftercallError, match="not this database's alone"):
        embedded.start(data)
    sockets.rmdir()


@pytest.mark.parametrize("name", ['quo"te', "$HOME", "`id`", "back\\slash", "line\nbreak"])
def test_paths_that_a_shell_would_read_are_refused(place: Path, name: str) -> None:
    with pytest.raises(AftercallError, match="in its path"):
        embedded.start(place / name)
    assert not (place / name).exists()


def test_asking_makes_nothing(new_data: Path) -> None:
    assert embedded.find(new_data) is None
    assert embedded.stop(new_data) is False
    assert not new_data.exists()


def test_another_version_is_refused(new_data: Path) -> None:
    home = new_data / "postgresql"
    home.mkdir(parents=True)
    (home / "PG_VERSION").write_text("16\n")
    if AS_ROOT:
        os.chown(home, 65534, 65534)
    with pytest.raises(AftercallError, match="made by PostgreSQL 16"):
        embedded.start(new_data)


def test_somebody_elses_database_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 4711)
    with pytest.raises(AftercallError, match="belongs to the user") as refusal:
        owner_of(place)
    assert "AFTERCALL_DATA" in refusal.value.how


@pytest.mark.skipif(not AS_ROOT, reason="only root hands PostgreSQL over to another user")
class TestAsRoot:
    def test_runs_as_a_user_of_its_own(self, data: Path, running: str) -> None:
        process = psutil.Process(postmaster(data))
        assert process.username() == ROOT_RUNS_AS
        assert 0 not in (*process.uids(), *process.gids())

    def test_a_private_folder_is_refused_and_stays_private(self, place: Path) -> None:
        private = place / "private"
        private.mkdir(mode=0o700)
        with pytest.raises(AftercallError, match="cannot enter this folder") as refusal:
            embedded.start(private / "project" / "var")
        assert refusal.value.where == str(private)
        assert "bin/demo" in refusal.value.how
        assert "DATABASE_URL" in refusal.value.how
        assert private.stat().st_mode & 0o777 == 0o700

    def test_programs_in_a_private_folder_are_refused(
        self, place: Path, new_data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = place / "venv"
        (private / "bin").mkdir(parents=True)
        (private / "bin" / "postgres").touch(mode=0o755)
        private.chmod(0o700)
        monkeypatch.setattr(embedded, "_programs", lambda: private / "bin")
        with pytest.raises(AftercallError, match="cannot enter") as refusal:
            embedded.start(new_data)
        assert refusal.value.where == str(private)
        assert private.stat().st_mode & 0o777 == 0o700

    def test_serves_an_ordinary_users_database_as_that_user(self, place: Path) -> None:
        home = place / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 65534, 65534)
        check_ways_in(ServerUser(65534, 65534), home)
        with pytest.raises(AftercallError, match="cannot enter"):
            check_ways_in(ServerUser(65533, 65533), home)


@pytest.mark.skipif(AS_ROOT, reason="root cannot use private folders")
def test_an_ordinary_user_may_keep_it_in_a_private_folder(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    assert ask(embedded.start(private / "var", durable=False), "SELECT 1") == "1"
    assert private.stat().st_mode & 0o777 == 0o700
