"""What the network remembers: its calls, everything that happened, and what was said on each line."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

QUEUED, RINGING, IN_PROGRESS = "queued", "ringing", "in-progress"
COMPLETED, BUSY, NO_ANSWER, FAILED, CANCELED = "completed", "busy", "no-answer", "failed", "canceled"
STATUSES = (QUEUED, RINGING, IN_PROGRESS, COMPLETED, BUSY, FAILED, NO_ANSWER, CANCELED)
FINAL = frozenset({COMPLETED, BUSY, NO_ANSWER, FAILED, CANCELED})

OUTBOUND, INBOUND = "outbound-api", "inbound"

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the service asked for when it created a call, in Twilio's own terms.

    Timeout, TimeLimit and MachineDetectionTimeout are in seconds, the thresholds of the detection in milliseconds. Of a
    call to a number of ours it holds what is set for that number.
    """

    to: str
    from_: str
    url: str = ""
    twiml: str = ""
    fallback_url: str = ""
    status_callback: str = ""
    events: frozenset[str] = frozenset({COMPLETED})
    timeout: int = 60
    time_limit: int = 14_400
    machine_detection: str = ""
    async_amd: bool = False
    async_amd_status_callback: str = ""
    machine_detection_timeout: int = 30
    speech_threshold: int = 2400
    speech_end_threshold: int = 1200
    silence_timeout: int = 5000


@dataclass(frozen=True, slots=True)
class OurNumber:
    """What the network does with a call to a number of ours, as set at Twilio: addresses, "" where there is none."""

    voice_url: str
    fallback_url: str = ""
    status_callback: str = ""


@dataclass(slots=True)
class Call:
    """One call, from being queued to its end. Times are aware UTC; `duration` is in whole seconds of talk.

    queued -> ringing -> in-progress -> completed
       |         |-> busy, failed, no-answer
       |-> canceled <-|

    A call to a number of ours begins with ringing. `price` is what the network bills for the connection, in dollars.
    """

    sid: str
    number: int
    request: CallRequest
    created_at: datetime
    updated_at: datetime
    status: str = QUEUED
    dialled_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration: int | None = None
    answered_by: str | None = None
    direction: str = OUTBOUND
    price: str | None = None
    sequence: int = 0
    transcript: list[str] = field(default_factory=list)

    @property
    def to(self) -> str:
        """The number being called, E.164."""
        return self.request.to

    @property
    def from_(self) -> str:
        """The number the call shows, E.164."""
        return self.request.from_

    @property
    def is_over(self) -> bool:
        """Whether the call has reached a final status."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, at the network's time.

    `kind` is one of: request (the service asked our REST API), dial (a number was rung), webhook (we asked the
    service), verb (TwiML was executed), input (a customer did something), status (a call changed), detection (a machine
    or a person was heard), recording (one changed), bill (something costs), fault (we misbehaved on purpose), warning
    and error (the service did something wrong; `detail["code"]` is Twilio's).
    """

    at: datetime
    kind: str
    what: str
    call_sid: str = ""
    number: str = ""
    detail: Mapping[str, str] = field(default_factory=lambda: NOTHING)


class EventLog:
    """Append-only; safe to read from another thread while the network runs."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        """Add one entry; there is no way to take one away."""
        self._entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries[:])

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, kind: str, call_sid: str = "") -> list[Entry]:
        """Give the entries of one kind, oldest first, of one call if its SID is given."""
        return [entry for entry in self if entry.kind == kind and call_sid in ("", entry.call_sid)]

    def dials(self) -> list[Entry]:
        """Give every ringing of a number: `number`, `at`, and the call's `url` and `status_callback` in `detail`."""
        return self.of("dial")

    def webhooks(self, call_sid: str = "") -> list[Entry]:
        """Give every webhook sent: `what` is its purpose; `detail` has url, status and the parameters sent."""
        return self.of("webhook", call_sid)

    def bills(self, call_sid: str = "") -> list[Entry]:
        """Give everything that costs: `what` is call, detection, recording or transcription; `detail` has the price."""
        return self.of("bill", call_sid)

    def errors(self) -> list[Entry]:
        """Give everything the service got wrong in the eyes of Twilio."""
        return self.of("error")

    def story(self, call_sid: str) -> list[Entry]:
        """Give everything about one call, oldest first."""
        return [entry for entry in self if entry.call_sid == call_sid]


class CallStore:
    """The calls, by SID and in the order they were created. Thread-safe."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Keep a new call; raises KeyError if its SID is taken."""
        with self._lock:
            if call.sid in self._calls:
                raise KeyError(f"call {call.sid} exists")
            self._calls[call.sid] = call

    def new(self, seed: int, request: CallRequest, at: datetime, status: str, direction: str) -> Call:
        """Make the next call and keep it; its SID depends on the seed and its place alone."""
        number = len(self) + 1
        digest = hashlib.sha256(f"{seed} call {number}".encode()).hexdigest()
        call = Call("CA" + digest[:32], number, request, at, at, status, direction=direction)
        self.add(call)
        return call

    def get(self, sid: str) -> Call | None:
        """Give a call by its SID, or None."""
        return self._calls.get(sid)

    def newest_first(self) -> list[Call]:
        """Give all calls, the one created last first, as Twilio lists them."""
        with self._lock:
            return list(reversed(self._calls.values()))

    def __len__(self) -> int:
        return len(self._calls)
