"""Assessments: the one official decision on every subject of a period, made on its announced day. No button decides.

The clockwork beats `Decisions`, a person calls `decide_due`; calling it early, often or from two machines changes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from certification import certificates, counts, evidence, feed, programmes, standings
from certification.rules import RuleSet
from certification.standings import Standing
from survey import audit, clock, lifecycle, logs
from survey.clock import iso
from survey.completeness import Report
from survey.db import db
from survey.errors import AftercallError, Refused
from survey.models import Assessment, Level, Period

log = logs.logger("certification")

UNEXPLAINED = "two counts of its surveys differed (the log says so), or it is being decided just now"


class Disagreement(AftercallError):
    """Two independent counts of the same surveys came out differently: nothing is decided on that."""

    status = 500


class Decisions:
    """The clockwork's chore: `decide_due`, which remembers from beat to beat which periods' feeds have gaps."""

    def __init__(self) -> None:
        self._blocked = feed.Blocked()

    def beat(self) -> list[Assessment]:
        """Decides what is due; a period with gaps is compared again after an hour, or when something has come in."""
        return decide_due(self._blocked)


def decide_due(blocked: feed.Blocked | None = None) -> list[Assessment]:
    """Decides every period whose day has come, and awards its certificates; returns the assessments made (flushed).

    The decision day begins in the zone of the period's first site. A period with surveys that another machine is just
    closing waits for the next call, one that another machine is deciding is left to it. One on which the two counts
    disagree, or in whose days control totals show a gap, stays undecided, which the log says; it does not hold up the
    others, and is looked at again at the next call, unless it is one that `blocked` says waits.
    """
    blocked = blocked or feed.Blocked()
    due = [period for period in _due() if not blocked.waits(period)]
    if due:
        _close_what_is_over()
        counts.refresh_statistics()
    return [made for period in due if _is_closed(period) for made in _decided(period, blocked)]


def undecided() -> list[Period]:
    """Periods whose day has come and that are not decided, earliest first: what `decide_due` had to leave."""
    waiting = select(Period).where(Period.decided_at.is_(None)).order_by(Period.decision_on, Period.id)
    return [each for each in db.session.scalars(waiting) if programmes.decision_moment(each) <= clock.now()]


def _due() -> list[Period]:
    """The same, locked, without those that another machine is deciding."""
    now = clock.now()
    tomorrow = (now + timedelta(days=1)).date()
    waiting = db.session.scalars(
        select(Period)
        .where(Period.decided_at.is_(None), Period.decision_on <= tomorrow)
        .order_by(Period.decision_on, Period.id)
        .with_for_update(skip_locked=True, of=Period)
        .execution_options(populate_existing=True)
    ).all()
    return [period for period in waiting if programmes.decision_moment(period) <= now]


def _decided(period: Period, blocked: feed.Blocked) -> list[Assessment]:
    """All of the period's assessments, or none of them."""
    mark = feed.mark_of(period)
    try:
        with db.session.begin_nested():
            return decide(period)
    except Disagreement as error:
        log.error("nothing decided", period=period.id, reason=str(error))
    except feed.Incomplete as error:
        blocked.found(period, mark)
        # How many only: the gaps themselves name people.
        log.warning("decision blocked by gaps in the control totals", period=period.id, gaps=error.gaps)
    return []


def decide(period: Period) -> list[Assessment]:
    """Decides every subject of the period (a row the caller has locked) from what is frozen now.

    Raises Refused before its day, after its decision, or while one of its surveys is open, Incomplete (which is one)
    while control totals show a gap within its days; Disagreement when a second count differs from the first.
    """
    handed_in = _check_decidable(period)
    question = standings.question_of(period)
    found = standings.answer(question)
    lines = evidence.lines_of(question)
    made = _assess(period, question.rule, found, lines)
    db.session.add_all(made)
    period.decided_at = clock.now()
    db.session.flush()
    awarded = certificates.award(period, question.rule, made)
    audit.record(
        audit.SERVICE,
        "period decided",
        period,
        assessments=len(made),
        certificates=len(awarded),
        control_totals=handed_in.cells,
        counts_changed=len(handed_in.changed),
        mostly_internal=len(handed_in.internal),
        evidence_sha256=evidence.sha256([each.evidence_sha256 for each in made]),
    )
    db.session.flush()
    log.info("period decided", period=period.id, assessments=len(made), certificates=len(awarded))
    return made


def why_undecided(period: Period) -> str:
    """What a period whose day has come waits for, for a person to read."""
    still_open = counts.still_open(standings.question_of(period).frame)
    if still_open:
        return f"surveys still open: {still_open}"
    report = feed.compared(period)
    return str(feed.Incomplete(report, period.programme.organisation.key)) if report.number_of_gaps else UNEXPLAINED


def _check_decidable(period: Period) -> Report:
    """Raises Refused for a period that must not be decided now; returns what its control totals say."""
    if period.decided_at is not None:
        raise Refused(f"the period was decided on {iso(period.decided_at)}", how="A decision is made once.")
    moment = programmes.decision_moment(period)
    if clock.now() < moment:
        raise Refused(
            f"the decision was announced for {period.decision_on}", how=f"It is made from {iso(moment)} on, by itself."
        )
    still_open = counts.still_open(standings.question_of(period).frame)
    if still_open:
        raise Refused(f"surveys of the period still open: {still_open}", how="They close at their deadlines; wait.")
    report = feed.compared(period)
    if report.number_of_gaps:
        raise feed.Incomplete(report, period.programme.organisation.key)
    return report


def _close_what_is_over() -> None:
    """Every survey of a due period is past its deadline; a scheduler that stood still may not have closed them yet."""
    while lifecycle.close_expired():
        pass


def _is_closed(period: Period) -> bool:
    still_open = counts.still_open(standings.question_of(period).frame)
    if still_open:
        log.warning("decision waits for open surveys", period=period.id, surveys=still_open)
    return not still_open


def _assess(period: Period, rule: RuleSet, found: Sequence[Standing], lines: evidence.Lines) -> list[Assessment]:
    """Assessments in the order of the standings; the organisation's rests on its sites' evidence."""
    judged = [each for each in found if each.level is not Level.ORGANISATION]
    made = [_assessment(period, rule, each, _own_evidence(period, rule, each, lines)) for each in judged]
    sites = [(each.subject_id, each.decision.value, each.evidence_sha256) for each in made if each.level is Level.SITE]
    for standing in found:
        if standing.level is Level.ORGANISATION:
            proof = evidence.compose_organisation(period, rule, standing, sites)
            made.insert(0, _assessment(period, rule, standing, proof))
    return made


def _own_evidence(period: Period, rule: RuleSet, standing: Standing, lines: evidence.Lines) -> dict[str, Any]:
    surveys = lines.get(evidence.key_of(standing), [])
    if not evidence.agrees(standing, evidence.recount(surveys, rule)):
        raise Disagreement(
            "two counts of the same surveys differ, so nothing was decided",
            where=f"{standing.level} {standing.subject_id}",
            how="Run it again; if it stays, the answers were changed by hand.",
        )
    return evidence.compose(period, rule, standing, surveys)


def _assessment(period: Period, rule: RuleSet, standing: Standing, proof: Mapping[str, Any]) -> Assessment:
    tallied, weighted = standing.counts, standing.counts.weighted_rate
    return Assessment(
        period=period,
        level=standing.level,
        subject_id=standing.subject_id,
        subject_name=standing.name,
        rule_set=rule.name,
        rule_sha256=rule.sha256,
        decision=standing.verdict.decision,
        reasons=list(standing.verdict.missing),
        n=tallied.n,
        k=tallied.k,
        partials=tallied.partials,
        late=tallied.late,
        weighted_numerator=None if weighted is None else str(weighted.numerator),
        weighted_denominator=None if weighted is None else str(weighted.denominator),
        evidence=dict(proof),
        evidence_sha256=evidence.sha256(proof),
        decided_at=clock.now(),
    )
