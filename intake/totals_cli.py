"""`flask calls totals`: taking in the telephone system's own counts, and comparing them with what was handed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import click

from intake import refusals
from intake.calls import find_organisation
from intake.mapping import DateOrder
from intake.moments import EARLIEST_YEAR, LATEST_YEAR
from intake.refusals import Door
from intake.total_removal import Removal, remove
from intake.totals import TotalsOptions, import_totals
from survey import audit, clock, completeness
from survey.commands import PoliteGroup, emit, json_option
from survey.completeness import Report
from survey.gaps import Span, Uncounted
from survey.models import ImportKind, Organisation
from survey.remarks import ChangedCounts, InternalShare

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
actor_option = click.option("--actor", default=audit.COMMAND_LINE, help="Who does this, for the record.")
organisation_option = click.option("--organisation", required=True, metavar="KEY", help="The organisation's key.")

totals = PoliteGroup("totals", help="The telephone system's own counts, and what of them was handed in.")


@totals.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@organisation_option
@click.option("--site", metavar="KEY", help="The site of the counts; not needed when the file names it row by row.")
@click.option("--source", metavar="NAME", help="The telephone system, as for its calls (default: the site's key).")
@click.option("--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="What 03/04/05 means in this file.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and what would change; keep nothing.")
@actor_option
@json_option
def totals_import(
    file: Path,
    organisation: str,
    site: str | None,
    source: str | None,
    date_order: str | None,
    dry_run: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Takes in counts of calls per site or agent, by hour, day or any span, from CSV or Excel."""
    options = TotalsOptions(organisation, site, source, cast(DateOrder | None, date_order))
    door = Door.COMMAND_LINE
    with refusals.noted(file, ImportKind.TOTALS, door, organisation=organisation, actor=actor, dry_run=dry_run):
        report = import_totals(file, options, actor=actor, dry_run=dry_run)
    emit(report.as_dict(), report.lines(), as_json)
    if report.nothing_taken:
        click.get_current_context().exit(1)


@totals.command("remove")
@organisation_option
@click.option("--site", metavar="KEY", help="Of one site only (default: of all).")
@click.option("--source", required=True, metavar="NAME", help="The telephone system whose counts go.")
@click.option("--from", "first", required=True, **A_DAY, help="The first day, local to each site.")
@click.option("--until", "--to", "last", required=True, **A_DAY, help="The last day, included.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@actor_option
@json_option
def totals_remove(
    organisation: str,
    site: str | None,
    source: str,
    first: date,
    last: date,
    dry_run: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Takes counts out that lie wholly within the days, such as those of a mistyped source.

    The audit trail and the report of these days tell from then on who did it, when, and what the counts said.
    """
    report = remove(Removal(organisation, source, first, last, site), actor=actor, dry_run=dry_run)
    emit(report.as_dict(), report.lines(), as_json)


@totals.command("report")
@organisation_option
@click.option("--from", "first", **A_DAY, help="The first day, local to each site (default: that of the first count).")
@click.option("--until", "last", **A_DAY, help="The last day, included (default: that of the last count).")
@json_option
def totals_report(organisation: str, first: date | None, last: date | None, as_json: bool) -> None:
    """Names every gap above 0.5% between what was counted and what was handed in, and days that nobody counted.

    Exit status 1 when there is one. Calls marked as internal and counts that somebody changed are only named.
    """
    found = find_organisation(organisation)
    starts_on, ends_on = _range(found.id, first, last)
    report = completeness.compare(found.id, starts_on, ends_on)
    emit({"organisation": found.key} | report.as_dict(), _lines(found, report), as_json)
    if report.number_of_gaps:
        click.get_current_context().exit(1)


def _range(organisation_id: int, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked for; what is left open is as wide as the counts are."""
    today = clock.now().date()
    widest = completeness.span_of_totals(organisation_id) or (today, today)
    starts_on = first or min(widest[0], last or widest[0])
    return starts_on, last or max(widest[1], starts_on)


def _lines(organisation: Organisation, report: Report) -> list[str]:
    days = f"{report.starts_on} to {report.ends_on}"
    if not report.comparable:
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
    lines += _listed("Not counted, which is a gap, too", report.uncounted)
    lines += [completeness.HOW] if report.number_of_gaps else ["No gap above 0.5%."]
    lines += _listed("For you to look at, no gap: more than 5% of at least 20 calls are internal", report.internal)
    return lines + _listed("For you to know, no gap: counts that were changed after they came", report.changed)


def _listed(heading: str, named: Sequence[Uncounted] | Sequence[InternalShare] | Sequence[ChangedCounts]) -> list[str]:
    """A heading with the lines under it; nothing without any."""
    lines = [f"  {each.line}" for each in named[:PRINTED]]
    more = [f"  and {len(named) - PRINTED:,} more: --json names them all"] if len(named) > PRINTED else []
    return [f"{heading}:", *lines, *more] if named else []


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
