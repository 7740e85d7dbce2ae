"""Reading dates and times as contact centres write them, and placing local ones on the one time line.

Never guesses: 03/04/2026 is read only when the mapping, an option or the file itself says which part is the month.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from intake.date_orders import (
    DATE_TIME,
    EARLIEST_YEAR,
    LATEST_YEAR,
    LONGEST,
    MONTHS,
    DateParts,
    Unclear,
    full_year,
    is_numeric_date,
    order_shown_by,
    parts_of,
)
from intake.mapping import CallMapping, DateOrder
from intake.rows import RowFault, shown

__all__ = ["EARLIEST_YEAR", "LATEST_YEAR", "is_numeric_date", "order_shown_by"]

# Formats that strptime has no sign for: a spreadsheet's day number, and seconds or milliseconds since 1970 in UTC.
EXCEL, EPOCH, EPOCH_MS = "excel", "epoch", "epoch-ms"
_SINCE_1970 = {EPOCH: 1, EPOCH_MS: 1000}
_UNITS = {EPOCH: "seconds", EPOCH_MS: "milliseconds"}
_FIRST_SECOND = int(datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(LATEST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
EXCEL_DAY_ZERO = date(1899, 12, 30)
MISSING_TIME = "local times that the clock change skipped (read an hour later)"
DOUBLE_TIME = "local times that the clock change repeated (read as the first)"

_ISO = re.compile(r"(\d{4})(?:(?P<sep>[-/.])(\d{1,2})(?P=sep)(\d{1,2})|(\d{2})(\d{2}))")
_MONTH_DAY = re.compile(r"([a-z]{3,9})\.?[-/ ]+(\d{1,2})[-/ ,]+(\d{4}|\d{2})", re.I)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?(?:\s*([ap])\.?m\.?)?", re.I)
_COUNT = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?")
_FRACTION = re.compile(r"0?[.,]\d{1,20}|0")

Read = TypeVar("Read", date, time, datetime)
Day = TypeVar("Day", date, datetime)


@dataclass
class Moments:
    """How one file writes dates and times: the mapping's formats, or what can be read in one way only.

    `order` says which part of 03/04/2026 is what; None refuses dates that need it.
    """

    date_formats: list[str] = field(default_factory=list)
    time_formats: list[str] = field(default_factory=list)
    datetime_formats: list[str] = field(default_factory=list)
    order: DateOrder | None = None

    def __post_init__(self) -> None:
        # A file repeats its dates thousands of times.
        self._date = lru_cache(maxsize=10_000)(self._read_date)

    def day(self, text: str, column: str) -> date:
        """Raises RowFault for what is no date, may be two, or lies out of all reason."""
        try:
            day = self._date(text)
        except RowFault as fault:
            fault.column = column
            raise
        return _plausible(day, text, column)

    def time_of_day(self, text: str, column: str) -> time:
        """A time of day, to the second. Raises RowFault for what is none."""
        found = None if len(text) > LONGEST else _by_formats(text, self.time_formats, datetime.time) or _time_of(text)
        if found is None:
            raise RowFault("not a time of day", column=column, detail=shown(text))
        return found

    def moment(self, text: str, column: str) -> datetime:
        """A date with its time of day: aware where the text (or its format) names an offset, else local and naive."""
        if not self.datetime_formats and (plain := _iso_moment(text)) is not None:
            _plausible(plain, text, column)
            return plain
        counted = [form for form in self.datetime_formats if form in _SINCE_1970] if _COUNT.fullmatch(text) else []
        for form in counted:
            if (since_1970 := _since_1970(text, form)) is not None:
                return since_1970
        by_format = _by_formats(text, self.datetime_formats, _unchanged)
        if by_format is not None:
            _plausible(by_format.date(), text, column)
            return by_format.replace(microsecond=0)
        if counted:
            raise _out_of_reason(text, counted, column)
        parts = DATE_TIME.fullmatch(text) if len(text) <= LONGEST else None
        if parts is None:
            raise RowFault("not a date with a time", column=column, detail=shown(text))
        local = datetime.combine(self.day(parts.group(1), column), self.time_of_day(parts.group(2), column))
        return _with_offset(local, parts.group(3), text, column)

    def _read_date(self, text: str) -> date:
        if len(text) > LONGEST:
            raise RowFault("not a date", detail=shown(text))
        by_format = _by_formats(text, self.date_formats, datetime.date) or self._excel_day(text)
        if by_format is not None:
            return by_format
        if match := _ISO.fullmatch(text):
            year, month, day = match.group(1, 3, 4) if match["sep"] else match.group(1, 5, 6)
            return _day(int(year), int(month), int(day), text)
        if match := _MONTH_DAY.fullmatch(text):
            return _day(full_year(match.group(3)), _month(match.group(1), text), int(match.group(2)), text)
        if (parts := parts_of(text)) is not None:
            return self._ordered(parts, text)
        midnight = re.fullmatch(r"(\d{4}-\d{2}-\d{2})[ T]00:00:00", text)  # a workbook's date cell
        if midnight:
            return self._read_date(midnight.group(1))
        raise RowFault("not a date", detail=shown(text))

    def _excel_day(self, text: str) -> date | None:
        if EXCEL not in self.date_formats or not re.fullmatch(r"\d{4,6}(\.\d+)?", text):
            return None
        return EXCEL_DAY_ZERO + timedelta(days=int(Decimal(text)))

    def _ordered(self, parts: DateParts, text: str) -> date:
        order = parts.allowed(self.order)
        if order is not None:
            return _day(*parts.year_month_day(order), text)
        readings = parts.readings()
        if len(set(readings.values())) > 1:
            raise Unclear(text, readings)
        return _day(*parts.year_month_day(next(iter(readings), parts.likeliest)), text)


def moments_of(mapping: CallMapping, order: DateOrder | None) -> Moments:
    """The reading a mapping asks for; `order` (an option) goes before the mapping's own."""
    return Moments(mapping.date_format, mapping.time_format, mapping.datetime_format, order=order or mapping.date_order)


# --- local times ---


def placed(local: datetime, zone: ZoneInfo, not_before: datetime | None = None) -> tuple[datetime, str]:
    """A moment in UTC, and the note to count when a clock change had to be settled ("" mostly).

    A time the clocks skipped is read with the offset before the change (02:30 becomes 03:30); one they repeated is the
    first of the two, unless that lies before `not_before` (an end before its own start): then the second.
    """
    if local.tzinfo is not None:
        return local.astimezone(UTC), ""
    steady = _steady_offset(local.replace(minute=0, second=0, microsecond=0), zone)
    if steady is not None:
        return (local - steady).replace(tzinfo=UTC), ""
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    moment = first.astimezone(UTC)
    if first.utcoffset() == second.utcoffset():
        return moment, ""
    if moment.astimezone(zone).replace(tzinfo=None) != local:
        return moment, MISSING_TIME
    if not_before is not None and moment < not_before:
        return second.astimezone(UTC), DOUBLE_TIME
    return moment, DOUBLE_TIME


@lru_cache(maxsize=10_000)
def _steady_offset(hour: datetime, zone: ZoneInfo) -> timedelta | None:
    """The offset from UTC that holds throughout a local hour; None where a clock change comes near."""
    ends = (hour, hour + timedelta(minutes=59, seconds=59))
    offsets = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for moment in ends for fold in (0, 1)}
    return offsets.pop() if len(offsets) == 1 else None


# --- small readings ---


def _iso_moment(text: str) -> datetime | None:
    """What most systems write, 2026-03-31T09:12:58 with or without an offset, by the quickest way; None: not that."""
    if len(text) < 19 or text[4] != "-" or text[7] != "-" or text[13] != ":" or text[11:13] == "24":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(microsecond=0) if found.microsecond else found


def _since_1970(text: str, form: str) -> datetime | None:
    """The moment that a count is, to the second; None where its year is out of all reason."""
    seconds = int(Decimal(text) // _SINCE_1970[form])
    return datetime.fromtimestamp(seconds, UTC) if _FIRST_SECOND <= seconds < _LAST_SECOND else None


def _out_of_reason(text: str, counted: list[str], column: str) -> RowFault:
    """Why a count is no moment; says which format would read it, if one does."""
    reason = f"the year is not between {EARLIEST_YEAR} and {LATEST_YEAR}"
    other = next((form for form in _SINCE_1970 if form not in counted and _since_1970(text, form) is not None), None)
    hint = f" (is it {_UNITS[other]} since 1970? Then datetime_format is {other!r})" if other else ""
    return RowFault(reason, column=column, detail=shown(text) + hint)


def _unchanged(found: datetime) -> datetime:
    return found


def _by_formats(text: str, formats: list[str], part: Callable[[datetime], Read]) -> Read | None:
    for form in formats:
        if form in (EXCEL, *_SINCE_1970):
            continue
        try:
            return part(datetime.strptime(text, form))  # noqa: DTZ007 (local times are placed afterwards)
        except ValueError:
            continue
    return None


def _time_of(text: str) -> time | None:
    # A spreadsheet re-saves a time of day as a fraction of a day, or as that time on its first day.
    bare = re.sub(r"^(?:1900-01-01|1899-12-3[01])[ T]", "", text)
    if match := _TIME.fullmatch(bare):
        return _clock_time(match)
    if _FRACTION.fullmatch(text):
        whole = int((Decimal(text.replace(",", ".")) * 86_400).quantize(Decimal(1), ROUND_HALF_UP))
        return None if whole >= 86_400 else time(whole // 3600, whole // 60 % 60, whole % 60)
    return None


def _clock_time(match: re.Match[str]) -> time | None:
    hour, minute, second, half = int(match.group(1)), int(match.group(2)), int(match.group(3) or 0), match.group(4)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    return time(hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _with_offset(local: datetime, offset: str | None, text: str, column: str) -> datetime:
    if not offset:
        return local
    if offset.upper() in {"Z", "UTC", "GMT"}:
        return local.replace(tzinfo=UTC)
    try:
        return datetime.fromisoformat(f"{local:%Y-%m-%dT%H:%M:%S}{offset}")
    except ValueError:
        raise RowFault("not a date with a time", column=column, detail=shown(text)) from None


def _day(year: int, month: int, day: int, text: str) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise RowFault("there is no such day", detail=shown(text)) from None


def _month(word: str, text: str) -> int:
    number = MONTHS.get(word[:3].lower())
    if number is None:
        raise RowFault("not a date", detail=shown(text))
    return number


def _plausible(day: Day, text: str, column: str) -> Day:
    if EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        return day
    raise RowFault(f"the year is not between {EARLIEST_YEAR} and {LATEST_YEAR}", column=column, detail=shown(text))
