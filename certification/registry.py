"""The public registry: what anybody may read about certificates. Reads only.

People stand in it by name only with their recorded consent, looked up whenever a page is shown; others are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import extract, func, select
from sqlalchemy.orm import joinedload

from certification import certificates, programmes, rules, words
from certification.certificates import Status
from certification.rules import RuleSet
from survey import clock, settings
from survey.clock import iso
from survey.db import db
from survey.models import Agent, Assessment, Certificate, Level, Period, Supervisor

ORDER = (Level.ORGANISATION, Level.SITE, Level.SUPERVISOR, Level.AGENT)
PEOPLE: dict[Level, type[Agent] | type[Supervisor]] = {Level.AGENT: Agent, Level.SUPERVISOR: Supervisor}
UNNAMED = {Level.AGENT: "An agent", Level.SUPERVISOR: "A supervisor"}


@dataclass(frozen=True)
class Recipient:
    """One line of the registry."""

    certificate: Certificate
    status: Status


@dataclass(frozen=True)
class Section:
    """The recipients of one level: those named, and how many of each organisation are not."""

    level: Level
    named: list[Recipient]
    unnamed: list[tuple[str, int]]


@dataclass(frozen=True)
class Registry:
    """A page of it. `year` None: everything valid today; otherwise all achieved in that year, ended or not."""

    year: int | None
    years: list[int]
    rules: list[RuleSet]
    sections: list[Section]


def read(year: int | None = None) -> Registry:
    """The registry of a year, or the current one."""
    today = clock.now().date()
    query = (
        select(Certificate)
        .options(joinedload(Certificate.organisation))
        .order_by(Certificate.subject_name, Certificate.id)
    )
    if year is None:
        query = query.where(Certificate.withdrawn_at.is_(None), Certificate.valid_until > today)
    else:
        query = query.where(extract("year", Certificate.achieved_on) == year)
    found = db.session.scalars(query).all()
    sections = [_section(level, [each for each in found if each.level is level], today) for level in ORDER]
    return Registry(year, _years(), _rules(found), [each for each in sections if each.named or each.unnamed])


def holder(certificate: Certificate) -> str:
    """The holder's name as the public may read it: a person without consent is "An agent of <organisation>"."""
    if certificate.level in PEOPLE and certificate.subject_id not in _listed(certificate.level, [certificate]):
        return f"{UNNAMED[certificate.level]} of {certificate.organisation.name}"
    return certificate.subject_name


def address(certificate: Certificate) -> str:
    """The public address of a certificate."""
    return f"{settings.current().public_base_url}/certificates/{certificate.public_id}"


def as_dict(certificate: Certificate) -> dict[str, Any]:
    """A certificate for programs: the same facts as its page."""
    assessment = certificate.assessment
    rule = programmes.rule_of(assessment.period)
    return {
        "id": certificate.public_id,
        "url": address(certificate),
        "status": certificates.status(certificate),
        "holder": holder(certificate),
        "level": certificate.level,
        "organisation": certificate.organisation.name,
        "issuer": certificate.issuer,
        "self_declared": certificate.issuer is None,
        "achieved_on": certificate.achieved_on.isoformat(),
        "valid_until": certificate.valid_until.isoformat(),
        "withdrawn": _withdrawn(certificate),
        "period": {
            "starts_on": assessment.period.starts_on.isoformat(),
            "ends_on": assessment.period.ends_on.isoformat(),
            "announced_at": iso(assessment.period.announced_at),
        },
        "rule": {
            "name": rule.name,
            "sha256": rule.sha256,
            "requirement": words.requirement(rule, certificate.level),
            "world_class_call": words.world_class_call(rule),
        },
        "result": {"n": assessment.n, "k": assessment.k},
        "evidence_sha256": assessment.evidence_sha256,
    }


def _withdrawn(certificate: Certificate) -> dict[str, str] | None:
    if certificate.withdrawn_at is None:
        return None
    return {"at": iso(certificate.withdrawn_at), "reason": certificate.withdrawn_reason or ""}


def _section(level: Level, found: Sequence[Certificate], today: date) -> Section:
    shown = _listed(level, found) if level in PEOPLE else {each.subject_id for each in found}
    named = [Recipient(each, certificates.status(each, today)) for each in found if each.subject_id in shown]
    hidden = Counter(each.organisation.name for each in found if each.subject_id not in shown)
    return Section(level, named, sorted(hidden.items()))


def _listed(level: Level, found: Iterable[Certificate]) -> set[int]:
    """Those of the holders, agents or supervisors, who agreed to be listed by name."""
    model = PEOPLE[level]
    ids = {each.subject_id for each in found}
    return set(db.session.scalars(select(model.id).where(model.id.in_(ids), model.listed)))


def _years() -> list[int]:
    year = extract("year", Certificate.achieved_on)
    return [int(each) for each in db.session.scalars(select(year).distinct().order_by(year.desc()))]


def _rules(found: Sequence[Certificate]) -> list[RuleSet]:
    """The rules that these certificates were decided by, word for word; without any, the ones there are."""
    ids = [each.assessment_id for each in found]
    periods = db.session.scalars(
        select(Period).where(
            Period.id.in_(
                select(func.min(Assessment.period_id)).where(Assessment.id.in_(ids)).group_by(Assessment.rule_sha256)
            )
        )
    )
    used = {rule.sha256: rule for rule in map(programmes.rule_of, periods)}
    return sorted(used.values(), key=lambda rule: rule.name) or [rules.load(name) for name in rules.names()]
