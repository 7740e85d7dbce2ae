"""A service to telephone for: answers whatever a test wrote down, and keeps what it was sent."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as WsgiResponse

from simulator.network import (
    Call,
    CallRequest,
    Customer,
    PhoneNetwork,
    RestServer,
    ScriptedCustomer,
    Transport,
    WsgiTransport,
)

ACCOUNT = "AC" + "0" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
BASE = "https://survey.example.com"
START = datetime(2026, 3, 12, 15, 0, tzinfo=UTC)
CALLER, CUSTOMER = "+12025550100", "+12025550123"
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
EVERY_EVENT = frozenset({"initiated", "ringing", "answered", "completed"})


@dataclass
class Received:
    """One webhook as the service got it."""

    path: str
    query: str
    form: dict[str, str]
    headers: dict[str, str]
    signed: bool


@dataclass
class FakeService:
    """A WSGI application: `answers` maps a path to TwiML, a status, or something that makes a response."""

    answers: dict[str, str | int | Callable[[Received], Any]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        form = request.form.to_dict()
        url = BASE + request.path + (f"?{request.query_string.decode()}" if request.query_string else "")
        signature = request.headers.get("X-Twilio-Signature", "")
        signed = RequestValidator(TOKEN).validate(url, MultiDict(form), signature)
        got = Received(request.path, request.query_string.decode(), form, dict(request.headers), bool(signed))
        self.received.append(got)
        answer = self.answers.get(request.path, 204 if request.path == "/status" else 404)
        if callable(answer):
            answer = answer(got)
        response = WsgiResponse(status=answer) if isinstance(answer, int) else answer
        if isinstance(answer, str):
            response = WsgiResponse(answer, mimetype="text/xml")
        return response(environ, start_response)

    def at(self, path: str) -> list[dict[str, str]]:
        """The forms received at one path."""
        return [got.form for got in self.received if got.path == path]

    def statuses(self) -> list[str]:
        """The CallStatus of every status callback, in order of arrival."""
        return [form["CallStatus"] for form in self.at("/status")]


class Stage:
    """A network, a service and a clock, all in the test's hands."""

    def __init__(self, *customers: Customer, **settings: Any) -> None:
        self.now = START
        self.service = FakeService()
        self.customers = list(customers)
        transport: Transport = settings.pop("transport", None) or WsgiTransport(self.service)
        settings.setdefault("clock", lambda: self.now)
        self.network = PhoneNetwork(
            auth_token=TOKEN, account_sid=ACCOUNT, service=transport, behaviour=self.customer_of, **settings
        )

    def customer_of(self, call: Call) -> Customer:
        """The next customer of the test's list; afterwards one who presses nothing."""
        return self.customers.pop(0) if self.customers else ScriptedCustomer()

    def move(self, at: datetime) -> None:
        self.now = at

    def create(self, **wanted: Any) -> Call:
        wanted = {
            "to": CUSTOMER,
            "from_": CALLER,
            "url": f"{BASE}/voice?attempt=7",
            "status_callback": f"{BASE}/status?attempt=7",
            "events": EVERY_EVENT,
        } | wanted
        return self.network.create(CallRequest(**wanted))

    def finish(self) -> None:
        """Let everything happen that is going to."""
        while (at := self.network.next_event_at()) is not None:
            self.move(max(at, self.now))
            self.network.run_due(self.now)

    def call(self, twiml: str, **wanted: Any) -> Call:
        """Make one call that is answered with `twiml`, to its end."""
        self.service.answers["/voice"] = twiml
        call = self.create(**wanted)
        self.finish()
        return call

    def errors(self) -> list[str]:
        return [entry.detail.get("code", "") for entry in self.network.log.errors()]


class Redirected(TwilioHttpClient):
    """The real client, pointed at the stand-in: nothing but scheme and host of the address is changed."""

    def __init__(self, base: str, timeout: float = 5.0) -> None:
        super().__init__(timeout=timeout)
        self.base = base

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self.base), *args, **kwargs)


def client(base: str, token: str = TOKEN, timeout: float = 5.0) -> Client:
    return Client(ACCOUNT, token, http_client=Redirected(base, timeout))


class Door:
    """A stage whose REST API is open on loopback, and the real client in front of it."""

    def __init__(self, stage: Stage, server: RestServer) -> None:
        self.stage = stage
        self.url = server.url
        self.client: Client = client(server.url)

    def create(self, **wanted: Any) -> Any:
        wanted = {
            "to": CUSTOMER,
            "from_": CALLER,
            "url": f"{BASE}/voice?attempt=7",
            "status_callback": f"{BASE}/status?attempt=7",
            "status_callback_event": sorted(EVERY_EVENT),
        } | wanted
        return self.client.calls.create(**wanted)

    def post(self, path: str = CALLS, auth: Any = (ACCOUNT, TOKEN), **form: Any) -> requests.Response:
        return requests.post(self.url + path, data=form, auth=auth, timeout=5)


def say(text: str) -> str:
    return f"<Response><Say>{text}</Say></Response>"


def gather(text: str, action: str, attributes: str = 'numDigits="1"', after: str = "<Hangup/>") -> str:
    prompt = f"<Say>{text}</Say>"
    return f'<Response><Gather action="{action}" {attributes}>{prompt}</Gather>{after}</Response>'
