"""What is wrong with an upload's choices, in the words of its form and at the field that settles it.

Intake speaks of mappings, columns and options; whoever sits before the page sees none of those.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from console.upload_fields import LABELS, OPTIONS, column_field
from intake.mapping import CallMapping
from intake.preview import Preview
from intake.remarks import FREE_COLUMNS
from intake.toml_files import fault_told
from survey.errors import AftercallError, InputError

MOST_SAMPLES = 3
NEXT = "choose otherwise below, then press Look again"
# Of the parts of a mapping those that the form asks for, and their fields.
FIELD_OF = {name: name for name in ("zone", "duration_unit", "source", "format")} | {"date_order": "order"}
_NO_COLUMN_FOR = re.compile(r"has no column for (?P<what>.+?) \((?P<fields>\w+(?: or \w+)*)\)")
_NO_SUCH_COLUMN = re.compile(r"has no column (?P<column>'.*'|\".*\") \(for (?P<field>\w+)\)")
_TWICE = re.compile(r"has (?P<count>\d+) columns called (?P<column>'.*'|\".*\")")
_CONSTANT = re.compile(r"mapping, \[constants\] (?P<field>\w+)")
# A text of the file as a row's fault quotes it; a hint may stand behind.
_QUOTED = re.compile(r"(['\"])(?:\\.|(?!\1).)*\1")
_KEY = re.compile(r"\b(?:columns|constants|values)\.(\w+)")
# What can be done about rows that cannot be read, by the beginning of their reason.
REMEDIES: Sequence[tuple[str, str]] = (
    ("neither yes nor no", f"choose another column, or type its words under {OPTIONS['yes']} and {OPTIONS['no']}"),
    ("not a date", "choose another column, or say how its dates are written in a mapping file"),
    ("not a time of day", "choose another column, or say how its times are written in a mapping file"),
    ("longer than a week", f"choose another column, or another unit under {OPTIONS['duration_unit']}"),
    ("unknown agent", f"choose another column, or let agents be made under {OPTIONS['agents']}"),
    ("not UTF-8", "save the file as CSV UTF-8, and hand it in again"),
    ("unknown site", f"choose another column, or one {OPTIONS['site']}"),
)
UNDECIDED = "may be day first or month first"
UNKNOWN_AGENT = "unknown agent"
# The choices that stand above the columns.
FIRST_OPTIONS = ("site", "source", "agents", "format")


@dataclass(frozen=True)
class FieldFault:
    """What is wrong at one field of the form; `field` is its id, empty where it is the file as a whole.

    `text` is the whole of it, `samples` texts of the file that could not be read, `how` what to do where the text does
    not say it. `short` is what the summary at the top says where that is not the text.
    """

    field: str
    label: str
    text: str
    samples: Sequence[str] = ()
    how: str = ""
    short: str = ""

    @property
    def summary(self) -> str:
        """The line of the summary."""
        said = self.short or self.text
        return f"{self.label}: {said}" if self.label else said


class FormFault(InputError):
    """Choices that cannot be; `faults` are told at their fields."""

    def __init__(self, *faults: FieldFault) -> None:
        first = faults[0]
        super().__init__("; ".join(fault.text for fault in faults), where=first.label)
        self.faults = faults


def remedy(reason: str) -> str:
    """What can be done on the page about rows that a check rejected for that reason, as a sentence; or nothing."""
    bare = reason.rpartition(": ")[2]
    how = next((how for beginning, how in REMEDIES if bare.startswith(beginning)), "")
    return f"{how[:1].upper()}{how[1:]}." if how else ""


def undecided(text: str) -> FieldFault:
    """Dates of the file that read in two ways; `text` puts both readings side by side."""
    how = "choose which part is the day, then press Look again"
    return FieldFault("order", OPTIONS["order"], text, how=how, short="nothing in the file tells; say it below")


def of(fault: AftercallError, columns: Mapping[str, str], chosen_format: str) -> list[FieldFault]:
    """Why the file as a whole cannot be read with these choices (`columns` lead from our field to the file's)."""
    if isinstance(fault, FormFault):
        return list(fault.faults)
    what = fault.what
    if found := _NO_COLUMN_FOR.match(what):
        return [_missing(found["what"], found["fields"].split(" or "))]
    if found := _NO_SUCH_COLUMN.match(what):
        return [_at_column(found["field"], f"the file has no column {found['column']}: choose one that it has")]
    if found := _TWICE.match(what):
        twice = (
            f"the file has {found['count']} columns called {found['column']}: rename all but one of them in the file"
        )
        wanted = found["column"][1:-1].casefold()
        at = [name for name, column in columns.items() if column.casefold() == wanted]
        return [_at_column(name, twice) for name in at] or [FieldFault("", "", twice)]
    if what.startswith("there is no site"):
        return [FieldFault("site", OPTIONS["site"], f"{what}: choose one from the list")]
    if fault.where in ("--format", "--source"):
        field = fault.where.removeprefix("--")
        return [FieldFault(field, OPTIONS[field], f"{what}. {_advice(fault)}")]
    if found := _CONSTANT.match(fault.where):
        name = LABELS.get(found["field"], found["field"])
        return [FieldFault("mapping", OPTIONS["mapping"], f"what it says for every call under {name}: {what}")]
    said = f"{fault.where}: {what}" if fault.where else what
    if chosen_format:
        return [FieldFault("format", OPTIONS["format"], f"{said}. Choose another kind, or let its content show it")]
    return [FieldFault("", "", f"{said}. {_advice(fault)}")]


def column_at_fault(fault: FieldFault) -> str:
    """Our field whose column a fault is about, or `site` where none is chosen; empty for any other."""
    if fault.field == "site":
        return "site"
    return next((name for name in LABELS if column_field(name) == fault.field), "")


def in_order(faults: Iterable[FieldFault]) -> list[FieldFault]:
    """The faults as the form's fields follow on the page, what is said of the file as a whole first; each once."""
    known = [*FIRST_OPTIONS, *map(column_field, LABELS), *(name for name in OPTIONS if name not in FIRST_OPTIONS)]
    place = {field: number for number, field in enumerate(known)}
    once = {(fault.field, fault.text): fault for fault in faults}
    return sorted(once.values(), key=lambda fault: place.get(fault.field, -1))


def of_mapping_file(fault: InputError) -> FormFault:
    """What is wrong in a mapping file. Its own words stay, with the form's label beside each key of a field."""
    told = _KEY.sub(lambda key: f"{key[0]} ({LABELS[key[1]]})" if key[1] in LABELS else key[0], fault.what)
    line = fault.where.partition(", ")[2]
    return FormFault(FieldFault("mapping", OPTIONS["mapping"], f"{line}: {told}" if line else told))


def of_mapping(error: ValidationError) -> list[FieldFault]:
    """What is wrong in a mapping that the form made, each at its field."""
    return [_of_mapping(each) for each in error.errors()]


def of_fractions(preview: Preview) -> list[FieldFault]:
    """Durations that would all be nothing: spreadsheets write them as parts of a day."""
    if not preview.fractions:
        return []
    text = (
        "the file's durations are parts of one, and would be read as hardly anything: spreadsheets write parts of a day"
    )
    how = "choose days, then press Look again"
    samples = [repr(text) for text in preview.fractions]
    return [FieldFault("duration_unit", OPTIONS["duration_unit"], text, samples=samples, how=how)]


def of_rows(preview: Preview) -> list[FieldFault]:
    """The columns that at least half of the rows shown cannot be read by: it is the choice that is at fault there.

    Dates whose order has to be said first are told of by `undecided`.
    """
    bad: dict[str, list[str]] = {}
    for fault in preview.faults:
        if fault.column and not fault.text.startswith(UNDECIDED):
            bad.setdefault(fault.column, []).append(fault.text)
    found = []
    for column, texts in bad.items():
        if 2 * len(texts) >= len(preview.rows):
            fields = [name for name, theirs in preview.columns.items() if theirs == column]
            told = [_unreadable(name, texts, len(preview.rows)) for name in fields if name in LABELS]
            found += [_in_own_columns(each) for each in told] if preview.format not in FREE_COLUMNS else told
    return found


def _unreadable(name: str, texts: Sequence[str], shown: int) -> FieldFault:
    parts = [text.partition(": ") for text in texts]
    reason = Counter(part[0] for part in parts).most_common(1)[0][0]
    quoted = (_QUOTED.match(part[2]) for part in parts if part[0] == reason)
    samples = list(dict.fromkeys(text[0] for text in quoted if text))[:MOST_SAMPLES]
    of_them = f"{len(texts):,} of the {shown:,} rows shown" if shown > 1 else "the row shown"
    advice = next((how for beginning, how in REMEDIES if reason.startswith(beginning)), NEXT)
    return replace(_at_column(name, f"{of_them} cannot be read: {reason}"), samples=samples, how=advice)


def _in_own_columns(fault: FieldFault) -> FieldFault:
    """In a telephone system's own format nobody chooses columns: unknown agents are settled elsewhere."""
    if not fault.text.endswith(UNKNOWN_AGENT):
        return fault
    how = "choose to have them made, or add them to the roster first"
    text = fault.text.replace(f"cannot be read: {UNKNOWN_AGENT}", "cannot be taken: the roster does not know the agent")
    return replace(fault, field="agents", label=OPTIONS["agents"], text=text, how=how)


def _missing(what: str, fields: Iterable[str]) -> FieldFault:
    """A call needs one of these fields, and none of them has a column."""
    known = [name for name in fields if name in LABELS]
    if len(known) == 1:
        return _at_column(known[0], "no column is chosen for it, and no call can do without")
    *most, last = (LABELS[name] for name in known)
    return _at_column(known[0], f"no column says {what}: choose one for {', '.join(most)} or {last}")


def _of_mapping(fault: ErrorDetails) -> FieldFault:
    said, parts = str(fault["msg"]).removeprefix("Value error, "), [str(part) for part in fault["loc"]]
    if parts and parts[0] in FIELD_OF:
        field = FIELD_OF[parts[0]]
        return FieldFault(field, OPTIONS[field], said)
    if parts[:1] == ["columns"] and parts[1:] and parts[1] in LABELS:
        return _at_column(parts[1], f"{said}: choose another column")
    if parts[:2] == ["values", "answered"]:
        return FieldFault("yes", OPTIONS["yes"], said)
    name, constant, _ = said.partition(" is given both a column and a constant")
    if constant and name in LABELS:
        return _at_column(name, "the mapping file says it for every call, so no column can be chosen for it as well")
    return FieldFault("mapping", OPTIONS["mapping"], fault_told(fault, CallMapping.model_fields))


def _at_column(name: str, text: str) -> FieldFault:
    return FieldFault(column_field(name), LABELS[name], text)


def _advice(fault: AftercallError) -> str:
    """How to mend it, unless that is meant for the command line."""
    return fault.how.rstrip(".") if fault.how and "--" not in fault.how else f"{NEXT[:1].upper()}{NEXT[1:]}"
