"""Genesys Cloud conversation details as the analytics query and its jobs give them: pages of "conversations", or each.

A conversation has participants (customer, IVR, queue, agents), each has sessions (voice, callback, chat), each session
has segments (alert, interact, hold, wrapup). What the members mean: the models AnalyticsConversation, -Participant,
-Session and -ConversationSegment of Genesys Cloud's public API.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from intake.formats.json_parts import Misshapen, parts, required, text, yes
from intake.formats.json_records import names_in, records
from intake.rows import Row, shown

HEADER = (
    *("external_id", "leg", "agent", "started_at", "ended_at", "answered", "talk_seconds", "queue", "phone"),
    "internal",
)
INTERNAL = "legs of conversations that the centre began or held inside (kept as internal)"

_KNOWN_BY = {"conversationId", "conversationStart", "participants"}
_CUSTOMERS, _AGENTS = frozenset({"customer", "external"}), frozenset({"agent", "user"})
_TALK = frozenset({"interact", "hold"})
# Sessions of somebody who listens to another participant or whispers to one: no agent who handles the call.
_BESIDE = ("monitoredParticipantId", "coachedParticipantId", "bargedParticipantId")
_SCHEME = re.compile(r"(?:tel|sips?):", re.I)


class _Stretch(NamedTuple):
    """A segment: what went on from when to when, and in which queue."""

    kind: str
    begin: datetime
    end: datetime
    queue: str


class Genesys:
    """One row for each agent of a conversation; one for a conversation that reached none."""

    name = "genesys"

    def recognises(self, head: bytes) -> bool:
        return names_in(head) >= _KNOWN_BY

    def rows(self, path: Path, notes: Counter[str], header: Sequence[str] = ()) -> Iterator[Row]:
        yield Row(1, HEADER)
        for record in records(path, notes, ("conversations",)):
            if record.fault:
                yield Row(record.line, (), record.fault)
                continue
            try:
                legs = _legs(record.value)
            except Misshapen as wrong:
                yield Row(record.line, (), str(wrong))
                continue
            for leg in legs:
                notes[INTERNAL] += leg[-1] == yes(True)
                yield Row(record.line, leg)


def _legs(conversation: dict[str, Any]) -> list[list[str]]:
    id, begin = required(conversation, "conversationId"), required(conversation, "conversationStart")
    end = text(conversation, "conversationEnd")
    if not end:
        raise Misshapen("has not ended yet (no conversationEnd); import it again when it has")
    participants = parts(conversation, "participants")
    customers = [session for one in participants if _purpose(one) in _CUSTOMERS for session in _voice(one)]
    agents = [one for one in participants if _purpose(one) in _AGENTS and _voice(one)]
    if not customers and not agents:
        raise Misshapen(f"is no telephone call ({_media(participants)})")
    internal = _begun_inside(conversation, customers)
    phone = "" if internal else _phone(customers)
    legs = [_leg(agent, id, begin, end, phone, internal) for agent in agents]
    return legs or [[id, "", "", begin, end, yes(False), "0", "", phone, yes(internal)]]


def _leg(agent: dict[str, Any], id: str, begin: str, end: str, phone: str, internal: bool) -> list[str]:
    stretches = [
        one
        for session in _voice(agent)
        if not any(text(session, name) for name in _BESIDE)
        for one in _stretches(session)
    ]
    talk = sorted((one for one in stretches if one.kind in _TALK), key=lambda one: one.end)
    answered = any(one.kind == "interact" for one in talk)
    seconds = sum((one.end - one.begin for one in talk), timedelta()).total_seconds()
    queues = [one.queue for one in talk or stretches if one.queue]
    return [
        id,
        required(agent, "participantId"),
        (text(agent, "userId") or required(agent, "participantName")) if answered else "",
        begin,  # of the conversation: the wait before the agent belongs to the call
        talk[-1].end.isoformat() if answered else end,
        yes(answered),
        str(round(seconds)) if answered else "0",
        queues[-1] if queues else "",
        phone,
        yes(internal),
    ]


def _purpose(participant: dict[str, Any]) -> str:
    return text(participant, "purpose").lower()


def _voice(participant: dict[str, Any]) -> list[dict[str, Any]]:
    return [session for session in parts(participant, "sessions") if text(session, "mediaType").lower() == "voice"]


def _media(participants: list[dict[str, Any]]) -> str:
    """What the conversation was held by instead."""
    media = {text(session, "mediaType").lower() for one in participants for session in parts(one, "sessions")}
    return ", ".join(shown(name, 20) for name in sorted(media - {""})[:5]) or "no sessions"


def _begun_inside(conversation: dict[str, Any], customers: list[dict[str, Any]]) -> bool:
    """Whether the centre called out, or nobody from outside took part."""
    directions = [text(conversation, "originatingDirection"), *(text(one, "direction") for one in customers)]
    first = next((direction.lower() for direction in directions if direction), "inbound")
    return first == "outbound" or not customers


def _phone(customers: list[dict[str, Any]]) -> str:
    """The customer's number: the calling one, or the called one where the centre called back."""
    for session in customers:
        called_back = text(session, "direction").lower() == "outbound"
        if number := text(session, "dnis" if called_back else "ani"):
            return _SCHEME.sub("", number).partition("@")[0].partition(";")[0]
    return ""


def _stretches(session: dict[str, Any]) -> Iterator[_Stretch]:
    for segment in parts(session, "segments"):
        if text(segment, "segmentEnd"):
            begin, end = _moment(segment, "segmentStart"), _moment(segment, "segmentEnd")
            yield _Stretch(text(segment, "segmentType").lower(), begin, max(begin, end), text(segment, "queueId"))


def _moment(segment: dict[str, Any], name: str) -> datetime:
    found = required(segment, name)
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        raise Misshapen(f"{shown(name)} is not a time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
