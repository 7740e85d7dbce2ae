"""What the database holds of an intake: as it means it, without ids; or every row exactly, sealed values and all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, text

from survey.db import db
from survey.models import (
    Agent,
    Assignment,
    Call,
    CallLeg,
    Customer,
    ImportChange,
    ImportRecord,
    LaterRecord,
    Site,
)

FACTS = (
    *("started_at", "ended_at", "answered", "talk_seconds", "queue", "topic", "language", "internal"),
    *("contact_fault", "recorded_at"),
)
# Where in a call's facts each is, behind its site, agent, customer and whether its agent is uncertain.
PLACES = {name: number for number, name in enumerate(FACTS, start=5)}
Rows = dict[Any, Any]


def calls() -> Rows:
    """Every call by its external id: what it was, where, who handled it, and how its customer is reached."""
    rows = db.session.execute(
        select(Call.external_id, Site.key, Agent.key, Customer.phone, Customer.email, Call.agent_uncertain, *_of(Call))
        .join(Site, Site.id == Call.site_id)
        .outerjoin(Agent, Agent.id == Call.agent_id)
        .outerjoin(Customer, Customer.id == Call.customer_id)
    )
    return {row[0]: _lowered(row[1:]) for row in rows}


def legs() -> Rows:
    """Every leg by its call's external id and its own name, likewise."""
    rows = db.session.execute(
        select(Call.external_id, CallLeg.leg, Site.key, Agent.key, Customer.phone, *_of(CallLeg))
        .select_from(CallLeg)
        .join(Call, Call.id == CallLeg.call_id)
        .join(Site, Site.id == CallLeg.site_id)
        .outerjoin(Agent, Agent.id == CallLeg.agent_id)
        .outerjoin(Customer, Customer.id == CallLeg.customer_id)
    )
    return {(row[0], row[1]): _lowered(row[2:]) for row in rows}


def customers() -> Rows:
    """Every customer by phone, or by email without one: how they are reached and what they agreed to."""
    columns = Customer.phone, Customer.email, Customer.language, Customer.relay, Customer.consents_to_calls
    return {row[0] or row[1]: _lowered(row) for row in db.session.execute(select(*columns))}


def staff() -> Rows:
    """Every agent by key, with the first days of their assignments."""
    rows = db.session.execute(select(Agent.key, Agent.name, Assignment.starts_on).join(Assignment))
    return {tuple(value.casefold() for value in row[:2]): row[2] for row in rows}


def house() -> tuple[Rows, ...]:
    """All of it."""
    db.session.expire_all()
    return calls(), legs(), customers(), staff()


TABLES = ("calls", "call_legs", "customers", "agents", "assignments", "later_records")


def exactly() -> dict[str, list[str]]:
    """Every row of the tables an import of calls writes, to the last bit."""
    return {
        name: list(db.session.scalars(text(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY id"))) for name in TABLES
    }


def emptied(*kept_agents: str) -> None:
    """Takes out all that imports of calls brought in, agents included except those named. Commits."""
    db.session.rollback()
    for table in (LaterRecord, CallLeg, Call, ImportChange, Customer, ImportRecord):
        db.session.execute(delete(table))
    made = select(Agent.id).where(Agent.key.not_in(kept_agents))
    db.session.execute(delete(Assignment).where(Assignment.agent_id.in_(made)))
    db.session.execute(delete(Agent).where(Agent.key.not_in(kept_agents)))
    db.session.commit()


def _of(model: Any) -> list[Any]:
    return [getattr(model, name) for name in FACTS]


def _lowered(values: Any) -> tuple[Any, ...]:
    """Spellings of one address or name differ by case only."""
    return tuple(value.casefold() if isinstance(value, str) else value for value in values)
