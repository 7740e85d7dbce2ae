"""A file's first rows as an import would read them, writing nothing: for whoever decides what its columns mean.

The rows go through the same reader as an import's. What is shown of them names no customer: contacts are masked, and so
is what looks like one in any other column, save for the ids of calls.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from intake import remarks
from intake.call_rows import CallReader, IncomingCall, SiteFacts
from intake.calls import PEEK, CallOptions, find_organisation, open_calls, reading_of, source_of
from intake.discreet import discreet
from intake.first_rows import tells_ids
from intake.mapping import CallMapping
from intake.moments import Moments, is_numeric_date
from intake.reading import Reading
from intake.reports import file_sha256
from intake.row_faults import CellFault, FaultFinder, standing_in
from intake.rows import Row, RowFault
from intake.sealed import Contact
from survey.errors import InputError
from survey.phones import masked, masked_email
from survey.vault import vault

ROWS = 10
MOST_READINGS = 3
MOST_WORDS = 12
DURATION_FIELDS = ("talk_seconds", "duration", "wait_seconds")
# 0.00167 and 2.3E-05: less than a whole one of anything.
_FRACTION = re.compile(r"0?[.,]\d+|\d(?:[.,]\d+)?[eE]-\d+")
DATE_FIELDS = ("started_at", "date", "ended_at", "recorded_at")


@dataclass(frozen=True)
class PreviewedRow:
    """One row as it would be taken in; or, with a `fault`, why it cannot be (then only line and id may be known).

    `zone` is its site's. `agent` is as the file calls them, `agent_is_new` when the roster does not know them and they
    would be made. `contact` is masked. An import would stop at the `fault`; `also` is what is wrong with other columns.
    """

    line: int
    external_id: str = ""
    zone: str = "UTC"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    agent: str = ""
    agent_is_new: bool = False
    answered: bool | None = None
    talk_seconds: int = 0
    contact: str = ""
    contact_fault: str = ""
    language: str = ""
    internal: bool = False
    column: str = ""
    fault: str = ""
    also: Sequence[CellFault] = ()


@dataclass(frozen=True)
class DateReading:
    """A date of the file that may be read in two ways, and both."""

    text: str
    day_first: date
    month_first: date


@dataclass(frozen=True)
class Preview:
    """How a file would be read.

    `format` is the kind of file, `columns` lead from our field to the file's column as used. `undecided` says why the
    file's dates cannot be read without being told their order, with examples of both readings; empty when they can.
    `answered` counts what the first 200 rows say in the column of that name, `remarks` are sentences on the file as a
    whole: columns it lacks, or does not need, and where it came in before. `more` tells that rows follow those shown,
    `ids_whole` that the ids of calls are shown as they are. `fractions` are durations of hardly a second, as
    spreadsheets write parts of a day; empty where more than half of the first 200 rows' have another form.
    """

    format: str
    columns: Mapping[str, str]
    rows: Sequence[PreviewedRow]
    more: bool
    undecided: str
    readings: Sequence[DateReading]
    answered: Counter[str]
    remarks: Sequence[str] = ()
    ids_whole: bool = False
    fractions: Sequence[str] = ()

    @property
    def taken(self) -> int:
        """How many of the rows shown can be taken."""
        return sum(not row.fault for row in self.rows)

    @property
    def faults(self) -> Sequence[CellFault]:
        """Everything that is wrong with the rows shown: each column at most once a row."""
        return [each for row in self.rows if row.fault for each in (CellFault(row.column, row.fault), *row.also)]


def preview(path: Path, options: CallOptions, rows: int = ROWS, without: Collection[str] = ()) -> Preview:
    """The first `rows` rows of a file as `import_calls` would read them with these options.

    `without` are fields to be read from no column, something made up in their place: such a preview shows no true call,
    but what else is wrong with the file, where the columns of those fields are not known yet.
    Raises InputError where the file as a whole cannot be taken for another reason than the order of its dates, NotFound
    for an unknown organisation or site.
    """
    table = open_calls(path, options)
    if without:
        options = replace(options, mapping=standing_in(options.mapping, without))
    told = options.date_order or options.mapping.date_order
    # Any order will do to see whether the columns make calls; whether one has to be told comes after.
    reading = reading_of(table, replace(options, date_order=told or "dmy"))
    reading, undecided = _in_order(reading, options)
    # Once: a workbook is unpacked anew each time its rows are asked for.
    head = list(islice(table.rows(), max(PEEK, rows + 1)))
    reader, finder = reading.reader(), FaultFinder(reading)
    ids_whole = _ids_whole(reading, head)
    return Preview(
        format=table.format.name if table.format else "",
        columns=reading.mapping.columns,
        rows=[_previewed(reader, finder, row, reading, ids_whole) for row in head[:rows]],
        more=len(head) > rows,
        undecided=undecided,
        readings=_readings(reading) if undecided else [],
        answered=_words(reading, head),
        remarks=_remarks(reading, path, options),
        ids_whole=ids_whole,
        fractions=_fractions(reading, head),
    )


def _remarks(reading: Reading, path: Path, options: CallOptions) -> list[str]:
    said = remarks.of_columns(reading)
    with suppress(InputError):  # no source is said yet
        source = source_of(reading, options)
        said += remarks.of_other_sources(find_organisation(options.organisation).id, file_sha256(path), source)
    return said


def _in_order(reading: Reading, options: CallOptions) -> tuple[Reading, str]:
    """The reading with the order told, else the one that the file's own dates show; and why it has to be told."""
    told = options.date_order or options.mapping.date_order
    untold = replace(options, date_order=None, mapping=_without_order(options.mapping))
    try:
        shown = reading_of(reading.table, untold)
    except InputError as error:
        return replace(reading, order=told), error.what
    return replace(reading, order=told or shown.order), ""


def _without_order(mapping: CallMapping) -> CallMapping:
    return mapping.model_copy(update={"date_order": None})


def _ids_whole(reading: Reading, head: Sequence[Row]) -> bool:
    """Whether the ids of calls are ids and no contacts, so that they may be shown as they are."""
    places = reading.id_places or [reading.places[name] for name in ("external_id",) if name in reading.places]
    names, country = reading.table.header, [_country(reading)]
    return all(tells_ids(names[n], [row.cells[n] for row in head if row.cells], country) for n in places)


def _previewed(reader: CallReader, finder: FaultFinder, row: Row, reading: Reading, ids_whole: bool) -> PreviewedRow:
    country = _country(reading)
    external_id = ""
    try:
        external_id = reader.external_id(row) if ids_whole else discreet(reader.external_id(row), country)
        call = reader.read(row, {})
    except RowFault:
        first, *also = [CellFault(each.column, discreet(each.text, country)) for each in finder.faults(row)]
        return PreviewedRow(row.line, external_id, column=first.column, fault=first.text, also=also)
    site = next(site for site in reading.sites.values() if site.id == call.site_id)
    return _as_read(call, site, external_id, discreet(_cell(reading, row, "agent"), site.country))


def _as_read(call: IncomingCall, site: SiteFacts, external_id: str, agent: str) -> PreviewedRow:
    return PreviewedRow(
        line=call.line,
        external_id=external_id,
        zone=site.time_zone,
        started_at=call.started_at,
        ended_at=call.ended_at,
        agent=agent,
        agent_is_new=call.agent is not None,
        answered=call.answered,
        talk_seconds=call.talk_seconds,
        contact=_masked(call.contact),
        contact_fault=call.contact_fault or "",
        language=call.language or "",
        internal=bool(call.internal),
    )


def _masked(contact: Contact | None) -> str:
    if contact is None:
        return ""
    phone = masked(vault().open(contact.phone)) if contact.phone else ""
    email = masked_email(vault().open(contact.email)) if contact.email else ""
    return ", ".join(filter(None, (phone, email)))


def _country(reading: Reading) -> str:
    """Whose telephone numbers are known without a +: the site's of the whole file, else any of the organisation's."""
    site = reading.site or next(iter(reading.sites.values()), None)
    return site.country if site else "US"


def _cell(reading: Reading, row: Row, name: str) -> str:
    getter = reading.cells.getter(name)
    with suppress(RowFault):
        return getter(row.cells) if getter and row.cells else ""
    return ""


def _words(reading: Reading, head: Sequence[Row]) -> Counter[str]:
    """What the first rows say in the column that tells whether a call was answered, most frequent first."""
    place = reading.places.get("answered")
    if place is None:
        return Counter()
    found = Counter(discreet(row.cells[place].strip(), _country(reading)) for row in head[:PEEK] if row.cells)
    return Counter(dict(found.most_common(MOST_WORDS)))


def _fractions(reading: Reading, head: Sequence[Row]) -> list[str]:
    places = [reading.places[name] for name in DURATION_FIELDS if name in reading.places]
    if reading.mapping.duration_unit == "days":
        return []
    given = [text for row in head if row.cells for place in places if (text := row.cells[place].strip()).strip("0.:")]
    found = [text for text in given if _FRACTION.fullmatch(text)]
    return list(dict.fromkeys(found))[:MOST_READINGS] if 2 * len(found) >= len(given) else []


def _readings(reading: Reading) -> list[DateReading]:
    """The first dates that read differently day first and month first."""
    places = [reading.places[name] for name in DATE_FIELDS if name in reading.places]
    found: dict[str, DateReading] = {}
    for row in reading.table.rows():
        for text in (row.cells[place].strip() for place in places if row.cells):
            if is_numeric_date(text) and (both := _both_ways(_date_in(text))):
                found[both.text] = both
        if len(found) >= MOST_READINGS:
            break
    return list(found.values())[:MOST_READINGS]


def _date_in(text: str) -> str:
    return text.partition(" ")[0].partition("T")[0].rstrip(",")


def _both_ways(text: str) -> DateReading | None:
    try:
        day_first, month_first = (Moments(order=order).day(text, "") for order in ("dmy", "mdy"))
    except RowFault:
        return None
    return DateReading(text, day_first, month_first) if day_first != month_first else None
