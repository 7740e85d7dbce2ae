"""flask campaigns, draw, dispatch, scheduler and worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from flask import current_app

from scheduler import campaigns, clockwork, described, dispatch, drawing, funnel, held_back, notices
from scheduler.changes import Change
from scheduler.close_cli import close_command
from scheduler.drawing import DrawReport
from scheduler.forecast.cli import forecast_command
from scheduler.funnel import brief
from scheduler.jobs import Queue
from scheduler.rates_cli import rates_command
from scheduler.replay import report
from scheduler.replay_words import difference_at, replay_lines, replay_told
from scheduler.words import DRAW_REASONS
from survey import settings
from survey.audit import COMMAND_LINE
from survey.clock import iso
from survey.commands import PoliteGroup, emit, json_option
from survey.db import db
from survey.errors import Refused
from survey.models import Campaign, CampaignState, DrawReason

campaigns_group = PoliteGroup("campaigns", help="Campaigns: which calls are asked about, how and when.")
draw_group = PoliteGroup("draw", help="The draw: decide what has come in, or repeat every decision.")
scheduler_group = PoliteGroup("scheduler", help="The clockwork that draws, plans and claims.")
worker_group = PoliteGroup("worker", help="Workers that place the calls and send the emails.")
dispatch_group = PoliteGroup("dispatch", help="Handing due attempts to the workers.")

campaign_argument = click.argument("campaign", metavar="[ORGANISATION/]CAMPAIGN")


@campaigns_group.command("create")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def create(file: Path, as_json: bool) -> None:
    """Make a draft of the campaign in FILE (TOML)."""
    made = campaigns.create_from_file(file, actor=COMMAND_LINE)
    told, lines = _noted(made)
    db.session.commit()
    done = f"Draft {made.organisation.key}/{made.key} made. Next: flask campaigns launch {made.key}"
    emit(brief(made) | told, [done, *lines], as_json)


@campaigns_group.command("change")
@campaign_argument
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change, and from when; change nothing.")
@json_option
def change(campaign: str, file: Path, dry_run: bool, as_json: bool) -> None:
    """Change a campaign to what FILE (TOML) says; fields it does not name stay as they are.

    A draft may change in everything but its organisation and key, a launched campaign only in how customers are
    contacted, its name, its last day, and its rates for calls to come.
    """
    found = campaigns.find(campaign)
    made = campaigns.change_from_file(found, file, actor=COMMAND_LINE)
    noted, note_lines = _noted(found)
    told, lines = brief(found) | noted, [*_changed(found, made, dry_run), *note_lines]
    if dry_run:
        db.session.rollback()
    else:
        db.session.commit()
    emit(told | {"changes": [_change(one) for one in made], "dry_run": dry_run}, lines, as_json)


def _changed(campaign: Campaign, made: list[Change], dry_run: bool) -> Iterator[str]:
    name = f"{campaign.organisation.key}/{campaign.key}"
    if not made:
        yield f"{name} is as the file says already: nothing {'would change' if dry_run else 'changes'}."
        return
    yield f"{name} ({campaign.state}) {'would change' if dry_run else 'changes'}:"
    for one in made:
        told, draft = _change(one), campaign.state is CampaignState.DRAFT
        when = "" if draft else f", from {told['from']} ({one.touches})"
        yield f"  {one.field}: {told['before']} -> {told['after']}{when}"


def _change(one: Change) -> dict[str, Any]:
    from_when = "now" if one.from_when is None else iso(one.from_when)
    before, after = one.told
    return {"field": one.field, "before": before, "after": after, "from": from_when}


@campaigns_group.command("launch")
@campaign_argument
@json_option
def launch(campaign: str, as_json: bool) -> None:
    """Open a draft: calls that end from now on are drawn. Publishes the SHA-256 of its secret draw key."""
    found = campaigns.find(campaign)
    key = campaigns.launch(found, actor=COMMAND_LINE)
    noted, note_lines = _noted(found)
    told = brief(found) | {"key_sha256": key.sha256} | noted
    db.session.commit()
    lines = [f"{found.key} is {found.state}.", *note_lines, *described.commitment(key.sha256)]
    emit(told, lines, as_json)


@campaigns_group.command("delete")
@campaign_argument
@json_option
def delete(campaign: str, as_json: bool) -> None:
    """Delete a draft for good. What was launched is closed, not deleted."""
    found = campaigns.find(campaign)
    told = brief(found) | {"deleted": True}
    campaigns.delete(found, actor=COMMAND_LINE)
    db.session.commit()
    name = f"{told['organisation']}/{told['campaign']}"
    emit(told, [f"Draft {name} is deleted. Nobody was asked, and nothing of it was published."], as_json)


def _noted(campaign: Campaign) -> tuple[dict[str, Any], list[str]]:
    """What to know about the campaign as it now is: for programs, and as lines."""
    found = notices.notes(campaign)
    return {"notes": [note.as_dict() for note in found]}, [f"  ! {note.told}" for note in found]


def _act(name: str, act: Any, explanation: str) -> None:
    @campaigns_group.command(name, help=explanation)
    @campaign_argument
    @json_option
    def command(campaign: str, as_json: bool) -> None:
        found = campaigns.find(campaign)
        act(found, actor=COMMAND_LINE)
        told = brief(found)
        db.session.commit()
        emit(told, [f"{found.key} is {found.state}."], as_json)


_act("pause", campaigns.pause, "Stop contact; calls are still drawn.")
_act("resume", campaigns.resume, "Go on after a pause.")


@campaigns_group.command("show")
@campaign_argument
@json_option
def show(campaign: str, as_json: bool) -> None:
    """How the campaign is set, and what has become of its calls so far."""
    told = funnel.show(campaigns.find(campaign))
    emit(told, list(_lines(told)), as_json)


@campaigns_group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """All campaigns."""
    rows = db.session.query(Campaign).order_by(Campaign.organisation_id, Campaign.starts_on, Campaign.id).all()
    lines = [f"{c.organisation.key}/{c.key}  {c.state}  {c.starts_on} to {c.ends_on}  {c.name}" for c in rows]
    emit(
        [brief(row) for row in rows],
        lines or ["No campaigns yet. Make one with flask campaigns create FILE."],
        as_json,
    )


@draw_group.command("run")
@click.argument("campaign", required=False, metavar="[[ORGANISATION/]CAMPAIGN]")
@json_option
def run(campaign: str | None, as_json: bool) -> None:
    """Decide the calls that have come in, of one campaign or of all that are launched."""
    reports = [drawing.draw_campaign(campaigns.find(campaign))] if campaign else drawing.draw_all()
    db.session.commit()
    lines = [f"{r.campaign}: {r.decided} calls decided, {r.drawn} drawn" for r in reports]
    emit([_report(r) for r in reports], lines or ["No campaign is open to draw."], as_json)


@draw_group.command("replay")
@campaign_argument
@json_option
def replay_(campaign: str, as_json: bool) -> None:
    """Recompute every decision of the campaign; fails with the first difference."""
    found = campaigns.find(campaign)
    replayed = report(found)
    name = f"{found.organisation.key}/{found.key}"
    if replayed.difference is not None:
        raise Refused(str(replayed.difference), where=name, how=difference_at(replayed))
    emit(replay_told(found, replayed), replay_lines(name, replayed), as_json)


@scheduler_group.command("run")
def run_scheduler() -> None:
    """Run the clockwork until stopped. Start as many as you like: one leads, the others stand by."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    parts = app.extensions
    clockwork.run(
        app,
        parts["aftercall_channels"],
        _queue().enqueue,
        settings.current().tick_seconds,
        parts["aftercall_chores"],
    )


@worker_group.command("run")
@click.option("--concurrency", type=click.IntRange(1, 100), help="Attempts at once (WORKER_CONCURRENCY).")
def run_worker(concurrency: int | None) -> None:
    """Deliver attempts until stopped. Start as many as you like, on any machine."""
    _queue().run_worker(concurrency or settings.current().worker_concurrency)


@dispatch_group.command("tick")
@json_option
def tick(as_json: bool) -> None:
    """Plan, claim and enqueue once what is due now; say what is not handed out, and why."""
    report = dispatch.tick(_queue().enqueue)
    told = {"planned": report.planned, "swept": report.swept, "claimed": len(report.claimed)}
    waiting = held_back.read(report.claimed)
    lines = [f"{report.planned} surveys planned, {len(report.claimed)} attempts handed to the workers."]
    if report.swept:
        lines.append(f"{report.swept} attempts taken back that no worker had begun for two minutes: is one running?")
    emit(told | {"campaigns": [one.as_dict() for one in waiting]}, [*lines, *held_back.told(waiting)], as_json)


def _queue() -> Queue:
    queue: Queue = current_app.extensions["aftercall_queue"]
    return queue


def _report(report: DrawReport) -> dict[str, Any]:
    return {
        "campaign": report.campaign,
        "decided_at": report.decided_at,
        "decided": report.decided,
        "drawn": report.drawn,
        "superseded": report.superseded,
        "reasons": {reason.value: count for reason, count in sorted(report.reasons.items())},
    }


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [
        *(f"! {note['told']}" for note in told["notes"]),
        f"{told['organisation']}/{told['campaign']}: {told['name']} ({told['state']})",
        f"{told['starts_on']} to {told['ends_on']}, sites {', '.join(told['sites'])}",
        *described.lines(told["settings"]),
    ]
    if told["draw_key"]:
        lines += described.key_lines(told["draw_key"], f"{told['organisation']}/{told['campaign']}")
    lines += told["overlaps_told"]
    lines += told["closing"]["told"] if told["closing"] else []
    lines.append(f"{told['calls']} calls, {told['eligible']} eligible, {told['drawn']} drawn")
    lines.append(f"  calls: {told['calls_are']}.")
    lines += _reasons(told["reasons"])
    for title, counts in (("surveys", told["surveys"]), ("responses", told["responses"])):
        lines += (
            [f"  {title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))] if counts else []
        )
    for channel, counts in sorted(told["attempts"].items()):
        lines.append(f"  {channel}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    return lines


def _reasons(counts: dict[str, int]) -> list[str]:
    """The calls by what was decided about them, each reason in plain words with its count, most frequent first."""
    most_first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [(DrawReason(name), f"    {count:>9,}  {DRAW_REASONS[DrawReason(name)]}") for name, count in most_first]
    drawn = [line for reason, line in told if reason is DrawReason.DRAWN]
    rest = [line for reason, line in told if reason is not DrawReason.DRAWN]
    return [*(["  drawn:", *drawn] if drawn else []), *(["  not drawn:", *rest] if rest else [])]


campaigns_group.add_command(close_command)
campaigns_group.add_command(rates_command)
campaigns_group.add_command(forecast_command)

commands: tuple[click.Command, ...] = (campaigns_group, draw_group, scheduler_group, worker_group, dispatch_group)
