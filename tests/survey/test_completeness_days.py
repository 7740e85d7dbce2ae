"""Days that nobody counted: named where bad calls could hide, and nowhere else."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from flask import Flask

from survey.calendars import Calendar
from survey.clock import ManualClock
from survey.counted_days import Feed, OpenSite, uncounted
from tests import factories
from tests.survey.test_completeness import Centre, at

# February 2026 begins on a Sunday; the 16th is Presidents' Day.
FIRST, LAST = date(2026, 2, 1), date(2026, 2, 28)
DAY = timedelta(days=1)


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre()


def named(centre: Centre, first: date = FIRST, last: date = LAST, **given: object) -> list[str]:
    return [each.line for each in centre.compared(first, last, **given).uncounted]


def counted(centre: Centre, first: int, last: int, calls: int = 0, **given: object) -> None:
    """One count over the days of February from the first to the last, both included."""
    centre.total(calls, at(first), at(last) + DAY, **given)  # type: ignore[arg-type]


def test_a_hole_between_counted_days_is_named_with_its_days(centre: Centre) -> None:
    counted(centre, 1, 2)
    counted(centre, 10, 28)
    assert named(centre) == ["North (pbx), 2026-02-03 to 2026-02-09: no counts of the whole site, 0 calls handed in"]
    report = centre.compared(FIRST, LAST)
    assert report.gaps == [] and report.number_of_gaps == 1
    assert report.as_dict()["not_counted"] == [
        {
            "source": "pbx",
            "site": "North",
            "first": date(2026, 2, 3),
            "last": date(2026, 2, 9),
            "calls": 0,
            "partly": False,
        }
    ]


def test_a_day_with_calls_is_to_be_counted_whatever_day_it_is(centre: Centre) -> None:
    counted(centre, 2, 6)
    counted(centre, 9, 28)
    assert named(centre) == [], "Saturday and Sunday, with no call"
    centre.calls(1, at(7, 9))
    assert named(centre) == ["North (pbx), 2026-02-07: no counts of the whole site, 1 call handed in"]


def test_the_first_and_the_last_days_cannot_be_left_out(centre: Centre) -> None:
    """Else the counts, and the calls, of a bad last week could be kept back together."""
    counted(centre, 4, 25)
    assert [line.split(": ")[0] for line in named(centre)] == [
        "North (pbx), 2026-02-02 to 2026-02-03",
        "North (pbx), 2026-02-26 to 2026-02-27",
    ]


def test_weekends_holidays_and_closed_days_without_calls_need_no_count(centre: Centre) -> None:
    centre.site.closed_days = ["2026-02-05"]
    for first, last in ((2, 4), (6, 6), (9, 13), (17, 20), (23, 27)):
        counted(centre, first, last)
    assert named(centre) == []


def test_a_weekday_with_calls_as_a_rule_cannot_be_left_out_once(centre: Centre) -> None:
    """Calls on three of four Saturdays, so the fourth, with neither calls nor counts, is missed; on two Sundays."""
    busy = (14, 15, 21, 22, 28)
    for day in range(2, 29):
        if day not in (7, 8):
            counted(centre, day, day, int(day in busy))
    for day in busy:
        centre.calls(1, at(day, 9))
    assert [line.split(": ")[0] for line in named(centre)] == ["North (pbx), 2026-02-07"]
    assert named(centre, date(2026, 2, 7), date(2026, 2, 8)) == [], "of these days alone there is no rule to see"


def test_a_count_of_a_month_covers_its_days(centre: Centre) -> None:
    counted(centre, 1, 28, 40)
    centre.calls(40, at(14, 9))
    assert named(centre) == [] and centre.compared(FIRST, LAST).number_of_gaps == 0


def test_calls_outside_of_the_counted_hours_are_named(centre: Centre) -> None:
    counted(centre, 1, 2)
    counted(centre, 4, 28)
    centre.total(0, at(3, 9), at(3, 12))
    assert named(centre) == [], "hours without a call need no row"
    centre.calls(3, at(3, 13))
    assert named(centre) == ["North (pbx), 2026-02-03: no counts for the hours of 3 calls handed in"]


def test_a_count_of_an_agent_holds_no_call_of_the_site(centre: Centre) -> None:
    for first, last in ((1, 2), (4, 28)):
        counted(centre, first, last)
    centre.total(0, at(3, 9), at(3, 12))
    centre.calls(1, at(3, 13), centre.bob)
    centre.total(0, at(3, 13), at(3, 14), centre.amy)
    assert named(centre) == ["North (pbx), 2026-02-03: no counts for the hours of 1 call handed in"]


def test_counts_of_agents_alone_leave_room_for_others(centre: Centre) -> None:
    centre.calls(2, at(2, 9), centre.amy)
    counted(centre, 1, 28, 2, agent=centre.amy)
    assert named(centre) == ["North (pbx): no counts at all of the whole site, 2 calls handed in"]


def test_a_system_without_counts_is_named_beside_one_with_counts(centre: Centre) -> None:
    counted(centre, 1, 28)
    centre.calls(4, at(3, 9), source="backup")
    south = factories.site(organisation=centre.owner, name="South")
    centre.calls(1, at(3, 9), site_id=south.id)
    assert named(centre) == [
        "North (backup): no counts at all of the whole site, 4 calls handed in",
        "South (pbx): no counts at all of the whole site, 1 call handed in",
    ]
    assert named(centre, site_ids=[south.id]) == [], "of the sites asked for none is counted"


def test_without_any_counts_nothing_is_named(centre: Centre) -> None:
    centre.calls(4, at(3, 9))
    assert named(centre) == []
    counted(centre, 1, 1)
    assert named(centre, date(2026, 2, 2)) == [], "nor where they cover other days only"


def test_a_new_system_takes_over_from_an_old_one(centre: Centre) -> None:
    counted(centre, 1, 15)
    counted(centre, 16, 28, source="new")
    assert named(centre) == []


def test_counts_before_and_after_the_days_ask_for_those_between(centre: Centre) -> None:
    counted(centre, 1, 28, source="other")
    counted(centre, 1, 2)
    counted(centre, 27, 28)
    assert named(centre, date(2026, 2, 9), date(2026, 2, 11)) == [
        "North (pbx), 2026-02-09 to 2026-02-11: no counts of the whole site, 0 calls handed in"
    ]


def test_days_to_come_and_days_on_which_the_site_is_not_open_need_none(centre: Centre) -> None:
    centre.site.opened_on, centre.site.closed_on = date(2026, 2, 10), None
    counted(centre, 11, 28)
    centre.total(0, at(1, month=3), at(11, month=3))
    assert [line.split(": ")[0] for line in named(centre, FIRST, date(2026, 3, 31))] == [
        "North (pbx), 2026-02-10",
        "North (pbx), 2026-03-11",
    ], "today is the 12th"
    centre.site.closed_on = date(2026, 3, 11)
    assert len(named(centre, FIRST, date(2026, 3, 31))) == 1


def test_days_are_the_sites_own(centre: Centre) -> None:
    """22:00 of the 28th in New York is March by Greenwich."""
    counted(centre, 1, 27)
    centre.calls(1, at(28, 22))
    assert [line.split(": ")[0] for line in named(centre)] == ["North (pbx), 2026-02-28"]
    assert named(centre, date(2026, 3, 1), date(2026, 3, 1)) == []


def test_a_source_with_counts_of_agents_on_other_days_is_no_system_of_the_days() -> None:
    site = OpenSite("North", Calendar("UTC", "US"), [date(2026, 2, 3)])
    assert uncounted(site, [Feed("pbx", None, None, frozenset(), {}, {})]) == []


@pytest.mark.parametrize(("closed", "due"), [(frozenset(), True), (frozenset({date(2026, 7, 11)}), False)])
def test_usual_weekend_days_need_none_on_holidays_and_closed_days(closed: frozenset[date], due: bool) -> None:
    """Every Saturday has calls, but for 4 July, a holiday, and 11 July."""
    days = [date(2026, 6, 1) + n * DAY for n in range(61)]
    without = {date(2026, 7, 4), date(2026, 7, 11)}
    calls = {day: 1 for day in days if day.weekday() == 5 and day not in without}
    touched = frozenset(day for day in days if day not in without)
    site = OpenSite("North", Calendar("UTC", "US", closed=closed), days)
    found = uncounted(site, [Feed("pbx", days[0], days[-1], touched, calls, {})])
    assert [each.first for each in found] == ([date(2026, 7, 11)] if due else [])
