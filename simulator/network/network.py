"""The stand-in phone network: dials, rings, runs the service's TwiML, and tells it how each call went.

Everything it does is an event on its timeline. In a time-lapse the caller moves the clock from event to event
(`run_until`); live, a thread runs events as their time comes (`start`, `stop`). Either way one event at a time, and the
same calls created in the same order with the same seed give the same calls, log and transcripts.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from simulator.network.billing import Meter, Tariff, dollars
from simulator.network.callbacks import StatusCallbacks
from simulator.network.conversation import Conversation
from simulator.network.courier import Courier
from simulator.network.customer import AnsweringMachine, Behaviour, Customer, Ring
from simulator.network.detection import MACHINES
from simulator.network.detector import Detector
from simulator.network.engine import Engine
from simulator.network.faults import Dice, Faults
from simulator.network.hearing import Fetch, Line, first_document
from simulator.network.recordings import CallTape, Recordings
from simulator.network.store import (
    BUSY,
    CANCELED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    INBOUND,
    NO_ANSWER,
    NOTHING,
    OUTBOUND,
    QUEUED,
    RINGING,
    Call,
    CallRequest,
    CallStore,
    Entry,
    EventLog,
    OurNumber,
)
from simulator.network.talks import Talks
from simulator.network.timeline import Clock
from simulator.network.transport import Transport

SETUP_SECONDS = 1.0
MACHINE_TAPE_SECONDS = 60.0
SIP_CODES = {COMPLETED: 200, BUSY: 486, NO_ANSWER: 487, CANCELED: 487}
REJECTIONS = {"rejected": NO_ANSWER, "busy": BUSY}


class InvalidCallState(Exception):
    """What was asked of a call makes no sense in its present status (Twilio's 21220)."""


class PhoneNetwork(Engine):
    """A phone network with one account.

    `service` carries webhooks to the service, `behaviour(call)` gives the customer who is rung, `clock()` the present
    moment (aware UTC, the same in every thread). `calls_per_second` paces dialling (None: no limit); `speed` is how
    many seconds of a call pass in one second of the clock (1 in a time-lapse). `refusals` maps numbers to the Twilio
    error code with which creating a call to them is refused; `numbers` are ours, that customers can call; `tariff` is
    what things cost.
    """

    def __init__(
        self,
        *,
        auth_token: str,
        account_sid: str,
        service: Transport,
        behaviour: Behaviour,
        clock: Clock,
        seed: int = 1,
        faults: Faults | None = None,
        calls_per_second: int | None = None,
        speed: float = 1.0,
        refusals: Mapping[str, int] | None = None,
        numbers: Mapping[str, OurNumber] | None = None,
        tariff: Tariff | None = None,
    ) -> None:
        super().__init__(clock, speed)
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.refusals = refusals or {}
        self.numbers = numbers or {}
        self.calls = CallStore()
        self.log = EventLog()
        self._behaviour = behaviour
        self._seed = seed
        self._dial_gap = timedelta(seconds=1 / calls_per_second) if calls_per_second else timedelta(0)
        self._next_dial_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._courier = Courier(auth_token, service, self.log, lambda: self.event_at)
        self._callbacks = StatusCallbacks(account_sid, self._courier, self.timeline, self._note, self._after)
        self._lines: dict[str, Line] = {}
        self._lock = threading.RLock()
        self._talks = Talks(
            account_sid, self._courier, self.timeline, self._note, self._after, self._finish, self._lock
        )
        self._detector = Detector(self._callbacks, self._talks, self._note, self._later, self._hang_up)
        self._meter = Meter(tariff or Tariff(), self._note)
        self.recordings = Recordings(
            account_sid, self._courier, self.timeline, self._note, self._meter, self._after, self._call_seconds
        )
        self.misbehave(faults or Faults())

    def misbehave(self, faults: Faults) -> None:
        """Go wrong in these ways from now on."""
        self.dice = Dice(faults, self._seed)
        self._callbacks.dice = self._talks.dice = self._detector.dice = self.recordings.dice = self.dice

    @property
    def billed(self) -> str:
        """What a real network would have billed until now, in dollars; the log's bills say for what."""
        return dollars(self._meter.total)

    # What the REST API asks for

    def create(self, request: CallRequest) -> Call:
        """Queue a call: it is stored, and dialled by a later event. Thread-safe; never speaks to the service."""
        with self._lock:
            call = self._add(request, OUTBOUND, QUEUED)
            dial_at = max(call.created_at, self._next_dial_at)
            self._next_dial_at = dial_at + self._dial_gap
        self.timeline.schedule(dial_at, lambda at: self._dial(at, call))
        return call

    def end(self, call: Call, status: str) -> None:
        """End a call from outside: "canceled" does nothing once it is answered; both do nothing once it is over."""
        now = self.clock()
        with self._lock:
            if call.status in (QUEUED, RINGING):
                self._end(now, call, CANCELED)
            elif call.status == IN_PROGRESS and status == COMPLETED:
                call.transcript.append(f"{self._stamp(now, call)} the service ends the call")
                self._end(now, call, COMPLETED)

    def redirect(self, call: Call, start: Fetch | str, **changes: Any) -> None:
        """Drop what an answered call is doing and carry on with another document (an address, or TwiML itself).

        `changes` are fields of its CallRequest. Raises InvalidCallState when the call is not in progress.
        """
        now = self.clock()
        with self._lock:
            if call.status != IN_PROGRESS or call.answered_at is None:
                raise InvalidCallState(f"Call is {call.status}, not in-progress. Cannot redirect.")
            call.request = replace(call.request, **changes)
            self.recordings.cut(now, call)
            conversation = Conversation(self._lines[call.sid], self._call_seconds(call.answered_at, now))
            self._talks.begin(now, call, conversation, start)

    # What the world outside asks for

    def call_in(self, from_: str, to: str, customer: Customer, hangs_up_after: float | None = None) -> Call:
        """Have a customer call one of our numbers: a later event asks the number's voice_url what to say. Thread-safe.

        The customer hears and reacts as ever, but `on_ringing` is not asked; `hangs_up_after` is in seconds from our
        answer. Raises ValueError when `to` is not among the network's `numbers`.
        """
        number = self.numbers.get(to)
        if number is None:
            raise ValueError(f"{to} is not one of this network's numbers: {', '.join(self.numbers) or 'it has none'}")
        request = CallRequest(to, from_, number.voice_url, "", number.fallback_url, number.status_callback)
        with self._lock:
            call = self._add(request, INBOUND, RINGING)
            call.dialled_at = call.created_at
            call.transcript.append("00:00 a customer calls")
            line = self._lines[call.sid] = self._line(call, customer, hangs_up_after)
        self._talks.begin(call.created_at, call, Conversation(line), Fetch("answer", number.voice_url))
        return call

    def transcript(self, call_sid: str) -> str:
        """Give what was said and pressed in a call, a line each with minutes and seconds since it was answered."""
        call = self.calls.get(call_sid)
        return "" if call is None else "\n".join(call.transcript)

    # One call's life, event by event

    def _dial(self, at: datetime, call: Call) -> None:
        with self._lock:
            if call.is_over:
                return
            call.dialled_at = call.updated_at = at
        targets = {"url": call.request.url, "status_callback": call.request.status_callback}
        self._note(at, call, "dial", "ringing", targets)
        self._callbacks.announce(at, call, "initiated", "initiated")
        customer = self._behaviour(call)
        ring = customer.on_ringing(call)
        if ring.outcome in (BUSY, FAILED):
            sip = ring.sip_code if ring.outcome == FAILED else SIP_CODES[BUSY]
            self._later(at, SETUP_SECONDS, lambda then: self._end(then, call, ring.outcome, sip))
        else:
            self._later(at, SETUP_SECONDS, lambda then: self._ring(then, call, customer, ring))

    def _ring(self, at: datetime, call: Call, customer: Customer, ring: Ring) -> None:
        if not self._move(at, call, RINGING):
            return
        self._callbacks.announce(at, call, "ringing", RINGING)
        if ring.outcome == NO_ANSWER or ring.seconds > call.request.timeout:
            self._later(at, call.request.timeout, lambda then: self._end(then, call, NO_ANSWER))
        else:
            self._later(at, ring.seconds, lambda then: self._answer(then, call, customer, ring))

    def _answer(self, at: datetime, call: Call, customer: Customer, ring: Ring) -> None:
        if not self._move(at, call, IN_PROGRESS):
            return
        machine = ring.outcome in MACHINES
        call.answered_at = at
        call.transcript.append(f"00:00 {'a machine' if machine else 'the customer'} answers")
        self._callbacks.announce(at, call, "answered", IN_PROGRESS)
        patience = ring.hangs_up_after
        if machine:
            customer = AnsweringMachine()
            patience = MACHINE_TAPE_SECONDS if patience is None else patience
        line = self._lines[call.sid] = self._line(call, customer, patience)
        if call.request.machine_detection:
            self._detector.listen(at, call, line, ring)
        if not call.request.machine_detection or call.request.async_amd:
            self._talks.begin(at, call, Conversation(line), first_document(call.request))

    def _hang_up(self, at: datetime, call: Call) -> None:
        """The customer puts the phone down before anything was said."""
        if not (call.is_over or self._talks.under_way(call)):
            call.transcript.append(f"{self._stamp(at, call)} customer hangs up")
            self._note(at, call, "input", "hang-up")
            self._end(at, call, COMPLETED)

    def _pick_up(self, call: Call) -> None:
        """Answer a call that comes in, the moment something is said in it."""
        if call.status == RINGING and self._move(self.event_at, call, IN_PROGRESS):
            call.answered_at = self.event_at

    def _finish(self, at: datetime, call: Call, conversation: Conversation) -> None:
        self._end(at, call, REJECTIONS.get(conversation.rejected, COMPLETED))

    def _move(self, at: datetime, call: Call, status: str) -> bool:
        """Give a call its next status; False if it is over already."""
        with self._lock:
            if call.is_over:
                return False
            call.status, call.updated_at = status, at
        self._note(at, call, "status", status)
        return True

    def _end(self, at: datetime, call: Call, status: str, sip_code: int | None = None) -> None:
        with self._lock:
            if call.is_over:
                return
            call.status, call.updated_at, call.ended_at = status, at, at
            if call.answered_at is not None:
                call.duration = round(self._call_seconds(call.answered_at, at))
            self._talks.drop(call)
            self._lines.pop(call.sid, None)
            self.recordings.cut(at, call)
        self._note(at, call, "status", status)
        if call.answered_at is not None:
            self._meter.call(at, call)
        if call.dialled_at is None:
            return  # Cancelled while queued: Twilio says nothing.
        seconds = call.duration or 0
        sip = str(sip_code or SIP_CODES[status])
        extra = {"CallDuration": str(seconds), "Duration": str(math.ceil(seconds / 60)), "SipResponseCode": sip}
        if call.answered_by:
            extra["AnsweredBy"] = call.answered_by
        self._callbacks.announce(at, call, "completed", status, extra)

    # Small things

    def _add(self, request: CallRequest, direction: str, status: str) -> Call:
        now = self.clock()
        call = self.calls.new(self._seed, request, now, status, direction)
        self._note(now, call, "status", status)
        return call

    def _line(self, call: Call, customer: Customer, patience: float | None) -> Line:
        def note(kind: str, what: str, detail: Mapping[str, str]) -> None:
            self._note(self.event_at, call, kind, what, detail)

        def say(elapsed: float, text: str) -> None:
            call.transcript.append(f"{_minutes(elapsed)} {text}")

        tape = CallTape(self.recordings, call, lambda: self.event_at)
        return Line(call, customer, patience, tape, note, say, lambda: self._pick_up(call))

    def _note(self, at: datetime, call: Call, kind: str, what: str, detail: Mapping[str, str] = NOTHING) -> None:
        self.log.append(Entry(at, kind, what, call.sid, call.to, detail))

    def _stamp(self, at: datetime, call: Call) -> str:
        return _minutes(self._call_seconds(call.answered_at or at, at))


def _minutes(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60:02}:{whole % 60:02}"
