"""The organisation and the sites that a campaign file names, looked up; of those there are not, what was meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from sqlalchemy import select

from survey.db import db
from survey.models import Organisation, Site


def organisation_of(key: str) -> Organisation:
    """The organisation of that key, which there is: `unknown` has looked."""
    return db.session.scalars(select(Organisation).where(Organisation.key == key)).one()


def sites_of(keys: Collection[str], organisation: Organisation) -> list[Site]:
    """The organisation's sites of these keys, in the order they were made."""
    named = Site.organisation_id == organisation.id, Site.key.in_(keys)
    return list(db.session.scalars(select(Site).where(*named).order_by(Site.id)))


def unknown(values: Mapping[str, Any]) -> list[str]:
    """What is said of an organisation or sites that there are not; whatever is no text is left to the plan's checks."""
    return list(_unknown(values.get("organisation"), values.get("sites")))


def _unknown(key: Any, sites: Any) -> Iterator[str]:
    if not isinstance(key, str) or not key:
        return
    owner = db.session.scalar(select(Organisation.id).where(Organisation.key == key))
    if owner is None:
        known = db.session.scalars(select(Organisation.key).order_by(Organisation.key)).all()
        yield f"organisation: there is no {key} ({_meant(key, known) or 'import its roster first'})"
        return
    known = db.session.scalars(select(Site.key).where(Site.organisation_id == owner).order_by(Site.key)).all()
    several = isinstance(sites, (list, tuple, set, frozenset))
    named = {one for one in sites if isinstance(one, str)} if several else set()
    for one in sorted(named - set(known)):
        yield f"sites: there is no {one} ({_meant(one, known) or 'import the roster first'})"


def _meant(key: str, known: Collection[str]) -> str | None:
    same = [one for one in known if one.casefold() == key.casefold()]
    near = same or get_close_matches(key, known, 1, 0.8)
    return f"did you mean {near[0]}?" if near else None
