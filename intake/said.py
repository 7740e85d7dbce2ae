"""Who said what of a customer: which record's word counts, and what has to be remembered of that. Pure.

Of each thing the latest record that says it counts. The latest is the one with the greatest order, whichever came in
first; only what a call (or leg) of its own says again goes before what it said, as far as stamps do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from intake.call_rows import IncomingCall
from intake.sealed import Contact

# What calls say of a customer: the field that says it, and the columns that keep it.
SAID = {
    "email_index": ("email", "email_index"),
    "language": ("language",),
    "relay": ("relay",),
    "consents_to_calls": ("consents_to_calls",),
}

NOTHING = Contact()
NO_TO_CALLS = Contact(consents_to_calls=False)

# Which record says something: the stamp of its version if it has one, else the end of the call or leg; the call's id;
# its leg ("" for a whole call); the source; whether the first is a stamp. The greater one knows better.
Order = tuple[datetime, str, str, str, bool]
Teller = tuple[Order, Contact]


class Told(NamedTuple):
    """What some records say of one customer.

    `apart` names the record that says each field; None where there is but one. `plain`: each of them is a whole call,
    which they do not take from the customer; so the customer's latest call can be told from its end.
    """

    orders: Sequence[Order]
    contact: Contact
    apart: Mapping[str, Order] | None
    plain: bool

    @property
    def by(self) -> Mapping[str, Order]:
        return dict.fromkeys(_fields(self.contact), self.orders[0]) if self.apart is None else self.apart


def together(tellers: Sequence[Teller], plain: bool) -> Told:
    if len(tellers) == 1:  # as it mostly is
        ((order, contact),) = tellers
        return Told((order,), contact, None, plain and not order[4])
    contact, by = NOTHING, dict[str, Order]()
    for order, said in tellers:
        better = [field for field in _fields(said) if field not in by or outdoes(order, by[field])]
        by |= dict.fromkeys(better, order)
        contact = contact._replace(**{name: getattr(said, name) for field in better for name in SAID[field]})
        if contact.phone_index is None:
            contact = contact._replace(phone=said.phone, phone_index=said.phone_index)
    orders = [order for order, _ in tellers]
    return Told(orders, contact, by, plain and not any(order[4] for order in orders))


def _fields(said: Contact) -> list[str]:
    return [field for field in SAID if getattr(said, field) is not None]


def order_of(call: IncomingCall, source: str) -> Order:
    stamp = call.recorded_at
    return stamp or call.ended_at, call.external_id, call.leg or "", source, stamp is not None


def outdoes(order: Order, said: Order) -> bool:
    """Whether a record, handed in later, counts for more than the one that said something before.

    A later record of the same call (or leg) corrects it, wherever it ends; unless both have stamps, which say more.
    """
    if order[1:4] == said[1:4] and not (order[4] and said[4]):
        return True
    return order >= said


def _as_json(order: Order) -> list[Any]:
    return [order[0].astimezone(UTC).isoformat(), *order[1:]]


def order_from(note: Sequence[Any]) -> Order:
    """The order that a customer's `said_by` holds for a field."""
    if len(note) == 3:  # as it was noted once: end, id, stamp
        end, external_id, stamp = note
        return datetime.fromisoformat(stamp or end), external_id, "", "", bool(stamp)
    at, external_id, leg, source, stamped = note
    return datetime.fromisoformat(at), external_id, leg, source, stamped


def noted(by: Mapping[str, Order], newest: Order | None, relay: bool | None) -> dict[str, Any] | None:
    """What has to be remembered of who said what: all that the latest call did not say, and a "no" to relay.

    All of it where `newest` is None: which call is the latest cannot be told.
    """
    apart = [field for field, order in by.items() if order != newest or (field == "relay" and relay is False)]
    return {field: _as_json(by[field]) for field in sorted(apart)} if apart else None
