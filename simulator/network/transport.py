"""How webhooks reach the service: straight into a WSGI application, or over real sockets."""

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote_plus, unquote_to_bytes, urlsplit

import urllib3

FORM = "application/x-www-form-urlencoded; charset=UTF-8"
WEBHOOK_SECONDS = 15.0
CONNECT_SECONDS = 5.0


class Reply(NamedTuple):
    """The service's answer; a status of 0 means there was none, and `failure` says why ("ct" or "rt").

    ct = no connection within 5 s or refused, rt = no answer within 15 s: Twilio's own names in its retry policy.
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    failure: str = ""


class Transport(Protocol):
    """Posts one form to the service. Never raises for what the service or the wire does: that is a Reply too."""

    def post(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Post `params` as a form to the absolute `url`."""
        ...


def encode_form(params: Mapping[str, str]) -> bytes:
    """Encode form fields as a browser would (urllib.parse.urlencode, without its detours)."""
    return "&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in params.items()]).encode("ascii")


@lru_cache(maxsize=1024)
def _environ_of(host_part: str, path: str) -> dict[str, Any]:
    scheme, _, host = host_part.partition("://")
    name, _, port = host.partition(":")
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path or "/").decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": port or ("443" if scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": FORM,
        "HTTP_HOST": host,
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": "TwilioProxy/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


class WsgiTransport:
    """Calls a WSGI application directly: no socket, no test client, the public URL as it stands.

    What the application raises goes through to the caller: in a time-lapse or a test a crash must be seen.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def post(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Post to the application; scheme, host, path and query are those of `url`."""
        address, _, query = url.partition("#")[0].partition("?")
        scheme, _, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        body = encode_form(params)
        environ = _environ_of(f"{scheme}://{host}", slash + path).copy()
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = environ["RAW_URI"] = f"{slash}{path}?{query}" if query else slash + path
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["wsgi.errors"] = sys.stderr
        for name, value in headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return self._call(environ)

    def _call(self, environ: dict[str, Any]) -> Reply:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
            started.append((status, headers))
            return written.append

        chunks = self._app(environ, start_response)
        try:
            written.extend(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, answer_headers = started[-1]
        content_type = next((value for name, value in answer_headers if name.lower() == "content-type"), "")
        return Reply(int(status[:3]), b"".join(written), content_type)


class HttpTransport:
    """Posts over real sockets with Twilio's limits: 5 s to connect, 15 s to answer; follows no redirects.

    `connect_to` ("http://127.0.0.1:8000") sends every request there whatever the public URL says, as a proxy in front
    of the service would; the Host header stays the public one.
    """

    def __init__(self, connect_to: str = "", answer_seconds: float = WEBHOOK_SECONDS) -> None:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=answer_seconds)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False)
        self._connect_to = connect_to.rstrip("/")

    def post(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Post to the service over HTTP; timeouts and refused connections come back as a Reply with status 0."""
        address = url.partition("#")[0]
        every = {"Content-Type": FORM, "Accept": "*/*", "User-Agent": "TwilioProxy/1.1", **headers}
        if self._connect_to:
            parts = urlsplit(address)
            every["Host"] = parts.netloc
            address = self._connect_to + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            response = self._pool.request("POST", address, body=encode_form(params), headers=every, redirect=False)
        except urllib3.exceptions.ReadTimeoutError:
            return Reply(0, failure="rt")
        except urllib3.exceptions.HTTPError:
            return Reply(0, failure="ct")
        return Reply(response.status, response.data, response.headers.get("content-type", ""))
