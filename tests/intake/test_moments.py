"""Dates and times: read when they can be read in one way only, refused with both readings when not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from intake.moments import DOUBLE_TIME, MISSING_TIME, Moments, placed
from intake.rows import RowFault
from survey.clock import ManualClock
from survey.errors import InputError
from tests.factories import utc
from tests.intake import samples

NEW_YORK = ZoneInfo("America/New_York")


def local(text: str) -> datetime:
    """A wall clock's time, of no zone yet."""
    return datetime.fromisoformat(text)


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> None:
    samples.place()


@pytest.mark.parametrize(
    "text",
    [
        *("2021-03-31", "2021/3/31", "20210331", "2021-03-31 00:00:00"),
        *("31-Mar-21", "31 March 2021", "31. Mar 2021", "Mar 31, 2021"),
        *("31.03.2021", "31/03/2021", "3/31/21"),
    ],
)
def test_dates_with_one_reading(at_noon: ManualClock, text: str) -> None:
    assert Moments().day(text, "Date") == date(2021, 3, 31)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2021-02-30", "there is no such day"),
        ("30 February 2021", "there is no such day"),
        ("0001-01-01", "the year is not between 1990 and 2100"),
        ("03/04/2021", "may be day first or month first"),
        ("yesterday", "not a date"),
        ("31 Foo 2021", "not a date"),
        ("2021-1-1-1", "not a date"),
        ("1" * 5000, "not a date"),
        ("", "not a date"),
        ("26/02/25", "may be day first or year first"),
        ("09/03/02", "may be day first, month first or year first"),
        ("45/01/2021", "there is no such day"),
        ("01/45/2021", "there is no such day"),
    ],
)
def test_what_is_no_date(at_noon: ManualClock, text: str, reason: str) -> None:
    with pytest.raises(RowFault) as refused:
        Moments().day(text, "Date")
    assert refused.value.reason == reason and refused.value.column == "Date"


@pytest.mark.parametrize(("order", "day"), [("dmy", date(2021, 4, 3)), ("mdy", date(2021, 3, 4)), (None, None)])
def test_the_order_settles_it(order: object, day: date | None) -> None:
    moments = Moments(order=order)  # type: ignore[arg-type]
    if day is None:
        with pytest.raises(RowFault):
            moments.day("03/04/2021", "Date")
    else:
        assert moments.day("03/04/2021", "Date") == day


def test_stated_formats_are_tried_in_turn_and_iso_is_always_understood() -> None:
    moments = Moments(date_formats=["%d.%m.%y", "excel"])
    texts = ("04.03.21", "44259", "2021-03-04")
    assert {moments.day(text, "Date") for text in texts} == {date(2021, 3, 4)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9:12", time(9, 12)),
        ("09:12:58.734", time(9, 12, 58)),
        ("12:02:23 AM", time(0, 2, 23)),
        ("12:00 p.m.", time(12)),
        ("0.38400462962963", time(9, 12, 58)),
        ("0", time(0)),
        ("1900-01-01 09:12:58", time(9, 12, 58)),
    ],
)
def test_times(text: str, expected: time) -> None:
    assert Moments().time_of_day(text, "Time") == expected


@pytest.mark.parametrize("text", ["24:00", "9:60", "13:00 PM", "1.5", "0.999999999", "noon", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(RowFault):
        Moments().time_of_day(text, "Time")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T14:00:00Z",
        "2026-03-02 09:00:00-05:00",
        "2 Mar 2026, 14:00 UTC",
        "Mar 2, 2026 09:00 AM",
        "2026-03-02 9:00",
    ],
)
def test_moments_with_and_without_offset(text: str) -> None:
    assert placed(Moments().moment(text, "start"), NEW_YORK)[0] == utc(2026, 3, 2, 14)


def test_seconds_since_1970_when_the_mapping_says_so() -> None:
    assert Moments(datetime_formats=["epoch"]).moment("1772460000", "start") == utc(2026, 3, 2, 14)
    with pytest.raises(RowFault):
        Moments().moment("1772460000", "start")


def test_milliseconds_since_1970_when_the_mapping_says_so() -> None:
    assert Moments(datetime_formats=["epoch-ms"]).moment("1772460000999", "start") == utc(2026, 3, 2, 14)
    both = Moments(datetime_formats=["epoch-ms", "epoch"])
    assert {both.moment(text, "start") for text in ("1772460000000", "1772460000")} == {utc(2026, 3, 2, 14)}


def since_1970(year: int) -> int:
    return int((datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


@pytest.mark.parametrize(
    ("text", "form", "hint"),
    [
        (str(since_1970(1)), "epoch", ""),
        (str(since_1970(9999)), "epoch", ""),
        (str(since_1970(1990) - 1), "epoch", ""),
        (str(since_1970(2101)), "epoch", ""),
        ("-1", "epoch", ""),
        ("0", "epoch", ""),
        ("0.5", "epoch", ""),
        ("9" * 18, "epoch", ""),
        ("1772460000000", "epoch", " (is it milliseconds since 1970? Then datetime_format is 'epoch-ms')"),
        ("1772460000", "epoch-ms", " (is it seconds since 1970? Then datetime_format is 'epoch')"),
        (str(since_1970(9999) * 1000), "epoch-ms", ""),
        ("-1772460000000", "epoch-ms", ""),
    ],
)
def test_seconds_since_1970_are_held_to_the_same_years(text: str, form: str, hint: str) -> None:
    with pytest.raises(RowFault) as refused:
        Moments(datetime_formats=[form]).moment(text, "start")
    assert refused.value.reason == "the year is not between 1990 and 2100" and refused.value.column == "start"
    assert refused.value.detail == repr(text) + hint


@pytest.mark.parametrize("year", [1990, 2100])
def test_the_first_and_the_last_year_are_taken(year: int) -> None:
    first, last = since_1970(year), since_1970(year + 1) - 1
    read = Moments(datetime_formats=["epoch"]).moment
    assert [read(str(second), "start").year for second in (first, last)] == [year, year]


def test_digits_that_another_format_reads_are_no_count() -> None:
    moments = Moments(datetime_formats=["epoch", "%Y%m%d%H%M%S"])
    assert moments.moment("20260302090000", "start") == local("2026-03-02T09:00:00")
    for text in ("1" * 5000, "17724600OO", "1e9", "--1"):
        with pytest.raises(RowFault, match="not a date with a time"):
            moments.moment(text, "start")


def test_year_first_says_nothing_of_a_date_with_the_year_at_its_end() -> None:
    moments = Moments(order="ymd")
    assert moments.day("26/03/02", "Date") == date(2026, 3, 2)
    with pytest.raises(RowFault, match="may be day first or month first"):
        moments.day("03/04/2026", "Date")
    assert moments.day("31/01/2026", "Date") == date(2026, 1, 31)


def test_a_time_the_clocks_skipped_moves_an_hour_on() -> None:
    assert placed(local("2026-03-08T02:30"), NEW_YORK) == (utc(2026, 3, 8, 7, 30), MISSING_TIME)


def test_a_repeated_time_is_the_first_unless_that_lies_before_the_start() -> None:
    first, second = utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 6, 30)
    assert placed(local("2026-11-01T01:30"), NEW_YORK) == (first, DOUBLE_TIME)
    assert placed(local("2026-11-01T01:30"), NEW_YORK, not_before=utc(2026, 11, 1, 5, 45)) == (second, DOUBLE_TIME)
    assert placed(local("2026-11-01T00:30"), NEW_YORK) == (utc(2026, 11, 1, 4, 30), "")


# --- whole files ---


def dated(folder: Path, *dates: str) -> Path:
    rows = "".join(f"c{n},{day},09:30,60\n" for n, day in enumerate(dates))
    return samples.written(folder, f"call_id,date,time,talk_seconds\n{rows}")


def days() -> list[date]:
    return [call.started_at.astimezone(NEW_YORK).date() for _, call in sorted(samples.stored().items())]


def test_nothing_decides_so_both_readings_are_shown(site: None, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        samples.taken(dated(tmp_path, "05/05/2026", "03/04/2026", "01/02/2026"))
    said = str(refused.value)
    assert "calls.csv, line 3, column 'date'" in said
    assert "3 April 2026 read day first" in said and "4 March 2026 read month first" in said
    assert "--date-order dmy" in said
    assert samples.stored() == {}


def test_the_option_settles_it(site: None, tmp_path: Path) -> None:
    samples.taken(dated(tmp_path, "03/01/2026"), date_order="dmy")
    assert days() == [date(2026, 1, 3)]


def test_one_date_of_the_file_decides_for_all(site: None, tmp_path: Path) -> None:
    samples.taken(dated(tmp_path, "01/02/2026", *["02/02/2026"] * 300, "01/31/2026"))
    assert days()[0] == date(2026, 1, 2)


def test_a_file_that_contradicts_itself_is_refused(site: None, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        samples.taken(dated(tmp_path, "13/01/2026", "01/13/2026"))
    assert "line 2 can only be day first" in str(refused.value) and "line 3 only month first" in str(refused.value)


def test_dates_that_read_the_same_either_way_need_no_order(site: None, tmp_path: Path) -> None:
    assert samples.counts(samples.taken(dated(tmp_path, "01/01/2026", "02/02/2026"))) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    ("dates", "readings", "options"),
    [
        (("26/02/25", "26/02/26", "26/03/01"), "26 February 2025 read day first and 25 February 2026 read year", "ymd"),
        (
            ("09/03/02",),
            "9 March 2002 read day first, 3 September 2002 read month first and 2 March 2009 read year first",
            "--date-order dmy, --date-order mdy or --date-order ymd (or date_order in the mapping)",
        ),
        # No day in any order, so it proves none.
        (("01/02/2026", "02/02/2026", "45/01/2026"), "1 February 2026 read day first", "mdy"),
        (("01/02/2026", "31/02/2026"), "1 February 2026 read day first", "mdy"),
        (("01/02/2026", "01/99/2026"), "1 February 2026 read day first", "mdy"),
        (("01/02/2026", "31/01/0026"), "1 February 2026 read day first", "mdy"),
        # A month's name proves nothing for the dates without.
        (("01/02/2026", "31-Jan-26"), "1 February 2026 read day first", "mdy"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(
    site: None, tmp_path: Path, dates: tuple[str, ...], readings: str, options: str
) -> None:
    with pytest.raises(InputError) as refused:
        samples.taken(dated(tmp_path, *dates))
    assert readings in refused.value.what and "no date in the file decides" in refused.value.what
    assert options in refused.value.how and "--date-order dmy" in refused.value.how
    assert samples.stored() == {}


@pytest.mark.parametrize(
    ("decides", "order", "day"),
    [
        ("31/12/25", None, date(2025, 2, 26)),
        ("26/02/2025", None, date(2025, 2, 26)),
        ("2026-03-01", "ymd", date(2026, 2, 25)),
        ("2026-03-01", "dmy", date(2025, 2, 26)),
    ],
)
def test_a_date_with_its_year_in_two_digits_is_settled(
    site: None, tmp_path: Path, decides: str, order: Any, day: date
) -> None:
    """31/12/25 read year first lies in the future, so it is day first."""
    samples.taken(dated(tmp_path, "26/02/25", decides), date_order=order)
    assert days()[0] == day


@pytest.mark.parametrize(
    ("dates", "order", "day"),
    [
        (("26-Feb-02", "28-Feb-26"), None, date(2002, 2, 26)),
        (("26-Feb-02",), "ymd", date(2026, 2, 2)),
        (("26-Feb-02",), "dmy", date(2002, 2, 26)),
        (("26-Feb-02",), "mdy", date(2002, 2, 26)),
        (("26-FEB-26",), None, date(2026, 2, 26)),
        # The day of one digit is no year, so it decides for those behind it, however far.
        ((*["1-Jan-21"] * 300, "10-Jan-21"), None, date(2021, 1, 1)),
    ],
)
def test_so_is_one_that_names_its_month(
    site: None, tmp_path: Path, dates: tuple[str, ...], order: Any, day: date
) -> None:
    assert samples.taken(dated(tmp_path, *dates), date_order=order).rejected == 0
    assert days()[0] == day


def test_with_a_time_of_day_behind_it_too(site: None, tmp_path: Path) -> None:
    file = samples.written(tmp_path, samples.rows("1,amy,25/10/02 09:00,60"))
    with pytest.raises(InputError, match="25 October 2002 read day first and 2 October 2025 read year first"):
        samples.taken(file)
    samples.taken(file, date_order="dmy")
    assert days() == [date(2002, 10, 25)]


@pytest.mark.parametrize(
    ("order", "day"), [(None, date(2026, 3, 2)), ("ymd", date(2002, 3, 26)), ("mdy", date(2026, 3, 2))]
)
def test_with_the_months_name_in_the_middle_the_day_is_first(
    site: None, tmp_path: Path, order: str | None, day: date
) -> None:
    samples.taken(dated(tmp_path, "02-Mar-26"), date_order=order)
    assert days() == [day]


def test_a_garbled_date_is_rejected_and_settles_nothing(site: None, tmp_path: Path) -> None:
    report = samples.taken(dated(tmp_path, "01/02/2026", "45/01/2026"), date_order="mdy")
    assert samples.counts(report) == (1, 0, 0, 1) and days() == [date(2026, 1, 2)]


def test_a_constant_date_may_have_a_year_that_comes_first(site: None, tmp_path: Path) -> None:
    file = samples.written(tmp_path, "call_id,time,talk_seconds\n1,09:00,60\n")
    with pytest.raises(InputError, match="'26/02/25' is 2025-02-26 read day first and 2026-02-25 read year first"):
        samples.taken(file, {"constants": {"date": "26/02/25"}})
    samples.taken(file, {"constants": {"date": "26/02/25"}, "date_order": "ymd"})
    assert days() == [date(2026, 2, 25)]


def test_clock_changes_are_counted(site: None, tmp_path: Path) -> None:
    skipped, repeated = "a,2025-03-09 02:30,2025-03-09 03:40,y", "b,2025-11-02 01:50,2025-11-02 01:10,y"
    text = f"call_id,started_at,ended_at,answered\n{skipped}\n{repeated}\n"
    report = samples.taken(samples.written(tmp_path, text))
    assert report.notes[MISSING_TIME] == 1 and report.notes[DOUBLE_TIME] == 2
    calls = samples.stored()
    assert (calls["a"].started_at, calls["a"].talk_seconds) == (utc(2025, 3, 9, 7, 30), 600)
    assert (calls["b"].ended_at - calls["b"].started_at).total_seconds() == 20 * 60


def test_times_are_the_sites_own_unless_the_mapping_names_a_zone(site: None, tmp_path: Path) -> None:
    file = dated(tmp_path, "2026-01-05")
    samples.taken(file, {"zone": "UTC"})
    assert samples.stored()["c0"].started_at == datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    samples.taken(file)
    assert samples.stored()["c0"].started_at == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
