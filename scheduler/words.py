"""The draw's reasons and the global stop in plain words, for people who look at a call or a campaign."""

from __future__ import annotations

from collections.abc import Mapping

from survey.clock import iso
from survey.models import DrawReason, Standstill

DRAW_REASONS: Mapping[DrawReason, str] = {
    DrawReason.DRAWN: "Its number fell below the rate.",
    DrawReason.NOT_SELECTED: "Its number did not fall below the rate.",
    DrawReason.UNANSWERED: "Nobody answered the call.",
    DrawReason.TOO_SHORT: "The conversation was shorter than the campaign asks for.",
    DrawReason.INTERNAL: "An internal or test call.",
    DrawReason.NO_AGENT: "No agent is known to have handled it.",
    DrawReason.NO_ASSIGNMENT: "The agent was on no roster that day.",
    DrawReason.NO_CONTACT: "It came without a phone number or email address that the campaign could use.",
    DrawReason.INVALID_CONTACT: "The phone number or email address cannot be used.",
    DrawReason.LANGUAGE_NOT_OFFERED: "The customer's language is not offered.",
    DrawReason.OPTED_OUT: "The customer asked not to be contacted, or did not agree to be called.",
    DrawReason.QUARANTINED: "The customer was asked about another call not long before.",
    DrawReason.PAST_DEADLINE: "It came in after the time to ask was over.",
}

TO_LIFT = "To go on: flask stop --lift"


def stop_told(stop: Standstill) -> str:
    """The global stop, within a sentence: since when, by whom and why."""
    why = f" ({stop.reason})" if stop.reason else ""
    return f"contact is stopped everywhere since {iso(stop.begun_at)}, by {stop.begun_by}{why}"
