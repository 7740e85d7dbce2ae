"""What was counted against what came in: every gap above 0.5% is named, on every level, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import insert

from survey import completeness
from survey.calendars import day_start
from survey.clock import ManualClock
from survey.completeness import Report
from survey.db import db
from survey.errors import InputError
from survey.gaps import Gap, Span, is_gap, percent_up
from survey.models import Agent, Call, ControlTotal, ImportKind, Organisation, Site
from tests import factories
from tests.factories import utc
from tests.statements import counted

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 10)
NEW_YORK = ZoneInfo("America/New_York")
_ids = count()


class Centre:
    """One site in New York with two agents; calls and totals are put in by the local time."""

    def __init__(self, **given: Any) -> None:
        self.site = factories.site(name="North", **given)
        self.owner: Organisation = self.site.organisation
        self.amy, self.bob = (factories.agent(self.site, name=name) for name in ("Amy", "Bob"))
        self.record = factories.import_record(self.owner.id)
        self.sheet = factories.import_record(self.owner.id, kind=ImportKind.TOTALS)

    def calls(self, number: int, start: datetime, agent: Agent | None = None, **given: Any) -> None:
        """So many alike calls of four minutes, handed in the minute they ended."""
        start = placed(start, self.site)
        row = {
            "organisation_id": self.owner.id,
            "site_id": self.site.id,
            "agent_id": None if agent is None else agent.id,
            "import_id": self.record.id,
            "source": "pbx",
            "started_at": start,
            "ended_at": start + timedelta(minutes=4),
            "received_at": start + timedelta(minutes=5),
            "answered": True,
            "talk_seconds": 200,
        } | given
        db.session.execute(insert(Call), [row | {"external_id": f"c{next(_ids)}"} for _ in range(number)])

    def total(
        self,
        calls: int | None,
        start: datetime,
        end: datetime,
        agent: Agent | None = None,
        answered: int | None = None,
        **given: Any,
    ) -> ControlTotal:
        row = ControlTotal(
            **{
                "organisation_id": self.owner.id,
                "import_id": self.sheet.id,
                "source": "pbx",
                "site_id": self.site.id,
                "agent_id": None if agent is None else agent.id,
                "starts_at": placed(start, self.site),
                "ends_at": placed(end, self.site),
                "calls": calls,
                "answered": answered,
            }
            | given
        )
        db.session.add(row)
        db.session.flush()
        return row

    def compared(self, first: date = FIRST, last: date = LAST, **given: Any) -> Report:
        return completeness.compare(self.owner.id, first, last, **given)


def placed(moment: datetime, site: Site) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(site.time_zone))).astimezone(UTC)


def at(day: int, hour: int = 0, minute: int = 0, month: int = 2) -> datetime:
    """A local time of 2026, of no zone yet."""
    return datetime(2026, month, day, hour, minute)  # noqa: DTZ001


def found(report: Report, *spans: Span) -> list[tuple[str, str, str | None, int, int]]:
    """(span, what, agent, counted, handed in) of the gaps of those spans (none given: all)."""
    return [
        (gap.span.value, gap.what, gap.agent, gap.counted, gap.handed_in)
        for gap in report.gaps
        if gap.span in (spans or tuple(Span))
    ]


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre()


# --- the line of 0.5% ---


@pytest.mark.parametrize(
    ("control", "handed_in", "gap"),
    [
        (200, 199, False),
        (199, 198, True),
        (200, 201, False),
        (200, 202, True),
        (1000, 995, False),
        (1000, 994, True),
        (1000, 1005, False),
        (1000, 1006, True),
        (0, 0, False),
        (0, 1, True),
        (1, 0, True),
        (1, 1, False),
        (10**12, 10**12 - 5 * 10**9, False),
        (10**12, 10**12 - 5 * 10**9 - 1, True),
    ],
)
def test_a_gap_is_more_than_half_a_percent_either_way(control: int, handed_in: int, gap: bool) -> None:
    assert is_gap(control, handed_in) is gap


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (Fraction(1, 199), "0.51%"),
        (Fraction(50_001, 10**7), "0.51%"),
        (Fraction(1, 20), "5.00%"),
        (Fraction(3), "300.00%"),
    ],
)
def test_a_gap_never_looks_like_what_is_none(share: Fraction, said: str) -> None:
    assert percent_up(share) == said


# --- single totals ---


def test_what_fits_is_no_gap(centre: Centre) -> None:
    centre.calls(3, at(2, 9, 30), centre.amy)
    centre.total(3, at(2, 9), at(2, 10), answered=3)
    report = centre.compared()
    assert report.gaps == [] and report.cells == 1 and report.late == 0


def test_missing_calls_are_named_with_where_when_and_how_many(centre: Centre) -> None:
    centre.calls(197, at(2, 9, 30), centre.amy)
    centre.total(200, at(2, 9), at(2, 10), centre.amy)
    [gap] = [each for each in centre.compared().gaps if each.span is Span.CELL]
    assert gap.line == "Amy at North (pbx), 2026-02-02 09:00 EST to 10:00 EST: " + gap.figures
    assert gap.figures == "200 calls counted, 197 handed in: 3 missing (1.50%)"


def test_made_up_calls_are_a_gap_too(centre: Centre) -> None:
    centre.calls(3, at(2, 9, 30), centre.amy)
    centre.total(2, at(2, 9), at(2, 10))
    centre.calls(1, at(3, 9, 30), centre.amy)
    centre.total(0, at(3, 9), at(3, 10))
    gaps = [gap.figures for gap in centre.compared().gaps if gap.span is Span.CELL]
    assert gaps == [
        "2 calls counted, 3 handed in: 1 too many (50.00%)",
        "0 calls counted, 1 handed in: 1 too many",
    ]


def test_the_line_is_drawn_through_real_rows(centre: Centre) -> None:
    centre.calls(398, at(2, 9, 30))
    centre.total(400, at(2, 9), at(2, 10))
    assert centre.compared().gaps == []
    centre.total(401, at(2, 8), at(2, 10))
    assert found(centre.compared(), Span.CELL) == [("cell", "calls", None, 401, 398)]


def test_both_counts_are_compared_where_given(centre: Centre) -> None:
    centre.calls(2, at(2, 9, 30), centre.amy)
    centre.calls(1, at(2, 9, 40), answered=False, talk_seconds=0)
    centre.total(3, at(2, 9), at(2, 10), answered=3)
    centre.total(None, at(2, 9), at(2, 11), answered=4)
    assert found(centre.compared()) == [
        ("range", "answered", None, 7, 4),
        ("month", "answered", None, 7, 4),
        ("cell", "answered", None, 4, 2),
        ("cell", "answered", None, 3, 2),
    ], "the calls of the total that counts none are not added to the other's"


def test_the_start_is_in_and_the_end_is_not(centre: Centre) -> None:
    centre.calls(1, at(2, 9))
    centre.calls(2, at(2, 10))
    centre.total(1, at(2, 9), at(2, 10))
    centre.total(2, at(2, 10), at(2, 11))
    assert centre.compared().gaps == []


def test_a_call_counts_by_its_start_even_over_midnight(centre: Centre) -> None:
    centre.calls(1, at(2, 23, 58))
    centre.total(1, at(2), at(3))
    centre.total(0, at(3), at(4))
    assert centre.compared().gaps == []
    assert centre.compared(date(2026, 2, 2), date(2026, 2, 2)).gaps == []


def test_other_sources_sites_and_organisations_do_not_count(centre: Centre) -> None:
    centre.calls(1, at(2, 9), source="backup")
    centre.total(1, at(2, 9), at(2, 10))
    twin = factories.site(organisation=centre.owner)
    centre.calls(1, at(2, 9), site_id=twin.id)
    other = Centre()
    other.calls(1, at(2, 9))
    other.total(1, at(2, 9), at(2, 10))
    assert found(centre.compared(), Span.CELL) == [("cell", "calls", None, 1, 0)]
    assert other.compared().gaps == []


def test_an_agents_total_counts_that_agents_calls_and_uncertain_ones_count_for_the_site(centre: Centre) -> None:
    centre.calls(2, at(2, 9), centre.amy)
    centre.calls(1, at(2, 9), centre.bob)
    centre.calls(4, at(2, 9), None, agent_uncertain=True)
    centre.total(7, at(2, 9), at(2, 10))
    centre.total(2, at(2, 9), at(2, 10), centre.amy)
    assert centre.compared().gaps == []
    centre.total(5, at(2, 9), at(2, 10), centre.bob)
    assert found(centre.compared(), Span.CELL) == [("cell", "calls", "Bob", 5, 1)]


def test_overlapping_totals_are_each_compared_by_themselves(centre: Centre) -> None:
    centre.calls(2, at(2, 9, 10))
    centre.calls(3, at(2, 9, 50))
    for calls, start, end in ((2, at(2, 9), at(2, 9, 30)), (5, at(2, 9), at(2, 10)), (3, at(2, 9, 15), at(2, 12))):
        centre.total(calls, start, end)
    centre.total(5, at(2), at(3))
    assert centre.compared().gaps == []
    centre.total(6, at(2, 8), at(2, 20))
    assert found(centre.compared(), Span.CELL) == [("cell", "calls", None, 6, 5)]


def test_totals_of_any_shape_agree_with_counting_one_by_one(centre: Centre) -> None:
    """The slots against a plain count of each total, over starts and ends that cross in every way."""
    for n in range(60):
        agent = (centre.amy, centre.bob, None)[n % 3]
        centre.calls(1 + n % 3, at(1 + n % 5, n * 7 % 24, n * 13 % 60), agent, answered=n % 4 > 0, talk_seconds=0)
    spans = [(at(1 + n % 4, n * 5 % 24, n * 11 % 60), timedelta(minutes=17 + n * n * 29 % 4000)) for n in range(40)]
    for n, (start, length) in enumerate(spans):
        centre.total(0, start, start + length, (None, centre.amy, centre.bob)[n % 3], answered=0)
    expected = sorted(_one_by_one(total) for total in db.session.query(ControlTotal))
    report = centre.compared()
    calls = {(g.starts_at, g.ends_at, g.agent or ""): g.handed_in for g in _cells(report) if g.what == "calls"}
    answered = {(g.starts_at, g.ends_at, g.agent or ""): g.handed_in for g in _cells(report) if g.what == "answered"}
    told = sorted((*key, calls.get(key, 0), answered.get(key, 0)) for key in {each[:3] for each in expected})
    assert told == expected and any(each[3] for each in expected)


def _cells(report: Report) -> Sequence[Gap]:
    return [gap for gap in report.gaps if gap.span is Span.CELL]


def _one_by_one(total: ControlTotal) -> tuple[datetime, datetime, str, int, int]:
    query = db.session.query(Call).filter(Call.started_at >= total.starts_at, Call.started_at < total.ends_at)
    if total.agent_id is not None:
        query = query.filter_by(agent_id=total.agent_id)
    agent = db.session.get(Agent, total.agent_id) if total.agent_id else None
    name = "" if agent is None else agent.name
    return total.starts_at, total.ends_at, name, query.count(), query.filter_by(answered=True).count()


# --- clock changes ---


def test_a_day_of_25_hours_counts_all_of_them(centre: Centre, at_noon: ManualClock) -> None:
    at_noon.move_to(utc(2026, 11, 20))
    fall = date(2026, 11, 1)
    for hour in range(4, 29):
        centre.calls(1, utc(2026, 11, 1) + timedelta(hours=hour))
    centre.total(25, day_start(fall, "America/New_York"), day_start(fall + timedelta(days=1), "America/New_York"))
    centre.total(2, utc(2026, 11, 1, 5), utc(2026, 11, 1, 7))
    report = centre.compared(fall, fall)
    assert report.gaps == [] and report.cells == 2


def test_a_day_of_23_hours_takes_none_of_the_next(centre: Centre) -> None:
    spring = date(2026, 3, 8)
    for hour in range(5, 29):
        centre.calls(1, utc(2026, 3, 8) + timedelta(hours=hour))
    centre.total(23, day_start(spring, "America/New_York"), day_start(spring + timedelta(days=1), "America/New_York"))
    assert centre.compared(spring, spring).gaps == []


# --- handed in in time ---


def test_only_what_came_before_the_deadline_is_handed_in(centre: Centre) -> None:
    """Monday 2 February: the second business day is Wednesday, so its surveys close as Thursday begins."""
    closes_at = day_start(date(2026, 2, 5), "America/New_York")
    centre.calls(1, at(2, 9), received_at=closes_at - timedelta(seconds=1))
    centre.calls(2, at(2, 9), received_at=closes_at)
    centre.calls(3, at(2, 9), received_at=closes_at + timedelta(days=9), answered=False, talk_seconds=0)
    centre.total(6, at(2, 9), at(2, 10), answered=3)
    report = centre.compared()
    assert [(gap.what, gap.counted, gap.handed_in, gap.late) for gap in _cells(report)] == [
        ("calls", 6, 1, 5),
        ("answered", 3, 1, 2),
    ]
    assert report.late == 5
    assert "5 came too late" in _cells(report)[0].figures


def test_the_deadline_is_that_of_the_day_on_which_the_call_ended(centre: Centre) -> None:
    """Begun on Monday, ended on Tuesday: it may come in until Thursday is over."""
    received = day_start(date(2026, 2, 6), "America/New_York") - timedelta(seconds=1)
    ended_at = placed(at(3, 0, 10), centre.site)
    centre.calls(1, at(2, 23, 50), ended_at=ended_at, received_at=received)
    centre.calls(1, at(2, 23, 50), received_at=received)
    centre.total(2, at(2), at(3))
    report = centre.compared(date(2026, 2, 2), date(2026, 2, 2))
    assert [(gap.counted, gap.handed_in, gap.late) for gap in _cells(report)] == [(2, 1, 1)]


def test_a_call_that_ended_after_the_last_day_of_the_totals_has_its_deadline_too(centre: Centre) -> None:
    received = day_start(date(2026, 2, 6), "America/New_York")
    centre.calls(1, at(2, 23, 50), ended_at=placed(at(3, 0, 10), centre.site), received_at=received)
    centre.total(1, at(2), at(3))
    assert [(gap.handed_in, gap.late) for gap in _cells(centre.compared())] == [(0, 1)]


def test_the_deadline_follows_each_sites_own_calendar(centre: Centre) -> None:
    received = day_start(date(2026, 2, 5), "America/New_York") + timedelta(hours=1)
    closed = factories.site(organisation=centre.owner, name="South", closed_days=["2026-02-03"])
    for site in (centre.site, closed):
        centre.calls(1, at(2, 9), site_id=site.id, received_at=received)
        centre.total(1, at(2, 9), at(2, 10), site_id=site.id)
    report = centre.compared()
    assert [(gap.site, gap.handed_in) for gap in _cells(report)] == [("North", 0)] and report.late == 1


def test_late_calls_outside_the_totals_are_not_told_of(centre: Centre) -> None:
    received = utc(2026, 3, 1)
    centre.calls(1, at(2, 9), received_at=received)
    centre.calls(1, at(2, 11), received_at=received)
    centre.calls(1, at(2, 8), received_at=received)
    centre.total(1, at(2, 9), at(2, 10))
    assert centre.compared().late == 1


# --- added up ---


def test_each_gap_names_its_span(centre: Centre) -> None:
    centre.calls(50, at(31, 9, month=1), centre.amy)
    centre.calls(150, at(2, 9), centre.amy)
    for agent in (None, centre.amy):
        centre.total(50, at(31, 9, month=1), at(31, 10, month=1), agent)
        centre.total(151, at(2, 9), at(2, 10), agent)
    report = centre.compared()
    assert found(report) == [
        ("month", "calls", "Amy", 151, 150),
        ("month", "calls", None, 151, 150),
        ("cell", "calls", "Amy", 151, 150),
        ("cell", "calls", None, 151, 150),
    ], "one in 201 over both months is none"
    assert report.found == {Span.MONTH: 2, Span.CELL: 2}
    assert [gap.when for gap in report.gaps[:1]] == ["February 2026"]
    assert [gap.span for gap in report.worst] == [Span.MONTH, Span.CELL]


def test_what_is_no_gap_anywhere_is_none_added_up(centre: Centre) -> None:
    """0.4% short in every hour: named nowhere, for it is above 0.5% on no level."""
    for day in (2, 3, 4):
        for hour in (9, 10):
            centre.calls(249, at(day, hour, 5), centre.amy)
            centre.total(250, at(day, hour), at(day, hour + 1))
            centre.total(250, at(day, hour), at(day, hour + 1), centre.amy)
    assert centre.compared().gaps == []


def test_a_call_in_the_next_hour_is_a_gap_of_two_hours_and_of_no_month(centre: Centre) -> None:
    centre.calls(2, at(2, 10))
    centre.total(1, at(2, 9), at(2, 10))
    centre.total(1, at(2, 10), at(2, 11))
    assert found(centre.compared()) == [("cell", "calls", None, 1, 0), ("cell", "calls", None, 1, 2)]


def test_the_whole_range_is_named_by_its_days(centre: Centre) -> None:
    centre.total(8, at(2, 9), at(2, 10))
    centre.total(8, at(3, 9), at(3, 10))
    [whole] = [gap for gap in centre.compared().gaps if gap.span is Span.RANGE]
    assert (whole.when, whole.counted) == ("2026-02-02 to 2026-02-03", 16)


def test_a_total_over_two_months_belongs_to_neither(centre: Centre) -> None:
    centre.total(8, at(30, month=1), at(2))
    report = centre.compared()
    assert report.found == {Span.CELL: 1, Span.RANGE: 1}
    assert _cells(report)[0].when == "2026-01-30 to 2026-02-01"


def test_months_are_the_sites_own(centre: Centre) -> None:
    """22:00 on 31 January in New York is February by Greenwich."""
    centre.total(8, at(31, 22, month=1), at(31, 23, month=1))
    assert [gap.when for gap in centre.compared().gaps if gap.span is Span.MONTH] == ["January 2026"]


def test_sources_are_added_up_apart(centre: Centre) -> None:
    """One system's missing calls are not made good by another's made-up ones."""
    centre.calls(9, at(2, 9))
    centre.calls(11, at(2, 9), source="backup")
    centre.total(10, at(2, 9), at(2, 10))
    centre.total(10, at(2, 9), at(2, 10), source="backup")
    assert centre.compared().found == dict.fromkeys(Span, 2)


# --- which totals, which days ---


def test_totals_that_only_touch_the_days_are_compared_and_others_are_not(centre: Centre) -> None:
    for month, day in ((1, 31), (2, 1), (2, 2), (2, 3)):
        centre.total(1, at(day, month=month), at(day, 23, month=month))
    centre.total(1, at(31, 20, month=1), at(1, 4))
    report = centre.compared(date(2026, 2, 1), date(2026, 2, 2))
    starts = sorted(gap.starts_at.astimezone(NEW_YORK).replace(tzinfo=None) for gap in _cells(report))
    assert starts == [at(31, 20, month=1), at(1), at(2)] and report.cells == 3


def test_only_the_sites_asked_for(centre: Centre) -> None:
    other = factories.site(organisation=centre.owner)
    centre.total(1, at(2), at(3))
    centre.total(1, at(2), at(3), site_id=other.id)
    assert centre.compared().cells == 2
    assert centre.compared(site_ids=[other.id]).cells == 1
    assert centre.compared(site_ids=[]).cells == 0


def test_without_totals_nothing_is_a_gap_and_every_day_is_open(centre: Centre) -> None:
    centre.calls(5, at(2, 9))
    report = centre.compared(date(2026, 2, 2), date(2026, 2, 4))
    assert (report.cells, report.gaps) == (0, [])
    assert report.uncovered == {"North": [date(2026, 2, n) for n in (2, 3, 4)]}


def test_days_without_totals_are_told_as_far_as_they_have_gone_by(centre: Centre) -> None:
    centre.site.opened_on, centre.site.closed_on = date(2026, 3, 4), None
    centre.total(0, at(5, 9, month=3), at(6, 10, month=3))
    centre.total(0, at(9, 23, month=3), at(10, 0, month=3), centre.amy)
    report = centre.compared(date(2026, 3, 1), date(2026, 3, 31))
    assert report.uncovered == {"North": [date(2026, 3, n) for n in (4, 7, 8, 10, 11)]}
    centre.site.closed_on = date(2026, 3, 8)
    assert centre.compared(date(2026, 3, 1), date(2026, 3, 31)).uncovered == {
        "North": [date(2026, 3, n) for n in (4, 7)]
    }


def test_days_that_run_backwards_are_refused(centre: Centre) -> None:
    with pytest.raises(InputError, match="runs backwards"):
        centre.compared(LAST, FIRST)


def test_how_far_the_totals_go(centre: Centre) -> None:
    assert completeness.span_of_totals(centre.owner.id) is None
    centre.total(1, at(2, 23), at(3))
    centre.total(1, at(5), at(7))
    assert completeness.span_of_totals(centre.owner.id) == (date(2026, 2, 2), date(2026, 2, 6))


def test_the_largest_are_named_and_all_are_counted(centre: Centre) -> None:
    for n in range(1, 8):
        centre.total(n, at(2, n), at(2, n + 1))
    report = centre.compared(most=2)
    assert [gap.counted for gap in _cells(report)] == [7, 6] and report.found[Span.CELL] == 7
    assert [gap.counted for gap in _cells(centre.compared())] == [7, 6, 5, 4, 3, 2, 1]


def test_the_report_as_json(centre: Centre) -> None:
    centre.calls(1, at(2, 9))
    centre.total(2, at(2, 9), at(2, 10), centre.amy)
    told = centre.compared().as_dict()
    assert told["found"] == {"range": 1, "month": 1, "cell": 1} and told["control_totals"] == 1
    assert told["gaps"][-1] == {
        "level": "cell",
        "what": "calls",
        "share": Fraction(1),
        "source": "pbx",
        "site": "North",
        "agent": "Amy",
        "starts_at": utc(2026, 2, 2, 14),
        "ends_at": utc(2026, 2, 2, 15),
        "counted": 2,
        "handed_in": 0,
        "late": 0,
    }


# --- internal calls ---


@pytest.mark.parametrize(
    ("internal", "others", "named"), [(1, 19, False), (2, 18, True), (2, 38, False), (3, 37, True), (2, 17, False)]
)
def test_more_than_5_percent_internal_of_at_least_20_calls_is_named(
    centre: Centre, internal: int, others: int, named: bool
) -> None:
    centre.calls(internal, at(2, 9), centre.amy, internal=True)
    centre.calls(others, at(2, 9), centre.amy)
    centre.total(internal + others, at(2), at(3))
    report = centre.compared(date(2026, 2, 2), date(2026, 2, 2))
    assert report.number_of_gaps == 0, "a remark, and no gap"
    assert [each.subject for each in report.internal] == (["North", "Amy at North"] if named else [])


def test_internal_calls_of_one_agent_are_named_where_the_site_has_few(centre: Centre) -> None:
    centre.calls(18, at(2, 9), centre.amy)
    centre.calls(2, at(3, 9), centre.amy, internal=True, source="backup")
    centre.calls(30, at(2, 9), centre.bob)
    centre.calls(9, at(2, 9), None)
    centre.total(57, at(2), at(3))
    [amy] = centre.compared().internal
    assert amy.line == "Amy at North: 2 of 20 calls (10.00%) are internal"
    assert centre.compared().as_dict()["internal"] == [
        {"site": "North", "agent": "Amy", "calls": 20, "internal": 2, "share": Fraction(1, 10)}
    ]
    assert centre.compared(date(2026, 2, 2), date(2026, 2, 2)).internal == []


# --- many rows ---


def test_a_hundred_times_the_rows_are_as_many_statements(centre: Centre) -> None:
    centre.calls(1, at(2, 9), centre.amy)
    centre.total(2, at(2, 9), at(2, 10), centre.amy)
    with counted() as few:
        centre.compared()
    agents = [factories.agent(centre.site) for _ in range(10)]
    for n in range(100):
        centre.calls(2, at(1 + n % 28, 9 + n // 28, 5), agents[n % 10], received_at=utc(2026, 3, 11))
        centre.total(3, at(1 + n % 28, 9 + n // 28), at(1 + n % 28, 10 + n // 28), agents[n % 10])
    with counted() as many:
        assert centre.compared().found[Span.CELL] == 101
    assert len(many) == len(few) <= 7, many
