"""Finding calls: by id, agent, days and site, fifty a page, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, tuple_, union_all

from console.scope import Scope
from survey.calendars import day_start
from survey.db import db
from survey.errors import InputError
from survey.models import Agent, Call, Draw, Site, Survey

PAGE = 50


@dataclass(frozen=True)
class Wanted:
    """What the reader asks for. Days are local to each call's site, both inclusive; `before` continues a list."""

    external_id: str = ""
    agent: str = ""
    site_id: int | None = None
    first: date | None = None
    last: date | None = None
    before: tuple[datetime, int] | None = None

    @classmethod
    def parsed(cls, args: Mapping[str, str]) -> Wanted:
        """From the query of the address. Raises InputError naming the field that cannot be read."""
        return cls(
            external_id=_text(args.get("id", ""), "id"),
            agent=_text(args.get("agent", ""), "agent"),
            site_id=number_in(args.get("site", ""), "site"),
            first=day_in(args.get("from", ""), "from"),
            last=day_in(args.get("to", ""), "to"),
            before=_position(args.get("before", "")),
        )

    def query(self) -> dict[str, str]:
        """The same as the address says it; empty parts are left out."""
        parts = {
            "id": self.external_id,
            "agent": self.agent,
            "site": str(self.site_id or ""),
            "from": self.first.isoformat() if self.first else "",
            "to": self.last.isoformat() if self.last else "",
            "before": f"{_microseconds(self.before[0])}-{self.before[1]}" if self.before else "",
        }
        return {key: value for key, value in parts.items() if value}

    def first_page(self) -> dict[str, str]:
        """The address's query for the newest page of the same search."""
        return replace(self, before=None).query()

    @property
    def narrowed(self) -> bool:
        return bool(self.query().keys() - {"before"})


@dataclass(frozen=True)
class Found:
    """One page of calls with what became of each, and where the next page begins (None at the end)."""

    rows: list[Row[Any]]
    following: dict[str, str] | None


def search(within: Scope, wanted: Wanted) -> Found:
    """The calls asked for. Each site is read backwards along its own index, then the newest of all are taken."""
    sites = [site for site in within.sites() if wanted.site_id in (None, site.id)]
    if not sites:
        return Found([], None)
    agents = _agents(within, wanted.agent) if wanted.agent else None
    newest = union_all(*(_of_site(site, wanted, agents).subquery().select() for site in sites)).subquery()
    ids = [
        row.id
        for row in db.session.execute(
            select(newest.c.id).order_by(newest.c.ended_at.desc(), newest.c.id.desc()).limit(PAGE + 1)
        )
    ]
    rows = _shown(ids[:PAGE])
    more = len(ids) > PAGE
    return Found(rows, replace(wanted, before=(rows[-1].Call.ended_at, rows[-1].Call.id)).query() if more else None)


def number_in(text: str, field: str) -> int | None:
    """A number of the address's query, None when empty. Raises InputError naming `field`."""
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f"{text!r} is not a {field}", where=field, how="Choose one from the list.")
    return int(text)


def day_in(text: str, field: str) -> date | None:
    """A day of the address's query, None when empty. Raises InputError naming `field`."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a date", where=field, how="Write it as 2026-03-12.") from None
    if not 1970 <= day.year <= 9000:
        raise InputError(f"{text!r} is out of range", where=field, how="Choose a year from 1970 on.")
    return day


def _of_site(site: Site, wanted: Wanted, agents: list[int] | None) -> Select[int, datetime]:
    newest_first = (Call.ended_at.desc(), Call.id.desc())
    return (
        select(Call.id, Call.ended_at)
        .where(and_(*_conditions(site, wanted, agents)))
        .order_by(*newest_first)
        .limit(PAGE + 1)
    )


def _conditions(site: Site, wanted: Wanted, agents: list[int] | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Call.site_id == site.id, Call.organisation_id == site.organisation_id]
    if wanted.external_id:
        conditions.append(Call.external_id == wanted.external_id)
    if agents is not None:
        conditions.append(Call.agent_id.in_(agents))
    if wanted.first:
        conditions.append(Call.ended_at >= day_start(wanted.first, site.time_zone))
    if wanted.last:
        conditions.append(Call.ended_at < day_start(wanted.last + timedelta(days=1), site.time_zone))
    if wanted.before:
        conditions.append(tuple_(Call.ended_at, Call.id) < wanted.before)
    return conditions


def _agents(within: Scope, text: str) -> list[int]:
    """Agents by their key exactly, or by a part of their name, upper or lower case."""
    by_name = func.lower(Agent.name).contains(text.lower(), autoescape=True)
    rows = select(Agent.id).where(within.holds(Agent.organisation_id), or_(Agent.key == text, by_name))
    return list(db.session.scalars(rows))


def _shown(ids: list[int]) -> list[Row[Any]]:
    return list(
        db.session.execute(
            select(Call, Site, Agent, Draw, Survey)
            .join(Site, Site.id == Call.site_id)
            .outerjoin(Agent, Agent.id == Call.agent_id)
            .outerjoin(Draw, Draw.call_id == Call.id)
            .outerjoin(Survey, Survey.call_id == Call.id)
            .where(Call.id.in_(ids))
            .order_by(Call.ended_at.desc(), Call.id.desc())
        )
    )


def _text(text: str, field: str) -> str:
    if "\0" in text:
        raise InputError("contains a NUL byte", where=field, how="Type it anew.")
    return text.strip()


def _position(text: str) -> tuple[datetime, int] | None:
    if not text:
        return None
    moment, _, number = text.partition("-")
    if not (moment.isdecimal() and number.isdecimal() and len(moment) <= 17 and len(number) <= 18):
        raise InputError("this page of the list is not known", how="Start again from the first page.")
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(moment)), int(number)


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
