"""The draw's reasons in plain words, for people who look at a call or a campaign."""

from __future__ import annotations

from collections.abc import Mapping

from survey.models import DrawReason

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
