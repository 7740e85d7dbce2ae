"""Asterisk: legs that collapse by linkedid, whoever was at the other end, and who called whom."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats.asterisk import INTERNAL, LAYOUTS, NO_PERSON, NO_SECOND, SEVERAL
from intake.formats.delimited import NOT_UTF8
from tests.intake.formats.reading import SAMPLES, Fields, csv_text, needs_samples, read, read_text

FOLDER = SAMPLES / "asterisk_cdr"
MASTER, CUSTOM = FOLDER / "master_21col_masked.csv", FOLDER / "master_19col_custom.csv"

# A customer's call that Dial brought to extension 301.
LEG = {
    "accountcode": "",
    "src": "+12125550101",
    "dst": "5550100",
    "dcontext": "from-trunk",
    "clid": '"Somebody" <+12125550101>',
    "channel": "PJSIP/provider-00000001",
    "dstchannel": "PJSIP/301-00000002",
    "lastapp": "Dial",
    "lastdata": "PJSIP/301,30,t",
    "start": "2026-03-02 09:00:00",
    "answer": "2026-03-02 09:00:05",
    "end": "2026-03-02 09:01:05",
    "duration": "65",
    "billsec": "60",
    "disposition": "ANSWERED",
    "amaflags": "DOCUMENTATION",
    "uniqueid": "1772442000.1",
    "userfield": "",
    "peeraccount": "",
    "linkedid": "1772442000.1",
    "sequence": "7",
}


def legs(*changes: dict[str, str], layout: int = 0) -> str:
    return csv_text([[(LEG | change)[name] for name in LAYOUTS[layout]] for change in changes])


def one(folder: Path, **changes: str) -> Fields:
    found = read_text(folder, legs(changes), "asterisk")
    assert not found.faults
    return found.rows[0]


def leg_of(row: Fields) -> str:
    return row["leg"]


# --- the real records ---


@needs_samples
def test_the_real_master_csv() -> None:
    found = read(MASTER)
    assert len(found.rows) == 84 and not found.faults
    assert len(found.calls) == 36
    answered = [row for row in found.rows if row["answered"] == "yes"]
    assert len(answered) == len({row["external_id"] for row in answered}) == 24
    assert Counter(row["agent"] for row in answered) == {"301": 19, "200@stadionpbx": 5}
    assert {row["agent"] for row in found.rows if row["answered"] == "no"} == {""}
    assert found.notes[NO_SECOND] == 7
    assert found.notes[NO_PERSON] == 6
    assert {row["internal"] for row in found.rows} == {"no"}
    assert len({(row["external_id"], row["leg"]) for row in found.rows}) == 84


@needs_samples
def test_the_real_invalid_byte_is_counted_and_costs_nothing() -> None:
    lines = MASTER.read_bytes().splitlines()
    with_it = [number for number, line in enumerate(lines, start=1) if b"\xa5" in line]
    assert len(with_it) == 8 and {byte for line in lines for byte in line if byte > 127} == {0xA5}
    assert read(MASTER).notes[NOT_UTF8] == 8


@needs_samples
def test_the_real_talk_is_the_billed_seconds_of_the_answered_dials() -> None:
    with MASTER.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.reader(file))
    billed = {
        row[19]: (int(row[13]), row[1], row[9], row[11])
        for row in rows
        if row[7] == "Dial" and row[14] == "ANSWERED" and row[13] != "0"
    }
    taken = {
        row["external_id"]: (int(row["talk_seconds"]), row["phone"], row["started_at"], row["ended_at"])
        for row in read(MASTER).rows
        if row["answered"] == "yes"
    }
    assert taken == billed and len(billed) == 24
    assert sum(seconds for seconds, *_ in billed.values()) == 790


@needs_samples
def test_the_real_custom_layout_is_calls_between_extensions() -> None:
    found = read(CUSTOM)
    assert len(found.rows) == len(found.calls) == 14 and not found.faults
    assert {(row["internal"], row["phone"]) for row in found.rows} == {("yes", "")}
    assert Counter(row["agent"] for row in found.rows) == {"client2": 8, "client1": 3, "": 3}
    assert found.notes == {INTERNAL: 14}
    assert found.rows[0]["external_id"] == "1690325492.2"


# --- layouts ---


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_every_layout_is_known_by_its_content(tmp_path: Path, layout: int) -> None:
    found = read_text(tmp_path, legs({}, {"sequence": "8", "dstchannel": "PJSIP/302-00000003"}, layout=layout))
    assert not found.faults
    assert [row["agent"] for row in found.rows] == ["301", "302"]
    assert len({row["leg"] for row in found.rows}) == 2
    assert {row["external_id"] for row in found.rows} == {"1772442000.1"}
    assert found.rows[0]["started_at"] == "2026-03-02 09:00:00" and found.rows[0]["talk_seconds"] == "60"


def test_the_layouts_have_the_columns_asterisk_can_write() -> None:
    assert sorted(len(layout) for layout in LAYOUTS) == [17, 18, 18, 19, 19, 20, 20, 21]
    assert len(set(LAYOUTS)) == len(LAYOUTS)


def test_a_file_may_change_its_layout_midway(tmp_path: Path) -> None:
    found = read_text(tmp_path, legs({}, layout=5) + legs({"uniqueid": "2.1", "linkedid": "2.1"}, layout=0))
    assert list(found.calls) == ["1772442000.1", "2.1"] and not found.faults


def test_without_a_linkedid_each_uniqueid_is_a_call(tmp_path: Path) -> None:
    found = read_text(tmp_path, legs({}, {"uniqueid": "9.9"}, layout=5))
    assert list(found.calls) == ["1772442000.1", "9.9"]


@pytest.mark.parametrize(
    "change",
    [
        {"disposition": "PERHAPS"},
        {"amaflags": "x"},
        {"billsec": "-1"},
        {"duration": ""},
        {"start": ""},
        {"end": "yesterday"},
        {"uniqueid": ""},
        {"linkedid": "x"},
        {"sequence": "seven"},
    ],
)
def test_a_row_of_another_kind_is_rejected(tmp_path: Path, change: dict[str, str]) -> None:
    found = read_text(tmp_path, legs({}, change, {"sequence": "9"}))
    assert found.faults == [(2, "is not a row as Asterisk writes them (21 columns)")] and len(found.rows) == 2


def test_broken_rows_cost_only_themselves(tmp_path: Path) -> None:
    found = read_text(tmp_path, f'{legs({})}a,b\n"x" y,z\n\n{legs({"sequence": "9"})}')
    assert len(found.rows) == 2
    assert [line for line, _ in found.faults] == [2, 3]
    assert found.faults[0][1] == "is not a row as Asterisk writes them (2 columns)"


# --- who talked with whom ---


@pytest.mark.parametrize(
    ("changes", "agent"),
    [
        ({}, "301"),
        ({"dstchannel": "SIP/301-00000004"}, "301"),
        ({"dstchannel": "PJSIP/anna-maria-0000000a"}, "anna-maria"),
        ({"dstchannel": "IAX2/301-1234"}, "301"),
        ({"dstchannel": "DAHDI/3-1"}, "3"),
        ({"lastapp": "Queue", "lastdata": "sales,t,,,60"}, "301"),
        # Over a trunk to a sister exchange: its extension, where only one was called there.
        ({"dstchannel": "SIP/pbx2-0000001e", "lastdata": "SIP/301&SIP/200@pbx2,60"}, "200@pbx2"),
        ({"dstchannel": "SIP/pbx2-0000001e", "lastdata": "SIP/pbx2/200,60"}, "200@pbx2"),
        ({"dstchannel": "SIP/pbx2-0000001e", "lastdata": "SIP/158@pbx2&SIP/200@pbx2,60"}, ""),
        # A number in the outside world is nobody's name.
        ({"dstchannel": "SIP/provider-0000001e", "lastdata": "SIP/12125550199@provider,60"}, "provider"),
        ({"dstchannel": "DAHDI/i1/12125550199-1"}, "i1"),
    ],
)
def test_the_agent_is_the_peer_at_the_other_end(tmp_path: Path, changes: dict[str, str], agent: str) -> None:
    row = one(tmp_path, **changes)
    assert (row["answered"], row["agent"], row["talk_seconds"]) == ("yes", agent, "60")


@pytest.mark.parametrize(
    "changes",
    [
        {"disposition": "NO ANSWER"},
        {"disposition": "NO ANSWER", "billsec": "30"},
        {"disposition": "BUSY", "billsec": "0"},
        {"billsec": "0"},
        {"lastapp": "Hangup", "dstchannel": ""},
        {"lastapp": "Playback"},
        {"dstchannel": ""},
        {"lastapp": "Queue", "dstchannel": "", "lastdata": "sales"},
        {"dstchannel": "Local/301@from-queue-00000001;1"},
    ],
)
def test_a_leg_that_reached_no_person_is_no_conversation(tmp_path: Path, changes: dict[str, str]) -> None:
    row = one(tmp_path, **changes)
    assert (row["answered"], row["agent"], row["talk_seconds"]) == ("no", "", "0")
    assert row["phone"] == "+12125550101"


def test_the_oddities_are_counted(tmp_path: Path) -> None:
    text = legs(
        {"billsec": "0"},
        {"dstchannel": "", "sequence": "8"},
        {"dstchannel": "SIP/pbx2-0000001e", "lastdata": "SIP/1@pbx2&SIP/2@pbx2", "sequence": "9"},
    )
    assert read_text(tmp_path, text).notes == {NO_SECOND: 1, NO_PERSON: 1, SEVERAL: 1}


def test_the_queue_is_the_one_that_was_called(tmp_path: Path) -> None:
    assert one(tmp_path, lastapp="Queue", lastdata="sales,t,,,60")["queue"] == "sales"
    assert one(tmp_path)["queue"] == ""


# --- who called ---


@pytest.mark.parametrize(
    ("changes", "internal"),
    [
        ({}, False),
        # From an extension: the caller's number is its device.
        ({"src": "302", "channel": "PJSIP/302-00000001", "dcontext": "phones"}, True),
        ({"src": "302", "channel": "Local/302@from-internal-00000001;2", "dcontext": "phones"}, False),
        # To the outside, under the company's number: what was dialled is what went out over the trunk.
        ({"dst": "12125550199", "lastdata": "PJSIP/12125550199@provider,60", "dcontext": "from-internal"}, True),
        ({"dst": "912125550199", "lastdata": "PJSIP/provider/12125550199", "dcontext": "outgoing"}, True),
        ({"dst": "2125550199", "lastdata": "PJSIP/+12125550199@provider", "dcontext": "phones"}, True),
        # A customer's call passed on: to an extension of a sister exchange, or under its own number.
        ({"dst": "5550200", "lastdata": "SIP/200@pbx2", "dcontext": "phones"}, False),
        ({"dst": "5550100", "lastdata": "SIP/5550100@pbx2", "dcontext": "from-trunk"}, False),
        ({"dst": "5550100", "lastdata": "SIP/12125550199@provider", "dcontext": "phones"}, False),
    ],
)
def test_calls_of_the_centre_itself_are_internal(tmp_path: Path, changes: dict[str, str], internal: bool) -> None:
    row = one(tmp_path, **changes)
    assert row["internal"] == ("yes" if internal else "no")
    assert row["phone"] == ("" if internal else LEG["src"] if "src" not in changes else changes["src"])


def test_all_legs_of_a_call_from_an_extension_are_internal(tmp_path: Path) -> None:
    first = {"src": "302", "channel": "PJSIP/302-00000001", "dstchannel": "Local/301@ring-00000000;1"}
    detour = {"src": "302", "channel": "Local/301@ring-00000000;2", "uniqueid": "1772442000.3", "sequence": "8"}
    for text in (legs(first, detour), legs(detour, first)):
        found = read_text(tmp_path, text)
        assert {(row["internal"], row["phone"]) for row in found.rows} == {("yes", "")}
        assert found.notes[INTERNAL] == 2


def test_an_agent_who_consults_another_makes_no_customers_call_internal(tmp_path: Path) -> None:
    consulted = {"src": "301", "channel": "PJSIP/301-00000009", "uniqueid": "1772442000.4", "sequence": "8"}
    found = read_text(tmp_path, legs({}, consulted))
    assert [(row["internal"], row["phone"]) for row in found.rows] == [("no", "+12125550101"), ("yes", "")]


# --- whatever the order ---

CHANGES = st.fixed_dictionaries(
    {
        "uniqueid": st.sampled_from(["1.1", "1.2", "2.1"]),
        "linkedid": st.sampled_from(["1.1", "2.1"]),
        "src": st.sampled_from(["301", "+12125550101"]),
        "channel": st.sampled_from(["PJSIP/301-01", "PJSIP/trunk-02", "Local/9@x-03;2"]),
        "dstchannel": st.sampled_from(["PJSIP/302-04", "", "Local/9@x-03;1"]),
        "billsec": st.sampled_from(["0", "30"]),
        "dcontext": st.just("phones"),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, min_size=1, max_size=8), data=st.data())
def test_the_order_of_the_rows_makes_no_difference(
    tmp_path: Path, changes: list[dict[str, str]], data: st.DataObject
) -> None:
    numbered = [change | {"sequence": str(number)} for number, change in enumerate(changes)]
    first = read_text(tmp_path, legs(*numbered))
    other = read_text(tmp_path, legs(*data.draw(st.permutations(numbered))))
    assert sorted(first.rows, key=leg_of) == sorted(other.rows, key=leg_of)
    assert first.notes == other.notes
