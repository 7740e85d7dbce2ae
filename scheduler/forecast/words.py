"""A forecast in sentences: which calls it goes by, what of it is experience and what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from math import ceil, floor

from scheduler.forecast.days import WEEK
from scheduler.forecast.experience import ASSUMED_WEIGHT, EXPERIENCE_SINCE
from scheduler.forecast.limits import PACE
from scheduler.forecast.reading import Reading
from scheduler.targets import FIRST_ANSWERED, FIRST_DRAWN
from survey.models import Channel, Outcome, Sampling


def replayed(reading: Reading) -> str:
    """Which days of which calls a forecast goes by, and how many these are."""
    basis, campaign = reading.basis, reading.campaign
    sites = ", ".join(site.name for site in campaign.sites)
    only = "".join(
        f", of the {what} {', '.join(names)}"
        for what, names in (("queues", campaign.queues), ("topics", campaign.topics))
        if names
    )
    return (
        f"It goes by the {counted(reading.counted.calls, 'call')} at {sites}{only} from {basis.since} to"
        f" {basis.last_seen} ({counted(basis.days_seen, 'day')}), whichever campaign they fell to;"
        f" {whole(basis.volume.total()):,} of them could have been asked about."
    )


def assumptions(reading: Reading) -> list[str]:
    """What the forecast rests on, experience told apart from assumptions."""
    return [*_of_calls(reading), _of_rates(reading), _of_answers(reading), *_of_attempts(reading), *_of_replay(reading)]


def _of_calls(reading: Reading) -> Iterator[str]:
    basis = reading.basis
    days = f"the {counted(basis.days_seen, 'day')} from {basis.since} to {basis.last_seen}"
    if basis.days_seen < WEEK.days:
        yield f"Calls: only {days} have any, less than a week, so every day to come is taken to be alike."
    else:
        short = basis.days_seen < reading.weeks * WEEK.days
        there = counted(basis.days_seen // WEEK.days, "whole week")
        asked = f" {reading.weeks} weeks were asked for; the calls that are there fill {there}." if short else ""
        yield (
            f"Calls: as many are taken to come as in {days}, each weekday like the same weekday then. Whole weeks"
            f" count, up to the day before yesterday, as later calls may not be in yet.{asked}"
        )
    yield (
        "Public holidays and the sites' own days off bring no calls. Agents stay with the supervisors and sites of"
        " today's roster, and join and leave on its dates."
    )


def _of_rates(reading: Reading) -> str:
    own = percent(reading.basis.rate)
    if reading.campaign.sampling is Sampling.FIXED:
        return f"Rate: {own} of the calls are drawn."
    now, *coming = reading.steps
    begins = (
        f"the rates published already hold at first, and {own} for agents who have none"
        if now.rates and set(now.rates.values()) != {now.default}
        else f"the campaign's own rate of {own} holds for every agent at first"
    )
    if not coming:
        return f"Rates: {begins}, and to the end, as it comes before other rates can be set and in force."
    low, high = percent(reading.basis.wanted.floor), percent(reading.basis.wanted.ceiling)
    first = coming[0]
    week = "" if reading.campaign.rates_set_for else ", once a whole week of the campaign's calls has been seen"
    return (
        f"Rates: {begins}. On {first.set_on}{week}, each agent's rate is set from what is missing then, between {low}"
        f" and {high}, for calls from {first.first} on; and again every Monday, for calls from Tuesday on."
    )


def _of_answers(reading: Reading) -> str:
    days, assumed = EXPERIENCE_SINCE.days, f"{FIRST_ANSWERED} of {FIRST_DRAWN}"
    told = f"Answers: {percent(reading.basis.yields)} of the surveys are taken to be completed."
    if not reading.settled:
        return (
            f"{told} That is assumed ({assumed}), as no survey of the organisation by these channels has ended in the"
            f" last {days} days."
        )
    answered = sum(reading.basis.answered.values())
    return (
        f"{told} Experience: {answered:,} of the organisation's {reading.settled:,} surveys by these channels whose"
        f" deadlines passed in the last {days} days were; {assumed} are added as an assumption."
    )


def _of_attempts(reading: Reading) -> Iterator[str]:
    experience = reading.experience
    used = {name for entry in reading.campaign.channel_plan for name in entry["channels"]}
    for channel, what in ((Channel.IVR, "dials"), (Channel.WEB, "emails")):
        if channel not in used:
            continue
        share = percent(experience.share(channel, Outcome.COMPLETED))
        seen = experience.seen(channel)
        rest = (
            f"experience with {seen:,} {what} of the last {EXPERIENCE_SINCE.days} days, and {ASSUMED_WEIGHT} more added"
            " as an assumption"
            if seen
            else "assumed, as there is no experience yet"
        )
        yield f"{what.capitalize()}: {share} of them lead to a complete survey ({rest})."


def _of_replay(reading: Reading) -> Iterator[str]:
    load, days = reading.load, reading.campaign.quarantine_days
    yield (
        "How many dials and emails a survey takes, and at which hours: the calls of those days, or a part of them,"
        " were drawn and asked about on paper, by the campaign's own hours and retries,"
        f" {counted(load.surveys, 'survey')} in {counted(load.rounds, 'run')}. The draws were made up: they do not tell"
        " which calls will be drawn."
    )
    yield (
        f"Of those calls {percent(load.quarantined_share)} were left out because the customer had been asked in the"
        f" {counted(days, 'day')} before; {percent(load.each(load.superseded))} of the surveys were replaced by one"
        " about a newer call of the customer."
    )


def told_pace(reading: Reading) -> str:
    """The busiest hour beside what is possible, and by which setting."""
    pace, campaign = reading.pace, reading.campaign
    bound = (
        f"{counted(campaign.calls_per_second, 'dial')} a second"
        if pace.bound_by == PACE
        else f"{counted(campaign.live_calls, 'dial')} under way at a time"
    )
    return f"{tenth(pace.busiest)} dials a minute; up to {tenth(pace.possible)} a minute can be made ({bound})"


def told_rates(rates: Sequence[tuple[date, Fraction]]) -> str:
    """An agent's rates: the first, and between which the later ones lie."""
    (_, first), *later = rates
    if not later:
        return percent(first)
    low, high = min(rate for _, rate in later), max(rate for _, rate in later)
    between = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
    return f"{percent(first)}, from {later[0][0]} {between}"


def whole(value: Fraction) -> int:
    """To the nearest whole number, halves up."""
    return floor(value + Fraction(1, 2))


def money(value: Fraction) -> str:
    """Hundredths of the currency as 1,234.56, rounded up."""
    units, rest = divmod(ceil(value), 100)
    return f"{units:,}.{rest:02d}"


def percent(share: Fraction) -> str:
    """A share in percent, to a tenth of one where that shows something."""
    tenths = whole(share * 1000)
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}%"


def floor_tenth(value: Fraction) -> Fraction:
    """Rounded down to a tenth: so what looks as if it reached a number does."""
    return Fraction(floor(value * 10), 10)


def tenth(value: Fraction) -> str:
    """A number to a tenth."""
    tenths = whole(value * 10)
    return "<0.1" if value and not tenths else f"{tenths // 10:,}.{tenths % 10}"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
