"""A signed-in browser, and a made-up contact centre whose every page has something to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from flask_security import hash_password
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from certification import rules
from survey import clock
from survey.db import db
from survey.models import (
    Agent,
    Answer,
    Attempt,
    AttemptEvent,
    AttemptState,
    Call,
    Campaign,
    Channel,
    Disposition,
    DrawReason,
    Organisation,
    Outcome,
    Period,
    Programme,
    Response,
    Role,
    Site,
    Supervisor,
    Survey,
    User,
)
from tests import factories
from tests.intake import samples

HOST = "https://survey.example.com"
PASSWORD = "correct horse battery"


class Browser:
    """A test client that speaks https, follows the forms' tokens and sends a referrer, as browsers do."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **query: str) -> TestResponse:
        _forget()
        return self.client.get(path, base_url=HOST, query_string=query or None)

    def post(self, path: str, token_from: str | None = None, **form: str) -> TestResponse:
        """Posts a form; `token_from` is the page whose token goes with it, none is sent without."""
        if token_from is not None:
            form["csrf_token"] = token_in(self.get(token_from).text)
        _forget()
        return self.client.post(path, base_url=HOST, data=form, headers={"Referer": f"{HOST}/console/"})

    def sign_in(self, email: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/console/sign-in", "/console/sign-in", email=email, password=password)


def _forget() -> None:
    """The tests' own context outlives requests: what one left there, or did not commit, must not help the next."""
    db.session.rollback()
    vars(g._get_current_object()).clear()  # type: ignore[attr-defined]


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, "the page has no form token"
    return found[1]


@dataclass
class World:
    """One organisation's rows, as a reader may look for them."""

    organisation: Organisation
    site: Site
    leader: Supervisor
    agent: Agent
    campaign: Campaign
    call: Call
    survey: Survey
    undrawn: Call
    programme: Programme
    period: Period


@pytest.fixture
def browser(client: FlaskClient) -> Browser:
    return Browser(client)


@pytest.fixture
def user(app: Flask) -> Callable[..., User]:
    """Makes a sign-in with a role, of one organisation or of all."""

    def make(role: str, owner: Organisation | None = None, **given: Any) -> User:
        kept = db.session.scalar(select(Role).where(Role.name == role)) or Role(name=role)
        row = User(
            **{
                "email": f"{role}{uuid4().hex[:8]}@example.com",
                "password": _hashed(),
                "active": True,
                "fs_uniquifier": uuid4().hex,
                "organisation_id": None if owner is None else owner.id,
                "roles": [kept],
            }
            | given
        )
        db.session.add(row)
        db.session.commit()
        return row

    return make


@pytest.fixture
def signed_in(browser: Browser, user: Callable[..., User]) -> Callable[..., Browser]:
    """The browser, signed in as somebody new with that role."""

    def enter(role: str, owner: Organisation | None = None) -> Browser:
        assert browser.sign_in(user(role, owner).email).status_code == 302
        return browser

    return enter


@pytest.fixture
def place(app: Flask, at_noon: clock.ManualClock) -> Site:
    """A site called North in New York, of an organisation "acme", with an agent amy."""
    return samples.place(name="North")


@pytest.fixture
def manager(signed_in: Callable[..., Browser], place: Site) -> Browser:
    """The browser, signed in as a manager of that organisation."""
    return signed_in("manager", place.organisation)


@pytest.fixture
def world(app: Flask, at_noon: clock.ManualClock) -> World:
    return make_world()


def make_world() -> World:
    """A finished survey with two attempts and a late answer, a call not drawn, a campaign, a programme and a period."""
    site = factories.site()
    leader = factories.supervisor(site.organisation)
    agent = factories.agent(site, leader)
    campaign = factories.campaign([site])
    ended_at = clock.now() - timedelta(days=1)
    # An area code that the factories never use: a number of theirs would be the same customer.
    caller = factories.customer(site.organisation_id, phone="+19295550147", email="jo.bloggs@example.com")
    call = factories.call(agent, site, ended_at=ended_at, customer=caller)
    survey = factories.survey(call, campaign, supervisor=leader)
    _ask(survey)
    undrawn = factories.call(agent, site)
    factories.draw(undrawn, campaign, drawn=False, reason=DrawReason.QUARANTINED)
    programme, period = _certified_on(site, campaign, agent, leader)
    db.session.commit()
    return World(site.organisation, site, leader, agent, campaign, call, survey, undrawn, programme, period)


def _ask(survey: Survey) -> None:
    now = clock.now()
    dial = factories.attempt(
        survey, state=AttemptState.ENDED, outcome=Outcome.BUSY, ended_at=now - timedelta(hours=3), reason="first hour"
    )
    dial.started_at = now - timedelta(hours=4)
    mail = factories.attempt(
        survey, Channel.WEB, state=AttemptState.ENDED, outcome=Outcome.COMPLETED, ended_at=now - timedelta(hours=1)
    )
    mail.started_at = now - timedelta(hours=2)
    db.session.add(
        AttemptEvent(
            attempt_id=dial.id,
            provider_id="CA1",
            kind="status",
            data={"status": "busy", "To": "+19295550147"},
            received_at=now - timedelta(hours=3, minutes=30),
        )
    )
    for question, value in (("resolved", "yes"), ("overall", "5"), ("agent", "5")):
        _answer(mail, question, value, 0, late=False)
    _answer(mail, "overall", "1", 1, late=True)
    survey.disposition, survey.closed_at, survey.plan_at = Disposition.COMPLETE, now - timedelta(hours=1), None
    db.session.add(
        Response(
            survey_id=survey.id,
            complete=True,
            resolved="yes",
            overall=5,
            agent=5,
            channel=Channel.WEB,
            derived_at=now - timedelta(hours=1),
        )
    )
    db.session.flush()


def _answer(mail: Attempt, question: str, value: str, sequence: int, *, late: bool) -> None:
    db.session.add(
        Answer(
            survey_id=mail.survey_id,
            attempt_id=mail.id,
            question=question,
            value=value,
            sequence=sequence,
            channel=Channel.WEB,
            received_at=clock.now() - timedelta(minutes=0 if late else 61),
            late=late,
        )
    )


def _certified_on(site: Site, campaign: Campaign, agent: Agent, leader: Supervisor) -> tuple[Programme, Period]:
    programme = Programme(
        organisation_id=site.organisation_id, key="service", name="Service quality", rule_set="sqm-2011"
    )
    programme.campaigns = [campaign]
    db.session.add(programme)
    db.session.flush()
    period = Period(
        programme_id=programme.id,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 6, 30),
        decision_on=date(2026, 7, 10),
        announced_at=clock.now() - timedelta(days=100),
        scope={
            "sites": [site.id],
            "supervisors": [leader.id],
            "agents": [agent.id],
            "campaigns": [campaign.id],
            "zone": site.time_zone,
            "rule": rules.load("sqm-2011").text,
        },
    )
    db.session.add(period)
    db.session.flush()
    return programme, period


_kept_hash: list[str] = []


def _hashed() -> str:
    """The one test password, hashed once: argon2 is slow on purpose."""
    if not _kept_hash:
        _kept_hash.append(hash_password(PASSWORD))
    return _kept_hash[0]


@pytest.fixture
def count_queries(app: Flask) -> Iterator[Callable[[], list[str]]]:
    """Starts a fresh list to which every statement sent to the database from now on is appended."""
    lists: list[list[str]] = [[]]

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        lists[-1].append(statement)

    def start() -> list[str]:
        lists.append([])
        return lists[-1]

    event.listen(db.engine, "before_cursor_execute", note)
    yield start
    event.remove(db.engine, "before_cursor_execute", note)
