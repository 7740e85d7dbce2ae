"""flask campaigns close: for good, so it can be looked at beforehand, and at a terminal is asked about."""

from __future__ import annotations

import sys
from typing import Any

import click

from scheduler import campaigns, closing
from scheduler.funnel import brief
from survey.audit import COMMAND_LINE
from survey.commands import command, emit, json_option
from survey.db import db
from survey.models import Campaign


@command("close")
@click.argument("campaign", metavar="[ORGANISATION/]CAMPAIGN")
@click.option("--dry-run", is_flag=True, help="Say what closing it would do; close nothing.")
@click.option("--yes", is_flag=True, help="Close it without asking; only at a terminal is it asked at all.")
@json_option
def close_command(campaign: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Stop draw and contact for good; the draw key is revealed when the last survey has closed.

    What may go on later is paused instead.
    """
    found = campaigns.find(campaign)
    asked = not (dry_run or yes or as_json) and at_terminal()
    if dry_run or asked:
        told, lines = _foretold(found)
        emit(told, lines, as_json)
        if dry_run:
            return
        click.confirm("Close it for good?", abort=True)
    campaigns.close(found, actor=COMMAND_LINE)
    left = closing.aftermath(found)
    told, lines = brief(found) | left.as_dict() | {"dry_run": False}, closing.lines(left)
    db.session.commit()
    emit(told, [f"{found.key} is closed.", *([] if asked else lines)], as_json)


def at_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def _foretold(campaign: Campaign) -> tuple[dict[str, Any], list[str]]:
    """What closing it would come to: it is done and taken back, so that no lock is held while a person thinks."""
    now = brief(campaign)
    drawn = campaigns.close(campaign, actor=COMMAND_LINE)
    left = closing.aftermath(campaign)
    counts = {"decided": drawn.decided, "drawn": drawn.drawn, "dry_run": True}
    db.session.rollback()
    lines = [f"{now['organisation']}/{now['campaign']} ({now['state']}) would be closed for good. Then:"]
    if drawn.decided:
        lines.append(f"  Calls that have come in are decided first: {drawn.decided:,}, {drawn.drawn:,} of them drawn.")
    sentences = closing.lines(left, foretold=True)
    return now | left.as_dict() | counts | {"told": sentences}, [*lines, *(f"  {one}" for one in sentences)]
