"""Files as they should not be: a clear message, the good rows in, never a stack trace."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path

import psutil
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from intake.formats.delimited import NOT_UTF8
from intake.formats.workbook import FURTHER_SHEETS
from intake.mapping import read_mapping
from survey.clock import ManualClock
from survey.errors import AftercallError, InputError
from tests.factories import utc
from tests.intake import samples

GOOD = "good,amy,2026-03-02 09:00:00,60"


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> None:
    samples.place()


def only_good_one(tmp_path: Path, bad: str, header: str = samples.HEADER, good: str = GOOD) -> tuple[str, str, str]:
    """Imports a bad row between two good ones; returns the one reject's (line, column, reason)."""
    text = "\n".join([header, good, bad, good.replace("good", "after", 1)])
    report = samples.taken(samples.written(tmp_path, text))
    assert samples.counts(report) == (2, 0, 0, 1)
    assert set(samples.stored()) == {"good", "after"}
    (reject,) = report.rejects
    return reject.where, reject.column, reject.reason


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        (",amy,2026-03-02 09:00,60", "call_id", "is empty"),
        ("x,amy,,60", "started_at", "is empty"),
        ("x,amy,2026-02-30 09:00,60", "started_at", "there is no such day: '2026-02-30'"),
        ("x,amy,0001-01-01 09:00,60", "started_at", "the year is not between 1990 and 2100: '0001-01-01'"),
        ("x,amy,9999-12-31 23:59,60", "started_at", "the year is not between 1990 and 2100: '9999-12-31'"),
        ("x,amy,2026-03-02,60", "started_at", "not a date with a time: '2026-03-02'"),
        ("x,amy,2026-03-02 25:00,60", "started_at", "not a time of day: '25:00'"),
        ("x,amy,2026-03-02 09:00,-5", "talk_seconds", "negative duration: '-5'"),
        ("x,amy,2026-03-02 09:00,-0:00:05", "talk_seconds", "negative duration: '-0:00:05'"),
        ("x,amy,2026-03-02 09:00,6O", "talk_seconds", "not a duration: '6O'"),
        ("x,amy,2026-03-02 09:00,0:75:00", "talk_seconds", "not a duration: '0:75:00'"),
        ("x,amy,2026-03-02 09:00,NaN", "talk_seconds", "not a duration: 'NaN'"),
        ("x,amy,2026-03-02 09:00,1e9", "talk_seconds", "not a duration: '1e9'"),
        ('x,amy,2026-03-02 09:00,"1,200"', "talk_seconds", "not a duration: '1,200'"),
        ("x,amy,2026-03-02 09:00,604801", "talk_seconds", "longer than a week: '604801'"),
        ("x,amy,2026-03-12 13:30,60", "", "ends in the future (a wrong time zone or date format?)"),
        ("x\0,amy,2026-03-02 09:00,60", "call_id", "contains a NUL byte"),
        ("x,amy,2026-03-02 09:00", "", "not a row: has 3 columns where the header has 4"),
        ("x,amy,2026-03-02 09:00,60,70", "", "not a row: has 5 columns where the header has 4"),
        (f"{'x' * 1001},amy,2026-03-02 09:00,60", "call_id", "longer than 1,000 characters"),
    ],
)
def test_a_bad_row_is_named_by_line_and_column(tmp_path: Path, bad: str, column: str, reason: str) -> None:
    assert only_good_one(tmp_path, bad) == ("line 3", column, reason)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("answered", "perhaps", "neither yes nor no: 'perhaps'"),
        ("language", "Spanish", "not a language tag: 'Spanish'"),
        ("internal", "2", "neither yes nor no: '2'"),
        ("ended_at", "2026-03-02 08:59", "ends before it starts"),
    ],
)
def test_bad_values_of_other_columns(tmp_path: Path, field: str, value: str, reason: str) -> None:
    bad = f"x,amy,2026-03-02 09:00,60,{value}"
    found = only_good_one(tmp_path, bad, f"{samples.HEADER},{field}", f"{GOOD},")
    assert found == ("line 3", field, reason)


def test_an_open_quote_is_noticed_and_said_which_lines_it_swallowed(tmp_path: Path) -> None:
    text = "\n".join([samples.HEADER, GOOD, 'x,"amy,2026-03-02 09:00,60', "y,amy,2026-03-02 09:00,60"])
    report = samples.taken(samples.written(tmp_path, text))
    assert samples.counts(report) == (1, 0, 0, 1)
    assert "is a quote not closed? (lines 3 to 4 read as one row)" in report.rejects[0].reason


def test_a_line_break_inside_quotes_is_one_row(tmp_path: Path) -> None:
    text = f'{samples.HEADER},topic\r\n{GOOD},"two\r\nlines"\r\nnext,amy,2026-03-02 09:00,60,z\r\n'
    assert samples.counts(samples.taken(samples.written(tmp_path, text))) == (2, 0, 0, 0)


def test_a_line_of_ten_megabytes_is_one_reject(tmp_path: Path) -> None:
    where, _, reason = only_good_one(tmp_path, "x" * 10_000_000)
    assert (where, reason) == ("line 3", "not a row: is longer than 1,000,000 characters")


def test_bytes_that_are_not_utf8_are_reported_and_the_row_kept(tmp_path: Path) -> None:
    text = f"{samples.HEADER},topic\n{GOOD},Jos\xe9\n".encode("latin-1")
    report = samples.taken(samples.written(tmp_path, text))
    assert samples.counts(report) == (1, 0, 0, 0) and report.notes[NOT_UTF8] == 1
    assert samples.stored()["good"].topic == "Jos\ufffd"


def test_an_id_that_is_not_utf8_is_no_id(tmp_path: Path) -> None:
    text = samples.HEADER.encode() + b"\n\xe9,amy,2026-03-02 09:00,60\n"
    assert samples.taken(samples.written(tmp_path, text)).rejected_by == {"call_id: not UTF-8": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters_line_ends_and_byte_order_marks(tmp_path: Path, mark: str, end: str, encoding: str) -> None:
    lines = [samples.HEADER, GOOD, "", '"quo""ted",amy,2026-03-02 10:00,0:01:00', "", ""]
    text = end.join(lines).replace(",", mark).encode(encoding)
    assert samples.counts(samples.taken(samples.written(tmp_path, text))) == (2, 0, 0, 0)
    assert set(samples.stored()) == {"good", 'quo"ted'}


def test_a_spreadsheets_sep_line_and_its_trailing_delimiters(tmp_path: Path) -> None:
    text = f"sep=;\n{samples.HEADER.replace(',', ';')}\n{GOOD.replace(',', ';')};;\n"
    assert samples.counts(samples.taken(samples.written(tmp_path, text))) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "calls.csv: is empty"),
        (b"\n\n  \n", "calls.csv: is empty"),
        (b"\xef\xbb\xbf", "calls.csv: is empty"),
        (samples.HEADER.encode() + b"\r\n\r\n", "has a header but no rows"),
        (b"call_id,agent,talk_seconds\n1,amy,5\n", "has no column for its start (started_at)"),
        (b"call_id,date,talk_seconds\n1,2026-03-02,5\n", "has no column for its time of day (time)"),
        (b"started_at,talk_seconds\n1,amy\n", "has no column for the call's id (external_id)"),
        (b"call_id,started_at,agent\n1,1,1\n", "has no column for whether it was answered"),
        (b"call_id,started_at,answered\n1,1,1\n", "has no column for how long it took"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "is neither delimited text nor an Excel workbook"),
        (b"PK\x03\x04 and no more of a workbook", "is not a readable Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "is an old Excel workbook (.xls)"),
        (b'call_id,"started_at\n1,2\n', "the header cannot be read"),
    ],
)
def test_a_file_of_which_nothing_can_be_taken(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError) as refused:
        samples.taken(samples.written(tmp_path, content))
    assert said in str(refused.value)


def test_a_column_there_twice_is_refused_where_it_matters(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        samples.taken(samples.written(tmp_path, f"{samples.HEADER},agent\n{GOOD},amy\n"))
    assert "calls.csv, header: has 2 columns called 'agent'" in str(refused.value)
    assert samples.taken(samples.written(tmp_path, f"{samples.HEADER},notes,notes\n{GOOD},a,b\n")).new == 1


def test_a_column_the_mapping_names_and_the_file_lacks(tmp_path: Path) -> None:
    columns = {"external_id": "call_id", "started_at": "Begin", "talk_seconds": "talk_seconds"}
    with pytest.raises(InputError) as refused:
        samples.taken(samples.written(tmp_path, f"{samples.HEADER}\n{GOOD}\n"), {"columns": columns})
    assert "has no column 'Begin' (for started_at)" in str(refused.value)
    assert "It has: call_id, agent, started_at, talk_seconds." in str(refused.value)
    with pytest.raises(InputError) as refused:
        samples.taken(samples.written(tmp_path, f"17,2125550101,jo@example.com\n{GOOD}\n"), {"columns": columns})
    said = str(refused.value)
    assert "seems to have no header" in said and "5550101" not in said and "jo@" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns = 3", "columns: must be a table"),
        ("[columns]\ncall = 'x'", "call: no such field"),
        ("zone = 'Mars/Olympus'", "is not a time zone"),
        ("duration_unit = 'hours'", "is not a unit"),
        ("dateformat = '%d'", "dateformat: is no key of this table (did you mean date_format?)"),
        ("[columns]\nqueue='q'\n[constants]\nqueue='z'", "queue is given both a column and a constant"),
        ("[columns\n", "line 1, column 9: is not TOML: the name of a table is not closed with ]"),
    ],
)
def test_a_faulty_mapping_is_refused_with_its_fault(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_mapping(samples.written(tmp_path, text, "mapping.toml"))
    assert said in str(refused.value) and "mapping.toml" in str(refused.value)


# --- workbooks ---


def workbook(folder: Path, *rows: tuple[object, ...], sheets: int = 1) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for _ in range(sheets - 1):
        book.create_sheet()
    path = folder / "calls.xlsx"
    book.save(path)
    return path


def test_a_workbooks_cells_are_read_by_their_kind(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        ("id", "date", "time", "talk_seconds", "answered", "phone"),
        (101, datetime(2026, 3, 2), time(9, 12, 58), time(0, 2, 23), True, 2125550101),  # noqa: DTZ001
        (None, None, None, None, None, None),
        ("b", "2026-03-02", "9:13", 61.4, "no", None),
        sheets=2,
    )
    report = samples.taken(path)
    assert samples.counts(report) == (2, 0, 0, 0) and report.notes[FURTHER_SHEETS] == 1
    call = samples.stored()["101"]
    assert (call.started_at, call.talk_seconds) == (utc(2026, 3, 2, 14, 12).replace(second=58), 143)
    assert call.customer and call.customer.phone == "+12125550101"


def resaved(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The workbook with its sheet changed."""
    changed = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, change(content) if name.endswith("sheet1.xml") else content)
    return samples.written(path.parent, changed.getvalue(), path.name)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert content.count(old) == 1
        return content.replace(old, new)

    return change


def test_a_workbook_that_understates_its_size_loses_no_row(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, ("id", "started_at", "talk_seconds"), ("x", "2026-03-02 09:00", 5), ("y", "2026-03-02", 5)
    )
    false = resaved(path, replaced(b'<dimension ref="A1:C3"', b'<dimension ref="A1:B2"'))
    assert samples.counts(samples.taken(false)) == (1, 0, 0, 1)


def test_a_workbook_of_charts_only_is_refused(tmp_path: Path) -> None:
    book = Workbook()
    book.create_chartsheet()
    book.remove(book.worksheets[0])
    book.save(tmp_path / "calls.xlsx")
    with pytest.raises(InputError, match="is not a readable Excel workbook"):
        samples.taken(tmp_path / "calls.xlsx")


def test_a_formulas_last_result_is_read_not_the_formula(tmp_path: Path) -> None:
    path = workbook(tmp_path, ("id", "started_at", "talk_seconds"), ("x", "2026-03-02 09:00", "=60+1"))
    never = samples.taken(path)
    assert never.new == 0 and never.rejects[0].where == "line 2"
    assert never.rejects[0].reason == "a formula has no result: in C2; open the workbook and save it again"
    calculated = resaved(path, replaced(b"<f>60+1</f><v />", b"<f>60+1</f><v>61</v>"))
    assert samples.taken(calculated).new == 1 and samples.stored()["x"].talk_seconds == 61
    failed = resaved(path, replaced(b'<c r="C2"><f>60+1</f><v>61</v>', b'<c r="C2" t="e"><f>60+1</f><v>#REF!</v>'))
    assert samples.taken(failed).rejects[0].reason == "not a duration: '#REF!'"


# --- as the command says it ---


def zip_bomb() -> bytes:
    """A workbook made to fill the memory."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(60_000_000))
    return bomb.getvalue()


NO_MARK = f"{samples.HEADER}\n{GOOD}\n"
NOTHING_TAKEN: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "calls.csv: is empty. It must have a header and rows."),
    "header only": (samples.HEADER.encode(), "calls.csv: has a header but no rows"),
    "UTF-16 without its mark": (NO_MARK.encode("utf-16-le"), "is neither delimited text nor an Excel workbook"),
    "UTF-16 the other way": (NO_MARK.encode("utf-16-be"), "is neither delimited text nor an Excel workbook"),
    "NUL bytes": (bytes(10_000), "is neither delimited text nor an Excel workbook"),
    "one endless line": (b"x" * 10_000_000, "calls.csv, line 1: the header is longer than 1,000,000 characters"),
    "an endless header": (b"call_id," * 2_000_000 + f"\n{GOOD}\n".encode(), "calls.csv, line 1: the header is longer"),
    "zip bomb": (zip_bomb, "calls.csv: unpacks to 60 MB, far more than a workbook of its size should. Save it as CSV."),
    "header twice": (f"call_id,{samples.HEADER}\nx,{GOOD}\n".encode(), "header: has 2 columns called 'call_id'"),
    "missing column": (b"call_id,talk_seconds\nx,5\n", "header: has no column for its start (started_at)"),
    "two readings": (f"{samples.HEADER}\nx,amy,03/04/2026 09:00,5\n".encode(), "--date-order dmy or --date-order mdy"),
}


@pytest.mark.parametrize("named", NOTHING_TAKEN)
def test_a_file_of_which_nothing_can_be_taken_is_one_line_and_exit_1(app: Flask, tmp_path: Path, named: str) -> None:
    content, said = NOTHING_TAKEN[named]
    file = samples.written(tmp_path, content if isinstance(content, bytes) else content())
    told = ["calls", "import", str(file), "--organisation", "acme", "--site", "north"]
    result = app.test_cli_runner().invoke(args=told)
    assert (result.exit_code, result.stdout) == (1, "") and isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("Refused: calls.csv") and said in result.stderr
    assert result.stderr.count("\n") == 1 and len(result.stderr) < 2_000


def test_rows_that_are_all_bad_are_exit_1_with_line_column_and_reason(app: Flask, tmp_path: Path) -> None:
    bad = ["x,amy,2026-02-30 09:00,60", "y,amy,0001-01-01 09:00,60", "z,amy,2026-03-02 09:00,-5"]
    file = samples.written(tmp_path, samples.rows(*bad))
    told = ["calls", "import", str(file), "--organisation", "acme", "--site", "north"]
    result = app.test_cli_runner().invoke(args=told)
    assert result.exit_code == 1 and result.stderr == ""
    for part in (
        "line 2, started_at: there is no such day",
        "line 3, started_at: the year",
        "line 4, talk_seconds: neg",
    ):
        assert part in result.stdout
    assert json.loads(app.test_cli_runner().invoke(args=[*told, "--json"]).stdout)["rejected"] == 3


# --- flat memory, whatever comes ---


def test_rejects_without_number_take_no_memory(tmp_path: Path) -> None:
    many = 200_000
    bad = (f"c{n},amy,2026-03-02 09:00:00,6O{n}" for n in range(many))
    file = samples.written(tmp_path, samples.rows(GOOD, *bad, GOOD.replace("good", "after")))
    taken: list[int] = []

    def weigh(rows: int) -> None:
        me = psutil.Process()
        taken.append(sum(process.memory_info().rss for process in (me, *me.children())))

    report = samples.taken(file, rejects=tmp_path / "rejects.csv", progress=weigh)
    assert samples.counts(report) == (2, 0, 0, many) and len(report.rejects) == 10
    with (tmp_path / "rejects.csv").open() as rejects:
        assert sum(1 for _ in rejects) == many + 1
    # Kept in memory, a hundred and fifty thousand rejects would take far more.
    assert max(taken[10:]) - taken[9] < 15_000_000


def test_very_long_rows_go_in_fewer_at_a_time(tmp_path: Path) -> None:
    wide = "w" * 120_000
    rows = [*[f"x,amy,soon,60,{wide},{wide}"] * 120, f"{GOOD},,"]
    file = samples.written(tmp_path, samples.rows(*rows, header=samples.HEADER + ",one,two"))
    read: list[int] = []
    assert samples.counts(samples.taken(file, progress=read.append)) == (1, 0, 0, 120)
    assert read == [50, 100, 121]


NOISE = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b",", b";", b'"', b"\n", b"\r", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"9" * 30]),
    st.sampled_from([b"24:00", b"9999-12-31T23:59:59-14:00", b"inf", b"+99:99", b"{", b"[", b"x" * 2_000, b"\xd9\xa3"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.lists(st.tuples(st.floats(0, 1), NOISE), max_size=5))
def test_a_file_with_noise_in_it_is_counted_or_refused_and_never_worse(
    tmp_path: Path, noise: list[tuple[float, bytes]]
) -> None:
    content = samples.rows(GOOD, "2,amy,03/13/2026 09:00,0:01:00", "3,amy,2 Mar 2026 9:00 PM,61.5").encode()
    for place, what in noise:
        at = round(place * len(content))
        content = content[:at] + what + content[at:]
    try:
        samples.counts(samples.taken(samples.written(tmp_path, content)))
    except AftercallError as refused:
        assert str(refused).startswith("calls.csv")


def test_a_workbook_damaged_within_its_archive_is_refused_in_words(tmp_path: Path) -> None:
    book = Workbook()
    for _ in range(300):
        book.active.append(["c1", "amy", "2026-03-02 09:00", 60])
    path = tmp_path / "calls.xlsx"
    book.save(path)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    whole[sheet.header_offset + 60 : sheet.header_offset + 90] = bytes(30)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="not a readable Excel workbook"):
        samples.taken(path)
