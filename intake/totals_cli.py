"""`flask calls totals`: taking in the telephone system's own counts, and comparing them with what was handed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import click

from intake.calls import find_organisation
from intake.mapping import DateOrder
from intake.moments import EARLIEST_YEAR, LATEST_YEAR
from intake.totals import TotalsOptions, import_totals
from survey import audit, clock, completeness
from survey.commands import PoliteGroup, emit, json_option
from survey.completeness import Report
from survey.gaps import Span
from survey.models import Organisation

# So many of each span are printed; --json names every one.
PRINTED = 1_000
HEADINGS = {
    Span.RANGE: "added up over the whole range",
    Span.MONTH: "added up by month",
    Span.CELL: "in single control totals",
}


def _day(_context: click.Context, _option: click.Parameter, given: datetime | None) -> date | None:
    if given is not None and not EARLIEST_YEAR <= given.year <= LATEST_YEAR:
        raise click.BadParameter(f"the year is not between {EARLIEST_YEAR} and {LATEST_YEAR}")
    return given.date() if given else None


A_DAY: dict[str, Any] = {"type": click.DateTime(["%Y-%m-%d"]), "callback": _day}
organisation_option = click.option("--organisation", required=True, metavar="KEY", help="The organisation's key.")

totals = PoliteGroup("totals", help="The telephone system's own counts, and what of them was handed in.")


@totals.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@organisation_option
@click.option("--site", metavar="KEY", help="The site of the counts; not needed when the file names it row by row.")
@click.option("--source", metavar="NAME", help="The telephone system, as for its calls (default: the site's key).")
@click.option("--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="What 03/04/05 means in this file.")
@click.option("--actor", default=audit.COMMAND_LINE, help="Who does this, for the record.")
@json_option
def totals_import(
    file: Path,
    organisation: str,
    site: str | None,
    source: str | None,
    date_order: str | None,
    actor: str,
    as_json: bool,
) -> None:
    """Takes in counts of calls per site or agent, by hour, day or any span, from CSV or Excel."""
    options = TotalsOptions(organisation, site, source, cast(DateOrder | None, date_order))
    report = import_totals(file, options, actor=actor)
    emit(report.as_dict(), report.lines(), as_json)
    if report.nothing_taken:
        click.get_current_context().exit(1)


@totals.command("report")
@organisation_option
@click.option("--from", "first", **A_DAY, help="The first day, local to each site (default: that of the first count).")
@click.option("--until", "last", **A_DAY, help="The last day, included (default: that of the last count).")
@json_option
def totals_report(organisation: str, first: date | None, last: date | None, as_json: bool) -> None:
    """Names every gap above 0.5% between what was counted and what was handed in. Exit status 1 when there is one."""
    found = find_organisation(organisation)
    starts_on, ends_on = _range(found.id, first, last)
    report = completeness.compare(found.id, starts_on, ends_on)
    emit({"organisation": found.key} | report.as_dict(), _lines(found, report), as_json)
    if report.gaps:
        click.get_current_context().exit(1)


def _range(organisation_id: int, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked for; what is left open is as wide as the counts are."""
    today = clock.now().date()
    widest = completeness.span_of_totals(organisation_id) or (today, today)
    starts_on = first or min(widest[0], last or widest[0])
    return starts_on, last or max(widest[1], starts_on)


def _lines(organisation: Organisation, report: Report) -> list[str]:
    days = f"{report.starts_on} to {report.ends_on}"
    if not report.cells:
        return [
            f"{organisation.name}, {days}: no control total covers these days, so missing calls would not be seen.",
            "Bring in the telephone system's own counts:"
            f" flask calls totals import FILE --organisation {organisation.key}",
        ]
    lines = [f"{organisation.name}, {days}: {report.cells:,} control totals compared with the calls handed in."]
    lines += [_late(report.late)] if report.late else []
    lines += [f"{site}: no control total for {_days(missing)}." for site, missing in report.uncovered.items()]
    for span, heading in HEADINGS.items():
        lines += _gap_lines(report, span, heading)
    return [*lines, completeness.HOW] if report.gaps else [*lines, "No gap above 0.5%."]


def _late(count: int) -> str:
    if count == 1:
        return "1 call came in after its deadline and does not count."
    return f"{count:,} calls came in after their deadlines and do not count."


def _days(days: Sequence[date]) -> str:
    return f"{days[0]}" if len(days) == 1 else f"{len(days):,} days, the first {days[0]}, the last {days[-1]}"


def _gap_lines(report: Report, span: Span, heading: str) -> list[str]:
    gaps, count = [gap for gap in report.gaps if gap.span is span], report.found.get(span, 0)
    lines = [f"{count:,} {'gap' if count == 1 else 'gaps'} {heading}:"] if gaps else []
    lines += [f"  {gap.line}" for gap in gaps[:PRINTED]]
    return (
        [*lines, f"  and {count - PRINTED:,} more, smaller ones: --json names them all"] if count > PRINTED else lines
    )
