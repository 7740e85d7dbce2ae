"""FreeSWITCH: A and B legs that are one call, repeated rows, and a file that a spreadsheet saved again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats.freeswitch import COLUMNS, HALF, INTERNAL, NO_PERSON, REPEATED
from tests.intake.formats.reading import SAMPLES, Fields, csv_text, needs_samples, read, read_text

FOLDER = SAMPLES / "freeswitch_cdr"
NATIVE, RESAVED = FOLDER / "master_native_15col.csv", FOLDER / "master_excel_resaved.csv"


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


A, B, C = uuid(0xA), uuid(0xB), uuid(0xC)
# The customer's leg, and the leg to extension 1001 that it was connected with.
A_LEG = {
    "caller_id_name": "Somebody",
    "caller_id_number": "+12125550101",
    "destination_number": "5550100",
    "context": "public",
    "start": "2026-03-02 09:00:00",
    "answer": "2026-03-02 09:00:00",
    "end": "2026-03-02 09:01:30",
    "duration": "90",
    "billsec": "90",
    "hangup_cause": "NORMAL_CLEARING",
    "uuid": A,
    "bleg_uuid": B,
    "accountcode": "",
    "read_codec": "PCMU",
    "write_codec": "PCMU",
}
B_LEG = A_LEG | {
    "destination_number": "1001",
    "start": "2026-03-02 09:00:20",
    "answer": "2026-03-02 09:00:30",
    "duration": "70",
    "billsec": "60",
    "uuid": B,
    "bleg_uuid": "",
    "accountcode": "1001",
}


def text_of(*legs: dict[str, str]) -> str:
    return csv_text([list(leg.values()) for leg in legs])


def by_leg(folder: Path, *legs: dict[str, str]) -> dict[str, Fields]:
    found = read_text(folder, text_of(*legs), "freeswitch")
    assert not found.faults
    return {row["leg"]: row for row in found.rows}


# --- the real records ---


@needs_samples
def test_the_real_native_file() -> None:
    found = read(NATIVE)
    assert not found.faults and len(found.rows) == 8
    assert {id[:8]: sorted(leg["leg"][:8] for leg in legs) for id, legs in found.calls.items()} == {
        "1c2888e3": ["1c2888e3", "d26a29f9"],
        "1e764847": ["eb1e406c"],  # named by its A leg, with no row of its own
        "5a94f22d": ["7866825d"],
        "02132a5c": ["02132a5c", "99205d8f"],
        "515f34c7": ["515f34c7", "a03307a6"],
    }
    talks = [(r["external_id"][:8], r["agent"], r["talk_seconds"]) for r in found.rows if r["answered"] == "yes"]
    assert talks == [
        ("1c2888e3", "1001", "4"),
        ("1e764847", "", "8"),
        ("5a94f22d", "1002", "5"),
        ("02132a5c", "1001", "7"),
        ("515f34c7", "1002", "6"),
    ]
    assert {id[:8] for id, legs in found.calls.items() if all(leg["internal"] == "yes" for leg in legs)} == {
        "5a94f22d",
        "515f34c7",
    }
    assert {row["phone"] for row in found.rows if row["internal"] == "no"} == {"5550100"}
    assert found.notes == {REPEATED: 4, INTERNAL: 3, HALF: 2}


@needs_samples
def test_the_real_file_that_a_spreadsheet_saved_again() -> None:
    found = read(RESAVED)
    assert not found.faults and len(found.rows) == len(found.calls) == 8
    assert found.notes == {REPEATED: 2, INTERNAL: 7}
    assert {row["answered"] for row in found.rows} == {"no"}
    (other,) = (row for row in found.rows if row["internal"] == "no")
    assert (other["leg"][:8], other["started_at"], other["ended_at"], other["duration"]) == (
        "f1542038",
        "2020/2/10 22:41",
        "",
        "2",
    )


# --- pairs ---


def test_a_and_b_legs_are_one_call_and_the_b_leg_is_the_talk(tmp_path: Path) -> None:
    found = by_leg(tmp_path, A_LEG, B_LEG)
    assert {row["external_id"] for row in found.values()} == {B}
    assert (found[A]["answered"], found[A]["agent"], found[A]["talk_seconds"]) == ("no", "", "0")
    assert (found[B]["answered"], found[B]["agent"], found[B]["talk_seconds"]) == ("yes", "1001", "60")
    assert found[A]["phone"] == found[B]["phone"] == "+12125550101"
    assert (found[A]["started_at"], found[A]["ended_at"]) == ("2026-03-02 09:00:00", "2026-03-02 09:01:30")


@pytest.mark.parametrize(
    ("a", "b", "call"),
    [
        ({}, {}, B),
        ({}, {"bleg_uuid": A}, A),  # each names the other
        ({"uuid": A.upper()}, {}, B),
        ({"accountcode": '"x"'}, {}, B),
    ],
)
def test_pairs_are_found_in_either_direction_and_any_order(tmp_path: Path, a: Any, b: Any, call: str) -> None:
    legs = [A_LEG | a, B_LEG | b]
    found = by_leg(tmp_path, *legs)
    assert found == by_leg(tmp_path, *reversed(legs))
    assert [row["external_id"] for row in found.values()] == [call, call]
    assert found[B]["agent"] == "1001" and found[A]["answered"] == "no"


@pytest.mark.parametrize("number", [1, 0xC])
def test_the_halves_of_a_pair_are_one_call_each_by_itself(tmp_path: Path, number: int) -> None:
    """Whichever uuid is the smaller: two files make one call of them."""
    found = read_text(tmp_path, text_of(A_LEG | {"uuid": uuid(number)}))
    assert [row["external_id"] for row in found.rows] == [B] and found.notes == {HALF: 1}
    found = read_text(tmp_path, text_of(B_LEG))
    assert [row["external_id"] for row in found.rows] == [B] and found.notes == {}
    assert HALF not in read_text(tmp_path, text_of(A_LEG | {"uuid": uuid(number)}, B_LEG)).notes


@pytest.mark.parametrize(
    ("numbers", "call"),
    [
        ([9, 3, 7, 1, 8, 2, 6], 6),  # the last is named and has no row
        ([9, 3, 7, 1, 8, 2, 6, 9], 1),  # a ring
        ([5, 4, 3, 8, 4], 3),  # a ring with a way in
    ],
)
def test_legs_hang_together_over_several(tmp_path: Path, numbers: list[int], call: int) -> None:
    chain = [A_LEG | {"uuid": uuid(one), "bleg_uuid": uuid(two)} for one, two in pairwise(numbers)]
    found = by_leg(tmp_path, *chain)
    assert {row["external_id"] for row in found.values()} == {uuid(call)} and len(found) == len(chain)


def test_of_several_ends_the_smallest_names_the_call(tmp_path: Path) -> None:
    """Rows of one leg that differ may name two others, neither of which names any."""
    legs = [A_LEG, A_LEG | {"bleg_uuid": C, "billsec": "9"}, B_LEG, B_LEG | {"uuid": C}]
    for order in (legs, legs[::-1]):
        assert {row["external_id"] for row in by_leg(tmp_path, *order).values()} == {B}
    unseen = uuid(1)  # named by the row that is kept
    legs = [A_LEG | {"uuid": C, "bleg_uuid": unseen}, A_LEG | {"uuid": C, "billsec": "9"}, B_LEG]
    assert {row["external_id"] for row in by_leg(tmp_path, *legs).values()} == {unseen}


def test_where_only_a_legs_are_written_a_connected_one_is_a_talk(tmp_path: Path) -> None:
    (row,) = by_leg(tmp_path, A_LEG).values()
    assert (row["answered"], row["agent"], row["talk_seconds"]) == ("yes", "", "90")
    (row,) = by_leg(tmp_path, A_LEG | {"destination_number": "1001"}).values()
    assert row["agent"] == "1001"


@pytest.mark.parametrize(
    "changes",
    [
        {"bleg_uuid": ""},  # a menu, or a queue that nobody answered
        {"billsec": "0"},
        {"bleg_uuid": A},  # itself
    ],
)
def test_a_leg_that_was_connected_with_nobody_is_no_talk(tmp_path: Path, changes: dict[str, str]) -> None:
    found = read_text(tmp_path, text_of(A_LEG | changes))
    assert (found.rows[0]["answered"], found.rows[0]["agent"]) == ("no", "")
    assert found.notes == ({NO_PERSON: 1} if "bleg_uuid" in changes else {HALF: 1})


# --- who called ---


@pytest.mark.parametrize(("first", "second"), [(A, B), (B, A)])
def test_a_call_from_an_extension_is_internal_with_all_its_legs(tmp_path: Path, first: str, second: str) -> None:
    a = A_LEG | {"caller_id_number": "1002", "accountcode": "1002", "destination_number": "12125550199"}
    b = B_LEG | {"caller_id_number": "5550100", "accountcode": "", "destination_number": "12125550199"}
    found = by_leg(tmp_path, a | {"uuid": first, "bleg_uuid": second}, b | {"uuid": second})
    assert {(row["internal"], row["phone"], row["agent"]) for row in found.values()} == {("yes", "", "")}


def test_a_call_begun_by_the_exchange_is_internal(tmp_path: Path) -> None:
    (row,) = by_leg(tmp_path, B_LEG | {"caller_id_name": "Outbound Call"}).values()
    assert (row["internal"], row["phone"]) == ("yes", "")


@pytest.mark.parametrize(("first", "second"), [(A, B), (B, A)])
def test_an_agent_who_calls_another_makes_no_customers_call_internal(tmp_path: Path, first: str, second: str) -> None:
    consult = A_LEG | {
        "uuid": second,
        "bleg_uuid": C,
        "caller_id_number": "1001",
        "accountcode": "1001",
        "start": "2026-03-02 09:00:20",
    }
    found = by_leg(tmp_path, A_LEG | {"uuid": first, "bleg_uuid": second}, consult)
    assert {row["internal"] for row in found.values()} == {"no"}


# --- repeated rows ---


def test_identical_rows_are_one_leg(tmp_path: Path) -> None:
    found = read_text(tmp_path, text_of(B_LEG, B_LEG, B_LEG))
    assert len(found.rows) == 1 and found.notes == {REPEATED: 2}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"billsec": "61"}, False),
        ({"billsec": "9"}, True),
        ({"duration": "71"}, False),
        ({"hangup_cause": "USER_BUSY"}, True),
        ({"billsec": "100"}, False),
    ],
)
def test_of_differing_rows_of_a_leg_the_longest_is_kept(tmp_path: Path, changes: dict[str, str], kept: bool) -> None:
    other = B_LEG | changes
    expected = B_LEG if kept else other
    for legs in ([B_LEG, other], [other, B_LEG]):
        (row,) = by_leg(tmp_path, *legs).values()
        assert (row["talk_seconds"], row["duration"]) == (expected["billsec"], expected["duration"])


# --- files as spreadsheets and other templates leave them ---


def test_without_seconds_the_length_says_when_a_leg_ended(tmp_path: Path) -> None:
    times = {"start": "2026/3/2 9:00", "answer": "2026/3/2 9:00", "end": "2026/3/2 9:01"}
    (row,) = by_leg(tmp_path, B_LEG | times).values()
    assert (row["started_at"], row["ended_at"], row["duration"]) == ("2026/3/2 9:00", "", "70")


def test_the_order_of_times_is_not_the_order_of_their_letters(tmp_path: Path) -> None:
    """10:00 comes after 9:00: the customer's leg was first, so the extension's is a consultation."""
    consult = {"uuid": B, "bleg_uuid": C, "caller_id_number": "1001", "accountcode": "1001"}
    legs = [A_LEG | {"start": "2026/3/2 9:59"}, A_LEG | consult | {"start": "2026/3/2 10:00"}]
    assert {row["internal"] for row in by_leg(tmp_path, *legs).values()} == {"no"}


@pytest.mark.parametrize("columns", [13, 14, 15, 20])
def test_the_first_columns_are_enough(tmp_path: Path, columns: int) -> None:
    cells = [*B_LEG.values(), "x", "y", "z", "", ""][:columns]
    found = read_text(tmp_path, csv_text([cells]))
    assert found.rows[0]["agent"] == "1001"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    found = read_text(tmp_path, csv_text([list(A_LEG.values()), list(B_LEG.values())], delimiter))
    assert len(found.rows) == 2 and not found.faults


def test_a_space_before_a_quote_is_none(tmp_path: Path) -> None:
    cells = [f'"{cell}"' for cell in B_LEG.values()]
    cells[12] = f" {cells[12]}"
    assert read_text(tmp_path, ",".join(cells)).rows[0]["agent"] == "1001"


@pytest.mark.parametrize(
    "changes",
    [{"uuid": "x"}, {"bleg_uuid": "x"}, {"start": ""}, {"end": "later"}, {"billsec": "x"}, {"duration": "-1"}],
)
def test_a_row_of_another_kind_is_rejected(tmp_path: Path, changes: dict[str, str]) -> None:
    found = read_text(tmp_path, text_of(B_LEG, B_LEG | changes, A_LEG))
    assert found.faults == [(2, "is not a row as FreeSWITCH writes them (15 columns)")] and len(found.rows) == 2


def test_a_row_too_short_or_broken_is_rejected(tmp_path: Path) -> None:
    found = read_text(tmp_path, f'{text_of(A_LEG)}a,b,c\n"x" y\n{text_of(B_LEG)}')
    assert len(found.rows) == 2 and [line for line, _ in found.faults] == [2, 3]


# --- whatever the order ---

LEGS = st.fixed_dictionaries(
    {
        "uuid": st.integers(1, 6).map(uuid),
        "bleg_uuid": st.integers(1, 7).map(uuid) | st.just(""),
        "billsec": st.sampled_from(["0", "5", "60"]),
        "start": st.sampled_from(["2026-03-02 09:00:00", "2026-03-02 09:00:20"]),
        "caller_id_number": st.sampled_from(["1001", "+12125550101"]),
        "accountcode": st.sampled_from(["", "1001"]),
        "destination_number": st.sampled_from(["1001", "5550100"]),
    }
).map(lambda changes: B_LEG | changes)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(legs=st.lists(LEGS, min_size=1, max_size=10), data=st.data())
def test_the_order_of_the_rows_makes_no_difference(
    tmp_path: Path, legs: list[dict[str, str]], data: st.DataObject
) -> None:
    first = read_text(tmp_path, text_of(*legs))
    other = read_text(tmp_path, text_of(*data.draw(st.permutations(legs))))
    assert sorted(first.rows, key=leg_of) == sorted(other.rows, key=leg_of)
    assert first.notes == other.notes
    assert len(first.rows) == len({leg["uuid"] for leg in legs})
    calls = {row["leg"]: row["external_id"] for row in first.rows}
    groups = smallest_of_groups(legs)
    assert len(set(zip(calls.values(), (groups[leg] for leg in calls), strict=True))) == len(set(calls.values()))
    assert {frozenset(leg for leg in calls if groups[leg] == one) for one in groups.values()} == {
        frozenset(leg for leg in calls if calls[leg] == one) for one in calls.values()
    }


def leg_of(row: Fields) -> str:
    return row["leg"]


def smallest_of_groups(legs: list[dict[str, str]]) -> dict[str, str]:
    """The smallest uuid of all that hang together with each leg, found by joining groups until nothing changes."""
    smallest = {leg["uuid"]: leg["uuid"] for leg in legs} | {leg["bleg_uuid"]: leg["bleg_uuid"] for leg in legs}
    for _ in legs:
        for leg in legs:
            if leg["bleg_uuid"]:
                together = min(smallest[leg["uuid"]], smallest[leg["bleg_uuid"]])
                smallest[leg["uuid"]] = smallest[leg["bleg_uuid"]] = together
    return {leg["uuid"]: smallest[leg["uuid"]] for leg in legs}


def test_the_columns_are_the_first_of_the_sample() -> None:
    assert tuple(A_LEG)[: len(COLUMNS)] == COLUMNS
