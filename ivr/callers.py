"""The number a customer sees when the phone rings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survey import settings
from survey.phones import country_of


def caller_for(phone: str | None, caller_ids: Mapping[str, Any], caller_id: str | None) -> str:
    """The campaign's own number in the customer's country, else its general one, else TWILIO_FROM; "" if none is set.

    `phone` in E.164, None when the customer has none any more; `caller_ids` by two-letter country.
    """
    return str((phone and caller_ids.get(country_of(phone))) or caller_id or settings.current().twilio_from)
