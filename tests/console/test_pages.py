"""What the pages show: the facts, in plain words, and nothing that must stay hidden."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click import Group
from flask import Flask

from console import calls, counting, decisions, overview, words
from console.scope import Scope
from survey import breakers, clock
from survey.db import db
from survey.errors import InputError
from survey.models import (
    AttemptState,
    CampaignState,
    Channel,
    Decision,
    Disposition,
    DrawKey,
    DrawReason,
    Level,
    Outcome,
    Response,
    Standstill,
)
from tests import factories
from tests.console.conftest import Browser, World


def text_of(page: str) -> str:
    """The page's words, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_story_tells_everything_in_order(signed_in: Callable[..., Browser], world: World) -> None:
    page = text_of(signed_in("auditor").get(f"/console/calls/{world.call.id}").text)
    told = (
        "The customer called",
        "The call ended",
        "Attempt 1, phone: begun",
        "Attempt 1: status",
        "Attempt 1, phone: ended Busy",
        "Attempt 2, email and web: begun",
        "Was the reason for your call resolved? Yes",
        "The survey closed Complete",
        "The response was derived",
        "Late",
        "Came after the deadline: kept, not counted.",
        "Deadline",
    )
    places = [page.index(part, page.index("The story")) for part in told]
    assert places == sorted(places)
    for fact in (
        "Rate in force 1 in 2 (50.0%)",
        "first hour",
        world.leader.name,
        world.agent.name,
        "Weight 2 (1 / rate)",
    ):
        assert fact in page
    assert "Drawn to be asked Its number fell below the rate." in page


def test_times_stand_in_the_sites_zone_with_utc_beside(signed_in: Callable[..., Browser], world: World) -> None:
    page = text_of(signed_in("auditor").get(f"/console/calls/{world.call.id}").text)
    assert "11 Mar 2026, 13:00 EDT (17:00 UTC)" in page


def test_the_deadline_is_explained(signed_in: Callable[..., Browser], world: World) -> None:
    friday = clock.now().replace(day=6)
    call = factories.call(world.agent, world.site, ended_at=friday)
    factories.survey(call, world.campaign, supervisor=world.leader)
    db.session.commit()
    page = text_of(signed_in("auditor").get(f"/console/calls/{call.id}").text)
    assert "Day of the call Fri 6 Mar 2026" in page
    assert "Skipped Sat 7 Mar 2026 (weekend)" in page
    assert "Second business day Tue 10 Mar 2026" in page
    assert "Closes at 11 Mar 2026, 00:00 EDT (04:00 UTC)" in page
    assert "calendar has changed" not in page


def test_contacts_are_masked_and_the_key_is_nowhere(signed_in: Callable[..., Browser], world: World) -> None:
    key = db.session.query(DrawKey).one()
    browser = signed_in("administrator")
    for path in (f"/console/calls/{world.call.id}", "/console/calls", f"/console/campaigns/{world.campaign.id}"):
        page = browser.get(path).text
        assert "9295550147" not in page and "jo.bloggs" not in page
        assert key.key_hex not in page
    assert "+1 ••••••••47" in browser.get(f"/console/calls/{world.call.id}").text
    assert "j•••@example.com" in browser.get(f"/console/calls/{world.call.id}").text
    assert key.sha256 in browser.get(f"/console/campaigns/{world.campaign.id}").text


def test_what_a_survey_counts_for(world: World) -> None:
    counted = counting.of(world.survey, complete=True)
    assert [subject.name for subject in counted.subjects] == [
        world.agent.name,
        world.leader.name,
        world.site.name,
        world.organisation.name,
    ]
    [(period, credits)] = counted.periods
    assert period.id == world.period.id and all(credit.in_scope for credit in credits)
    assert counted.why_not == ""
    assert counting.of(world.survey, complete=False).why_not.startswith("Nothing")


def test_a_call_whose_last_agent_is_not_certain(signed_in: Callable[..., Browser], world: World) -> None:
    call = factories.call(place=world.site, uncertain=True)
    survey = factories.survey(call, world.campaign)
    survey.disposition, survey.closed_at = Disposition.COMPLETE, clock.now()
    db.session.commit()
    browser = signed_in("auditor")
    row = text_of(browser.get("/console/calls", id=call.external_id).text)
    assert f"{world.site.name} not certain who was last Complete" in row
    page = text_of(browser.get(f"/console/calls/{call.id}").text)
    assert "Agent not certain who was last" in page and "Supervisor then" not in page
    assert f"Site {world.site.name} Organisation {world.organisation.name} Nobody else It is not certain who" in page
    assert f"Handled by more than one agent {counting.NOT_CERTAIN}" in page
    counted = counting.of(survey, complete=True)
    assert [subject.level for subject in counted.subjects] == [Level.SITE, Level.ORGANISATION]
    assert counted.left_out == counting.NOT_CERTAIN and counting.of(world.survey, complete=True).left_out == ""


def test_a_site_outside_the_announced_scope_is_told_apart(world: World) -> None:
    world.period.scope = world.period.scope | {"sites": [], "agents": []}
    db.session.commit()
    [(_, credits)] = counting.of(world.survey, complete=True).periods
    assert [credit.in_scope for credit in credits] == [True, True, False, True], "only sites are frozen"


def test_a_period_counts_the_campaigns_it_was_announced_with(world: World) -> None:
    world.period.scope = world.period.scope | {"campaigns": []}
    db.session.commit()
    assert counting.of(world.survey, complete=True).periods == []


def test_a_call_that_was_not_drawn_says_why(signed_in: Callable[..., Browser], world: World) -> None:
    browser = signed_in("auditor")
    page = text_of(browser.get(f"/console/calls/{world.undrawn.id}").text)
    assert "The customer was asked about another call not long before." in page
    assert "The deadline" not in page
    too_early = factories.call(world.agent, world.site, ended_at=world.campaign.launched_at)
    too_early_id = too_early.id
    db.session.commit()
    page = text_of(browser.get(f"/console/calls/{too_early_id}").text)
    assert page.count(f"{world.campaign.name}: it ended before the launch at 2026-02-10T17:00:00Z.") == 2


def test_the_campaigns_funnel(signed_in: Callable[..., Browser], world: World) -> None:
    page = text_of(signed_in("auditor").get(f"/console/campaigns/{world.campaign.id}").text)
    for line in ("Calls 2 ", "Eligible 1 ", "Drawn 1 ", "Asked 1 ", "Complete 1 "):
        assert line in page
    assert "The customer was asked about another call not long before. 1 50.0%" in page
    assert "Mon–Sat, 09:00 to 20:00" in page


def test_the_overview_adds_up(signed_in: Callable[..., Browser], world: World) -> None:
    open_survey = factories.survey(factories.call(world.agent, world.site), world.campaign, supervisor=world.leader)
    open_survey.deadline = clock.now() + timedelta(hours=3)
    stuck = factories.attempt(open_survey, state=AttemptState.DIALLING)
    stuck.started_at = clock.now() - timedelta(hours=1)
    closed = factories.survey(factories.call(world.agent, world.site), world.campaign, supervisor=world.leader)
    closed.disposition, closed.closed_at = Disposition.NEVER_ATTEMPTED, clock.now()
    breakers.failed(Channel.WEB, "the relay said no", None)
    db.session.commit()
    page = text_of(signed_in("auditor").get("/console/").text)
    for line in (
        "Surveys open 1 ",
        "Due within 24 hours 1 ",
        "Closed today 2 ",
        "Response rate, 30 days 50.0% 1 complete of 2 drawn and closed",
        "World class calls, 30 days 100.0% 1 of 1; 95% interval 20.7% to 100.0%",
        "1 attempt left in doubt while being placed",
        "Never tried No hour allowed for contact fell before the deadline, or contact was paused. 1 50.0%",
        "Busy 1 100.0%",
        "SMTP_URL is not set on this machine, so that it can send no email.",
        "The last try to send an email failed at 2026-03-12T17:00:00Z: the relay said no.",
    ):
        assert line in page, line


def test_surveys_that_credit_no_agent_are_no_agents_target(world: World) -> None:
    """Complete, and counted for the site; but not one more agent with enough of them."""
    world.campaign.target_agent = 2
    answers = {"resolved": "yes", "overall": 5, "agent": 5}
    for _ in range(3):
        survey = factories.survey(factories.call(place=world.site, uncertain=True), world.campaign)
        survey.disposition, survey.closed_at = Disposition.COMPLETE, clock.now()
        made = Response(survey_id=survey.id, complete=True, channel=Channel.WEB, derived_at=clock.now(), **answers)
        db.session.add(made)
    db.session.commit()
    [row] = overview.read(Scope(None), clock.now()).plan
    assert (row.complete, row.agents, row.agents_there) == (4, 1, 0)


def test_today_is_the_day_at_the_site(signed_in: Callable[..., Browser], world: World) -> None:
    late_yesterday = clock.now() - timedelta(hours=14)
    world.survey.closed_at = late_yesterday
    db.session.commit()
    assert "No survey has closed yet today" in signed_in("auditor").get("/console/").text


def test_a_standstill_is_said_loudly(signed_in: Callable[..., Browser], world: World) -> None:
    db.session.add(Standstill(begun_at=clock.now(), begun_by="command line", reason="fire drill"))
    db.session.commit()
    assert "Standstill: nobody is contacted" in signed_in("auditor").get("/console/").text


@pytest.mark.parametrize(
    ("state", "decided", "says"),
    [
        (CampaignState.ACTIVE, False, "No call has gone through its draw"),
        (CampaignState.ACTIVE, True, "None of its calls was drawn so far"),
        (CampaignState.SCHEDULED, False, "Autumn begins by itself on 10 Feb 2026."),
    ],
)
def test_a_campaign_without_answers_says_what_comes_next(
    signed_in: Callable[..., Browser], at_noon: object, state: CampaignState, decided: bool, says: str
) -> None:
    campaign = factories.campaign(state=state, name="Autumn")
    if decided:
        call = factories.call(place=campaign.sites[0])
        factories.draw(call, campaign, u=Decimal(2**63), drawn=False, reason=DrawReason.NOT_SELECTED)
    db.session.commit()
    page = text_of(signed_in("auditor").get("/console/").text)
    assert says in page and "0 of 0" not in page


@pytest.mark.parametrize(
    ("ends_on", "says"),
    [(date(2026, 3, 12), "Check it, then run flask campaigns launch"), (date(2026, 3, 11), "Give it later days")],
)
def test_a_draft_says_what_to_do_with_it(app: Flask, at_noon: object, ends_on: date, says: str) -> None:
    factories.campaign(launched=False, ends_on=ends_on, name="Autumn")
    (draft,) = decisions.read(Scope(None), clock.now(), 0)
    assert draft.what.startswith("Autumn is a draft") and draft.how.startswith(says)


def test_empty_pages_say_what_to_do(signed_in: Callable[..., Browser]) -> None:
    browser = signed_in("administrator")
    assert "flask roster import" in browser.get("/console/").text
    assert "flask campaigns create" in browser.get("/console/campaigns").text
    assert "flask calls import" in browser.get("/console/calls").text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"id": "none"}, 0),
        ({"from": "2026-03-11", "to": "2026-03-11"}, 1),
        ({"from": "2026-03-12"}, 1),
        ({"to": "2026-03-10"}, 0),
        ({"agent": "AGENT"}, 2),
        ({"agent": "100%"}, 0),
        ({"site": "999"}, 0),
    ],
)
def test_search(world: World, query: dict[str, str], count: int) -> None:
    assert len(calls.search(Scope(None), calls.Wanted.parsed(query)).rows) == count


def test_search_by_id_and_key(world: World) -> None:
    by_id = calls.search(Scope(None), calls.Wanted(external_id=world.call.external_id))
    assert [row.Call.id for row in by_id.rows] == [world.call.id]
    assert len(calls.search(Scope(None), calls.Wanted(agent=world.agent.key)).rows) == 2
    assert calls.search(Scope(world.organisation.id + 99), calls.Wanted()).rows == []


def test_pages_of_fifty_go_through_every_call_once(world: World) -> None:
    other = factories.site(organisation=world.organisation)
    staff = factories.agent(other)
    same_second = clock.now() - timedelta(hours=5)
    for n in range(60):
        factories.call(staff if n % 2 else world.agent, other if n % 2 else world.site, ended_at=same_second)
    wanted: calls.Wanted | None = calls.Wanted()
    seen: list[int] = []
    sizes = []
    while wanted is not None:
        found = calls.search(Scope(world.organisation.id), wanted)
        sizes.append(len(found.rows))
        seen += [row.Call.id for row in found.rows]
        wanted = None if found.following is None else calls.Wanted.parsed(found.following)
    assert sizes == [50, 12] and len(set(seen)) == 62


@pytest.mark.parametrize("query", [{"from": "yesterday"}, {"site": "x"}, {"before": "x"}, {"to": "0001-01-01"}])
def test_what_cannot_be_read_is_said_so(signed_in: Callable[..., Browser], query: dict[str, str]) -> None:
    with pytest.raises(InputError):
        calls.Wanted.parsed(query)
    assert signed_in("auditor").get("/console/calls", **query).status_code == 400


def test_every_reason_has_words() -> None:
    for enum in (DrawReason, Disposition, Outcome, AttemptState, Channel, Decision, CampaignState):
        for member in enum:
            assert words.say(member) and words.tone(member)
    assert words.why(Disposition.BUSY) != words.say(Disposition.BUSY)
    assert words.say(Outcome.NO_ANSWER) == words.say(Disposition.NO_ANSWER)
    assert (words.tone(Outcome.FAILED), words.tone(Disposition.CHANNEL_FAILED)) == ("bad", "quiet")


def test_the_number_of_queries_does_not_grow_with_the_rows(
    signed_in: Callable[..., Browser], world: World, count_queries: Callable[[], list[str]]
) -> None:
    browser = signed_in("administrator")
    factories.campaign([world.site])  # one that could ask about the same calls: the others are read together with it
    db.session.commit()
    paths = (
        "/console/",
        "/console/campaigns",
        "/console/calls",
        "/console/standings",
        f"/console/campaigns/{world.campaign.id}",
        f"/console/calls/{world.call.id}",
    )
    before = [_queries(browser, path, count_queries) for path in paths]
    for _ in range(5):
        staff = factories.agent(world.site, world.leader)
        survey = factories.survey(factories.call(staff, world.site), world.campaign, supervisor=world.leader)
        factories.attempt(survey)
        factories.attempt(world.survey, state=AttemptState.CANCELLED, ended_at=clock.now(), started_at=None)
        factories.campaign([world.site])
    db.session.commit()
    assert [_queries(browser, path, count_queries) for path in paths] == before


def _queries(browser: Browser, path: str, count_queries: Callable[[], list[str]]) -> int:
    seen = count_queries()
    assert browser.get(path).status_code == 200
    return len(seen)


def test_every_command_the_pages_name_exists(app: Flask) -> None:
    console = Path(str(app.root_path)) / "console"
    files = [*console.glob("*.py"), *console.glob("templates/console/*.html")]
    told = {
        named for file in files for named in re.findall(r"(?<!from )flask ([a-z]+)(?: ([a-z-]{3,}))?", file.read_text())
    }
    assert ("roster", "import") in told
    for name, inner in told:
        command = app.cli.commands.get(name)
        assert command is not None, name
        if inner and isinstance(command, Group):
            assert inner in command.commands, f"flask {name} {inner}"
