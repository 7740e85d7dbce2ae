"""Commands of this room: `flask roster`, `flask calls`, `flask optouts`, `flask imports`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from intake import history, refusals
from intake import optouts as intake_optouts
from intake.calls import CallOptions, import_calls
from intake.drop_folder import DropFolder
from intake.foretold import foretell
from intake.formats import FORMATS
from intake.mapping import CallMapping, DateOrder, read_mapping
from intake.progress import bar, undo_bar
from intake.refusals import Door
from intake.reports import ImportReport, counted
from intake.roster import import_roster
from intake.totals_cli import totals
from intake.undo import undo
from survey import audit
from survey.commands import PoliteGroup, emit, json_option
from survey.db import db
from survey.models import ImportKind
from survey.turns import waits_told

FILE = click.Path(path_type=Path)
# As many as the database's ids go up to.
NUMBER = click.IntRange(1, 2**63 - 1)
actor_option = click.option("--actor", default=audit.COMMAND_LINE, help="Who does this, for the record.")
organisation_option = click.option("--organisation", required=True, metavar="KEY", help="The organisation's key.")


class IntakeGroup(PoliteGroup):
    """A group whose commands say for whom they wait, and end without a stack trace when they are stopped (Ctrl-C)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with waits_told(lambda what: click.echo(what, err=True)):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped. The same command can be run again: what is in already stays as it is.", err=True)
            ctx.exit(1)


roster = IntakeGroup("roster", help="Sites, supervisors, agents and their assignments.")
calls = IntakeGroup("calls", help="Completed calls.")
calls.add_command(totals)
optouts = IntakeGroup("optouts", help="Contacts that asked to be left alone.")
imports = IntakeGroup("imports", help="What was handed in: who, when, and what became of every row.")


@roster.command("import")
@click.argument("file", type=FILE)
@click.option("--assignments", type=FILE, help="A CSV of assignments: agent,supervisor,site,from,until.")
@actor_option
@json_option
def roster_import(file: Path, assignments: Path | None, actor: str, as_json: bool) -> None:
    """Takes in a roster (TOML): what is new is added, what changed is brought up to date, nothing is deleted."""
    with refusals.noted(file, ImportKind.ROSTER, Door.COMMAND_LINE, organisation=None, actor=actor):
        report = import_roster(file, assignments=assignments, actor=actor)
    _show(report, as_json)


@calls.command("import")
@click.argument("file", type=FILE)
@organisation_option
@click.option("--site", metavar="KEY", help="The site of the calls; not needed when the file names it row by row.")
@click.option("--source", metavar="NAME", help="The telephone system (default: the mapping's, else the site's key).")
@click.option("--mapping", type=FILE, help="Which column is what, and how dates are written (TOML).")
@click.option("--contacts", type=FILE, help="A CSV of phone, email, language by call id.")
@click.option("--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="What 03/04/05 means in this file.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice([f.name for f in FORMATS]),
    help="The kind of file; found by content if not given.",
)
@click.option("--create-agents", is_flag=True, help="Make agents who are not in the roster.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and what would change; write nothing.")
@click.option("--rejects", type=FILE, help="Where rejected rows go (default: the data folder).")
@actor_option
@json_option
def calls_import(
    file: Path,
    organisation: str,
    site: str | None,
    source: str | None,
    mapping: Path | None,
    contacts: Path | None,
    date_order: str | None,
    format_name: str | None,
    create_agents: bool,
    dry_run: bool,
    rejects: Path | None,
    actor: str,
    as_json: bool,
) -> None:
    """Takes in completed calls from a file: CSV, Excel, JSON, or the records of a telephone system such as Asterisk.

    The kind of file is found by its content. Importing twice changes nothing; a bad row never stops the rest.
    """
    refused = refusals.noted(
        file, ImportKind.CALLS, Door.COMMAND_LINE, organisation=organisation, actor=actor, dry_run=dry_run
    )
    with refused:
        options = CallOptions(
            organisation=organisation,
            site=site,
            source=source,
            mapping=read_mapping(mapping) if mapping else CallMapping(),
            contacts=contacts,
            create_agents=create_agents,
            dry_run=dry_run,
            rejects=rejects,
            date_order=cast(DateOrder | None, date_order),
            format=format_name,
        )
        with _says_what_was_kept(dry_run) as kept, bar(file, wanted=not as_json) as progress:
            report = import_calls(file, replace(options, progress=kept.before(progress)), actor=actor)
    _show(report, as_json)


class _Kept:
    """The rows of an import that are committed so far."""

    def __init__(self) -> None:
        self.rows = 0

    def before(self, progress: Callable[[int], None] | None) -> Callable[[int], None]:
        """What to tell each batch: remembers its rows and hands them on to `progress`."""

        def note(rows: int) -> None:
            self.rows = rows
            if progress is not None:
                progress(rows)

        return note


@contextmanager
def _says_what_was_kept(dry_run: bool) -> Iterator[_Kept]:
    """When the block is stopped (Ctrl-C), says what of the import is in; exit status 1."""
    kept = _Kept()
    try:
        yield kept
    except KeyboardInterrupt:
        said = "nothing was written"
        if kept.rows and not dry_run:
            were, are = ("was", "is") if kept.rows == 1 else ("were", "are")
            said = f"{counted(kept.rows, 'row')} {were} read and {are} in, except those that had to be rejected"
        again = "" if dry_run else "; run the same command again to complete it"
        click.echo(f"Stopped: {said}{again}.", err=True)
        click.get_current_context().exit(1)


@calls.command("pick-up")
@json_option
def calls_pick_up(as_json: bool) -> None:
    """Looks into the drop folder (INTAKE_DIR) now, and takes in every file that is complete, of all feeds.

    Ends with status 1 when a file failed or something needs mending.
    """
    look = DropFolder(logs=False).pick_up()
    emit(look.as_dict(), look.lines(), as_json)
    if look.failed:
        click.get_current_context().exit(1)


@optouts.command("add")
@click.argument("contact")
@organisation_option
@actor_option
@json_option
def optouts_add(contact: str, organisation: str, actor: str, as_json: bool) -> None:
    """Records that a phone number or email address must be left alone; of one with an extension, the whole number."""
    recorded = intake_optouts.add(organisation, contact, actor=actor)
    lines = [f"Opt-out of this {recorded.kind} {'recorded' if recorded.new else 'was in force already'}."]
    if recorded.had_extension:
        lines.append("It has an extension: the whole number is left alone, and everybody behind it.")
    emit(recorded._asdict(), lines, as_json)


@optouts.command("remove")
@click.argument("contact")
@organisation_option
@actor_option
@json_option
def optouts_remove(contact: str, organisation: str, actor: str, as_json: bool) -> None:
    """Lifts the opt-out of a phone number or email address; it is kept as history."""
    kind = intake_optouts.remove(organisation, contact, actor=actor)
    emit({"kind": kind, "removed": True}, [f"Opt-out of this {kind} lifted."], as_json)


@optouts.command("import")
@click.argument("file", type=FILE)
@organisation_option
@click.option("--rejects", type=FILE, help="Where rejected rows go (default: the data folder).")
@actor_option
@json_option
def optouts_import(file: Path, organisation: str, rejects: Path | None, actor: str, as_json: bool) -> None:
    """Takes in opt-outs from a CSV with the columns contact and, if wanted, kind (phone or email)."""
    with refusals.noted(file, ImportKind.OPTOUTS, Door.COMMAND_LINE, organisation=organisation, actor=actor):
        report = intake_optouts.import_optouts(file, organisation, actor=actor, rejects=rejects)
    _show(report, as_json)


@optouts.command("list")
@organisation_option
@click.option("--all", "removed_too", is_flag=True, help="Those lifted again, too.")
@json_option
def optouts_list(organisation: str, removed_too: bool, as_json: bool) -> None:
    """Lists opt-outs. The contacts themselves are not kept, only a mark to know them again by."""
    found = intake_optouts.listed(organisation, removed_too=removed_too)
    emit(found, [intake_optouts.line(optout) for optout in found] or ["No opt-outs."], as_json)


@imports.command("list")
@organisation_option
@json_option
def imports_list(organisation: str, as_json: bool) -> None:
    """Lists every import of an organisation, and every file refused as a whole, oldest first."""
    found = history.listed(organisation)
    emit(found, [history.line(record) for record in found] or ["No imports."], as_json)


@imports.command("show")
@click.argument("number", type=NUMBER)
@json_option
def imports_show(number: int, as_json: bool) -> None:
    """Shows one import: who, when, its file, and what became of every row."""
    found = history.shown(number)
    emit(found, history.lines(found), as_json)


@imports.command("undo")
@click.argument("number", type=NUMBER)
@click.option("--dry-run", is_flag=True, help="Say what would be taken back, or why it cannot be; write nothing.")
@actor_option
@json_option
def imports_undo(number: int, dry_run: bool, actor: str, as_json: bool) -> None:
    """Takes a whole import of calls back, as long as none of its calls has had its draw. Its record stays."""
    if dry_run:
        _foretell(number, as_json)
        return
    with undo_bar(wanted=not as_json) as progress:
        report = undo(number, actor=actor, progress=progress)
        db.session.commit()
    emit(report.as_dict(), report.lines(), as_json)


def _foretell(number: int, as_json: bool) -> None:
    foretold = foretell(number)
    if foretold.refusal is not None:
        raise foretold.refusal
    emit(foretold.as_dict(), foretold.lines(), as_json)


def _show(report: ImportReport, as_json: bool) -> None:
    """Prints a report; exit status 1 when nothing of the file could be taken."""
    emit(report.as_dict(), report.lines() + _not_shown(report), as_json)
    if report.nothing_taken:
        click.get_current_context().exit(1)


def _not_shown(report: ImportReport) -> list[str]:
    """A dry run keeps no rejects file by itself: it says how many rows its lists leave out."""
    if not report.dry_run:
        return []
    told_of = sum(alike.count for alike in report.most_rejected)
    rejects, changes = report.rejected - told_of, report.updated - len(report.changes)
    told = [f"  ... and would change {changes:,} more"] if changes else []
    if report.rejected and not report.rejects_file:
        more = f"{counted(rejects, 'more row')} would be rejected; " if rejects else ""
        told.append(f"  {'... and ' if more else ''}{more}--rejects FILE keeps every one with its reason")
    return told


commands: tuple[click.Command, ...] = (roster, calls, optouts, imports)
