"""What is said of a file of calls as a whole: the columns it lacks, those nobody uses, and where it came in before."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from intake.discreet import discreet
from intake.reading import Reading
from survey.db import db
from survey.models import ImportKind, ImportRecord

NO_CONTACT = "No column for phone or email: nobody can be asked about these calls."
NO_AGENT = "No column for agent."
# Formats whose columns are called as somebody likes; those of one telephone system have many that mean nothing here.
FREE_COLUMNS = frozenset({"generic", "xlsx", "json"})
MOST_NAMES, LONGEST_NAME = 30, 60
MOST_SOURCES = 3


def of_columns(reading: Reading, joined: Collection[str] = ()) -> list[str]:
    """Sentences on the columns of a table; `joined` are the fields that a contacts file gives beside it."""
    has = reading.mapping.has
    said = []
    if not any(has(name) or name in joined for name in ("phone", "email")):
        said.append(NO_CONTACT)
    if not has("agent"):
        said.append(NO_AGENT)
    if names := ignored(reading):
        said.append(f"Not used: {_listed(names, reading.country)}.")
    return said


def ignored(reading: Reading) -> list[str]:
    """The names of the table's columns that no field takes, each once; of one telephone system's own format none."""
    table = reading.table
    if table.format is None or table.format.name not in FREE_COLUMNS:
        return []
    used = {*reading.places.values(), *reading.id_places}
    return list(dict.fromkeys(name for place, name in enumerate(table.header) if name and place not in used))


def of_other_sources(organisation_id: int, sha256: str, source: str) -> list[str]:
    """Sentences on earlier imports of the very same file under another source, not undone, that took some of it in."""
    earlier = (
        select(ImportRecord.source, func.max(ImportRecord.id))
        .where(
            ImportRecord.organisation_id == organisation_id,
            ImportRecord.kind == ImportKind.CALLS,
            ImportRecord.sha256 == sha256,
            ImportRecord.source != source,
            ImportRecord.undone_at.is_(None),
            ImportRecord.read > ImportRecord.rejected,
        )
        .group_by(ImportRecord.source)
        .order_by(func.max(ImportRecord.id).desc())
        .limit(MOST_SOURCES)
    )
    return [
        f"This file was import {number}, source {before}: under another source its calls are other calls."
        for before, number in db.session.execute(earlier)
    ]


def _listed(names: list[str], country: str) -> str:
    """The names; only how many they are where one reads like a contact, because the header then is a row of data."""
    if any(discreet(name, country) != name for name in names):
        return f"{len(names):,} columns"
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in names[:MOST_NAMES]]
    beside = len(names) - len(shown)
    return ", ".join(shown) + (f" and {beside:,} more" if beside else "")
