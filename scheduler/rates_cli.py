"""flask campaigns rates: set the rates of a campaign with targets now, or see what that would come to, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import click
from sqlalchemy import select

from scheduler import campaigns, weekly_rates
from scheduler.targets import AgentRate, GroupRate
from scheduler.weekly_rates import WeeklyRates
from survey.audit import COMMAND_LINE
from survey.clock import iso
from survey.commands import command, emit, json_option
from survey.db import db
from survey.models import Agent, Campaign, Level, Site, Supervisor

NAMED: Mapping[Level, type[Agent] | type[Supervisor] | type[Site]] = {
    Level.AGENT: Agent,
    Level.SUPERVISOR: Supervisor,
    Level.SITE: Site,
}
WHY = {
    None: "the floor is enough",
    Level.AGENT: "for the agent's own number",
    Level.SUPERVISOR: "for the supervisor's number",
    Level.SITE: "for the site's number",
}
Names = dict[Level, dict[int, tuple[str, str]]]


@command("rates")
@click.argument("campaign", metavar="[ORGANISATION/]CAMPAIGN")
@click.option("--dry-run", is_flag=True, help="Say what would be set, and why; publish nothing.")
@json_option
def rates_command(campaign: str, dry_run: bool, as_json: bool) -> None:
    """Set the rates of a campaign with targets, for calls from the next day on, as happens by itself every week.

    Each agent's is set from what is missing, the calls to come, and how many of those asked answer.
    """
    found = campaigns.find(campaign)
    if dry_run:
        made = weekly_rates.work_out(found)
    else:
        made = weekly_rates.publish(found, actor=COMMAND_LINE)
        db.session.commit()
    names = _names(made)
    emit(_report(found, made, names, dry_run), list(_lines(found, made, names, dry_run)), as_json)


def _names(made: WeeklyRates) -> Names:
    """Key and name of everybody in the setting."""
    if made.setting is None:
        return {}
    ids: dict[Level, set[int]] = {level: set() for level in NAMED}
    for each in made.setting.agents:
        ids[Level.AGENT].add(each.seen.agent_id)
    for group in made.setting.groups:
        ids[group.level].add(group.subject_id)
    names: Names = {}
    for level, model in NAMED.items():
        rows = db.session.execute(select(model.id, model.key, model.name).where(model.id.in_(ids[level])))
        names[level] = {row.id: (row.key, row.name) for row in rows}
    return names


def _report(campaign: Campaign, made: WeeklyRates, names: Names, dry_run: bool) -> dict[str, Any]:
    days = made.days
    report: dict[str, Any] = {
        "organisation": campaign.organisation.key,
        "campaign": campaign.key,
        "dry_run": dry_run,
        "in_force_from": days.in_force_from,
        "counted": {"from": days.since, "until": days.until, "weeks": days.weeks},
        "why_not": made.why_not,
        "changed": len(made.changed),
        "agents": [],
        "supervisors": [],
        "sites": [],
    }
    if made.setting is not None:
        report["agents"] = [_agent(each, made, names) for each in made.setting.agents]
        for group in made.setting.groups:
            report[f"{group.level}s"].append(_group(group, names))
    return report


def _agent(each: AgentRate, made: WeeklyRates, names: Names) -> dict[str, Any]:
    seen = each.seen
    key, name = names[Level.AGENT][seen.agent_id]
    leader = None if seen.supervisor_id is None else names[Level.SUPERVISOR][seen.supervisor_id][0]
    return {
        "agent": key,
        "name": name,
        "supervisor": leader,
        "site": names[Level.SITE][seen.site_id][0],
        "calls_expected": each.calls,
        "yield": each.yields,
        "complete": seen.got.complete,
        "open": seen.got.open,
        "missing": each.missing,
        "aim": each.aim,
        "completes_expected": each.expected,
        "rate_now": made.now[seen.agent_id],
        "rate_to_come": each.rate,
        "changed": seen.agent_id in made.changed,
        "for": each.driven_by,
        "within_reach": each.within_reach,
    }


def _group(group: GroupRate, names: Names) -> dict[str, Any]:
    key, name = names[group.level][group.subject_id]
    return {
        str(group.level): key,
        "name": name,
        "complete": group.got.complete,
        "open": group.got.open,
        "missing": group.missing,
        "aim": group.aim,
        "completes_expected": group.expected,
        "raised_to": group.raised_to,
        "within_reach": group.within_reach,
    }


def _lines(campaign: Campaign, made: WeeklyRates, names: Names, dry_run: bool) -> Iterator[str]:
    name = f"{campaign.organisation.key}/{campaign.key}"
    if made.setting is None:
        yield f"{name}: no rates {'would be' if dry_run else 'were'} set. {made.why_not}"
        return
    verb = "would change" if dry_run else "were published"
    changed, begins = f"{len(made.changed)} of {len(made.setting.agents)}", iso(made.days.in_force_from)
    yield f"{name}: {changed} rates {verb}, for calls that end from {begins}"
    yield (
        f"Calls are expected as in the {made.days.weeks} weeks from {made.days.since}, up to {made.days.last};"
        f" rates go from {_percent(campaign.rate_floor)} to {_percent(campaign.rate_ceiling)}."
    )
    for each in made.setting.agents:
        yield from _agent_lines(each, made, names, campaign.target_agent)
    targets = {Level.SUPERVISOR: campaign.target_supervisor, Level.SITE: campaign.target_site}
    for group in made.setting.groups:
        yield _group_line(group, names, targets[group.level])


def _agent_lines(each: AgentRate, made: WeeklyRates, names: Names, target: int) -> Iterator[str]:
    key, name = names[Level.AGENT][each.seen.agent_id]
    now = made.now[each.seen.agent_id]
    rate = _percent(each.rate) if now == each.rate else f"{_percent(now)} -> {_percent(each.rate)}"
    yield f"agent {key}, {name}: {rate}, {WHY[each.driven_by]}"
    yield (
        f"    {each.seen.got.complete} of {target} complete, {each.missing} missing, {each.seen.got.open} open;"
        f" about {float(each.calls):,.0f} calls to come, of those asked {float(100 * each.yields):.1f}% answer:"
        f" {float(each.expected):.1f} more expected{'' if each.within_reach else ', OUT OF REACH'}"
    )


def _group_line(group: GroupRate, names: Names, target: int) -> str:
    key, name = names[group.level][group.subject_id]
    raised = "the agents' own rates are enough"
    if group.raised_to is not None:
        raised = f"all its agents get at least {_percent(group.raised_to)}"
    return (
        f"{group.level} {key}, {name}: {group.got.complete} of {target} complete, {group.missing} missing,"
        f" {group.got.open} open, {float(group.expected):.1f} more expected: {raised}"
        f"{'' if group.within_reach else ', OUT OF REACH'}"
    )


def _percent(rate: Fraction) -> str:
    """The rate in percent, to a hundredth of one; exactly, as a fraction, where that would round it."""
    hundredths = rate * 10_000
    return f"{float(rate * 100):.2f}".rstrip("0").rstrip(".") + "%" if hundredths.denominator == 1 else str(rate)
