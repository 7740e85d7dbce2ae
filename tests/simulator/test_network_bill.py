"""What a real network would bill."""

import pytest

from simulator.network import OurNumber, Ring, ScriptedCustomer, Speak, Tariff
from simulator.network.billing import dollars, minutes
from tests.simulator.stage import BASE, CALLER, CUSTOMER, Stage

TARIFF = Tariff(outbound={"": 900, "+1": 140, "+1202": 150, "+44": 160}, inbound=85, detection=75, recording=25)


@pytest.mark.parametrize(("seconds", "billed"), [(0, 1), (1, 1), (60, 1), (60.1, 2), (61, 2), (120, 2), (3600, 60)])
def test_every_minute_begun_counts(seconds: float, billed: int) -> None:
    assert minutes(seconds) == billed


def test_amounts_are_written_in_dollars() -> None:
    assert [dollars(amount) for amount in (0, 75, 10_000, 123_456)] == ["0.0000", "0.0075", "1.0000", "12.3456"]


def pause(seconds: int) -> str:
    return f'<Response><Pause length="{seconds}"/></Response>'


def bills(stage: Stage) -> list[tuple[str, ...]]:
    shown = ("times", "price", "total")
    return [(entry.what, *(entry.detail[name] for name in shown)) for entry in stage.network.log.bills()]


def test_calls_are_billed_by_the_minute_and_the_number_called() -> None:
    stage = Stage(tariff=TARIFF)
    prices = [stage.call(pause(61), to=to).price for to in (CUSTOMER, "+442079460000", "+33199000000")]
    assert prices == ["-0.0300", "-0.0320", "-0.1800"]
    assert bills(stage) == [
        ("call", "2", "0.0300", "0.0300"),
        ("call", "2", "0.0320", "0.0620"),
        ("call", "2", "0.1800", "0.2420"),
    ]
    assert stage.network.billed == "0.2420"


def test_nobody_pays_for_what_nobody_answered() -> None:
    rings = [Ring("busy"), Ring("no-answer"), Ring("failed")]
    stage = Stage(*[ScriptedCustomer(ring=ring) for ring in rings])
    assert [stage.call(pause(1), machine_detection="Enable").price for _ in rings] == [None, None, None]
    assert bills(stage) == [] and stage.network.billed == "0.0000"


def test_detection_and_recordings_cost_too() -> None:
    stage = Stage(ScriptedCustomer(recording=Speak("Fine.", seconds=70)), tariff=TARIFF)
    stage.service.answers["/recorded"] = "<Response/>"
    record = '<Record action="/recorded" transcribe="true" transcribeCallback="/written"/>'
    call = stage.call(f"<Response>{record}</Response>", machine_detection="Enable")
    assert sorted(bills(stage)) == [
        ("call", "2", "0.0300", "0.0300"),
        ("detection", "1", "0.0075", "0.0375"),
        ("recording", "2", "0.0050", "0.0425"),
        ("transcription", "2", "0.1000", "0.1425"),
    ]
    assert call.price == "-0.0300"  # of the connection alone, as Twilio shows it
    assert {entry.call_sid for entry in stage.network.log.bills()} == {call.sid}


def test_calls_to_us_have_a_price_of_their_own() -> None:
    stage = Stage(tariff=TARIFF, numbers={CALLER: OurNumber(f"{BASE}/inbound")})
    stage.service.answers["/inbound"] = pause(30)
    stage.network.call_in(CUSTOMER, CALLER, ScriptedCustomer())
    stage.finish()
    assert bills(stage) == [("call", "1", "0.0085", "0.0085")]
