"""Customers: one row per phone (or per email without a phone), brought up to date by what their calls say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, func, null, or_, select, true, type_coerce, update

from intake.bulk import copy_rows, is_any, new_ids
from intake.call_rows import IncomingCall
from intake.journal import Journal
from intake.said import NO_TO_CALLS, NOTHING, SAID, Order, Teller, Told, noted, order_from, order_of, outdoes, together
from survey.db import db
from survey.models import Call, Customer

_COLUMNS = (
    *("id", "organisation_id", "phone", "phone_index", "email", "email_index"),
    *("language", "relay", "consents_to_calls", "said_by"),
)
NOBODY = "rows that say what a customer wishes, but not who that is: no phone, no email, no call of theirs (left out)"
WITHDRAWN = "records of calls that have had their draw and say no to calls (their customers are not called)"

Key = bytes


class Known(NamedTuple):
    """A call that is stored: its customer, and whether it has had its draw."""

    customer_id: int | None
    settled: bool


class _Stored(NamedTuple):
    """A customer as stored (the email is sealed), and their latest call."""

    id: int
    email: str | None
    email_index: bytes | None
    language: str | None
    relay: bool
    consents_to_calls: bool | None
    said_by: dict[str, Any] | None
    newest_end: datetime | None
    newest_id: str | None
    newest_source: str | None

    @property
    def newest(self) -> Order | None:
        if self.newest_end is None:
            return None
        return self.newest_end, self.newest_id or "", "", self.newest_source or "", False

    def said(self, field: str) -> Order | None:
        """The record that said what is stored of a field; None where none did."""
        if note := (self.said_by or {}).get(field):
            return order_from(note)
        # A relay nobody spoke of is stored as "no"; where a call said no, it is noted.
        said = self.relay if field == "relay" else getattr(self, field) is not None
        return self.newest if said else None


def customer_ids(
    organisation_id: int,
    source: str,
    plain: Sequence[IncomingCall],
    others: Sequence[IncomingCall],
    known: Mapping[str, Known],
    journal: Journal,
    notes: Counter[str],
) -> dict[Key, int]:
    """The customer of each call by its contact's key, made or brought up to date where needed.

    `plain` are new calls of one record each; `others` are records of calls that are stored (`known`, by external id),
    come in legs or come several times. What is said by calls that have had their draw changes no customer, or
    invitations could be led elsewhere afterwards; but a "no" to calls is obeyed, and counted in `notes`. A record that
    names nobody speaks of its call's customer; where that one is not known either, it is counted in `notes`.

    Of each field the latest record that says anything of it counts, and nothing known is erased. So the order in which
    files arrive makes no difference. The caller has taken its turn.
    """
    told: dict[Key, list[Teller]] = {}
    for call in plain:
        if call.contact is not None and (key := call.contact.key) is not None:
            told.setdefault(key, []).append((order_of(call, source), call.contact))
        elif call.wishes is not None:
            notes[NOBODY] += 1
    phones = [key for key, tellers in told.items() if tellers[0][1].phone_index]
    emails = [key for key, tellers in told.items() if not tellers[0][1].phone_index]
    for call in others:
        if call.contact is not None and (key := call.contact.key) is not None:
            (phones if call.contact.phone_index else emails).append(key)
    refusing = {call.external_id for call in others if _says_no(call)}
    homes = {
        about.customer_id
        for external_id, about in known.items()
        if about.customer_id is not None and (not about.settled or external_id in refusing)
    }
    stored = _stored(organisation_id, phones, emails, sorted(homes))
    unclear, silent = _tell(told, source, others, known, {customer.id: key for key, customer in stored.items()}, notes)
    for key, tellers in told.items():
        if key in stored:
            _bring_up_to_date(stored[key], together(tellers, key not in unclear), journal)
    missing = [
        (key, together([*silent.get(key, ()), *told.get(key, ())], key not in unclear and key not in silent))
        for key in dict.fromkeys([*told, *silent])
        if key not in stored
    ]
    return {key: customer.id for key, customer in stored.items()} | _insert(organisation_id, missing)


def _tell(
    told: dict[Key, list[Teller]],
    source: str,
    others: Sequence[IncomingCall],
    known: Mapping[str, Known],
    keys: Mapping[int | None, Key],
    notes: Counter[str],
) -> tuple[set[Key], dict[Key, list[Teller]]]:
    """Adds to `told` what other than plain records say; `keys` are those of stored customers by id.

    Returns the customers whose latest call cannot be told from the ends of these records, and what calls say that have
    had their draw: nothing of it counts but a "no" to calls.
    """
    unclear: set[Key] = set()
    silent: dict[Key, list[Teller]] = {}
    named = {call.external_id: call.contact.key for call in others if call.contact is not None and call.contact.key}
    times = Counter(call.external_id for call in others)
    for call in others:
        about = known.get(call.external_id)
        key = None if call.contact is None else call.contact.key
        teller = order_of(call, source), call.contact or call.wishes or NOTHING
        home = None if about is None else keys.get(about.customer_id)
        customer = key or named.get(call.external_id) or home
        if about is not None and about.settled:
            if key is not None:
                silent.setdefault(key, []).append(teller)
            # Who names no phone is, as far as calls go, the one whom the survey would call.
            phoneless = call.contact is None or call.contact.phone_index is None
            speaks_of = (customer, home if phoneless else None) if _says_no(call) else ()
            refusing = {each for each in speaks_of if each is not None}
            for each in refusing:
                told.setdefault(each, []).append((teller[0], NO_TO_CALLS))
                unclear.add(each)  # the call's end stays as it was drawn, whatever this record says
            notes[WITHDRAWN] += bool(refusing)
            continue
        if customer is None:
            notes[NOBODY] += call.wishes is not None
            continue
        told.setdefault(customer, []).append(teller)
        if call.leg is not None or times[call.external_id] > 1:
            unclear.add(customer)
        if home is not None and (home != customer or (call.contact is not None and key is None)):
            told.setdefault(home, [])  # the call may be theirs no more
            unclear.add(home)
    return unclear, silent


def _says_no(call: IncomingCall) -> bool:
    return (call.contact or call.wishes or NOTHING).consents_to_calls is False


def _stored(
    organisation_id: int, phones: Sequence[Key], emails: Sequence[Key], ids: Sequence[int]
) -> dict[Key, _Stored]:
    """The customers with these phones, with these emails and no phone, and with these ids."""
    conditions = []
    if phones:
        conditions.append(is_any(Customer.phone_index, phones))
    if emails:
        conditions.append(Customer.phone_index.is_(None) & is_any(Customer.email_index, emails))
    if ids:
        conditions.append(is_any(Customer.id, ids))
    if not conditions:
        return {}
    latest = (
        select(Call.ended_at, Call.external_id, Call.source)
        .where(Call.customer_id == Customer.id)
        .order_by(Call.ended_at.desc(), Call.external_id.collate("C").desc(), Call.source.collate("C").desc())
        .limit(1)
        .lateral()
    )
    rows = db.session.execute(
        select(
            func.coalesce(Customer.phone_index, Customer.email_index),
            Customer.id,
            type_coerce(Customer.email, Text),
            Customer.email_index,
            Customer.language,
            Customer.relay,
            Customer.consents_to_calls,
            Customer.said_by,
            *latest.c,
        )
        .select_from(Customer)
        .outerjoin(latest, true())
        .where(Customer.organisation_id == organisation_id, or_(*conditions))
    )
    return {row[0]: _Stored(*row[1:]) for row in rows}


def _insert(organisation_id: int, missing: Sequence[tuple[bytes, Told]]) -> dict[bytes, int]:
    if not missing:
        return {}
    ids = new_ids(Customer, len(missing))
    rows = (
        (id, organisation_id, *told.contact[:5], bool(told.contact.relay), told.contact.consents_to_calls, _first(told))
        for id, (_, told) in zip(ids, missing, strict=True)
    )
    copy_rows(Customer, _COLUMNS, rows)
    return {key: id for id, (key, _) in zip(ids, missing, strict=True)}


def _first(told: Told) -> str | None:
    """The `said_by` of a customer who is new."""
    if told.apart is None and told.plain and told.contact.relay is not False:
        return None
    note = noted(told.by, max(told.orders) if told.plain else None, told.contact.relay)
    return json.dumps(note) if note else None


def _bring_up_to_date(stored: _Stored, told: Told, journal: Journal) -> None:
    changes = _changes(stored, told)
    if not changes:
        return
    journal.changed(Customer, stored.id, {name: getattr(stored, name) for name in changes})
    if "email" in changes:
        changes["email"] = type_coerce(changes["email"], Text)  # sealed already
    if changes.get("said_by", ...) is None:
        changes["said_by"] = null()
    db.session.execute(
        update(Customer).where(Customer.id == stored.id).values(**changes).execution_options(synchronize_session=False)
    )


def _changes(stored: _Stored, told: Told) -> dict[str, Any]:
    """What the records say otherwise than the stored customer, as far as they know better."""
    by = {field: order for field in SAID if (order := stored.said(field)) is not None}
    told_by = told.by
    better = [field for field, order in told_by.items() if field not in by or outdoes(order, by[field])]
    by |= {field: told_by[field] for field in better}
    changes: dict[str, Any] = {}
    for field in better:
        if getattr(told.contact, field) != getattr(stored, field):
            changes |= {column: getattr(told.contact, column) for column in SAID[field]}
    relay = changes.get("relay", stored.relay) if "relay" in by else None
    said_by = noted(by, _newest(stored, told), relay)
    if stored.said_by:
        stays = {field: note for field, note in stored.said_by.items() if field not in better}
        said_by = (said_by or {}) | stays or None
    return changes if said_by == stored.said_by else changes | {"said_by": said_by}


def _newest(stored: _Stored, told: Told) -> Order | None:
    """The order of the customer's latest call once the records are in; None where that cannot be told."""
    before = stored.newest
    if not told.plain:
        return None
    if before is None:
        return max(told.orders)
    newest = max(before, *told.orders)
    # The latest so far, when it comes again with an earlier end, leaves its place to one that is not looked up.
    corrected = any(order[1:4] == newest[1:4] and order != newest for order in told.orders)
    return None if corrected else newest
