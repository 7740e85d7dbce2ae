"""Standings: where every agent, supervisor, site and organisation is, and what is missing. Watching never certifies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import or_, select

from certification import counts, programmes, rules, words
from certification.counts import Frame
from certification.coverage import OpenDays, Span, spans_of
from certification.interval import wilson
from certification.judging import Counts, Coverage, Verdict, judge, judge_organisation
from certification.rules import RuleSet
from survey import clock
from survey.db import db
from survey.errors import InputError
from survey.models import (
    Agent,
    Assignment,
    Campaign,
    Level,
    Organisation,
    Period,
    Programme,
    SamplingRate,
    Site,
    Supervisor,
)

DAY = timedelta(days=1)
PEOPLE: Mapping[Level, type[Agent] | type[Supervisor]] = {Level.AGENT: Agent, Level.SUPERVISOR: Supervisor}


@dataclass(frozen=True)
class Standing:
    """One subject's standing. `required` is None for an organisation, whose figures are its sites' together."""

    level: Level
    subject_id: int
    name: str
    counts: Counts
    coverage: Coverage
    required: int | None
    verdict: Verdict

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95% interval of the rate, as shares from 0 to 1, for showing."""
        return wilson(self.counts.k, self.counts.n)

    @property
    def too_few(self) -> bool:
        return self.required is not None and self.counts.n < self.required

    @property
    def summary(self) -> str:
        """The standing in a few words."""
        if self.verdict.passes:
            return "passes"
        return "too few to judge" if self.too_few else "does not pass yet"

    def as_dict(self) -> dict[str, Any]:
        """The standing for JSON; rates are fractions as text, the interval floats."""
        tallied = self.counts
        return {
            "level": self.level,
            "id": self.subject_id,
            "name": self.name,
            "n": tallied.n,
            "k": tallied.k,
            "rate": tallied.rate,
            "interval": self.interval,
            "weighted_rate": tallied.weighted_rate,
            "partials": tallied.partials,
            "late": tallied.late,
            "drawn": tallied.drawn,
            "superseded": tallied.superseded,
            "superseded_share": tallied.superseded_share,
            "rate_with_superseded": tallied.rate_with_superseded,
            "required": self.required,
            "months": self.coverage.months,
            "passes": self.verdict.passes,
            "summary": self.summary,
            "missing": list(self.verdict.missing),
        }


@dataclass(frozen=True)
class Question:
    """What a standing is asked about: the frame, the rule, the sites in scope and the people sure to be shown."""

    organisation: Organisation
    frame: Frame
    rule: RuleSet
    sites: Sequence[Site]
    people: Mapping[Level, frozenset[int]]
    last_whole_day: date


def for_period(period: Period, as_of: date | None = None) -> list[Standing]:
    """Every standing in an announced period: organisation, sites, supervisors, agents.

    `as_of`: as it was known at the end of that day (UTC); None: as of now, with today not yet counted as a whole day.
    """
    return answer(question_of(period, as_of))


def between(programme: Programme, starts_on: date, ends_on: date, as_of: date | None = None) -> list[Standing]:
    """Standings over any days, by the programme's present rule and campaigns: to look at, never to decide by.

    Raises InputError where the days run backwards.
    """
    if ends_on < starts_on:
        raise InputError(f"{starts_on} to {ends_on} runs backwards", how="Give the first day first.")
    frame, last = _seen(tuple(campaign.id for campaign in programme.campaigns), starts_on, ends_on, as_of)
    sites = programmes.sites_between(programme, starts_on, ends_on)
    nobody: dict[Level, frozenset[int]] = {Level.AGENT: frozenset(), Level.SUPERVISOR: frozenset()}
    return answer(Question(programme.organisation, frame, rules.load(programme.rule_set), sites, nobody, last))


def question_of(period: Period, as_of: date | None = None) -> Question:
    """The question an announced period asks, from what it froze."""
    frame, last = _seen(tuple(period.scope["campaigns"]), period.starts_on, period.ends_on, as_of)
    people = {
        Level.AGENT: frozenset(period.scope["agents"]),
        Level.SUPERVISOR: frozenset(period.scope["supervisors"]),
    }
    return Question(
        period.programme.organisation,
        frame,
        programmes.rule_of(period),
        programmes.sites_of(period),
        people,
        last,
    )


def answer(question: Question) -> list[Standing]:
    """The standings, highest level first: one counting query a level."""
    rule, open_days = question.rule, _open_days(question)
    found: list[Standing] = []
    if Level.SITE in rule.minimum_surveys:
        sites = _sites(question, open_days)
        found += [*_organisation(question, sites), *sites]
    for level in (Level.SUPERVISOR, Level.AGENT):
        if level in rule.minimum_surveys:
            found += _people(question, open_days, level)
    return found


def _seen(campaign_ids: tuple[int, ...], starts_on: date, ends_on: date, as_of: date | None) -> tuple[Frame, date]:
    """The frame as seen on `as_of`, and the last day that was over by then."""
    if as_of is None:
        return Frame(campaign_ids, starts_on, ends_on), min(ends_on, clock.now().date() - DAY)
    night = datetime.combine(as_of + DAY, time(0), UTC)
    return Frame(campaign_ids, starts_on, min(ends_on, as_of), night), min(ends_on, as_of)


def _open_days(question: Question) -> OpenDays:
    """Of every site of the organisation: agents may have been at one outside the scope."""
    campaigns = db.session.scalars(select(Campaign).where(Campaign.id.in_(question.frame.campaign_ids))).all()
    sites = db.session.scalars(select(Site).where(Site.organisation_id == question.organisation.id)).all()
    rates = db.session.scalars(
        select(SamplingRate)
        .where(SamplingRate.campaign_id.in_(question.frame.campaign_ids), SamplingRate.agent_id.is_(None))
        .order_by(SamplingRate.in_force_from, SamplingRate.published_at, SamplingRate.id)
    ).all()
    return OpenDays(question.frame.starts_on, question.last_whole_day, sites, campaigns, rates)


def _sites(question: Question, open_days: OpenDays) -> list[Standing]:
    tallied = counts.tally(question.frame, question.rule, Level.SITE)
    return [
        _standing(
            question.rule,
            Level.SITE,
            (site.id, site.name),
            tallied.get(site.id, Counts()),
            open_days.of_site(site.id),
        )
        for site in question.sites
    ]


def _organisation(question: Question, sites: Sequence[Standing]) -> list[Standing]:
    if not question.rule.certifies_organisation:
        return []
    verdict = judge_organisation([(site.name, site.verdict) for site in sites])
    together = sum((site.counts for site in sites), Counts())
    months = min((site.coverage.months for site in sites), default=0)
    owner = question.organisation
    return [Standing(Level.ORGANISATION, owner.id, owner.name, together, Coverage(months), None, verdict)]


def _people(question: Question, open_days: OpenDays, level: Level) -> list[Standing]:
    tallied = counts.tally(question.frame, question.rule, level)
    ids = question.people[level] | tallied.keys()
    spans = _spans(question, level, ids)
    names = _names(level, ids)
    return [
        _standing(question.rule, level, (id, name), tallied.get(id, Counts()), open_days.of(spans.get(id, ())))
        for id, name in names
    ]


def _standing(rule: RuleSet, level: Level, subject: tuple[int, str], tallied: Counts, coverage: Coverage) -> Standing:
    verdict = judge(rule, level, tallied, coverage)
    return Standing(level, *subject, tallied, coverage, rule.minimum_surveys[level], verdict)


def _names(level: Level, ids: Iterable[int]) -> list[tuple[int, str]]:
    model = PEOPLE[level]
    rows = db.session.execute(select(model.id, model.name).where(model.id.in_(ids)).order_by(model.name, model.id))
    return [(row.id, row.name) for row in rows]


def _spans(question: Question, level: Level, ids: Iterable[int]) -> Mapping[int, list[Span]]:
    """Where everybody was: an agent by their own assignments, a supervisor by those of the agents they led."""
    column = Assignment.agent_id if level is Level.AGENT else Assignment.supervisor_id
    assigned = db.session.scalars(
        select(Assignment).where(
            column.in_(ids),
            Assignment.starts_on <= question.frame.ends_on,
            or_(Assignment.ends_on.is_(None), Assignment.ends_on > question.frame.starts_on),
        )
    )
    found: defaultdict[int, list[Assignment]] = defaultdict(list)
    for each in assigned:
        subject = each.agent_id if level is Level.AGENT else each.supervisor_id
        if subject is not None:
            found[subject].append(each)
    return {subject: spans_of(each) for subject, each in found.items()}


def line(standing: Standing, rule: RuleSet) -> str:
    """The standing as one line of text."""
    tallied = standing.counts
    rate = "no rate" if tallied.rate is None else words.percent(tallied.rate, rule.threshold)
    weighted = tallied.weighted_rate
    beside = "" if weighted in (None, tallied.rate) else f" (weighted {words.percent(weighted, rule.threshold)})"
    why = "" if standing.verdict.passes else f": {'; '.join(standing.verdict.missing)}"
    figures = f"{tallied.k:>5} of {tallied.n:<5} {rate:>8}{beside}"
    return f"{standing.level:<12} {standing.name:<28} {figures}  {standing.summary}{why}"
