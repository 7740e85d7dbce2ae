"""Calls in doubt are found at Twilio and adopted, or closed; lost callbacks are caught up with."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from twilio.base.exceptions import TwilioRestException

from ivr import reconciling, taking_back
from ivr.channel import IvrChannel
from survey import attempts, clock
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Outcome, Survey
from tests import factories
from tests.ivr.network import canned, closed_port, pointed_at
from tests.ivr.phone import SID, Call, dialled, id_of, reloaded

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.fixture
def attempt(session: object) -> Attempt:
    return dialled()


def listed(sid: str = SID, status: str = "in-progress", created: datetime | None = None) -> dict[str, Any]:
    return {"sid": sid, "status": status, "date_created": format_datetime(created or clock.now())}


def _later(at_noon: clock.ManualClock, **delta: int) -> None:
    at_noon.move_to(clock.now() + timedelta(**delta))


def test_a_call_that_fits_is_adopted(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed()]
        assert IvrChannel().reconcile() == 0, "too young to be in doubt"
        assert network.gets == []
        _later(at_noon, seconds=61)
        assert IvrChannel().reconcile() == 1
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, SID)
    queries = [query for _, query in network.gets]
    customer, campaign = row.survey.customer, row.survey.campaign
    assert all(query["To"] == [customer.phone] and query["From"] == [campaign.caller_id] for query in queries)
    assert [query.get("Status") for query in queries] == [None, ["queued"]]
    assert queries[0]["StartTime>"] == ["2026-03-12T00:00:00Z"]
    assert network.posts == []


def test_a_call_still_queued_at_twilio_is_adopted(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(status="queued")]
        _later(at_noon, minutes=6)
        assert IvrChannel().reconcile() == 1
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, SID)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("busy", Outcome.BUSY),
        ("no-answer", Outcome.NO_ANSWER),
        ("failed", Outcome.FAILED),
        ("completed", Outcome.HUNG_UP),
    ],
)
def test_a_call_that_is_over_is_adopted_and_ended(
    app: Flask, attempt: Attempt, at_noon: clock.ManualClock, status: str, outcome: Outcome
) -> None:
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(status=status)]
        _later(at_noon, minutes=2)
        assert IvrChannel().reconcile() == 1
    row = reloaded(attempt)
    assert (row.state, row.outcome, row.provider_id) == (AttemptState.ENDED, outcome, SID)


def test_without_a_call_it_ends_unknown_after_five_minutes(
    app: Flask, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    with canned() as network, pointed_at(app, network.url):
        _later(at_noon, seconds=299)
        assert IvrChannel().reconcile() == 0
        assert reloaded(attempt).state is AttemptState.DIALLING
        _later(at_noon, seconds=1)
        assert IvrChannel().reconcile() == 1
        IvrChannel().deliver(id_of(attempt))
    assert network.posts == []
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, Outcome.UNKNOWN)
    assert db.session.get_one(Survey, row.survey_id).plan_at == clock.now()


def test_an_older_call_to_the_number_is_not_ours(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    old = clock.now() - timedelta(minutes=1)
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(created=old)]
        _later(at_noon, minutes=2)
        assert IvrChannel().reconcile() == 0
    assert reloaded(attempt).state is AttemptState.DIALLING


def test_anothers_call_is_not_ours(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    mine = "CA" + "3" * 32
    dialled(state=AttemptState.ENDED, outcome=Outcome.BUSY, ended_at=clock.now(), provider_id=SID)
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(mine, created=clock.now() + timedelta(seconds=1)), listed()]
        _later(at_noon, minutes=2)
        assert IvrChannel().reconcile() == 1
    assert reloaded(attempt).provider_id == mine


def test_nothing_is_decided_while_twilio_cannot_be_asked(
    app: Flask, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    mute = dialled(state=AttemptState.UNDERWAY, provider_id=SID)
    _later(at_noon, hours=1)
    with pointed_at(app, f"http://127.0.0.1:{closed_port()}"):
        assert IvrChannel().reconcile() == 0
    assert reloaded(attempt).state is AttemptState.DIALLING
    assert reloaded(mute).state is AttemptState.UNDERWAY


def test_an_erased_number_adopts_nobodys_call(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    attempt.survey.customer.phone = attempt.survey.customer.phone_index = None
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed()]
        _later(at_noon, minutes=6)
        assert IvrChannel().reconcile() == 1
    assert reloaded(attempt).outcome is Outcome.UNKNOWN


def test_lost_callbacks_are_caught_up_with(
    app: Flask, client: FlaskClient, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    with canned() as network, pointed_at(app, network.url):
        Call(client, id_of(attempt)).status("in-progress", 0)
        network.listing = [listed(status="in-progress")]
        _later(at_noon, seconds=299)
        assert IvrChannel().reconcile() == 0
        assert network.gets == [], "there was news less than five minutes ago"
        _later(at_noon, seconds=1)
        assert IvrChannel().reconcile() == 0
        assert len(network.gets) == 1
        _later(at_noon, seconds=299)
        assert IvrChannel().reconcile() == 0
        assert len(network.gets) == 1, "it was just looked up"
        network.listing = [listed(status="completed")]
        _later(at_noon, seconds=1)
        assert IvrChannel().reconcile() == 1
    row = reloaded(attempt)
    assert (row.state, row.outcome) == (AttemptState.ENDED, Outcome.HUNG_UP)


def test_a_call_twilio_does_not_know(app: Flask, session: object, at_noon: clock.ManualClock) -> None:
    attempt = dialled(state=AttemptState.UNDERWAY, provider_id=SID)
    _later(at_noon, minutes=6)
    with canned() as network, pointed_at(app, network.url):
        assert IvrChannel().reconcile() == 1
    assert reloaded(attempt).outcome is Outcome.UNKNOWN


def test_emails_and_waiting_attempts_are_left_alone(app: Flask, session: object, at_noon: clock.ManualClock) -> None:
    rows = [
        factories.attempt(channel=Channel.WEB, state=AttemptState.DIALLING),
        factories.attempt(channel=Channel.WEB, state=AttemptState.UNDERWAY),
        factories.attempt(state=AttemptState.PLANNED),
        factories.attempt(state=AttemptState.QUEUED),
    ]
    before = [row.state for row in rows]
    db.session.commit()
    _later(at_noon, hours=1)
    with canned() as network, pointed_at(app, network.url):
        assert IvrChannel().reconcile() == 0
    assert network.gets == []
    assert [reloaded(row).state for row in rows] == before


def test_the_webhook_of_an_adopted_call_goes_on_as_usual(
    app: Flask, client: FlaskClient, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed()]
        _later(at_noon, minutes=2)
        IvrChannel().reconcile()
        Call(client, id_of(attempt)).answered().press("1155").status()
    assert reloaded(attempt).outcome is Outcome.COMPLETED
    assert not attempts.begin(id_of(attempt))


def test_a_call_whose_first_webhook_comes_while_twilio_is_asked_is_not_given_up(
    app: Flask, attempt: Attempt, at_noon: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_yet(doubtful: reconciling.Doubtful) -> list[reconciling.Found]:
        assert attempts.underway(doubtful.attempt_id, SID)
        db.session.commit()
        return []

    monkeypatch.setattr(reconciling, "_calls_to", nothing_yet)
    _later(at_noon, minutes=6)
    assert reconciling.settle_doubtful() == 0
    row = reloaded(attempt)
    assert (row.state, row.provider_id) == (AttemptState.UNDERWAY, SID)


def test_a_call_is_looked_for_under_the_number_it_was_placed_from(
    app: Flask, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    """Though the campaign has another number by now."""
    with canned((500, "broken")) as network, pointed_at(app, network.url):
        IvrChannel().deliver(id_of(attempt))
        placed_from = network.posts[0]["From"]
        reloaded(attempt).survey.campaign.caller_id = "+12125550199"
        db.session.commit()
        _later(at_noon, minutes=2)
        IvrChannel().reconcile()
    assert {tuple(query["From"]) for _, query in network.gets} == {tuple(placed_from)}


# --- calls still queued at Twilio when their hours end ---

CANCELLED = (200, {"sid": SID, "status": "canceled"})


def out(hours_end_in: timedelta) -> Attempt:
    return dialled(state=AttemptState.UNDERWAY, provider_id=SID, hours_end_at=clock.now() + hours_end_in)


def test_a_call_still_queued_when_its_hours_end_is_cancelled(app: Flask, session: object) -> None:
    attempt = out(timedelta(seconds=45))
    with canned(CANCELLED) as network, pointed_at(app, network.url):
        network.listing = [listed(status="queued")]
        assert IvrChannel().reconcile() == 1
        assert IvrChannel().reconcile() == 0
    assert network.posts == [{"Status": ["canceled"]}]
    row = reloaded(attempt)
    assert (row.state, row.outcome, row.detail) == (AttemptState.ENDED, Outcome.FAILED, taking_back.TAKEN_BACK)
    assert row.survey.plan_at is not None, "it is planned anew"


@pytest.mark.parametrize("status", ["ringing", "in-progress", "completed"])
def test_a_call_that_rings_or_is_talked_on_goes_on(app: Flask, session: object, status: str) -> None:
    attempt = out(timedelta(0))
    with canned(CANCELLED) as network, pointed_at(app, network.url):
        network.listing = [listed(status=status)]
        assert IvrChannel().reconcile() == 0
    assert network.posts == []
    assert reloaded(attempt).state is AttemptState.UNDERWAY


def test_before_its_hours_end_a_call_may_wait(app: Flask, session: object) -> None:
    out(timedelta(seconds=46))
    with canned(CANCELLED) as network, pointed_at(app, network.url):
        assert IvrChannel().reconcile() == 0
    assert network.gets == [] and network.posts == []


def test_a_call_that_began_to_ring_while_it_was_taken_back_is_left_to_its_callback(app: Flask, session: object) -> None:
    attempt = out(timedelta(0))
    with canned((200, {"sid": SID, "status": "in-progress"})) as network, pointed_at(app, network.url):
        network.listing = [listed(status="queued")]
        assert IvrChannel().reconcile() == 0
    assert reloaded(attempt).state is AttemptState.UNDERWAY


def test_a_silent_calls_length_is_learned_with_its_end(app: Flask, session: object, at_noon: clock.ManualClock) -> None:
    attempt = dialled(state=AttemptState.UNDERWAY, provider_id=SID)
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(status="completed") | {"duration": "61"}]
        _later(at_noon, minutes=5)
        assert IvrChannel().reconcile() == 1
    assert reloaded(attempt).billed_seconds == 61


def test_those_that_talk_do_not_hide_those_that_are_queued(
    app: Flask, session: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_back, "AT_ONCE", 3)
    sids = [f"CA{n:032d}" for n in range(6)]
    for sid in sids:
        dialled(state=AttemptState.UNDERWAY, provider_id=sid, hours_end_at=clock.now())
    queued = sids[:2]
    with canned(CANCELLED) as network, pointed_at(app, network.url):
        network.listing = [listed(sid, "queued" if sid in queued else "in-progress") for sid in sids]
        assert [taking_back.take_back() for _ in range(3)] == [0, 2, 0]
        assert len(network.gets) == 6, "one that was out of the queue is not asked about again"


def test_a_call_that_is_over_and_not_billed_is_asked_about(
    app: Flask, session: object, at_noon: clock.ManualClock
) -> None:
    """Its survey was complete, so it is ended; the network's last word on it was lost."""
    attempt = dialled(state=AttemptState.UNDERWAY, provider_id=SID)
    attempts.end(attempt.id, Outcome.COMPLETED)
    db.session.commit()
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed(status="completed") | {"duration": "75"}]
        _later(at_noon, seconds=299)
        IvrChannel().reconcile()
        assert network.gets == []
        _later(at_noon, seconds=1)
        IvrChannel().reconcile()
        _later(at_noon, minutes=10)
        IvrChannel().reconcile()
    row = reloaded(attempt)
    assert (row.billed_seconds, row.outcome, len(network.gets)) == (75, Outcome.COMPLETED, 1)


def test_a_call_without_a_date_is_passed_over(app: Flask, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    with canned() as network, pointed_at(app, network.url):
        network.listing = [listed() | {"date_created": None}]
        _later(at_noon, minutes=2)
        assert IvrChannel().reconcile() == 0
    assert reloaded(attempt).state is AttemptState.DIALLING


@pytest.mark.parametrize(("status", "goes_on"), [(400, True), (404, True), (401, False), (429, False), (500, False)])
def test_what_is_wrong_with_one_call_does_not_keep_the_others_waiting(status: int, goes_on: bool) -> None:
    fault = TwilioRestException(status, "https://example.com/")
    assert reconciling.told_of_fault(fault, "catching up") is goes_on
    assert not reconciling.told_of_fault(ValueError("unreadable"), "catching up")
