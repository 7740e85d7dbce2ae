"""Evidence: what a decision was made from, frozen with it. Ids and values, no personal data.

Canonical JSON is UTF-8 without spaces, keys sorted; its SHA-256 is kept beside it. An agent's evidence lists every
survey it rests on; a supervisor's and a site's carry the SHA-256 of the same list, which the surveys' rows give again;
an organisation's carries the hashes of its sites' evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from certification import counts
from certification.judging import Counts
from certification.rules import RuleSet
from certification.standings import Question, Standing
from survey.clock import iso
from survey.models import Disposition, Level, Period

FORMAT = 1
# One survey: [id, disposition, resolved, overall, agent, rate numerator, rate denominator].
SurveyLine = list[Any]
Lines = Mapping[tuple[Level, int], list[SurveyLine]]


def canonical(data: Any) -> str:
    """The one way to write it down."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(data: Any) -> str:
    """The hash of its canonical JSON, in hex."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def key_of(standing: Standing) -> tuple[Level, int]:
    return standing.level, standing.subject_id


def lines_of(question: Question) -> Lines:
    """The surveys behind every agent, supervisor and site of the frame, in id order.

    A survey about a call whose last agent is not certain stands behind its site only.
    """
    found: defaultdict[tuple[Level, int], list[SurveyLine]] = defaultdict(list)
    for row in counts.rows(question.frame):
        line = _line(row)
        if row.agent_id is not None:
            found[Level.AGENT, row.agent_id].append(line)
        found[Level.SITE, row.site_id].append(line)
        if row.supervisor_id is not None:
            found[Level.SUPERVISOR, row.supervisor_id].append(line)
    return found


def recount(lines: Iterable[SurveyLine], rule: RuleSet) -> Counts:
    """n, k, partials, superseded and the weighted counts again, one survey after the other.

    A second way to the same figures: the counting query must agree with it before anything is decided.
    """
    found = Counts()
    for _, disposition, resolved, overall, agent, numerator, denominator in lines:
        if disposition == Disposition.COMPLETE:
            answers = {"resolved": str(resolved), "overall": str(overall), "agent": str(agent)}
            k = int(rule.is_world_class(answers))
            weight = Fraction(denominator, numerator)
            found += Counts(n=1, k=k, weighted_n=weight, weighted_k=k * weight)
        else:
            found += Counts(
                partials=int(disposition == Disposition.PARTIAL), superseded=int(disposition == Disposition.SUPERSEDED)
            )
    return found


def agrees(standing: Standing, again: Counts) -> bool:
    """Whether the counting query and the recount came to the same, in everything that decides."""
    first = standing.counts
    return (first.n, first.k, first.partials, first.superseded, first.weighted_n, first.weighted_k) == (
        again.n,
        again.k,
        again.partials,
        again.superseded,
        again.weighted_n,
        again.weighted_k,
    )


def compose(period: Period, rule: RuleSet, standing: Standing, surveys: Sequence[SurveyLine]) -> dict[str, Any]:
    """The evidence of an agent, supervisor or site."""
    evidence = {**_heading(period, rule, standing), "surveys_sha256": sha256(list(surveys))}
    return {**evidence, "surveys": list(surveys)} if standing.level is Level.AGENT else evidence


def compose_organisation(
    period: Period, rule: RuleSet, standing: Standing, sites: Sequence[tuple[int, str, str]]
) -> dict[str, Any]:
    """The evidence of an organisation: its sites as (id, decision, SHA-256 of their evidence), by id."""
    return {**_heading(period, rule, standing), "sites": [list(site) for site in sorted(sites)]}


def _heading(period: Period, rule: RuleSet, standing: Standing) -> dict[str, Any]:
    tallied = standing.counts
    return {
        "format": FORMAT,
        "level": standing.level.value,
        "subject": standing.subject_id,
        "rule": {"name": rule.name, "sha256": rule.sha256},
        "period": {
            "starts_on": period.starts_on.isoformat(),
            "ends_on": period.ends_on.isoformat(),
            "decision_on": period.decision_on.isoformat(),
            "announced_at": iso(period.announced_at),
        },
        "campaigns": period.scope["campaigns"],
        "counts": {
            "n": tallied.n,
            "k": tallied.k,
            "partials": tallied.partials,
            "superseded": tallied.superseded,
            "weighted_n": str(tallied.weighted_n),
            "weighted_k": str(tallied.weighted_k),
        },
        "months": standing.coverage.months,
        "sampling_closed": [first.isoformat() for first in standing.coverage.closed],
    }


def _line(row: Row[Any]) -> SurveyLine:
    return [
        row.id,
        row.disposition.value,
        row.resolved,
        row.overall,
        row.agent,
        row.rate_numerator,
        row.rate_denominator,
    ]
