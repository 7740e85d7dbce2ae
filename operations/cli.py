"""Keeping the service well: stop, doctor, database, users."""

from __future__ import annotations

import click
from flask import current_app
from flask_migrate import upgrade

from operations import doctor
from operations.users import users_group
from survey import audit, embedded, standstill
from survey.clock import iso
from survey.commands import PoliteGroup, command, emit, json_option
from survey.db import db
from survey.models import Standstill
from survey.settings import current


@command("stop", help="Contact nobody, everywhere, at once. `flask stop --lift` goes on.")
@click.option("--reason", default="", help="Why, for those who find it stopped.")
@click.option("--lift", is_flag=True, help="Let contact go on.")
@json_option
def stop(reason: str, lift: bool, as_json: bool) -> None:
    before = standstill.in_force()
    standing = standstill.lift(audit.COMMAND_LINE) if lift else standstill.begin(audit.COMMAND_LINE, reason)
    report = {
        "stopped": standing.in_force,
        "since": standing.begun_at,
        "by": standing.begun_by,
        "reason": standing.reason,
        "already": before is not None and not lift,
    }
    said = ["Contact goes on with the next tick."]
    if standing.in_force:
        said = [
            _stopped_before(before, reason)
            if before
            else f"Contact is stopped since {iso(standing.begun_at)}. Calls already ringing end by themselves.",
            "Draws and answers go on. To let contact go on: flask stop --lift",
        ]
    if before is not None and not lift and reason:
        audit.record(audit.COMMAND_LINE, "contact stopped again", standing, reason=reason)
    db.session.commit()
    emit(report, said, as_json)


def _stopped_before(stop: Standstill, reason: str) -> str:
    """What to say to whoever stops what is stopped."""
    why = f"for this reason: {stop.reason}" if stop.reason else "without a reason"
    kept = " The reason given now stands in the audit trail only." if reason else ""
    return f"Contact was stopped already, since {iso(stop.begun_at)} by {stop.begun_by}, {why}.{kept}"


@command("doctor", help="Check every outside part; say what is wrong and how to mend it.")
@json_option
@click.pass_context
def examine(ctx: click.Context, as_json: bool) -> None:
    findings = doctor.examine(current())
    lines = [f"{f.mark:<4}  {f.part:<16} {f.says}" for f in findings]
    emit([f.as_dict() for f in findings], lines, as_json)
    if not all(f.well for f in findings):
        ctx.exit(1)


@click.group("database", cls=PoliteGroup, help="The database this installation uses.")
def database() -> None:
    pass


@database.command("upgrade")
def upgrade_database() -> None:
    """Bring the tables, and the queue's, to this release."""
    upgrade(directory=f"{current_app.root_path}/migrations")
    click.echo("The database is up to date.")


@database.command("stop")
def stop_database() -> None:
    """Stop the embedded PostgreSQL."""
    db.session.remove()
    db.engine.dispose()
    stopped = embedded.stop(current().aftercall_data)
    click.echo("The embedded PostgreSQL has stopped." if stopped else "No embedded PostgreSQL was running.")


commands: tuple[click.Command, ...] = (stop, examine, database, users_group)
