"""The answer webhook: signature, lookup, answer, next TwiML; beside a bare route that does one INSERT."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from sqlalchemy import text

from benchmarks.frame import Figure, Pace, per_second
from benchmarks.ground import bare_insert_route, service
from simulator.network import WsgiTransport, sign
from survey import clock, settings
from survey.db import db
from survey.models import AttemptState, Channel
from tests import factories

# A careful webhook against the least one: seen 0.20 to 0.23 on two quiet cores. A lower ratio means that something was
# added to every answer.
TARGET = 0.16


def measure(pace: Pace) -> Figure:
    """Requests a second through WSGI in one process; each is the first answer of another call."""
    with service() as app:
        attempt_ids = calls_in_progress(pace.repetitions + max(1, pace.repetitions // 10))
        ours = answers_a_second(app, attempt_ids, pace.repetitions)
        floor = WsgiTransport(bare_insert_route(app.config["SQLALCHEMY_DATABASE_URI"]))
        bare = per_second(
            lambda n: floor.post("http://floor.example.com/answer", {"Digits": "1"}, {}), pace.repetitions
        )
    return Figure("answer webhook", ours, bare, "requests/s", TARGET)


def calls_in_progress(count: int) -> list[int]:
    """Attempts whose customer is on the line, each bound to its own call."""
    place = factories.site()
    leader = factories.supervisor(place.organisation)
    handled_by, campaign = factories.agent(place, leader), factories.campaign([place])
    taken_in = factories.import_record(place.organisation_id).id
    ids = []
    for n in range(count):
        caller = factories.customer(place.organisation_id, phone=None, email=f"bench{n}@example.com")
        call = factories.call(
            handled_by, place, customer=caller, import_id=taken_in, ended_at=clock.now() - timedelta(hours=1)
        )
        survey = factories.survey(call, campaign, supervisor=leader)
        attempt = factories.attempt(survey, Channel.IVR, state=AttemptState.UNDERWAY, provider_id=f"CA{n:032d}")
        ids.append(attempt.id)
    # As autovacuum would have by now: plans made for empty tables would be measured otherwise.
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    return ids


def answers_a_second(app: Flask, attempt_ids: list[int], repetitions: int) -> float:
    """Posts "yes, it was resolved" for one call after another, signed as the phone network signs."""
    ours = settings.current()
    token, transport = ours.twilio_auth_token.get_secret_value(), WsgiTransport(app)

    def answer(n: int) -> None:
        path = f"/ivr/attempts/{attempt_ids[n]}/answer?step=1&try=0&lang=en&question=resolved"
        url = ours.public_base_url + path
        params = {"CallSid": f"CA{n:032d}", "CallStatus": "in-progress", "Digits": "1"}
        reply = transport.post(url, params, {"X-Twilio-Signature": sign(token, url, params)})
        if reply.status != 200:
            raise RuntimeError(f"the answer webhook said {reply.status}")

    rate = per_second(answer, repetitions)
    kept = db.session.execute(text("SELECT count(*) FROM answers")).scalar_one()
    if kept != repetitions + max(1, repetitions // 10):
        raise RuntimeError(f"{kept} answers were kept")
    return rate
