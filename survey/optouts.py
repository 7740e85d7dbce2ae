"""Opt-outs: contacts that asked to be left alone, honoured from the moment they are recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from survey import audit, clock
from survey.db import db
from survey.models import Channel, Customer, OptOut, OptOutSource
from survey.vault import email_index, phone_index

KIND_OF_CHANNEL = {Channel.IVR: "phone", Channel.WEB: "email"}


def add(organisation_id: int, kind: str, index: bytes, source: OptOutSource, survey_id: int | None = None) -> bool:
    """Records the opt-out of one contact; False when it was in force already."""
    row = insert(OptOut).values(
        organisation_id=organisation_id,
        kind=kind,
        contact_index=index,
        source=source,
        survey_id=survey_id,
        created_at=clock.now(),
    )
    row = row.on_conflict_do_nothing(
        index_elements=["organisation_id", "contact_index"], index_where=OptOut.removed_at.is_(None)
    )
    return db.session.execute(row.returning(OptOut.id)).first() is not None


def add_all(organisation_id: int, kinds: Mapping[bytes, str], source: OptOutSource) -> set[bytes]:
    """Records the opt-outs of many contacts (index to kind) at once; returns the indexes of those not in force yet."""
    if not kinds:
        return set()
    same = {"organisation_id": organisation_id, "source": source, "created_at": clock.now()}
    row = insert(OptOut).values([{**same, "contact_index": index, "kind": kind} for index, kind in kinds.items()])
    row = row.on_conflict_do_nothing(
        index_elements=["organisation_id", "contact_index"], index_where=OptOut.removed_at.is_(None)
    )
    return set(db.session.scalars(row.returning(OptOut.contact_index)))


def add_customer(customer: Customer, kinds: Iterable[str], source: OptOutSource, survey_id: int | None = None) -> None:
    """Records the opt-out of a customer's phone, email or both (`kinds`)."""
    indexes = {"phone": customer.phone_index, "email": customer.email_index}
    for kind in kinds:
        index = indexes[kind]
        if index is not None:
            add(customer.organisation_id, kind, index, source, survey_id)


def remove(organisation_id: int, index: bytes, actor: str) -> bool:
    """Lifts the opt-out in force for a contact, keeping it as history; False when there was none."""
    optout = db.session.scalar(
        select(OptOut).where(
            OptOut.organisation_id == organisation_id, OptOut.contact_index == index, OptOut.removed_at.is_(None)
        )
    )
    if optout is None:
        return False
    optout.removed_at = clock.now()
    audit.record(actor, "opt-out removed", optout)
    return True


def kinds_in_force(customer: Customer) -> frozenset[str]:
    """Which of the customer's contacts ("phone", "email") may not be used."""
    indexes = [index for index in (customer.phone_index, customer.email_index) if index is not None]
    rows = db.session.scalars(
        select(OptOut.kind).where(
            OptOut.organisation_id == customer.organisation_id,
            OptOut.contact_index.in_(indexes),
            OptOut.removed_at.is_(None),
        )
    )
    return frozenset(rows)


def index_of(kind: str, canonical: str) -> bytes:
    """The index of a canonical contact; `kind` is "phone" (E.164) or "email"."""
    return phone_index(canonical) if kind == "phone" else email_index(canonical)
