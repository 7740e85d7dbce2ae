"""Serves the REST API over HTTP on a thread, for the real twilio client to speak to."""

import logging
import threading
from types import TracebackType
from typing import Self

from werkzeug.serving import WSGIRequestHandler, make_server

from simulator.network.network import PhoneNetwork
from simulator.network.rest import RestApi

logger = logging.getLogger(__name__)


class _QuietHandler(WSGIRequestHandler):
    """Keeps connections open between requests, and leaves the log to the network's own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: every request is in the network's event log."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Send werkzeug's complaints to the ordinary log."""
        logger.debug(message, *args)


class RestServer:
    """A threaded HTTP server for one network; `with RestServer(network) as server: server.url`."""

    def __init__(self, network: PhoneNetwork, host: str = "127.0.0.1", port: int = 0) -> None:
        self._api = RestApi(network)
        self._recordings = network.recordings
        self._server = make_server(host, port, self._api, threaded=True, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="phone-rest", daemon=True)
        self.url = f"http://{host}:{self._server.server_port}"

    def start(self) -> None:
        """Begin to answer; `url` is where, for recordings too."""
        self._recordings.api_base = self.url
        self._thread.start()

    def stop(self) -> None:
        """Let go of everyone waiting and close the door."""
        self._api.release()
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
