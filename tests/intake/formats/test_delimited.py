"""Delimited text that would swallow rows or fill the memory: one reject, and the rest goes on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from intake.formats import open_table
from intake.formats.delimited import LONGEST_LINE
from survey.errors import InputError
from tests.intake.formats.reading import read, read_text

HEADER = "call_id,started_at,talk_seconds"
LONG = "is longer than 1,000,000 characters"
GOOD = [f"c{number},2026-03-02 09:00,60" for number in range(50)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [LONGEST_LINE - 2, LONGEST_LINE - 1, LONGEST_LINE, 1_200_000, 2 * LONGEST_LINE - 1])
def test_a_line_that_is_too_long_takes_no_other_with_it(tmp_path: Path, end: str, length: int) -> None:
    """Whatever its line ends are, and also where the cut goes through one of them."""
    found = read_text(tmp_path, end.join([HEADER, GOOD[0], "x" * length, *GOOD[1:], ""]))
    assert [row["call_id"] for row in found.rows] == [f"c{number}" for number in range(50)]
    ((line, why),) = found.faults
    assert line == 3 and (why == LONG or length < LONGEST_LINE)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_lines_behind_it_keep_their_numbers(tmp_path: Path, end: str) -> None:
    for length in range(LONGEST_LINE - 3, LONGEST_LINE + 2):
        found = read_text(tmp_path, end.join([HEADER, "x" * length, GOOD[0], "too,few", ""]))
        assert [line for line, _ in found.faults] == [2, 4]


def test_a_quoted_row_without_end_is_one_reject_and_the_rest_goes_on(tmp_path: Path) -> None:
    opened = '"x\n' + '","x\n' * 300_000
    path = tmp_path / "calls"
    path.write_text(f"{HEADER}\n{GOOD[0]}\n{opened}\n{GOOD[1]}\n")
    table = open_table(path)
    faults = 0
    taken = []
    tracemalloc.start()
    try:
        for row in table.rows():
            faults += bool(row.fault)
            if row.fault and faults == 1:
                assert row.line == 3
                assert row.fault == f"{LONG}; is a quote not closed? (lines 3 to 200003 read as one row)"
            elif not row.fault:
                taken.append(row.cells[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken == ["c0", "c1"] and faults == 1 + 300_000 - 200_000
    assert peak < 20_000_000, peak


def test_a_line_too_long_within_quotes_ends_the_row(tmp_path: Path) -> None:
    found = read_text(tmp_path, f'{HEADER}\n"a\n{"x" * 1_100_000}\n{GOOD[0]}\n')
    assert [row["call_id"] for row in found.rows] == ["c0"]
    assert found.faults == [(2, f"{LONG}; is a quote not closed? (lines 2 to 3 read as one row)")]


def test_a_long_row_of_several_lines_is_read_up_to_the_limit(tmp_path: Path) -> None:
    text = "\n".join(["y" * 99_000] * 9)
    cells = ",".join(f'"{line}\n"' for line in text.splitlines())
    header = ",".join(f"h{number}" for number in range(9))
    found = read_text(tmp_path, f"{header}\n{cells}\n{cells}\n")
    assert len(found.rows) == 2 and found.faults == []


def test_a_header_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    path.write_text("," * 16_383 + "\n" + "x" + "," * 16_383 + "\n")
    assert len(read(path).rows) == 1
    path.write_text("," * 16_384 + "\nx\n")
    with pytest.raises(InputError, match="the header has 16,385 columns; 16,384 are the most"):
        read(path)
