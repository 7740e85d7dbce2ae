"""Dates that a mapping gives to every row: they must be readable in one way before the first row is read."""

from __future__ import annotations

from datetime import date

from intake.date_orders import Unclear, options_for, side_by_side
from intake.mapping import CallMapping, DateOrder
from intake.moments import moments_of
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
                raise _not_read(fault, f"mapping, [constants] {field}") from None


def _not_read(fault: RowFault, where: str) -> InputError:
    if not isinstance(fault, Unclear):
        return InputError(fault.text, where=where, how="Write it as 2026-03-31, with a time as 2026-03-31 09:12:58.")
    return InputError(
        f"{fault.detail} is {side_by_side(fault.readings, date.isoformat)}",
        where=where,
        how="Write it in one of these ways, or settle it with"
        f" {options_for(fault.readings)} (or date_order in the mapping).",
    )
