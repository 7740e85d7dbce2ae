"""A forecast as plain values, with names.

Money is in hundredths of the currency in which calls are paid. Expected numbers are rounded; what somebody is expected
to have at the end is rounded down, so that a number that looks reached is.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any

from sqlalchemy import select

from scheduler.forecast.advice import warnings
from scheduler.forecast.days import DAY
from scheduler.forecast.reading import Reading
from scheduler.forecast.totals import Figures, Subject
from scheduler.forecast.words import assumptions, whole
from scheduler.spending import minute_price
from survey.db import db
from survey.models import Agent, Channel, Level, Site, Supervisor

NAMED: Mapping[Level, type[Agent] | type[Supervisor] | type[Site]] = {
    Level.AGENT: Agent,
    Level.SUPERVISOR: Supervisor,
    Level.SITE: Site,
}
Names = Mapping[Level, Mapping[int, tuple[str, str]]]


def names_in(reading: Reading) -> Names:
    """Key and name of every subject of the forecast, by level and id."""
    names = {}
    for level, model in NAMED.items():
        ids = {one.id for one in reading.forecast.of(level)}
        rows = db.session.execute(select(model.id, model.key, model.name).where(model.id.in_(ids)))
        names[level] = {row.id: (row.key, row.name) for row in rows}
    return names


def by_hour(reading: Reading) -> list[tuple[int, Fraction]]:
    """Dials in each hour of the customers' day, on an average day on which calls may be made."""
    basis, load = reading.basis, reading.load
    days = (basis.first + n * DAY for n in range((basis.last - basis.first).days + 1))
    open_days = sum(day.weekday() in reading.campaign.call_weekdays for day in days)
    if not load.dials or not open_days:
        return []
    hours = range(min(load.dials_at), max(load.dials_at) + 1)
    a_day = reading.forecast.total.dials / open_days
    return [(hour, a_day * load.dials_at[hour] / load.dials) for hour in hours]


def report(reading: Reading, names: Names) -> dict[str, Any]:
    """Everything as plain values."""
    campaign, basis, made, load = reading.campaign, reading.basis, reading.forecast, reading.load
    pace, spend = reading.pace, reading.spend
    return {
        "organisation": campaign.organisation.key,
        "campaign": campaign.key,
        "state": campaign.state.value,
        "days": {"from": basis.first, "to": basis.last},
        "seen": {
            "from": basis.since,
            "to": basis.last_seen,
            "days": basis.days_seen,
            "calls": reading.counted.calls,
            "eligible": whole(basis.volume.total()),
            "not_eligible": {reason.value: whole(calls) for reason, calls in sorted(reading.counted.reasons.items())},
        },
        "rates_set": [{"on": one.set_on, "from": one.first} for one in reading.steps if one.set_on is not None],
        "warnings": warnings(reading),
        "rests_on": assumptions(reading),
        "experience": {
            "surveys": reading.settled,
            "dials": reading.experience.seen(Channel.IVR),
            "emails": reading.experience.seen(Channel.WEB),
        },
        "quarantined": load.quarantined_share,
        "superseded": load.each(load.superseded),
        "total": _figures(made.total),
        "weeks": [{"monday": monday, **_figures(figures)} for monday, figures in made.weeks],
        "dials_by_hour": [{"hour": hour, "dials": whole(dials)} for hour, dials in by_hour(reading)],
        "pace": {
            "busiest_minute": ceil(pace.busiest),
            "possible": floor(pace.possible),
            "bound_by": pace.bound_by,
            "waits_hours": pace.waits,
            "keeps_up": pace.keeps_up,
        },
        "spend": {
            "cost": ceil(spend.cost),
            "spent": ceil(spend.spent),
            "cap": spend.cap,
            "reached_on": spend.reached_on,
        },
        **{f"{level}s": [_subject(one, names) for one in made.of(level)] for level in NAMED},
        "overlaps": [one.as_dict() for one in reading.overlaps],
    }


def _figures(figures: Figures) -> dict[str, int]:
    return {
        "calls": whole(figures.calls),
        "surveys": whole(figures.surveys),
        "completes": whole(figures.completes),
        "dials": whole(figures.dials),
        "emails": whole(figures.mails),
        "minutes": whole(figures.minutes),
        "cost": ceil(figures.minutes * minute_price()),
    }


def _subject(one: Subject, names: Names) -> dict[str, Any]:
    key, name = names[one.level][one.id]
    told = {
        str(one.level): key,
        "name": name,
        "target": one.target,
        "complete": one.complete,
        "expected_at_end": floor(one.at_end),
        "missing": ceil(one.missing),
        "verdict": one.verdict.value,
        "reached_on": one.reached_on,
    }
    return told | {"rates": [{"from": since, "rate": rate} for since, rate in one.rates]} if one.rates else told
