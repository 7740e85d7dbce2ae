"""Which column is which field, and how its text is to be read: from a TOML file, or guessed from our own names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator, model_validator

from intake.discreet import columns_told
from intake.toml_files import faults
from intake.values import duration_unit_known
from survey.calendars import known_zone
from survey.errors import AftercallError, InputError
from survey.toml_files import read_toml

CALL_FIELDS = (
    "external_id",
    "leg",
    "recorded_at",
    "agent",
    "site",
    "started_at",
    "date",
    "time",
    "ended_at",
    "answered",
    "talk_seconds",
    "duration",
    "wait_seconds",
    "queue",
    "topic",
    "language",
    "phone",
    "email",
    "consents_to_calls",
    "relay",
    "internal",
)
CONTACT_FIELDS = ("external_id", "phone", "email", "language", "consents_to_calls", "relay")
# How customers are reached: kept sealed, and repeated in no message, report or rejects file.
SEALED_FIELDS = frozenset({"phone", "email"})
# The only other names that are guessed; everything else is said in a mapping.
ALIASES = {"call_id": "external_id", "callid": "external_id", "id": "external_id"}

SIGNS = "write %d for the day, %m the month, %Y the year (%y of two digits), %H:%M:%S the time, %% a percent sign"

DateOrder = Literal["dmy", "mdy", "ymd"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Formats = Annotated[list[str], BeforeValidator(_listed)]
Plain = str | bool | int


class CallMapping(BaseModel):
    """A mapping file. `columns` and `contacts` lead from field to column; docs/intake.md explains all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str] = {}
    contacts: dict[str, str] = {}
    constants: dict[str, Plain] = {}
    values: dict[str, dict[str, Plain]] = {}
    date_format: Formats = []
    time_format: Formats = []
    datetime_format: Formats = []
    date_order: DateOrder | None = None
    zone: str | None = None
    duration_unit: str = "seconds"
    end: Literal["auto", "ended_at", "duration", "wait + talk"] = "auto"
    source: str | None = None
    format: str | None = None
    # Columns that only together tell one call from another, and texts that mean nothing was given.
    id_columns: Formats = []
    nothing: Formats = []

    @field_validator("columns", "constants", "values")
    @classmethod
    def _known_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        return _only(given, CALL_FIELDS)

    @field_validator("contacts")
    @classmethod
    def _known_contact_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        return _only(given, CONTACT_FIELDS)

    @field_validator("date_format", "time_format", "datetime_format")
    @classmethod
    def _known_signs(cls, formats: list[str]) -> list[str]:
        """A sign that means nothing would let a format fit no row at all."""
        for form in formats:
            try:
                datetime.strptime("", form)  # noqa: DTZ007 (nothing is read)
            except (ValueError, re.error) as error:
                if "does not match" not in str(error):
                    raise ValueError(f"{form!r} is no format: {SIGNS}") from None
        return formats

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return _value_error(known_zone, zone) if zone else None

    @field_validator("duration_unit")
    @classmethod
    def _known_unit(cls, unit: str) -> str:
        return duration_unit_known(unit)

    @model_validator(mode="after")
    def _either_column_or_constant(self) -> CallMapping:
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ValueError(f"{both[0]} is given both a column and a constant")
        return self

    def has(self, field: str) -> bool:
        given = field in self.columns or field in self.constants
        return given or (field == "external_id" and bool(self.id_columns))


def read_mapping(path: Path) -> CallMapping:
    """The mapping in a TOML file. Raises InputError with every fault listed."""
    return mapping_of(read_toml(path), path.name)


def mapping_of(given: Mapping[str, object], name: str = "mapping") -> CallMapping:
    """The mapping in a dict of the same shape as the file. Raises InputError with every fault listed."""
    try:
        return CallMapping.model_validate(given)
    except ValidationError as error:
        what = faults(error, CallMapping.model_fields)
        raise InputError(what, where=name, how="docs/intake.md explains mapping files.") from None


def guessed(header: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Our field to the file's column, for columns called as we call them ("Call Id" and "CALL-ID" are call_id)."""
    found: dict[str, str] = {}
    for name in header:
        key = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
        field = ALIASES.get(key, key)
        if field in fields:
            found.setdefault(field, name)
    return found


def positions(columns: Mapping[str, str], header: Sequence[str], name: str) -> dict[str, int]:
    """Our field to the number of its column. Raises InputError for a column that is missing or there twice."""
    return {field: position(column, field, header, name) for field, column in columns.items()}


def position(column: str, field: str, header: Sequence[str], name: str) -> int:
    """The number of a column. Raises InputError for one that is missing or there twice."""
    places = [n for n, there in enumerate(header) if there == column]
    if not places:
        places = [n for n, there in enumerate(header) if there.casefold() == column.casefold().strip()]
    if len(places) == 1:
        return places[0]
    if places:
        raise InputError(
            f"has {len(places)} columns called {column!r}", where=f"{name}, header", how="Rename all but one of them."
        )
    raise InputError(
        f"has no column {column!r} (for {field})",
        where=f"{name}, header",
        how=columns_told(header),
    )


def _only(given: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    strange = sorted(set(given) - set(known))
    if strange:
        raise ValueError(f"{', '.join(strange)}: no such field; known are {', '.join(known)}")
    return given


def _value_error(check: Any, value: str) -> str:
    try:
        return str(check(value))
    except AftercallError as error:
        raise ValueError(str(error)) from None
