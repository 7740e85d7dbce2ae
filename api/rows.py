"""The calls of one request as given: each made a row of our field names, or the reason why it is none.

Every call is judged by itself: what its neighbours say or leave out makes no difference to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from api.bodies import Repeated
from intake.formats import Unreadable
from intake.mapping import CALL_FIELDS, guessed
from intake.moments import is_numeric_date
from intake.rows import RowFault
from survey.errors import InputError

LONGEST_ID = 1_000
# Names of fields that are not ours are told back, as long as they are names and not too many.
LONGEST_NAME = 60
NAMES_TOLD = 100
MOST_NAMES = 1_000
UNSAID_ORDER = "begins with the day or the month, and date_order does not say with which"
UNNAMEABLE = "(a name that is no plain word)"

# What a JSON value may be, field by field. A number with a fraction is no id: it may have lost digits on its way.
_TEXT = frozenset({str, int})
_TRUTH = frozenset({str, int, bool})
_LENGTH = frozenset({str, int, float})
_TYPES = (
    dict.fromkeys(CALL_FIELDS, _TEXT)
    | dict.fromkeys(("answered", "internal", "consents_to_calls", "relay"), _TRUTH)
    | dict.fromkeys(("talk_seconds", "duration", "wait_seconds"), _LENGTH)
)
_WANTED = {_TEXT: "text or a whole number", _TRUTH: "true or false", _LENGTH: "a number"}
_KINDS = {str: "text", int: "a number", float: "a number with a fraction", bool: "true or false", list: "a list"}
_MOMENTS = ("started_at", "date", "ended_at", "recorded_at")
# One of each is needed to make a call.
_NEEDED = (
    ("external_id",),
    ("started_at", "date"),
    ("answered", "talk_seconds"),
    ("talk_seconds", "duration", "ended_at"),
)
# What a row that is none says in its place: a table of nothing but such rows is not refused for want of a column.
_COLUMNS: dict[str, object] = {"external_id": None, "started_at": None, "talk_seconds": None}
_PLAIN_NAME = re.compile(r"[^\W\d][\w .-]*")

GivenRow = Mapping[str, object]


class GivenCalls:
    """The rows to take in, one for each call given and in the same order; `faults` are those that are none, by place.

    `site`: the request names one for all calls. `date_order`: it says how to read 03/04/2026. Raises InputError where
    names are no names but values.
    """

    def __init__(self, calls: Sequence[object], *, site: bool, date_order: bool) -> None:
        self._date_order = date_order
        self._needed = _NEEDED if site else (*_NEEDED, ("site",))
        self._columns = _COLUMNS if site else _COLUMNS | {"site": None}
        self._fields: dict[str, str] = {}
        self._ignored: dict[str, None] = {}
        self.calls, self.faults = calls, dict[int, RowFault]()
        self.rows = [self._row(place, call) for place, call in enumerate(calls)]

    @property
    def ignored(self) -> list[str]:
        """The names that mean nothing here, in the order they came: the first hundred of them."""
        return list(dict.fromkeys(map(nameable, self._ignored)))[:NAMES_TOLD]

    @property
    def nothing(self) -> GivenRow:
        """What stands for a row where there is none: its columns are those a call needs."""
        return self._columns

    @property
    def ignored_beside(self) -> int:
        """How many names are ignored besides those."""
        return max(0, len(self._ignored) - NAMES_TOLD)

    def external_id(self, place: int) -> str | None:
        """The call's own id as far as it can be told from what was given."""
        call = self.calls[place]
        if not isinstance(call, dict):
            return None
        found = next((value for name, value in call.items() if field_of(name) == "external_id"), None)
        return str(found)[:LONGEST_ID] if type(found) in _TEXT else None

    def _row(self, place: int, call: object) -> GivenRow:
        try:
            return self._checked(call)
        except RowFault as fault:
            self.faults[place] = fault
            return Unreadable(self._columns, fault=fault.text)

    def _checked(self, call: object) -> dict[str, object]:
        if not isinstance(call, dict):
            raise RowFault(f"is {_kind(call)}, no object")
        if isinstance(call, Repeated):
            raise RowFault("is given twice", column=nameable(call.name))
        row: dict[str, object] = {}
        for name, value in call.items():
            field = self._fields.get(name) or self._field(name)
            if field is None:
                continue
            if field in row:
                raise RowFault(f"is given twice (also as {field})", column=nameable(name))
            if type(value) is not str or not value.isascii():
                _check_value(field, value)
            row[field] = value
        self._check_needed(row)
        return _with_one_start(row)

    def _field(self, name: str) -> str | None:
        """The field of a name that is met for the first time, or that is none of ours."""
        field = field_of(name)
        if field is not None:
            self._fields[name] = field
            return field
        self._ignored.setdefault(name)
        if len(self._ignored) > MOST_NAMES:
            how = "A name says what its value is, such as talk_seconds; it is the same in every call."
            raise InputError(f"have more than {MOST_NAMES:,} different names", where="calls", how=how)
        return None

    def _check_needed(self, row: Mapping[str, object]) -> None:
        given = {field for field, value in row.items() if value is not None and _has_text(value)}
        for fields in self._needed:
            if given.isdisjoint(fields):
                raise RowFault("is missing", column=" or ".join(fields))
        if "started_at" not in given and "time" not in given:
            raise RowFault("is missing", column="time")
        if not self._date_order:
            _check_order(row)


def field_of(name: str) -> str | None:
    """Our field of that name ("call_id" and "Call Id" are external_id); None for a name that is not ours."""
    return _field_of(name) if len(name) <= LONGEST_NAME else None


@lru_cache(maxsize=1_000)
def _field_of(name: str) -> str | None:
    return next(iter(guessed([name], CALL_FIELDS)), None)


def nameable(name: str) -> str:
    """A name as it may be told back: whoever puts a customer's number where a name belongs does not get it back."""
    return name if len(name) <= LONGEST_NAME and _PLAIN_NAME.fullmatch(name) else UNNAMEABLE


def _check_value(field: str, value: object) -> None:
    """Raises RowFault for a value that this field cannot be."""
    if isinstance(value, str):
        _check_text(value, field)
    elif value is not None and type(value) not in _TYPES[field]:
        raise RowFault(f"is {_kind(value)} where {_WANTED[_TYPES[field]]} is wanted", column=field)


def _check_text(text: str, column: str) -> None:
    """Raises RowFault for half a sign: JSON can say one, no text can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowFault("holds half a character (a lone surrogate)", column=column) from None


def _check_order(row: Mapping[str, object]) -> None:
    for field in _MOMENTS:
        value = row.get(field)
        if isinstance(value, str) and value[4:5] != "-" and is_numeric_date(value.strip()):
            raise RowFault(UNSAID_ORDER, column=field)


def _with_one_start(row: dict[str, object]) -> dict[str, object]:
    """With its start in one field: calls that give it as date and time may come among others that do not."""
    day, hour = row.pop("date", None), row.pop("time", None)
    started_at = row.get("started_at")
    return row if started_at is not None and _has_text(started_at) else row | {"started_at": f"{day} {hour}"}


def _has_text(value: object) -> bool:
    """Whether a value is more than spaces."""
    return not isinstance(value, str) or bool(value and not value.isspace())


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "nothing" if value is None else "an object")
