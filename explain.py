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
from scheduler.hours import SHORT_DAYS
from scheduler.sampling import fraction
from survey.clock import iso
from survey.commands import PoliteGroup, emit, json_option
from survey.errors import InputError

# No calendar tells the holidays of others.
YEARS = range(1970, 2101)
EVERY_ORGANISATION = Scope(None)
# So many time zones that show the same time are named; the others are counted. --json has all of them.
SHOWN_ALIKE = 3
NAMED_PLACES = {"US-FL": "Florida", "001": "international numbers", "ZZ": "a number of no known country"}


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
    report = scheduling.explain_deadline(moment(ended_at, "--ended-at"), zone, country, subdivision)
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
        report = scheduling.explain_hours(number, moment(at, "--at"), site_zone=zone)
    else:
        report = scheduling.explain_campaign_hours(number, moment(at, "--at"), campaign, zone)
    emit(report, list(_hours_told(report)), as_json)


def _hours_told(report: dict[str, Any]) -> Iterator[str]:
    verdict = "may be called" if report["allowed"] else "may not be called"
    yield f"{report['number']} {verdict} at {report['at']}."
    if report["read_as"]:
        yield f"Given without a +, it was read as a number of {report['read_as']}."
    yield from _zones_told(report)
    yield f"The campaign's hours are {_campaigns_hours(report)}."
    limits_of = report["places"][0]["limits_of"]
    whose = NAMED_PLACES.get(limits_of, limits_of)
    yield f"The limits, those of {whose}, hold whatever a campaign says: {report['limits_source']}."
    yield from _next_told(report)


def _zones_told(report: dict[str, Any]) -> Iterator[str]:
    """The number's zones with their local time; those that show the same time, and decide the same, on one line."""
    zones = len(report["zones"])
    if report["zones_from"] == "site":
        yield f"The number does not tell its time zone, so the site's counts: {report['zones'][0]}."
    elif report["zones_from"] == "UTC":
        yield "The number does not tell its time zone, so its site's counts: give that with --zone. Here UTC was taken."
    if zones > 1:
        yield f"Its owner may be in any of {zones} time zones, and the hour must suit every one of them."
    alike: dict[str, list[dict[str, Any]]] = {}
    for place in sorted(report["places"], key=lambda place: place["local"].partition(" ")[2]):
        alike.setdefault(place["local"], []).append(place)
    for local, places in alike.items():
        first = places[0]
        more = f" and {len(places) - SHOWN_ALIKE} more" if len(places) > SHOWN_ALIKE else ""
        names = ", ".join(place["zone"] for place in places[:SHOWN_ALIKE])
        called, allowed = (" and ".join(first[key]) or "none" for key in ("campaign", "limits"))
        yield f"In {names}{more} it is {local}; hours that day: the campaign's {called}, the limits' {allowed}."
        yield from (f"  No: {why}." for why in first["reasons"])


def _campaigns_hours(report: dict[str, Any]) -> str:
    window = report["window"]
    days = ", ".join(SHORT_DAYS[day] for day in sorted(window["weekdays"])) or "on no day"
    own = "".join(f"; {SHORT_DAYS[int(day)]} {begins}-{ends}" for day, (begins, ends) in window["own"].items())
    holidays = "public holidays too" if window["on_holidays"] else "not on public holidays"
    whose = f"those of {report['campaign']}" if "campaign" in report else "the usual ones (--campaign takes another's)"
    return f"{whose}: {days} {window['from']}-{window['until']}{own}, {holidays}, by the customer's clock"


def _next_told(report: dict[str, Any]) -> Iterator[str]:
    next_at, locally = report["next_allowed"], report["next_allowed_local"]
    if report["allowed"] and report["begins_now"]:
        yield f"No call begins from {report['last_begins']} on, as it could ring on after these hours."
    elif report["allowed"]:
        yield "But these hours end within 3 minutes: no call begins any more, as it could ring on after them."
    elif next_at is None:
        yield "No moment within two weeks suits all of this: the customer can be asked by email only."
    else:
        both = list(zip(report["zones"], locally, strict=True))[:SHOWN_ALIKE]
        there = ", ".join(f"{local} in {zone}" for zone, local in both)
        more = f" and {len(locally) - SHOWN_ALIKE} more zones" if len(locally) > SHOWN_ALIKE else ""
        yield f"It may be called again from {next_at}: {there}{more}."


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
@click.argument("call_id", metavar="ID")
@click.option("--source", help="Where the call came from, when several sources have a call of that id.")
@click.option("--ours", is_flag=True, help="ID is our own number, the one in the address of the call's page.")
@json_option
def call(call_id: str, source: str | None, ours: bool, as_json: bool) -> None:
    """The whole story of a call: draw, attempts, answers, what it came to, and what the plan says of it.

    ID is the telephone system's id of the call, or our own number.
    """
    if ours and source is not None:
        raise click.UsageError("--ours and --source are of two kinds of id: give one of them.")
    found = story.find(EVERY_ORGANISATION, call_id, source, ours)
    page = story.read(EVERY_ORGANISATION, found)
    report = [{"at": m.at, "title": m.title, "text": m.text, "facts": dict(m.facts)} for m in page.moments]
    emit(report, [f"Call {found}: {story.named(page.call)}", *(_line(m) for m in page.moments)], as_json)


def _line(moment: story.Moment) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in moment.facts)
    return " ".join(part for part in (iso(moment.at), f"{moment.title}.", moment.text, facts and f"[{facts}]") if part)


def moment(text: str, where: str) -> datetime:
    """An ISO 8601 time of YEARS with its offset, given at the option `where`.

    Raises InputError without an offset: a local time means nothing here.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a time", where=where, how="Write it as 2026-07-02T15:00:00-04:00.") from None
    if parsed.tzinfo is None:
        how = "Add the place's offset from UTC, such as -04:00, or Z for UTC itself."
        raise InputError(f"{text!r} does not say of which place's clock it is", where=where, how=how)
    if parsed.year not in YEARS:
        how = f"Give a year from {YEARS[0]} to {YEARS[-1]}."
        raise InputError(f"{text!r} is too far from today", where=where, how=how)
    return parsed


commands: tuple[click.Command, ...] = (explain,)
