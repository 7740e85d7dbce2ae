"""Everything that goes wrong on purpose, and how the real client sees it."""

from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioException, TwilioRestException

from simulator.network import Faults, RestServer, ScriptedCustomer
from simulator.network.faults import Dice
from tests.simulator.stage import BASE, CALLER, CUSTOMER, Stage, client, gather, say


def create(server: RestServer, timeout: float = 5.0) -> Any:
    wanted = {"to": CUSTOMER, "from_": CALLER, "url": f"{BASE}/voice", "status_callback": f"{BASE}/status"}
    return client(server.url, timeout=timeout).calls.create(**wanted)


@pytest.mark.parametrize(
    ("fault", "status", "code", "dialled"),
    [
        ("too_many_requests", 429, 20429, 0),
        ("error_before_dialling", 500, 20500, 0),
        ("error_after_dialling", 500, 20500, 1),
    ],
)
def test_refused_and_dialled_or_not(fault: str, status: int, code: int, dialled: int) -> None:
    stage = Stage(faults=Faults(next_creates=(fault,)))
    stage.service.answers["/voice"] = say("Hello")
    with RestServer(stage.network) as server:
        with pytest.raises(TwilioRestException) as refused:
            create(server)
        stage.finish()
        assert (refused.value.status, refused.value.code) == (status, code)
        assert len(stage.network.log.dials()) == len(stage.service.at("/voice")) == dialled
        assert create(server).status == "queued"
    assert [entry.what for entry in stage.network.log.of("fault")] == [fault]


def test_the_client_gives_up_waiting_but_the_phone_rings() -> None:
    stage = Stage(faults=Faults(next_creates=("hang_after_dialling",), hang_seconds=30))
    with RestServer(stage.network) as server:
        with pytest.raises(requests.exceptions.ReadTimeout):
            create(server, timeout=0.3)
        stage.finish()
        assert len(stage.network.log.dials()) == 1
        assert [call.status for call in client(server.url).calls.list(to=CUSTOMER)] == ["completed"]


def test_the_connection_drops_but_the_phone_rings() -> None:
    stage = Stage(faults=Faults(next_creates=("drop_after_dialling",)))
    with RestServer(stage.network) as server:
        with pytest.raises(requests.exceptions.ConnectionError):
            create(server)
        stage.finish()
        assert len(stage.network.log.dials()) == 1
        assert create(server).status == "queued"


def test_a_lost_callback_leaves_a_gap() -> None:
    stage = Stage(faults=Faults(next_callbacks=("none", "none", "callback_lost", "none")))
    stage.call(say("Hello"))
    assert [form["SequenceNumber"] for form in stage.service.at("/status")] == ["0", "1", "3"]


def test_a_duplicated_callback_comes_twice_and_is_the_same() -> None:
    stage = Stage(faults=Faults(next_callbacks=("none", "none", "none", "callback_duplicated")))
    stage.call(say("Hello"))
    *_, last, copy = stage.service.at("/status")
    assert last == copy and last["CallStatus"] == "completed"


def test_a_delayed_callback_is_overtaken() -> None:
    stage = Stage(faults=Faults(next_callbacks=("none", "callback_delayed"), delay_seconds=(60, 60)))
    stage.call(say("Hello"))
    late = stage.service.at("/status")[-1]
    assert stage.service.statuses() == ["initiated", "in-progress", "completed", "ringing"]
    assert late["SequenceNumber"] == "1" and "CallDuration" not in late


def test_an_answer_may_come_twice() -> None:
    stage = Stage(ScriptedCustomer(["1", "2"]), faults=Faults(next_answers=("answer_repeated",)))
    stage.service.answers |= {"/two": gather("Next?", "/three"), "/three": say("Bye.")}
    stage.call(gather("First?", "/two"))
    assert [form["Digits"] for form in stage.service.at("/two")] == ["1", "1"]
    assert [form["Digits"] for form in stage.service.at("/three")] == ["2"]
    tokens = [got.headers["I-Twilio-Idempotency-Token"] for got in stage.service.received if got.path == "/two"]
    assert tokens[0] == tokens[1]


def test_an_echo_comes_after_the_answers_that_followed() -> None:
    stage = Stage(ScriptedCustomer(["1", "2"]), faults=Faults(next_answers=("answer_echoed",), delay_seconds=(60, 60)))
    stage.service.answers |= {"/two": gather("Next?", "/three"), "/three": say("Bye.")}
    stage.call(gather("First?", "/two"))
    answers = [(got.path, got.form["Digits"]) for got in stage.service.received if got.path in ("/two", "/three")]
    assert answers == [("/two", "1"), ("/three", "2"), ("/two", "1")]


def test_a_slow_answer_comes_all_the_same() -> None:
    stage = Stage(faults=Faults(next_creates=("slow_after_dialling",), slow_seconds=0.2))
    with RestServer(stage.network) as server:
        assert create(server).status == "queued"
    assert [entry.what for entry in stage.network.log.of("fault")] == ["slow_after_dialling"]


def test_asking_after_a_call_may_fail() -> None:
    stage = Stage(faults=Faults(next_lookups=("lookup_refused", "lookup_refused")))
    with RestServer(stage.network) as server:
        sid = create(server).sid
        calls = client(server.url).calls
        with pytest.raises(TwilioRestException) as refused:
            calls(sid).fetch()
        assert (refused.value.status, refused.value.code) == (503, 20500)
        # A list tells its faults by another exception.
        with pytest.raises(TwilioException, match="HTTP 503"):
            calls.list(to=CUSTOMER)
        assert calls(sid).fetch().status == "queued"


def test_chances_are_kept_and_repeat_by_seed() -> None:
    def play(seed: int) -> list[str]:
        stage = Stage(seed=seed, faults=Faults(callback_lost=1000, callback_duplicated=500, callback_delayed=500))
        stage.service.answers["/voice"] = say("Hello")
        for _ in range(250):
            stage.create()
        stage.finish()
        return [f"{entry.call_sid} {entry.what} {entry.detail['event']}" for entry in stage.network.log.of("fault")]

    first = play(11)
    assert first == play(11) and first != play(12)
    lost = sum("callback_lost" in line for line in first)
    assert 70 <= lost <= 130 and 150 <= len(first) <= 250  # of 1,000 callbacks: 100 and 200 expected


def test_faults_of_creation_repeat_by_seed() -> None:
    def play() -> list[str]:
        stage = Stage(seed=3, faults=Faults(too_many_requests=2000, error_after_dialling=2000))
        with RestServer(stage.network) as server:
            for _ in range(30):
                try:
                    create(server)
                except TwilioRestException:
                    continue
        return [entry.what for entry in stage.network.log.of("fault")]

    assert play() == play() and set(play()) == {"too_many_requests", "error_after_dialling"}


def test_another_seed_fails_elsewhere() -> None:
    def play(seed: int) -> list[str]:
        dice = Dice(Faults(too_many_requests=5000), seed)
        return [dice.for_create() for _ in range(64)]

    assert play(1) == play(1) != play(2)


def test_without_faults_nothing_goes_wrong() -> None:
    stage = Stage()
    stage.service.answers["/voice"] = say("Hello")
    for _ in range(100):
        stage.create()
    stage.finish()
    assert stage.network.log.of("fault") == [] and len(stage.service.at("/status")) == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"callback_lost": -1},
        {"too_many_requests": 6000, "error_after_dialling": 5000},
        {"next_creates": ("callback_lost",)},
        {"next_callbacks": ("typo",)},
    ],
)
def test_impossible_faults_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be 0 or more|knows"):
        Faults(**wrong)
