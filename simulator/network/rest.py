"""Twilio's REST API as a WSGI application: create, fetch, list and update calls; fetch, list and delete recordings.

It stores and queues; it never speaks to the service, so the service may wait for an answer while nothing else moves.
"""

import json
import re
import secrets
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from werkzeug.wrappers import Request, Response

from simulator.network.hearing import Fetch
from simulator.network.network import InvalidCallState, PhoneNetwork
from simulator.network.paging import BadFilter, Json
from simulator.network.parameters import (
    CREATE_PARAMETERS,
    UPDATE_PARAMETERS,
    Refusal,
    read_create,
    read_update,
    unknown_parameters,
)
from simulator.network.recordings_door import Answer, RecordingsDoor
from simulator.network.resource import call_json, calls_page
from simulator.network.store import Call, Entry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ACCOUNT = r"/2010-04-01/Accounts/(?P<account>[^/]+)"
CALLS = re.compile(ACCOUNT + r"/Calls(?:/(?P<sid>[^/.]+))?(?:\.json)?")
RECORDINGS = re.compile(
    ACCOUNT + r"(?:/Calls/(?P<call>[^/.]+))?/Recordings(?:/(?P<sid>[^/.]+))?(?P<form>\.json|\.wav)?"
)


class RestApi:
    """The network's front door. `release()` lets go of clients that a fault keeps waiting."""

    def __init__(self, network: PhoneNetwork) -> None:
        self._network = network
        self._recordings = RecordingsDoor(network.account_sid, network.recordings)
        self._released = threading.Event()

    def release(self) -> None:
        """Answer at once everyone kept waiting by the faults "hang_after_dialling" and "slow_after_dialling"."""
        self._released.set()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = Request(environ)
        try:
            answer = self._route(request)
        except Refusal as refusal:
            answer = Answer(refusal.status, _error_json(refusal))
        except BadFilter as fault:
            answer = Answer(400, _error_json(Refusal(400, 20001, str(fault))))
        self._log(request, answer)
        return _response(answer)(environ, start_response)

    def _route(self, request: Request) -> Answer:
        self._authenticate(request)
        calls, recordings = CALLS.fullmatch(request.path), RECORDINGS.fullmatch(request.path)
        match = calls or recordings
        if match is None or match["account"] != self._network.account_sid:
            raise Refusal(404, 20404, request.path)
        return self._route_call(request, match["sid"]) if calls else self._route_recording(request, match)

    def _route_call(self, request: Request, sid: str | None) -> Answer:
        call = self._find(sid) if sid else None
        match (request.method, call):
            case ("GET", found):
                self._refuse_lookup()
                return self._list(request) if found is None else Answer(200, self._json(found))
            case ("POST", None):
                return self._create(request)
            case ("POST", Call() as found):
                return self._update(request, found)
            case _:
                raise Refusal(405, 20004, request.method)

    def _route_recording(self, request: Request, match: re.Match[str]) -> Answer:
        args = request.args.to_dict()
        match (request.method, match["sid"], match["form"]):
            case ("GET", None, None | ".json"):
                return self._recordings.list(args, match["call"] or "")
            case ("GET", str(sid), ".json"):
                return self._recordings.fetch(sid, args)
            case ("GET", str(sid), _):
                return self._recordings.media(sid)
            case ("DELETE", str(sid), _):
                return self._recordings.delete(sid, self._network.clock())
            case _:
                raise Refusal(405, 20004, request.method)

    def _authenticate(self, request: Request) -> None:
        given = request.authorization
        expected = f"{self._network.account_sid}:{self._network.auth_token}"
        if given is None or given.type != "basic":
            raise Refusal(401, 20003)
        if not secrets.compare_digest(f"{given.username}:{given.password}".encode(), expected.encode()):
            raise Refusal(401, 20003)

    def _find(self, sid: str) -> Call:
        call = self._network.calls.get(sid)
        if call is None:
            raise Refusal(404, 20404, f"/Calls/{sid}")
        return call

    def _refuse_lookup(self) -> None:
        fault = self._network.dice.for_lookup()
        if fault != "none":
            self._note("fault", fault)
            raise Refusal(503, 20500)

    def _list(self, request: Request) -> Answer:
        calls = self._network.calls.newest_first()
        return Answer(200, calls_page(calls, self._network.account_sid, request.args.to_dict()))

    def _create(self, request: Request) -> Answer:
        wanted = read_create(request.form)
        self._warn_of_unknown(request, CREATE_PARAMETERS)
        if wanted.to in self._network.refusals:
            raise Refusal(400, self._network.refusals[wanted.to], wanted.to)
        fault = self._network.dice.for_create()
        if fault in ("too_many_requests", "error_before_dialling"):
            self._note("fault", fault, number=wanted.to)
            raise Refusal(429, 20429) if fault == "too_many_requests" else Refusal(500, 20500)
        call = self._network.create(wanted)
        if fault != "none":
            self._note("fault", fault, call.sid, call.to)
            self._fail_after_dialling(request, fault)
        return Answer(201, self._json(call))

    def _fail_after_dialling(self, request: Request, fault: str) -> None:
        if fault == "error_after_dialling":
            raise Refusal(500, 20500)
        faults = self._network.dice.faults
        match fault:
            case "hang_after_dialling":
                self._released.wait(faults.hang_seconds)
            case "slow_after_dialling":
                self._released.wait(faults.slow_seconds)
            case _:
                self._drop(request)

    def _drop(self, request: Request) -> NoReturn:
        """Cut the connection without an answer (werkzeug's server lends us its socket)."""
        connection = request.environ.get("werkzeug.socket")
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError("The connection was dropped on purpose")

    def _update(self, request: Request, call: Call) -> Answer:
        wanted = read_update(request.form)
        self._warn_of_unknown(request, UPDATE_PARAMETERS)
        if wanted.status:
            self._network.end(call, wanted.status)
        elif wanted.url or wanted.twiml:
            start = Fetch("update", wanted.url) if wanted.url else wanted.twiml
            try:
                self._network.redirect(call, start, **wanted.changes)
            except InvalidCallState as fault:
                raise Refusal(400, 21220, str(fault)) from None
        return Answer(200, self._json(call))

    def _json(self, call: Call) -> Json:
        return call_json(call, self._network.account_sid)

    def _warn_of_unknown(self, request: Request, known: frozenset[str]) -> None:
        for name in unknown_parameters(request.form, known):
            self._note("warning", f"{request.path}: Twilio knows no parameter {name}")

    def _note(self, kind: str, what: str, call_sid: str = "", number: str = "") -> None:
        self._network.log.append(Entry(self._network.clock(), kind, what, call_sid, number))

    def _log(self, request: Request, answer: Answer) -> None:
        body = answer.json or {}
        detail = {
            "status": str(answer.status),
            "query": request.query_string.decode("latin-1"),
            "code": str(body.get("code", "")),
        }
        entry = Entry(
            self._network.clock(),
            "request",
            f"{request.method} {request.path}",
            str(body.get("sid", "")),
            request.form.get("To", "") if request.method == "POST" else "",
            detail,
        )
        self._network.log.append(entry)


def _response(answer: Answer) -> Response:
    if answer.json is None:
        return Response(answer.media, answer.status, mimetype="audio/x-wav" if answer.media else None)
    response = Response(json.dumps(answer.json), answer.status, mimetype="application/json")
    if answer.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    return response


def _error_json(refusal: Refusal) -> Json:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }
