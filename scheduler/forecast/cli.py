"""flask campaigns forecast: what a campaign would come to, by the calls of the last weeks; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import click

from scheduler import campaigns
from scheduler.forecast import reading as forecast_reading
from scheduler.forecast.days import DAY
from scheduler.forecast.limits import PACE
from scheduler.forecast.reading import MOST_WEEKS, WEEKS, Reading
from scheduler.forecast.report import Names, by_hour, names_in, report
from scheduler.forecast.totals import Figures, Subject, Verdict
from scheduler.forecast.words import assumptions, floor_tenth, money, percent, tenth, warnings, whole
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
@click.option("--weeks", type=click.IntRange(1, MOST_WEEKS), default=WEEKS, show_default=True, help="To look back on.")
@json_option
def forecast_command(campaign: str, weeks: int, as_json: bool) -> None:
    """What a campaign, a draft too, will come to if calls go on as in the last weeks. Changes nothing.

    Surveys, complete ones, dials, emails, minutes and cost; the load by hour; who will miss their number, and when the
    others have it.
    """
    reading = forecast_reading.read(campaigns.find(campaign), weeks)
    names = names_in(reading)
    emit(report(reading, names), list(_lines(reading, names)), as_json)


def _lines(reading: Reading, names: Names) -> Iterator[str]:
    campaign, basis, made = reading.campaign, reading.basis, reading.forecast
    name = f"{campaign.organisation.key}/{campaign.key}"
    yield f"{name} ({campaign.state}), calls from {basis.first} to {basis.last}"
    yield (
        f"if they come as from {basis.since} to {basis.until - DAY}: {reading.counted.calls:,} in"
        f" {basis.days_seen} days, of which {whole(basis.volume.total()):,} could be asked about"
    )
    yield from (f"  ! {warning}" for warning in warnings(reading))
    yield ""
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
        yield "Calls seen that could not be asked about:"
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
        yield "Dials by the hour of the customers' day, on an average calling day:"
        yield "  " + ", ".join(f"{hour:02d}: {tenth(dials)}" for hour, dials in hours)


def _pace(reading: Reading) -> Iterator[str]:
    pace, spend = reading.pace, reading.spend
    setting = "calls a second" if pace.bound_by == PACE else "calls at a time"
    yield (f"Busiest hour: {tenth(pace.busiest)} calls a minute; {tenth(pace.possible)} can be placed ({setting}).")
    cap = "" if spend.cap is None else f", beside {money(spend.spent)} spent, of at most {money(Fraction(spend.cap))}"
    yield f"Cost of the calls to come: {money(spend.cost)}{cap}."


def _subjects(reading: Reading, names: Names) -> Iterator[str]:
    for level in (Level.SITE, Level.SUPERVISOR):
        yield ""
        yield f"{level.capitalize()}s:"
        yield from (_subject(one, names) for one in reading.forecast.of(level))
    agents = reading.forecast.of(Level.AGENT)
    missing = reading.forecast.falling_short()
    yield ""
    yield f"Agents: {len(missing)} of {len(agents)} will miss {reading.basis.wanted.agent}"
    yield from (_subject(one, names) for one in missing)
    last = max((one.reached_on for one in agents if one.reached_on is not None), default=None)
    if last is not None:
        yield f"  The others have it by the calls of {last}; --json says when each."


def _subject(one: Subject, names: Names) -> str:
    key, name = names[one.level][one.id]
    when = "" if one.reached_on is None else f", by the calls of {one.reached_on}"
    rate = "" if one.rate is None else f", at {percent(one.rate)}"
    expected = f"  {key}, {name}: {tenth(floor_tenth(one.at_end))}"
    if not one.target:
        return f"{expected} at the end ({one.complete} now){rate}; no number is wanted"
    return f"{expected} of {one.target} at the end ({one.complete} now){rate}: {WILL[one.verdict]}{when}"
