"""A file's first rows as an import would read them: the same reading, nothing written, nobody's contact shown."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from intake.calls import CallOptions, RowResult, import_calls
from intake.first_rows import FirstRows, first_rows
from intake.formats import open_table
from intake.mapping import mapping_of
from intake.preview import ROWS, DateReading, Preview, preview
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import Agent, Call, Customer, ImportRecord, Site
from tests import statements
from tests.factories import utc
from tests.intake import samples

HEADER = "call_id,agent,started_at,talk_seconds,answered,phone,email,language"
GOOD = "HM-7,amy,2026-03-02 09:12:58,143,yes,(212) 555-0123,jo.bloggs@example.com,en"


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> Site:
    return samples.place()


def looked_at(
    folder: Path, *lines: str, header: str = HEADER, mapping: dict[str, Any] | None = None, **given: Any
) -> Preview:
    path = samples.written(folder, samples.rows(*lines, header=header))
    options = {"organisation": "acme", "site": "north", "mapping": mapping_of(mapping or {})} | given
    return preview(path, CallOptions(**options))


def test_a_row_is_shown_as_it_would_be_taken_in(tmp_path: Path) -> None:
    found = looked_at(tmp_path, GOOD)
    (row,) = found.rows
    assert (row.line, row.external_id, row.agent, row.agent_is_new) == (2, "HM-7", "amy", False)
    assert row.started_at == utc(2026, 3, 2, 14, 12).replace(second=58)
    assert row.ended_at == utc(2026, 3, 2, 14, 15).replace(second=21)
    assert (row.zone, row.answered, row.talk_seconds, row.language) == ("America/New_York", True, 143, "en")
    assert (found.format, found.taken, found.more, found.undecided) == ("generic", 1, False, "")
    assert found.columns["phone"] == "phone"


def test_contacts_are_masked_in_every_column_they_may_stand_in(tmp_path: Path) -> None:
    wrong = {
        "columns": {"external_id": "phone", "agent": "email", "started_at": "started_at", "talk_seconds": "call_id"}
    }
    for found in (looked_at(tmp_path, GOOD), looked_at(tmp_path, GOOD, mapping=wrong, create_agents=True)):
        assert "555" not in str(found.rows) and "bloggs" not in str(found.rows), found.rows
    (row,) = looked_at(tmp_path, GOOD).rows
    assert row.contact == "+1 ••••••••23, j•••@example.com"
    agent = {"columns": mapping_columns() | {"agent": "phone"}}
    (made,) = looked_at(tmp_path, GOOD, mapping=agent, create_agents=True).rows
    assert (made.agent, made.agent_is_new, made.fault) == ("••••••••23", True, "")
    answered = {"columns": mapping_columns() | {"answered": "phone"}}
    found = looked_at(tmp_path, GOOD, mapping=answered)
    assert "555" not in str(found), "neither in the fault nor among the words found"


def mapping_columns() -> dict[str, str]:
    return {"external_id": "call_id", "started_at": "started_at", "talk_seconds": "talk_seconds"}


def test_a_contact_that_cannot_be_used_says_why_and_the_call_stays(tmp_path: Path) -> None:
    (row,) = looked_at(tmp_path, "HM-7,amy,2026-03-02 09:12:58,143,yes,(800) 555-0123,nobody at all,en").rows
    assert (row.fault, row.contact) == ("", "")
    assert row.contact_fault == "phone: is a toll-free number; email: is not a valid email address"


def test_each_faulty_row_says_why(tmp_path: Path) -> None:
    found = looked_at(
        tmp_path,
        GOOD,
        "HM-8,zed,2026-03-02 09:00,1,yes,,,",
        "HM-9,amy,2026-02-30 09:00,1,yes,,,",
        ",amy,2026-03-02 09:00,1,yes,,,",
        "HM-10,amy",
    )
    assert [(row.external_id, row.column, row.fault) for row in found.rows] == [
        ("HM-7", "", ""),
        ("HM-8", "agent", "unknown agent: 'zed'"),
        ("HM-9", "started_at", "there is no such day: '2026-02-30'"),
        ("", "call_id", "is empty"),
        ("", "", "not a row: has 2 columns where the header has 8"),
    ]
    assert found.taken == 1


def test_agents_who_would_be_made_are_told_apart_and_nothing_is_written(tmp_path: Path) -> None:
    found = looked_at(tmp_path, GOOD, "HM-8,zed,2026-03-02 09:00,1,yes,2125550199,,", create_agents=True)
    assert [(row.agent, row.agent_is_new, row.fault) for row in found.rows] == [("amy", False, ""), ("zed", True, "")]
    assert not db.session.new and not db.session.dirty
    counts = [db.session.scalar(select(func.count()).select_from(model)) for model in (Call, Customer, ImportRecord)]
    assert counts == [0, 0, 0] and db.session.scalar(select(func.count()).select_from(Agent)) == 1


def test_it_asks_the_database_nothing_but_who_and_where(tmp_path: Path) -> None:
    def asked(count: int) -> list[str]:
        with statements.counted() as found:
            looked_at(tmp_path, *(GOOD.replace("HM-7", f"HM-{n}") for n in range(count)))
        return found

    few, many = asked(1), asked(5_000)
    assert len(few) == len(many) and all(statement.lstrip().startswith("SELECT") for statement in many)


def test_it_agrees_with_the_import_row_by_row(tmp_path: Path) -> None:
    lines = [
        GOOD,
        "HM-8,zed,2026-03-02 09:00,1,yes,,,",
        "HM-9,amy,31/01/2026 09:00,6O,yes,,,",
        "HM-10,amy,03/02/2026 9:00,1,,,,",
    ]
    found = looked_at(tmp_path, *lines)
    fates: dict[int, RowResult] = {}
    options = CallOptions(organisation="acme", site="north", on_row=lambda row: fates.update({row.line: row}))
    import_calls(tmp_path / "calls.csv", options, actor="test")
    assert [(row.fault, row.column) for row in found.rows] == [(fates[n].reason, fates[n].column) for n in range(2, 6)]
    stored = samples.stored()
    for row in found.rows:
        if not row.fault:
            call = stored[row.external_id]
            assert (call.started_at, call.ended_at, call.talk_seconds) == (
                row.started_at,
                row.ended_at,
                row.talk_seconds,
            )
    assert found.rows[3].started_at == utc(2026, 2, 3, 14), "31/01 in the row before decides"


def test_the_first_ten_rows_of_many(tmp_path: Path) -> None:
    found = looked_at(tmp_path, *(GOOD.replace("HM-7", f"HM-{n}") for n in range(30)))
    assert [row.line for row in found.rows] == list(range(2, 2 + ROWS)) and found.more
    path = tmp_path / "calls.csv"
    assert len(preview(path, CallOptions(organisation="acme", site="north"), rows=3).rows) == 3


# --- dates that may be read in two ways ---


def test_dates_that_nothing_decides_are_shown_in_both_readings(tmp_path: Path) -> None:
    lines = ["a,amy,03/04/2025 09:00,1,,,,", "b,amy,05/05/2025 09:00,1,,,,", "c,amy,01/12/2025 09:00,1,,,,"]
    found = looked_at(tmp_path, *lines)
    assert "3 April 2025 read day first and 4 March 2025 read month first" in found.undecided
    assert found.readings == [
        DateReading("03/04/2025", date(2025, 4, 3), date(2025, 3, 4)),
        DateReading("01/12/2025", date(2025, 12, 1), date(2025, 1, 12)),
    ]
    assert [row.fault for row in found.rows] == [
        "may be day first or month first: '03/04/2025'",
        "",
        "may be day first or month first: '01/12/2025'",
    ]


@pytest.mark.parametrize(("order", "month"), [("dmy", 4), ("mdy", 3)])
def test_an_order_that_was_told_holds_and_the_readings_stay(tmp_path: Path, order: Any, month: int) -> None:
    lines = ["a,amy,03/04/2025 09:00,1,,,,"]
    told, mapped = (
        looked_at(tmp_path, *lines, date_order=order),
        looked_at(tmp_path, *lines, mapping={"date_order": order}),
    )
    for found in (told, mapped):
        assert found.rows[0].started_at is not None and found.rows[0].started_at.month == month
        assert found.readings and found.undecided


def test_an_order_told_against_what_the_file_shows_is_followed_as_the_import_does(tmp_path: Path) -> None:
    found = looked_at(tmp_path, "a,amy,31/01/2026 09:00,1,,,,", "b,amy,03/02/2026 09:00,1,,,,", date_order="mdy")
    assert [row.fault for row in found.rows] == ["there is no such day: '31/01/2026'", ""]
    assert (found.undecided, found.readings) == ("", [])


def test_a_file_that_contradicts_itself_says_so(tmp_path: Path) -> None:
    found = looked_at(
        tmp_path, "a,amy,31/01/2026 09:00,1,,,,", "b,amy,01/31/2026 09:00,1,,,,", "c,amy,02/03/2026 9:00,1,,,,"
    )
    assert "can only be day first" in found.undecided
    assert [each.text for each in found.readings] == ["02/03/2026"]


# --- what the first rows say of answered ---


def test_the_words_of_the_answered_column_are_counted(tmp_path: Path) -> None:
    lines = [f"{n},amy,2026-03-02 09:00,1,{'Y' if n % 3 else 'lost'},,," for n in range(250)]
    found = looked_at(tmp_path, *lines)
    assert dict(found.answered) == {"Y": 133, "lost": 67}, "of the first 200 rows"
    many = looked_at(tmp_path, *(f"{n},amy,2026-03-02 09:00,1,word{n},,," for n in range(50)))
    assert len(many.answered) == 12
    assert looked_at(tmp_path, "1,2026-03-02 09:00,1", header="id,started_at,talk_seconds").answered == {}


# --- what cannot be shown ---


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("call_id,started_at", "1,2026-03-02 09:00", "has no column for whether it was answered"),
        ("call_id,talk_seconds", "1,60", "has no column for its start"),
        (
            "call_id,started_at,talk_seconds,talk_seconds",
            "1,2026-03-02 09:00,1,1",
            "has 2 columns called 'talk_seconds'",
        ),
    ],
)
def test_columns_of_which_no_call_can_be_made(tmp_path: Path, header: str, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        looked_at(tmp_path, line, header=header)


def test_strange_places_and_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no site 'south'"):
        looked_at(tmp_path, GOOD, site="south")
    with pytest.raises(InputError, match="is not a known format"):
        looked_at(tmp_path, GOOD, format="tape")
    with pytest.raises(InputError, match="is not a readable Excel workbook"):
        looked_at(tmp_path, GOOD, format="xlsx")


def test_rows_that_name_their_site_have_its_time(tmp_path: Path, site: Site) -> None:
    lines = ("1,NORTH,2026-03-02 09:00,1", "2,South,2026-03-02 09:00,1")
    known, unknown = looked_at(tmp_path, *lines, header="id,site,started_at,talk_seconds", site=None).rows
    assert (known.zone, known.started_at) == (site.time_zone, utc(2026, 3, 2, 14))
    assert (unknown.column, unknown.fault) == ("site", "unknown site: 'South'")


# --- ids of calls, and everything that is wrong with a row ---

DIALLED = ["2125550142", "2125550107", "2125550123", "2125550119", "2125550160", "2125550102", "2125550171"]


@pytest.mark.parametrize(
    ("column", "ids", "whole"),
    [
        ("call_id", DIALLED, True),
        ("UniqueID", DIALLED, True),
        ("Nr", DIALLED, False),
        ("Nr", ["HM-1", "HM-2", "HM-3", *DIALLED[:2]], True),
        ("Nr", [str(2125550100 + n) for n in range(8)], True),
        ("Nr", [str(2125550100 + n) for n in range(7)], False),
        ("Nr", [f"+1{number}" for number in DIALLED], False),
    ],
)
def test_ids_are_shown_whole_unless_their_column_is_one_of_contacts(
    tmp_path: Path, column: str, ids: list[str], whole: bool
) -> None:
    lines = [f"{each},2026-03-02 09:00,1" for each in ids]
    chosen = {"columns": {"external_id": column, "started_at": "started_at", "talk_seconds": "talk_seconds"}}
    found = looked_at(tmp_path, *lines, header=f"{column},started_at,talk_seconds", mapping=chosen)
    assert [row.external_id for row in found.rows if row.external_id in ids] == (ids if whole else [])
    assert found.ids_whole is whole


def test_a_telephone_systems_own_ids_are_whole_and_its_contacts_masked(tmp_path: Path) -> None:
    line = (
        '"","+12125550147","600","from-trunk","","SIP/trunk-0a","SIP/201-0b","Queue","x","2026-03-02 09:00:00",'
        '"2026-03-02 09:00:10","2026-03-02 09:02:10",130,120,"ANSWERED","DOCUMENTATION",'
        '"2125550123.10","","","2125550123.10","7"\n'
    )
    path = samples.written(tmp_path, line, "Master.csv")
    (row,) = preview(path, CallOptions(organisation="acme", site="north", create_agents=True)).rows
    assert (row.external_id, row.contact) == ("2125550123.10", "+1 ••••••••47")


def test_every_column_that_cannot_be_read_is_told_of_a_row(tmp_path: Path) -> None:
    found = looked_at(
        tmp_path, "HM-1,zed,soon,long,perhaps,2125550147,,english please", "HM-2,amy,2026-03-02 09:00,1,,,,"
    )
    told = {each.column: each.text.partition(":")[0] for each in found.faults}
    assert told == {
        "started_at": "not a date with a time",
        "talk_seconds": "not a duration",
        "answered": "neither yes nor no",
        "language": "not a language tag",
        "agent": "unknown agent",
    }
    assert (found.rows[0].column, len(found.rows[0].also), found.rows[1].also) == ("started_at", 4, ())


def test_what_only_a_made_up_start_would_cause_is_not_told(tmp_path: Path) -> None:
    header = "call_id,started_at,ended_at"
    found = looked_at(tmp_path, "1,soon,2026-03-02 09:00", header=header, mapping={"constants": {"answered": True}})
    assert [each.column for each in found.faults] == ["started_at"]
    late = looked_at(
        tmp_path, "1,2026-03-02 09:00,2026-03-01 09:00", header=header, mapping={"constants": {"answered": True}}
    )
    assert [each.text for each in late.faults] == ["ends before it starts"]


def test_a_preview_without_some_columns_tells_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    path = samples.written(tmp_path, samples.rows("zed,03/04/2025 09:00", header="agent,started_at"))
    options = CallOptions(organisation="acme", site="north")
    with pytest.raises(InputError, match="the call's id"):
        preview(path, options)
    found = preview(path, options, without={"external_id", "answered", "talk_seconds"})
    assert found.undecided and [each.column for each in found.faults] == ["started_at", "agent"]


@pytest.mark.parametrize(
    ("cells", "unit", "told"),
    [
        (("0.00167", "0.002", "0", ""), "seconds", ["0.00167", "0.002"]),
        (("2.3E-05", "0.00167", "120"), "minutes", ["2.3E-05", "0.00167"]),
        (("0.00167", "0.002"), "days", []),
        (("120", "0.5", "60"), "seconds", []),
        (("0:01:20", "0.5", "1:00"), "seconds", []),
        (("0", "0"), "seconds", []),
    ],
)
def test_durations_that_are_parts_of_a_day_are_noticed(
    tmp_path: Path, cells: tuple[str, ...], unit: str, told: list[str]
) -> None:
    lines = [f"{n},2026-03-02 09:00,{cell}" for n, cell in enumerate(cells)]
    found = looked_at(
        tmp_path, *lines, header="call_id,started_at,talk_seconds", mapping={"duration_unit": unit}, create_agents=True
    )
    assert found.fractions == told


# --- the rows as they stand in the file ---


def raw(folder: Path, content: str, sealed: Collection[int] = (), ids: Collection[int] = ()) -> FirstRows:
    return first_rows(open_table(samples.written(folder, content)), sealed, ids, ["US", "GB"])


def test_the_first_rows_stand_there_as_they_are_and_contacts_masked(tmp_path: Path) -> None:
    lines = [f"R{n},Amy,31.10.2026 09:0{n},1:20,(212) 555-0147,020 7946 0123,jo@example.com" for n in range(7)]
    found = raw(tmp_path, samples.rows(*lines, header="Ref,Who,When,Lasted,Back,Other,Mail"))
    assert found.header == ["Ref", "Who", "When", "Lasted", "Back", "Other", "Mail"]
    assert (len(found.rows), found.more, found.columns_beside) == (5, True, 0)
    row = found.rows[0]
    assert row.line == 2
    assert row.cells == ["R0", "Amy", "31.10.2026 09:00", "1:20", "••••••••47", "•••••••••23", "j•••@example.com"]


def test_columns_chosen_for_contacts_tell_nothing_and_ids_are_whole(tmp_path: Path) -> None:
    text = samples.rows("2125550147,5550147 ext 9,2125550199", "R2,,", "R3,,", header="Nr,Mobile,uniqueid")
    found = raw(tmp_path, text, sealed={1}, ids={0})
    assert found.rows[0].cells == ["2125550147", "••••••••••• 9", "2125550199"]
    assert found.rows[1].cells == ["R2", "", ""]
    assert raw(tmp_path, text).rows[0].cells[0] == "••••••••47", "not chosen for ids"


def test_wide_files_and_long_cells_are_cut_and_broken_rows_say_why(tmp_path: Path) -> None:
    header = ",".join(f"c{n}" for n in range(130))
    found = raw(tmp_path, samples.rows(",".join(["x" * 90] * 130), "1,2", header=header))
    assert (len(found.header), found.columns_beside, len(found.rows[0].cells)) == (100, 30, 100)
    assert found.rows[0].cells[0] == "x" * 59 + "…"
    assert found.rows[1].fault == "has 2 columns where the header has 130"
