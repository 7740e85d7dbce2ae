"""A file's first rows as an import would read them, writing nothing: for whoever decides what its columns mean.

The rows go through the same reader as an import's. What is shown of them names no customer: contacts are masked, and so
is what looks like one in any other column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from intake import remarks
from intake.call_rows import CallReader, IncomingCall, SiteFacts
from intake.calls import PEEK, CallOptions, find_organisation, open_calls, reading_of, source_of
from intake.discreet import discreet
from intake.mapping import CallMapping
from intake.moments import Moments, is_numeric_date
from intake.reading import Reading
from intake.reports import file_sha256
from intake.rows import Row, RowFault
from intake.sealed import Contact
from survey.errors import InputError
from survey.phones import masked, masked_email
from survey.vault import vault

ROWS = 10
MOST_READINGS = 3
MOST_WORDS = 12
DATE_FIELDS = ("started_at", "date", "ended_at", "recorded_at")


@dataclass(frozen=True)
class PreviewedRow:
    """One row as it would be taken in; or, with a `fault`, why it cannot be (then only line and id may be known).

    `zone` is its site's. `agent` is as the file calls them, `agent_is_new` when the roster does not know them and they
    would be made. `contact` is masked.
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
    whole: columns it lacks, or does not need, and where it came in before. `more` tells that rows follow those shown.
    """

    format: str
    columns: Mapping[str, str]
    rows: Sequence[PreviewedRow]
    more: bool
    undecided: str
    readings: Sequence[DateReading]
    answered: Counter[str]
    remarks: Sequence[str] = ()

    @property
    def taken(self) -> int:
        """How many of the rows shown can be taken."""
        return sum(not row.fault for row in self.rows)


def preview(path: Path, options: CallOptions, rows: int = ROWS) -> Preview:
    """The first `rows` rows of a file as `import_calls` would read them with these options.

    Raises InputError where the file as a whole cannot be taken for another reason than the order of its dates, NotFound
    for an unknown organisation or site.
    """
    table = open_calls(path, options)
    told = options.date_order or options.mapping.date_order
    # Any order will do to see whether the columns make calls; whether one has to be told comes after.
    reading = reading_of(table, replace(options, date_order=told or "dmy"))
    reading, undecided = _in_order(reading, options)
    first = list(islice(table.rows(), rows + 1))
    reader = reading.reader()
    return Preview(
        format=table.format.name if table.format else "",
        columns=reading.mapping.columns,
        rows=[_previewed(reader, row, reading) for row in first[:rows]],
        more=len(first) > rows,
        undecided=undecided,
        readings=_readings(reading) if undecided else [],
        answered=_words(reading),
        remarks=_remarks(reading, path, options),
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


def _previewed(reader: CallReader, row: Row, reading: Reading) -> PreviewedRow:
    country = _country(reading)
    external_id = ""
    try:
        external_id = discreet(reader.external_id(row), country)
        call = reader.read(row, {})
    except RowFault as fault:
        return PreviewedRow(row.line, external_id, column=fault.column, fault=discreet(fault.text, country))
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


def _words(reading: Reading) -> Counter[str]:
    """What the first rows say in the column that tells whether a call was answered, most frequent first."""
    place = reading.places.get("answered")
    if place is None:
        return Counter()
    rows = islice(reading.table.rows(), PEEK)
    found = Counter(discreet(row.cells[place].strip(), _country(reading)) for row in rows if row.cells)
    return Counter(dict(found.most_common(MOST_WORDS)))


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
