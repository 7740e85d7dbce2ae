"""Control totals in: every row accounted for, local hours placed on the one time line, nothing guessed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask
from openpyxl import Workbook

from intake.moments import DOUBLE_TIME, MISSING_TIME
from intake.reports import ImportReport
from intake.total_rows import HOUR_TWICE
from intake.totals import CAME_TWICE, CONTRADICTED, UNKNOWN_SOURCE, TotalsOptions, import_totals
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import AuditEntry, ControlTotal, ImportKind, ImportRecord, Site
from tests import factories
from tests.factories import utc
from tests.intake import samples
from tests.statements import counted

NINE = "2026-03-02,9,57,50"
HEADER = "date,hour,calls,answered"


@pytest.fixture
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place(name="North Side")


def sheet(folder: Path, *lines: str, header: str = HEADER) -> Path:
    return samples.written(folder, samples.rows(*lines, header=header), "totals.csv")


def taken(file: Path, **given: str | None) -> ImportReport:
    options = {"organisation": "acme", "site": "north"} | given
    return import_totals(file, TotalsOptions(**options), actor="jo")  # type: ignore[arg-type]


def stored() -> list[tuple[datetime, datetime, int | None, int | None]]:
    """(start, end, calls, answered) of every total, earliest first."""
    db.session.expire_all()
    totals = db.session.query(ControlTotal).order_by(ControlTotal.starts_at, ControlTotal.ends_at, ControlTotal.id)
    return [(total.starts_at, total.ends_at, total.calls, total.answered) for total in totals]


def hours(start: datetime, count: float = 1) -> tuple[datetime, datetime]:
    return start, start + timedelta(hours=count)


def reasons(report: ImportReport) -> list[tuple[str, str, str]]:
    return [(reject.where, reject.column, reject.reason) for reject in report.rejects]


# --- what a row says ---


def test_hours_days_and_spans(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    taken(sheet(tmp_path, "2026-03-03,8", header="date,calls"))
    taken(sheet(tmp_path, "2026-03-04 09:00,2026-03-04 09:30,3", header="starts_at,ends_at,answered"))
    assert stored() == [
        (*hours(utc(2026, 3, 2, 14)), 57, 50),
        (*hours(utc(2026, 3, 3, 5), 24), 8, None),
        (*hours(utc(2026, 3, 4, 14), 0.5), None, 3),
    ]


@pytest.mark.parametrize("hour", ["9", "09", "09:00", "9:00 AM", "0.375", "1900-01-01 09:00:00"])
def test_an_hour_as_it_may_be_written(site: Site, tmp_path: Path, hour: str) -> None:
    taken(sheet(tmp_path, f"2026-03-02,{hour},1,1"))
    assert stored()[0][0] == utc(2026, 3, 2, 14)


def test_agents_sites_and_sources(site: Site, tmp_path: Path) -> None:
    factories.site(organisation=site.organisation, key="south", name="South", time_zone="Europe/London")
    db.session.commit()
    lines = ("North Side,,2026-03-02,9", "NORTH,amy,2026-03-02,5", "south,Amy Adams,2026-03-02,4")
    report = taken(sheet(tmp_path, *lines, header="site,agent,date,calls"), site=None, source="pbx")
    assert samples.counts(report) == (3, 0, 0, 0)
    totals = db.session.query(ControlTotal).order_by(ControlTotal.calls).all()
    assert [(t.source, t.site_id == site.id, t.agent_id is not None, t.starts_at.hour) for t in totals] == [
        ("pbx", False, True, 0),
        ("pbx", True, True, 5),
        ("pbx", True, False, 5),
    ]
    taken(sheet(tmp_path, NINE))
    assert db.session.query(ControlTotal).filter_by(source="north").count() == 1


def test_an_excel_workbook(site: Site, tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["Date", "Hour", "Agent", "Calls", "Answered"])  # type: ignore[union-attr]
    book.active.append([date(2026, 3, 2), 9, "amy", 57, 50.0])  # type: ignore[union-attr]
    book.save(tmp_path / "totals.xlsx")
    assert samples.counts(taken(tmp_path / "totals.xlsx")) == (1, 0, 0, 0)
    assert stored() == [(*hours(utc(2026, 3, 2, 14)), 57, 50)]


@pytest.mark.parametrize(
    ("header", "line", "column", "reason"),
    [
        (HEADER, "2026-03-02,9,,", "calls", "counts nothing"),
        (HEADER, "2026-03-02,9,-1,0", "calls", "negative count: '-1'"),
        (HEADER, "2026-03-02,9,1.5,", "calls", "not a count: '1.5'"),
        (HEADER, '2026-03-02,9,"1,234",', "calls", "not a count: '1,234'"),
        (HEADER, "2026-03-02,9,many,", "calls", "not a count: 'many'"),
        (HEADER, "2026-03-02,9,9999999999,", "calls", "not a count: '9999999999'"),
        (HEADER, "2026-03-02,9,5,6", "answered", "more answered calls than calls"),
        (HEADER, "2026-03-02,24,5,", "hour", "not an hour of the day: '24'"),
        (HEADER, "2026-03-02,9:30,5,", "hour", "not a whole hour: '9:30'"),
        (HEADER, "2026-03-02,,5,", "hour", "is empty"),
        (HEADER, ",9,5,", "date", "is empty"),
        (HEADER, "2026-02-30,9,5,", "date", "there is no such day: '2026-02-30'"),
        (HEADER, "0001-01-01,9,5,", "date", "the year is not between 1990 and 2100: '0001-01-01'"),
        (HEADER, "2026-03-12,13,5,", "date", "is not over yet (or a wrong time zone or date format?)"),
        ("date,calls", "2026-03-12,5", "date", "is not over yet (or a wrong time zone or date format?)"),
        (HEADER, "2026-03-08,2,0,", "hour", "there was no such hour that day (the clocks went forward)"),
        ("starts_at,ends_at,calls", "2026-03-02 9:00,2026-03-02 9:00,5", "ends_at", "does not end after it starts"),
        ("starts_at,ends_at,calls", "2026-03-02 9:00,,5", "ends_at", "is empty"),
        ("agent,date,calls", "zed,2026-03-02,5", "agent", "unknown agent: 'zed'"),
        ("agent,date,calls", "Amy Adams,2026-03-02,5", "agent", "several agents have this name: 'Amy Adams'"),
        ("site,date,calls", "east,2026-03-02,5", "site", "unknown site: 'east'"),
        (HEADER, "2026-03-02,9,5,4,3", "", "not a row: has 5 columns where the header has 4"),
    ],
)
def test_what_cannot_be_taken_is_rejected_with_line_column_and_reason(
    site: Site, tmp_path: Path, header: str, line: str, column: str, reason: str
) -> None:
    factories.agent(site, key="ada", name="Amy Adams")
    db.session.commit()
    good = {"site": "north", "agent": "amy", "date": "2026-03-03", "hour": "9", "calls": "5"}
    good |= {"starts_at": "2026-03-03 9:00", "ends_at": "2026-03-03 9:30"}
    report = taken(sheet(tmp_path, line, ",".join(good.get(name, "") for name in header.split(",")), header=header))
    assert samples.counts(report) == (1, 0, 0, 1)
    assert reasons(report) == [("line 2", column, reason)]
    assert report.rejects_file is not None
    assert f"2,{column}," in Path(report.rejects_file).read_text()


def test_contacts_that_slipped_into_a_column_are_masked(site: Site, tmp_path: Path) -> None:
    report = taken(sheet(tmp_path, "2026-03-02,9,jo@example.com,2125550101", header="date,calls,hour,agent"))
    assert report.rejected == 1 and report.rejects_file
    kept = Path(report.rejects_file).read_text()
    assert "2026-03-02" in kept
    for told in (str(report.as_dict()), kept):
        assert "jo@" not in told and "5550101" not in told


def test_rows_without_a_site_need_one(site: Site, tmp_path: Path) -> None:
    file = sheet(tmp_path, ",2026-03-02,5", header="site,date,calls")
    assert reasons(taken(file, site=None, source="pbx")) == [("line 2", "site", "names no site")]
    assert samples.counts(taken(file)) == (1, 0, 0, 0)


def test_an_agent_of_another_organisation_is_unknown(site: Site, tmp_path: Path) -> None:
    factories.agent(factories.site(), key="zoe")
    db.session.commit()
    report = taken(sheet(tmp_path, "zoe,2026-03-02,5", header="agent,date,calls"))
    assert reasons(report) == [("line 2", "agent", "unknown agent: 'zoe'")]


# --- clock changes ---


@pytest.mark.parametrize(
    ("day", "length"), [("2026-03-08", 23), ("2025-11-02", 25), ("2026-03-07", 24)], ids=["spring", "autumn", "plain"]
)
def test_a_days_hours_are_all_of_the_day(site: Site, tmp_path: Path, day: str, length: int) -> None:
    """The rows of a day's hours lie end to end, and are as long as its one row for the whole day."""
    report = taken(sheet(tmp_path, *(f"{day},{hour},1," for hour in range(24))))
    assert report.rejected == (1 if length == 23 else 0)
    assert report.notes[HOUR_TWICE] == (1 if length == 25 else 0)
    cells = [(start, end) for start, end, *_ in stored()]
    assert all(end == start for (_, end), (start, _) in pairwise(cells))
    taken(sheet(tmp_path, f"{day},24", header="date,calls"))
    assert (cells[0][0], cells[-1][1]) in [(start, end) for start, end, *_ in stored()]
    assert cells[-1][1] - cells[0][0] == timedelta(hours=length)


def test_an_hour_that_came_twice_is_one_cell_of_two_hours(site: Site, tmp_path: Path) -> None:
    report = taken(sheet(tmp_path, "2025-11-02,1,9,"))
    assert stored() == [(*hours(utc(2025, 11, 2, 5), 2), 9, None)] and report.notes[HOUR_TWICE] == 1


def test_two_rows_of_an_hour_that_came_twice_are_told_apart_by_their_offset_only(site: Site, tmp_path: Path) -> None:
    report = taken(sheet(tmp_path, "2025-11-02,0,9,", "2025-11-02,1,4,", "2025-11-02,1,4,"))
    assert samples.counts(report) == (1, 0, 0, 2) and report.rejected_by == {CAME_TWICE: 2}
    spans = ("2025-11-02T01:00-04:00,2025-11-02T02:00-04:00,4", "2025-11-02T01:00-05:00,2025-11-02T02:00-05:00,5")
    taken(sheet(tmp_path, *spans, header="starts_at,ends_at,calls"))
    assert stored()[1:] == [(*hours(utc(2025, 11, 2, 5)), 4, None), (*hours(utc(2025, 11, 2, 6)), 5, None)]


def test_local_spans_over_a_clock_change_are_settled_and_counted(site: Site, tmp_path: Path) -> None:
    lines = (
        "2025-11-02 00:00,2025-11-02 03:00,1",
        "2025-11-02 01:30,2025-11-02 01:15,2",
        "2026-03-08 01:00,2026-03-08 02:30,3",
    )
    report = taken(sheet(tmp_path, *lines, header="starts_at,ends_at,calls"))
    assert [(end - start) / timedelta(hours=1) for start, end, *_ in stored()] == [4, 0.75, 1.5]
    assert report.notes[DOUBLE_TIME] == 2 and report.notes[MISSING_TIME] == 1


def test_hours_are_the_sites_own(site: Site, tmp_path: Path) -> None:
    factories.site(organisation=site.organisation, key="nepal", time_zone="Asia/Kathmandu")
    db.session.commit()
    taken(sheet(tmp_path, NINE), site="nepal")
    assert stored()[0][0] == utc(2026, 3, 2, 3, 15)


# --- which part is the month? ---


def test_an_unclear_date_is_refused_with_both_readings(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        taken(sheet(tmp_path, "03/04/2025,9,1,"))
    said = str(refused.value)
    assert "totals.csv, line 2, column 'date'" in said
    assert "3 April 2025 read day first" in said and "4 March 2025 read month first" in said
    assert said.endswith("Settle it with --date-order dmy or --date-order mdy.")
    assert stored() == [] and db.session.query(ImportRecord).count() == 0


@pytest.mark.parametrize(("order", "month"), [("dmy", 4), ("mdy", 3)])
def test_the_option_settles_it(site: Site, tmp_path: Path, order: str, month: int) -> None:
    taken(sheet(tmp_path, "03/04/2025,9,1,"), date_order=order)
    assert stored()[0][0].month == month


def test_one_date_of_the_file_settles_it(site: Site, tmp_path: Path) -> None:
    taken(
        sheet(
            tmp_path,
            "03/04/2025 9:00,03/04/2025 10:00,1",
            "31/01/2025 9:00,31/01/2025 10:00,1",
            header="starts_at,ends_at,calls",
        )
    )
    assert [start.month for start, *_ in stored()] == [1, 4]


# --- again and again ---


def test_again_changes_nothing_and_a_later_one_corrects(site: Site, tmp_path: Path) -> None:
    ten = "2026-03-02,10,40,39"
    assert samples.counts(taken(sheet(tmp_path, NINE, ten))) == (2, 0, 0, 0)
    assert samples.counts(taken(sheet(tmp_path, NINE, ten))) == (0, 0, 2, 0)
    report = taken(sheet(tmp_path, NINE, "2026-03-02,10,41,39", "2026-03-02,11,1,1"))
    assert samples.counts(report) == (1, 1, 1, 0)
    assert [(change.what, change.fields) for change in report.changes] == [("line 3", ["calls"])]
    assert [calls for _, _, calls, _ in stored()] == [57, 41, 1]
    newest = db.session.query(ControlTotal).filter_by(calls=41).one()
    assert newest.import_id == report.import_id


def test_a_count_that_a_later_file_does_not_have_stays(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    report = taken(sheet(tmp_path, "2026-03-02,9,58", header="date,hour,calls"))
    assert samples.counts(report) == (0, 1, 0, 0) and stored()[0][2:] == (58, 50)
    taken(sheet(tmp_path, "2026-03-02,9,51", header="date,hour,answered"))
    assert stored()[0][2:] == (58, 51)


def test_a_count_that_an_earlier_file_did_not_have_is_added(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, "2026-03-02,9,57", header="date,hour,calls"))
    assert samples.counts(taken(sheet(tmp_path, NINE))) == (0, 1, 0, 0)
    assert stored()[0][2:] == (57, 50)


def test_site_and_agent_of_the_same_hour_are_two_cells(site: Site, tmp_path: Path) -> None:
    lines = (",2026-03-02,9", "amy,2026-03-02,5")
    assert samples.counts(taken(sheet(tmp_path, *lines, header="agent,date,calls"))) == (2, 0, 0, 0)
    assert samples.counts(taken(sheet(tmp_path, *lines, header="agent,date,calls"))) == (0, 0, 2, 0)


def test_another_source_has_totals_of_its_own(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    assert samples.counts(taken(sheet(tmp_path, "2026-03-02,9,1,1"), source="pbx")) == (1, 0, 0, 0)
    assert [calls for _, _, calls, _ in stored()] == [57, 1]


def test_rows_that_contradict_each_other_are_all_rejected_in_any_order(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    for other in ("2026-03-02,9,58,50", "2026-03-02,9,57,51"):
        _both_ways(tmp_path, NINE, other)


def _both_ways(folder: Path, one: str, other: str) -> None:
    for lines in ((one, other), (other, one)):
        report = taken(sheet(folder, *lines, "2026-03-02,10,1,1"))
        assert report.rejected_by == {CONTRADICTED: 2} and report.rejected == 2
        assert [where for where, *_ in reasons(report)] == ["line 2", "line 3"]
        assert stored()[0][2:] == (57, 50)


def test_the_same_row_twice_is_counted_once(site: Site, tmp_path: Path) -> None:
    assert samples.counts(taken(sheet(tmp_path, NINE, NINE))) == (1, 0, 1, 0)
    assert samples.counts(taken(sheet(tmp_path, NINE, NINE))) == (0, 0, 2, 0)


# --- the record ---


def test_every_import_is_a_record_and_in_the_audit_trail(site: Site, tmp_path: Path) -> None:
    taken(sheet(tmp_path, NINE))
    report = taken(sheet(tmp_path, "2026-03-02,9,30,30", "2026-03-02,x,1,1"))
    record = db.session.get(ImportRecord, report.import_id)
    assert record is not None
    assert (record.kind, record.source, record.actor, record.file_name) == (
        ImportKind.TOTALS,
        "north",
        "jo",
        "totals.csv",
    )
    assert (record.read, record.new, record.updated, record.unchanged, record.rejected) == (2, 0, 1, 0, 1)
    assert record.finished_at is not None and record.rejected_by == {"not an hour of the day": 1}
    entry = db.session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
    assert entry is not None and (entry.actor, entry.action) == ("jo", "control totals imported")
    counts = {"calls_before": 57, "calls_after": 30, "answered_before": 50, "answered_after": 30, "updated": 1}
    assert entry.detail | counts == entry.detail and entry.detail["sha256"] == record.sha256


def test_a_source_without_calls_is_pointed_out(site: Site, tmp_path: Path) -> None:
    assert taken(sheet(tmp_path, NINE)).notes[UNKNOWN_SOURCE] == 1
    factories.call(place=site, source="north")
    db.session.commit()
    assert UNKNOWN_SOURCE not in +taken(sheet(tmp_path, NINE)).notes


def test_what_stops_in_between_leaves_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("intake.totals.keep", stopped)
        with pytest.raises(KeyboardInterrupt):
            taken(sheet(tmp_path, NINE))
    assert stored() == [] and db.session.query(ImportRecord).count() == 0
    assert samples.counts(taken(sheet(tmp_path, NINE))) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("hour,calls", "has no column for the day"),
        ("starts_at,calls", "has no column for the day"),
        ("date,hour", "has no column for the count"),
        ("date,calls,calls", "has 2 columns called 'calls'"),
    ],
)
def test_files_that_cannot_be_taken(site: Site, tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        taken(sheet(tmp_path, "1,2,3", header=header))
    assert db.session.query(ImportRecord).count() == 0


def test_what_is_not_known_is_said(site: Site, tmp_path: Path) -> None:
    file = sheet(tmp_path, NINE)
    with pytest.raises(NotFound, match="no organisation 'nobody'"):
        taken(file, organisation="nobody")
    with pytest.raises(NotFound, match="no site 'east'"):
        taken(file, site="east")
    with pytest.raises(InputError, match="the rows name their site"):
        taken(file, site=None)
    with pytest.raises(InputError, match="its site"):
        taken(file, site=None, source="pbx")
    with pytest.raises(InputError, match="no such file"):
        taken(tmp_path / "none.csv")


def test_many_rows_are_few_statements(site: Site, tmp_path: Path) -> None:
    lines = [f"2026-02-{day:02d},{hour},{day},1" for day in range(1, 29) for hour in range(24)]
    with counted() as asked:
        assert samples.counts(taken(sheet(tmp_path, *lines))) == (672, 0, 0, 0)
    assert len(asked) < 25, asked
