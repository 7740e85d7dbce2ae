"""Reading an upload's first rows with somebody's choices, as far as it goes: all that is wrong is told at once.

An import stops at the first thing it cannot do without. Here a column at fault is left out, and the reading goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console import upload_faults
from console.upload_faults import FieldFault, column_at_fault
from console.upload_fields import LABELS, OPTIONS, column_field
from console.upload_forms import Choices
from intake.calls import CallOptions
from intake.discreet import discreet
from intake.mapping import CallMapping, read_mapping
from intake.preview import Preview, preview
from survey.errors import AftercallError, InputError

LONGEST_MAPPING = 64_000


@dataclass(frozen=True)
class Look:
    """What a look at the first rows found.

    `preview` is how they would be read; None while anything is at fault. `glimpse` is the reading without what is at
    fault, if it came to one: what it says of other columns is true, its calls are not.
    """

    faults: Sequence[FieldFault]
    preview: Preview | None = None
    glimpse: Preview | None = None


def looked_at(
    path: Path, options: CallOptions, choices: Choices, told: Sequence[FieldFault], a_site: str | None
) -> Look:
    """Reads with these options; `told` are faults known already, `a_site` any site, in whose place none was chosen."""
    found = list(told)
    out = {name for fault in found if (name := column_at_fault(fault))}
    while True:
        try:
            at = replace(options, site=a_site) if "site" in out else options
            seen = preview(path, at, without=out)
        except AftercallError as fault:
            more = [each for each in upload_faults.of(fault, choices.columns, choices.format) if _is_new(each, out)]
            found += more
            left_out = {name for each in more if (name := column_at_fault(each))}
            if not left_out:
                return Look(found)
            out |= left_out
        else:
            return Look(found, None if found else seen, seen)


def _is_new(fault: FieldFault, out: set[str]) -> bool:
    return column_at_fault(fault) not in out


def untold(choices: Choices, *, source: bool) -> list[FieldFault]:
    """What the command line asks for in its own words, in those of the page: the site, or the source where needed."""
    if choices.site:
        return []
    if "site" not in choices.columns and "site" not in choices.rest.get("constants", {}):
        how = f"choose the site here, or under {LABELS['site']} the column that names it"
        return [FieldFault("site", OPTIONS["site"], f"nothing says at which site the calls were: {how}")]
    if source and not choices.source:
        what = "calls whose rows name their site need a source: type the telephone system's name"
        return [FieldFault("source", OPTIONS["source"], what)]
    return []


def headless(columns: Mapping[str, str], country: str) -> list[FieldFault]:
    """Columns chosen whose names are contacts. They would be kept with the choices, which a contact must not be."""
    what = "the first line of the file seems to be a call already, not the names of its columns"
    how = "put a line with the columns' names first, and hand the file in again"
    return [
        FieldFault(column_field(name), LABELS[name], f"{what}: {how}")
        for name, column in columns.items()
        if discreet(column, country) != column
    ]


def mapping_in(content: bytes | None, path: Path) -> tuple[CallMapping | None, list[FieldFault]]:
    """The mapping of a mapping file, or what is wrong with it; neither where none was sent."""
    if content is None:
        return None, []
    try:
        if len(content) > LONGEST_MAPPING:
            raise InputError(f"is longer than {LONGEST_MAPPING:,} bytes")
        beside = path.with_name(f"{path.name}.mapping.toml")
        beside.write_bytes(content)
        return read_mapping(beside), []
    except InputError as fault:
        return None, [*upload_faults.of_mapping_file(fault).faults]
