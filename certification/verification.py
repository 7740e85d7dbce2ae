"""Verification: a certificate recomputed from the database, every difference named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from certification import evidence, programmes, standings
from certification.certificates import same_date_later
from certification.standings import Question, Standing
from survey.db import db
from survey.models import Assessment, Certificate, Decision, Level, Period


def verify(certificate: Certificate) -> list[str]:
    """What does not agree between a certificate, its assessment's evidence and the database; empty when all does."""
    assessment = certificate.assessment
    return [*_certificate(certificate), *_hash(assessment), *_recomputed(assessment)]


def _certificate(certificate: Certificate) -> Iterator[str]:
    """The certificate against its assessment and period."""
    assessment, period = certificate.assessment, certificate.assessment.period
    if assessment.decision is not Decision.CERTIFIED:
        yield f"its assessment says {assessment.decision}"
    if (certificate.level, certificate.subject_id) != (assessment.level, assessment.subject_id):
        yield f"it names {certificate.level} {certificate.subject_id}, its assessment {_subject(assessment)}"
    if certificate.subject_name != assessment.subject_name:
        yield f"it is made out to {certificate.subject_name!r}, its assessment to {assessment.subject_name!r}"
    if certificate.organisation_id != period.programme.organisation_id:
        yield f"it names organisation {certificate.organisation_id}, its period {period.programme.organisation_id}"
    if certificate.issuer is not None:
        yield f"it says that {certificate.issuer!r} issued it, and nobody signed it"
    if certificate.achieved_on != period.decision_on:
        yield f"achieved on {certificate.achieved_on}, the decision day was {period.decision_on}"
    latest = same_date_later(period.decision_on, programmes.rule_of(period).valid_years)
    if certificate.valid_until > latest:
        yield f"valid until {certificate.valid_until}, the rule allows {latest}"


def _hash(assessment: Assessment) -> Iterator[str]:
    found = evidence.sha256(assessment.evidence)
    if found != assessment.evidence_sha256:
        yield f"evidence of {_subject(assessment)}: its SHA-256 is {found}, kept is {assessment.evidence_sha256}"


def _recomputed(assessment: Assessment) -> Iterator[str]:
    """The evidence, the figures and the decision, against those that come out today."""
    period = assessment.period
    question = standings.question_of(period)
    found = {(each.level, each.subject_id): each for each in standings.answer(question)}
    standing = found.get((assessment.level, assessment.subject_id))
    if standing is None:
        yield f"{_subject(assessment)} is no longer in the period's scope"
        return
    yield from _evidence(assessment, _compose(period, question, standing))
    yield from _figures(assessment, standing)


def _compose(period: Period, question: Question, standing: Standing) -> dict[str, Any]:
    if standing.level is Level.ORGANISATION:
        return evidence.compose_organisation(period, question.rule, standing, _kept_sites(period))
    lines = evidence.lines_of(question).get(evidence.key_of(standing), [])
    return evidence.compose(period, question.rule, standing, lines)


def _kept_sites(period: Period) -> list[tuple[int, str, str]]:
    """An organisation rests on its sites' assessments; each of those has its own certificate to verify."""
    rows = db.session.scalars(
        select(Assessment).where(Assessment.period_id == period.id, Assessment.level == Level.SITE)
    )
    return [(each.subject_id, each.decision.value, evidence.sha256(each.evidence)) for each in rows]


def _figures(assessment: Assessment, standing: Standing) -> Iterator[str]:
    tallied, weighted = standing.counts, standing.counts.weighted_rate
    kept_weighted = (assessment.weighted_numerator, assessment.weighted_denominator)
    now_weighted = (None, None) if weighted is None else (str(weighted.numerator), str(weighted.denominator))
    rule = programmes.rule_of(assessment.period)
    for what, kept, now in (
        ("rule", (assessment.rule_set, assessment.rule_sha256), (rule.name, rule.sha256)),
        ("n", assessment.n, tallied.n),
        ("k", assessment.k, tallied.k),
        ("partials", assessment.partials, tallied.partials),
        ("weighted rate", kept_weighted, now_weighted),
        ("decision", assessment.decision.value, standing.verdict.decision.value),
        ("reasons", assessment.reasons, list(standing.verdict.missing)),
    ):
        if kept != now:
            yield f"{what} of {_subject(assessment)}: the assessment says {kept}, the database gives {now}"


def _evidence(assessment: Assessment, now: Mapping[str, Any]) -> Iterator[str]:
    kept = assessment.evidence
    for key in sorted(kept.keys() | now.keys()):
        if kept.get(key) == now.get(key):
            continue
        if key == "surveys":
            yield from _surveys(kept.get(key) or [], now.get(key) or [])
        else:
            subject = _subject(assessment)
            yield f"{key} of {subject}: the evidence says {kept.get(key)}, the database gives {now.get(key)}"


def _surveys(kept: Sequence[evidence.SurveyLine], now: Sequence[evidence.SurveyLine]) -> Iterator[str]:
    names = ("disposition", "resolved", "overall", "agent", "rate numerator", "rate denominator")
    then, today = {line[0]: line[1:] for line in kept}, {line[0]: line[1:] for line in now}
    for survey_id in sorted(then.keys() | today.keys()):
        if survey_id not in today:
            yield f"survey {survey_id}: in the evidence, not in the database"
        elif survey_id not in then:
            yield f"survey {survey_id}: in the database, not in the evidence"
        else:
            for name, old, new in zip(names, then[survey_id], today[survey_id], strict=True):
                if old != new:
                    yield f"survey {survey_id}: {name} was {old} when it was decided, is {new}"


def _subject(assessment: Assessment) -> str:
    return f"{assessment.level} {assessment.subject_id}"
