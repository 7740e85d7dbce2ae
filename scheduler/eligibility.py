"""Whether a call may be asked about at all, before chance decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from survey.models import Channel, DrawReason


@dataclass(frozen=True)
class Contacts:
    """How the customer can be reached. Withheld: opted out, or not to be called. Faulty: given but not usable."""

    phone: bool = False
    email: bool = False
    phone_withheld: bool = False
    email_withheld: bool = False
    faulty: bool = False

    def given(self, channel: Channel) -> bool:
        return self.phone if channel is Channel.IVR else self.email

    def usable(self, channel: Channel) -> bool:
        withheld = self.phone_withheld if channel is Channel.IVR else self.email_withheld
        return self.given(channel) and not withheld


@dataclass(frozen=True)
class CallFacts:
    """What decides on one call. `sequence` is the call's own channels by its channel number; times are aware UTC.

    `agent_uncertain`: agents handled it and nobody can tell who was the last, so that its site alone is credited.
    """

    internal: bool
    answered: bool
    talk_seconds: int
    min_talk_seconds: int
    has_agent: bool
    agent_uncertain: bool
    assigned: bool
    sequence: Sequence[Channel]
    contacts: Contacts
    language: str | None
    deadline: datetime
    decided_at: datetime


def why_not_called(consents: bool | None, needed: bool) -> str | None:
    """Why a customer may not be phoned at all, None where they may.

    Nobody is phoned against their will, and where consent is `needed`, nobody without it.

    `consents` None: it is not known. A campaign needs consent where the law does, as in the United States for recorded
    or synthetic voices to mobile phones (47 CFR 64.1200(a)(1)(iii)).
    """
    if consents is None:
        return "nobody recorded that the customer agreed to be called" if needed else None
    return None if consents else "the customer does not consent to calls"


# These follow from the call as it was handed in, which never changes: replay recomputes them without any trust.
FROM_THE_CALL = (DrawReason.INTERNAL, DrawReason.UNANSWERED, DrawReason.TOO_SHORT, DrawReason.NO_AGENT)


# What the draw says of calls that could be asked about, once chance has decided.
ELIGIBLE = (DrawReason.DRAWN, DrawReason.NOT_SELECTED)


def reason_against(facts: CallFacts) -> DrawReason | None:
    """Why the call may not be asked about, the first reason in a fixed order; None when it may (quarantine aside)."""
    if facts.internal:
        return DrawReason.INTERNAL
    if not facts.answered:
        return DrawReason.UNANSWERED
    if facts.talk_seconds < facts.min_talk_seconds:
        return DrawReason.TOO_SHORT
    if not facts.agent_uncertain and not facts.has_agent:
        return DrawReason.NO_AGENT
    if not facts.agent_uncertain and not facts.assigned:
        return DrawReason.NO_ASSIGNMENT
    if facts.deadline <= facts.decided_at:
        return DrawReason.PAST_DEADLINE
    return _unreachable(facts) or _speechless(facts)


def usable_channels(sequence: Sequence[Channel], contacts: Contacts) -> list[Channel]:
    """The channels of the sequence on which this customer may be asked, in order."""
    return [channel for channel in sequence if contacts.usable(channel)]


def _unreachable(facts: CallFacts) -> DrawReason | None:
    if usable_channels(facts.sequence, facts.contacts):
        return None
    if any(facts.contacts.given(channel) for channel in facts.sequence):
        return DrawReason.OPTED_OUT
    return DrawReason.INVALID_CONTACT if facts.contacts.faulty else DrawReason.NO_CONTACT


def _speechless(facts: CallFacts) -> DrawReason | None:
    return DrawReason.LANGUAGE_NOT_OFFERED if facts.language is None else None
