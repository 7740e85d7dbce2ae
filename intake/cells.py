"""The cells of a row by our field names: column or constant, trimmed, its value map applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from intake.formats import as_text
from intake.mapping import SEALED_FIELDS, CallMapping
from intake.rows import Row, RowFault, shown

LONGEST_TEXT = 1_000
LONG = f"longer than {LONGEST_TEXT:,} characters"
# Between the parts of an id that only several columns together make; a part that holds it has a mark before it.
ID_JOINT, ID_MARK = "/", "\\"

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
            return self._joined([self._plain(name, place) for place in self._id_places])
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
                raise RowFault(LONG, column=column)
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

    def _joined(self, parts: Sequence[Getter]) -> Getter:
        column = self.column("external_id")

        def joined(cells: Sequence[str]) -> str:
            texts = [_marked(part(cells)) for part in parts]
            whole = ID_JOINT.join(texts) if all(texts) else ""
            if len(whole) > LONGEST_TEXT:
                raise RowFault(LONG, column=column)
            return whole

        return joined


def _marked(part: str) -> str:
    """Else "a/b" with "c" and "a" with "b/c" would be one call."""
    return part.replace(ID_MARK, ID_MARK * 2).replace(ID_JOINT, ID_MARK + ID_JOINT)
