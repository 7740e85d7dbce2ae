"""The completeness page: where the telephone system counted other calls than were handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from console.calls import day_in, number_in
from console.scope import Scope, found
from survey import clock, completeness
from survey.completeness import Report
from survey.db import db
from survey.gaps import Gap, Span, Uncounted
from survey.models import Organisation
from survey.remarks import ChangedCounts, InternalShare

# So many of each span are shown; the command names every one.
SHOWN = 100
HEADINGS = {
    Span.RANGE: "Added up over all the days",
    Span.MONTH: "Added up by month",
    Span.CELL: "In single control totals",
}

NAMED = (
    ("Days not counted", "Each is a gap: whoever leaves bad calls out could leave out their days' counts as well."),
    (
        "Many internal calls",
        "No gap, but worth a look: nobody is asked about an internal call, and here they are more than 5% of at least"
        " 20 calls. Outgoing calls are internal, too.",
    ),
    (
        "Counts changed after they came",
        "No gap, but good to know: these counts of the telephone system were removed or replaced.",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """Whose feed is looked at, and over which days (both inclusive, local to each site)."""

    organisation_id: int | None = None
    first: date | None = None
    last: date | None = None

    @classmethod
    def parsed(cls, args: Mapping[str, str]) -> Wanted:
        """From the query of the address. Raises InputError naming the field that cannot be read."""
        return cls(
            number_in(args.get("organisation", ""), "organisation"),
            day_in(args.get("from", ""), "from"),
            day_in(args.get("to", ""), "to"),
        )


@dataclass(frozen=True)
class Page:
    """One organisation's feed over some days, and how gaps are mended.

    `organisation` and `report` are None when there is none in reach.
    """

    organisations: Sequence[Organisation]
    organisation: Organisation | None = None
    report: Report | None = None
    how: str = completeness.HOW
    shown: int = SHOWN

    @property
    def named(self) -> list[tuple[str, str, Sequence[Uncounted | InternalShare | ChangedCounts]]]:
        """What is named in a line each, where there is any: heading, what it means, and all of them."""
        if self.report is None:
            return []
        report = self.report
        found: list[tuple[str, str, Sequence[Uncounted | InternalShare | ChangedCounts]]] = [
            (*NAMED[0], report.uncounted),
            (*NAMED[1], report.internal),
            (*NAMED[2], report.changed),
        ]
        return [each for each in found if each[2]]

    @property
    def by_span(self) -> list[tuple[str, int, list[Gap]]]:
        """The spans with a gap: heading, how many gaps there are, and those shown."""
        if self.report is None:
            return []
        gaps, counts = self.report.gaps, self.report.found
        return [
            (heading, counts[span], [gap for gap in gaps if gap.span is span])
            for span, heading in HEADINGS.items()
            if counts.get(span)
        ]


def read(within: Scope, wanted: Wanted) -> Page:
    """The feed asked for; without days, from the first of last month until yesterday.

    Raises NotFound for an organisation out of reach, InputError where the days run backwards.
    """
    query = select(Organisation).where(within.holds(Organisation.id)).order_by(Organisation.name, Organisation.id)
    known = db.session.scalars(query).all()
    if not known:
        return Page(known)
    chosen: Organisation = known[0]
    if wanted.organisation_id is not None:
        chosen = found(next((each for each in known if each.id == wanted.organisation_id), None), "organisation")
    yesterday = clock.now().date() - timedelta(days=1)
    last = wanted.last or max(yesterday, wanted.first or yesterday)
    first = wanted.first or (last.replace(day=1) - timedelta(days=1)).replace(day=1)
    return Page(known, chosen, completeness.compare(chosen.id, first, last, most=SHOWN))
