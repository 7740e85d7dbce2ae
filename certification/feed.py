"""The feed behind a period: whether what was handed in is what the telephone system counted.

Calls that are never handed over are invisible; leaving bad ones out is the easiest cheat. So no period is decided while
a gap within its days stands, at a site of its scope. Where no control total was ever handed in, nothing can be compared
and nothing is blocked.

Comparing millions of calls takes many seconds, and the clockwork asks every minute: `Blocked` remembers for it which
periods have to wait, until something has come in that may free them, or an hour has passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from survey import clock, completeness
from survey.completeness import Report
from survey.db import db
from survey.errors import Refused
from survey.models import AuditEntry, ImportRecord, Organisation, Period

# What frees a period otherwise than by an import or an act in the audit trail is seen after this long.
LOOKED_AT_AGAIN = timedelta(hours=1)
# So many stretches without counts are named in a sentence.
NAMED = 3
# What shows that something was recorded for an organisation: the newest records and what became of them.
_Mark = tuple[datetime | int | None, ...]


class Incomplete(Refused):
    """A period that must not be decided because of gaps in its feed; `gaps` is how many there are."""

    def __init__(self, report: Report, organisation_key: str) -> None:
        self.gaps = report.number_of_gaps
        super().__init__(
            what_is_missing(report),
            how=f"{completeness.HOW} Every gap is named by flask calls totals report --organisation {organisation_key}"
            f" --from {report.starts_on} --until {report.ends_on}",
        )


def compared(period: Period, most: int | None = 1) -> Report:
    """The period's days and sites, as the telephone system counted them and as they came in.

    `most` gaps of each span are named (None: all).
    """
    owner = period.programme.organisation_id
    return completeness.compare(owner, period.starts_on, period.ends_on, site_ids=period.scope["sites"], most=most)


def what_is_missing(report: Report) -> str:
    """The gaps in one sentence: how many there are, the largest of each span, and the first days without counts."""
    differing, said = sum(report.found.values()), []
    if differing:
        worst = "; ".join(gap.line for gap in report.worst)
        gaps = f"{differing:,} {'gap' if differing == 1 else 'gaps'} above 0.5%"
        said.append(
            f"the calls handed in are not those that the telephone system counted: {gaps}. The largest: {worst}"
        )
    if report.uncounted:
        more = len(report.uncounted) - NAMED
        named = "; ".join(each.line for each in report.uncounted[:NAMED])
        said.append(f"not all days were counted: {named}{f'; and {more:,} more' if more > 0 else ''}")
    return ". Also, ".join(said)


@dataclass
class Blocked:
    """The periods that a comparison has found gaps in, each with when that was and what had been recorded by then.

    It lives as long as the process that asks again and again; a new one compares once.
    """

    _found: dict[int, tuple[datetime, _Mark]] = field(default_factory=dict)

    def waits(self, period: Period) -> bool:
        """Whether nothing was recorded for the organisation since the gaps were found, less than an hour ago."""
        at, mark = self._found.get(period.id, (None, None))
        return at is not None and clock.now() - at < LOOKED_AT_AGAIN and mark == mark_of(period)

    def found(self, period: Period, mark: _Mark) -> None:
        """Remembers that the period has gaps; `mark` was taken before they were looked for."""
        self._found[period.id] = clock.now(), mark


def mark_of(period: Period) -> _Mark:
    """What has been recorded for the period's organisation: it differs whenever an import was begun, ended or undone,

    or counts were removed, or its site or roster was changed with an entry in the audit trail.
    """
    owner = period.programme.organisation_id
    imports = select(
        func.max(ImportRecord.id), func.max(ImportRecord.finished_at), func.max(ImportRecord.undone_at)
    ).where(ImportRecord.organisation_id == owner)
    acts = select(func.max(AuditEntry.id)).where(
        AuditEntry.subject_type == Organisation.__tablename__, AuditEntry.subject_id == owner
    )
    return (*db.session.execute(imports).one(), db.session.scalar(acts))
