"""Any decision of this room, explained to whoever asks: plain values, each with its reasons."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from scheduler import hours, sampling
from survey.calendars import Calendar, deadline, known_country, known_zone, table_version
from survey.clock import iso
from survey.errors import InputError
from survey.phones import canonical, masked

LOOK_AHEAD = timedelta(days=14)


def explain_hours(
    number: str, at: datetime, window: hours.Window | None = None, country: str = "US", site_zone: str = "UTC"
) -> dict[str, Any]:
    """Whether `number` may be dialled at `at` (aware), why not, and when next within two weeks.

    `country` (ISO 3166) applies to a number without a + prefix. Raises InputError for what is no phone number.
    """
    window = window or hours.Window()
    e164 = canonical(number, country)
    place = hours.place_of(e164, known_zone(site_zone))
    verdict = hours.verdict(e164, _aware(at), window, site_zone)
    next_at = hours.next_allowed(e164, at, at + LOOK_AHEAD, window, site_zone)
    return {
        "number": masked(e164),
        "at": iso(at),
        "allowed": verdict.allowed,
        "reasons": verdict.reasons,
        "zones": list(place.zones),
        "country": place.country,
        "window": {
            "from": f"{window.call_from:%H:%M}",
            "until": f"{window.call_until:%H:%M}",
            "weekdays": list(window.weekdays),
        },
        "next_allowed": None if next_at is None else iso(next_at),
    }


def explain_draw(key_hex: str, source: str, external_id: str, rate: Fraction | None = None) -> dict[str, Any]:
    """The call's draw number u and channel number under that key and, with a rate, whether that draws it.

    Raises InputError for a key that is not hexadecimal or a rate outside 0 to 1.
    """
    key = _key(key_hex)
    u = sampling.number(key, "draw", source, external_id)
    told: dict[str, Any] = {
        "source": source,
        "external_id": external_id,
        "u": u,
        "channel_number": sampling.number(key, "channel", source, external_id),
        "below": 2**sampling.BITS,
    }
    if rate is None:
        return told
    if not 0 <= rate <= 1:
        raise InputError(f"{rate} is not between 0 and 1", where="rate")
    drawn = sampling.is_drawn(u, rate)
    rule = f"u * {rate.denominator} {'<' if drawn else '>='} {rate.numerator} * 2^64"
    return told | {"rate": f"{rate.numerator}/{rate.denominator}", "drawn": drawn, "rule": rule}


def explain_deadline(ended_at: datetime, zone: str, country: str, subdivision: str | None = None) -> dict[str, Any]:
    """When the survey of a call that ended at `ended_at` (aware) closes, and which days were skipped and why.

    Raises InputError for an unknown zone or country.
    """
    calendar = Calendar(known_zone(zone), known_country(country, subdivision), subdivision)
    found = deadline(_aware(ended_at), calendar)
    return {
        "deadline": iso(found.closes_at),
        "call_day": found.call_day.isoformat(),
        "last_day": found.last_day.isoformat(),
        "skipped": [{"day": day.isoformat(), "why": why} for day, why in found.skipped],
        "calendar": table_version(),
    }


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InputError(f"{moment.isoformat()} has no offset from UTC", how="Write it as 2026-07-02T15:00:00-04:00.")
    return moment


def _key(key_hex: str) -> bytes:
    try:
        return bytes.fromhex(key_hex)
    except ValueError:
        raise InputError("the key is not hexadecimal", where="key") from None
