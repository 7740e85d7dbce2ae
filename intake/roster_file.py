"""What a roster file may say: an organisation with its sites, supervisors and agents, and who belonged where, when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from intake.discreet import columns_told
from intake.file_names import check_name
from intake.formats import open_table
from intake.rows import RowFault
from intake.toml_files import faults
from survey.calendars import known_country, known_zone
from survey.errors import AftercallError, InputError
from survey.toml_files import read_toml

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TABLES = ("organisation", "sites", "supervisors", "agents")
ASSIGNMENT_COLUMNS = ("agent", "supervisor", "site", "from", "until")


def _zone(zone: str) -> str:
    try:
        return known_zone(zone)
    except AftercallError as error:
        raise ValueError(str(error)) from None


def _weekday(day: object) -> object:
    if isinstance(day, str) and day.casefold() in WEEKDAYS:
        return WEEKDAYS.index(day.casefold())
    raise ValueError(f"{day!r} is not a day of the week; write {', '.join(WEEKDAYS)}")


def _country(code: str) -> str:
    """Holiday tables answer to nicknames too ("UK", "USA"), telephone numbers to ISO 3166 codes only."""
    if code not in SUPPORTED_REGIONS:
        raise ValueError(f"{code!r} is not a country; write its ISO 3166 code, such as US or GB")
    return code


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a NUL byte")
    return text


def _own_number(text: str) -> str:
    """The beginning of a number; a short one would shut out customers."""
    bare = re.sub(r"[ ().-]", "", text)
    if not re.fullmatch(r"\+\d{7,15}", bare):
        raise ValueError(
            f"{text!r} is not the beginning of a number; write +, country code and at least 7 digits in all"
        )
    return bare


Line = Annotated[str, AfterValidator(_plain)]
Text = Annotated[Line, Field(min_length=1, max_length=200)]
Country = Annotated[str, AfterValidator(_country)]
Weekday = Annotated[int, BeforeValidator(_weekday)]
Zone = Annotated[str, AfterValidator(_zone)]
OwnNumber = Annotated[str, AfterValidator(_own_number)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class OrganisationEntry(_Entry):
    key: Text
    name: Text
    country: Country
    language: Text = "en"
    postal_address: Line = ""
    phone: Line = ""
    privacy_url: Line = ""
    own_numbers: list[OwnNumber] = []

    @model_validator(mode="after")
    def _country_known(self) -> OrganisationEntry:
        return _with_known_country(self, self.country, None)


class SiteEntry(_Entry):
    """`weekend` left out means the country's own."""

    key: Text
    name: Text
    time_zone: Zone
    country: Country
    subdivision: str | None = None
    weekend: list[Weekday] | None = None
    closed_days: list[date] = []
    opened_days: list[date] = []
    opened_on: date | None = None
    closed_on: date | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> SiteEntry:
        if self.opened_on and self.closed_on and self.closed_on <= self.opened_on:
            raise ValueError("closed_on must lie after opened_on")
        if self.weekend is not None and len(set(self.weekend)) == len(WEEKDAYS):
            raise ValueError("a weekend of seven days leaves no business day")
        return _with_known_country(self, self.country, self.subdivision)


class PersonEntry(_Entry):
    """A supervisor or an agent. `listed` is the person's recorded consent to stand in the public registry by name."""

    key: Text
    name: Text
    listed: bool = False


class AssignmentEntry(_Entry):
    """`from` is the first day, `until` the first day no longer (left out: still)."""

    agent: Text
    site: Text
    supervisor: str | None = None
    starts_on: date = Field(alias="from")
    ends_on: date | None = Field(default=None, alias="until")

    @model_validator(mode="after")
    def _ends_after_start(self) -> AssignmentEntry:
        if self.ends_on and self.ends_on <= self.starts_on:
            raise ValueError("until must lie after from")
        return self


EntryType = TypeVar("EntryType", bound=_Entry)
Whole = TypeVar("Whole", bound=_Entry)


@dataclass(frozen=True)
class Placed(Generic[EntryType]):
    """An entry, and where in the file it stands."""

    where: str
    entry: EntryType


@dataclass(frozen=True)
class Bad:
    """An entry that cannot be taken, and why."""

    where: str
    fault: RowFault


@dataclass(frozen=True)
class RosterFile:
    """A roster as read, nothing yet compared with what is stored."""

    organisation: Placed[OrganisationEntry]
    sites: list[Placed[SiteEntry]]
    supervisors: list[Placed[PersonEntry]]
    agents: list[Placed[PersonEntry]]
    assignments: list[Placed[AssignmentEntry]]
    bad: list[Bad]


def read_roster(path: Path, assignments: Path | None = None) -> RosterFile:
    """The roster in a TOML file, with assignments inline or in a CSV beside it (or both).

    Raises InputError where a file as a whole cannot be read or the organisation is faulty; a faulty entry is `bad`.
    """
    check_name(path)
    given = read_toml(path)
    _check_tables(given, path.name)
    bad: list[Bad] = []
    organisation = _organisation(given, path.name)
    agents, inline = _agents_apart(_tables(given, "agents", path.name))
    rows = [*inline, *(_assignment_rows(assignments) if assignments else [])]
    return RosterFile(
        organisation,
        _unique(_entries(_named(_tables(given, "sites", path.name), "sites"), SiteEntry, bad), bad),
        _unique(_entries(_named(_tables(given, "supervisors", path.name), "supervisors"), PersonEntry, bad), bad),
        _unique(_entries(_named(agents, "agents"), PersonEntry, bad), bad),
        _entries(rows, AssignmentEntry, bad),
        bad,
    )


def _organisation(given: Mapping[str, Any], name: str) -> Placed[OrganisationEntry]:
    if isinstance(given.get("organisation"), list):
        raise InputError(
            "has several organisations", where=name, how="Write one, as [organisation] in single brackets."
        )
    if not isinstance(given.get("organisation"), dict):
        raise InputError("has no [organisation] table", where=name, how="docs/intake.md explains roster files.")
    try:
        return Placed("organisation", OrganisationEntry.model_validate(given["organisation"]))
    except ValidationError as error:
        raise InputError(_told(error, OrganisationEntry), where=f"{name}, [organisation]") from None


def _check_tables(given: Mapping[str, Any], name: str) -> None:
    strange = sorted(set(given) - set(TABLES))
    if strange:
        raise InputError(
            f"has a table {strange[0]!r} that a roster does not know", where=name, how=f"Known: {', '.join(TABLES)}."
        )


def _tables(given: Mapping[str, Any], table: str, name: str) -> list[dict[str, Any]]:
    entries = given.get(table, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{table} must be written as [[{table}]]", where=name)
    return entries


def _agents_apart(agents: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, dict[str, Any]]]]:
    """The agents without their assignments, and the assignments with their agent."""
    inline: list[tuple[str, dict[str, Any]]] = []
    for agent in agents:
        given = agent.get("assignments", [])
        for number, assignment in enumerate(given if isinstance(given, list) else [given], start=1):
            where = f"agent {agent.get('key', '?')}, assignment {number}"
            inline.append(
                (where, {"agent": agent.get("key", ""), **(assignment if isinstance(assignment, dict) else {})})
            )
    return [{name: value for name, value in agent.items() if name != "assignments"} for agent in agents], inline


def _assignment_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    table = open_table(path)
    header = [name.casefold() for name in table.header]
    missing = [name for name in ("agent", "site", "from") if name not in header]
    if missing:
        how = f"Needed are agent, site and from; supervisor and until may be there too. {columns_told(table.header)}"
        raise InputError(f"has no column {missing[0]!r}", where=f"{table.name}, header", how=how)
    rows = []
    for row in table.rows():
        cells = {
            name: cell.strip() for name, cell in zip(header, row.cells, strict=False) if name in ASSIGNMENT_COLUMNS
        }
        rows.append((f"{table.name}, line {row.line}", {name: cell for name, cell in cells.items() if cell}))
    return rows


def _named(entries: Sequence[dict[str, Any]], table: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{table} {number} ({entry.get('key', '?')})", entry) for number, entry in enumerate(entries, start=1)]


def _entries(
    given: Sequence[tuple[str, dict[str, Any]]], kind: type[EntryType], bad: list[Bad]
) -> list[Placed[EntryType]]:
    good = []
    for where, entry in given:
        try:
            good.append(Placed(where, kind.model_validate(entry)))
        except ValidationError as error:
            bad.append(Bad(where, RowFault("faulty entry", column=_first_field(error), detail=_told(error, kind))))
    return good


def _unique(entries: list[Placed[EntryType]], bad: list[Bad]) -> list[Placed[EntryType]]:
    """The entries whose key came first; keys are compared without regard to case."""
    seen: set[str] = set()
    good = []
    for placed in entries:
        key = str(getattr(placed.entry, "key", "")).casefold()
        if key in seen:
            bad.append(Bad(placed.where, RowFault("its key is given twice", column="key")))
        else:
            seen.add(key)
            good.append(placed)
    return good


def _told(error: ValidationError, kind: type[_Entry]) -> str:
    return faults(error, [field.alias or name for name, field in kind.model_fields.items()])


def _first_field(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors()[0]["loc"])


def _with_known_country(entry: Whole, country: str, subdivision: str | None) -> Whole:
    try:
        known_country(country, subdivision)
    except AftercallError as error:
        raise ValueError(str(error)) from None
    return entry
