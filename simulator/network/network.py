"""The stand-in phone network: dials, rings, runs the service's TwiML, and tells it how each call went.

Everything it does is an event on its timeline. In a time-lapse the caller moves the clock from event to event
(`run_until`); live, a thread runs events as their time comes (`start`, `stop`). Either way one event at a time, and the
same calls created in the same order with the same seed give the same calls, log and transcripts.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from simulator.network.callbacks import StatusCallbacks
from simulator.network.conversation import Conversation, Fetch, Line, Steps, Wait
from simulator.network.courier import Courier, standard_params
from simulator.network.customer import AnsweringMachine, Behaviour, Customer, Ring
from simulator.network.faults import NONE, Dice, Faults
from simulator.network.store import (
    BUSY,
    CANCELED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    NO_ANSWER,
    NOTHING,
    QUEUED,
    RINGING,
    Call,
    CallRequest,
    CallStore,
    Entry,
    EventLog,
)
from simulator.network.timeline import Clock, LiveRunner, Timeline
from simulator.network.transport import Reply, Transport

SETUP_SECONDS = 1.0
MACHINE_TAPE_SECONDS = 60.0
DETECTION_SECONDS = {"human": 2.0, "machine_start": 3.5, "machine_end_beep": 12.0}
SIP_CODES = {COMPLETED: 200, BUSY: 486, NO_ANSWER: 487, CANCELED: 487}


class InvalidCallState(Exception):
    """What was asked of a call makes no sense in its present status (Twilio's 21220)."""


class PhoneNetwork:
    """A phone network with one account.

    `service` carries webhooks to the service, `behaviour(call)` gives the customer who is rung, `clock()` the present
    moment (aware UTC, the same in every thread). `calls_per_second` paces dialling (None: no limit); `speed` is how
    many seconds of a call pass in one second of the clock (1 in a time-lapse). `refusals` maps numbers to the Twilio
    error code with which creating a call to them is refused.
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
    ) -> None:
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.clock = clock
        self.refusals = refusals or {}
        self.calls = CallStore()
        self.log = EventLog()
        self.timeline = Timeline()
        self._behaviour = behaviour
        self._seed = seed
        self._speed = speed
        self._dial_gap = timedelta(seconds=1 / calls_per_second) if calls_per_second else timedelta(0)
        self._next_dial_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._event_at = clock()
        self._courier = Courier(auth_token, service, self.log, lambda: self._event_at)
        self._callbacks = StatusCallbacks(account_sid, self._courier, self.timeline, self._note, self._after)
        self._talks: dict[str, Steps] = {}
        self._lines: dict[str, Line] = {}
        self._lock = threading.RLock()
        self._one_event_at_a_time = threading.Lock()
        self._runner: LiveRunner | None = None
        self.misbehave(faults or Faults())

    # Moving time

    def next_event_at(self) -> datetime | None:
        """Give when the next event is due; None when the network is at rest."""
        return self.timeline.next_at()

    def run_due(self, now: datetime) -> int:
        """Run every event due by `now`, in order; give how many ran. Events made on the way run too if due."""
        ran = 0
        with self._one_event_at_a_time:
            while (due := self.timeline.take(now)) is not None:
                at, action = due
                self._event_at = at
                action(at)
                ran += 1
        return ran

    def run_until(self, end: datetime, move_clock: Callable[[datetime], object]) -> int:
        """Move the clock from event to event up to `end` (included), then to `end`; give how many events ran."""
        ran = 0
        while (at := self.next_event_at()) is not None and at <= end:
            move_clock(at)
            ran += self.run_due(at)
        move_clock(end)
        return ran

    def start(self) -> None:
        """Run events in real time on a thread of the network's own, until `stop`."""
        self._runner = LiveRunner(self, self.clock)
        self._runner.start()

    def stop(self) -> None:
        """Stop running events in real time. Harmless when nothing runs."""
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def misbehave(self, faults: Faults) -> None:
        """Go wrong in these ways from now on."""
        self.dice = self._callbacks.dice = Dice(faults, self._seed)

    # What the REST API asks for

    def create(self, request: CallRequest) -> Call:
        """Queue a call: it is stored, and dialled by a later event. Thread-safe; never speaks to the service."""
        with self._lock:
            now = self.clock()
            number = len(self.calls) + 1
            digest = hashlib.sha256(f"{self._seed} call {number}".encode()).hexdigest()
            call = Call("CA" + digest[:32], number, request, now, now)
            self.calls.add(call)
            self._note(now, call, "status", QUEUED)
            dial_at = max(now, self._next_dial_at)
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

    def redirect(self, call: Call, start: Fetch | str) -> None:
        """Drop what an answered call is doing and carry on with another document (an address, or TwiML itself).

        Raises InvalidCallState when the call is not in progress.
        """
        now = self.clock()
        with self._lock:
            if call.status != IN_PROGRESS or call.answered_at is None:
                raise InvalidCallState(f"Call is {call.status}, not in-progress. Cannot redirect.")
            conversation = Conversation(self._lines[call.sid], self._call_seconds(call.answered_at, now))
            self._begin(now, call, conversation, start)

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
        machine = ring.outcome == "machine"
        call.answered_at = at
        call.transcript.append(f"00:00 {'a machine' if machine else 'the customer'} answers")
        self._callbacks.announce(at, call, "answered", IN_PROGRESS)
        patience = ring.hangs_up_after
        if machine:
            customer = AnsweringMachine()
            patience = MACHINE_TAPE_SECONDS if patience is None else patience
        line = self._lines[call.sid] = self._line(call, customer, patience)
        start = Fetch("answer", call.request.url) if call.request.url else call.request.twiml
        self._detect(at, call, line, start, machine)

    def _detect(self, at: datetime, call: Call, line: Line, start: Fetch | str, machine: bool) -> None:
        """Answering machine detection: in the way of the first document, beside it, or not at all."""
        mode = call.request.machine_detection
        answered_by = ("machine_end_beep" if mode == "DetectMessageEnd" else "machine_start") if machine else "human"
        seconds = DETECTION_SECONDS[answered_by]

        def detected(then: datetime) -> None:
            call.answered_by = answered_by
            if call.request.async_amd:
                self._report_detection(call, seconds)
            else:
                self._begin(then, call, Conversation(line, seconds), start)

        if not mode or call.request.async_amd:
            self._begin(at, call, Conversation(line), start)
        if mode:
            self._later(at, seconds, lambda then: None if call.is_over else detected(then))

    def _report_detection(self, call: Call, seconds: float) -> None:
        url = call.request.async_amd_status_callback
        if url:
            params = standard_params(call, self.account_sid, call.status)
            params["AnsweredBy"] = call.answered_by or "unknown"
            params["MachineDetectionDuration"] = str(round(seconds * 1000))
            self._courier.send(call.sid, "amd", url, params)

    def _begin(self, at: datetime, call: Call, conversation: Conversation, start: Fetch | str) -> None:
        with self._lock:
            talk = self._talks[call.sid] = conversation.run(start)
        self.timeline.schedule(at, lambda then: self._talk(then, call, conversation, talk))

    def _talk(self, at: datetime, call: Call, conversation: Conversation, talk: Steps) -> None:
        """Carry a conversation on until it has to wait; drop it if the call has moved on without it."""
        reply: Reply | None = None
        while self._talks.get(call.sid) is talk:
            try:
                step = talk.send(reply)
            except StopIteration:
                self._finish(at, call, talk)
                return
            if isinstance(step, Wait):
                self._later(at, step.seconds, lambda then: self._talk(then, call, conversation, talk))
                return
            reply = self._fetch(call, step, conversation.documents)

    def _finish(self, at: datetime, call: Call, talk: Steps) -> None:
        """End a call whose conversation is over, unless it was given another one this very moment."""
        with self._lock:
            if self._talks.get(call.sid) is talk:
                self._end(at, call, COMPLETED)

    def _fetch(self, call: Call, fetch: Fetch, document: int) -> Reply:
        params = standard_params(call, self.account_sid, call.status)
        if fetch.purpose == "answer" and call.answered_by:
            params["AnsweredBy"] = call.answered_by
        params.update(fetch.params)
        fault = NONE if fetch.purpose == "answer" else self.dice.for_answer(call.sid, document)
        if fault != NONE:
            self._note(self._event_at, call, "fault", fault, {"url": fetch.url})
        if fault == "answer_echoed":
            self._later(
                self._event_at,
                self.dice.delay(call.sid, document),
                lambda then: self._courier.send(call.sid, fetch.purpose, fetch.url, params),
            )
        times = 2 if fault == "answer_repeated" else 1
        return self._courier.send(call.sid, fetch.purpose, fetch.url, params, times)

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
            self._talks.pop(call.sid, None)
            self._lines.pop(call.sid, None)
        self._note(at, call, "status", status)
        if call.dialled_at is None:
            return  # Cancelled while queued: Twilio says nothing.
        seconds = call.duration or 0
        sip = str(sip_code or SIP_CODES[status])
        extra = {"CallDuration": str(seconds), "Duration": str(math.ceil(seconds / 60)), "SipResponseCode": sip}
        if call.answered_by:
            extra["AnsweredBy"] = call.answered_by
        self._callbacks.announce(at, call, "completed", status, extra)

    # Small things

    def _line(self, call: Call, customer: Customer, patience: float | None) -> Line:
        def note(kind: str, what: str, detail: Mapping[str, str]) -> None:
            self._note(self._event_at, call, kind, what, detail)

        def say(elapsed: float, text: str) -> None:
            call.transcript.append(f"{_minutes(elapsed)} {text}")

        return Line(self.account_sid, call, customer, patience, note, say)

    def _note(self, at: datetime, call: Call, kind: str, what: str, detail: Mapping[str, str] = NOTHING) -> None:
        self.log.append(Entry(at, kind, what, call.sid, call.to, detail))

    def _later(self, at: datetime, seconds: float, action: Callable[[datetime], object]) -> None:
        self.timeline.schedule(self._after(at, seconds), action)

    def _after(self, at: datetime, seconds: float) -> datetime:
        return at + timedelta(seconds=seconds / self._speed)

    def _call_seconds(self, start: datetime, end: datetime) -> float:
        return (end - start).total_seconds() * self._speed

    def _stamp(self, at: datetime, call: Call) -> str:
        return _minutes(self._call_seconds(call.answered_at or at, at))


def _minutes(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60:02}:{whole % 60:02}"
