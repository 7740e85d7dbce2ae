"""API keys: made, found again, revoked; and the door that asks for one.

A key is 256 random bits and is shown once. Only its SHA-256 is kept, by which it is found: how long the look-up takes
says nothing about the key itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import g, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from survey import audit, clock
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import ApiKey, Organisation
from survey.vault import token_hash

PREFIX = "ac_"
RANDOM_BYTES = 32
LONGEST_NAME = 100
CALLS_WRITE = "calls:write"
SCOPES = {CALLS_WRITE: "hand in completed calls"}


@dataclass(frozen=True, slots=True)
class Caller:
    """The program behind a request, as its key says. It may speak for this one organisation (its key) only."""

    name: str
    organisation: str
    country: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """Who does it, for records."""
        return f"api:{self.name}"


def create(organisation_key: str, name: str, scopes: Iterable[str], *, actor: str) -> tuple[ApiKey, str]:
    """A new key, flushed, and its secret, which nobody can tell again.

    Raises NotFound for an unknown organisation, InputError for a name or scope that cannot be, Refused where a key in
    force has this name: imports are recorded under it.
    """
    organisation = _organisation(organisation_key, lock=True)
    known = _checked_scopes(scopes)
    if _in_force(organisation.id, _checked_name(name)) is not None:
        raise Refused(
            f"the organisation has a key {name!r} already", how="Choose another name, or revoke that key first."
        )
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    key = ApiKey(
        organisation_id=organisation.id,
        name=name,
        key_hash=token_hash(secret),
        scopes=known,
        created_at=clock.now(),
        created_by=actor,
    )
    db.session.add(key)
    db.session.flush()
    audit.record(actor, "API key created", key, name=name, organisation=organisation.key, scopes=known)
    return key, secret


def revoke(organisation_key: str, name: str, *, actor: str) -> ApiKey:
    """Ends a key, from the next request on; flushed. Raises NotFound where no key in force has this name."""
    organisation = _organisation(organisation_key)
    key = _in_force(organisation.id, name)
    if key is None:
        raise NotFound(f"no key in force is called {name!r}", how="flask api-keys list shows them all.")
    key.revoked_at = clock.now()
    audit.record(actor, "API key revoked", key, name=name, organisation=organisation.key)
    return key


def listed(organisation_key: str | None = None) -> Sequence[ApiKey]:
    """Every key ever made (of one organisation), by organisation, name and age."""
    query = (
        select(ApiKey)
        .join(ApiKey.organisation)
        .options(contains_eager(ApiKey.organisation))
        .order_by(Organisation.key, ApiKey.name, ApiKey.id)
    )
    if organisation_key is not None:
        query = query.where(ApiKey.organisation_id == _organisation(organisation_key).id)
    return db.session.scalars(query).all()


def admit(scope: str) -> ResponseReturnValue | None:
    """Lets a request pass that carries a key with this scope, and remembers its caller; else the answer to give.

    An unknown key and a revoked one get the same answer.
    """
    sent = request.authorization
    if sent is None or sent.type != "bearer" or not sent.token:
        return _refusal(401, "an API key is needed", "Send it as: Authorization: Bearer ac_...", "")
    found = _find(sent.token)
    if found is None:
        how = "Make one with flask api-keys create."
        return _refusal(401, "the API key is not known or no longer in force", how, 'error="invalid_token"')
    if scope not in found.scopes:
        how = f"Make one with: flask api-keys create --scope {scope}"
        return _refusal(403, f"the API key does not allow this ({scope})", how, 'error="insufficient_scope"')
    g.api_caller = found
    return None


def caller() -> Caller:
    """Whose key let this request pass."""
    found: Caller = g.api_caller
    return found


def _find(secret: str) -> Caller | None:
    row = db.session.execute(
        select(ApiKey.name, ApiKey.scopes, ApiKey.revoked_at, Organisation.key, Organisation.country)
        .join(ApiKey.organisation)
        .where(ApiKey.key_hash == token_hash(secret))
    ).one_or_none()
    # The body may be long on its way: no transaction waits for it.
    db.session.rollback()
    if row is None or row.revoked_at is not None:
        return None
    return Caller(row.name, row.key, row.country, frozenset(row.scopes))


def _refusal(status: int, what: str, how: str, challenge: str) -> ResponseReturnValue:
    """Status, body and challenge by RFC 6750, section 3."""
    wanted = ", ".join(filter(None, ('Bearer realm="aftercall"', challenge)))
    return jsonify({"error": what, "how": how}), status, {"WWW-Authenticate": wanted}


def _organisation(key: str, *, lock: bool = False) -> Organisation:
    """`lock`: of two keys of one name made at once, the second waits and is refused."""
    query = select(Organisation).where(Organisation.key == key)
    found = db.session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(f"there is no organisation {key!r}", how="flask roster import makes organisations.")
    return found


def _in_force(organisation_id: int, name: str) -> ApiKey | None:
    return db.session.scalar(
        select(ApiKey).where(
            ApiKey.organisation_id == organisation_id, ApiKey.name == name, ApiKey.revoked_at.is_(None)
        )
    )


def _checked_name(name: str) -> str:
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        how = f"Take up to {LONGEST_NAME} letters, digits and signs; records of what the key does will show it."
        raise InputError("this cannot be a key's name", where="--name", how=how)
    return name


def _checked_scopes(scopes: Iterable[str]) -> list[str]:
    wanted = sorted(set(scopes))
    strange = [scope for scope in wanted if scope not in SCOPES]
    if strange or not wanted:
        what = f"there is no scope {strange[0]!r}" if strange else "a key without a scope opens nothing"
        raise InputError(what, where="--scope", how=f"Known: {', '.join(SCOPES)}.")
    return wanted
