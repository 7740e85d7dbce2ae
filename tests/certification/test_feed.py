"""No period is decided on a feed that the telephone system's own counts contradict; a right count frees it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from certification import assessments, feed
from survey import audit
from survey.calendars import day_start
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import Agent, Assessment, AuditEntry, Call, ControlTotal, ImportKind, Period, Site, Survey
from tests import factories
from tests.certification.world import DECISION_TIME, FIRST, LAST, World
from tests.statements import counted

DAY = timedelta(days=1)


def total(world: World, day: date, calls: int, agent: Agent | None = None, **given: Any) -> ControlTotal:
    """The telephone system's count of a local day at the world's first site."""
    site: Site = given.pop("site", world.site)
    row = ControlTotal(
        **{
            "organisation_id": site.organisation_id,
            "import_id": factories.import_record(site.organisation_id, kind=ImportKind.TOTALS).id,
            "source": "test",
            "site_id": site.id,
            "agent_id": None if agent is None else agent.id,
            "starts_at": day_start(day, site.time_zone),
            "ends_at": day_start(day + DAY, site.time_zone),
            "calls": calls,
        }
        | given
    )
    db.session.add(row)
    db.session.flush()
    return row


def rest(world: World, first: date, last: date | None = None, **given: Any) -> None:
    """Counts of no calls for the rest of the period, before the first and after the last of these days."""
    zone = world.site.time_zone
    starts_at, ends_at = day_start(first, zone), day_start((last or first) + DAY, zone)
    total(world, FIRST, 0, starts_at=day_start(FIRST, zone), ends_at=starts_at, **given)
    total(world, LAST, 0, starts_at=ends_at, ends_at=day_start(LAST + DAY, zone), **given)


@pytest.fixture
def period(world: World) -> Period:
    """Announced, with two calls handed in on 3 February."""
    announced = world.announce()
    world.ask(world.agent(name="Ada"), day=date(2026, 2, 3), world_class=2)
    return announced


def test_a_gap_blocks_the_decision_and_says_which_and_how_to_mend_it(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 3)
    world.clock.move_to(DECISION_TIME)
    with pytest.raises(Refused) as refused:
        assessments.decide(period)
    said = str(refused.value)
    assert "3 gaps above 0.5%. The largest: Site 1 (test), 2026-02-03: 3 calls counted, 2 handed in: 1 missing" in said
    assert "Site 1 (test), February 2026: 3 calls counted" in said
    assert "If calls are missing, import them" in said and "If the counts were wrong, import the right ones" in said
    owner = world.organisation.key
    assert said.endswith(f"flask calls totals report --organisation {owner} --from 2026-01-01 --until 2026-06-30")
    assert period.decided_at is None and db.session.query(Assessment).count() == 0


def test_a_right_count_lets_it_be_decided_at_the_next_beat(world: World, period: Period) -> None:
    wrong = total(world, date(2026, 2, 3), 3)
    rest(world, date(2026, 2, 3))
    assert world.decide() == [] and period.decided_at is None
    assert world.decide() == []
    wrong.calls = 2
    db.session.flush()
    assert len(world.decide()) == 3 and period.decided_at is not None
    entry = db.session.query(AuditEntry).filter_by(action="period decided").one()
    assert entry.detail["control_totals"] == 3


def test_missing_calls_that_came_in_time_let_it_be_decided(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 3)
    rest(world, date(2026, 2, 3))
    assert world.decide() == []
    world.ask(world.agent(), day=date(2026, 2, 3), satisfied=1)
    assert len(world.decide()) == 4


def test_calls_handed_over_when_nobody_could_be_asked_are_as_good_as_withheld(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 2)
    rest(world, date(2026, 2, 3))
    db.session.execute(update(Call).values(received_at=day_start(date(2026, 2, 6), "America/New_York")))
    assert world.decide() == []
    assert "2 came too late" in assessments.why_undecided(period)
    db.session.execute(update(Call).values(received_at=Call.received_at - timedelta(seconds=1)))
    assert len(world.decide()) == 3


def test_half_a_percent_does_not_block(world: World, period: Period) -> None:
    world.ask(world.agent(), day=date(2026, 2, 4), satisfied=199)
    total(world, date(2026, 2, 4), 200)
    total(world, date(2026, 2, 3), 2)
    rest(world, date(2026, 2, 3), date(2026, 2, 4))
    assert len(world.decide()) == 4


def test_an_agents_gap_blocks_too(world: World, period: Period) -> None:
    ada = db.session.query(Agent).filter_by(name="Ada").one()
    total(world, date(2026, 2, 3), 2)
    total(world, date(2026, 2, 3), 3, ada)
    assert world.decide() == []
    assert "Ada at Site 1 (test), 2026-02-03: 3 calls counted, 2 handed in" in assessments.why_undecided(period)


def test_without_control_totals_nothing_is_blocked(world: World, period: Period) -> None:
    assert feed.compared(period).cells == 0
    assert len(world.decide()) == 3


@pytest.mark.parametrize("day", [FIRST - DAY, LAST + DAY])
def test_gaps_on_other_days_block_nothing(world: World, period: Period, day: date) -> None:
    total(world, day, 9)
    assert len(world.decide()) == 3


@pytest.mark.parametrize("day", [FIRST, LAST])
def test_the_first_and_the_last_day_are_in(world: World, period: Period, day: date) -> None:
    total(world, day, 9)
    assert world.decide() == []


def test_a_total_that_reaches_into_the_period_is_in_it(world: World, period: Period) -> None:
    """Else a count from a minute before the first day until a minute after the last would hide everything."""
    zone = world.site.time_zone
    first, last = day_start(FIRST, zone) - timedelta(minutes=1), day_start(LAST + DAY, zone) + timedelta(minutes=1)
    total(world, FIRST, 900, starts_at=first, ends_at=last)
    assert world.decide() == []


def test_days_are_those_of_each_site(app: Flask, before: ManualClock) -> None:
    """The last evening of December in New York is January by Greenwich, and not of the period."""
    world = World.make(before, ["America/New_York", "Asia/Tokyo"])
    world.announce()
    last_evening = day_start(FIRST, "America/New_York") - timedelta(hours=1)
    evening = total(world, FIRST, 9, starts_at=last_evening, ends_at=last_evening + timedelta(hours=1))
    assert feed.compared(db.session.query(Period).one()).cells == 0
    evening.site_id = world.sites[1].id
    db.session.flush()
    assert feed.compared(db.session.query(Period).one()).cells == 1


def test_sites_outside_the_scope_block_nothing(world: World, period: Period) -> None:
    later = factories.site(organisation=world.organisation)
    total(world, date(2026, 2, 3), 9, site=later)
    assert len(world.decide()) == 3


def test_a_blocked_period_does_not_hold_up_the_others(app: Flask, before: ManualClock) -> None:
    blocked, other = World.make(before), World.make(before)
    first, second = blocked.announce(), other.announce()
    total(blocked, date(2026, 2, 3), 9)
    total(other, date(2026, 2, 3), 0)
    for each in (blocked, other):
        rest(each, date(2026, 2, 3))
    assert {made.period_id for made in other.decide()} == {second.id}
    assert assessments.undecided() == [first]


def test_the_log_counts_gaps_and_names_nobody(world: World, period: Period, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(assessments.log, "warning", lambda event, **more: said.append((event, more)), raising=False)
    total(world, date(2026, 2, 3), 3, db.session.query(Agent).filter_by(name="Ada").one())
    rest(world, date(2026, 2, 3))
    total(world, date(2026, 2, 3), 2)
    world.decide()
    assert said == [("decision blocked by gaps in the control totals", {"period": period.id, "gaps": 3})]


def test_the_command_says_what_is_in_the_way(app: Flask, world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 3)
    db.session.commit()
    world.clock.move_to(DECISION_TIME)
    told = app.test_cli_runner().invoke(args=["certification", "assess"])
    assert told.exit_code == 1
    assert (
        "not decided: World class calls, 2026-01-01 to 2026-06-30, due on 2026-07-06: the calls handed in"
        in told.output
    )
    assert "3 calls counted, 2 handed in: 1 missing (33.34%)" in told.output
    as_json = json.loads(app.test_cli_runner().invoke(args=["certification", "assess", "--json"]).output)
    assert "3 calls counted" in as_json["not_decided"][0]["reason"]


def test_open_surveys_are_said_first(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 3)
    survey = db.session.query(Survey).first()
    assert survey is not None
    survey.disposition = survey.closed_at = None
    db.session.flush()
    assert assessments.why_undecided(period) == "surveys still open: 1"


def test_a_decision_asks_as_often_for_many_totals_as_for_one(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 2)
    with counted() as few:
        feed.compared(period)
    for n in range(150):
        total(world, FIRST + n * DAY, 9, source="other")
    with counted() as many:
        assert len(feed.compared(period).gaps) == 3
    assert len(many) == len(few), many


# --- days that nobody counted ---


def test_counts_of_the_good_days_only_do_not_open_the_door(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 2)
    assert world.decide() == []
    said = assessments.why_undecided(period)
    before, after = "2026-01-02 to 2026-02-02", "2026-02-04 to 2026-06-30"
    for days in (before, after):
        assert f"Site 1 (test), {days}: no counts of the whole site, 0 calls handed in" in said
    assert said.startswith("not all days were counted: ") and "0 where nobody called" in said
    rest(world, date(2026, 2, 3))
    assert len(world.decide()) == 3


def test_a_system_that_nobody_counts_blocks_beside_one_that_is_counted(world: World, period: Period) -> None:
    total(world, date(2026, 2, 3), 2)
    rest(world, date(2026, 2, 3))
    times: dict[str, Any] = dict.fromkeys(
        ("started_at", "ended_at", "received_at"), day_start(date(2026, 2, 5), "America/New_York")
    )
    factories.call(place=world.site, source="backup", **times)
    assert world.decide() == []
    said = "Site 1 (backup): no counts at all of the whole site, 1 call handed in"
    assert said in assessments.why_undecided(period)


def test_many_stretches_are_a_short_sentence(world: World, period: Period) -> None:
    for n in range(10):
        total(world, FIRST + 14 * n * DAY, 0)
    world.clock.move_to(DECISION_TIME)
    said = assessments.why_undecided(period)
    assert said.count("no counts of the whole site") == feed.NAMED and "; and 7 more" in said


# --- the clockwork's patience ---


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[Period]:
    """The periods whose feed was compared, in turn."""
    found: list[Period] = []
    compare = feed.compared

    def seen(period: Period, *more: Any) -> Any:
        found.append(period)
        return compare(period, *more)

    monkeypatch.setattr(feed, "compared", seen)
    return found


def test_a_blocked_period_is_compared_once_an_hour(world: World, period: Period, compared: list[Period]) -> None:
    total(world, date(2026, 2, 3), 3)
    world.clock.move_to(DECISION_TIME)
    decisions = assessments.Decisions()
    with counted() as first:
        assert decisions.beat() == [] and compared == [period]
    for minute in range(1, 60):
        world.clock.move_to(DECISION_TIME + timedelta(minutes=minute))
        with counted() as again:
            assert decisions.beat() == []
    assert compared == [period]
    assert len(again) < len(first) / 2 and not any("calls" in each or "ANALYZE" in each for each in again), again
    world.clock.move_to(DECISION_TIME + timedelta(hours=1))
    decisions.beat()
    assert compared == [period, period]


@pytest.mark.parametrize("recorded", ["import begun", "import ended", "import undone", "act"])
def test_what_comes_in_is_seen_at_the_next_beat(
    world: World, period: Period, compared: list[Period], recorded: str
) -> None:
    wrong = total(world, date(2026, 2, 3), 3)
    rest(world, date(2026, 2, 3))
    record = factories.import_record(world.organisation.id)
    world.clock.move_to(DECISION_TIME)
    decisions = assessments.Decisions()
    assert decisions.beat() == []
    wrong.calls = 2
    db.session.flush()
    assert decisions.beat() == [] and len(compared) == 1, "nothing was recorded yet"
    if recorded == "act":
        audit.record("jo", "control totals removed", world.organisation)
    elif recorded == "import begun":
        factories.import_record(world.organisation.id)
    elif recorded == "import ended":
        record.finished_at = DECISION_TIME
    else:
        record.undone_at = DECISION_TIME
    db.session.flush()
    assert len(decisions.beat()) == 3 and len(compared) == 2


def test_what_others_hand_in_changes_nothing(app: Flask, before: ManualClock, compared: list[Period]) -> None:
    blocked, other = World.make(before), World.make(before)
    period = blocked.announce()
    total(blocked, date(2026, 2, 3), 9)
    before.move_to(DECISION_TIME)
    decisions = assessments.Decisions()
    decisions.beat()
    factories.import_record(other.organisation.id)
    audit.record("jo", "roster imported", other.organisation)
    db.session.flush()
    assert decisions.beat() == [] and compared == [period]


def test_a_person_who_asks_is_answered_anew(world: World, period: Period, compared: list[Period]) -> None:
    total(world, date(2026, 2, 3), 3)
    world.decide()
    world.decide()
    assert len(compared) == 2
