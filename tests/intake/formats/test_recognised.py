"""Which format a file is of, by its content alone: each knows its own files and none of the others'."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openpyxl import Workbook

from intake.formats import FORMATS, open_table
from intake.formats.asterisk import LAYOUTS
from intake.formats.freeswitch import COLUMNS
from survey.errors import InputError
from tests.intake.formats import test_amazon_connect as amazon
from tests.intake.formats import test_asterisk as asterisk
from tests.intake.formats import test_freeswitch as freeswitch
from tests.intake.formats import test_genesys as genesys
from tests.intake.formats import test_twilio as twilio
from tests.intake.formats.reading import SAMPLES, csv_text, json_lines, named, needs_samples

GENERIC = [
    "call_id,agent,started_at,talk_seconds\n1,amy,2026-03-02 09:00,60\n",
    "call_id;agent\n1;amy\n",
    "call_id\tagent\n1\tamy\n",
    "sep=,\ncall_id,agent\n1,amy\n",
    "\ufeffcall_id,agent\r\n1,amy\r\n",
    "[call_id],[agent]\n1,amy\n",
    "{call_id},agent\n1,amy\n",
    # The names of a telephone system's columns, with a header of one's own.
    ",".join(LAYOUTS[0]) + "\n1,2\n",
    ",".join(COLUMNS) + "\n1,2\n",
    # As many columns as a Master.csv has.
    csv_text([[f"column {number}" for number in range(21)], ["x"] * 21, ["2026-03-02 09:00:00"] * 21]),
    csv_text([[f"column {number}" for number in range(15)], ["x"] * 15]),
]
JSON = [
    json_lines([{"call_id": "1", "agent": {"name": "amy"}}]),
    json.dumps({"calls": [{"id": "1", "direction": "inbound", "sid": "2"}]}),
    json.dumps([{"ContactId": "1"}]),
    json.dumps([{"conversationId": "1", "segments": []}]),
    json.dumps({"specversion": "1.0", "type": "com.example.call", "data": {}}),
    json.dumps({"events": [{"event_type": "x"}]}, indent=1),
]
OWN = {
    "generic": GENERIC,
    "json": JSON,
    "amazon-connect": [
        json.dumps(amazon.CONTACT),
        json.dumps([amazon.CONTACT], indent=4),
        json_lines([amazon.CONTACT] * 3),
    ],
    "genesys": [json.dumps({"conversations": [genesys.TALK]}), json_lines([genesys.TALK])],
    "twilio": [
        *(json_lines(map(shape, twilio.TASK)) for shape in (twilio.streamed, twilio.webhook, twilio.listed)),
        json_lines([twilio.webhook(twilio.payload("worker.created", "00:01", None, task_sid=""))]),
        json.dumps({"calls": [twilio.PARENT, twilio.CHILD]}),
        json_lines([twilio.progress(twilio.CHILD)]),
        json.dumps([twilio.streamed_call(twilio.CHILD)]),
    ],
    "asterisk": [
        *(asterisk.legs({}, layout=layout) for layout in range(len(LAYOUTS))),
        asterisk.legs({}, {}).replace("\n", "\r\n"),
        "broken\n" + asterisk.legs({}, {}),
        "\ufeff" + asterisk.legs({}),
    ],
    "freeswitch": [
        freeswitch.text_of(freeswitch.A_LEG, freeswitch.B_LEG),
        csv_text([list(freeswitch.A_LEG.values())], ";"),
        "broken\n" + freeswitch.text_of(freeswitch.A_LEG),
    ],
}
FILES = [(name, text) for name, texts in OWN.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_each_knows_its_own_and_no_other(name: str, text: str, encoding: str) -> None:
    head = text.encode(encoding) if encoding == "utf-8" else text.removeprefix("\ufeff").encode(encoding)
    knowing = [known.name for known in FORMATS if known.recognises(head)]
    # Any JSON is JSON, and nearly anything is delimited text; both come after those who know better.
    assert knowing[0] == name
    assert set(knowing[1:]) <= {"json", "generic"}


def test_a_workbook_is_a_workbook(tmp_path: Path) -> None:
    Workbook().save(tmp_path / "calls.xlsx")
    head = (tmp_path / "calls.xlsx").read_bytes()
    assert [known.name for known in FORMATS if known.recognises(head)] == ["xlsx"]


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(1000), b"", b"\n", b"\0" * 100, b"\xff\xfe", b"\xff"])
def test_nothing_is_known_by_those_who_know_better(data: bytes) -> None:
    assert {known.name for known in FORMATS if known.recognises(data)} <= {"generic"}


def test_a_head_that_ends_anywhere_is_known_all_the_same() -> None:
    for _, text in FILES:
        for part in (0.7, 0.9):
            cut = text.encode()[: int(len(text) * part)]
            for known in FORMATS:
                known.recognises(cut)
    long = json.dumps({"conversations": [genesys.TALK] * 500}).encode()[: 64 * 1024]
    assert named("genesys").recognises(long)
    assert named("asterisk").recognises(asterisk.legs(*[{}] * 500).encode()[: 64 * 1024])


def test_a_named_format_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    path.write_text(json.dumps({"calls": [twilio.PARENT]}), encoding="utf-8")
    assert open_table(path, "json").header[0] == "sid"
    with pytest.raises(InputError, match="Known: xlsx, amazon-connect, genesys, twilio, json, asterisk, freeswitch"):
        open_table(path, "avaya")


@needs_samples
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("asterisk_cdr/master_21col_masked.csv", "asterisk"),
        ("asterisk_cdr/master_19col_custom.csv", "asterisk"),
        ("freeswitch_cdr/master_native_15col.csv", "freeswitch"),
        ("freeswitch_cdr/master_excel_resaved.csv", "freeswitch"),
        ("amazon_connect/amazon_connect_ctr_masked.json", "amazon-connect"),
        ("amazon_connect/amazon_connect_hierarchygroups_masked.json", "json"),
        ("bank_one_day/calls_one_day.csv", "generic"),
        ("pwc_call_center/call-center-dataset.csv", "generic"),
        ("pwc_call_center/call-center-dataset.xlsx", "xlsx"),
        ("pwc_call_center/variant_1900_time_floats.csv", "generic"),
        ("pwc_call_center/variant_semicolon_dmy_fraction_time.csv", "generic"),
        ("pwc_call_center/variant_d-Mon-yy.csv", "generic"),
    ],
)
def test_the_real_files(path: str, name: str) -> None:
    table = open_table(SAMPLES / path)
    assert table.format is not None and table.format.name == name
