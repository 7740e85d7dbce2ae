"""The standings page: where organisation, sites, supervisors and agents are today, by certification's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from certification import assessments, programmes, rules
from certification import standings as certification_standings
from certification import words as certification_words
from certification.rules import RuleSet
from certification.standings import Standing
from console.calls import number_in
from console.scope import Scope, found
from survey import clock
from survey.db import db
from survey.models import Level, Period, Programme

HEADINGS = {
    Level.ORGANISATION: "Organisation",
    Level.SITE: "Sites",
    Level.SUPERVISOR: "Supervisors",
    Level.AGENT: "Agents",
}


@dataclass(frozen=True)
class Wanted:
    """Which programme and which of its periods to show; without one, the last complete months its rule asks for.

    Where those are just an announced period's, it is that period that is shown, with what is or will be decided on it.
    """

    programme_id: int | None = None
    period_id: int | None = None

    @classmethod
    def parsed(cls, args: Mapping[str, str]) -> Wanted:
        """From the query of the address. Raises InputError naming the field that cannot be read."""
        return cls(number_in(args.get("programme", ""), "programme"), number_in(args.get("period", ""), "period"))


@dataclass(frozen=True)
class Page:
    """One programme's standings over some days. `programme` is None when there is none in reach.

    `waits_for`: why the period, whose day has come, is not decided.
    """

    programmes: list[Programme]
    programme: Programme | None = None
    periods: tuple[Period, ...] = ()
    period: Period | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    rule: RuleSet | None = None
    standings: tuple[Standing, ...] = ()
    waits_for: str = ""

    @property
    def line(self) -> Fraction | None:
        return None if self.rule is None else self.rule.threshold

    @property
    def by_level(self) -> list[tuple[str, str, list[Standing]]]:
        """The levels the rule knows: heading, what the rule asks for there, and its standings."""
        if self.rule is None:
            return []
        found_levels = [(level, [each for each in self.standings if each.level is level]) for level in HEADINGS]
        return [
            (HEADINGS[level], certification_words.requirement(self.rule, level), each)
            for level, each in found_levels
            if each
        ]


def read(within: Scope, wanted: Wanted) -> Page:
    """The standings asked for. Raises NotFound for a programme or period that is not within reach."""
    known = _programmes(within)
    if not known:
        return Page([])
    programme: Programme = known[0]
    if wanted.programme_id is not None:
        programme = found(next((each for each in known if each.id == wanted.programme_id), None), "programme")
    periods = _periods(programme)
    if wanted.period_id is None:
        return _recent(known, programme, periods)
    period: Period = found(next((each for each in periods if each.id == wanted.period_id), None), "period")
    return _announced(known, programme, periods, period)


def _announced(known: list[Programme], programme: Programme, periods: tuple[Period, ...], period: Period) -> Page:
    return Page(
        known,
        programme,
        periods,
        period,
        period.starts_on,
        period.ends_on,
        programmes.rule_of(period),
        tuple(certification_standings.for_period(period)),
        assessments.why_undecided(period) if _overdue(period) else "",
    )


def _overdue(period: Period) -> bool:
    return period.decided_at is None and programmes.decision_moment(period) <= clock.now()


def last_complete_months(today: date, months: int) -> tuple[date, date]:
    """The first and the last day of the last `months` calendar months that are over by `today`."""
    ends_on = today.replace(day=1) - timedelta(days=1)
    month = ends_on.year * 12 + ends_on.month - months
    return date(month // 12, month % 12 + 1, 1), ends_on


def _recent(known: list[Programme], programme: Programme, periods: tuple[Period, ...]) -> Page:
    rule = rules.load(programme.rule_set)
    starts_on, ends_on = last_complete_months(clock.now().date(), rule.months)
    for period in periods:
        if (period.starts_on, period.ends_on) == (starts_on, ends_on):
            return _announced(known, programme, periods, period)
    shown = tuple(certification_standings.between(programme, starts_on, ends_on))
    return Page(known, programme, periods, None, starts_on, ends_on, rule, shown)


def _programmes(within: Scope) -> list[Programme]:
    return list(
        db.session.scalars(
            select(Programme)
            .where(within.holds(Programme.organisation_id))
            .options(joinedload(Programme.organisation), selectinload(Programme.campaigns))
            .order_by(Programme.organisation_id, Programme.id)
        )
    )


def _periods(programme: Programme) -> tuple[Period, ...]:
    return tuple(
        db.session.scalars(
            select(Period)
            .where(Period.programme_id == programme.id)
            .options(joinedload(Period.programme))
            .order_by(Period.starts_on.desc())
        )
    )
