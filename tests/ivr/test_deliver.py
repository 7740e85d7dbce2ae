"""Placing a call with the real client: one POST for one intent, whatever comes back."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from flask import Flask
from twilio.rest import Client

from ivr import channel
from ivr.channel import IvrChannel, backoff
from ivr.client import OurHttpClient, rebased, twilio_client
from survey import attempts, breakers, clock, lifecycle
from survey.db import db
from survey.errors import SettingsError
from survey.models import Attempt, AttemptState, Breaker, Channel, Outcome
from tests import factories
from tests.ivr.network import CREATED, canned, closed_port, pointed_at
from tests.ivr.phone import BASE, dialled, id_of, reloaded

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.fixture
def attempt(session: object) -> Attempt:
    survey = factories.survey()
    survey.customer.phone = "+12125550142"
    survey.campaign.caller_id = "+12125550101"
    survey.campaign.ring_seconds = 27
    return dialled(survey=survey)


def test_what_is_asked_for(app: Flask, attempt: Attempt) -> None:
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    (post,) = network.posts
    at = f"{BASE}/ivr/attempts/{id_of(attempt)}"
    overrides = "#rc=2&rp=ct,rt,5xx"
    assert post == {
        "To": ["+12125550142"],
        "From": ["+12125550101"],
        "Url": [f"{at}/voice{overrides}"],
        "FallbackUrl": [f"{at}/fallback{overrides}"],
        "StatusCallback": [f"{at}/status{overrides}"],
        "StatusCallbackEvent": ["completed"],
        "Timeout": ["27"],
        "TimeLimit": ["600"],
    }
    assert network.auth == ["Basic " + base64.b64encode(f"AC{'0' * 32}:12345".encode()).decode()]
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, CREATED["sid"])


def test_the_installations_number_when_the_campaign_has_none(app: Flask, attempt: Attempt) -> None:
    attempt.survey.campaign.caller_id = None
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert network.posts[0]["From"] == ["+12125550100"]


def test_the_intent_is_committed_and_the_connection_given_back_before_the_post(app: Flask, attempt: Attempt) -> None:
    seen: list[tuple[AttemptState, int]] = []

    def look() -> tuple[int, object]:
        with app.app_context():
            state = db.session.get_one(Attempt, attempt_id).state
            db.session.remove()
            seen.append((state, db.engine.pool.checkedout()))  # type: ignore[attr-defined]
        return 201, CREATED

    attempt_id = attempt.id
    db.session.remove()
    with canned(look) as network, pointed_at(app, network.url):
        IvrChannel().deliver(attempt_id)
    assert seen == [(AttemptState.DIALLING, 0)]


def test_a_webhook_may_have_bound_the_call_first(app: Flask, attempt: Attempt) -> None:
    def webhook() -> tuple[int, object]:
        with app.app_context():
            attempts.underway(attempt_id, CREATED["sid"])
            db.session.commit()
        return 201, CREATED

    attempt_id = attempt.id
    with canned(webhook) as network, pointed_at(app, network.url):
        IvrChannel().deliver(attempt_id)
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, CREATED["sid"])


def _error(code: int, status: int) -> tuple[int, object]:
    return status, {"code": code, "message": "for +12125550142", "more_info": "", "status": status}


@pytest.mark.parametrize(
    ("code", "status"), [(20429, 429), (99999, 429), (10004, 400), (20003, 401), (21212, 400), (21210, 400)]
)
def test_never_processed_goes_back(app: Flask, attempt: Attempt, code: int, status: int) -> None:
    with canned(_error(code, status)) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert len(network.posts) == 1
    row = reloaded(attempt)
    assert (row.state, row.started_at) == (AttemptState.PLANNED, None)
    assert row.due_at == clock.now() + timedelta(seconds=30)


def test_going_back_again_waits_longer(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    with canned(_error(20429, 429)) as network, pointed_at(app, network.url):
        for seconds in (30, 60, 120):
            IvrChannel().deliver(id_of(attempt))
            row = reloaded(attempt)
            assert row.due_at == clock.now() + timedelta(seconds=seconds)
            at_noon.move_to(row.due_at)
            row.state = AttemptState.QUEUED
            db.session.flush()
            assert attempts.begin(row.id)
            db.session.commit()
    assert len(network.posts) == 3
    assert [backoff(n) for n in (1, 5, 6, 1000)] == [
        timedelta(seconds=30),
        timedelta(minutes=8),
        timedelta(minutes=15),
        timedelta(minutes=15),
    ]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (21211, Outcome.DEAD),
        (21217, Outcome.DEAD),
        (13224, Outcome.DEAD),
        (21214, Outcome.DEAD),
        (21215, Outcome.DEAD),
        (21216, Outcome.DEAD),
        (21219, Outcome.FAILED),
        (99999, Outcome.FAILED),
    ],
)
def test_refused_for_good_reason(app: Flask, attempt: Attempt, code: int, outcome: Outcome) -> None:
    with canned(_error(code, 400)) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert len(network.posts) == 1
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, outcome)
    assert row.detail.startswith(f"Twilio {code}: ")
    assert "+1212" not in row.detail


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"code": 20500, "message": "", "more_info": "", "status": 500}),
        (503, "<html>busy</html>"),
        (408, ""),
        (0, "hang"),
        (0, "drop"),
        (201, "not json"),
        (201, {"status": "queued"}),
        (500, {"type": "x", "title": "x", "status": 500, "code": 20500}),
    ],
    ids=["20500", "503", "408", "timeout", "dropped", "unreadable", "no sid", "rfc 9457"],
)
def test_in_doubt_is_left_and_never_posted_again(
    app: Flask, attempt: Attempt, answer: tuple[int, object], at_noon: clock.ManualClock
) -> None:
    with canned(answer) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
        assert reloaded(attempt).state is AttemptState.DIALLING
        IvrChannel().deliver(id_of(attempt))
        at_noon.move_to(clock.now() + timedelta(minutes=3))
        IvrChannel().reconcile()
        IvrChannel().deliver(id_of(attempt))
    assert len(network.posts) == 1
    assert reloaded(attempt).state is AttemptState.DIALLING


def test_refused_in_the_newer_error_format(app: Flask, attempt: Attempt) -> None:
    answer = (400, {"type": "x", "title": "x", "status": 400, "code": 21211})
    with canned(answer) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert reloaded(attempt).outcome is Outcome.DEAD


def test_no_connection_at_all_goes_back(app: Flask, attempt: Attempt) -> None:
    with pointed_at(app, f"http://127.0.0.1:{closed_port()}"):
        IvrChannel().deliver(id_of(attempt))
    assert reloaded(attempt).state is AttemptState.PLANNED


@pytest.mark.parametrize("state", [AttemptState.PLANNED, AttemptState.QUEUED, AttemptState.UNDERWAY])
def test_only_an_intent_is_posted(app: Flask, session: object, state: AttemptState) -> None:
    attempt = factories.attempt(state=state)
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
        IvrChannel().deliver(4711)
    assert network.posts == []
    assert reloaded(attempt).state is state


def test_a_delivered_attempt_is_not_posted_again(app: Flask, attempt: Attempt) -> None:
    with canned() as network, pointed_at(app, network.url):
        for _ in range(3):
            IvrChannel().deliver(id_of(attempt))
    assert len(network.posts) == 1


def test_a_worker_killed_while_posting_is_not_repeated(app: Flask, attempt: Attempt) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with canned() as network, pointed_at(app, network.url):
        original = channel.attempts.underway
        channel.attempts.underway = kill  # type: ignore[assignment]
        try:
            with pytest.raises(Killed):
                IvrChannel().deliver(id_of(attempt))
        finally:
            channel.attempts.underway = original
        assert reloaded(attempt).state is AttemptState.DIALLING
        IvrChannel().deliver(id_of(attempt))
    assert len(network.posts) == 1


def test_no_number_any_more(app: Flask, attempt: Attempt) -> None:
    attempt.survey.customer.phone = attempt.survey.customer.phone_index = None
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert network.posts == []
    assert reloaded(attempt).outcome is Outcome.DEAD


@pytest.mark.parametrize("missing", ["twilio_account_sid", "twilio_from"])
def test_settings_not_made_yet(app: Flask, attempt: Attempt, missing: str) -> None:
    attempt.survey.campaign.caller_id = None
    db.session.commit()
    with canned() as network, pointed_at(app, network.url, **{missing: ""}):
        IvrChannel().deliver(id_of(attempt))
    assert network.posts == []
    assert reloaded(attempt).state is AttemptState.PLANNED


def test_the_client(app: Flask) -> None:
    with pointed_at(app, "http://127.0.0.1:9"):
        client = twilio_client()
        assert client is twilio_client()
        assert type(client) is Client
        assert isinstance(client.http_client, OurHttpClient)
        assert client.http_client.timeout == 1
        assert not client.http_client.is_async
        for adapter in client.http_client.session.adapters.values():
            assert adapter.max_retries.total == 0
    with pointed_at(app, "http://127.0.0.1:9", twilio_account_sid=""), pytest.raises(SettingsError):
        twilio_client()


def test_only_scheme_and_host_are_changed() -> None:
    url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json?To=%2B1212"
    assert rebased(url, "http://127.0.0.1:4010/") == (
        "http://127.0.0.1:4010/2010-04-01/Accounts/AC1/Calls.json?To=%2B1212"
    )


def test_the_number_is_logged_nowhere(
    app: Flask, attempt: Attempt, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # The wire's own log (urllib3) is kept at WARNING by survey/logs.py; the library's would tell the number at INFO.
    with (
        caplog.at_level("DEBUG", logger="twilio.http_client"),
        canned(_error(21211, 400)) as network,
        pointed_at(app, network.url),
    ):
        IvrChannel().deliver(id_of(attempt))
        twilio_client().calls.list(to="+12125550142")
    captured = capsys.readouterr()
    assert "5550142" not in captured.out + captured.err + caplog.text


@pytest.mark.parametrize(
    ("phone", "caller"),
    [("+12125550142", "+12125550177"), ("+442079460123", "+442079460001"), ("+493012345678", "+12125550101")],
)
def test_a_customer_sees_the_campaigns_number_of_their_country(
    app: Flask, attempt: Attempt, phone: str, caller: str
) -> None:
    attempt.survey.campaign.caller_ids = {"US": "+12125550177", "GB": "+442079460001"}
    attempt.survey.customer.phone = phone
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert network.posts[0]["From"] == [caller]


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        ((201, CREATED), 0),
        ((500, "broken"), 3),
        ((0, "drop"), 3),
        ((429, {"code": 20429, "message": "", "more_info": "", "status": 429}), 3),
        ((401, {"code": 20003, "message": "", "more_info": "", "status": 401}), 3),
        ((400, {"code": 21205, "message": "", "more_info": "", "status": 400}), 3),
        ((400, {"code": 21211, "message": "", "more_info": "", "status": 400}), 0),
        ((400, {"code": 21210, "message": "", "more_info": "", "status": 400}), 0),
    ],
    ids=[
        "taken",
        "broken",
        "dropped",
        "too many",
        "no access",
        "our address",
        "bad number",
        "one campaign's caller id",
    ],
)
def test_the_breaker_hears_what_would_befall_every_call(
    app: Flask, attempt: Attempt, answer: tuple[int, object], failures: int
) -> None:
    """Two failed before: what is the fault of one number, or no fault, ends the row."""
    for _ in range(2):
        breakers.failed(Channel.IVR, "", None)
    db.session.commit()
    with canned(answer) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
    assert db.session.get_one(Breaker, Channel.IVR).failures == failures


def test_a_network_that_is_down_is_left_alone(app: Flask, session: object) -> None:
    with pointed_at(app, f"http://127.0.0.1:{closed_port()}"):
        for _ in range(breakers.OPENS_AFTER):
            IvrChannel().deliver(id_of(dialled()))
    (breaker,) = breakers.open_now()
    assert breaker.reason == "no connection to the phone network was made"


def test_what_goes_back_does_not_when_its_survey_has_closed(app: Flask, attempt: Attempt) -> None:
    """Nobody would ever take it up again."""
    attempt_id = id_of(attempt)

    def closes_meanwhile() -> tuple[int, object]:
        with app.app_context():
            lifecycle.close(lifecycle.locked(db.session.get_one(Attempt, attempt_id).survey_id), clock.now())
            db.session.commit()
            db.session.remove()
        return _error(20429, 429)

    with canned(closes_meanwhile) as network, pointed_at(app, network.url):
        IvrChannel().deliver(attempt_id)
    assert reloaded(attempt).state is AttemptState.ENDED
