"""Certificates: what passed assessments award, how long they are valid, and how one ends early."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select

from certification import words
from certification.rules import RuleSet
from survey import audit, clock
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import Assessment, Certificate, Decision, Level, Period, Site

PUBLIC_ID_BYTES = 16
PUBLIC_ID = re.compile(rf"[0-9a-f]{{{2 * PUBLIC_ID_BYTES}}}")


class Status(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


def award(period: Period, rule: RuleSet, made: Sequence[Assessment]) -> list[Certificate]:
    """A certificate for every assessment that passed, achieved on the announced decision day (flushed).

    The organisation's ends with the earliest of its sites'. All are self-declared: a name typed by whoever runs the
    centre is no issuer, and there is no door yet through which one could sign with a key of their own.
    """
    passed = [each for each in made if each.decision is Decision.CERTIFIED]
    valid_until = same_date_later(period.decision_on, rule.valid_years)
    awarded = [_certificate(period, each, valid_until) for each in passed if each.level is not Level.ORGANISATION]
    earliest = min((each.valid_until for each in awarded if each.level is Level.SITE), default=valid_until)
    awarded += [_certificate(period, each, earliest) for each in passed if each.level is Level.ORGANISATION]
    db.session.add_all(awarded)
    db.session.flush()
    return awarded


def same_date_later(day: date, years: int) -> date:
    """The same date some years later: the exclusive end. 29 February becomes 1 March in a year without one."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def status(certificate: Certificate, today: date | None = None) -> Status:
    """Its state on a day (UTC; today when not given). Withdrawn outlasts expired."""
    if certificate.withdrawn_at is not None:
        return Status.WITHDRAWN
    today = today or clock.now().date()
    return Status.VALID if today < certificate.valid_until else Status.EXPIRED


def by_public_id(public_id: str) -> Certificate:
    """The certificate of that public address. Raises NotFound."""
    certificate = None
    if PUBLIC_ID.fullmatch(public_id):
        certificate = db.session.scalars(select(Certificate).where(Certificate.public_id == public_id)).one_or_none()
    if certificate is None:
        raise NotFound("no certificate has this number", how="Check it against the one on the certificate.")
    return certificate


def withdraw(certificate: Certificate, reason: str, actor: str = audit.COMMAND_LINE) -> None:
    """Withdraws a certificate; it stays in the registry with the reason.

    Raises InputError without a reason, Refused when it is withdrawn or expired already.
    """
    if not reason.strip():
        raise InputError("a withdrawal needs a reason", how="It is shown to everybody who looks the certificate up.")
    db.session.refresh(certificate, with_for_update=True)
    state = status(certificate)
    if state is not Status.VALID:
        raise Refused(f"the certificate is {state} already")
    certificate.withdrawn_at = clock.now()
    certificate.withdrawn_reason = reason.strip()
    audit.record(actor, "certificate withdrawn", certificate, reason=reason.strip())
    db.session.flush()


def withdraw_closed_sites() -> list[Certificate]:
    """Withdraws the valid certificates of sites that have closed, by each site's own date; returns them (flushed)."""
    rows = db.session.execute(
        select(Certificate, Site.closed_on, Site.time_zone)
        .join(Site, Site.id == Certificate.subject_id)
        .where(Certificate.level == Level.SITE, Certificate.withdrawn_at.is_(None), Site.closed_on.is_not(None))
        .order_by(Certificate.id)
    ).all()
    ended = []
    for certificate, closed_on, zone in rows:
        today = clock.now().astimezone(ZoneInfo(zone)).date()
        if closed_on is not None and closed_on <= today and status(certificate) is Status.VALID:
            withdraw(certificate, f"The site closed on {words.day(closed_on)}.", audit.SERVICE)
            ended.append(certificate)
    return ended


def _certificate(period: Period, assessment: Assessment, valid_until: date) -> Certificate:
    return Certificate(
        public_id=secrets.token_hex(PUBLIC_ID_BYTES),
        assessment=assessment,
        organisation=period.programme.organisation,
        level=assessment.level,
        subject_id=assessment.subject_id,
        subject_name=assessment.subject_name,
        issuer=None,
        achieved_on=period.decision_on,
        valid_until=valid_until,
    )
