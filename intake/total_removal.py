"""Taking control totals out again, such as those of a mistyped source. What stood there stays in the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from intake.bulk import take_turn
from intake.calls import find_organisation
from intake.reports import counted
from intake.total_history import stood_before
from intake.totals import sites_and
from survey import audit, completeness
from survey.calendars import day_start
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import Site

DAY = timedelta(days=1)

_OF_THE_DAYS = """
    FROM control_totals total
    JOIN unnest(CAST(:sites AS bigint[]), CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[]))
        AS span (site_id, first_at, last_at) USING (site_id)
    WHERE total.organisation_id = :organisation AND total.source = :source
"""
_WHOLLY = "AND total.starts_at >= first_at AND total.ends_at <= last_at"
_REACHING = (
    "AND total.starts_at < last_at AND total.ends_at > first_at"
    " AND (total.starts_at < first_at OR total.ends_at > last_at)"
)
_FORMER = f"""
SELECT site_id, agent_id, starts_at, ends_at, calls, answered, CAST(NULL AS bigint) AS calls_after,
    CAST(NULL AS bigint) AS answered_after {_OF_THE_DAYS} {_WHOLLY}
"""


@dataclass(frozen=True)
class Removal:
    """Which counts are removed: an organisation's (by key) of one source, at one site or at all, that lie wholly within

    the days from the first to the last, both inclusive and local to each site.
    """

    organisation: str
    source: str
    first: date
    last: date
    site: str | None = None


@dataclass(frozen=True)
class RemovalReport:
    """How many counts went, by site and agents' apart (`stood_before`), and how many reach beyond the days and stay."""

    source: str
    first: date
    last: date
    dry_run: bool
    removed: int
    staying: int
    stood_before: Sequence[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = ["Dry run: nothing was removed."] if self.dry_run else []
        done = "would be removed" if self.dry_run else "removed"
        lines.append(f"{self.source}, {self.first} to {self.last}: {counted(self.removed, 'count')} {done}.")
        lines += [_part(part) for part in self.stood_before]
        if self.staying:
            lines.append(f"{_staying(self.staying, 'of this source')} beyond these days: not removed.")
        tell = "will be" if self.dry_run else "are"
        return [
            *lines,
            f"What they said and who removed them {tell} in the audit trail and in the report of these days.",
        ]


def remove(removal: Removal, *, actor: str, dry_run: bool = False) -> RemovalReport:
    """Removes control totals, and notes in the audit trail by whom and what they said. Commits, unless `dry_run`.

    Raises NotFound for an unknown organisation or site and where no count lies wholly within the days, InputError where
    the days run backwards.
    """
    if removal.last < removal.first:
        raise InputError(f"{removal.first} to {removal.last} runs backwards", how="Give the first day first.")
    organisation = find_organisation(removal.organisation)
    sites, site = sites_and(organisation, removal.site)
    chosen = {each.id: each for each in ([site] if site else sites.values())}
    values = _values(organisation.id, removal, list(chosen.values()))
    try:
        take_turn(organisation.id)
        before = stood_before(_FORMER, values)
        staying = db.session.scalar(text(f"SELECT count(*) {_OF_THE_DAYS} {_REACHING}"), values) or 0
        report = RemovalReport(
            *(removal.source, removal.first, removal.last, dry_run),
            *(sum(part["counts"] for part in before), staying, before),
        )
        if not before:
            raise _nothing_there(organisation.id, removal, staying)
        if not dry_run:
            _delete(values)
            days = {"from": str(removal.first), "until": str(removal.last)}
            told = {"source": removal.source, "counts": report.removed, "stood_before": before}
            audit.record(actor, completeness.REMOVED, organisation, **days, **told)
            db.session.commit()
    finally:
        db.session.rollback()  # gives the turn back, and whatever did not come to its end
    return report


def _values(organisation_id: int, removal: Removal, sites: Sequence[Site]) -> dict[str, Any]:
    return {
        "organisation": organisation_id,
        "source": removal.source,
        "sites": [site.id for site in sites],
        "firsts": [day_start(removal.first, site.time_zone) for site in sites],
        "lasts": [day_start(removal.last + DAY, site.time_zone) for site in sites],
    }


def _delete(values: dict[str, Any]) -> None:
    its = f"SELECT total.id {_OF_THE_DAYS} {_WHOLLY}"
    db.session.execute(text(f"DELETE FROM control_totals WHERE id IN ({its})"), values)  # noqa: S608 (SQL of our own)


def _nothing_there(organisation_id: int, removal: Removal, staying: int) -> NotFound:
    query = text("SELECT DISTINCT source FROM control_totals WHERE organisation_id = :id ORDER BY source")
    known = ", ".join(db.session.scalars(query, {"id": organisation_id})) or "none"
    beyond = f" {_staying(staying, 'of it')} beyond them: name more days." if staying else ""
    return NotFound(
        f"no count of the source {removal.source!r} lies wholly within {removal.first} to {removal.last}",
        how=f"Sources with counts: {known}.{beyond}",
    )


def _staying(count: int, of: str) -> str:
    return f"{counted(count, 'count')} {of} reach{'es' if count == 1 else ''}"


def _part(part: dict[str, Any]) -> str:
    whose = "agents" if part["of_agents"] else "the whole site"
    kind = "calls" if part["calls"] is not None else "answered"
    sums = f"{part[kind]:,} {'calls' if kind == 'calls' else 'answered calls'}"
    return f"  {part['site']}, {part['first']} to {part['last']}: {counted(part['counts'], 'count')} of {whose}, {sums}"
