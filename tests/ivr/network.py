"""Phone networks on loopback for the real client: one that answers as told, and the stand-in with customers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask

from ivr.client import EXTENSION

CREATED = {"sid": "CA" + "7" * 32, "status": "queued"}
Answer = tuple[int, Any]


@dataclass
class Canned:
    """Answers every POST with `answer`: (status, JSON body); "hang" keeps the client waiting, "drop" cuts it off.

    `posts` and `gets` keep what was asked.
    """

    answer: Answer | Callable[[], Answer] = (201, CREATED)
    listing: list[dict[str, Any]] = field(default_factory=list)
    posts: list[dict[str, list[str]]] = field(default_factory=list)
    gets: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""
    auth: list[str] = field(default_factory=list)


@contextmanager
def canned(answer: Answer | Callable[[], Answer] = (201, CREATED)) -> Iterator[Canned]:
    state = Canned(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.auth.append(self.headers["Authorization"])
            state.posts.append(parse_qs(body))
            status, content = state.answer() if callable(state.answer) else state.answer
            if content == "hang":
                time.sleep(1.6)
            if content in ("hang", "drop"):
                self.close_connection = True
                return
            self._send(status, content)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            state.gets.append((parts.path, parse_qs(parts.query)))
            if not parts.path.endswith("/Calls.json"):
                found = [call for call in state.listing if call["sid"] in parts.path]
                self._send(200, found[0]) if found else self._send(404, {"code": 20404, "message": "no", "status": 404})
                return
            query = state.gets[-1][1]
            # As Twilio's: a call not dialled yet has no start time, and no start filter finds it.
            calls = [call for call in state.listing if "StartTime>" not in query or call["status"] != "queued"]
            self._send(200, {"calls": calls, "page": 0, "next_page_uri": None, "uri": self.path})

        def _send(self, status: int, content: Any) -> None:
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def pointed_at(app: Flask, base: str, **update: Any) -> Iterator[None]:
    """Within the block the application's Twilio client speaks to `base`, and gives up after a second."""
    before, client = app.config["SETTINGS"], app.extensions.pop(EXTENSION, None)
    app.config["SETTINGS"] = before.model_copy(update={"twilio_api_base": base, "twilio_timeout_seconds": 1, **update})
    try:
        yield
    finally:
        app.config["SETTINGS"] = before
        app.extensions.pop(EXTENSION, None)
        if client is not None:
            app.extensions[EXTENSION] = client


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
