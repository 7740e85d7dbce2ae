"""Who may sign in to the console: made, listed and disabled from the command line."""

from __future__ import annotations

import secrets
import sys
from typing import Any
from uuid import uuid4

import click
from email_validator import EmailNotValidError, validate_email
from flask_security import hash_password
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from survey import audit
from survey.commands import PoliteGroup, emit, json_option
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import Organisation, Role, User

ROLES = {
    "administrator": "runs everything",
    "manager": "runs campaigns",
    "supervisor": "sees own people",
    "agent": "sees own standing",
    "auditor": "reads all, changes nothing",
    "issuer": "assessments and certificates",
}
SHORTEST_PASSWORD = 12

users_group = PoliteGroup("users", help="Sign-ins to the console.")


@users_group.command("create")
@click.argument("email")
@click.option("--role", "role_name", type=click.Choice(list(ROLES)), required=True, help="What the person may do.")
@click.option("--organisation", "organisation_key", help="Key of the one organisation the person sees; default: all.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@json_option
def create(email: str, role_name: str, organisation_key: str | None, password_stdin: bool, as_json: bool) -> None:
    """Make a sign-in. A password that was made for it is printed this once."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    user, made = add_user(email, role_name, organisation_key, password)
    db.session.commit()
    report = {"email": user.email, "role": role_name, "organisation": organisation_key, "password": made}
    shown = [f"Password (shown this once): {made}"] if made else []
    emit(report, [f"{user.email} may sign in at /console/sign-in as {role_name}.", *shown], as_json)


@users_group.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """Show every sign-in with its roles and organisation."""
    rows = [_row(user, key) for user, key in _all_users()]
    lines = [
        f"{row['email']}  {', '.join(row['roles'])}  {row['organisation'] or 'all organisations'}"
        + ("" if row["active"] else "  disabled")
        for row in rows
    ]
    emit(rows, lines or ["No sign-in yet. Make one with: flask users create EMAIL --role administrator"], as_json)


@users_group.command("disable")
@click.argument("email")
def disable(email: str) -> None:
    """Take a sign-in away, and end its open sessions at once."""
    user = _found(email)
    user.active = False
    user.fs_uniquifier = uuid4().hex
    audit.record(audit.COMMAND_LINE, "sign-in disabled", user)
    db.session.commit()
    click.echo(f"{user.email} can no longer sign in.")


@users_group.command("password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
def change_password(email: str, password_stdin: bool) -> None:
    """Give a sign-in a new password, and end its open sessions."""
    user = _found(email)
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = _checked_password(given) if given is not None else secrets.token_urlsafe(15)
    _set_password(user, password)
    db.session.commit()
    click.echo(f"{user.email} has a new password.")
    if given is None:
        click.echo(f"Password (shown this once): {password}")


def fresh_sign_in(email: str, role_name: str) -> str:
    """A sign-in with a password just made, whether or not the address had one; returns the password. Flushed."""
    user = _user(email)
    if user is None:
        _, made = add_user(email, role_name)
        return made or ""
    password = secrets.token_urlsafe(15)
    _set_password(user, password)
    return password


def _set_password(user: User, password: str) -> None:
    user.password = hash_password(password)
    user.fs_uniquifier = uuid4().hex
    audit.record(audit.COMMAND_LINE, "password changed", user)


def add_user(
    email: str, role_name: str, organisation_key: str | None = None, password: str | None = None
) -> tuple[User, str | None]:
    """A new sign-in, flushed, and the password made for it (None when one was given).

    Raises InputError for an address or password that cannot be taken, NotFound for an unknown organisation, Refused
    when the address has a sign-in already.
    """
    address = _checked_address(email)
    if _user(address) is not None:
        raise Refused(f"{address} has a sign-in already", how="Change it with flask users password or disable.")
    made = None if password is not None else secrets.token_urlsafe(15)
    user = User(
        email=address,
        organisation_id=None if organisation_key is None else _organisation(organisation_key).id,
        password=hash_password(made or _checked_password(password or "")),
        active=True,
        fs_uniquifier=uuid4().hex,
        roles=[_role(role_name)],
    )
    db.session.add(user)
    db.session.flush()
    audit.record(audit.COMMAND_LINE, "sign-in created", user, role=role_name, organisation=organisation_key)
    return user, made


def _checked_address(email: str) -> str:
    try:
        return validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise InputError(f"{email!r} is not an email address", how=str(error)) from None


def _checked_password(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise InputError("the password is too short", how=f"Take at least {SHORTEST_PASSWORD} characters.")
    return password


def _organisation(key: str) -> Organisation:
    row = db.session.scalar(select(Organisation).where(Organisation.key == key))
    if row is None:
        raise NotFound(f"no organisation {key!r}", how="flask roster import brings organisations in.")
    return row


def _role(name: str) -> Role:
    row = db.session.scalar(select(Role).where(Role.name == name))
    return row or Role(name=name, description=ROLES[name])


def _user(address: str) -> User | None:
    return db.session.scalar(select(User).where(func.lower(User.email) == address.lower()))


def _found(email: str) -> User:
    user = _user(email)
    if user is None:
        raise NotFound(f"no sign-in {email!r}", how="flask users list shows them all.")
    return user


def _all_users() -> list[tuple[User, str | None]]:
    rows = db.session.execute(
        select(User, Organisation.key)
        .outerjoin(Organisation, Organisation.id == User.organisation_id)
        .options(joinedload(User.roles))
        .order_by(User.email)
    ).unique()
    return [(user, key) for user, key in rows]


def _row(user: User, organisation_key: str | None) -> dict[str, Any]:
    return {
        "email": user.email,
        "roles": sorted(role.name for role in user.roles),
        "organisation": organisation_key,
        "active": user.active,
    }
