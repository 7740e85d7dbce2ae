"""The addresses Twilio is given: absolute, on the configured public base, each carrying our own attempt id."""

from __future__ import annotations

from ivr.conversation import Step

# Twilio's connection overrides: two more tries when it cannot connect, waits too long, or gets a 5xx. Safe on all our
# webhooks, since each may arrive twice. The fragment is not part of what Twilio signs.
OVERRIDES = "#rc=2&rp=ct,rt,5xx"


def webhook(base: str, attempt_id: int, place: str) -> str:
    """The address of one of an attempt's webhooks; `base` is the configured public one, without a final slash."""
    return f"{base}/ivr/attempts/{attempt_id}/{place}{OVERRIDES}"


def inbound(base: str, place: str = "") -> str:
    """Where calls to our own numbers go; `place` one of their webhooks, beginning with a slash."""
    return f"{base}/ivr/inbound{place}{OVERRIDES}"


def of_step(base: str, attempt_id: int, step: Step) -> str:
    """The address at which the next key arrives."""
    return f"{base}/ivr/attempts/{attempt_id}/{step.place}?{step.query()}{OVERRIDES}"
