"""What the fields of a campaign file are made of: rates, money, times, days and whole numbers, each read strictly.

Each of these raises ValueError, which pydantic lists among the other faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time
from fractions import Fraction
from math import isfinite
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from scheduler.plan_faults import LONGEST_SHOWN, shown
from scheduler.sampling import checked_entry, fraction
from survey.errors import InputError

Checked = TypeVar("Checked")

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d\d:\d\d)?")


def _rate(value: object) -> Fraction:
    return _exact(value, "a rate", "1/10", (_with_a_point, _without_commas))


def _money(value: object) -> Fraction | None:
    return None if value is None else _exact(value, "an amount", "250.00", (_without_commas, _with_a_point))


def _share(value: object) -> list[int]:
    share = _exact(value, "a share", "1/2", (_with_a_point,))
    return [share.numerator, share.denominator]


def _exact(value: object, what: str, example: str, guesses: Sequence[Callable[[str], str | None]]) -> Fraction:
    """The fraction; in the refusal of one that cannot be read, the example is what was meant, where that can be told.

    A number with a point is read as a float, which is seldom what was written: the same between quotes is exact.
    """
    try:
        return fraction(no_truth(value), "")
    except InputError:
        pass
    if isinstance(value, float) and isfinite(value):
        raise ValueError(f'is {value} (write it between quotes, "{value}": then it is exact)')
    meant = next((one for one in _meant(value, guesses)), example)
    raise ValueError(f'is {shown(value)} (give {what} between quotes, such as "{meant}")')


def _meant(value: object, guesses: Sequence[Callable[[str], str | None]]) -> Iterator[str]:
    """What was probably meant by a number with commas, as it can be read."""
    if not isinstance(value, str) or len(value) > LONGEST_SHOWN:
        return
    for guess in guesses:
        if (told := guess(value.strip())) is not None:
            yield told


def _with_a_point(text: str) -> str | None:
    """A comma for the point, with points between thousands or none: 12,5% and 1.000,00."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{3})+|\d+),(\d+)( ?%)?", text)
    return found and f"{found[1].replace('.', '')}.{found[2]}{(found[3] or '').strip()}"


def _without_commas(text: str) -> str | None:
    """Commas between thousands: 1,000.00"""
    found = re.fullmatch(r"(\d{1,3}(?:,\d{3})+)(\.\d+)?( ?%)?", text)
    return found and text.replace(",", "")


def listed(check: Callable[[], Checked]) -> Checked:
    """The check's result; its refusal as one that is listed among the others."""
    try:
        return check()
    except InputError as fault:
        raise ValueError(str(fault)) from None


def no_truth(value: Any) -> Any:
    """The value; true and false, which Python takes for 1 and 0, are refused for numbers, also within lists."""
    if isinstance(value, bool):
        raise ValueError(f"is {shown(value)} (give a number)")
    if isinstance(value, (list, tuple)):
        for one in value:
            no_truth(one)
    return value


def _clock_time(value: object) -> object:
    """Pydantic would take 9 for nine seconds past midnight."""
    if isinstance(value, time) or (isinstance(value, str) and CLOCK.fullmatch(value)):
        return value
    hour = f"{value:02}" if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 else "09"
    raise ValueError(f'is {shown(value)} (give a time of day, such as {hour}:00:00 or "{hour}:00")')


def _day(value: object) -> object:
    """Pydantic would take a number for seconds since 1970."""
    if isinstance(value, (date, str)):
        return value
    raise ValueError(f"is {shown(value)} (give a date without quotes, such as 2026-03-01)")


def _entry(entry: object) -> dict[str, Any]:
    """One entry of a channel plan, its share told of as rates are."""
    if isinstance(entry, Mapping) and entry.get("share") is not None:
        entry = dict(entry) | {"share": _share(entry["share"])}
    return listed(lambda: checked_entry(entry))


def _in_order(hours: tuple[time, time]) -> tuple[time, time]:
    begins, ends = hours
    if begins.tzinfo is not None or ends.tzinfo is not None:
        raise ValueError("must have no offset: it is the customer's own time")
    if ends <= begins:
        raise ValueError(f"{ends:%H:%M} is not after {begins:%H:%M}")
    return hours


Rate = Annotated[Fraction, BeforeValidator(_rate)]
Whole = Annotated[int, BeforeValidator(no_truth)]
Weekday = Annotated[int, BeforeValidator(no_truth), Field(ge=0, le=6)]
Clock = Annotated[time, BeforeValidator(_clock_time)]
Hours = Annotated[tuple[Clock, Clock], AfterValidator(_in_order)]
Entry = Annotated[dict[str, Any], BeforeValidator(_entry)]
Day = Annotated[date, BeforeValidator(_day)]
Money = Annotated[Fraction | None, BeforeValidator(_money)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
