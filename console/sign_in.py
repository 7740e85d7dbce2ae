"""The sign-in form, and its patience: five wrong passwords for one address in a quarter of an hour, then a wait.

Failures are kept in the audit trail, so the limit holds over every web process and every machine. It counts by the
address typed, known or not, and refuses before the password is looked at: the answer tells neither whether the
address exists nor whether the password was right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_security import LoginForm
from sqlalchemy import func, select

from survey import clock, vault
from survey.db import db
from survey.models import AuditEntry

FAILURES = 5
WITHIN = timedelta(minutes=15)
FAILED = "sign-in failed"
SUCCEEDED = "signed in"
SUBJECT = "sign-ins"


class SignInForm(LoginForm):
    """Address and password. No "remember me": a sign-in ends with the browser, or after twelve hours."""

    remember = None

    def validate(self, **kwargs: Any) -> bool:
        number = address_number(str(self.email.data or ""))
        refusal = _refusal(number)
        if refusal is not None:
            self.form_errors.append(refusal)
            return False
        good: bool = super().validate(**kwargs)
        _note(number, self.user.email if self.user else "unknown", SUCCEEDED if good else FAILED)
        # The view commits only after a success; a failure has to be remembered too.
        db.session.commit()
        return good


def address_number(typed: str) -> int:
    """What stands for an address in the trail: 63 bits of a keyed hash, for what people type is private.

    Every spelling that would find the same sign-in has the same number, or each would have tries of its own.
    """
    try:
        address = validate_email(typed.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        address = typed.strip()
    return int.from_bytes(vault.email_index(address)[:8], "big") >> 1


def locked_until(failures: list[datetime]) -> datetime | None:
    """When the address may be tried again, given its failures within the window, oldest first; None when it may now."""
    return failures[-FAILURES] + WITHIN if len(failures) >= FAILURES else None


def _refusal(number: int) -> str | None:
    # One attempt at a time for an address: guesses sent side by side would all be counted too late.
    if not db.session.scalar(select(func.pg_try_advisory_xact_lock(number))):
        return "Another sign-in with this address is under way. Try again in a moment."
    until = locked_until(_failures(number))
    if until is None:
        return None
    minutes = -(-(until - clock.now()).total_seconds() // 60)
    return f"Too many failed sign-ins with this address. Try again in {minutes:.0f} min."


def _failures(number: int) -> list[datetime]:
    """The moments of failures within the window since the last success, oldest first."""
    rows = db.session.execute(
        select(AuditEntry.at, AuditEntry.action)
        .where(
            AuditEntry.subject_type == SUBJECT,
            AuditEntry.subject_id == number,
            AuditEntry.at > clock.now() - WITHIN,
        )
        .order_by(AuditEntry.id)
    ).all()
    since = [index for index, row in enumerate(rows) if row.action == SUCCEEDED]
    return [row.at for row in rows[since[-1] + 1 if since else 0 :]]


def _note(number: int, actor: str, action: str) -> None:
    db.session.add(
        AuditEntry(at=clock.now(), actor=actor, action=action, subject_type=SUBJECT, subject_id=number, detail={})
    )
