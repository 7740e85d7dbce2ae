"""Target sampling in rows: set once a week, published before the calls it decides, by what has come in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from sqlalchemy import select

from scheduler import campaigns, clockwork, weekly_rates
from scheduler.drawing import draw_campaign
from scheduler.leadership import Leadership
from scheduler.rates import rates_of
from scheduler.replay import replay
from survey import clock
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import (
    Agent,
    Assignment,
    AuditEntry,
    Campaign,
    CampaignState,
    Channel,
    Disposition,
    Draw,
    DrawReason,
    Level,
    Response,
    Sampling,
    SamplingRate,
    Site,
    Supervisor,
    Survey,
)
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import NotingChannel, channels
from tests.statements import counted

# Both at the start of the day in New York, on the Monday after NOON and a day later.
MONDAY, TUESDAY = datetime(2026, 3, 16, 4, tzinfo=UTC), datetime(2026, 3, 17, 4, tzinfo=UTC)
TARGET: dict[str, Any] = {"sampling": Sampling.TARGET, "target_supervisor": 0, "target_site": 0}
HALF = Fraction(1, 2)


@pytest.fixture
def place(app: Flask, at_noon: ManualClock) -> Iterator[Site]:
    yield make.site(time_zone="America/New_York")


@pytest.fixture
def leader(place: Site) -> Supervisor:
    for _ in range(5):
        make.supervisor(place.organisation)  # so that no supervisor's id is a site's or an agent's by chance
    return make.supervisor(place.organisation)


@pytest.fixture
def campaign(place: Site) -> Campaign:
    """Launched thirty days ago at a rate of 1 in 2, with another half year to go."""
    return make.campaign([place], ends_on=date(2026, 9, 12), **TARGET)


def took(agent: Agent, campaign: Campaign, calls: int, first: int = 8) -> None:
    """Calls that were eligible and not drawn, one a day, the last `first` days ago."""
    for n in range(calls):
        call = make.call(agent, campaign.sites[0], ended_at=clock.now() - timedelta(days=first + n % 18))
        make.draw(call, campaign, drawn=False, reason=DrawReason.NOT_SELECTED, u=Decimal(2**64 - 1))


def asked(agent: Agent, campaign: Campaign, leader: Supervisor, surveys: int, ended: int = 9, **given: Any) -> None:
    """Drawn calls and their surveys; open ones unless a disposition is given."""
    closed = {"closed_at": clock.now()} if given.get("disposition") else {}
    for _ in range(surveys):
        call = make.call(agent, campaign.sites[0], ended_at=clock.now() - timedelta(days=ended))
        make.survey(call, campaign, supervisor=leader, **closed | given)


def published() -> list[SamplingRate]:
    return list(db.session.scalars(select(SamplingRate).order_by(SamplingRate.id)))


def rates() -> dict[int | None, Fraction]:
    return {row.agent_id: row.rate for row in published()}


def entries() -> list[dict[str, Any]]:
    return list(db.session.scalars(select(AuditEntry.detail).where(AuditEntry.action == "sampling rates set")))


# What is published, and when


def test_on_monday_rates_are_published_for_the_calls_of_the_next_day(
    place: Site, campaign: Campaign, leader: Supervisor, at_noon: ManualClock
) -> None:
    eager, done = make.agent(place, leader), make.agent(place, leader)
    took(eager, campaign, 30)
    took(done, campaign, 5)
    asked(done, campaign, leader, 25, disposition=Disposition.COMPLETE)
    at_noon.move_to(MONDAY)
    changed = clockwork.set_rates()
    rows = published()
    assert changed == len(rows) == 2
    assert {(row.published_at, row.in_force_from) for row in rows} == {(MONDAY, TUESDAY)}
    assert rates()[done.id] == Fraction(1, 100) < rates()[eager.id] < HALF
    in_force = rates_of(campaign).in_force
    assert in_force(eager.id, TUESDAY - timedelta(microseconds=1)) == HALF
    assert in_force(eager.id, TUESDAY) == rates()[eager.id]
    assert in_force(make.agent(place).id, TUESDAY) == in_force(None, TUESDAY) == HALF, "nobody has set theirs"
    assert entries() == [{"agents": 2, "changed": 2, "in_force_from": "2026-03-17T04:00:00Z"}]


def test_the_week_begins_at_the_last_site(app: Flask, at_noon: ManualClock) -> None:
    owner = make.organisation()
    angeles = make.site(organisation=owner, time_zone="America/Los_Angeles")
    tokyo = make.site(organisation=owner, time_zone="Asia/Tokyo")
    campaign = make.campaign([tokyo, angeles], rates_set_for=date(2026, 3, 9), **TARGET)
    took(make.agent(tokyo), campaign, 20)
    at_noon.move_to(datetime(2026, 3, 16, 6, 59, tzinfo=UTC))  # Monday afternoon in Tokyo, Sunday in Los Angeles
    assert weekly_rates.due() == []
    at_noon.move_to(datetime(2026, 3, 16, 7, tzinfo=UTC))
    assert weekly_rates.due() == [campaign]
    clockwork.set_rates()
    assert {row.in_force_from for row in published()} == {datetime(2026, 3, 17, 7, tzinfo=UTC)}


def test_a_week_is_set_once_and_the_next_one_again(
    place: Site, campaign: Campaign, leader: Supervisor, at_noon: ManualClock
) -> None:
    agent = make.agent(place, leader)
    took(agent, campaign, 30)
    assert clockwork.set_rates() == 1, "the first time as soon as there is a week to go by: this is a Thursday"
    took(agent, campaign, 60)
    at_noon.move_to(MONDAY - timedelta(seconds=1))
    assert clockwork.set_rates() == 0
    at_noon.move_to(MONDAY)
    assert clockwork.set_rates() == 1
    assert [clockwork.set_rates() for _ in range(3)] == [0, 0, 0]
    first, second = published()
    assert second.rate < first.rate and len(entries()) == 2


def test_two_schedulers_at_once_set_a_week_once(
    app: Flask, place: Site, campaign: Campaign, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other to be as far; the lock lets only one get there."""
    took(make.agent(place), campaign, 20)
    db.session.commit()
    together = threading.Barrier(2, timeout=1)
    work_out = weekly_rates.work_out

    def in_step(of: Campaign) -> weekly_rates.WeeklyRates:
        made = work_out(of)
        with suppress(threading.BrokenBarrierError):
            together.wait()
        return made

    monkeypatch.setattr(weekly_rates, "work_out", in_step)

    def lead() -> None:
        with app.app_context():
            clockwork.set_rates()

    leaders = [threading.Thread(target=lead) for _ in range(2)]
    for each in leaders:
        each.start()
    for each in leaders:
        each.join(20)
    assert len(published()) == len(entries()) == 1


def test_it_is_on_the_leaders_metronome(app: Flask, database_url: str, place: Site, campaign: Campaign) -> None:
    took(make.agent(place), campaign, 20)
    db.session.commit()
    metronome = BackgroundScheduler()
    with Leadership(database_url) as leadership:
        clockwork.schedule(metronome, app, leadership, channels(NotingChannel()), lambda _: None, 5)
        job = metronome.get_job("rates")
        job.func()
        assert published() == [], "this one does not lead"
        leadership.renew()
        job.func()
    db.session.rollback()
    assert len(published()) == 1


def test_setting_again_by_hand_publishes_only_what_has_changed(
    place: Site, campaign: Campaign, leader: Supervisor
) -> None:
    one, other = make.agent(place, leader), make.agent(place, leader)
    took(one, campaign, 30)
    took(other, campaign, 30)
    assert len(weekly_rates.publish(campaign, actor="test").changed) == 2
    assert not weekly_rates.publish(campaign, actor="test").changed
    assert len(published()) == 2
    asked(one, campaign, leader, 25, 1, disposition=Disposition.COMPLETE, deadline=NOON + timedelta(days=1))
    again = weekly_rates.publish(campaign, actor="test")
    assert again.changed == {one.id: Fraction(1, 100)}
    assert rates_of(campaign).in_force(one.id, again.days.in_force_from) == Fraction(1, 100)


def test_draws_follow_the_published_rates_and_replay(
    place: Site, campaign: Campaign, leader: Supervisor, at_noon: ManualClock
) -> None:
    campaign.launched_at, campaign.starts_on = NOON - timedelta(days=1), NOON.date()
    campaign.target_agent = 1_000  # so many are missing, however the draws fall, that the rate rises to its ceiling
    agent = make.agent(place, leader)
    for _ in range(9):
        at_noon.move_to(clock.now() + timedelta(days=1))
        for _ in range(4):
            make.call(agent, place)
        draw_campaign(campaign)
    assert clockwork.set_rates() == 1
    (row,) = published()
    assert row.rate != HALF
    at_noon.move_to(row.in_force_from + timedelta(hours=12))
    before = make.call(agent, place, ended_at=row.in_force_from - timedelta(microseconds=1))
    after = make.call(agent, place, ended_at=row.in_force_from)
    draw_campaign(campaign)
    decided = {draw.call_id: draw.rate for draw in db.session.scalars(select(Draw))}
    assert (decided[before.id], decided[after.id]) == (HALF, row.rate)
    assert replay(campaign) is None


# What it is set by


def setting_of(campaign: Campaign) -> dict[int, Any]:
    made = weekly_rates.work_out(campaign)
    assert made.setting is not None
    return {each.seen.agent_id: each for each in made.setting.agents}


def test_calls_of_whole_weeks_are_counted_and_only_those_that_could_be_asked_about(
    place: Site, campaign: Campaign, leader: Supervisor
) -> None:
    agent = make.agent(place, leader)
    took(agent, campaign, 20)
    took(agent, campaign, 7, first=30)  # before the four weeks
    took(agent, campaign, 7, first=0)  # of them, yesterday's and today's are not all in yet
    for reason in (DrawReason.QUARANTINED, DrawReason.OPTED_OUT):
        make.draw(make.call(agent, place, ended_at=NOON - timedelta(days=9)), campaign, drawn=False, reason=reason)
    seen = setting_of(campaign)[agent.id].seen
    assert (seen.calls, seen.weeks) == (20 + 5, 4)


def test_only_surveys_past_their_deadline_tell_how_many_answer(
    place: Site, campaign: Campaign, leader: Supervisor
) -> None:
    """Of those still running the ones that answered are closed already, which would look like many."""
    agent = make.agent(place, leader)
    took(agent, campaign, 20)
    asked(agent, campaign, leader, 6, disposition=Disposition.NO_ANSWER)
    asked(agent, campaign, leader, 2, disposition=Disposition.COMPLETE)
    later = NOON + timedelta(days=1)
    asked(agent, campaign, leader, 5, ended=1, deadline=later, disposition=Disposition.COMPLETE)
    asked(agent, campaign, leader, 3, ended=1, deadline=later)
    asked(agent, campaign, leader, 1, deadline=NOON)  # over, and the clockwork is about to close it
    long_ago = NOON - timedelta(days=57)
    asked(agent, campaign, leader, 4, deadline=long_ago, disposition=Disposition.COMPLETE)
    seen = setting_of(campaign)[agent.id].seen
    assert (seen.settled, seen.answered) == (9, 2)
    assert (seen.got.complete, seen.got.open) == (11, 3)


def test_what_customers_say_plays_no_part(place: Site, campaign: Campaign, leader: Supervisor) -> None:
    happy, unhappy = make.agent(place, leader), make.agent(place, leader)
    for agent, score in ((happy, 5), (unhappy, 1)):
        took(agent, campaign, 20)
        asked(agent, campaign, leader, 5, disposition=Disposition.COMPLETE)
        for survey in db.session.scalars(select(Survey).where(Survey.agent_id == agent.id)):
            scores = {"resolved": "yes" if score == 5 else "no", "overall": score, "agent": score}
            db.session.add(Response(survey_id=survey.id, complete=True, channel=Channel.WEB, derived_at=NOON, **scores))
    made = setting_of(campaign)
    assert made[happy.id].rate == made[unhappy.id].rate != HALF


def test_whose_agent_somebody_is_goes_by_the_roster_of_the_day_it_holds_from(
    place: Site, campaign: Campaign, leader: Supervisor
) -> None:
    """Past surveys stay with the supervisor they were frozen to; the rates to come are the new one's."""
    new = make.supervisor(place.organisation)
    agent, stays = make.agent(place, leader), make.agent(place, leader)
    moved = db.session.scalars(select(Assignment).where(Assignment.agent_id == agent.id)).one()
    moved.ends_on = date(2026, 3, 13)
    db.session.add(Assignment(agent_id=agent.id, supervisor_id=new.id, site_id=place.id, starts_on=date(2026, 3, 13)))
    for each in (agent, stays):
        took(each, campaign, 20)
        asked(each, campaign, leader, 25, disposition=Disposition.COMPLETE)
    campaign.target_supervisor = 51
    made = weekly_rates.work_out(campaign)
    assert made.setting is not None
    by_id = {each.seen.agent_id: each for each in made.setting.agents}
    assert (by_id[agent.id].seen.supervisor_id, by_id[stays.id].seen.supervisor_id) == (new.id, leader.id)
    missing = {group.subject_id: group.missing for group in made.setting.groups if group.level is Level.SUPERVISOR}
    assert missing == {leader.id: 1, new.id: 51}
    assert by_id[agent.id].rate > by_id[stays.id].rate > Fraction(1, 100)
    assert by_id[agent.id].driven_by is by_id[stays.id].driven_by is Level.SUPERVISOR


def test_who_has_left_is_left_out_and_who_comes_within_the_week_is_in(place: Site, campaign: Campaign) -> None:
    works, left, leaves, comes = (make.agent(place) for _ in range(4))
    elsewhere = make.agent(make.site(organisation=place.organisation))
    spans = {agent_id: row for row in db.session.scalars(select(Assignment)) if (agent_id := row.agent_id)}
    spans[left.id].ends_on = date(2026, 3, 13)
    spans[leaves.id].ends_on = date(2026, 3, 27)
    spans[comes.id].starts_on = date(2026, 3, 16)
    took(works, campaign, 40)
    made = setting_of(campaign)
    assert set(made) == {works.id, leaves.id, comes.id} and elsewhere.id not in made
    assert made[leaves.id].seen.weeks_left < made[works.id].seen.weeks_left == made[comes.id].seen.weeks_left
    assert (made[comes.id].seen.weeks, made[works.id].seen.weeks) == (0, 4)
    assert made[comes.id].calls > 0


def test_the_last_weeks_count_by_their_days(place: Site, campaign: Campaign, at_noon: ManualClock) -> None:
    """Calls came in on Mondays alone: of the days from 13 to 31 March that leaves three, one of them closed."""
    agent = make.agent(place)
    for days_ago in (10, 17, 24):
        call = make.call(agent, place, ended_at=NOON - timedelta(days=days_ago))
        make.draw(call, campaign, drawn=False, reason=DrawReason.NOT_SELECTED, u=Decimal(2**64 - 1))
    campaign.ends_on = date(2026, 3, 31)
    place.closed_days = ["2026-03-23"]
    assert setting_of(campaign)[agent.id].seen.weeks_left == 2


def test_it_asks_the_database_as_often_for_many_agents_as_for_few(place: Site, campaign: Campaign) -> None:
    took(make.agent(place), campaign, 10)
    db.session.flush()

    def statements() -> int:
        campaign.rates_set_for = None
        db.session.flush()
        db.session.expire_all()
        with counted() as asked_of:
            weekly_rates.publish(campaign, actor="test")
        return len(asked_of)

    few = statements()
    for _ in range(12):
        make.agent(place)
    assert statements() == few and len(published()) > 12


# When nothing is set


def test_without_a_whole_week_the_starting_rate_holds(place: Site, at_noon: ManualClock) -> None:
    launched = NOON - timedelta(days=6)
    campaign = make.campaign([place], launched_at=launched, starts_on=launched.date(), **TARGET)
    took(make.agent(place), campaign, 5, first=1)
    assert weekly_rates.due() == [] and clockwork.set_rates() == 0
    told = weekly_rates.publish(campaign, actor="test")
    assert told.setting is None and told.why_not is not None and "own rate, 1/2, holds" in told.why_not
    at_noon.move_to(NOON + timedelta(days=3))
    assert weekly_rates.due() == [campaign]


def test_without_any_call_nothing_is_set(place: Site, campaign: Campaign) -> None:
    make.agent(place)
    assert clockwork.set_rates() == 0 and campaign.rates_set_for is None and entries() == []
    assert "no calls of its agents" in str(weekly_rates.work_out(campaign).why_not)


def test_when_no_calls_are_to_come_nothing_is_set(place: Site, campaign: Campaign) -> None:
    took(make.agent(place), campaign, 20)
    campaign.ends_on = NOON.date()
    assert weekly_rates.due() == []
    told = weekly_rates.publish(campaign, actor="test")
    assert told.why_not is not None and told.why_not.startswith("No calls are to come")
    campaign.ends_on = NOON.date() + timedelta(days=1)
    assert clockwork.set_rates() == 1


@pytest.mark.parametrize("state", [CampaignState.SCHEDULED, CampaignState.ACTIVE, CampaignState.PAUSED])
def test_rates_are_set_as_long_as_calls_are_drawn(place: Site, campaign: Campaign, state: CampaignState) -> None:
    took(make.agent(place), campaign, 20)
    campaign.state = state
    assert clockwork.set_rates() == 1


def test_other_campaigns_have_none_set(place: Site, campaign: Campaign) -> None:
    took(make.agent(place), campaign, 20)
    campaign.state, campaign.closed_at = CampaignState.CLOSED, NOON
    fixed = make.campaign([place])
    assert weekly_rates.due() == [] and weekly_rates.set_if_due(campaign) == 0
    with pytest.raises(Refused, match="is closed"):
        weekly_rates.publish(campaign, actor="test")
    with pytest.raises(Refused, match="has a fixed rate"):
        weekly_rates.publish(fixed, actor="test")
    with pytest.raises(Refused, match="is draft"):
        weekly_rates.work_out(make.campaign([place], launched=False, **TARGET))


# The campaign's own words


def test_a_rate_cannot_be_set_by_hand_but_its_bounds_can(place: Site, campaign: Campaign) -> None:
    agent = make.agent(place)
    took(agent, campaign, 20)
    with pytest.raises(Refused, match="set week by week from what is missing"):
        campaigns.change(campaign, {"rate": "1/3", "rate_floor": "1/5"}, actor="test")
    assert campaign.rate_floor == Fraction(1, 100) and published() == []
    made = campaigns.change(campaign, {"rate": "1/2", "rate_floor": "3/5", "rate_ceiling": "3/4"}, actor="test")
    assert [(one.field, one.from_when) for one in made] == [("rate_floor", None), ("rate_ceiling", None)]
    assert rates_of(campaign).in_force(agent.id, NOON + timedelta(days=300)) == HALF
    clockwork.set_rates()
    assert Fraction(3, 5) <= rates()[agent.id] <= Fraction(3, 4)


def test_how_a_campaign_samples_is_fixed_at_its_launch(campaign: Campaign) -> None:
    with pytest.raises(Refused, match=r"sampling of campaign .* cannot be changed"):
        campaigns.change(campaign, {"sampling": "fixed"}, actor="test")


def written(place: Site, **given: Any) -> dict[str, Any]:
    usual = {"key": "spring", "name": "Spring", "starts_on": date(2026, 3, 1), "ends_on": date(2026, 8, 31)}
    return usual | {"organisation": place.organisation.key, "sites": [place.key]} | given


def test_a_campaign_file_can_ask_for_it(place: Site, tmp_path: Path) -> None:
    values = written(place, sampling="target", rate_floor="2%", rate_ceiling="1/2")
    made = campaigns.create(values, actor="test")
    assert (made.sampling, made.rate_floor, made.rate_ceiling) == (Sampling.TARGET, Fraction(1, 50), HALF)
    campaigns.launch(made, actor="test")
    assert campaigns.change(made, values, actor="test") == []
    fixed = campaigns.create(written(place, key="plain"), actor="test")
    assert (fixed.sampling, fixed.rate_floor, fixed.rate_ceiling) == (Sampling.FIXED, Fraction(1, 100), 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sampling": "magic"}, 'sampling: is "magic" .*"fixed" or "target"'),
        ({"sampling": "target", "rate_floor": 0}, "rate_floor: must be above 0"),
        ({"sampling": "target", "rate_ceiling": "3/2"}, "rate_ceiling: must be above 0 and at most 1"),
        ({"sampling": "target", "rate_floor": "1/2", "rate_ceiling": "1/3"}, "rate_floor: 1/2 is above rate_ceiling"),
        ({"rate_ceiling": "1/2"}, "rate_ceiling: holds only with sampling"),
    ],
)
def test_what_is_wrong_is_said(place: Site, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        campaigns.create(written(place, **wrong), actor="test")


# The command


def test_the_command_explains_and_publishes(app: Flask, place: Site, campaign: Campaign, leader: Supervisor) -> None:
    short, done = make.agent(place, leader), make.agent(place, leader)
    took(short, campaign, 36)
    took(done, campaign, 36)
    asked(short, campaign, leader, 4, disposition=Disposition.COMPLETE)
    asked(short, campaign, leader, 1, ended=0, deadline=NOON + timedelta(days=1))
    asked(done, campaign, leader, 30, disposition=Disposition.COMPLETE)
    campaign.target_site = 300
    names = {"short": short.key, "done": done.key, "leader": leader.key, "site": place.key}
    asking = ["campaigns", "rates", f"{place.organisation.key}/{campaign.key}"]
    db.session.commit()
    said = app.test_cli_runner().invoke(args=[*asking, "--dry-run"]).output
    assert "2 of 2 rates would change, for calls that end from 2026-03-13T04:00:00Z" in said
    assert f"agent {names['short']}, " in said and "4 of 25 complete, 21 missing, 1 open; about " in said
    assert "50% -> " in said and "for the site's number" in said
    assert f"site {names['site']}, " in said and "34 of 300 complete, 266 missing, 1 open" in said
    assert f"supervisor {names['leader']}, " in said and "the agents' own rates are enough" in said
    assert "all its agents get at least " in said
    assert published() == []
    told = json.loads(app.test_cli_runner().invoke(args=[*asking, "--json"]).output)
    db.session.rollback()
    (agent,) = [one for one in told["agents"] if one["agent"] == names["short"]]
    assert (agent["complete"], agent["open"], agent["missing"], agent["rate_now"]) == (4, 1, 21, "1/2")
    assert (told["changed"], told["dry_run"], told["sites"][0]["missing"]) == (2, False, 266)
    assert Fraction(agent["rate_to_come"]) == rates()[agent_id(names["short"])]
    again = app.test_cli_runner().invoke(args=asking).output
    assert "0 of 2 rates were published" in again
    refused = app.test_cli_runner().invoke(args=["campaigns", "rates", "nowhere"])
    assert refused.exit_code == 1 and "Refused: " in refused.stderr


def agent_id(key: str) -> int:
    return db.session.scalars(select(Agent.id).where(Agent.key == key)).one()


def test_the_command_says_why_nothing_is_set(app: Flask, place: Site, campaign: Campaign) -> None:
    db.session.commit()
    args = ["campaigns", "rates", campaign.key]
    said = app.test_cli_runner().invoke(args=[*args, "--dry-run"])
    assert said.exit_code == 0 and "no rates would be set. There are no calls of its agents" in said.output
    assert json.loads(app.test_cli_runner().invoke(args=[*args, "--json"]).output)["agents"] == []
