"""Whatever a file holds, a format gives rows and faults or refuses the file: never anything else."""

from __future__ import annotations

import copy
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats import FORMATS, open_table
from intake.formats.scratch import scratch
from intake.formats.twilio_events import NOT_NEEDED
from survey.errors import InputError, Refused
from tests.intake.formats import test_amazon_connect as amazon
from tests.intake.formats import test_asterisk as asterisk
from tests.intake.formats import test_freeswitch as freeswitch
from tests.intake.formats import test_genesys as genesys
from tests.intake.formats import test_twilio as twilio
from tests.intake.formats.reading import json_lines, read_objects, read_text

SECRET = "+12125550101"
WHOLE: list[tuple[str, list[dict[str, Any]]]] = [
    ("amazon-connect", [amazon.CONTACT]),
    ("genesys", [genesys.TALK]),
    ("twilio", [twilio.PARENT, twilio.CHILD]),
    ("twilio", [twilio.streamed(told) for told in twilio.TASK]),
    ("twilio", [twilio.webhook(told) for told in twilio.TASK]),
    ("twilio", [twilio.progress(twilio.CHILD)]),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=5) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, len(WHOLE) - 1), changes=st.lists(st.tuples(st.integers(0, 10_000), ANYTHING), max_size=3))
def test_values_of_any_kind_anywhere_make_rows_or_faults(
    tmp_path: Path, which: int, changes: list[tuple[int, Any]]
) -> None:
    name, records = WHOLE[which]
    changed = copy.deepcopy(records)
    for choice, value in changes:
        ways = list(places(changed))
        *way, last = ways[choice % len(ways)]
        holder: Any = changed
        for key in way:
            holder = holder[key]
        holder[last] = value
    objects = [one if isinstance(one, dict) else {} for one in changed]
    try:
        found = read_objects(tmp_path, objects, name)
    except InputError as refusal:
        assert str(refusal) == "calls: holds no call. There is nothing to take in."
        return
    assert len(found.rows) + len(found.faults) + found.notes.get(NOT_NEEDED, 0) >= len(objects)
    assert all(isinstance(cell, str) for row in found.rows for cell in row.values())
    for row in found.rows:
        assert row["external_id"] and row["answered"] in ("yes", "no") and int(row["talk_seconds"]) >= 0
    for _, why in found.faults:
        assert SECRET not in why or any(value == SECRET for _, value in changes)
        assert "\n" not in why and len(why) < 200


TEXTS = [
    ("asterisk", asterisk.legs({}, {"sequence": "8"})),
    ("freeswitch", freeswitch.text_of(freeswitch.A_LEG, freeswitch.B_LEG)),
    ("json", json_lines([{"id": "a"}, {"id": "b"}])),
    *((name, json.dumps(records, indent=1)) for name, records in WHOLE),
    *((name, json_lines(records)) for name, records in WHOLE),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, len(TEXTS) - 1),
    at=st.integers(0, 20_000),
    length=st.integers(0, 30),
    inserted=st.binary(max_size=6) | st.sampled_from([b"\0", b'"', b"\\", b"{", b"]", b"\n", b"\xa5", b"\xff\xfe"]),
    named=st.booleans(),
)
def test_bytes_of_any_kind_anywhere_make_rows_faults_or_a_refusal(
    tmp_path: Path, which: int, at: int, length: int, inserted: bytes, named: bool
) -> None:
    name, text = TEXTS[which]
    data = text.encode()
    at %= len(data)
    try:
        read_text(tmp_path, data[:at] + inserted + data[at + length :], name if named else None)
    except InputError as refusal:
        assert SECRET not in str(refusal)


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_a_truncated_file_gives_what_is_whole(tmp_path: Path, name: str, text: str) -> None:
    whole = read_text(tmp_path, text, name)
    assert whole.rows and not whole.faults
    cut = read_text(tmp_path, text + text[: len(text) // 2], name)
    assert len(cut.rows) + len(cut.faults) >= len(whole.rows)


@pytest.mark.parametrize("known", [known.name for known in FORMATS])
@pytest.mark.parametrize("data", [b"\0" * 500, b"\xff" * 500, b"{" * 500, b"[" * 500, b'"' * 500, b"," * 500, b"x"])
def test_a_file_of_nonsense_is_refused_or_rejected(tmp_path: Path, known: str, data: bytes) -> None:
    path = tmp_path / "calls"
    path.write_bytes(data)
    try:
        rows = list(open_table(path, known).rows())
    except InputError:
        return
    assert all(row.fault for row in rows) or known == "generic"


NOTE = "x" * 1_000
LONG = [
    ("json", json_lines([{"id": "a", "note": NOTE}])),
    ("json", f'{{"id": "a", "note": "{NOTE}"}}'),
    ("amazon-connect", json_lines([amazon.CONTACT | {"note": NOTE}])),
    ("genesys", json_lines([genesys.TALK | {"note": NOTE}])),
    ("twilio", json_lines([twilio.PARENT | {"note": NOTE}, twilio.CHILD | {"note": NOTE}])),
    ("asterisk", asterisk.legs({"userfield": NOTE})),
    ("freeswitch", freeswitch.text_of(freeswitch.A_LEG | {"caller_id_name": NOTE})),
]


@pytest.mark.parametrize(("name", "text"), LONG)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str, text: str) -> None:
    def peak(length: int) -> int:
        path = tmp_path / f"calls-{length}"
        path.write_text(text * (length // len(text)), encoding="utf-8")
        tracemalloc.start()
        for _ in open_table(path, name).rows():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # So far the beginning is read at once, to see of what shape it is.
    small, large = peak(1_100_000), peak(2_200_000)
    assert large < small + 300_000


def test_without_room_for_the_scratch_file_the_import_is_refused() -> None:
    with (
        pytest.raises(Refused, match=r"could not be written: database or disk is full\. Make room"),
        scratch("texts (text TEXT)") as connection,
    ):
        connection.execute("PRAGMA max_page_count = 3")
        for _ in range(1_000):
            connection.execute("INSERT INTO texts VALUES (?)", ("x" * 1_000,))
