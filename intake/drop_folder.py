"""The drop folder: files that are laid into a feed's folder are taken in, once each, and put away with their report.

complete -> claimed (renamed into taking/) -> imported -> put away (done/ or failed/) with its report beside it

A file left in taking/ by a process that was killed is taken up again by the next look: importing twice changes nothing.
One at which that happened twice is put into failed/: it may be what kills, and would keep all others waiting.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from threading import Event

from intake import drop_files, refusals
from intake.drop_files import DONE, FAILED, Found, Stamp
from intake.drop_report import LeftAlone, Look, Outcome, Taken, nothing_came_of_it, number_of
from intake.drop_settings import Feed, read_feed
from intake.drop_taking import DATABASE_AWAY, NOT_NOW, given_up, imported, tried
from intake.drop_turns import Turns, turns_taken
from intake.refusals import Attempt, Door
from intake.reports import ImportReport
from survey import clock, settings
from survey.clock import iso
from survey.db import db
from survey.errors import AftercallError, InputError, Refused
from survey.logs import logger
from survey.models import ImportKind

BETWEEN_LOOKS_SECONDS = 1.0
AWAY = "the database went away"
log = logger("intake")


class DropFolder:
    """A picker, which remembers how each file was when it looked last. It serves one thread at a time.

    With `logs` the log tells what it took and what needs a person; a command prints the look instead.
    """

    def __init__(self, *, logs: bool = True) -> None:
        self._logs = logs
        self._seen: dict[str, dict[str, Stamp]] = {}
        self._told: set[LeftAlone] = set()
        self._served = ""
        # When this picker claimed what is not put away yet: an undo before that was of an earlier file.
        self._claims: dict[Path, datetime] = {}

    def beat(self) -> None:
        """The scheduler's chore: takes one file at most, so that the other chores' turn comes.

        Does nothing when no drop folder is set. Raises OperationalError when the database is away.
        """
        if settings.current().intake_dir is not None:
            self.look(at_most=1)

    def pick_up(self) -> Look:
        """Looks twice, a moment apart, so that everything complete is taken. Raises as `look` does."""
        self.look(at_most=0)
        Event().wait(BETWEEN_LOOKS_SECONDS)
        return self.look()

    def look(self, at_most: int | None = None) -> Look:
        """Takes `at_most` so many complete files (None: all); commits. What is wrong with one stops no other.

        Raises InputError when no drop folder is set, OperationalError when the database is away.
        """
        root = settings.current().intake_dir
        if root is None:
            raise InputError("no drop folder is set", where="INTAKE_DIR", how=".env.example explains it.")
        look = Look(at_most)
        with turns_taken() as turns:
            for folder in self._folders(root, look):
                self._serve(folder, turns, look)
        if self._logs:
            self._tell(look)
        return look

    def _folders(self, root: Path, look: Look) -> list[Path]:
        """The feeds' folders, first those behind the one served last: none waits for ever for another's many files."""
        try:
            entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
        except OSError as error:
            look.leave(f"INTAKE_DIR ({root})", f"cannot be read: {error.strerror}", faulty=True)
            return []
        for entry in entries:
            if not entry.is_dir() and not entry.name.casefold().startswith("readme"):
                look.leave(entry.name, "lies beside the feeds' folders, not in one of them")
        folders = [entry for entry in entries if entry.is_dir()]
        return sorted(folders, key=lambda folder: (folder.name <= self._served, folder.name))

    def _serve(self, folder: Path, turns: Turns, look: Look) -> None:
        try:
            feed = read_feed(folder)
            with turns.at(feed) as ours:
                if ours:
                    self._take_from(feed, turns, look)
                else:
                    look.leave(feed.name, "another picker is at work here")
        except InputError as error:
            look.left_alone.append(LeftAlone(folder.name, str(error), faulty=True))
        except OSError as error:
            look.leave(folder.name, f"cannot be looked through: {error.strerror}", faulty=True)
        except DATABASE_AWAY:
            db.session.rollback()
            look.leave(folder.name, AWAY, faulty=True)

    def _take_from(self, feed: Feed, turns: Turns, look: Look) -> None:
        drop_files.make_folders(feed)
        for path in drop_files.left_over(feed):
            if not look.full:
                self._take(feed, path, turns, look)
        for file in self._found(feed):
            if file.waits or look.full:
                look.leave(f"{feed.name}/{file.name}", file.waits or "is complete; its turn comes at a next look")
            elif (claimed := _claimed(feed, file.name, look)) is not None:
                self._claims[claimed] = clock.now()
                self._take(feed, claimed, turns, look)

    def _found(self, feed: Feed) -> list[Found]:
        files = drop_files.found(feed, self._seen.get(feed.name, {}), clock.now())
        self._seen[feed.name] = {file.name: file.stamp for file in files}
        return files

    def _take(self, feed: Feed, path: Path, turns: Turns, look: Look) -> None:
        """Imports a claimed file and puts it away. What is no fault of the file leaves it claimed for the next look."""
        begun = clock.now()
        try:
            with tried(path) as again:
                outcome = imported(feed, path, self._claims.get(path)) if again else given_up(path)
                turns.check()
                _put_away(feed, path, outcome, look)
            self._claims.pop(path, None)
            _note_refusal(feed, look.taken[-1], begun)
            if self._logs:
                _log(look.taken[-1])
            self._served = feed.name
        except NOT_NOW as error:
            db.session.rollback()
            look.leave(
                f"{feed.name}/{path.name}", f"is not in yet: {_said(error)}; the next look tries again", faulty=True
            )

    def _tell(self, look: Look) -> None:
        """What needs a person goes to the log: when it turns up, not at every look while it lasts."""
        faulty = {left for left in look.left_alone if left.faulty}
        for left in look.left_alone:
            if left.faulty and left not in self._told:
                log.warning("the drop folder needs a person", what=left.what, why=left.why)
        self._told = faulty


def _claimed(feed: Feed, name: str, look: Look) -> Path | None:
    try:
        return drop_files.claim(feed, name)
    except OSError as error:
        look.leave(f"{feed.name}/{name}", f"cannot be taken: {error.strerror}", faulty=True)
        return None


def _said(error: BaseException) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return error.what if isinstance(error, Refused) else AWAY


def _put_away(feed: Feed, path: Path, outcome: Outcome, look: Look) -> None:
    """Raises OSError when the file cannot be moved; a report that cannot be written holds nothing up."""
    folder = FAILED if nothing_came_of_it(outcome) else DONE
    now = clock.now()
    target = drop_files.put_away(path, feed.folder / folder, number_of(outcome), now)
    taken = Taken(feed.name, path.name, f"{folder}/{target.name}", iso(now), _sha256(target, outcome), outcome)
    look.taken.append(taken)
    try:
        drop_files.write_reports(target, taken.as_dict(), taken.lines(), _rejects_of(outcome))
    except OSError as error:
        look.leave(f"{feed.name}/{taken.place}", f"its report could not be written: {error.strerror}", faulty=True)


def _note_refusal(feed: Feed, taken: Taken, begun: datetime) -> None:
    """Once the file is put away: one that has to be tried again was not refused yet."""
    if isinstance(taken.outcome, AftercallError):
        kind, owner = ImportKind(feed.settings.kind), feed.settings.organisation
        refusals.note(
            Attempt(taken.file, taken.sha256, kind, Door.DROP_FOLDER, owner, feed.actor, begun), taken.outcome
        )


def _log(taken: Taken) -> None:
    outcome = taken.outcome
    log.info(
        "a file of the drop folder was taken",
        feed=taken.feed,
        file=taken.file,
        place=taken.place,
        import_id=number_of(outcome),
        **({"refused": str(outcome)} if isinstance(outcome, AftercallError) else _counts(outcome)),
    )


def _sha256(file: Path, outcome: Outcome) -> str | None:
    """The file's; None for one that cannot be read."""
    return refusals.sha256_if_readable(file) if isinstance(outcome, AftercallError) else outcome.sha256


def _counts(report: ImportReport) -> dict[str, int]:
    return {count: getattr(report, count) for count in ("read", "new", "updated", "unchanged", "rejected")}


def _rejects_of(outcome: Outcome) -> Path | None:
    if isinstance(outcome, AftercallError) or outcome.rejects_file is None:
        return None
    return Path(outcome.rejects_file)
