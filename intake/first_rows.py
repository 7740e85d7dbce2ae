"""A file's first rows as they stand in it, for whoever has to say what its columns mean; contacts are masked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from intake.discreet import MASK, discreet
from intake.formats import Table
from intake.mapping import CALL_FIELDS, guessed
from intake.reading import ID_FIELDS
from intake.rows import Row

ROWS = 5
# Rows that show whether a column holds contacts.
PEEK = 200
MOST_COLUMNS, LONGEST_CELL, LONGEST_READ = 100, 60, 1_000
# What telephone systems call the ids of calls, beside our own names.
ID_NAMES = frozenset({"uniqueid", "linkedid", "contactid", "uuid"})
LEFT_OF_CONTACT = 2
# Numbers in chance order rise through so many once in 40,320 times.
ENOUGH = 8


@dataclass(frozen=True)
class RawRow:
    """One row: its line, and its cells as shown; with a `fault`, why it cannot be split into any."""

    line: int
    cells: Sequence[str]
    fault: str = ""


@dataclass(frozen=True)
class FirstRows:
    """The names of the file's columns and its first rows.

    `columns_beside` is how many columns stand to the right of those shown, `more` whether rows follow.
    """

    header: Sequence[str]
    rows: Sequence[RawRow]
    columns_beside: int
    more: bool


def first_rows(table: Table, sealed: Collection[int], ids: Collection[int], countries: Sequence[str]) -> FirstRows:
    """The first rows of a table, as its columns are understood so far.

    `sealed` are the numbers of the columns chosen for phone and email, nothing of which is told but the last signs;
    `ids` those chosen for ids. `countries` (ISO 3166 alpha-2) tell which numbers without a + are telephone numbers.
    """
    head = list(islice(table.rows(), PEEK))
    whole = {place for place in ids if tells_ids(table.header[place], _cells(head, place), countries)}
    whole |= {place for place, name in enumerate(table.header) if _is_id_name(name)} - set(sealed)

    def told(place: int, text: str) -> str:
        text = text[:LONGEST_READ]
        text = text if place in whole else masked(text, countries)
        if place in sealed and MASK not in text:
            text = f"{MASK * len(text[:-LEFT_OF_CONTACT])}{text[-LEFT_OF_CONTACT:]}" if len(text) > 4 else text
        return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"

    return FirstRows(
        header=[masked(name, countries)[:LONGEST_CELL] for name in table.header[:MOST_COLUMNS]],
        rows=[
            RawRow(row.line, [told(n, text.strip()) for n, text in enumerate(row.cells[:MOST_COLUMNS])], row.fault)
            for row in head[:ROWS]
        ],
        columns_beside=max(0, len(table.header) - MOST_COLUMNS),
        more=len(head) > ROWS,
    )


def tells_ids(name: str, cells: Iterable[str], countries: Sequence[str]) -> bool:
    """Whether a column chosen for ids may be shown whole, by its name and first cells: they are ids, not contacts.

    Ids are often numbers, and some of those might be somebody's telephone number. A column is taken for contacts when
    at least half of its first cells read like one, unless it is called as ids are (as it is in every telephone
    system's own format), or its numbers rise from row to row as ids do.
    """
    if _is_id_name(name):
        return True
    given = [text for text in map(str.strip, cells) if text]
    return _rises(given) or 2 * sum(masked(text, countries) != text for text in given) < len(given)


def masked(text: str, countries: Iterable[str]) -> str:
    """The text with whatever is a contact in one of these countries masked."""
    for country in dict.fromkeys(countries):
        text = discreet(text, country)
    return text


def _cells(rows: Sequence[Row], place: int) -> list[str]:
    return [row.cells[place] for row in rows if row.cells]


def _rises(texts: Sequence[str]) -> bool:
    """Whether these are so many numbers, each above the one before, that it is no chance."""
    if len(texts) < ENOUGH or not all(text.isascii() and text.isdigit() for text in texts):
        return False
    numbers = [int(text[:LONGEST_CELL]) for text in texts]
    return all(before < after for before, after in pairwise(numbers))


def _is_id_name(name: str) -> bool:
    return name.casefold() in ID_NAMES or any(field in ID_FIELDS for field in guessed([name], CALL_FIELDS))
