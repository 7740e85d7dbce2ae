"""flask campaigns forecast: what a campaign would come to, by the calls of days gone by; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import click

from scheduler import campaigns
from scheduler.forecast import reading as forecast_reading
from scheduler.forecast.advice import warnings
from scheduler.forecast.reading import MOST_WEEKS, WEEKS, Reading
from scheduler.forecast.report import Names, by_hour, names_in, report
from scheduler.forecast.totals import Figures, Subject, Verdict
from scheduler.forecast.words import (
    assumptions,
    floor_tenth,
    money,
    replayed,
    tenth,
    told_pace,
    told_rates,
    whole,
)
from scheduler.spending import minute_price
from scheduler.words import DRAW_REASONS
from survey.commands import command, emit, json_option
from survey.models import Level

WILL = {
    Verdict.REACHED: "has its number",
    Verdict.LIKELY: "reaches it",
    Verdict.UNCERTAIN: "may reach it",
    Verdict.MISSED: "misses it",
}


@command("forecast")
@click.argument("campaign", metavar="[ORGANISATION/]CAMPAIGN")
@click.option(
    "--weeks",
    type=click.IntRange(1, MOST_WEEKS),
    default=WEEKS,
    show_default=True,
    help="Weeks of calls to go by; fewer if there are no older ones.",
)
@json_option
def forecast_command(campaign: str, weeks: int, as_json: bool) -> None:
    """What a campaign, a draft too, will come to if calls go on as they came. Changes nothing.

    Surveys, complete ones, dials, emails, minutes and cost; the dials by hour; who will miss their number, and when the
    others have it. The first lines say which days' calls it goes by.
    """
    reading = forecast_reading.read(campaigns.find(campaign), weeks)
    names = names_in(reading)
    emit(report(reading, names), list(_lines(reading, names)), as_json)


def _lines(reading: Reading, names: Names) -> Iterator[str]:
    campaign, basis, made = reading.campaign, reading.basis, reading.forecast
    name = f"{campaign.organisation.key}/{campaign.key}"
    yield f"{name} ({campaign.state}): what its calls from {basis.first} to {basis.last} will bring"
    yield replayed(reading)
    yield from (f"  ! {warning}" for warning in warnings(reading))
    yield ""
    yield "Week by week. Calls are those that can be asked about; all the rest stands in the week of its call:"
    yield _row("", "calls", "surveys", "complete", "dials", "emails", "minutes", "cost")
    for monday, figures in made.weeks:
        yield _figures(f"from {max(monday, basis.first)}", figures)
    yield _figures("in all", made.total)
    yield from _hours(reading)
    yield from _pace(reading)
    yield from _subjects(reading, names)
    yield from _reasons(reading)
    yield ""
    yield "This rests on:"
    yield from (f"  {line}" for line in assumptions(reading))


def _reasons(reading: Reading) -> Iterator[str]:
    reasons = sorted(reading.counted.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    if reasons:
        yield ""
        yield "Calls of those days that could not be asked about:"
        yield from (f"  {whole(calls):>9,}  {DRAW_REASONS[reason]}" for reason, calls in reasons)


def _figures(what: str, figures: Figures) -> str:
    counts = (figures.calls, figures.surveys, figures.completes, figures.dials, figures.mails, figures.minutes)
    return _row(what, *(f"{whole(count):,}" for count in counts), money(figures.minutes * minute_price()))


def _row(what: str, *cells: str) -> str:
    return f"  {what:<16}" + "".join(f"{cell:>10}" for cell in cells)


def _hours(reading: Reading) -> Iterator[str]:
    hours = by_hour(reading)
    if hours:
        yield ""
        yield "Dials by the hour of the customers' day, on an average day on which dials are allowed:"
        yield "  " + ", ".join(f"{hour:02d}: {tenth(dials)}" for hour, dials in hours)


def _pace(reading: Reading) -> Iterator[str]:
    spend = reading.spend
    yield f"Busiest hour of a full week: {told_pace(reading)}."
    cap = "" if spend.cap is None else f", beside {money(spend.spent)} spent, of at most {money(Fraction(spend.cap))}"
    yield f"Cost of the dials to come: {money(spend.cost)}{cap}."


def _subjects(reading: Reading, names: Names) -> Iterator[str]:
    for level in (Level.SITE, Level.SUPERVISOR):
        yield ""
        yield f"{level.capitalize()}s:"
        yield from (_subject(one, names) for one in reading.forecast.of(level))
    agents = reading.forecast.of(Level.AGENT)
    missing = reading.forecast.falling_short()
    yield ""
    wanted = reading.basis.wanted.agent
    yield (
        f"Agents: {len(missing)} of {len(agents)} will have fewer than {wanted}"
        if wanted
        else "Agents: no number is wanted"
    )
    yield from (_subject(one, names) for one in missing)
    last = max((one.reached_on for one in agents if one.reached_on is not None), default=None)
    if last is not None:
        yield f"  Those who reach it have it by the calls of {last}; --json says when each."


def _subject(one: Subject, names: Names) -> str:
    key, name = names[one.level][one.id]
    when = "" if one.reached_on is None else f", by the calls of {one.reached_on}"
    rate = f"; rate {told_rates(one.rates)}" if one.rates else ""
    expected = f"  {key}, {name}: {tenth(floor_tenth(one.at_end))}"
    if not one.target:
        return f"{expected} complete at the end ({one.complete} now): no number is wanted{rate}"
    return f"{expected} of {one.target} complete at the end ({one.complete} now): {WILL[one.verdict]}{when}{rate}"
