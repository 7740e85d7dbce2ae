"""A forecast in sentences: what to look at before a launch, and what is experience and what is assumed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor

from scheduler.forecast.days import DAY
from scheduler.forecast.experience import ASSUMED_WEIGHT, EXPERIENCE_SINCE
from scheduler.forecast.limits import PACE
from scheduler.forecast.reading import Reading
from scheduler.forecast.totals import Verdict
from scheduler.targets import FIRST_ANSWERED, FIRST_DRAWN
from survey.models import CampaignState, Channel, Level, Outcome, Sampling


def warnings(reading: Reading) -> list[str]:
    """What an administrator should see before launching: what will be missed, held up, cut off or left to others."""
    paused = reading.campaign.state is CampaignState.PAUSED
    return [
        *(["The campaign is paused: this is what it comes to once it is resumed."] if paused else []),
        *_of_targets(reading),
        *_of_pace(reading),
        *_of_money(reading),
        *_of_others(reading),
    ]


def _of_targets(reading: Reading) -> Iterator[str]:
    wanted = reading.basis.wanted
    for level, target in (
        (Level.AGENT, wanted.agent),
        (Level.SUPERVISOR, wanted.supervisor),
        (Level.SITE, wanted.site),
    ):
        subjects = reading.forecast.of(level)
        for verdict, will in ((Verdict.MISSED, "will miss"), (Verdict.UNCERTAIN, "may miss")):
            count = sum(one.verdict is verdict for one in subjects)
            if count:
                advice = f" {_advice(reading)}" if verdict is Verdict.MISSED else ""
                yield f"{count} of {counted(len(subjects), level)} {will} {target} complete surveys.{advice}"


def _advice(reading: Reading) -> str:
    """What helps: how rates are set is fixed at the launch."""
    if reading.campaign.sampling is Sampling.TARGET:
        raised = "" if reading.basis.wanted.ceiling == 1 else ", or raise rate_ceiling"
        return f"Make the campaign longer{raised}."
    if reading.campaign.launched_at is not None:
        return "Raise the rate, or make the campaign longer."
    return 'Raise the rate, or let it be set for each agent (sampling = "target").'


def _of_pace(reading: Reading) -> Iterator[str]:
    pace = reading.pace
    if pace.keeps_up:
        return
    what = "calls_per_second" if pace.bound_by == PACE else "live_calls"
    lost = f", and {percent(pace.lost)} of them never has its turn in time" if pace.lost else ""
    yield (
        f"The pace does not keep up: up to {tenth(pace.busiest)} calls a minute come due, {tenth(pace.possible)} can be"
        f" placed. Some wait for {pace.waits} calling hours{lost}. Raise {what}."
    )


def _of_money(reading: Reading) -> Iterator[str]:
    spend = reading.spend
    if spend.cap is not None and spend.reached_on is not None:
        yield (
            f"The spend cap of {money(Fraction(spend.cap))} is reached by the calls of about {spend.reached_on}; from"
            " then on nobody is dialled. The figures here are without the cap."
        )


def _of_others(reading: Reading) -> Iterator[str]:
    shares = {id(one): share for one, share in reading.taken}
    for one in reading.overlaps:
        share = shares.get(id(one))
        yield one.told("" if share is None else f" ({percent(share)} of the calls seen that could be asked about)")


def assumptions(reading: Reading) -> list[str]:
    """What the forecast rests on, experience told apart from assumptions."""
    return [*_of_calls(reading), _of_rates(reading), _of_answers(reading), *_of_attempts(reading), _of_replay(reading)]


def _of_calls(reading: Reading) -> Iterator[str]:
    basis = reading.basis
    seen = f"{counted(basis.days_seen, 'day')} from {basis.since} to {basis.until - DAY}"
    if basis.days_seen < 7:
        yield f"Calls: only {seen} were seen, less than a week, so every weekday is taken to be alike."
    else:
        yield f"Calls: as in the {seen}; a Monday brings what the Mondays among them did."
    yield "Public holidays and the sites' own days off bring no calls. The roster stays as it is written down today."


def _of_rates(reading: Reading) -> str:
    if reading.campaign.sampling is Sampling.FIXED:
        return f"Rate: every call at {percent(reading.basis.rate)}."
    low, high = percent(reading.basis.wanted.floor), percent(reading.basis.wanted.ceiling)
    return (
        f"Rates: as they would be set today, from {low} to {high}. They are set anew every week, by what has come in."
    )


def _of_answers(reading: Reading) -> str:
    days, assumed = EXPERIENCE_SINCE.days, f"{FIRST_ANSWERED} of {FIRST_DRAWN}"
    told = f"Answers: of the surveys drawn, {percent(reading.basis.yields)} are taken to be completed."
    if not reading.settled:
        return f"{told} That is assumed ({assumed}): no survey by these channels has ended in the last {days} days."
    answered = sum(reading.basis.answered.values())
    return (
        f"{told} Experience: {answered:,} of the organisation's {reading.settled:,} surveys by these channels in the"
        f" last {days} days; beside it stand {assumed} assumed."
    )


def _of_attempts(reading: Reading) -> Iterator[str]:
    experience = reading.experience
    used = {name for entry in reading.campaign.channel_plan for name in entry["channels"]}
    for channel, what in ((Channel.IVR, "dials"), (Channel.WEB, "emails")):
        if channel not in used:
            continue
        share = percent(experience.share(channel, Outcome.COMPLETED))
        seen = experience.seen(channel)
        rest = f"{seen:,} {what} of experience, and as {ASSUMED_WEIGHT} more what is assumed" if seen else "assumed"
        yield f"{what.capitalize()}: {share} end with all answers ({rest})."


def _of_replay(reading: Reading) -> str:
    load, days = reading.load, reading.campaign.quarantine_days
    return (
        f"Attempts and hours: {load.surveys:,} surveys replayed in {counted(load.rounds, 'round')}, drawn by made-up"
        f" numbers that say nothing of the real draw. {percent(load.quarantined_share)} of the calls come too soon"
        f" after another survey of the customer ({counted(days, 'day')}), and"
        f" {percent(load.each(load.superseded))} of the drawn are replaced by a newer call."
    )


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
