"""The keyed random numbers: who is drawn, over which channels. Whole numbers only, so that anyone can repeat it.

One number, one use: the draw and the channel split take different numbers of the same call. All drawn calls have a u
below the rate, so splitting u itself would send everybody the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from survey.errors import InputError
from survey.models import Channel

Purpose = Literal["draw", "channel"]

BITS = 64
# Bytes that SHA-256 takes in at once.
_BLOCK = 64
EXAMPLE = '{ share = "1", channels = ["ivr", "web"] }'
_CHANNELS = tuple(channel.value for channel in Channel)


class Numbers:
    """The numbers that one key gives to calls for one purpose."""

    def __init__(self, key: bytes, purpose: Purpose) -> None:
        # RFC 2104: H(key ^ opad, H(key ^ ipad, text)). Both pads are taken in once; each call goes on from copies.
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + purpose.encode() + b"\0")
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, source: str, external_id: str) -> int:
        """The call's number: the first 8 bytes, big-endian, of HMAC-SHA256(key, purpose NUL source NUL external id).

        The zero bytes keep "a1" + "23" and "a" + "123" apart. Returns 0 to 2^64 - 1.
        """
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{source}\0{external_id}".encode())
        outer.update(inner.digest())
        return int.from_bytes(outer.digest()[:8], "big")


def number(key: bytes, purpose: Purpose, source: str, external_id: str) -> int:
    """One call's number (see Numbers.of)."""
    return Numbers(key, purpose).of(source, external_id)


def is_drawn(u: int, rate: Fraction) -> bool:
    """Whether a call of number `u` is drawn at `rate`: u / 2^64 < rate, compared as whole numbers.

    As floats, the largest u divided by 2^64 would be 1.0.
    """
    numerator, denominator = rate.as_integer_ratio()
    return u * denominator < numerator << BITS


def channel_sequence(v: int, plan: Sequence[Mapping[str, Any]]) -> list[str]:
    """The channels, in order, for a call of channel number `v`: each entry of `plan` has its share of the numbers.

    `plan` is a valid channel plan (see `checked_plan`).
    """
    upto = Fraction(0)
    for entry in plan:
        upto += Fraction(*entry["share"])
        if is_drawn(v, upto):
            return list(entry["channels"])
    raise InputError("shares add up to less than 1", where="channel plan")


def checked_plan(plan: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The plan as a campaign keeps it: [{"share": [n, d], "channels": ["ivr", "web"]}, ...].

    Raises InputError unless the shares are above 0 and add up to exactly 1, and every sequence names known channels,
    each at most once.
    """
    if not plan or not isinstance(plan, (list, tuple)):
        raise InputError("has no entries", where="channel plan", how=f"Give at least {EXAMPLE}.")
    checked = [checked_entry(entry, f"channel plan, entry {n}") for n, entry in enumerate(plan, 1)]
    check_total(checked, "channel plan")
    return checked


def check_total(plan: Sequence[Mapping[str, Any]], where: str = "") -> None:
    """Raises InputError unless the shares of checked entries add up to exactly 1."""
    total = sum((Fraction(*entry["share"]) for entry in plan), Fraction(0))
    if total != 1:
        raise InputError(f"shares add up to {total}, not to 1", where=where, how="Correct the shares.")


def checked_entry(entry: Any, where: str = "") -> dict[str, Any]:
    """One entry of a plan as a campaign keeps it. Raises InputError for the first thing wrong with it."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("channels", []), (list, tuple)):
        raise InputError(f"{entry!r} is not a share with its channels", where=where, how=f"Write it as {EXAMPLE}.")
    if entry.get("share") is None:
        raise InputError("has no share", where=where, how=f"Write it as {EXAMPLE}.")
    share = fraction(entry["share"], where)
    if share <= 0:
        raise InputError(f"a share of {share}", where=where, how="Leave the entry out, or give it a share above 0.")
    channels = [str(channel) for channel in entry.get("channels", ())]
    unknown = [channel for channel in channels if channel not in _CHANNELS]
    if unknown or not channels:
        raise InputError(
            f"unknown channel {unknown[0]!r}" if unknown else "no channels", where=where, how="There are: ivr, web."
        )
    if len(set(channels)) < len(channels):
        raise InputError("names a channel twice", where=where, how="Name each channel once.")
    return {"share": [share.numerator, share.denominator], "channels": channels}


def fraction(value: object, where: str, example: str = "1/10") -> Fraction:
    """An exact fraction from "1/10", "0.1", "10%", 1 or [1, 10]. Raises InputError, for an inexact float too.

    `example` shows in the refusal how it is written.
    """
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return Fraction(value.strip()[:-1].strip()) / 100
        if isinstance(value, (str, int, Fraction)) and not isinstance(value, bool):
            return Fraction(value)
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return Fraction(*value)
    except (TypeError, ValueError, ZeroDivisionError):
        pass
    # A number with a point is read as a float, which is seldom what was written: the same between quotes is exact.
    example = str(value) if isinstance(value, float) else example
    raise InputError(f"{value!r} is not an exact fraction", where=where, how=f'Write it as "{example}".')
