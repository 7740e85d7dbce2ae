"""The REST API, as the real twilio client sees it over a real socket."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from simulator.network import RestServer, Ring, ScriptedCustomer
from tests.simulator.contract import Contract
from tests.simulator.stage import ACCOUNT, BASE, CALLER, CALLS, CUSTOMER, START, TOKEN, Door, Stage, gather, say


@pytest.fixture
def door() -> Iterator[Door]:
    stage = Stage()
    stage.service.answers["/voice"] = say("Hello")
    with RestServer(stage.network) as server:
        yield Door(stage, server)


def test_create_queues_and_dials_nobody_yet(door: Door) -> None:
    call = door.create()
    assert (call.status, call.to, call._from, call.direction) == ("queued", CUSTOMER, CALLER, "outbound-api")
    assert call.sid.startswith("CA") and len(call.sid) == 34
    assert call.date_created == START and call.start_time is None and call.duration is None
    assert door.stage.service.received == [] and door.stage.network.log.dials() == []


def test_a_call_created_by_the_client_runs_and_is_fetched(door: Door) -> None:
    call = door.create(timeout=20, machine_detection="Enable")
    door.stage.finish()
    fetched = door.client.calls(call.sid).fetch()
    assert (fetched.status, fetched.answered_by) == ("completed", "human")
    assert fetched.start_time == START and fetched.end_time > START and int(fetched.duration) > 0
    assert door.stage.service.statuses() == ["initiated", "ringing", "in-progress", "completed"]


def test_a_call_that_sends_digits_is_not_listened_to(door: Door) -> None:
    call = door.create(machine_detection="Enable", machine_detection_timeout=3, send_digits="W12")
    door.stage.finish()
    assert door.client.calls(call.sid).fetch().answered_by is None
    assert "AnsweredBy" not in door.stage.service.at("/voice")[0]


def test_what_tunes_the_detection_is_read(door: Door) -> None:
    door.stage.customers = [ScriptedCustomer(ring=Ring("machine"))]
    tuned = {"machine_detection_speech_threshold": 6000, "machine_detection_timeout": 5}
    call = door.create(machine_detection="Enable", **tuned)
    door.stage.finish()
    assert door.client.calls(call.sid).fetch().answered_by == "unknown"
    assert door.stage.service.at("/voice")[0]["MachineDetectionDuration"] == "5000"


def test_cancelled_while_queued_fires_nothing_and_dials_nobody(door: Door) -> None:
    call = door.create()
    assert door.client.calls(call.sid).update(status="canceled").status == "canceled"
    door.stage.finish()
    assert door.stage.service.received == [] and door.stage.network.log.dials() == []
    fetched = door.client.calls(call.sid).fetch()
    assert fetched.status == "canceled" and fetched.start_time is None


def test_cancelled_while_ringing_is_told(door: Door) -> None:
    call = door.create()
    door.stage.network.run_until(START + timedelta(seconds=3), door.stage.move)
    door.client.calls(call.sid).update(status="canceled")
    door.stage.finish()
    assert door.stage.service.statuses() == ["initiated", "ringing", "canceled"]
    assert door.stage.service.at("/voice") == []


def test_hanging_up_a_call_in_progress_is_safe_to_repeat(door: Door) -> None:
    door.stage.service.answers["/voice"] = '<Response><Pause length="60"/><Say>never heard</Say></Response>'
    call = door.create()
    door.stage.network.run_until(START + timedelta(seconds=20), door.stage.move)
    assert door.client.calls(call.sid).update(status="canceled").status == "in-progress"
    assert door.client.calls(call.sid).update(status="completed").status == "completed"
    assert door.client.calls(call.sid).update(status="completed").status == "completed"
    door.stage.finish()
    assert door.stage.service.statuses() == ["initiated", "ringing", "in-progress", "completed"]
    assert "never heard" not in door.stage.network.transcript(call.sid)
    assert door.client.calls(call.sid).fetch().duration == "11"


@pytest.mark.parametrize("given", [{"url": f"{BASE}/other"}, {"twiml": say("Elsewhere.")}])
def test_a_call_in_progress_is_sent_elsewhere(door: Door, given: dict[str, str]) -> None:
    door.stage.service.answers |= {"/voice": '<Response><Pause length="60"/></Response>', "/other": say("Elsewhere.")}
    call = door.create()
    refuse_update(door, call.sid, given, "Call is queued, not in-progress. Cannot redirect.")
    door.stage.network.run_until(START + timedelta(seconds=20), door.stage.move)
    assert door.client.calls(call.sid).update(**given).status == "in-progress"
    door.stage.finish()
    assert "00:11 Aftercall says (en-US): Elsewhere." in door.stage.network.transcript(call.sid)
    assert door.client.calls(call.sid).fetch().duration == "11"
    refuse_update(door, call.sid, given, "Call is completed, not in-progress. Cannot redirect.")
    assert door.stage.service.statuses() == ["initiated", "ringing", "in-progress", "completed"]


def refuse_update(door: Door, sid: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(TwilioRestException) as refused:
        door.client.calls(sid).update(**given)
    assert (refused.value.status, refused.value.code) == (400, 21220) and message in refused.value.msg


def test_a_call_sent_elsewhere_takes_its_other_addresses_along(door: Door) -> None:
    door.stage.service.answers |= {
        "/voice": '<Response><Pause length="60"/></Response>',
        "/other": 500,
        "/fallback": '<Response><Pause length="900"/></Response>',
        "/told": 204,
    }
    call = door.create()
    door.stage.network.run_until(START + timedelta(seconds=20), door.stage.move)
    door.client.calls(call.sid).update(
        url=f"{BASE}/other", fallback_url=f"{BASE}/fallback", status_callback=f"{BASE}/told", time_limit=30
    )
    door.stage.finish()
    assert len(door.stage.service.at("/fallback")) == 1
    assert [form["CallStatus"] for form in door.stage.service.at("/told")] == ["completed"]
    assert door.client.calls(call.sid).fetch().duration == "30"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Status": "busy"}, 20001),
        ({"Url": "/other"}, 21205),
        ({"Url": f"{BASE}/other", "Twiml": "<Response/>"}, 20001),
        ({"Twiml": "x" * 4001}, 20001),
        ({"Url": f"{BASE}/other", "Method": "GET"}, 20001),
        ({"Url": f"{BASE}/other", "StatusCallback": "nowhere"}, 21609),
        ({"Url": f"{BASE}/other", "TimeLimit": "soon"}, 20001),
    ],
)
def test_a_bad_update_is_refused(door: Door, form: dict[str, Any], code: int) -> None:
    call = door.create()
    door.stage.network.run_until(START + timedelta(seconds=9), door.stage.move)
    answer = door.post(CALLS.replace(".json", f"/{call.sid}.json"), **form)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_call_may_be_ended_from_inside_a_webhook(door: Door) -> None:
    """The service asks the API while the network waits for its answer: neither may wait for the other for ever."""
    customer = ScriptedCustomer(["1"])
    door.stage.customers = [customer]

    def hang_up(got: Any) -> str:
        door.client.calls(got.form["CallSid"]).update(status="completed")
        return say("never heard")

    door.stage.service.answers |= {"/voice": gather("Press 1.", "/two"), "/two": hang_up}
    call = door.create()
    door.stage.finish()
    assert door.client.calls(call.sid).fetch().status == "completed"
    assert "never heard" not in door.stage.network.transcript(call.sid)
    assert door.stage.service.statuses().count("completed") == 1


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "2025550123"}, 21211),
        ({"To": "+0123456789"}, 21211),
        ({"To": "+1202555012345678"}, 21211),
        ({"From": ""}, 21213),
        ({"From": "survey"}, 21212),
        ({"Url": ""}, 21205),
        ({"Url": "/voice"}, 21205),
        ({"Url": "ftp://survey.example.com/voice"}, 21205),
        ({"Url": "", "Twiml": "x" * 4001}, 20001),
        ({"Url": "", "ApplicationSid": "AP" + "0" * 32}, 21218),
        ({"StatusCallback": "https://my_host.example.com/status"}, 21609),
        ({"StatusCallbackEvent": "initiated answered"}, 21626),
        ({"StatusCallbackEvent": ["initiated", "hung-up"]}, 21626),
        ({"Timeout": "601"}, 20001),
        ({"Timeout": "soon"}, 20001),
        ({"MachineDetection": "Always"}, 20001),
        ({"MachineDetectionTimeout": "60"}, 20001),
        ({"MachineDetectionTimeout": "soon"}, 20001),
        ({"AsyncAmdStatusCallback": "nowhere"}, 21609),
        ({"AsyncAmdStatusCallbackMethod": "GET"}, 20001),
        ({"Method": "GET"}, 20001),
    ],
)
def test_a_bad_call_is_refused_with_twilio_s_code(door: Door, form: dict[str, Any], code: int) -> None:
    answer = door.post(**({"To": CUSTOMER, "From": CALLER, "Url": f"{BASE}/voice"} | form))
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (400, code, 400)
    assert body["message"] and body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert len(door.stage.network.calls) == 0


def test_the_client_understands_a_refusal(door: Door) -> None:
    with pytest.raises(TwilioRestException) as refused:
        door.create(to="12345")
    assert (refused.value.status, refused.value.code) == (400, 21211)


def test_numbers_the_network_is_told_to_refuse() -> None:
    stage = Stage(refusals={CUSTOMER: 21215})
    with RestServer(stage.network) as server, pytest.raises(TwilioRestException) as refused:
        Door(stage, server).create()
    assert refused.value.code == 21215


@pytest.mark.parametrize("auth", [None, (ACCOUNT, "wrong"), ("AC" + "1" * 32, TOKEN), ("", "")])
def test_nobody_gets_in_without_the_token(door: Door, auth: Any) -> None:
    answer = door.post(auth=auth, To=CUSTOMER, From=CALLER, Url=f"{BASE}/voice")
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert len(door.stage.network.calls) == 0


def test_unknown_addresses_and_methods(door: Door) -> None:
    assert door.post(CALLS.replace(ACCOUNT, "AC" + "9" * 32)).json()["code"] == 20404
    assert door.post("/2010-04-01/Accounts").json()["code"] == 20404
    with pytest.raises(TwilioRestException) as missing:
        door.client.calls("CA" + "0" * 32).fetch()
    assert (missing.value.status, missing.value.code) == (404, 20404)
    assert requests.delete(door.url + CALLS, auth=(ACCOUNT, TOKEN), timeout=5).status_code == 405


def test_misspelt_parameters_are_warned_of(door: Door, held_to_the_document: Contract | None) -> None:
    door.post(To=CUSTOMER, From=CALLER, Url=f"{BASE}/voice", StatusCallbackEvents="completed")
    (warning,) = door.stage.network.log.of("warning")
    assert "StatusCallbackEvents" in warning.what
    if held_to_the_document is not None:
        (complaint,) = held_to_the_document.complaints
        held_to_the_document.complaints.clear()
        assert "StatusCallbackEvents" in complaint


def test_lists_filter_by_number_and_status(door: Door) -> None:
    door.stage.customers = [ScriptedCustomer(ring=Ring("busy")), ScriptedCustomer()]
    busy, fine = door.create(), door.create(to="+12025550124")
    door.stage.finish()
    queued = door.create(from_="+12025550101")
    calls = door.client.calls

    def sids(**filters: Any) -> list[str]:
        return [call.sid for call in calls.list(**filters)]

    assert sids() == [queued.sid, fine.sid, busy.sid]
    assert sids(to="+12025550124") == [fine.sid]
    assert sids(from_="+12025550101") == [queued.sid]
    assert sids(status="busy") == [busy.sid]
    assert sids(status="queued") == [queued.sid]
    assert sids(to=CUSTOMER, status="completed") == []
    with pytest.raises(Exception, match="Unable to fetch page"):
        sids(status="ringng")


def test_lists_filter_by_start(door: Door) -> None:
    days = [datetime(2026, 3, day, 15, tzinfo=UTC) for day in (9, 10, 11)]
    started = []
    for day in days:
        door.stage.move(day)
        started.append(door.create().sid)
        door.stage.finish()
    door.create()  # queued: has no start, so no filter on the start shows it

    def sids(**filters: Any) -> list[str]:
        return sorted((call.sid for call in door.client.calls.list(**filters)), key=started.index)

    assert sids(start_time=date(2026, 3, 10)) == started[1:2]
    assert sids(start_time_before=date(2026, 3, 10)) == started[:1]
    assert sids(start_time_after=date(2026, 3, 10)) == started[1:]
    assert sids(start_time_after=days[1] + timedelta(hours=1)) == started[1:]  # only the date counts
    assert sids(start_time_before=days[1] + timedelta(hours=1)) == started[:1]
    assert sids(start_time_after=date(2026, 3, 9), start_time_before=date(2026, 3, 11)) == started[:2]


def test_paging_neither_repeats_nor_hides(door: Door) -> None:
    created = [door.create().sid for _ in range(7)]
    page = door.client.calls.page(page_size=3)
    assert [call.sid for call in page] == created[:3:-1]
    door.create()  # a newcomer in front must not shift the next page
    second = page.next_page()
    assert [call.sid for call in second] == created[3:0:-1]
    third = second.next_page()
    assert [call.sid for call in third] == created[:1] and third.next_page() is None
    assert len(door.client.calls.list(page_size=3, to=CUSTOMER)) == 8


def test_every_request_is_logged(door: Door) -> None:
    call = door.create()
    door.client.calls(call.sid).fetch()
    with pytest.raises(TwilioRestException):
        door.create(to="1")
    seen = [
        (entry.what.split()[0], entry.detail["status"], entry.call_sid)
        for entry in door.stage.network.log.of("request")
    ]
    assert seen == [("POST", "201", call.sid), ("GET", "200", call.sid), ("POST", "400", "")]
