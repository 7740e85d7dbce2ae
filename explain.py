"""flask explain: any decision, with its reasons. It spans rooms, so it stands beside application.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from certification.explain import explain_rule
from console import story
from console.scope import Scope
from scheduler import explain as scheduling
from scheduler.sampling import fraction
from survey.clock import iso
from survey.commands import PoliteGroup, emit, json_option
from survey.errors import InputError

# No calendar tells the holidays of others.
YEARS = range(1970, 2101)
HIGHEST_ID = 2**63 - 1
EVERY_ORGANISATION = Scope(None)


@click.group("explain", cls=PoliteGroup, help="Any decision, with its reasons.")
def explain() -> None:
    pass


@explain.command("rule")
@click.argument("rule_set")
@click.option("--level", required=True, type=click.Choice(["agent", "supervisor", "site"]))
@click.option("--n", "surveys", required=True, type=click.IntRange(min=0), help="Counted surveys.")
@click.option("--k", "world_class", required=True, type=click.IntRange(min=0), help="World class calls among them.")
@click.option("--months", required=True, type=click.IntRange(min=0), help="Complete months with sampling open.")
@json_option
def rule(rule_set: str, level: str, surveys: int, world_class: int, months: int, as_json: bool) -> None:
    """Whether these counts pass a rule set, and what is missing."""
    report = explain_rule(rule_set, level, surveys, world_class, months)
    verdict = "passes" if report["passes"] else "fails"
    emit(report, [f"{rule_set}, {level}: {verdict}.", *(f"  {reason}" for reason in report["reasons"])], as_json)


@explain.command("deadline")
@click.option("--ended-at", required=True, help="When the call ended, with its offset: 2026-07-02T15:00:00-04:00.")
@click.option("--zone", required=True, help="The site's time zone.")
@click.option("--country", required=True, help="The site's country, ISO 3166 alpha-2.")
@click.option("--subdivision", help="State or province, where its holidays differ.")
@json_option
def deadline(ended_at: str, zone: str, country: str, subdivision: str | None, as_json: bool) -> None:
    """When the survey about a call closes, and the days that led there."""
    report = scheduling.explain_deadline(moment(ended_at), zone, country, subdivision)
    skipped = [f"  {day['day']} does not count: {day['why']}" for day in report["skipped"]]
    lines = [f"Call on {report['call_day']}; second business day {report['last_day']}.", *skipped]
    emit(report, [*lines, f"The survey closes at {report['deadline']}."], as_json)


@explain.command("hours")
@click.option("--number", required=True, help="The number as + country code and number.")
@click.option("--at", "at", required=True, help="The moment, with its offset.")
@click.option("--campaign", metavar="[ORGANISATION/]CAMPAIGN", help="Whose hours hold; without it the usual ones.")
@click.option("--zone", help="The site's time zone, for a number whose own is not known.")
@json_option
def hours(number: str, at: str, campaign: str | None, zone: str | None, as_json: bool) -> None:
    """Whether the number may be called at that moment, by whose hours, and when next."""
    if campaign is None:
        report = scheduling.explain_hours(number, moment(at), site_zone=zone or "UTC")
    else:
        report = scheduling.explain_campaign_hours(number, moment(at), campaign, zone)
    emit(report, list(_hours_told(report)), as_json)


def _hours_told(report: dict[str, Any]) -> Iterator[str]:
    yield f"The number {'may' if report['allowed'] else 'may not'} be called then."
    yield from (f"  {why}" for why in report["reasons"])
    whose = f"campaign {report['campaign']}" if "campaign" in report else "a campaign with the usual hours"
    for place in report["places"]:
        called, allowed = (" and ".join(place[key]) or "not at all" for key in ("campaign", "limits"))
        where = f"In {place['zone']} it is {place['local']}"
        yield f"{where}: {whose} calls that day {called}, {place['limits_of']} allows {allowed}."
    next_at = report["next_allowed"]
    if not report["allowed"]:
        yield "It may not within two weeks." if next_at is None else f"It may again from {next_at}."


@explain.command("draw")
@click.option("--key", "key_hex", required=True, help="The revealed draw key, in hex.")
@click.option("--source", required=True)
@click.option("--id", "external_id", required=True)
@click.option("--rate", help="The sampling rate as a fraction, such as 1/10.")
@json_option
def draw(key_hex: str, source: str, external_id: str, rate: str | None, as_json: bool) -> None:
    """The number u of a call, and whether a rate draws it."""
    report = scheduling.explain_draw(key_hex, source, external_id, fraction(rate, "--rate") if rate else None)
    lines = [f"u = {report['u']}"]
    if "drawn" in report:
        verdict = "drawn" if report["drawn"] else "not drawn"
        lines.append(f"At a rate of {report['rate']} the call is {verdict}: {report['rule']}.")
    emit(report, lines, as_json)


@explain.command("call")
@click.argument("call_id", type=click.IntRange(1, HIGHEST_ID))
@json_option
def call(call_id: int, as_json: bool) -> None:
    """The whole story of a call: draw, attempts, answers, what it came to, and what the plan says of it."""
    told = story.read(EVERY_ORGANISATION, call_id).moments
    report = [{"at": m.at, "title": m.title, "text": m.text, "facts": dict(m.facts)} for m in told]
    emit(report, [_line(m) for m in told], as_json)


def _line(moment: story.Moment) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in moment.facts)
    return " ".join(part for part in (iso(moment.at), f"{moment.title}.", moment.text, facts and f"[{facts}]") if part)


def moment(text: str) -> datetime:
    """An ISO 8601 time of YEARS with its offset. Raises InputError without one: a local time means nothing here."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a time", how="Write it as 2026-07-02T15:00:00-04:00.") from None
    if parsed.tzinfo is None:
        raise InputError(f"{text!r} has no offset", how="Add one, such as -04:00 or Z.")
    if parsed.year not in YEARS:
        raise InputError(f"{text!r} is too far from today", how=f"Give a year from {YEARS[0]} to {YEARS[-1]}.")
    return parsed


commands: tuple[click.Command, ...] = (explain,)
