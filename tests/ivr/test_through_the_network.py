"""The whole way of a call: the real client, over HTTP to the stand-in network, and its signed webhooks back to us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from flask import Flask

from ivr.channel import IvrChannel
from simulator.network import (
    Behaviour,
    Faults,
    HangUp,
    Heard,
    OurNumber,
    PhoneNetwork,
    Press,
    Reaction,
    RestServer,
    Ring,
    ScriptedCustomer,
    WsgiTransport,
)
from simulator.network import Call as NetworkCall
from survey import clock
from survey.db import db
from survey.models import Attempt, AttemptEvent, AttemptState, Disposition, MachineDetection, OptOut, Outcome
from tests.ivr.network import pointed_at
from tests.ivr.phone import BASE, TOKEN, dialled, id_of, reloaded, values_of

COMPLETED = ("1", "1", "5", "4")
OURS = "+12125550100"
MESSAGE = "We wanted to ask how it went."


@dataclass
class Stage:
    """A network with one customer on it, and the clock that moves both it and us."""

    app: Flask
    network: PhoneNetwork
    clock: clock.ManualClock
    customers: list[ScriptedCustomer] = field(default_factory=list)

    def deliver(self, attempt: Attempt, *keys: str | Reaction, ring: Ring | None = None) -> ScriptedCustomer:
        customer = ScriptedCustomer(keys, ring or Ring())
        self.customers.append(customer)
        IvrChannel().deliver(id_of(attempt))
        return customer

    def let_pass(self, minutes: int = 10) -> None:
        """Whatever the network does in the next minutes, the clock going along."""
        self.network.run_until(clock.now() + timedelta(minutes=minutes), self.clock.move_to)


@pytest.fixture
def stage(app: Flask, at_noon: clock.ManualClock) -> Iterator[Stage]:
    made: list[Stage] = []

    def behaviour(_: NetworkCall) -> ScriptedCustomer:
        return made[0].customers.pop(0)

    who: Behaviour = behaviour
    network = PhoneNetwork(
        auth_token=TOKEN,
        account_sid="AC" + "0" * 32,
        service=WsgiTransport(app),
        behaviour=who,
        clock=clock.now,
        numbers={OURS: OurNumber(f"{BASE}/ivr/inbound", status_callback=f"{BASE}/ivr/inbound/status")},
    )
    with RestServer(network) as server, pointed_at(app, server.url):
        made.append(Stage(app, network, at_noon))
        yield made[0]
    assert [entry.detail for entry in network.log.errors()] == []
    assert [entry.what for entry in network.log.of("warning")] == []


def _story(attempt: Attempt) -> tuple[AttemptState, Outcome | None, dict[str, str]]:
    row = reloaded(attempt)
    return row.state, row.outcome, values_of(row.survey_id)


def test_a_survey_by_phone(stage: Stage) -> None:
    attempt = dialled()
    customer = stage.deliver(attempt, *COMPLETED)
    stage.let_pass()
    values = {"resolved": "yes", "overall": "5", "agent": "4"}
    assert _story(attempt) == (AttemptState.ENDED, Outcome.COMPLETED, values)
    assert reloaded(attempt).survey.disposition is Disposition.COMPLETE
    assert [heard.text.split("?")[0] for heard in customer.heard[1:]] == [
        "Was the reason for your call resolved",
        "Overall, how satisfied were you with that call",
        "How satisfied were you with the last person you spoke to",
    ]
    kinds = [event.kind for event in db.session.query(AttemptEvent).order_by(AttemptEvent.id)]
    assert kinds == ["posted", "completed"]
    # voice, four keys, completed: no webhook more.
    assert len(stage.network.log.webhooks()) == 6


def test_keys_pressed_while_it_speaks(stage: Stage) -> None:
    attempt = dialled()
    stage.deliver(attempt, *(Press(key, after=-1.0) for key in COMPLETED))
    stage.let_pass()
    assert _story(attempt)[1] is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("keys", "outcome", "values"),
    [
        (("9",), Outcome.OPTED_OUT, {}),
        (("0",), Outcome.LATER, {}),
        (("8",), Outcome.WRONG_PERSON, {}),
        ((), Outcome.NO_INPUT, {}),
        (("1", "1", "7", "7", "7"), Outcome.NO_INPUT, {"resolved": "yes"}),
        (("1", "2", HangUp()), Outcome.HUNG_UP, {"resolved": "no"}),
        ((HangUp(after=-2.0),), Outcome.HUNG_UP, {}),
        (("1", "1", "#", "2", "*", "3", "5"), Outcome.COMPLETED, {"resolved": "no", "overall": "3", "agent": "5"}),
    ],
    ids=["opt-out", "later", "wrong person", "silence", "wrong keys", "hangs up", "at once", "back and repeat"],
)
def test_other_ways(stage: Stage, keys: tuple[str | Reaction, ...], outcome: Outcome, values: dict[str, str]) -> None:
    attempt = dialled()
    stage.deliver(attempt, *keys)
    stage.let_pass()
    assert _story(attempt) == (AttemptState.ENDED, outcome, values)


@pytest.mark.parametrize(
    ("ring", "outcome"),
    [
        (Ring("busy"), Outcome.BUSY),
        (Ring("no-answer"), Outcome.NO_ANSWER),
        (Ring(seconds=50.0), Outcome.NO_ANSWER),
        (Ring("failed", sip_code=404), Outcome.DEAD),
        (Ring("failed", sip_code=503), Outcome.FAILED),
    ],
)
def test_nobody_there(stage: Stage, ring: Ring, outcome: Outcome) -> None:
    attempt = dialled()
    stage.deliver(attempt, ring=ring)
    stage.let_pass()
    assert _story(attempt)[:2] == (AttemptState.ENDED, outcome)


@pytest.mark.parametrize("fault", ["error_after_dialling", "drop_after_dialling"])
def test_an_answer_that_never_reached_us(stage: Stage, fault: str) -> None:
    """Placed all the same: the first webhook binds the call, and nobody is dialled twice."""
    attempt = dialled()
    stage.network.misbehave(Faults(next_creates=(fault,)))
    stage.deliver(attempt, *COMPLETED)
    assert reloaded(attempt).state is AttemptState.DIALLING
    stage.let_pass()
    assert _story(attempt)[1] is Outcome.COMPLETED
    assert len(stage.network.log.dials()) == 1


def test_an_answer_and_all_callbacks_lost(stage: Stage) -> None:
    """Nobody picks up, so no webhook ever tells: the sweep finds the call."""
    attempt = dialled()
    stage.network.misbehave(Faults(next_creates=("error_after_dialling",), callback_lost=10_000))
    stage.deliver(attempt, ring=Ring("busy"))
    stage.let_pass(2)
    assert reloaded(attempt).state is AttemptState.DIALLING
    assert IvrChannel().reconcile() == 1
    assert _story(attempt)[:2] == (AttemptState.ENDED, Outcome.BUSY)
    assert len(stage.network.log.dials()) == 1


def test_an_error_before_dialling_ends_unknown(stage: Stage) -> None:
    attempt = dialled()
    stage.network.misbehave(Faults(next_creates=("error_before_dialling",)))
    stage.deliver(attempt)
    for _ in range(6):
        stage.let_pass(1)
        IvrChannel().reconcile()
    assert _story(attempt)[:2] == (AttemptState.ENDED, Outcome.UNKNOWN)
    assert stage.network.log.dials() == []


def test_a_lost_last_callback_is_caught_up_with(stage: Stage) -> None:
    attempt = dialled()
    stage.network.misbehave(Faults(next_callbacks=("callback_lost",)))
    stage.deliver(attempt, "1", "2", HangUp())
    stage.let_pass(7)
    assert reloaded(attempt).state is AttemptState.UNDERWAY
    assert IvrChannel().reconcile() == 1
    assert _story(attempt)[:2] == (AttemptState.ENDED, Outcome.HUNG_UP)


def test_everything_at_once_that_may_go_wrong_with_webhooks(stage: Stage) -> None:
    attempt = dialled()
    stage.network.misbehave(Faults(callback_delayed=5_000, callback_duplicated=5_000, answer_repeated=10_000))
    stage.deliver(attempt, *COMPLETED)
    stage.let_pass()
    values = {"resolved": "yes", "overall": "5", "agent": "4"}
    assert _story(attempt) == (AttemptState.ENDED, Outcome.COMPLETED, values)


def test_a_call_heard_in_the_customers_language(stage: Stage) -> None:
    attempt = dialled()
    attempt.survey.customer.language = None
    db.session.commit()
    customer = stage.deliver(attempt, "2", *COMPLETED)
    stage.let_pass()
    assert _story(attempt)[1] is Outcome.COMPLETED
    assert {heard.language for heard in customer.heard[1:]} == {"es-US"}


def test_heard_is_what_was_asked(stage: Stage) -> None:
    """Customers answer by what they hear; where the answer goes names the question, once a call."""
    attempt = dialled()
    customer = stage.deliver(attempt, *COMPLETED)
    stage.let_pass()

    def asked(heard: Heard) -> str:
        return heard.action.partition("question=")[2].partition("#")[0]

    assert [asked(heard) for heard in customer.heard] == ["", "resolved", "overall", "agent"]


@pytest.mark.parametrize("detection", [MachineDetection.SYNC, MachineDetection.ASYNC])
@pytest.mark.parametrize("message", [False, True])
def test_a_machine_hears_the_message_or_nothing_more(stage: Stage, detection: MachineDetection, message: bool) -> None:
    attempt = dialled()
    campaign = attempt.survey.campaign
    campaign.machine_detection, campaign.voicemail_message = detection, message
    db.session.commit()
    stage.deliver(attempt, ring=Ring("machine", 5.0))
    stage.let_pass()
    row = reloaded(attempt)
    assert (row.state, row.outcome, row.survey.is_open) == (AttemptState.ENDED, Outcome.VOICEMAIL, True)
    heard = stage.network.transcript(row.provider_id)
    assert (MESSAGE in heard) == message
    assert ("press 9" in heard) == (detection is MachineDetection.ASYNC), "a person would have heard it by then"
    assert row.billed_seconds is not None, "and the network's word on the call came"


@pytest.mark.parametrize("detection", [MachineDetection.SYNC, MachineDetection.ASYNC])
def test_people_are_no_machines(stage: Stage, detection: MachineDetection) -> None:
    attempt = dialled()
    attempt.survey.campaign.machine_detection = detection
    db.session.commit()
    stage.deliver(attempt, *COMPLETED)
    stage.let_pass()
    assert reloaded(attempt).survey.disposition is Disposition.COMPLETE


def test_a_missed_call_is_called_back_and_answered(stage: Stage) -> None:
    attempt = dialled()
    attempt.survey.campaign.caller_id = OURS
    db.session.commit()
    theirs, survey_id = attempt.survey.customer.phone, attempt.survey_id
    assert theirs is not None
    stage.deliver(attempt, ring=Ring("no-answer", 20.0))
    stage.let_pass()
    assert reloaded(attempt).outcome is Outcome.NO_ANSWER
    stage.network.call_in(theirs, OURS, ScriptedCustomer(COMPLETED))
    stage.let_pass()
    (back,) = db.session.query(Attempt).filter_by(survey_id=survey_id, inbound=True)
    assert (back.outcome, back.survey.disposition) == (Outcome.COMPLETED, Disposition.COMPLETE)
    assert back.billed_seconds is not None


def test_a_stranger_calls_and_is_left_alone(stage: Stage) -> None:
    attempt = dialled()
    attempt.survey.campaign.caller_id = OURS
    db.session.commit()
    stage.network.call_in("+12125550177", OURS, ScriptedCustomer(["9"]))
    stage.let_pass()
    assert db.session.query(OptOut).one().kind == "phone"
