"""Reading the smaller values of a call record: yes and no, durations, languages. A RowFault says what is wrong."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from intake.rows import RowFault, shown

YES = frozenset({"y", "yes", "true", "t", "1", "answered"})
NO = frozenset({"n", "no", "false", "f", "0", "unanswered", "not answered", "no answer", "abandoned", "missed"})
# How many seconds one of each is.
UNITS = {
    "seconds": Decimal(1),
    "milliseconds": Decimal("0.001"),
    "minutes": Decimal(60),
    "days": Decimal(86_400),
}
LONGEST_SECONDS = 7 * 86_400

_NUMBER = re.compile(r"(-?)(\d{1,12}(?:\.\d{1,30})?|\d{1,12},\d{1,2})")
# A spreadsheet re-saves 0:02:23 as "1900-01-01 00:02:23" or "12:02:23 AM": both are the time since midnight.
_CLOCK = re.compile(
    r"(-?)(?:(?:1900-01-01|1899-12-3[01])[ T])?(?:(\d{1,4}):)?(\d{1,4}):(\d{2})(?:\.\d{1,9})?(?:\s*([ap])\.?m\.?)?",
    re.I,
)
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]{2,8})*", re.I)


def duration_unit_known(unit: str) -> str:
    """The unit as given; raises ValueError when it is none of ours."""
    if unit not in UNITS:
        raise ValueError(f"{unit!r} is not a unit; known are {', '.join(UNITS)}")
    return unit


def yes_or_no(text: str, column: str) -> bool:
    """Raises RowFault for what is neither."""
    word = text.casefold()
    if word in YES or word in NO:
        return word in YES
    raise RowFault("neither yes nor no", column=column, detail=shown(text))


def seconds(text: str, column: str, unit: str = "seconds") -> int:
    """A duration in whole seconds (halves up): a number in `unit`, or m:ss, h:mm:ss and what spreadsheets make of it.

    Raises RowFault for what is no duration, negative, or longer than a week.
    """
    if unit == "seconds" and len(text) < 6 and text.isascii() and text.isdecimal():
        return int(text)
    number = _NUMBER.fullmatch(text)
    clock = None if number else _CLOCK.fullmatch(text)
    if number:
        sign, amount = number.group(1), Decimal(number.group(2).replace(",", ".")) * UNITS[unit]
    elif clock:
        sign, amount = clock.group(1), Decimal(_clock_seconds(clock, text, column))
    else:
        raise RowFault("not a duration", column=column, detail=shown(text))
    if sign and amount:
        raise RowFault("negative duration", column=column, detail=shown(text))
    if amount > LONGEST_SECONDS:
        raise RowFault("longer than a week", column=column, detail=shown(text))
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def language_tag(text: str) -> str | None:
    """The primary language in lower case ("en" of "EN_us"), which questionnaires go by; None where it is no tag."""
    match = _LANGUAGE.fullmatch(text)
    return match.group(1).lower() if match else None


def _clock_seconds(clock: re.Match[str], text: str, column: str) -> int:
    hours, minutes, rest = int(clock.group(2) or 0), int(clock.group(3)), int(clock.group(4))
    half = (clock.group(5) or "").lower()
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    if rest > 59 or (clock.group(2) is not None and minutes > 59):
        raise RowFault("not a duration", column=column, detail=shown(text))
    return hours * 3600 + minutes * 60 + rest
