"""As whom the embedded PostgreSQL runs, and whether that user can get at its files.

PostgreSQL refuses to run as root, so root hands it over to a user of its own. That user must be able to enter every
folder above its data and its programs. No permission is ever widened here: where a way is shut, we refuse and say so.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from survey.errors import AftercallError

ROOT_RUNS_AS = "pgserver"
OWN_DATABASE = "To use a PostgreSQL of your own instead, set DATABASE_URL."


@dataclass(frozen=True)
class ServerUser:
    """The user and group, by number, that the server runs as."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def is_another(self) -> bool:
        """Whether programs must be handed over to this user: only root can, and root must."""
        return os.geteuid() == 0


def owner_of(folder: Path) -> ServerUser:
    """The user an existing database runs as: its owner, whoever asks. Raises AftercallError when we may not."""
    entry = folder.stat()
    user = ServerUser(entry.st_uid, entry.st_gid)
    if os.geteuid() not in (0, user.uid):
        raise AftercallError(
            f"This database belongs to the user {user.name}.",
            where=str(folder),
            how=f"Start as that user, or set AFTERCALL_DATA to a folder of your own. {OWN_DATABASE}",
        )
    if user.uid == 0:
        raise AftercallError(
            "This database belongs to root, and PostgreSQL refuses to run as root.",
            where=str(folder),
            how=f"Give it to another user: chown -R {ROOT_RUNS_AS} {shlex.quote(str(folder))}",
        )
    return user


def user_for_a_new_one() -> ServerUser:
    """Ourselves, or the user that root hands over to, made on first use. Raises AftercallError when it cannot be."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid())
    with suppress(KeyError):
        return _look_up(ROOT_RUNS_AS)
    _add_user(ROOT_RUNS_AS)
    # Looked up again rather than believing an exit code: another process may have made it in the same moment.
    try:
        return _look_up(ROOT_RUNS_AS)
    except KeyError:
        raise AftercallError(
            f"PostgreSQL refuses to run as root, and the user {ROOT_RUNS_AS} could not be made for it.",
            how=f"Make a user named {ROOT_RUNS_AS}, or start Aftercall as an ordinary user. {OWN_DATABASE}",
        ) from None


def _look_up(name: str) -> ServerUser:
    entry = pwd.getpwnam(name)
    return ServerUser(entry.pw_uid, entry.pw_gid)


def _add_user(name: str) -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program:
        options = ["--system", "--user-group", "--no-create-home", "--shell", shutil.which("nologin") or "/bin/false"]
        subprocess.run([program, *options, name], check=False, capture_output=True)  # noqa: S603 (no outside input)


def check_ways_in(user: ServerUser, *paths: Path) -> None:
    """Raises AftercallError naming the first folder on the way to `paths` that the server's user cannot enter."""
    if not user.is_another:
        return
    for path in paths:
        for step in (*reversed(path.parents), path):
            if not _may_enter(user, step.stat()):
                raise AftercallError(
                    f"Started by root, the embedded PostgreSQL runs as the user {user.name}, who cannot enter this "
                    "folder.",
                    where=str(step),
                    how="Start with bin/demo or bin/run, which then keep the data and the Python packages under "
                    f"/var/lib/aftercall; or start as an ordinary user. {OWN_DATABASE}",
                )


def _may_enter(user: ServerUser, entry: os.stat_result) -> bool:
    if entry.st_uid == user.uid:
        return bool(entry.st_mode & stat.S_IXUSR)
    if entry.st_gid == user.gid:
        return bool(entry.st_mode & stat.S_IXGRP)
    return bool(entry.st_mode & stat.S_IXOTH)
