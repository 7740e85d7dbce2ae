"""Files in TOML: whatever is wrong with one is said in our own words, with line and column where they are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from intake.mapping import mapping_of
from intake.roster_file import SiteEntry
from intake.toml_files import faults
from survey import toml_files
from survey.errors import InputError
from survey.toml_files import read_toml
from tests.intake import samples

BAD = {
    "a text without quotes": ("a = 1\nkey = acme\n", "line 2, column 7: is not TOML: this is no value: text stands"),
    "no value": ("key =\n", "line 1, column 6: is not TOML: this is no value"),
    "no equals sign": ("key acme\n", "line 1, column 5: is not TOML: a key must be followed by ="),
    "a text that goes on": ('key = "acme\nname = "x"\n', "a text is not closed with its quote on the same line"),
    "a text to the end": ('key = """acme', "is not TOML: at its end, a text is not closed"),
    "a table that goes on": ("[sites\n", "line 1, column 7: is not TOML: the name of a table is not closed with ]"),
    "a table twice": ("[a]\n[a]\n", "line 2, column 3: is not TOML: a table is given twice"),
    "a key twice": ("a = 1\na = 2\n", "line 2, column 6: is not TOML: a key is given twice: keep one"),
    "a list that goes on": ("a = [1, 2", "is not TOML: at its end, a list is not closed with ]"),
    "two on a line": ("a = 1 b = 2\n", "line 1, column 7: is not TOML: something stands behind the value"),
    "30 February": ("a = 2026-02-30\n", "line 1, column 5: is not TOML: there is no such date"),
    "a folder with backslashes": ('a = "C:\\data"\n', r"write \\, or put the text between single quotes"),
    "a rubbish line": ("????\n", "line 1, column 1: is not TOML: this is neither key = value nor a [table]"),
    "a comma": (",\n", "line 1, column 1: is not TOML: this is neither key = value nor a [table]"),
    "not UTF-8": (b'a = 1\nb = "\xff"\n', "line 2: is not UTF-8 text. Save it as UTF-8."),
    "a NUL byte": ('a = "\0"\n', "a character stands here that must not"),
    "deep": ("a = " + "[" * 100_000, "is not TOML"),
    "a number of 5,000 digits": ("a = " + "9" * 5_000, "is not TOML: a number has thousands of digits"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_what_is_no_toml_is_told_in_our_words(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_toml(samples.written(tmp_path, content, "roster.toml"))
    assert said in str(refused.value) and "roster.toml" in str(refused.value)
    for foreign in ("Invalid", "Expected", "Illegal", "Cannot", "Unclosed", "cannot be understood", "(at line"):
        assert foreign not in str(refused.value)


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_files, "MOST_BYTES", 10)
    assert read_toml(samples.written(tmp_path, "a = 1 # 23", "a.toml")) == {"a": 1}
    with pytest.raises(InputError, match="is larger than"):
        read_toml(samples.written(tmp_path, "a = 1 # 234", "a.toml"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"constants": {"answered": 1.5}},
            "constants.answered: write text between quotes, a whole number, or true or false",
        ),
        ({"date_format": [1, "x"]}, "date_format.entry 1: write text, between quotes"),
        ({"date_format": 3}, 'date_format: write a list, such as ["a", "b"]'),
        ({"datetime_format": "%d.%Q"}, "datetime_format: '%d.%Q' is no format: write %d for the day"),
        ({"date_format": ["%d.%m.%Y", "%"]}, "date_format: '%' is no format"),
        ({"zone": "Mars"}, "zone: 'Mars' is not a time zone. Use an IANA name such as America/New_York"),
        ({"end": "soon"}, "end: write 'auto', 'ended_at', 'duration' or 'wait + talk'"),
        ({"colums": {}}, "colums: is no key of this table (did you mean columns?)"),
        ({"values": {"answered": {"x": []}}}, "values.answered.x: write text between quotes"),
        ({"columns": {"agent": 3}}, "columns.agent: write text, between quotes"),
    ],
)
def test_values_of_the_wrong_kind_are_told_once_and_how_to_write_them(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        mapping_of(given)
    assert refused.value.what.startswith(said) and refused.value.what.count("write") <= 1


def test_every_kind_of_fault_that_a_roster_can_have_is_in_our_words() -> None:
    given = {"key": "", "name": "x" * 201, "time_zone": 7, "country": "XX", "opened_on": "soon", "closed_days": "2026"}
    given |= {"weekend": "sunday", "closed_on": "2026-02-30", "opened_days": [1.5]}
    with pytest.raises(ValidationError) as found:
        SiteEntry.model_validate(given)
    said = faults(found.value, SiteEntry.model_fields)
    for part in (
        "key: is empty",
        "name: is longer than 200 characters",
        "time_zone: write text, between quotes",
        "country: 'XX' is not a country",
        "opened_on: write a date that exists, such as 2026-03-31",
        "closed_days: write a list",
        "opened_days.entry 1: write a date that exists",
        "closed_on: write a date that exists",
    ):
        assert part in said, said
    assert "Input" not in said and "should" not in said
