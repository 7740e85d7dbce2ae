"""Taking one claimed file of the drop folder in: by its feed's importer, and never again once a person undid that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError

from intake import drop_files, refusals
from intake.calls import import_calls
from intake.discreet import refusal_told
from intake.drop_report import Outcome
from intake.drop_settings import Feed, FeedKind
from intake.optouts import import_optouts
from intake.reports import ImportReport
from intake.roster import import_roster
from intake.roster_file import read_roster
from intake.totals import import_totals
from survey.db import db
from survey.errors import AftercallError, InputError, Refused
from survey.faults import fault_told
from survey.logs import logger
from survey.models import ImportRecord, Organisation

DATABASE_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError)
# What is no fault of a file, and may be over a minute later.
NOT_NOW = (OSError, Refused, *DATABASE_AWAY)

log = logger("intake")


@contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Whether to try a claimed file (again); it is marked as tried, which stays only where the process is killed."""
    again = drop_files.tries(path) < drop_files.MOST_TRIES
    mark = drop_files.begin_try(path) if again else None
    try:
        yield again
    except (Exception, KeyboardInterrupt):
        if mark is not None:
            mark.unlink(missing_ok=True)
        raise


def given_up(path: Path) -> AftercallError:
    how = "It may be damaged or far too large. Rows of it may be in: the imports that are not finished tell of them."
    what = f"was given up: the service came to its end {drop_files.MOST_TRIES} times while it read this file"
    return AftercallError(what, where=path.name, how=how)


def imported(feed: Feed, path: Path, claimed: datetime | None) -> Outcome:
    """What came of a file claimed then (None: by a picker that is gone); a refusal without contacts.

    Raises one of NOT_NOW for what is no fault of the file.
    """
    outcome = _brought_in(feed, path, claimed)
    return refusal_told(outcome, _country(feed)) if isinstance(outcome, AftercallError) else outcome


def _country(feed: Feed) -> str:
    """The organisation's, by which telephone numbers are known. One whose first roster is refused has none yet."""
    its = select(Organisation.country).where(Organisation.key == feed.settings.organisation)
    return db.session.scalar(its) or "US"


def _brought_in(feed: Feed, path: Path, claimed: datetime | None) -> Outcome:
    try:
        stamp = drop_files.stamp_of(path)
        if (number := _undone(feed, path, claimed)) is not None:
            what = f"import {number} of this file was undone before the file was put away"
            how = "To take it in all the same, lay it into the feed's folder again."
            return Refused(what, where=path.name, how=how)
        report = IMPORTERS[feed.settings.kind](feed, path)
        if drop_files.stamp_of(path) != stamp:
            raise OSError(0, "it was written to while it was read")
        return report
    except Refused as refusal:
        db.session.rollback()
        if _undone(feed, path, claimed) is not None:
            return refusal
        raise
    except NOT_NOW:
        raise
    except AftercallError as refusal:
        db.session.rollback()
        return refusal
    except Exception as fault:
        db.session.rollback()
        log.error(
            "a file of the drop folder met a fault of this service; it lies in failed/ now",
            feed=feed.name,
            file=path.name,
            fault=fault_told(fault),
        )
        what = "could not be taken in because of a fault of this service"
        return AftercallError(what, where=path.name, how="The service's log says more.")


def _undone(feed: Feed, path: Path, claimed: datetime | None) -> int | None:
    """The file's last import, if a person undid it since the file was claimed: it must not begin anew by itself.

    Where nobody knows when that was, whenever it was undone.
    """
    since = ImportRecord.undone_at.is_not(None) if claimed is None else ImportRecord.undone_at >= claimed
    named = select(ImportRecord.id).where(ImportRecord.actor == feed.actor, ImportRecord.file_name == path.name)
    if not db.session.scalar(select(named.where(since).exists())):
        return None  # and no file is read for that
    its = named.where(ImportRecord.sha256 == refusals.sha256_if_readable(path)).order_by(ImportRecord.id.desc())
    last = its.limit(1).scalar_subquery()
    return db.session.scalar(select(ImportRecord.id).where(ImportRecord.id == last, since))


def _import_roster(feed: Feed, path: Path) -> ImportReport:
    """A feed brings in the roster of its own organisation and of no other."""
    key = read_roster(path).organisation.entry.key
    if key != feed.settings.organisation:
        what = f"is the roster of {key!r}, but this feed is of {feed.settings.organisation!r}"
        raise InputError(what, where=path.name, how="Hand it in at the feed of its organisation.")
    return import_roster(path, actor=feed.actor)


IMPORTERS: Mapping[FeedKind, Callable[[Feed, Path], ImportReport]] = {
    FeedKind.CALLS: lambda feed, path: import_calls(path, feed.call_options(), actor=feed.actor),
    FeedKind.ROSTER: _import_roster,
    FeedKind.OPTOUTS: lambda feed, path: import_optouts(path, feed.settings.organisation, actor=feed.actor),
    FeedKind.TOTALS: lambda feed, path: import_totals(path, feed.totals_options(), actor=feed.actor),
}
