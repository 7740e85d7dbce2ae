"""The web channel: at most one email an attempt, whatever breaks, and every answer of the relay written down."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from survey import attempts, breakers, lifecycle
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, Breaker, Channel, Disposition, OptOutSource, Outcome
from survey.vault import token_hash
from tests import factories
from tests.websurvey.support import Mailbox, body, dialling, free_port, fresh, link_of, sent_link, set_to
from websurvey import channel as channel_module
from websurvey import links
from websurvey.channel import WebChannel
from websurvey.mailer import Relay, relay_address

pytestmark = pytest.mark.usefixtures("at_noon")


def test_a_delivered_attempt_is_underway_with_its_link_out(channel: WebChannel, mailbox: Mailbox) -> None:
    attempt_id = dialling()
    channel.deliver(attempt_id)
    attempt = fresh(attempt_id)
    (message,) = mailbox.messages
    assert attempt.state is AttemptState.UNDERWAY
    assert attempt.provider_id == message["Message-ID"]
    assert mailbox.envelopes[0].rcpt_tos == [attempt.survey.customer.email]


def test_a_letter_about_a_call_whose_last_agent_is_not_certain(channel: WebChannel, mailbox: Mailbox) -> None:
    attempt_id = dialling(factories.survey(factories.call(uncertain=True)))
    channel.deliver(attempt_id)
    assert fresh(attempt_id).state is AttemptState.UNDERWAY
    (message,) = mailbox.messages
    assert "spoke" not in body(message, "plain") + body(message, "html")


def test_only_a_hash_of_the_link_is_kept(channel: WebChannel, mailbox: Mailbox) -> None:
    attempt_id = dialling()
    channel.deliver(attempt_id)
    token = link_of(mailbox.messages[0]).removeprefix("/s/")
    assert len(token) == 22, "128 bits in URL-safe base64"
    assert fresh(attempt_id).token_hash == token_hash(token)
    columns = db.session.execute(Attempt.__table__.select()).mappings().one()
    assert not any(token in str(value) for value in columns.values())
    found = links.find(token)
    assert found is not None and found.id == attempt_id


def test_delivering_twice_mails_once(channel: WebChannel, mailbox: Mailbox) -> None:
    attempt_id = dialling()
    channel.deliver(attempt_id)
    channel.deliver(attempt_id)
    assert len(mailbox.envelopes) == 1


def test_a_bound_attempt_is_never_mailed_though_still_dialling(channel: WebChannel, mailbox: Mailbox) -> None:
    attempt, _ = sent_link(state=AttemptState.DIALLING)
    channel.deliver(attempt.id)
    assert not mailbox.envelopes


@pytest.mark.parametrize("state", [AttemptState.PLANNED, AttemptState.QUEUED, AttemptState.UNDERWAY])
def test_only_a_committed_intent_is_sent(channel: WebChannel, mailbox: Mailbox, state: AttemptState) -> None:
    attempt = factories.attempt(channel=Channel.WEB, state=state)
    phone = factories.attempt(channel=Channel.IVR, state=AttemptState.DIALLING)
    db.session.commit()
    for attempt_id in (attempt.id, phone.id, 999_999):
        channel.deliver(attempt_id)
    assert not mailbox.envelopes
    assert fresh(attempt.id).state is state
    assert fresh(phone.id).state is AttemptState.DIALLING


def test_no_connection_is_held_on_the_wire(
    channel: WebChannel, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy: list[int] = []
    send = Relay.send

    def watched(self: Relay, *letter: object) -> None:
        busy.append(db.engine.pool.checkedout())  # type: ignore[attr-defined]
        send(self, *letter)  # type: ignore[arg-type]

    monkeypatch.setattr(Relay, "send", watched)
    channel.deliver(dialling())
    assert busy == [0]


@pytest.mark.parametrize(
    ("reply", "outcome"), [("550 5.1.1 unknown", Outcome.BOUNCED), ("450 4.2.0 greylisted", Outcome.FAILED)]
)
def test_a_refused_letter_ends_the_attempt_and_its_link(
    channel: WebChannel, mailbox: Mailbox, reply: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "new_token", lambda: "known")
    mailbox.rcpt_reply = reply
    attempt_id = dialling()
    channel.deliver(attempt_id)
    attempt = fresh(attempt_id)
    assert (attempt.state, attempt.outcome) == (AttemptState.ENDED, outcome)
    assert attempt.detail is not None and reply[:9] in attempt.detail
    assert attempt.survey.plan_at is not None, "the scheduler thinks again"
    assert links.find("known") is None


def test_a_letter_in_doubt_counts_as_sent(channel: WebChannel, mailbox: Mailbox) -> None:
    mailbox.hang_up_on_data = True
    attempt_id = dialling()
    channel.deliver(attempt_id)
    attempt = fresh(attempt_id)
    assert attempt.state is AttemptState.UNDERWAY
    assert attempt.detail is not None and "may have arrived" in attempt.detail
    assert links.find(link_of(mailbox.messages[0]).removeprefix("/s/")) is not None
    channel.deliver(attempt_id)
    assert len(mailbox.envelopes) == 1


@pytest.mark.parametrize("url", [None, "not an address", "dead"])
def test_without_a_relay_the_attempt_waits(app: Flask, at_noon: ManualClock, url: str | None) -> None:
    attempt_id = dialling()
    with set_to(app, smtp_url=f"smtp://127.0.0.1:{free_port()}" if url == "dead" else url):
        WebChannel().deliver(attempt_id)
    attempt = fresh(attempt_id)
    assert (attempt.state, attempt.started_at) == (AttemptState.PLANNED, None)
    assert attempt.due_at == at_noon() + timedelta(minutes=15)
    assert (attempt.token_hash, attempt.provider_id) == (None, None)


def test_the_missing_relay_is_told_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(channel_module.log, "error", lambda event, **more: told.append(more["reason"]))
    channel = WebChannel()
    for _ in range(3):
        channel.deliver(dialling())
    assert len(told) == 1 and "SMTP_URL" in told[0]


def test_after_the_relay_is_back_the_same_message_goes_once(
    app: Flask, channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock
) -> None:
    attempt_id = dialling()
    mailbox.mail_reply = "421 4.3.2 closing"
    channel.deliver(attempt_id)
    assert fresh(attempt_id).state is AttemptState.PLANNED
    mailbox.mail_reply = "250 OK"
    at_noon.move_to(at_noon() + timedelta(hours=1))
    db.session.get_one(Attempt, attempt_id).state = AttemptState.QUEUED
    db.session.flush()
    attempts.begin(attempt_id)
    db.session.commit()
    channel.deliver(attempt_id)
    assert fresh(attempt_id).state is AttemptState.UNDERWAY
    assert len(mailbox.messages) == 1


def test_nothing_is_sent_for_a_closed_survey(channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock) -> None:
    survey = factories.survey()
    attempt_id = dialling(survey)
    at_noon.move_to(survey.deadline)
    channel.deliver(attempt_id)
    assert not mailbox.envelopes
    assert fresh(attempt_id).outcome is Outcome.FAILED


def test_a_customer_without_an_address_bounces(channel: WebChannel, mailbox: Mailbox) -> None:
    place = factories.site()
    call = factories.call(place=place, customer=factories.customer(place.organisation_id, email=None))
    attempt_id = dialling(factories.survey(call))
    channel.deliver(attempt_id)
    assert fresh(attempt_id).outcome is Outcome.BOUNCED


def test_a_survey_that_closes_while_the_letter_flies_leaves_nothing_underway(
    channel: WebChannel, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Relay.send
    survey = factories.survey()
    attempt_id, survey_id = dialling(survey), survey.id

    def closing(self: Relay, *letter: object) -> None:
        send(self, *letter)  # type: ignore[arg-type]
        lifecycle.opt_out(lifecycle.locked(survey_id), ["phone"], OptOutSource.PHONE_KEY)
        db.session.commit()

    monkeypatch.setattr(Relay, "send", closing)
    channel.deliver(attempt_id)
    attempt = fresh(attempt_id)
    assert attempt.survey.disposition is Disposition.OPTED_OUT
    assert (attempt.state, attempt.outcome) == (AttemptState.ENDED, Outcome.SILENCE)


def crash(*_: object) -> None:
    raise OperationalError("the machine went down", None, Exception())


def test_a_crash_after_sending_is_taken_as_sent(
    channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt_id = dialling()
    with monkeypatch.context() as patched:
        patched.setattr(channel_module, "_settle", crash)
        with pytest.raises(OperationalError):
            channel.deliver(attempt_id)
    assert fresh(attempt_id).state is AttemptState.DIALLING
    assert channel.reconcile() == 0, "not before its time"
    at_noon.move_to(at_noon() + timedelta(minutes=11))
    assert channel.reconcile() == 1
    assert fresh(attempt_id).state is AttemptState.UNDERWAY
    assert channel.reconcile() == 0
    channel.deliver(attempt_id)
    assert len(mailbox.envelopes) == 1


def test_a_crash_before_the_link_was_bound_is_planned_again(
    channel: WebChannel, mailbox: Mailbox, at_noon: ManualClock
) -> None:
    attempt_id = dialling()
    at_noon.move_to(at_noon() + timedelta(minutes=11))
    assert channel.reconcile() == 1
    assert fresh(attempt_id).state is AttemptState.PLANNED
    assert not mailbox.envelopes


def test_reconciling_after_the_close_ends_the_attempt(channel: WebChannel, at_noon: ManualClock) -> None:
    survey = factories.survey()
    attempt, _ = sent_link(survey, state=AttemptState.DIALLING)
    at_noon.move_to(survey.deadline)
    lifecycle.close_expired()
    db.session.commit()
    assert channel.reconcile() == 1
    assert fresh(attempt.id).outcome is Outcome.SILENCE


def test_reconciling_leaves_the_phones_attempts_alone(channel: WebChannel, at_noon: ManualClock) -> None:
    attempt = factories.attempt(channel=Channel.IVR, state=AttemptState.DIALLING)
    db.session.commit()
    at_noon.move_to(at_noon() + timedelta(hours=1))
    assert channel.reconcile() == 0
    assert fresh(attempt.id).state is AttemptState.DIALLING


def test_an_address_no_header_can_hold_bounces(channel: WebChannel, mailbox: Mailbox) -> None:
    survey = factories.survey()
    survey.customer.email = "=?utf-8?q?a?=@example.com"
    attempt_id = dialling(survey)
    channel.deliver(attempt_id)
    attempt = fresh(attempt_id)
    assert (attempt.state, attempt.outcome) == (AttemptState.ENDED, Outcome.BOUNCED)
    assert mailbox.envelopes == []


def test_many_threads_that_begin_at_once_share_one_relay(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(url: str | None) -> Relay:
        time.sleep(0.1)
        return Relay(relay_address(url or ""), "survey@example.com", "survey.example.com")

    monkeypatch.setattr(channel_module, "_relay", slowly)
    channel, found = WebChannel(), []

    def look() -> None:
        with app.app_context():
            found.append(channel._current_relay())

    with set_to(app, smtp_url="smtp://127.0.0.1:25"):
        threads = [threading.Thread(target=look, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(found) == 4
    assert found[0] is not None and len(set(map(id, found))) == 1


@pytest.mark.parametrize(
    ("replies", "failures"),
    [
        ({}, 0),
        ({"mail_reply": "421 4.3.2 closing"}, 3),
        ({"hang_up_on_data": True}, 3),
        ({"rcpt_reply": "550 5.1.1 no such user"}, 0),
    ],
    ids=["taken", "closing", "broken off", "no such mailbox"],
)
def test_the_breaker_hears_what_would_befall_every_letter(
    channel: WebChannel, mailbox: Mailbox, replies: dict[str, object], failures: int
) -> None:
    for _ in range(2):
        breakers.failed(Channel.WEB, "", None)
    for name, value in replies.items():
        setattr(mailbox, name, value)
    channel.deliver(dialling())
    assert db.session.get_one(Breaker, Channel.WEB).failures == failures


def test_without_a_relay_the_channel_is_left_alone(app: Flask) -> None:
    with set_to(app, smtp_url=None):
        for _ in range(breakers.OPENS_AFTER):
            WebChannel().deliver(dialling())
    (breaker,) = breakers.open_now()
    assert (breaker.channel, breaker.reason) == (Channel.WEB, channel_module.NO_RELAY)
