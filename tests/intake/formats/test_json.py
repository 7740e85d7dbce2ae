"""JSON of no system in particular: every shape, and everything that can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.formats.delimited import NOT_UTF8
from intake.formats.json_records import CHUNK
from survey.errors import InputError
from tests.intake.formats.reading import Read, json_lines, read_text

THREE = [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "c", "n": 3}]
NESTED = '{"a": ' * 5_000 + "1" + "}" * 5_000


def ids(found: Read) -> list[str]:
    return [row["id"] for row in found.rows]


# --- shapes ---


@pytest.mark.parametrize(
    "text",
    [
        json_lines(THREE),
        json_lines(THREE).replace("\n", "\r\n"),
        json_lines(THREE).replace("\n", "\n\n  "),
        json_lines(THREE).strip(),
        json.dumps(THREE),
        json.dumps(THREE, indent=2),
        "".join(json.dumps(one) for one in THREE),
        "\n".join(json.dumps(one, indent=2) for one in THREE),
        json.dumps({"calls": THREE}),
        json.dumps({"page": 0, "errors": [], "tags": ["x"], "calls": THREE, "next": None}, indent=1),
        "[\n" + ",\n".join(json.dumps(one) for one in THREE) + "\n]",
        '{\n"calls": [\n' + ",\n".join(json.dumps(one) for one in THREE) + "\n]\n}",
        json.dumps(THREE[:1]) + json.dumps(THREE[1:]),
        json.dumps(THREE[:2])[:-1] + ",\n" + json.dumps(THREE[2]) + "\n]",
        '{"calls": [' + json.dumps(THREE[0]) + "," + json.dumps(THREE[1]) + ",\n" + json.dumps(THREE[2]) + "\n]}",
        "\ufeff" + json.dumps(THREE),
        "\ufeff" + json_lines(THREE),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_same_objects_in_every_shape(tmp_path: Path, text: str, encoding: str) -> None:
    data = text.removeprefix("\ufeff").encode(encoding) if encoding == "utf-16" else text.encode()
    found = read_text(tmp_path, data)
    assert (ids(found), found.faults, found.notes) == (["a", "b", "c"], [], {})
    assert [row["n"] for row in found.rows] == ["1", "2", "3"]


def test_one_object_is_one_row_unless_it_holds_one_list_of_objects(tmp_path: Path) -> None:
    assert ids(read_text(tmp_path, '{"id": "a", "tags": ["x"]}')) == ["a"]
    assert ids(read_text(tmp_path, '{"id": "a", "legs": [{"id": "b"}], "parts": [{"id": "c"}]}')) == ["a"]
    assert ids(read_text(tmp_path, '{"id": "a", "legs": [{"id": "b"}]}\n{"id": "c", "legs": [{"id": "d"}]}')) == [
        "a",
        "c",
    ]
    assert ids(read_text(tmp_path, '{"legs": [{"id": "b"}, {"id": "c"}]}')) == ["b", "c"]


def test_the_header_is_every_name_of_the_whole_file(tmp_path: Path) -> None:
    found = read_text(tmp_path, '{"a": 1}\n{"b": {"c": 2, "d": {"e": 3}}}\n{"f": [1, {"g": "\u00e9"}], "a": null}\n')
    assert found.rows == [
        {"a": "1", "b.c": "", "b.d.e": "", "f": ""},
        {"a": "", "b.c": "2", "b.d.e": "3", "f": ""},
        {"a": "", "b.c": "", "b.d.e": "", "f": '[1, {"g": "\u00e9"}]'},
    ]


def test_a_line_is_where_the_object_begins(tmp_path: Path) -> None:
    text = '[\n  {\n    "id": "a"\n  }, {"id": "b"},\n\n  7,\n {"id": "c"}]'
    found = read_text(tmp_path, text)
    assert (ids(found), found.faults) == (["a", "b", "c"], [(6, "is no JSON object")])


# --- values ---


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("12345678901234567890", "12345678901234567890"),
        ("9" * 5_000, "9" * 5_000),
        ("1.50", "1.50"),
        ("1e400", "1e400"),
        ("-0", "-0"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ('""', ""),
        ('"a\\u0000b"', "a\0b"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\ud83d"', "\ufffd"),
        ('"a\tb"', "a\tb"),
        ("[]", "[]"),
        ('[1.50, true, null, "x\\"", {"y": [12345678901234567890]}]', None),
    ],
)
def test_values_become_the_text_a_csv_would_hold(tmp_path: Path, value: str, cell: str | None) -> None:
    for text in (f'{{"id": {value}}}', f'[{{"id": {value}}}]'):
        assert ids(read_text(tmp_path, text)) == [value if cell is None else cell]


def test_half_a_character_in_a_name_or_a_list_is_no_half_in_the_cells(tmp_path: Path) -> None:
    found = read_text(tmp_path, '{"\\udc00": ["\\ud800"]}')
    assert found.rows == [{"\ufffd": '["\ufffd"]'}]


# --- mistakes ---


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ('{"id": "x"', "is not JSON at column 11 (Expecting ',' delimiter)"),
        ('{"id": "x', "is not JSON at column 8 (a text is not closed)"),
        ("oops", "is not JSON at column 1 (Expecting value)"),
        ("[1]", "is no JSON object"),
        ('"text"', "is no JSON object"),
        ('{"id": 1, "id": 2}', "has the same name twice in one object"),
        ('{"a": {"id": 1, "id": 2}}', "has the same name twice in one object"),
        ('{"a": {"b": 1}, "a.b": 2}', "has 'a.b' twice, once in an object of its own"),
        ('{"a": 01}', "is not JSON at column 8 (Expecting ',' delimiter)"),
        (NESTED, "is nested too deeply"),
        ('{"a": ' * 60 + "1" + "}" * 60, "is nested too deeply"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "is nested too deeply"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "is longer than 1,000,000 characters"),
        ('{"a": "' + "x" * 10_000_000 + '"}', "is longer than 1,000,000 characters"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_costs_only_itself(tmp_path: Path, bad: str, fault: str, place: int) -> None:
    lines = ['{"id": "a"}', '{"id": "b"}', '{"id": "c"}']
    lines.insert(place, bad)
    found = read_text(tmp_path, "\n".join(lines), "json")
    assert (ids(found), found.faults) == (["a", "b", "c"], [(place + 1, fault)])


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ('{"id": oops}', "line 3, column 9 (Expecting value)"),
        ('{"id": "x"} {"id": "y"}', "line 3, column 14 (Expecting ',' delimiter)"),
        ('{"id": "x"', "line 4, column 2 (Expecting property name enclosed in double quotes)"),
        ("{id: 1}", "line 3, column 3 (Expecting property name enclosed in double quotes)"),
    ],
)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"calls": [', "]}")])
def test_behind_a_mistake_in_a_list_nothing_is_read(
    tmp_path: Path, bad: str, fault: str, opening: str, closing: str
) -> None:
    text = f'{opening}\n {{"id": "a"}},\n {bad}\n,{{"id": "c"}}\n{closing}'
    found = read_text(tmp_path, text)
    taken = ["a", "x"] if "}" in bad[:-1] else ["a"]
    assert ids(found) == taken
    ((_, why),) = found.faults
    assert why == f"cannot be read as JSON at {fault}; the rest of the file could not be read"


@pytest.mark.parametrize(("cut", "taken"), [(23, 1), (24, 1), (26, 1), (40, 1), (45, 2)])
@pytest.mark.parametrize("opening", ["[", '{"calls": ['])
def test_a_truncated_list_gives_what_is_whole(tmp_path: Path, opening: str, cut: int, taken: int) -> None:
    whole = '{"id": "the first one"}, {"id": "second one"}'
    found = read_text(tmp_path, opening + whole[:cut])
    assert ids(found) == ["the first one", "second one"][:taken]
    ((_, why),) = found.faults
    assert why.endswith("(the file ends in the midst of it); the rest of the file could not be read")


@pytest.mark.parametrize("bad", [NESTED, '{"a": "' + 'x\\"{' * 700_000 + '"}', f'{{"a": [{"[[1]], " * 400_000}0]}}'])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"calls": [', "]}")])
def test_an_object_too_long_or_too_deep_costs_only_itself_in_a_list_too(
    tmp_path: Path, bad: str, opening: str, closing: str
) -> None:
    found = read_text(tmp_path, f'{opening}{{"id": "a"}}, {bad}, {{"id": "c"}}{closing}')
    ((_, why),) = found.faults
    assert ids(found) == ["a", "c"]
    assert why in ("is nested too deeply", "is longer than 1,000,000 characters")


def test_bytes_that_are_no_utf8_are_read_and_counted(tmp_path: Path) -> None:
    for text in (b'{"id": "a\xa5"}\n{"id": "b"}', b'[{"id": "a\xa5"},\n{"id": "b"}]'):
        found = read_text(tmp_path, text)
        assert (ids(found), found.notes) == (["a\ufffd", "b"], {NOT_UTF8: 1})


def test_a_thousand_names_are_enough(tmp_path: Path) -> None:
    assert len(read_text(tmp_path, json_lines({f"n{number}": 1} for number in range(1_000))).rows) == 1_000
    with pytest.raises(InputError, match=r"calls, line 1001: has more than 1,000 different names\. Each name becomes"):
        read_text(tmp_path, json_lines({f"n{number}": 1} for number in range(1_001)))


@pytest.mark.parametrize("text", ["[]", "{}", "[1, 2]", '{"a":', "null", "[", "{", "[[]]"])
def test_a_file_without_an_object_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"has no object that can be read.*Each call must be a JSON object"):
        read_text(tmp_path, text, "json")


@pytest.mark.parametrize("value", ["1234567", "true", '"te\\\\xt"', "null", "-1.5e10", "1E+400", "0.25"])
def test_the_window_over_the_file_may_end_anywhere(tmp_path: Path, value: str) -> None:
    for before in range(2, 30):
        space = "\n" + " " * (CHUNK - before)
        found = read_text(tmp_path, f'{{{space}"page": {value}, "calls": [{{"id": "a"}}, {{"id": "b"}}]}}')
        assert (ids(found), found.faults) == (["a", "b"], [])
        found = read_text(tmp_path, f'[{space}{value}, {{"id": "a"}}]')
        assert (ids(found), found.faults) == (["a"], [(2, "is no JSON object")])


# --- any objects at all ---

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text("xyz\u00e9\n", min_size=1, max_size=3), VALUES, max_size=4), max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects=OBJECTS, indent=st.sampled_from([None, 0, 3]), room=st.integers(0, 40))
def test_every_shape_gives_the_same_rows(
    tmp_path: Path, objects: list[dict[str, Any]], indent: int | None, room: int
) -> None:
    given = [{"id": number, **one} for number, one in enumerate(objects)]
    # So that the window over the file ends in the midst of things.
    space = " " * (CHUNK - room)
    texts = [
        json_lines([{"id": "first"}, *given]),
        json.dumps([{"id": "first"}, *given], indent=indent),
        f"[{space}{json.dumps({'id': 'first'})}, {json.dumps(given, indent=indent)[1:]}"
        if given
        else '[{"id": "first"}]',
        "".join(json.dumps(one, indent=indent) for one in [{"id": "first"}, *given]),
    ]
    results = [read_text(tmp_path, text) for text in texts]
    for found in results[1:]:
        assert found.rows == results[0].rows
        assert [why for _, why in found.faults] == [why for _, why in results[0].faults]
    assert len(results[0].rows) + len(results[0].faults) == len(objects) + 1
