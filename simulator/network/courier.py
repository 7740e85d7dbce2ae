"""Sends the network's webhooks: standard parameters, signature, Twilio's retry policy, and a log entry each."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from simulator.network.signing import SIGNATURE_HEADER, sign
from simulator.network.store import Call, Entry, EventLog
from simulator.network.transport import Reply, Transport

API_VERSION = "2010-04-01"
MOST_RETRIES = 5
RETRIEVAL_FAILURE = 11200


class Overrides(NamedTuple):
    """What a webhook URL's fragment asks for: how often to retry, and after what (Twilio, "connection overrides")."""

    retries: int
    policy: frozenset[str]

    def retry_after(self, reply: Reply) -> bool:
        """Whether this answer is one to try again after."""
        family = reply.failure or f"{reply.status // 100}xx"
        return family in self.policy or ("all" in self.policy and family in ("ct", "rt", "4xx", "5xx"))


@lru_cache(maxsize=256)
def overrides_of(fragment: str) -> Overrides:
    """Read `rc` (0 to 5, default 1) and `rp` (ct, rt, 4xx, 5xx, all; default ct) from a URL's fragment."""
    wishes = dict(parse_qsl(fragment))
    count = wishes.get("rc", "1")
    retries = min(int(count), MOST_RETRIES) if count.isascii() and count.isdigit() else 1
    return Overrides(retries, frozenset(wishes.get("rp", "ct").split(",")))


def standard_params(call: Call, account_sid: str, status: str) -> dict[str, str]:
    """Give the parameters that every webhook of a call carries."""
    return {
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": call.sid,
        "CallStatus": status,
        "Called": call.to,
        "Caller": call.from_,
        "Direction": call.direction,
        "From": call.from_,
        "To": call.to,
    }


class Courier:
    """Posts signed webhooks through a transport."""

    def __init__(self, auth_token: str, service: Transport, log: EventLog, event_at: Callable[[], datetime]) -> None:
        self._auth_token = auth_token
        self._service = service
        self._log = log
        self._event_at = event_at
        self._lock = threading.Lock()
        self._sent = 0

    def send(self, call: Call, purpose: str, url: str, params: Mapping[str, str], times: int = 1) -> Reply:
        """Post `params`, about a call, to `url`, retried as its fragment asks; give the last answer.

        `times` sends it so often whatever is answered, as one and the same webhook (a first answer that got lost).
        """
        address, _, fragment = url.partition("#")
        overrides = overrides_of(fragment)
        headers = {
            SIGNATURE_HEADER: sign(self._auth_token, address, params),
            "I-Twilio-Idempotency-Token": self._token(call.sid),
        }
        for _ in range(times):
            reply = self._try(call, purpose, address, params, headers, overrides)
        return reply

    def _try(
        self,
        call: Call,
        purpose: str,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        overrides: Overrides,
    ) -> Reply:
        for _ in range(overrides.retries + 1):
            reply = self._service.post(url, params, headers)
            outcome = {"url": url, "status": str(reply.status), "failure": reply.failure, **params}
            self._log.append(Entry(self._event_at(), "webhook", purpose, call.sid, call.to, outcome))
            if not overrides.retry_after(reply):
                break
        return reply

    def _token(self, call_sid: str) -> str:
        with self._lock:
            self._sent += 1
            return hashlib.sha256(f"{call_sid} {self._sent}".encode()).hexdigest()[:32]
