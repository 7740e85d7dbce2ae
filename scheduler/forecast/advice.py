"""What an administrator should look at in a forecast: what will happen, why, and what could be changed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from scheduler.forecast.limits import PACE
from scheduler.forecast.reading import Reading
from scheduler.forecast.totals import Subject, Verdict
from scheduler.forecast.words import counted, money, percent, tenth
from survey.models import CampaignState, Level, Sampling


def warnings(reading: Reading) -> list[str]:
    """What should be seen before launching: what will be missed, held up, cut off or left to other campaigns."""
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
    missed: list[Subject] = []
    uncertain = False
    for level, target in (
        (Level.AGENT, wanted.agent),
        (Level.SUPERVISOR, wanted.supervisor),
        (Level.SITE, wanted.site),
    ):
        subjects = reading.forecast.of(level)
        fewer = [one for one in subjects if one.verdict is Verdict.MISSED]
        close = sum(one.verdict is Verdict.UNCERTAIN for one in subjects)
        of_all = f"of {counted(len(subjects), level)}"
        if fewer:
            yield (
                f"{len(fewer):,} {of_all} will have fewer than the {target:,} complete surveys wanted, counting all"
                f" calls up to {reading.basis.last}."
            )
        if close:
            yield (
                f"{close:,} {of_all} may miss {target:,} complete surveys: hardly more can be had, so chance decides."
            )
        missed += fewer
        uncertain = uncertain or close > 0
    if missed:
        yield f"Why they miss it: {_why(reading, missed)}."
    if missed or uncertain:
        yield f"What would help: {', or '.join(_helps(reading))}."


def _why(reading: Reading, missed: list[Subject]) -> str:
    basis = reading.basis
    few = "too few calls of theirs are to come, or too few of their customers answer"
    if reading.campaign.sampling is Sampling.FIXED:
        drawn = "every call is drawn already" if basis.rate == 1 else f"{percent(basis.rate)} of the calls are drawn"
        return f"{drawn}, but {few} ({percent(basis.yields)} of those drawn are expected to)"
    if len(reading.steps) == 1:
        return (
            f"until a whole week of the campaign's calls has been seen, its own rate of {percent(basis.rate)} holds,"
            " and the campaign is over before the rates that are set then come into force"
        )
    raised = reading.steps[-1].rates
    if all(one.level is Level.AGENT and raised.get(one.id) == basis.wanted.ceiling for one in missed):
        return f"even at the highest rate allowed (rate_ceiling, {percent(basis.wanted.ceiling)}), {few}"
    return f"{few}, even though the rates are raised each week as far as they may"


def _helps(reading: Reading) -> Iterator[str]:
    """What could be changed; how rates are set is fixed at the launch."""
    launched = reading.campaign.launched_at is not None
    if reading.campaign.sampling is Sampling.FIXED:
        if reading.basis.rate < 1:
            yield "draw more of the calls (raise rate)"
        if not launched and reading.basis.rate < 1:
            yield 'let a rate of their own be set for each agent every week (sampling = "target")'
    else:
        if not launched and reading.basis.rate < 1:
            yield f"begin with a higher rate (rate, now {percent(reading.basis.rate)})"
        if reading.basis.wanted.ceiling < 1:
            yield f"allow higher rates (rate_ceiling, now {percent(reading.basis.wanted.ceiling)})"
    yield f"give the campaign a later last day (ends_on, now {reading.basis.last})"


def _of_pace(reading: Reading) -> Iterator[str]:
    pace, campaign = reading.pace, reading.campaign
    if pace.keeps_up:
        return
    name, bound = (
        ("calls_per_second", f"at most {counted(campaign.calls_per_second, 'dial')} may begin each second")
        if pace.bound_by == PACE
        else ("live_calls", f"at most {counted(campaign.live_calls, 'dial')} may be under way at the same time")
    )
    lost = f", and {percent(pace.lost)} of all are not made before it is too late" if pace.lost else ""
    yield (
        f"Dials will have to wait. In the busiest hour {tenth(pace.busiest)} a minute come due, but only"
        f" {tenth(pace.possible)} a minute can be made, because {bound}. Some wait for"
        f" {counted(pace.waits, 'hour')} in which dials are allowed{lost}. What would help: raise {name}, or draw"
        " fewer of the calls."
    )


def _of_money(reading: Reading) -> Iterator[str]:
    spend = reading.spend
    if spend.cap is not None and spend.reached_on is not None:
        yield (
            f"The money runs out: the dials about calls up to about {spend.reached_on} use up the spend cap of"
            f" {money(Fraction(spend.cap))}; from then on nobody is dialled. The figures here leave the cap aside. What"
            " would help: raise spend_cap, or draw fewer of the calls."
        )


def _of_others(reading: Reading) -> Iterator[str]:
    shares = {id(one): share for one, share in reading.taken}
    basis = reading.basis
    for one in reading.overlaps:
        share = shares.get(id(one))
        seen = f"of those from {basis.since} to {basis.last_seen} that could have been asked about"
        yield one.told("" if share is None else f" ({percent(share)} {seen})")
