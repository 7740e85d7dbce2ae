"""Dates that a mapping gives to every row: they must be readable in one way before the first row is read."""

from __future__ import annotations

from intake.mapping import CallMapping, DateOrder
from intake.moments import UNCLEAR, Moments, is_numeric_date, moments_of
from intake.rows import RowFault
from survey.errors import InputError

DATE_FIELDS = ("date", "started_at", "ended_at", "recorded_at")


def check_constants(mapping: CallMapping, order: DateOrder | None) -> None:
    """Raises InputError for a constant that is no date, or that may be two; `order` is the option's or the mapping's.

    A file's own dates settle nothing here: they show how the file is written, not its mapping.
    """
    moments = moments_of(mapping, order)
    for field in DATE_FIELDS:
        if text := str(mapping.constants.get(field, "")):
            try:
                (moments.day if field == "date" else moments.moment)(text, field)
            except RowFault as fault:
                raise _not_read(fault, text, f"mapping, [constants] {field}") from None


def _not_read(fault: RowFault, text: str, where: str) -> InputError:
    if fault.reason != UNCLEAR or not is_numeric_date(text):
        return InputError(fault.text, where=where, how="Write it as 2026-03-31, with a time as 2026-03-31 09:12:58.")
    written = text.split()[0].partition("T")[0].rstrip(",")
    day_first, month_first = (Moments(order=order).day(written, where) for order in ("dmy", "mdy"))
    return InputError(
        f"{written!r} is {day_first} read day first and {month_first} read month first",
        where=where,
        how="Write it in one of these two ways, or settle it with --date-order dmy or --date-order mdy"
        " (or date_order in the mapping).",
    )
