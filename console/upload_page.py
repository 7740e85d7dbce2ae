"""An upload's page: how the file is read with the choices so far, and what a check or the import of it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import cast
from zoneinfo import available_timezones

from sqlalchemy import select

from console import upload_faults, uploads
from console.upload_faults import FieldFault, FormFault
from console.upload_fields import GROUPS, LABELS, OPTIONS, Group, column_field
from console.upload_forms import Choices, choices_of, chosen, guessed_choices, kept, taken_up
from console.upload_reading import headless, looked_at, mapping_in, untold
from intake import refusals
from intake.calls import CallOptions, import_calls
from intake.discreet import discreet
from intake.first_rows import FirstRows, first_rows
from intake.formats import FORMATS, Table, open_table, sheet_told
from intake.mapping import SEALED_FIELDS, CallMapping, DateOrder
from intake.preview import Preview
from intake.reading import ID_FIELDS
from intake.refusals import Door
from intake.reports import Alike, Change, ImportReport
from survey import audit
from survey.db import db
from survey.errors import AftercallError, InputError
from survey.models import AuditEntry, ImportKind, ImportRecord, Organisation, Site, Upload

# What the audit trail calls it; its detail holds the choices, for the next upload of the organisation.
IMPORTED = "imported an upload"
LOOKED_BACK = 50
MOST_EARLIER = 5
# Formats whose columns are called as somebody likes; those of one telephone system are known.
FREE_COLUMNS = {"generic": "CSV text", "xlsx": "Excel workbook", "json": "JSON"}
FORMAT_NAMES = FREE_COLUMNS | {
    "amazon-connect": "Amazon Connect",
    "asterisk": "Asterisk",
    "freeswitch": "FreeSWITCH",
    "genesys": "Genesys Cloud",
    "twilio": "Twilio",
}
LONGEST_SHOWN = 100
MOST_UNUSED = 30
# Names of zones that only repeat others.
OLD_ZONES = ("Etc/", "US/", "Canada/", "Brazil/", "Mexico/", "Chile/", "SystemV/", "posix/", "right/")


@dataclass(frozen=True)
class Earlier:
    """An import by this page whose choices fit this file."""

    import_id: int
    file_name: str
    at: datetime
    choices: Choices


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    `fault` is why the file cannot be read with these choices, `header` empty where it cannot be at all. `like` is the
    earlier import whose choices were taken up, `report` what a check of the whole file said. `preview` is there where
    the file can be read, `glimpse` also where some of it is at fault (console/upload_reading.py); `first` are its rows
    as they stand in it.
    """

    upload: Upload
    organisation: Organisation
    sites: Sequence[Site]
    choices: Choices
    table: Table | None = None
    header: Sequence[str] = ()
    found_format: str = ""
    preview: Preview | None = None
    glimpse: Preview | None = None
    first: FirstRows | None = None
    fault: AftercallError | None = None
    report: ImportReport | None = None
    earlier: Sequence[Earlier] = ()
    like: Earlier | None = None
    groups: Sequence[Group] = GROUPS
    sources: Sequence[str] = ()
    sheets: str = ""
    formats: Mapping[str, str] = field(default_factory=lambda: {each.name: format_name(each.name) for each in FORMATS})

    @property
    def zone(self) -> str:
        """The time zone in which the page tells its own times."""
        return self.sites[0].time_zone if self.sites else "UTC"

    def shown(self, text: str) -> str:
        """A text of the file as it may stand on the page: not too long, and whatever looks like a contact masked."""
        text = discreet(text, self.organisation.country)
        return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"

    def shown_whole(self, text: str) -> str:
        """A sentence that names texts of the file, as long as it is."""
        return discreet(text, self.organisation.country)

    @cached_property
    def options(self) -> list[tuple[int, str]]:
        """The columns one may choose: number and name, each name once."""
        named = {name: number for number, name in reversed(list(enumerate(self.header))) if name}
        return sorted((number, self.shown(name)) for name, number in named.items())

    @property
    def looks_headless(self) -> bool:
        """Whether the first line seems to be a call already: what should be names of columns looks like a contact."""
        return any(discreet(name, self.organisation.country) != name for name in self.header)

    @property
    def own_columns(self) -> bool:
        """Whether the file is one telephone system's own, so that nobody has to say which column is what."""
        return bool(self.found_format) and self.found_format not in FREE_COLUMNS

    @property
    def unused(self) -> list[str]:
        """The first of the file's columns that no field of ours takes."""
        used = set(self.numbers.values())
        return [name for number, name in self.options if number not in used][:MOST_UNUSED]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Our field to the number of the column chosen for it."""
        places = {column.casefold(): number for number, column in reversed(list(enumerate(self.header)))}
        return {
            name: places[column.casefold()]
            for name, column in self.choices.columns.items()
            if column.casefold() in places
        }

    @property
    def zones(self) -> Sequence[str]:
        return known_zones()

    @cached_property
    def faults(self) -> list[FieldFault]:
        """What is wrong with the file or the choices, each once and whole; what looks like a contact is masked."""
        found: list[FieldFault] = []
        undecided = self.glimpse.undecided if self.glimpse and not self.choices.date_order else ""
        if undecided:
            found.append(upload_faults.undecided(undecided))
        if self.fault is not None and self.fault.what != undecided:
            found += upload_faults.of(self.fault, self.choices.columns, self.choices.format)
        if self.glimpse is not None:
            found += upload_faults.of_rows(self.glimpse) + upload_faults.of_fractions(self.glimpse)
            found += untold(self.choices, source=True)
        country = self.organisation.country
        masked = [replace(each, text=discreet(each.text, country)) for each in found]
        return upload_faults.in_order(masked)

    def faults_at(self, field: str) -> list[FieldFault]:
        """What is wrong at the field of this id."""
        return [each for each in self.faults if each.field == field]

    @property
    def columns_are_at_fault(self) -> bool:
        return any(self.faults_at(column_field(name)) for name in LABELS)

    @property
    def labels(self) -> Mapping[str, str]:
        """What the form calls the choices beside the columns."""
        return OPTIONS

    @property
    def alike(self) -> list[Alike]:
        """Why a check rejected rows, each column and reason once, with whatever looks like a contact masked."""
        found = self.report.most_rejected if self.report else []
        return [Alike(each.where, self.shown(each.column), self.shown(each.reason), each.count) for each in found]

    @property
    def reasons(self) -> list[tuple[str, int, str]]:
        """Why a check rejected rows, how many, and what can be done."""
        found = self.report.rejected_by.most_common() if self.report else []
        return [(self.shown(why), count, upload_faults.remedy(why)) for why, count in found]

    @property
    def remarks(self) -> list[str]:
        """Sentences on the file as a whole."""
        said = [self.sheets] if self.sheets else []
        return said + [self.shown_whole(each) for each in (self.preview.remarks if self.preview else ())]

    @property
    def changes(self) -> list[Change]:
        changes = self.report.changes if self.report else []
        ids_whole = self.preview is not None and self.preview.ids_whole
        return [Change(each.what if ids_whole else self.shown(each.what), each.fields) for each in changes]

    @property
    def notes(self) -> list[tuple[str, int]]:
        return (+self.report.notes).most_common() if self.report else []


@lru_cache
def known_zones() -> Sequence[str]:
    """The time zones one may choose, by name."""
    return sorted(name for name in available_timezones() if "/" in name and not name.startswith(OLD_ZONES))


def format_name(name: str) -> str:
    """What a person calls a format."""
    return FORMAT_NAMES.get(name) or name.replace("-", " ").replace("_", " ").title()


def first_look(upload: Upload, like: str) -> Page:
    """The page as it opens, with choices as the columns' names suggest, or those of an earlier import (`like`, its id).

    `like` empty: those of the one earlier import whose choices fit, if there is only one.
    """
    page = _empty(upload)
    with uploads.opened(upload) as path:
        try:
            table = open_table(path)
        except InputError as fault:
            return replace(page, fault=fault)
        page = _of_table(page, table)
        page = replace(page, like=_like(page.earlier, like))
        choices = page.like.choices if page.like else guessed_choices(table.header)
        return _looked_at(path, replace(page, choices=_with_site(choices, page.sites)), [], source=False)


def look_again(upload: Upload, form: Mapping[str, str], mapping_file: bytes | None, *, check: bool, actor: str) -> Page:
    """The page with the choices of a sent form, or of the mapping file sent with it.

    `check` goes through the whole file, writing nothing.
    """
    with uploads.opened(upload) as path:
        page, told = _chosen(upload, path, form, mapping_file)
        page = _looked_at(path, page, told, source=check)
        if not check or page.fault:
            return page
        try:
            with uploads.in_hand(upload.id):
                return replace(page, report=import_calls(path, _options(page), actor=actor))
        except AftercallError as fault:
            return replace(page, fault=fault)


def take_in(upload: Upload, form: Mapping[str, str], mapping_file: bytes | None, *, actor: str) -> Page | ImportReport:
    """Imports the file with the choices of a sent form, and lets go of it; commits.

    The report where it was taken in; the page with its faults where the file as a whole could not be.
    """
    with uploads.opened(upload) as path:
        page, told = _chosen(upload, path, form, mapping_file)
        told += [*untold(page.choices, source=True), *headless(page.choices.columns, page.organisation.country)]
        if told:
            return _looked_at(path, page, told, source=True)
        try:
            with refusals.noted(path, ImportKind.CALLS, Door.CONSOLE, organisation=page.organisation.key, actor=actor):
                report = import_calls(path, replace(_options(page), dry_run=False), actor=actor)
        except AftercallError as fault:
            db.session.rollback()
            page = _looked_at(path, page, told, source=True)
            return replace(page, fault=page.fault or fault)
    record = db.session.get(ImportRecord, report.import_id)
    audit.record(actor, IMPORTED, record, **({} if report.nothing_taken else kept(page.choices)))
    uploads.drop(upload, uploads.Fate.IMPORTED, actor=actor, import_id=report.import_id)
    db.session.commit()
    return report


def earlier(upload: Upload, header: Sequence[str]) -> list[Earlier]:
    """The organisation's imports by this page whose choices fit such a header, latest first; equal choices once."""
    rows = db.session.execute(
        select(ImportRecord.id, ImportRecord.file_name, AuditEntry.at, AuditEntry.detail)
        .join(AuditEntry, AuditEntry.subject_id == ImportRecord.id)
        .where(
            AuditEntry.subject_type == ImportRecord.__tablename__,
            AuditEntry.action == IMPORTED,
            ImportRecord.organisation_id == upload.organisation_id,
        )
        .order_by(AuditEntry.id.desc())
        .limit(LOOKED_BACK)
    )
    found: dict[str, Earlier] = {}
    for import_id, file_name, at, detail in rows:
        choices = taken_up(detail, header)
        if choices is not None:
            found.setdefault(repr(choices), Earlier(import_id, file_name, at, choices))
    return list(found.values())[:MOST_EARLIER]


def _like(known: Sequence[Earlier], like: str) -> Earlier | None:
    if not like:
        return known[0] if len(known) == 1 else None
    return next((each for each in known if str(each.import_id) == like), None)


def _empty(upload: Upload) -> Page:
    organisation = db.session.get_one(Organisation, upload.organisation_id)
    sites = db.session.scalars(
        select(Site).where(Site.organisation_id == organisation.id).order_by(Site.name, Site.id)
    ).all()
    sources = db.session.scalars(
        select(ImportRecord.source)
        .where(
            ImportRecord.organisation_id == organisation.id,
            ImportRecord.kind == ImportKind.CALLS,
            ImportRecord.source != "",
        )
        .distinct()
        .order_by(ImportRecord.source)
        .limit(LOOKED_BACK)
    ).all()
    return Page(upload, organisation, sites, _with_site(Choices(), sites), sources=sources)


def _with_site(choices: Choices, sites: Sequence[Site]) -> Choices:
    """Where there is only one site, it is that one; one that is no more is none."""
    if choices.site in {site.key for site in sites}:
        return choices
    only = sites[0].key if len(sites) == 1 and "site" not in choices.columns else ""
    return replace(choices, site=only)


def _chosen(
    upload: Upload, path: Path, form: Mapping[str, str], mapping_file: bytes | None
) -> tuple[Page, list[FieldFault]]:
    """The page with what the form says, and what is wrong with it if anything is."""
    page, name = _empty(upload), form.get("format", "")
    mapping, faults = mapping_in(mapping_file, path)
    name = (mapping and mapping.format) or name
    try:
        table = open_table(path, name or None)
    except AftercallError as fault:
        beside = {key: value for key, value in form.items() if not key.startswith(column_field(""))}
        choices, of_form = chosen(beside, ())
        page = replace(page, choices=replace(choices, format=name))
        return page, [*faults, *of_form, *upload_faults.of(fault, {}, name)]
    page = _of_table(page, table)
    # Columns come by their number: those of a file read in another way are others.
    same = form.get("read_as", "") == name
    choices, of_form = chosen(form, table.header) if same else (guessed_choices(table.header), [])
    if mapping is not None:
        choices = _over(choices_of(mapping, table.header), choices)
    choices = replace(choices if same else _with_site(choices, page.sites), format=name)
    return replace(page, choices=choices), [*faults, *of_form]


def _of_table(page: Page, table: Table) -> Page:
    known = earlier(page.upload, table.header)
    name = table.format.name if table.format else ""
    return replace(page, table=table, header=table.header, found_format=name, sheets=_sheets(table), earlier=known)


def _sheets(table: Table) -> str:
    return sheet_told(table.source, table.format) if isinstance(table.source, Path) else ""


def _over(of_file: Choices, before: Choices) -> Choices:
    """The choices of a mapping file; site and agents, of which it says nothing, stay as they were chosen."""
    return replace(
        of_file, site=before.site, create_agents=before.create_agents, source=of_file.source or before.source
    )


def _looked_at(path: Path, page: Page, told: Sequence[FieldFault], *, source: bool) -> Page:
    """The page with the file's first rows as they would be read, and everything that is wrong with them or `told`.

    `source`: whether a source has to be said by now.
    """
    if page.table is None:
        return replace(page, fault=FormFault(*told))
    choices = page.choices
    if not page.own_columns:
        page = replace(page, first=_first_rows(page.table, page))
    if told_of_header := headless(page.choices.columns, page.organisation.country):
        return replace(page, fault=FormFault(*told, *told_of_header))
    mapping, of_choices = choices.mapping_so_far()
    known = [*told, *untold(choices, source=source), *of_choices]
    a_site = page.sites[0].key if page.sites else None
    seen = looked_at(path, _options(page, mapping), choices, known, a_site)
    fault = FormFault(*seen.faults) if seen.faults else None
    return replace(page, preview=seen.preview, glimpse=seen.glimpse, fault=fault)


def _first_rows(table: Table, page: Page) -> FirstRows:
    """The rows as they stand in the file, for whoever has to say which column is what."""
    sealed, ids = (
        {page.numbers[name] for name in fields if name in page.numbers} for fields in (SEALED_FIELDS, ID_FIELDS)
    )
    countries = [page.organisation.country, *(site.country for site in page.sites)]
    return first_rows(table, sealed, ids, countries)


def _options(page: Page, mapping: CallMapping | None = None) -> CallOptions:
    """What an import is told, as a dry run; `mapping` goes before the choices' own. Raises FormFault."""
    choices = page.choices
    return CallOptions(
        organisation=page.organisation.key,
        site=choices.site or None,
        source=choices.source or None,
        mapping=mapping or choices.mapping(),
        create_agents=choices.create_agents,
        date_order=cast(DateOrder | None, choices.date_order or None),
        format=choices.format or None,
        dry_run=True,
    )
