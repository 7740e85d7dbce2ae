"""Holds the stand-in to Twilio's own description of its API: every request it gets, every answer it gives.

openapi-core checks what it can. It lets pass, so that we look ourselves: names of parameters and fields that the
document does not know, fields left out, and the rule that one of Url, Twiml and ApplicationSid creates a call.
"""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse
from werkzeug.wrappers import Request

SPEC = Path(__file__).resolve().parents[3] / "shared/twilio/twilio_api_v2010_calls_recordings.json"
HOST = "https://api.twilio.com"
FORM = "application/x-www-form-urlencoded"
DOCUMENTS = ("Url", "Twiml", "ApplicationSid")
ERROR_FIELDS = {"code", "message", "more_info", "status"}
LIST_FIELDS = {
    "page", "page_size", "start", "end", "uri", "first_page_uri", "next_page_uri", "previous_page_uri",
}  # fmt: skip

App = Callable[..., Iterable[bytes]]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the wire."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int
    content_type: str
    answer: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)


@dataclass
class Contract:
    """Keeps a complaint for whatever disagrees with the document; `checked` counts what it looked at."""

    document: dict[str, Any]
    complaints: list[str] = field(default_factory=list)
    checked: int = 0

    def __post_init__(self) -> None:
        self._openapi = OpenAPI.from_dict(self.document)  # type: ignore[arg-type]
        self._patterns = {
            path: re.compile(re.sub(r"\{\w+\}", "[^/.]+", path.replace(".", r"\."))) for path in self.document["paths"]
        }

    def operation(self, exchange: Exchange) -> dict[str, Any] | None:
        """What the document says of this method at this path; None when it says nothing (media, wrong addresses)."""
        for path, pattern in self._patterns.items():
            if pattern.fullmatch(exchange.path):
                found: dict[str, Any] | None = self.document["paths"][path].get(exchange.method.lower())
                return found
        return None

    def check(self, exchange: Exchange) -> None:
        """Look at one exchange. What the document forbids must be refused; what is answered must look as described."""
        self.checked += 1
        if exchange.status >= 400:
            self._check_refusal(exchange)
            return
        operation = self.operation(exchange)
        if operation is None:
            if not exchange.content_type.startswith("audio/"):
                self._complain(exchange, "the document knows no such request, and it was not refused")
            return
        request = MockRequest(
            HOST,
            exchange.method.lower(),
            exchange.path,
            args=dict(parse_qsl(exchange.query)),
            headers=exchange.headers,
            content_type=FORM,
            data=exchange.body or None,
        )
        response = MockResponse(exchange.answer, exchange.status, content_type="application/json")
        for validate, what in (
            (lambda: self._openapi.validate_request(request), "request"),
            (lambda: self._openapi.validate_response(request, response), "answer"),
        ):
            try:
                validate()
            except OpenAPIError as fault:
                self._complain(exchange, f"{what}: {fault!r} {fault.__cause__!r}")
        self._check_names(exchange, operation)
        self._check_fields(exchange)

    def _check_names(self, exchange: Exchange, operation: dict[str, Any]) -> None:
        known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
        asked = {name for name, _ in parse_qsl(exchange.query, keep_blank_values=True)}
        content = operation.get("requestBody", {}).get("content", {})
        fields = set(content[FORM]["schema"]["properties"]) if FORM in content else set()
        sent = {name for name, _ in exchange.form}
        for name in sorted((asked - known) | (sent - fields)):
            self._complain(exchange, f"Twilio knows no parameter {name}")
        if operation["operationId"] == "CreateCall" and not any(dict(exchange.form).get(name) for name in DOCUMENTS):
            self._complain(exchange, f"one of {', '.join(DOCUMENTS)} is required")

    def _check_fields(self, exchange: Exchange) -> None:
        """The fields of calls and recordings are those of the document, all of them."""
        if not exchange.answer:
            return
        body = json.loads(exchange.answer)
        schemas = self.document["components"]["schemas"]
        kind = "recording" if "Recordings" in exchange.path else "call"
        resource = "call.call_recording" if "Calls" in exchange.path and kind == "recording" else kind
        expected = set(schemas[f"api.v2010.account.{resource}"]["properties"])
        listed = body.get(f"{kind}s")
        if listed is not None and set(body) != LIST_FIELDS | {f"{kind}s"}:
            self._complain(exchange, f"a list has the fields {sorted(body)}")
        for item in [body] if listed is None else listed:
            if set(item) != expected:
                self._complain(exchange, f"a {kind} has fields too many or too few: {sorted(set(item) ^ expected)}")

    def _check_refusal(self, exchange: Exchange) -> None:
        """The document describes no errors. Source: Twilio, "Twilio's response", exceptions."""
        body = json.loads(exchange.answer)
        if set(body) != ERROR_FIELDS or body["status"] != exchange.status:
            self._complain(exchange, f"a refusal reads {body}")

    def _complain(self, exchange: Exchange, what: str) -> None:
        self.complaints.append(f"{exchange.method} {exchange.path} -> {exchange.status}: {what}")


def watched(app: App, contract: Contract) -> App:
    """The WSGI application, each exchange with it checked; where the connection is dropped there is none."""

    def watch(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        body = request.get_data(cache=False)
        environ["wsgi.input"] = io.BytesIO(body)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started.append((status, headers))
            return start_response(status, headers)

        answer = b"".join(app(environ, start))
        status, headers = started[-1]
        contract.check(
            Exchange(
                request.method,
                request.path,
                request.query_string.decode(),
                dict(request.headers),
                body,
                int(status[:3]),
                dict(headers).get("Content-Type", ""),
                answer,
            )
        )
        return [answer]

    return watch
