"""What the fields of a campaign file are made of: rates, money, times, days and whole numbers, each read strictly.

Each of these raises ValueError, which pydantic lists among the other faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from scheduler.plan_faults import shown
from scheduler.sampling import fraction
from survey.errors import InputError

Checked = TypeVar("Checked")

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d\d:\d\d)?")


def _rate(value: object) -> Fraction:
    return listed(lambda: fraction(no_truth(value), ""))


def listed(check: Callable[[], Checked]) -> Checked:
    """The check's result; its refusal as one that is listed among the others."""
    try:
        return check()
    except InputError as fault:
        raise ValueError(str(fault)) from None


def _money(value: object) -> Fraction | None:
    return None if value is None else listed(lambda: fraction(no_truth(value), "", example="250.00"))


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


Rate = Annotated[Fraction, BeforeValidator(_rate)]
Whole = Annotated[int, BeforeValidator(no_truth)]
Weekday = Annotated[int, BeforeValidator(no_truth), Field(ge=0, le=6)]
Clock = Annotated[time, BeforeValidator(_clock_time)]
Day = Annotated[date, BeforeValidator(_day)]
Money = Annotated[Fraction | None, BeforeValidator(_money)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
