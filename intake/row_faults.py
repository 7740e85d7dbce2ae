"""Everything that is wrong with one row, where an import only says the first: for whoever sets up how a file is read.

A column that cannot be read is left out, something readable put in the place of what a call cannot do without, and the
row read again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from intake.call_rows import CallReader
from intake.mapping import CallMapping
from intake.reading import Reading
from intake.rows import Row, RowFault

STAND_INS: Mapping[str, str | bool | int] = {
    "external_id": "-",
    "started_at": "2000-01-01 00:00:00",
    "date": "2000-01-01",
    "time": "00:00:00",
    "answered": False,
    "talk_seconds": 0,
}
_START = frozenset({"started_at", "date", "time"})
# What two columns say together: nothing is known of it while the start is made up.
_AGAINST_THE_START = ("ends before it starts", "lasts longer than a week")


class CellFault(NamedTuple):
    """Why a cell cannot be read: the file's own name of its column, empty for the row as a whole."""

    column: str
    text: str


def standing_in(mapping: CallMapping, fields: Collection[str]) -> CallMapping:
    """The mapping with these fields read from no column; what a call needs is made up."""
    columns = {name: column for name, column in mapping.columns.items() if name not in fields}
    constants = {name: value for name, value in mapping.constants.items() if name not in fields}
    constants |= {name: STAND_INS[name] for name in fields if name in STAND_INS}
    id_columns = [] if "external_id" in fields else mapping.id_columns
    return mapping.model_copy(update={"columns": columns, "constants": constants, "id_columns": id_columns})


class FaultFinder:
    """Finds every fault of a row, by one reader for each set of fields left out."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._readers: dict[frozenset[str], CallReader] = {}

    def faults(self, row: Row) -> list[CellFault]:
        """Each column at most once, in the order in which an import comes upon them."""
        found: list[CellFault] = []
        out: frozenset[str] = frozenset()
        columns = self._reading.mapping.columns
        while True:
            try:
                self._reader(out).read(row, {})
                return found
            except RowFault as fault:
                made_up = out & _START and fault.reason in _AGAINST_THE_START
                fields = {name for name, column in columns.items() if column == fault.column} - out
                if out and (made_up or not fields):
                    return found
                found.append(CellFault(fault.column, fault.text))
                if not fields:
                    return found
                out |= fields

    def _reader(self, out: frozenset[str]) -> CallReader:
        if out not in self._readers:
            reading = self._reading
            if out:
                places = {name: place for name, place in reading.places.items() if name not in out}
                id_places = [] if "external_id" in out else reading.id_places
                mapping = standing_in(reading.mapping, out)
                reading = replace(reading, mapping=mapping, places=places, id_places=id_places)
            self._readers[out] = reading.reader()
        return self._readers[out]
