"""A feed's settings: `intake.toml` in a folder of the drop folder says whose files lie there and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import select

from intake.calls import CallOptions
from intake.formats import FORMATS
from intake.mapping import CallMapping, DateOrder, read_mapping
from intake.toml_files import fault_told
from intake.totals import TotalsOptions
from survey.db import db
from survey.errors import InputError
from survey.models import Organisation, Site
from survey.toml_files import read_toml

SETTINGS_FILE = "intake.toml"


class FeedKind(StrEnum):
    CALLS = "calls"
    ROSTER = "roster"
    OPTOUTS = "optouts"
    TOTALS = "totals"


# Which settings mean something to which kind, besides `kind` and `organisation`: any other one is a mistake.
USES: Mapping[FeedKind, frozenset[str]] = {
    FeedKind.CALLS: frozenset({"site", "source", "format", "mapping", "date_order", "agents"}),
    FeedKind.ROSTER: frozenset(),
    FeedKind.OPTOUTS: frozenset(),
    FeedKind.TOTALS: frozenset({"site", "source", "date_order"}),
}


class FeedSettings(BaseModel):
    """What may stand in an `intake.toml`; docs/intake.md, "The drop folder", explains each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FeedKind = FeedKind.CALLS
    organisation: str = Field(min_length=1)
    site: str | None = None
    source: str | None = None
    format: str | None = None
    mapping: str | None = None
    date_order: DateOrder | None = None
    agents: Literal["refuse", "create"] = "refuse"

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        return known_format(name)

    @field_validator("mapping")
    @classmethod
    def _beside(cls, name: str) -> str:
        if Path(name).name != name:
            raise ValueError("must be the name of a file beside intake.toml, without a folder")
        return name


def known_format(name: str) -> str:
    """`name` itself; raises ValueError when no format is called that."""
    known = [format.name for format in FORMATS]
    if name not in known:
        raise ValueError(f"{name!r} is not a known format; known are {', '.join(known)}")
    return name


@dataclass(frozen=True)
class Feed:
    """One folder of the drop folder whose settings are in order."""

    folder: Path
    settings: FeedSettings
    mapping: CallMapping

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def actor(self) -> str:
        """Who the records say handed the files in."""
        return f"drop folder, {self.name}"

    def call_options(self) -> CallOptions:
        """How this feed's calls are imported."""
        return CallOptions(
            organisation=self.settings.organisation,
            site=self.settings.site,
            source=self.settings.source,
            mapping=self.mapping,
            create_agents=self.settings.agents == "create",
            date_order=self.settings.date_order,
            format=self.settings.format,
        )

    def totals_options(self) -> TotalsOptions:
        """How this feed's control totals are imported."""
        return TotalsOptions(
            organisation=self.settings.organisation,
            site=self.settings.site,
            source=self.settings.source,
            date_order=self.settings.date_order,
        )


def read_feed(folder: Path) -> Feed:
    """The feed in a folder. Raises InputError with every fault of its settings and its mapping listed."""
    try:
        given = read_toml(folder / SETTINGS_FILE)
    except InputError as error:
        what = f"{error.what}, so nothing in this folder is taken"
        raise _refusal(folder, what) from None
    settings, faults = _validated(given)
    mapping, mapping_faults = _mapping(folder, given.get("mapping"))
    faults += mapping_faults + _unused(given) + _unknown(given)
    if settings is not None and not mapping_faults:
        faults += _sourceless(settings, mapping)
    if faults or settings is None:
        raise _refusal(folder, "; ".join(faults))
    return Feed(folder, settings, mapping)


def _refusal(folder: Path, what: str) -> InputError:
    how = 'docs/intake.md, "The drop folder", explains these files.'
    return InputError(what, where=f"{folder.name}/{SETTINGS_FILE}", how=how)


def _validated(given: Mapping[str, Any]) -> tuple[FeedSettings | None, list[str]]:
    try:
        return FeedSettings.model_validate(given), []
    except ValidationError as error:
        return None, [fault_told(fault, FeedSettings.model_fields) for fault in error.errors()]


def _mapping(folder: Path, name: object) -> tuple[CallMapping, list[str]]:
    if not isinstance(name, str) or Path(name).name != name:
        return CallMapping(), []
    try:
        mapping = read_mapping(folder / name)
        if mapping.format is not None:
            known_format(mapping.format)
    except (InputError, ValueError) as error:
        return CallMapping(), [f"mapping: {name}: {error.what if isinstance(error, InputError) else error}"]
    return mapping, []


def _unused(given: Mapping[str, Any]) -> list[str]:
    """Settings that this kind of feed has no use for: whoever wrote them expects something that will not happen."""
    try:
        kind = FeedKind(given.get("kind", FeedKind.CALLS))
    except ValueError:
        return []
    strange = [name for name in FeedSettings.model_fields if name in given and name not in {"kind", "organisation"}]
    return [f"{name}: means nothing for {kind}" for name in strange if name not in USES[kind]]


def _sourceless(settings: FeedSettings, mapping: CallMapping) -> list[str]:
    named = settings.kind in (FeedKind.CALLS, FeedKind.TOTALS)
    if not named or settings.site or settings.source or mapping.source:
        return []
    return ["source: is needed where no site is given: the telephone system's name"]


def _unknown(given: Mapping[str, Any]) -> list[str]:
    """An organisation or site that is not there: found now, not by every file being refused in turn."""
    key, site = given.get("organisation"), given.get("site")
    if not isinstance(key, str) or not key or given.get("kind") == FeedKind.ROSTER:
        return []
    organisation_id = db.session.scalar(select(Organisation.id).where(Organisation.key == key))
    if organisation_id is None:
        return [f"organisation: there is no organisation {key!r} (importing its roster makes it)"]
    sites = db.session.scalars(select(Site.key).where(Site.organisation_id == organisation_id).order_by(Site.key)).all()
    if isinstance(site, str) and site.casefold() not in {key.casefold() for key in sites}:
        return [f"site: there is no site {site!r}; the organisation's sites are {', '.join(sites) or 'none'}"]
    return []
