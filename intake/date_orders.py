"""Which part of a date is the day, which the month, which the year: 03/04/2026, 26/02/25.

Never guesses: a date is read in an order that its file proves or that somebody told; else its readings are shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from intake.mapping import DateOrder
from intake.rows import RowFault, shown
from survey import clock
from survey.errors import InputError

EARLIEST_YEAR, LATEST_YEAR = 1990, 2100
LONGEST = 64
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
DATE_TIME = re.compile(r"(.*\d{2,4})(?:T|,?\s+)(\d{1,2}:\d{2}.*?)\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?", re.I)

# What may come first in a date, in the order in which readings are told.
_FIRST: Mapping[DateOrder, str] = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
_NAMED = re.compile(r"(\d{1,2})(?:[-/ ]|\. ?)([a-z]{3,9})\.?[-/ ,]+(\d{4}|\d{2})", re.I)

Readings = Mapping[DateOrder, date]
"""The days that a date may be, by which of its parts comes first."""


class Unclear(RowFault):
    """A date that may be read in more than one way; `readings` are those."""

    def __init__(self, text: str, readings: Readings) -> None:
        super().__init__(f"may be {_listed([_FIRST[order] for order in readings], 'or')}", detail=shown(text))
        self.readings = readings


class DateParts(NamedTuple):
    """The three parts of a date whose order must be known; the second is the month where that is `named`."""

    first: str
    second: str
    last: str
    named: bool = False

    @property
    def orders(self) -> Sequence[DateOrder]:
        """The orders that its form allows. A month's name before the day is a form of its own.

        With the month's name in the middle people write the day first; 26-Mar-02 is the 26th unless somebody says else.
        """
        if self.named:
            return ["dmy"]
        return ["dmy", "mdy", "ymd"] if self._may_begin_with_year else ["dmy", "mdy"]

    @property
    def _may_begin_with_year(self) -> bool:
        return len(self.last) == 2 and len(self.first) == 2

    @property
    def likeliest(self) -> DateOrder:
        """The order in which to say what is wrong with a date that is no day in any."""
        return "mdy" if not self.named and int(self.second) > 12 >= int(self.first) else "dmy"

    def allowed(self, order: DateOrder | None) -> DateOrder | None:
        """The order where it says how this date is read: "ymd" says nothing of one with four digits at its end."""
        if self.named:
            return "ymd" if order == "ymd" and self._may_begin_with_year else "dmy"
        return order if order in self.orders else None

    def year_month_day(self, order: DateOrder) -> tuple[int, int, int]:
        first, second = int(self.first), int(self.second)
        if order == "ymd":
            return 2000 + first, second, int(self.last)
        month, day = (first, second) if order == "mdy" else (second, first)
        return full_year(self.last), month, day

    def readings(self) -> Readings:
        """The real days it may be. Read year first it is none that lies in the future: what a file tells is over."""
        latest = clock.now().date() + timedelta(days=1)
        found: dict[DateOrder, date] = {}
        for order in self.orders:
            with suppress(ValueError):
                day = date(*self.year_month_day(order))
                if EARLIEST_YEAR <= day.year <= LATEST_YEAR and (order != "ymd" or day <= latest):
                    found[order] = day
        return found


def parts_of(text: str) -> DateParts | None:
    """The parts of a date whose order must be known; None for any other text."""
    if len(text) > LONGEST:
        return None
    if match := _NUMERIC.fullmatch(text):
        return DateParts(match.group(1), match.group(3), match.group(4))
    if match := _NAMED.fullmatch(text):
        month = MONTHS.get(match.group(2)[:3].lower())
        return None if month is None else DateParts(match.group(1), str(month), match.group(3), named=True)
    return None


def full_year(text: str) -> int:
    """26 is 2026."""
    return int(text) if len(text) == 4 else 2000 + int(text)


def is_numeric_date(text: str) -> bool:
    """Whether the text begins with a date whose order must be known to read it, such as 03/04/2026."""
    parts = parts_of(_date_in(text))
    return parts is not None and not parts.named


def order_shown_by(texts: Iterable[tuple[int, str]], column: str, name: str) -> DateOrder | None:
    """The order that a file's own dates prove; `texts` are the lines and cells of its date columns.

    A date proves an order when it is a real day in that one alone (31/01/2026); one that names its month proves nothing
    for those that do not. None when every date reads the same in any order. Raises InputError, with the readings side
    by side, when nothing in the file decides or when it contradicts itself.
    """
    unclear: tuple[int, str] | None = None
    proof: dict[DateOrder, tuple[int, str]] = {}
    for line, text in texts:
        written = _date_in(text)
        readings = _read(written, clock.now().date())
        if len(readings) == 1:
            proof.setdefault(next(iter(readings)), (line, written))
        elif unclear is None and len(set(readings.values())) > 1:
            unclear = (line, written)
    if len(proof) > 1:
        raise _contradiction(proof, column, name)
    if not proof and unclear is not None:
        raise _undecided(unclear, column, name)
    return next(iter(proof), None)


def side_by_side(readings: Readings, shown: Callable[[date], str]) -> str:
    """What a date is in each order: "3 April 2026 read day first and 4 March 2026 read month first"."""
    return _listed([f"{shown(day)} read {_FIRST[order]}" for order, day in readings.items()], "and")


def options_for(readings: Iterable[DateOrder]) -> str:
    """The options that settle which order is meant."""
    return _listed([f"--date-order {order}" for order in readings], "or")


@lru_cache(maxsize=10_000)
def _read(written: str, _today: date) -> Readings:
    """The days that a date without a month's name may be: a file repeats its dates thousands of times."""
    parts = parts_of(written)
    return {} if parts is None or parts.named else parts.readings()


def _date_in(text: str) -> str:
    """What of a cell is its date, without a time of day behind it."""
    first = text.partition(" ")[0].partition("T")[0].rstrip(",")
    if _NUMERIC.fullmatch(first):
        return first
    match = DATE_TIME.fullmatch(text) if len(text) <= LONGEST else None
    return match.group(1) if match else text


def _undecided(unclear: tuple[int, str], column: str, name: str) -> InputError:
    line, text = unclear
    readings = _read(text, clock.now().date())
    return InputError(
        f"{text!r} is {side_by_side(readings, _long)}, and no date in the file decides",
        where=f"{name}, line {line}, column {column}",
        how=f"Settle it with {options_for(readings)} (or date_order in the mapping).",
    )


def _contradiction(proof: Mapping[DateOrder, tuple[int, str]], column: str, name: str) -> InputError:
    (first, (first_line, one)), (second, (second_line, other)) = sorted(proof.items())[:2]
    return InputError(
        f"{one!r} in line {first_line} can only be {_FIRST[first]},"
        f" {other!r} in line {second_line} only {_FIRST[second]}",
        where=f"{name}, column {column}",
        how=f"Settle it with {options_for(sorted(proof))}; the dates that do not fit are then rejected.",
    )


def _long(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _listed(parts: Sequence[str], joint: str) -> str:
    return f" {joint} ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
