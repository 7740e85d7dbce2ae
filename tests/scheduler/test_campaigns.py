"""A campaign's life: refused when wrong, fixed once launched, its key committed to and revealed only at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session

from scheduler import campaigns, clockwork, close_cli, funnel
from scheduler.drawing import draw_campaign
from scheduler.planning import plan_due
from survey import attempts, clock
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import (
    Attempt,
    AttemptState,
    AuditEntry,
    Campaign,
    CampaignState,
    Draw,
    DrawKey,
    Outcome,
    Programme,
    Site,
    Survey,
)
from survey.turns import import_under_way
from tests import factories as make
from tests.conftest import NOON

FILE = """
organisation = "acme"
key = "spring"
name = "Spring 2026"
sites = ["boston"]
starts_on = 2026-03-01
ends_on = 2026-06-30
rate = "1/8"
languages = ["en", "es"]
channel_plan = [
    { share = "2/3", channels = ["ivr", "web"] },
    { share = "1/3", channels = ["web"] },
]
call_from = 10:00:00
caller_id = "+12125550100"
"""


@pytest.fixture
def boston(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Site]:
    yield make.site(organisation=make.organisation(key="acme"), key="boston")


def values(**given: Any) -> dict[str, Any]:
    return {
        "organisation": "acme",
        "key": "spring",
        "name": "Spring",
        "sites": ["boston"],
        "starts_on": date(2026, 3, 1),
        "ends_on": date(2026, 6, 30),
    } | given


def launched(**given: Any) -> Campaign:
    campaign = campaigns.create(values(**given), actor="test")
    campaigns.launch(campaign, actor="test")
    return campaign


def actions() -> list[str]:
    return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_a_file_becomes_a_draft(boston: Site, tmp_path: Path) -> None:
    file = tmp_path / "spring.toml"
    file.write_text(FILE)
    made = campaigns.create_from_file(file, actor="test")
    assert (made.state, made.rate, made.call_from.hour, made.languages) == (
        CampaignState.DRAFT,
        Fraction(1, 8),
        10,
        ["en", "es"],
    )
    assert made.channel_plan[0] == {"share": [2, 3], "channels": ["ivr", "web"]}
    assert [site.key for site in made.sites] == ["boston"]
    assert actions() == ["campaign created"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rate": 0.1}, 'rate: .*"0.1"'),
        ({"spend_cap": 25.5}, 'spend_cap: .*"25.5"'),
        ({"rate": "3/2"}, "rate: must be above 0 and at most 1"),
        ({"rate": 0}, "rate: must be above 0"),
        ({"rate": "0.1234567890123"}, "rate: is finer than"),
        ({"call_from": "09:00Z"}, "call_from: must have no offset"),
        ({"channel_plan": ["ivr", "web"]}, "channel_plan, entry 1: .*\n.*channel_plan, entry 2: "),
        ({"channel_plan": [{"share": "1/2", "channels": ["ivr"]}]}, "add up to 1/2"),
        ({"ends_on": date(2026, 2, 1)}, "ends_on: is before starts_on"),
        ({"languages": ["tlh"]}, "languages: choose from en, es, fr"),
        ({"questionnaire": "core-9"}, "questionnaire: choose from core-1"),
        ({"call_weekdays": [7]}, "call_weekdays"),
        ({"call_weekdays": []}, "names no day"),
        ({"dials_per_survey": 11}, "dials_per_survey"),
        ({"ring_seconds": 5}, "ring_seconds"),
        ({"caller_id": "12125550100"}, "caller_id: must be"),
        ({"colour": "blue"}, "colour"),
        ({"key": "two words"}, "key"),
        ({"sites": []}, "sites"),
    ],
)
def test_what_is_wrong_is_said(boston: Site, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        campaigns.create(values(**wrong), actor="test")


def test_every_fault_is_listed_at_once(boston: Site) -> None:
    with pytest.raises(InputError) as told:
        campaigns.create(values(rate=0.1, ring_seconds=5, channel_plan=[]), actor="test")
    assert all(fault in str(told.value) for fault in ("rate", "ring_seconds", "channel_plan"))
    with pytest.raises(InputError) as told:
        campaigns.create(values(reminders=9, sites=["Boston", "bostn", "miami"]), actor="test")
    assert str(told.value).split("\n")[1:-1] == [
        "  reminders: is 9 (the most is 1)",
        "  sites: there is no Boston (did you mean boston?)",
        "  sites: there is no bostn (did you mean boston?)",
        "  sites: there is no miami (import the roster first)",
    ]
    with pytest.raises(InputError, match=r"reminders: is 9 .*\n.*organisation: there is no Acme \(did you mean acme"):
        campaigns.create(values(reminders=9, organisation="Acme"), actor="test")


def test_what_is_not_there_or_there_already_is_refused(boston: Site) -> None:
    with pytest.raises(InputError, match=r"^x.toml: organisation: there is no nobody \(import its roster first\)"):
        campaigns.create(values(organisation="nobody"), actor="test", where="x.toml")
    with pytest.raises(InputError, match=r"^x.toml: sites: there is no miami \(import the roster first\)"):
        campaigns.create(values(sites=["boston", "miami"]), actor="test", where="x.toml")
    draft = campaigns.create(values(), actor="test")
    with pytest.raises(InputError, match="sites: there is no miami"):
        campaigns.change(draft, {"sites": ["miami"]}, actor="test")
    with pytest.raises(Refused, match=r"'spring' exists already\. Choose"):
        campaigns.create(values(), actor="test")
    with pytest.raises(Refused, match="'spring' exists already, and 'SPRING' is told from it by capital letters alone"):
        campaigns.create(values(key="SPRING"), actor="test")
    with pytest.raises(NotFound, match="Did you mean spring"):
        campaigns.find("acme/Spring")


def test_a_draft_may_change_in_everything_but_its_key(boston: Site) -> None:
    campaign = campaigns.create(values(), actor="test")
    campaigns.change(campaign, {"rate": "1/4", "name": "Better"}, actor="test")
    assert (campaign.rate, campaign.name) == (Fraction(1, 4), "Better")
    with pytest.raises(InputError, match="key cannot be changed"):
        campaigns.change(campaign, {"key": "other"}, actor="test")
    made = campaigns.change(campaign, {"quarantine_days": 5, "queues": ["sales"], "reminders": 0}, actor="test")
    assert [(one.field, *one.told) for one in made] == [("queues", "none", "sales"), ("quarantine_days", "30", "5")]
    assert campaigns.change(campaign, {}, actor="test") == []
    (change,) = campaigns.change(campaign, {"channel_plan": [{"share": 1, "channels": ["web"]}]}, actor="test")
    assert change.told == ("1: ivr, then web", "1: web")
    assert (campaign.quarantine_days, campaign.queues) == (5, ["sales"])


def test_a_fixed_rate_takes_the_floor_and_ceiling_of_targets_away(boston: Site) -> None:
    campaign = campaigns.create(values(sampling="target", rate_floor="1/50", rate_ceiling="1/2"), actor="test")
    with pytest.raises(InputError, match=r"^campaign: rate_floor: holds only .* Correct it"):
        campaigns.change(campaign, {"sampling": "fixed", "rate_floor": "1/50"}, actor="test")
    campaigns.change(campaign, {"sampling": "fixed"}, actor="test")
    assert (campaign.rate_floor, campaign.rate_ceiling) == (Fraction(1, 100), 1)
    other = launched(key="autumn", sampling="target", rate_floor="1/50")
    with pytest.raises(Refused, match=r"^campaign: sampling of campaign 'autumn' cannot be changed"):
        campaigns.change(other, {"sampling": "fixed"}, actor="test")


def test_a_draft_is_deleted_and_only_a_draft(boston: Site) -> None:
    campaign = campaigns.create(values(), actor="test")
    campaigns.delete(campaign, actor="test")
    assert actions() == ["campaign created", "campaign deleted"] and db.session.query(Campaign).count() == 0
    with pytest.raises(NotFound):
        campaigns.find("spring")
    campaign = launched()
    with pytest.raises(
        Refused, match=r"is active; only drafts can be deleted: the hash .* flask campaigns close spring"
    ):
        campaigns.delete(campaign, actor="test")
    framed = campaigns.create(values(key="framed"), actor="test")
    db.session.add(
        Programme(organisation_id=boston.organisation_id, key="care", name="Care", rule_set="x", campaigns=[framed])
    )
    with pytest.raises(Refused, match="belongs to programme care"):
        campaigns.delete(framed, actor="test")
    assert db.session.query(Campaign).count() == 2


def test_a_draft_is_changed_by_its_whole_file(app: Flask, boston: Site, tmp_path: Path) -> None:
    campaign = campaigns.create(values(), actor="test")
    db.session.commit()
    file = tmp_path / "campaign.toml"
    file.write_text(f'organisation = "{campaign.organisation.key}"\nkey = "{campaign.key}"\nrate = "1/7"\n')
    runner = app.test_cli_runner()
    told = runner.invoke(args=["campaigns", "change", campaign.key, str(file), "--dry-run"]).output
    assert told.startswith("acme/spring (draft) would change:\n  rate: 1/10 -> 1/7\n")
    assert runner.invoke(args=["campaigns", "change", campaign.key, str(file)]).exit_code == 0
    told = runner.invoke(args=["campaigns", "change", campaign.key, str(file), "--dry-run"]).output
    assert told.startswith("acme/spring is as the file says already: nothing would change.")
    db.session.refresh(campaign)
    assert campaign.rate == Fraction(1, 7)
    file.write_text('rate = "7/1"\n')
    refused = runner.invoke(args=["campaigns", "change", campaign.key, str(file)])
    assert refused.exit_code == 1 and "campaign.toml" in refused.output and "rate" in refused.output


def test_the_launch_commits_to_a_secret_key(boston: Site) -> None:
    campaign = launched()
    key = db.session.scalars(select(DrawKey).where(DrawKey.campaign_id == campaign.id)).one()
    raw = bytes.fromhex(key.key_hex)
    assert len(raw) == 32
    assert key.sha256 == hashlib.sha256(raw).hexdigest()
    assert (campaign.launched_at, key.published_at, key.revealed_at) == (NOON, NOON, None)
    assert key.key_hex not in json.dumps(funnel.show(campaign))
    assert not any(key.key_hex in json.dumps(entry.detail) for entry in db.session.scalars(select(AuditEntry)))


def test_two_launches_have_two_keys_unless_one_is_given(boston: Site) -> None:
    first, second = launched(), launched(key="summer")
    keys = {key.campaign_id: key.key_hex for key in db.session.scalars(select(DrawKey))}
    assert keys[first.id] != keys[second.id]
    third = campaigns.create(values(key="demo"), actor="test")
    assert campaigns.launch(third, actor="test", key=bytes(32)).key_hex == "00" * 32
    with pytest.raises(InputError, match="31 bytes"):
        campaigns.launch(campaigns.create(values(key="short"), actor="test"), actor="test", key=bytes(31))


def test_a_campaign_waits_for_its_first_day_at_the_earliest_site(boston: Site, at_noon: ManualClock) -> None:
    make.site(organisation=boston.organisation, key="london", time_zone="Europe/London", country="GB")
    campaign = launched(sites=["boston", "london"], starts_on=date(2026, 3, 14))
    assert campaign.state is CampaignState.SCHEDULED
    with pytest.raises(Refused, match="It asks about no call before its first day, 2026-03-14: pause it from then on"):
        campaigns.pause(campaign, actor="test")
    at_noon.move_to(datetime(2026, 3, 13, 23, 59, 59, tzinfo=UTC))
    assert clockwork.begin_and_close() == 0
    at_noon.move_to(datetime(2026, 3, 14, tzinfo=UTC))
    assert clockwork.begin_and_close() == 1
    assert campaign.state is CampaignState.ACTIVE


def test_a_campaign_without_days_left_is_not_launched(boston: Site, at_noon: ManualClock) -> None:
    campaign = campaigns.create(values(ends_on=date(2026, 3, 12)), actor="test")
    at_noon.move_to(datetime(2026, 3, 13, 4, tzinfo=UTC))
    with pytest.raises(Refused, match="no days left"):
        campaigns.launch(campaign, actor="test")


@pytest.mark.parametrize("act", [campaigns.pause, campaigns.resume, campaigns.close])
def test_a_draft_can_only_be_launched(boston: Site, act: Any) -> None:
    campaign = campaigns.create(values(), actor="test")
    with pytest.raises(Refused, match="is a draft, which asks nobody" if act is campaigns.close else "is draft"):
        act(campaign, actor="test")
    campaigns.launch(campaign, actor="test")
    with pytest.raises(Refused, match="active"):
        campaigns.launch(campaign, actor="test")


def test_what_fell_due_in_a_pause_is_planned_anew_and_spread(boston: Site, at_noon: ManualClock) -> None:
    campaign = launched()
    surveys = [make.survey(make.call(place=boston), campaign) for _ in range(6)]
    plan_due()
    campaigns.pause(campaign, actor="test")
    at_noon.move_to(NOON + timedelta(hours=20))
    campaigns.resume(campaign, actor="test")
    assert plan_due() == len(surveys)
    waiting = db.session.scalars(select(Attempt).where(Attempt.state == AttemptState.PLANNED)).all()
    assert len({attempt.due_at for attempt in waiting}) == len(surveys)
    assert min(attempt.due_at for attempt in waiting) > clock.now()
    assert actions()[-2:] == ["campaign paused", "campaign resumed"]


def test_closing_draws_what_has_come_in_and_then_no_more(boston: Site) -> None:
    campaign = launched(rate=1)
    make.call(place=boston, ended_at=NOON + timedelta(seconds=1))
    with clock.standing_at(NOON + timedelta(minutes=1)):
        campaigns.close(campaign, actor="test")
        make.call(place=boston, ended_at=NOON + timedelta(seconds=30))
        with pytest.raises(Refused):
            draw_campaign(campaign)
    assert campaign.state is CampaignState.CLOSED
    assert db.session.query(Draw).count() == 1


def test_a_campaign_does_not_close_over_a_call_that_cannot_be_decided_yet(boston: Site, at_noon: ManualClock) -> None:
    """Its customer is just being called about another; closed, the campaign would leave it undecided for ever."""
    campaign, caller = launched(rate=1), make.customer(boston.organisation_id)
    make.call(place=boston, customer=caller, ended_at=NOON + timedelta(seconds=1))
    at_noon.move_to(NOON + timedelta(minutes=1))
    draw_campaign(campaign)
    dial = make.attempt(db.session.query(Survey).one(), state=AttemptState.DIALLING)
    make.call(place=boston, customer=caller, ended_at=NOON + timedelta(seconds=30))
    db.session.commit()
    with pytest.raises(Refused, match="cannot be decided yet"):
        campaigns.close(campaign, actor="test")
    db.session.rollback()
    campaign.ends_on = NOON.date()
    at_noon.move_to(campaigns.settled_at(campaign))
    assert campaigns.close_ended() == 0, "it is left to the next look"
    attempts.end(dial.id, Outcome.NO_ANSWER)
    assert campaigns.close_ended() == 1
    assert db.session.query(Draw).count() == 2


def test_a_campaign_does_not_close_while_calls_are_coming_in(app: Flask, boston: Site, at_noon: ManualClock) -> None:
    campaign = launched()
    campaign.ends_on = NOON.date()
    at_noon.move_to(campaigns.settled_at(campaign))
    db.session.commit()
    organisation_id = boston.organisation_id
    with ThreadPoolExecutor(1) as pool:

        def look() -> int:
            with app.app_context():
                return campaigns.close_ended()

        with import_under_way(organisation_id):
            assert pool.submit(look).result(20) == 0
        assert pool.submit(look).result(20) == 1


def test_the_key_is_revealed_when_the_last_survey_has_closed(boston: Site, at_noon: ManualClock) -> None:
    campaign = launched(rate=1)
    make.call(place=boston, ended_at=NOON + timedelta(seconds=1))
    at_noon.move_to(NOON + timedelta(minutes=1))
    campaigns.close(campaign, actor="test")
    clockwork.begin_and_close()
    assert "key" not in funnel.show(campaign)["draw_key"]
    survey = db.session.query(Survey).one()
    at_noon.move_to(survey.deadline)
    clockwork.close_expired()
    assert clockwork.begin_and_close() == 1
    shown = funnel.show(campaign)["draw_key"]
    assert hashlib.sha256(bytes.fromhex(shown["key"])).hexdigest() == shown["sha256"]
    assert clockwork.begin_and_close() == 0


def test_a_campaign_ends_when_its_last_days_calls_are_settled(boston: Site, at_noon: ManualClock) -> None:
    """Its last day is Thursday: calls of that day may come in on Friday, and are asked about until Monday night."""
    campaign = launched(ends_on=date(2026, 3, 12), rate=1)
    at_noon.move_to(datetime(2026, 3, 13, 12, tzinfo=UTC))
    make.call(place=boston, ended_at=datetime(2026, 3, 13, 3, 59, tzinfo=UTC))
    clockwork.begin_and_close()
    assert draw_campaign(campaign).drawn == 1
    at_noon.move_to(datetime(2026, 3, 17, 3, 59, 59, tzinfo=UTC))
    assert clockwork.begin_and_close() == 0
    at_noon.move_to(datetime(2026, 3, 17, 4, tzinfo=UTC))
    clockwork.begin_and_close()
    assert campaign.state is CampaignState.CLOSED


def test_a_campaign_is_found_by_its_name(boston: Site) -> None:
    campaign = campaigns.create(values(), actor="test")
    make.campaign(key="spring", launched=False)
    assert campaigns.find("acme/spring").id == campaign.id
    with pytest.raises(InputError, match="several"):
        campaigns.find("spring")
    with pytest.raises(NotFound):
        campaigns.find("acme/winter")


# The command line


def run(app: Flask, *arguments: str) -> tuple[int, str, str]:
    result = app.test_cli_runner().invoke(args=list(arguments))
    db.session.expire_all()
    return result.exit_code, result.stdout, result.stderr


def test_a_campaigns_life_by_command(app: Flask, boston: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db.session.commit()
    file = tmp_path / "spring.toml"
    file.write_text(FILE.replace('rate = "1/8"', "rate = 1"))
    code, out, _ = run(app, "campaigns", "create", str(file))
    assert code == 0 and "  ! Its first day, 2026-03-01, is past" in out
    run(app, "campaigns", "delete", "spring")
    assert run(app, "campaigns", "show", "spring")[0] == 1
    assert "notes" in json.loads(run(app, "campaigns", "create", str(file), "--json")[1])
    run(app, "stop")
    code, out, _ = run(app, "campaigns", "launch", "spring", "--json")
    assert (code, json.loads(out)["state"]) == (0, "active")
    assert [note["about"] for note in json.loads(out)["notes"]] == ["stop", "days", "calls"]
    assert run(app, "campaigns", "show", "spring")[1].startswith("! Contact is stopped everywhere since")
    run(app, "stop", "--lift")
    assert json.loads(run(app, "draw", "run", "--json")[1])[0]["decided"] == 0
    code, out, _ = run(app, "draw", "replay", "spring")
    assert code == 0 and "acme/spring: nothing has been drawn yet" in out
    ticked = json.loads(run(app, "dispatch", "tick", "--json")[1])
    assert (ticked["planned"], ticked["swept"], ticked["claimed"]) == (0, 0, 0)
    for act, state in (("pause", "paused"), ("resume", "active")):
        assert json.loads(run(app, "campaigns", act, "acme/spring", "--json")[1])["state"] == state
    assert run(app, "campaigns", "create", str(file.rename(tmp_path / "again.toml")))[0] == 1
    told = run(app, "campaigns", "close", "spring", "--dry-run")[1]
    assert told.startswith("acme/spring (active) would be closed for good. Then:\n  No call is drawn for it any more")
    foretold = json.loads(run(app, "campaigns", "close", "spring", "--dry-run", "--json")[1])
    assert (foretold["state"], foretold["dry_run"], foretold["drawn"]) == ("active", True, 0)
    monkeypatch.setattr(close_cli, "at_terminal", lambda: True)
    code, told, _ = run(app, "campaigns", "close", "spring")
    assert code == 1 and "Close it for good? [y/N]" in told and "active" in run(app, "campaigns", "list")[1]
    assert "Its last day, 2026-06-30, is not over" in told
    code, told, _ = run(app, "campaigns", "close", "spring", "--yes")
    assert code == 0 and told.startswith("spring is closed.\nNo call is drawn for it any more")
    assert "spring" in run(app, "campaigns", "list")[1]
    shown = json.loads(run(app, "campaigns", "show", "spring", "--json")[1])
    assert (shown["calls"], shown["state"]) == (0, "closed")
    text = run(app, "campaigns", "show", "spring")[1]
    assert "0 calls, 0 eligible, 0 drawn\n  calls: those of its sites, ended from 2026-03-01 to 2026-06-30 and" in text
    assert f"draw key SHA-256 {shown['draw_key']['sha256']}, published" in text and "No survey is open" in text
    assert "  calling hours  Mon-Sat 10:00-20:00, the customer's time; not on public holidays" in text


def test_a_refusal_is_one_clear_line_and_exit_1(app: Flask, boston: Site, tmp_path: Path) -> None:
    db.session.commit()
    code, _, told = run(app, "campaigns", "launch", "nothing")
    assert (code, told) == (1, "Refused: no campaign 'nothing'. flask campaigns list shows them.\n")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    code, _, told = run(app, "campaigns", "create", str(broken))
    assert code == 1 and "is not TOML" in told


def test_a_bent_draw_fails_the_replay_command(app: Flask, boston: Site, at_noon: ManualClock) -> None:
    campaign = launched(rate=1)
    call = make.call(place=boston, ended_at=NOON + timedelta(seconds=1), external_id="bent")
    at_noon.move_to(NOON + timedelta(minutes=1))
    draw_campaign(campaign)
    call.answered, call.talk_seconds = False, 0
    db.session.commit()
    code, _, told = run(app, "draw", "replay", "spring")
    assert code == 1
    assert "call test bent: the reason was recorded as drawn, recomputed as unanswered" in told


def test_the_funnel_counts_every_stage(boston: Site, at_noon: ManualClock) -> None:
    campaign = launched(rate=1)
    for n in range(3):
        make.call(place=boston, ended_at=NOON + timedelta(seconds=n + 1))
    make.call(place=boston, ended_at=NOON + timedelta(seconds=9), answered=False, talk_seconds=0)
    at_noon.move_to(NOON + timedelta(minutes=1))
    draw_campaign(campaign)
    plan_due()
    told = funnel.show(campaign)
    assert (told["calls"], told["eligible"], told["drawn"]) == (4, 3, 3)
    assert told["reasons"] == {"drawn": 3, "unanswered": 1}
    assert told["surveys"] == {"open": 3}
    assert told["attempts"] == {"ivr": {"begun": 0, "planned": 3}}
    assert told["responses"] == {"complete": 0, "partial": 0}
