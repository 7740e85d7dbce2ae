"""Reading a table of calls chunk by chunk; nothing here asks the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import NamedTuple

from intake.call_rows import CallReader, IncomingCall, SiteFacts
from intake.cells import Cells
from intake.discreet import discreet
from intake.formats import Table
from intake.mapping import SEALED_FIELDS, CallMapping, DateOrder
from intake.moments import moments_of
from intake.roster_names import RosterNames
from intake.rows import Row, RowFault
from intake.sealed import Sealer

CHUNK = 5_000
ID_FIELDS = frozenset({"external_id", "leg"})
# A chunk ends before that at so many characters, which are counted every so many rows.
MOST_CHARACTERS, STEP = 8_000_000, 50
# Looks up what a contacts file says of calls, by their external ids.
Join = Callable[[list[str]], Mapping[str, Mapping[str, str]]]


class RejectedRow(NamedTuple):
    """A row that cannot be taken; `cells` are its own texts for the rejects file, without contacts."""

    line: int
    external_id: str | None
    column: str
    reason: str
    detail: str
    cells: Sequence[str]

    @property
    def text(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Chunk(NamedTuple):
    """What some rows of the table mean, in their order; `notes` are counted since the table's beginning."""

    calls: list[IncomingCall]
    rejected: list[RejectedRow]
    notes: Counter[str]

    @property
    def rows(self) -> int:
        return len(self.calls) + len(self.rejected)


@dataclass(frozen=True)
class Reading:
    """Everything the reading of a table rests on, so that it can be handed to another process.

    `country` is the organisation's: by it telephone numbers are told from other digits in rejected rows.
    """

    table: Table
    mapping: CallMapping
    places: Mapping[str, int]
    id_places: Sequence[int]
    sites: Mapping[str, SiteFacts]
    site: SiteFacts | None
    names: RosterNames
    create_agents: bool
    own_numbers: Sequence[str]
    country: str
    order: DateOrder | None
    now: datetime

    @property
    def cells(self) -> Cells:
        return Cells(self.mapping, self.places, self.id_places)

    @property
    def shown_fields(self) -> list[str]:
        """The fields whose cells may stand in a rejects file."""
        return [name for name in self.places if name not in SEALED_FIELDS]

    def reader(self) -> CallReader:
        moments = moments_of(self.mapping, self.order)
        sealer = Sealer(self.own_numbers)
        return CallReader(self.cells, moments, self.sites, self.site, self.names, self.create_agents, sealer, self.now)


def chunks(reading: Reading, join: Join | None = None) -> Generator[Chunk]:
    """Reads the table from its beginning. Raises InputError where the file cannot be read on.

    Where the table noted something behind its last row, the last chunk has no rows.
    """
    told: Counter[str] = Counter()
    reader, rows = reading.reader(), reading.table.rows()
    shown = reading.shown_fields
    for batch in _batches(rows):
        joined = join(_external_ids(reader, batch)) if join else {}
        calls: list[IncomingCall] = []
        rejected: list[RejectedRow] = []
        for row in batch:
            try:
                calls.append(reader.read(row, _fields_of(reader, row, joined)))
            except RowFault as fault:
                rejected.append(_rejected(reader, row, fault, shown, reading.country))
        told = reader.notes + reading.table.notes
        yield Chunk(calls, rejected, told)
    if (notes := reader.notes + reading.table.notes) != told:
        yield Chunk([], [], notes)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows, so many at a time; fewer where they are very long, so that memory stays flat whatever comes."""
    batch: list[Row] = []
    size = 0
    while some := list(islice(rows, min(STEP, CHUNK - len(batch)))):
        batch += some
        # An empty cell takes room, too.
        size += sum(len(row.cells) for row in some) + sum(map(len, chain.from_iterable(row.cells for row in some)))
        if len(batch) >= CHUNK or size >= MOST_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fields_of(reader: CallReader, row: Row, joined: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    return joined.get(reader.external_id(row), {}) if joined else {}


def _external_ids(reader: CallReader, batch: Sequence[Row]) -> list[str]:
    found = []
    for row in batch:
        with suppress(RowFault):  # rejected when it is read
            found.append(reader.external_id(row))
    return found


def _rejected(reader: CallReader, row: Row, fault: RowFault, shown: Sequence[str], country: str) -> RejectedRow:
    """Contacts that have slipped into other columns are masked; a call's own id is told as it is."""
    external_id = None
    with suppress(RowFault):
        external_id = reader.external_id(row)
    texts = zip(shown, reader.cells.texts(row, shown), strict=True)
    cells = [text if name in ID_FIELDS else discreet(text, country) for name, text in texts]
    detail = discreet(fault.detail, country)
    return RejectedRow(row.line, external_id, fault.column, fault.reason, detail, cells)
