"""flask explain: any decision, with its reasons. It spans rooms, so it stands beside application.py."""

from __future__ import annotations

from datetime import datetime

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
@json_option
def hours(number: str, at: str, as_json: bool) -> None:
    """Whether the number may be called at that moment under the default hours, and why."""
    report = scheduling.explain_hours(number, moment(at))
    verdict = "may" if report["allowed"] else "may not"
    emit(report, [f"The number {verdict} be called then.", *(f"  {why}" for why in report["reasons"])], as_json)


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
    """The whole story of a call: draw, attempts, answers, and what it came to."""
    told = story.read(EVERY_ORGANISATION, call_id).moments
    report = [{"at": m.at, "title": m.title, "text": m.text, "facts": dict(m.facts)} for m in told]
    lines = [" ".join(part for part in (iso(m.at), f"{m.title}.", m.text) if part) for m in told]
    emit(report, lines, as_json)


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
