"""Live: real sockets both ways, in real time, faster than life."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from werkzeug.serving import make_server

from simulator.network import HttpTransport, Press, RestServer, Ring, ScriptedCustomer, WsgiTransport
from tests.simulator.stage import BASE, CALLER, CUSTOMER, FakeService, Received, Stage, client, gather, say


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def served(app: object) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.socket.close()


def test_a_live_call_over_real_sockets() -> None:
    service = FakeService({"/voice": gather("one two three", "/two?q=1"), "/two": say("Thank you.")})
    done = threading.Event()
    service.answers["/status"] = lambda got: (got.form["CallStatus"] == "completed" and done.set()) or 204
    with served(service) as address:
        customer = ScriptedCustomer(["5"], ring=Ring(seconds=2))
        stage = Stage(customer, transport=HttpTransport(connect_to=address), clock=now, speed=50.0)
        stage.network.start()
        try:
            with RestServer(stage.network) as server:
                api = client(server.url)
                call = api.calls.create(
                    to=CUSTOMER, from_=CALLER, url=f"{BASE}/voice", status_callback=f"{BASE}/status"
                )
                assert done.wait(5)
                fetched = api.calls(call.sid).fetch()
        finally:
            stage.network.stop()
    assert [form["Digits"] for form in service.at("/two")] == ["5"]
    assert all(got.signed for got in service.received)
    assert fetched.status == "completed" and 2 <= int(fetched.duration) <= 8  # 3.2 s of talk, at 50 times life
    assert {got.headers["Host"] for got in service.received} == {"survey.example.com"}


def test_live_goes_on_after_a_line_goes_dead() -> None:
    class Explodes(ScriptedCustomer):
        def on_ringing(self, call: object) -> Ring:
            raise RuntimeError("no such customer")

    done = threading.Event()
    stage = Stage(Explodes(), ScriptedCustomer(), clock=now, speed=100.0)
    stage.service.answers["/voice"] = say("Hello")
    stage.service.answers["/status"] = lambda got: (got.form["CallStatus"] == "completed" and done.set()) or 204
    stage.network.start()
    try:
        stage.create()
        stage.create()
        assert done.wait(5)
    finally:
        stage.network.stop()


def test_stopping_is_quick_and_harmless_twice() -> None:
    stage = Stage(clock=now)
    stage.network.start()
    begun = time.monotonic()
    stage.network.stop()
    stage.network.stop()
    assert time.monotonic() - begun < 1


def test_a_service_that_does_not_answer_or_is_not_there() -> None:
    release = threading.Event()

    def slow(got: Received) -> int:
        release.wait(5)
        return 200

    with served(FakeService({"/slow": slow})) as address:
        reply = HttpTransport(answer_seconds=0.2).post(f"{address}/slow", {"A": "1"}, {})
        release.set()
    assert (reply.status, reply.failure) == (0, "rt")
    gone = HttpTransport().post(f"{address}/", {}, {})
    assert (gone.status, gone.failure) == (0, "ct")


@pytest.mark.parametrize("path", ["/a%20b/%C3%A9?x=1&y=%2B", "/", "/plain"])
def test_both_transports_deliver_the_same(path: str) -> None:
    service = FakeService({"/a b/é": "<Response/>", "/": "<Response/>", "/plain": "<Response/>"})
    form = {"Digits": "12#", "Text": "a b&c=é", "Empty": ""}
    direct = WsgiTransport(service).post(BASE + path + "#rc=2", form, {"X-Own": "1"})
    with served(service) as address:
        wired = HttpTransport(connect_to=address).post(BASE + path + "#rc=2", form, {"X-Own": "1"})
    one, other = service.received
    assert (one.path, one.query, one.form) == (other.path, other.query, other.form)
    assert one.form == form and one.headers["X-Own"] == other.headers["X-Own"] == "1"
    assert one.headers["Host"] == other.headers["Host"] == "survey.example.com"
    assert (direct.status, direct.body) == (wired.status, wired.body) == (200, b"<Response/>")
    assert direct.content_type == wired.content_type == "text/xml; charset=utf-8"


def test_a_press_is_no_faster_than_life_allows() -> None:
    stage = Stage(ScriptedCustomer([Press("1", after=-100)]))
    stage.service.answers["/two"] = "<Response/>"
    call = stage.call(gather("Hello", "/two"))
    assert call.ended_at is not None and call.answered_at is not None
    assert (call.ended_at - call.answered_at).total_seconds() == pytest.approx(0.2)
