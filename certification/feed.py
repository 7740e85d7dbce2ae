"""The feed behind a period: whether what was handed in is what the telephone system counted.

Calls that are never handed over are invisible; leaving bad ones out is the easiest cheat. So no period is decided while
a gap within its days stands, at a site of its scope. Where no control total was ever handed in, nothing can be compared
and nothing is blocked.
"""

from __future__ import annotations

from survey import completeness
from survey.completeness import Report
from survey.errors import Refused
from survey.models import Period


class Incomplete(Refused):
    """A period that must not be decided because of gaps in its feed; `gaps` is how many there are."""

    def __init__(self, report: Report, organisation_key: str) -> None:
        self.gaps = sum(report.found.values())
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
    """The gaps in one sentence: how many there are, and the largest of each span."""
    count = sum(report.found.values())
    gaps = f"{count:,} {'gap' if count == 1 else 'gaps'} above 0.5%"
    worst = "; ".join(gap.line for gap in report.worst)
    return f"the calls handed in are not those that the telephone system counted: {gaps}. The largest: {worst}"
