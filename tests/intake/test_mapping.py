"""What a mapping file can say of files whose calls have no id, no date or no word for "nobody" of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from intake.mapping import mapping_of, read_mapping
from survey.clock import ManualClock
from survey.errors import InputError
from survey.models import Site
from tests.factories import utc
from tests.intake import samples
from tests.intake.samples import rows

TOML = """
source = "switch"
id_columns = ["line", "number"]
nothing = ["NO_SERVER", "-"]

[columns]
time = "began"
talk_seconds = "talked"
wait_seconds = "waited"
answered = "outcome"
agent = "server"
queue = "skill"

[constants]
date = "2026-03-02"

[values]
answered = { AGENT = true, HANG = false, PHANTOM = false }
"""
HEADER = "line,number,began,talked,waited,outcome,server,skill"


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def mapping(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id_columns": ["line", "number"],
        "nothing": ["NO_SERVER", "-"],
        "columns": {"time": "began", "talk_seconds": "talked", "answered": "outcome", "agent": "server"},
        "constants": {"date": "2026-03-02"},
        "values": {"answered": {"AGENT": True, "HANG": False}},
    }
    return found | changes


def take(folder: Path, *lines: str, **changes: Any) -> Any:
    return samples.taken(samples.written(folder, rows(*lines, header=HEADER)), mapping(**changes))


def test_a_mapping_of_all_these_in_a_file(tmp_path: Path) -> None:
    found = read_mapping(samples.written(tmp_path, TOML, "bank.toml"))
    calls = samples.written(tmp_path, rows("A1,7,9:05:06,61,10,agent,amy,no_server", header=HEADER))
    samples.taken(calls, found.model_dump())
    call = samples.stored()["A1/7"]
    assert (call.source, call.answered, call.queue) == ("switch", True, None)
    assert call.agent is not None and call.agent.key == "amy"
    assert call.started_at == utc(2026, 3, 2, 14, 5).replace(second=6)
    assert (call.ended_at - call.started_at).total_seconds() == 71


def test_columns_that_only_together_tell_calls_apart(tmp_path: Path) -> None:
    report = take(
        tmp_path,
        "A1,7,9:00,5,0,AGENT,amy,",
        "A1,8,9:00,5,0,AGENT,amy,",
        "A2,7,9:00,5,0,AGENT,amy,",
        "A1,7,9:00,5,0,AGENT,amy,",
    )
    assert samples.counts(report) == (3, 0, 1, 0) and set(samples.stored()) == {"A1/7", "A1/8", "A2/7"}


def test_parts_that_hold_the_joint_are_still_told_apart(tmp_path: Path) -> None:
    pairs = [("a/b", "c"), ("a", "b/c"), ("a/", "b"), ("a", "/b"), ("a\\", "b"), ("a", "\\b"), ("a\\/b", "c")]
    report = take(tmp_path, *(f"{line},{number},9:00,5,0,AGENT,amy," for line, number in pairs))
    assert samples.counts(report) == (len(pairs), 0, 0, 0) and len(samples.stored()) == len(pairs)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",7,9:00,5,0,AGENT,amy,", "is empty"),
        ("A1,-,9:00,5,0,AGENT,amy,", "is empty"),
        (f"{'x' * 600},{'y' * 600},9:00,5,0,AGENT,amy,", "longer than 1,000 characters"),
        ("A1\0,7,9:00,5,0,AGENT,amy,", "contains a NUL byte"),
    ],
)
def test_an_id_with_a_part_missing_or_broken_is_none(tmp_path: Path, row: str, reason: str) -> None:
    report = take(tmp_path, row, "A1,7,9:00,5,0,AGENT,amy,")
    assert samples.counts(report) == (1, 0, 0, 1)
    (reject,) = report.rejects
    assert (reject.where, reject.column, reject.reason) == ("line 2", "line + number", reason)


@pytest.mark.parametrize("word", ["NO_SERVER", "no_server", " - ", ""])
def test_words_that_mean_nothing_was_given(tmp_path: Path, word: str) -> None:
    take(tmp_path, f"A1,7,9:00,5,0,AGENT,{word},")
    assert samples.stored()["A1/7"].agent_id is None


def test_a_word_for_nothing_is_nothing_in_a_needed_column_too(tmp_path: Path) -> None:
    report = take(tmp_path, "A1,7,-,5,0,AGENT,amy,", "A1,8,9:00,5,0,-,amy,")
    assert report.rejected_by == {"began: is empty": 1} and samples.stored()["A1/8"].answered


@pytest.mark.parametrize("decides", ["", "28/02/2026"])
def test_a_constant_date_that_may_be_two_is_refused_with_both_and_what_settles_it(tmp_path: Path, decides: str) -> None:
    """Whatever other dates the file holds: they are not its mapping's."""
    columns = mapping()["columns"] | ({"recorded_at": "skill"} if decides else {})
    with pytest.raises(InputError) as refused:
        take(
            tmp_path,
            f"A1,7,9:00,5,0,AGENT,amy,{decides and f'{decides} 10:00'}",
            columns=columns,
            constants={"date": "03/02/2026"},
        )
    said = str(refused.value)
    assert "mapping, [constants] date" in said
    assert "'03/02/2026' is 2026-02-03 read day first and 2026-03-02 read month first" in said
    assert "--date-order dmy or --date-order mdy (or date_order in the mapping)" in said
    assert samples.stored() == {}


@pytest.mark.parametrize(
    ("settled", "options", "day"),
    [
        ({}, {"date_order": "mdy"}, 2),
        ({"date_order": "mdy"}, {}, 2),
        ({"date_order": "dmy"}, {}, 3),
        ({"date_format": "%m/%d/%Y"}, {}, 2),
    ],
)
def test_what_settles_a_constant_date(
    tmp_path: Path, settled: dict[str, Any], options: dict[str, Any], day: int
) -> None:
    file = samples.written(tmp_path, rows("A1,7,9:00,5,0,AGENT,amy,", header=HEADER))
    given = mapping(constants={"date": "03/02/2026"}, **settled)
    assert samples.taken(file, given, **options).new == 1
    assert samples.stored()["A1/7"].started_at.day == day


def test_a_constant_date_that_order_does_not_settle_is_refused(tmp_path: Path) -> None:
    """Year first says nothing of a date with its year at the end."""
    with pytest.raises(InputError, match="read month first"):
        take(tmp_path, "A1,7,9:00,5,0,AGENT,amy,", constants={"date": "03/02/2026"}, date_order="ymd")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "not a date: 'soon'"),
        ("30/02/2026", "there is no such day"),
        ("0001-01-01", "the year is not between 1990 and 2100"),
    ],
)
def test_a_constant_that_is_no_date_is_refused_at_once(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        take(tmp_path, "A1,7,9:00,5,0,AGENT,amy,", constants={"date": text})
    assert why in str(refused.value) and "[constants] date" in str(refused.value)


def test_a_value_named_for_something_else_rejects_only_its_row(tmp_path: Path) -> None:
    report = take(tmp_path, "A1,7,9:00,5,0,PHANTOM,amy,", "A1,8,9:00,5,0,agent,amy,")
    assert samples.counts(report) == (1, 0, 0, 1)
    assert report.rejects[0].reason == "a value the mapping does not name: 'PHANTOM'"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id_columns": ["line", "nummer"]}, "has no column 'nummer' (for external_id)"),
        ({"id_columns": ["skill", "line"], "columns": {"agent": "server"}}, "has no column for its time of day (time)"),
        ({"constants": {"date": "2026-03-02", "agent": "amy"}}, "agent is given both a column and a constant"),
        ({"values": {"outcome": {"AGENT": True}}}, "outcome: no such field"),
        ({"nothings": ["-"]}, "nothings: is no key of this table (did you mean nothing?)"),
    ],
)
def test_faulty_mappings_name_their_fault(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        take(tmp_path, "A1,7,9:00,5,0,AGENT,amy,", **changes)
    assert said in str(refused.value)


def test_one_column_needs_no_list() -> None:
    assert mapping_of({"id_columns": "number", "nothing": "-"}).id_columns == ["number"]
