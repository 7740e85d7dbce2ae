"""The cells of a row by our field names: column or constant, trimmed, its value map applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from intake.formats import as_text
from intake.mapping import SEALED_FIELDS, CallMapping
from intake.rows import Row, RowFault, shown

LONGEST_TEXT = 1_000
# Between the parts of an id that only several columns together make.
ID_JOINT = "/"

Getter = Callable[[Sequence[str]], str]


class Cells:
    """Reads rows of one table by a mapping.

    `places` are the numbers of the fields' columns, `id_places` of those that only together tell calls apart.
    """

    def __init__(self, mapping: CallMapping, places: Mapping[str, int], id_places: Sequence[int] = ()) -> None:
        self.mapping, self.places, self._id_places = mapping, places, id_places
        self._constants = {name: as_text(value) for name, value in mapping.constants.items()}
        self._nothing = frozenset(text.casefold() for text in mapping.nothing)

    def getter(self, name: str) -> Getter | None:
        """How to get the text of a field from a row's cells (empty where it has none); None: no row has the field.

        The getter raises RowFault for a text that cannot be taken.
        """
        if name == "external_id" and self._id_places:
            return self._joined_id
        place = self.places.get(name)
        if place is None:
            constant = self._constants.get(name, "")
            return (lambda _cells: constant) if constant else None
        plain = self._plain(name, place)
        return self._mapped(name, plain) if name in self.mapping.values else plain

    def column(self, name: str) -> str:
        """What the file calls a field."""
        if name == "external_id" and self._id_places:
            return " + ".join(self.mapping.id_columns)
        return self.mapping.columns.get(name, name)

    def texts(self, row: Row, names: Sequence[str]) -> list[str]:
        """The row's own texts in the columns of some fields, for the rejects file; empty where the row has no cells."""
        return [row.cells[self.places[name]] if row.cells else "" for name in names]

    def _plain(self, name: str, place: int) -> Getter:
        column, nothing = self.column(name), self._nothing

        def plain(cells: Sequence[str]) -> str:
            text = cells[place].strip()
            if len(text) > LONGEST_TEXT:
                raise RowFault(f"longer than {LONGEST_TEXT:,} characters", column=column)
            if "\0" in text:
                raise RowFault("contains a NUL byte", column=column)
            return "" if nothing and text.casefold() in nothing else text

        return plain

    def _mapped(self, name: str, plain: Getter) -> Getter:
        pairs = {key.casefold(): as_text(value) for key, value in self.mapping.values[name].items()}
        column, sealed = self.column(name), name in SEALED_FIELDS

        def mapped(cells: Sequence[str]) -> str:
            text = plain(cells)
            found = pairs.get(text.casefold())
            if found is None and text:
                raise RowFault("a value the mapping does not name", column=column, detail="" if sealed else shown(text))
            return found or ""

        return mapped

    def _joined_id(self, cells: Sequence[str]) -> str:
        parts = [cells[place].strip() for place in self._id_places]
        if not all(parts):
            raise RowFault("is empty", column=self.column("external_id"))
        joined = ID_JOINT.join(parts)
        if len(joined) > LONGEST_TEXT or "\0" in joined:
            raise RowFault("is too long or contains a NUL byte", column=self.column("external_id"))
        return joined
