"""Amazon Connect contact records (contact trace records), as its streams and exports write them: JSON in any shape.

Every contact is a leg of the interaction that began with its InitialContactId. A record is delivered at least once;
LastUpdateTimestamp tells the newer of two. What the members mean: Amazon Connect Administrator Guide, "Data model for
contact records", "Contact initiation methods", "Identify conferences and transfers".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from intake.formats.json_parts import Misshapen, part, required, text, whole, yes
from intake.formats.json_records import Record, names_in, records
from intake.formats.scratch import NO_FIRST_LEG, LargeSet, large_set
from intake.rows import Row, shown

HEADER = (
    *("external_id", "leg", "recorded_at", "agent", "started_at", "ended_at", "answered", "talk_seconds"),
    *("queue", "phone", "internal"),
)
INTERNAL = "contacts that the centre began itself (kept as internal)"

_KNOWN_BY = {"ContactId", "InitiationMethod", "InitiationTimestamp"}
# Begun by the centre: an agent dialled, or a program did. CALLBACK is not: the customer called and asked for it.
_BEGUN_BY_US = frozenset({"OUTBOUND", "API"})
# A supervisor who listens, somebody outside whom the agent consults, a flow that runs when all have gone: no agent
# who talks with the customer, whatever the record's Agent says.
_NO_CONVERSATION = frozenset({"MONITOR", "EXTERNAL_OUTBOUND", "DISCONNECT"})


class AmazonConnect:
    """Contact records: one after the other, one a line, a list, or a single one."""

    name = "amazon-connect"

    def recognises(self, head: bytes) -> bool:
        return names_in(head) >= _KNOWN_BY

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield Row(1, HEADER)
        with large_set() as contacts:
            for record in records(path, Counter()):
                contacts.add(_contact(_id(record.value), _method(record.value) in _BEGUN_BY_US))
            for record in records(path, notes):
                yield _row(record, contacts, notes)


def _contact(id: str, begun_by_us: bool) -> str:
    """What stands for a contact, as far as the centre began it or not."""
    return f"{id} {'ours' if begun_by_us else 'theirs'}"


def _row(record: Record, contacts: LargeSet, notes: Counter[str]) -> Row:
    if record.fault:
        return Row(record.line, (), record.fault)
    try:
        first = _interaction(record.value)
        internal = _contact(first, True) in contacts
        cells = _leg(record.value, internal)
    except Misshapen as wrong:
        return Row(record.line, (), str(wrong))
    notes[INTERNAL] += internal
    notes[NO_FIRST_LEG] += not internal and _contact(first, False) not in contacts
    return Row(record.line, cells)


def _leg(contact: dict[str, Any], internal: bool) -> list[str]:
    contact_id = required(contact, "ContactId")
    channel = text(contact, "Channel").upper()
    if channel not in ("VOICE", ""):
        raise Misshapen(f"is no telephone call (channel {shown(channel)})")
    agent = part(contact, "Agent")  # null where the contact reached no agent
    talked = bool(agent) and _method(contact) not in _NO_CONVERSATION
    disconnected = text(contact, "DisconnectTimestamp")
    # Whose work after the contact begins last had the customer last: an agent who was only consulted goes before.
    ended = text(agent, "AfterContactWorkStartTimestamp") if talked else ""
    return [
        _interaction(contact),
        contact_id,
        text(contact, "LastUpdateTimestamp"),
        required(agent, "Username") if talked else "",
        required(contact, "InitiationTimestamp"),
        ended or disconnected,
        yes(talked),
        # The interaction does not include the time on hold.
        str(whole(agent, "AgentInteractionDuration") + whole(agent, "CustomerHoldDuration") if talked else 0),
        text(part(contact, "Queue"), "Name"),
        "" if internal or _method(contact) in _NO_CONVERSATION else _phone(part(contact, "CustomerEndpoint")),
        yes(internal),
    ]


def _method(contact: dict[str, Any]) -> str:
    """How the contact began; empty where that is not said as it should be."""
    found = contact.get("InitiationMethod")
    return found.upper() if isinstance(found, str) else ""


def _id(contact: dict[str, Any]) -> str:
    found = contact.get("ContactId")
    return found if isinstance(found, str) else ""


def _interaction(contact: dict[str, Any]) -> str:
    """The contact that the customer's interaction began with."""
    return text(contact, "InitialContactId") or text(contact, "ContactId")


def _phone(endpoint: dict[str, Any]) -> str:
    """The customer's number; an endpoint may also be an account in a chat or an app."""
    return text(endpoint, "Address") if text(endpoint, "Type") in ("TELEPHONE_NUMBER", "") else ""
