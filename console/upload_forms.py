"""The form of an upload: what somebody chose about a file's columns and values, and the mapping it makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from console.upload_faults import FieldFault, FormFault, of_mapping
from console.upload_fields import LABELS, OPTIONS, column_field
from intake.mapping import CALL_FIELDS, SEALED_FIELDS, CallMapping, guessed, mapping_of
from intake.values import NO, UNITS, YES
from survey.errors import InputError

DATE_ORDERS = {"": "", "dmy": "day first", "mdy": "month first", "ymd": "year first"}
LONGEST_ANSWER = 200
Answer = TypeVar("Answer")
# What the form asks for; the rest of a mapping (constants, formats of dates, ...) can only come from a mapping file.
ASKED = frozenset({"columns", "values", "zone", "date_order", "duration_unit", "source", "format"})


@dataclass(frozen=True)
class Choices:
    """What somebody chose. `columns` lead from our field to the file's column; `rest` is what a mapping file added."""

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    site: str = ""
    source: str = ""
    date_order: str = ""
    zone: str = ""
    duration_unit: str = "seconds"
    yes: str = ""
    no: str = ""
    create_agents: bool = False
    rest: Mapping[str, Any] = field(default_factory=dict)

    def mapping(self) -> CallMapping:
        """The mapping these choices make. Raises FormFault with every fault listed."""
        mapping, faults = self.mapping_so_far()
        if faults:
            raise FormFault(*faults)
        return mapping

    def mapping_so_far(self) -> tuple[CallMapping, list[FieldFault]]:
        """The mapping without those of these choices that cannot be, and what is wrong with them."""
        twice = self._contacts_twice()
        values = {name: pairs for name, pairs in self.rest.get("values", {}).items() if name != "answered"}
        answered, both = self._answered()
        if answered:
            values["answered"] = answered
        given = {
            **self.rest,
            "columns": {name: column for name, column in self.columns.items() if name not in twice},
            "values": values,
            "zone": self.zone or None,
            "date_order": self.date_order or None,
            "duration_unit": self.duration_unit,
            "source": self.source or None,
            "format": self.format or None,
        }
        mapping, faults = _as_far_as_valid(given)
        return mapping, [*twice.values(), *both, *faults]

    def words_of(self, means: bool) -> list[str]:
        """The words that were typed for answered (true) or not answered (false)."""
        typed = (self.yes if means else self.no).split(",")
        return list(dict.fromkeys(word.strip() for word in typed if word.strip()))

    def _answered(self) -> tuple[dict[str, bool], list[FieldFault]]:
        """What is written for answered and not (empty where our own words say it all), and words that are both."""
        yes, no = self.words_of(True), self.words_of(False)
        both = sorted({word.casefold() for word in yes} & {word.casefold() for word in no})
        faults = [
            FieldFault("no", OPTIONS["no"], f"{word!r} stands for answered and for not answered: leave it in one")
            for word in both
        ]
        if {word.casefold() for word in yes} <= YES and {word.casefold() for word in no} <= NO:
            return {}, faults
        return dict.fromkeys(yes, True) | dict.fromkeys(no, False), faults

    def _contacts_twice(self) -> dict[str, FieldFault]:
        """Fields read from a column of contacts: it is sealed, and as another it would be shown."""
        sealed = {column: name for name, column in self.columns.items() if name in SEALED_FIELDS}
        found = {}
        for name, column in self.columns.items():
            if name not in SEALED_FIELDS and column in sealed:
                what = f"the column {column!r} is chosen for {LABELS[sealed[column]]} and for {LABELS[name]}"
                how = "a customer's contact can be nothing else, so choose another column, or none"
                found[name] = FieldFault(column_field(name), LABELS[name], f"{what}; {how}")
        return found


def guessed_choices(header: Sequence[str]) -> Choices:
    """What the names of a file's columns suggest."""
    return Choices(columns=guessed(header, CALL_FIELDS))


def choices_of(mapping: CallMapping, header: Sequence[str]) -> Choices:
    """The choices a mapping stands for; where it names no columns, they are guessed."""
    given = mapping.model_dump(mode="json", exclude_defaults=True)
    answered = mapping.values.get("answered", {})
    columns = dict(mapping.columns)
    if not columns:
        found = guessed(header, CALL_FIELDS)
        columns = {name: column for name, column in found.items() if name not in mapping.constants}
    return Choices(
        columns=columns,
        format=mapping.format or "",
        source=mapping.source or "",
        date_order=mapping.date_order or "",
        zone=mapping.zone or "",
        duration_unit=mapping.duration_unit,
        yes=", ".join(word for word, means in answered.items() if str(means).casefold() in YES),
        no=", ".join(word for word, means in answered.items() if str(means).casefold() in NO),
        rest=rest_of(given),
    )


def rest_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a mapping says beyond what the form asks for."""
    rest = {name: value for name, value in given.items() if name not in ASKED}
    values = {name: pairs for name, pairs in given.get("values", {}).items() if name != "answered"}
    return rest | ({"values": values} if values else {})


def chosen(form: Mapping[str, str], header: Sequence[str]) -> tuple[Choices, list[FieldFault]]:
    """The choices of a sent form, columns by their number, and what is wrong with the answers that were left out."""
    faults: list[FieldFault] = []

    def told(read: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return read()
        except FormFault as fault:
            faults.extend(fault.faults)
            return otherwise

    def text(name: str) -> str:
        return told(lambda: _text(form, name), "")

    # In the order of the page.
    site, source, format = text("site"), text("source"), text("format")
    columns = {name: told(partial(_column, form, name, header), "") for name in LABELS}
    choices = Choices(
        columns={name: columns[name] for name in CALL_FIELDS if columns[name]},
        format=format,
        site=site,
        source=source,
        date_order=told(lambda: _one_of(form, "date_order", DATE_ORDERS), ""),
        zone=text("zone"),
        duration_unit=told(lambda: _one_of(form, "duration_unit", UNITS), "") or "seconds",
        yes=text("yes"),
        no=text("no"),
        create_agents=form.get("agents") == "create",
        rest=told(lambda: _rest(form), {}),
    )
    return choices, faults


def kept(choices: Choices) -> dict[str, Any]:
    """The choices for the audit trail, from which the next upload takes them up: nothing of the file's rows."""
    mapping = choices.mapping().model_dump(mode="json", exclude_defaults=True)
    return {"mapping": mapping, "site": choices.site, "agents": "create" if choices.create_agents else "refuse"}


def taken_up(detail: Mapping[str, Any], header: Sequence[str]) -> Choices | None:
    """The choices that `kept` wrote down, if they fit a file with that header."""
    try:
        mapping = mapping_of(detail["mapping"])
    except (InputError, KeyError):  # written down by another version
        return None
    named = {*mapping.columns.values(), *mapping.id_columns}
    if not named <= set(header):
        return None
    again = choices_of(mapping, header)
    return replace(again, site=detail.get("site", ""), create_agents=detail.get("agents") == "create")


def _column(form: Mapping[str, str], name: str, header: Sequence[str]) -> str:
    number = form.get(f"column_{name}", "")
    if not number:
        return ""
    if not number.isdecimal() or len(number) > 6 or int(number) >= len(header):
        what = "that is not a column of this file: choose one from the list"
        raise FormFault(FieldFault(column_field(name), LABELS[name], what))
    return header[int(number)]


def _text(form: Mapping[str, str], name: str) -> str:
    text = form.get(name, "").strip()
    if len(text) > LONGEST_ANSWER or not text.isprintable():
        what = (
            f"the answer is longer than {LONGEST_ANSWER} characters, or has some that cannot be printed: type it anew"
        )
        raise FormFault(_about(name, what))
    return text


def _one_of(form: Mapping[str, str], name: str, known: Mapping[str, Any]) -> str:
    text = _text(form, name)
    if text and text not in known:
        raise FormFault(_about(name, f"{text!r} is not offered: choose one from the list"))
    return text


def _about(name: str, what: str) -> FieldFault:
    field = "order" if name == "date_order" else name
    return FieldFault(field, OPTIONS[field], what)


def _rest(form: Mapping[str, str]) -> dict[str, Any]:
    """What came with a mapping file, carried along by the page. Raises FormFault where it has been tampered with."""
    try:
        rest = json.loads(form.get("rest") or "{}")
    except (ValueError, RecursionError):
        rest = None
    if not isinstance(rest, dict) or not isinstance(rest.get("values", {}), dict):
        what = "the page has lost what the mapping file said: hand it in again"
        raise FormFault(FieldFault("mapping", OPTIONS["mapping"], what))
    return rest_of(rest)


def _as_far_as_valid(given: dict[str, Any]) -> tuple[CallMapping, list[FieldFault]]:
    """The mapping of what is valid, and what is wrong with the rest."""
    faults: list[FieldFault] = []
    while given:
        try:
            mapping = CallMapping.model_validate(given)
        except ValidationError as error:
            faults += of_mapping(error)
            # What is wrong between parts is known by none of them: then it is between columns and constants.
            wrong = {str(each["loc"][0]) if each["loc"] else "constants" for each in error.errors()}
            rest = {name: value for name, value in given.items() if name not in wrong}
            given = rest if len(rest) < len(given) else {}
            continue
        if _is_storable(mapping):
            return mapping, faults
        what = "a column or a value has a NUL byte, or something that is no character"
        faults.append(FieldFault("", "", f"{what}: choose another column, or save the file anew as CSV UTF-8"))
        break
    return CallMapping(), faults


def _is_storable(mapping: CallMapping) -> bool:
    """The database takes neither NUL nor half a character, wherever a file or a form got it from."""
    try:
        return "\\u0000" not in mapping.model_dump_json()
    except ValueError:
        return False
