"""The commands, as an administrator types them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import update

from survey.db import db
from survey.models import Assessment, Certificate, Period, Response, Survey
from tests import factories
from tests.certification.world import World


@pytest.fixture
def run(app: Flask) -> Any:
    def command(*words: str, status: int = 0) -> Result:
        result = app.test_cli_runner().invoke(args=["certification", *words])
        assert result.exit_code == status, result.output
        return result

    return command


def test_the_whole_way(run: Any, world: World) -> None:
    owner = ("--organisation", world.organisation.key)
    factories.campaign([world.site], key="second")
    db.session.commit()
    made = run("programme-create", *owner, "--key", "p", "--name", "P", "--campaign", world.campaign.key, "--json")
    assert json.loads(made.output)["rule_set"] == "sqm-2011"
    of = (*owner, "--programme", "p")
    days = ("--from", "2026-01-01", "--to", "2026-06-30", "--decision-on", "2026-07-06")
    assert json.loads(run("announce", *of, *days, "--json").output)["sites"] == 1
    agent = world.agent(name="Ada")
    world.ask(agent, world_class=26)
    db.session.commit()

    standing = json.loads(run("standings", *of, "--level", "agent", "--as-of", "2026-07-01", "--json").output)
    assert standing["standings"][0] | {"n": 26, "rate": "1/1", "passes": True} == standing["standings"][0]
    assert "Ada" in run("standings", *of, "--from", "2026-01-01", "--to", "2026-01-31").output

    assert run("assess").output == "Nothing is due.\n"
    world.clock.move_to(datetime(2026, 7, 6, 12, tzinfo=UTC))
    decided = json.loads(run("assess", "--json").output)["assessments"]
    assert {each["name"]: each["decision"] for each in decided}["Ada"] == "certified"
    assert run("assess").output == "Nothing is due.\n"

    listed = json.loads(run("certificates", *owner, "--json").output)
    assert [each["holder"] for each in listed] == ["Ada"]
    number = listed[0]["id"]
    assert "Agrees" in run("verify", number).output
    assert json.loads(run("withdraw", number, "--reason", "She left.", "--json").output)["status"] == "withdrawn"
    assert run("certificates").output == "No certificates.\n"
    assert "withdrawn" in run("certificates", "--all").output
    assert "is withdrawn already" in run("withdraw", number, "--reason", "Again.", status=1).stderr


def test_verify_leaves_with_1_and_names_the_difference(run: Any, world: World) -> None:
    world.announce()
    survey_id = world.ask(world.agent(), world_class=26)[0]
    world.decide()
    db.session.execute(update(Response).where(Response.survey_id == survey_id).values(overall=3))
    db.session.commit()
    number = db.session.query(Certificate.public_id).scalar()
    report = json.loads(run("verify", number, "--json", status=1).output)
    assert not report["agrees"]
    assert f"survey {survey_id}: overall was 5 when it was decided, is 3" in report["differences"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("standings", "--organisation", "nobody", "--programme", "p"), "no organisation 'nobody'"),
        (("verify", "0" * 32), "no certificate has this number"),
    ],
)
def test_refusals_are_one_line(run: Any, words: tuple[str, ...], said: str) -> None:
    result = run(*words, status=1)
    assert result.stderr.startswith("Refused: ") and said in result.stderr and result.stderr.count("\n") == 1


def test_a_decision_that_is_due_and_cannot_be_made_is_named(run: Any, world: World) -> None:
    world.announce()
    survey = db.session.get(Survey, world.ask(world.agent(), silent=1)[0])
    assert survey is not None
    survey.disposition, survey.closed_at, survey.deadline = None, None, datetime(2026, 8, 1, tzinfo=UTC)
    db.session.commit()
    world.clock.move_to(datetime(2026, 7, 6, 12, tzinfo=UTC))
    assert "not decided: World class calls, 2026-01-01 to 2026-06-30" in run("assess", status=1).output


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-02-30", "soon"])
@pytest.mark.parametrize("option", ["--from", "--to", "--as-of"])
def test_a_day_that_nobody_means_is_usage_and_no_stack_trace(run: Any, world: World, option: str, day: str) -> None:
    db.session.commit()
    days = {"--from": "2026-01-01", "--to": "2026-01-31"} | {option: day}
    words = [word for pair in days.items() for word in pair]
    told = run("standings", "--organisation", world.organisation.key, "--programme", "wcc", *words, status=2)
    assert day in told.stderr


def test_a_line_shows_the_weighted_rate_where_it_differs(run: Any, world: World) -> None:
    agent = world.agent()
    world.ask(agent, day=date(2026, 2, 3), rate=Fraction(1), world_class=2)
    world.ask(agent, day=date(2026, 2, 3), rate=Fraction(1, 2), satisfied=1)
    db.session.commit()
    of = ("--organisation", world.organisation.key, "--programme", "wcc", "--level", "agent")
    assert "66.7% (weighted 50.0%)" in run("standings", *of, "--from", "2026-02-01", "--to", "2026-02-28").output


def test_days_that_run_backwards_are_refused(run: Any, world: World) -> None:
    db.session.commit()
    of = ("--organisation", world.organisation.key, "--programme", "wcc")
    assert "runs backwards" in run("standings", *of, "--from", "2026-02-01", "--to", "2026-01-01", status=1).stderr


def test_a_refused_announcement_leaves_nothing(run: Any, world: World) -> None:
    db.session.commit()
    of = ("--organisation", world.organisation.key, "--programme", "wcc")
    days = ("--from", "2025-12-01", "--to", "2026-05-31", "--decision-on", "2026-07-06")
    assert "has begun" in run("announce", *of, *days, status=1).stderr
    assert db.session.query(Period).count() == db.session.query(Assessment).count() == 0
