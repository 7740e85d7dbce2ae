"""One answered call: executes TwiML step by step against a customer.

A conversation is a generator. It yields what it needs, a `Wait` or a `Fetch`, and knows nothing of clocks, sockets or
signatures: the network supplies those, and may drop a conversation at any step (the call was ended from outside).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from simulator.network.customer import Customer, HangUp, Heard, Press, Reaction, Silence, Speak
from simulator.network.keypad import SOONEST, collect, presses_of
from simulator.network.store import NOTHING, Call
from simulator.network.transport import Reply
from simulator.network.twiml import (
    BAD_DOCUMENT,
    Document,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Say,
    TwimlError,
    Verb,
    check_content_type,
    parse,
)

MOST_DOCUMENTS = 50
RETRIEVAL_FAILURE = 11200
APOLOGY = "We are sorry, an application error has occurred. Goodbye."


@dataclass(frozen=True, slots=True)
class Wait:
    """Let so many seconds of the call pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the service for the next document; `params` go besides the standard ones."""

    purpose: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)


Steps = Generator[Wait | Fetch, Reply | None, None]
NextFetch = Generator[Wait | Fetch, Reply | None, Fetch | None]


class CallerHungUp(Exception):
    """The customer put the phone down."""


class TimeLimitReached(Exception):
    """The call lasted as long as its TimeLimit allows."""


@dataclass(slots=True)
class Line:
    """What a conversation needs of the network: the call, who is on it, and where to write things down.

    `note(kind, what, detail)` goes to the event log, `say(elapsed, text)` to the call's transcript.
    """

    account_sid: str
    call: Call
    customer: Customer
    hangs_up_after: float | None
    note: Callable[[str, str, Mapping[str, str]], None]
    say: Callable[[float, str], None]


class Conversation:
    """The state of one conversation. `elapsed` is in seconds since the call was answered."""

    def __init__(self, line: Line, elapsed: float = 0.0) -> None:
        self._line = line
        self.elapsed = elapsed
        self.documents = 0
        self._spoken: list[str] = []
        self._language = "en-US"
        self._times_heard: Counter[str] = Counter()
        self._keys_in_flight: list[tuple[float, str]] = []

    def run(self, start: Fetch | str) -> Steps:
        """Carry the call from its first document (fetched, or given as TwiML) to its end."""
        try:
            following: Fetch | None = start if isinstance(start, Fetch) else (yield from self._perform_inline(start))
            while following is not None:
                following = yield from self._fetch_and_perform(following)
            self._line.say(self.elapsed, "Aftercall hangs up")
        except CallerHungUp:
            self._line.note("input", "hang-up", NOTHING)
            self._line.say(self.elapsed, "customer hangs up")
        except TimeLimitReached:
            self._line.say(self.elapsed, "the call's time limit is reached")
        except TwimlError as fault:
            yield from self._apologise(fault)

    def _perform_inline(self, twiml: str) -> NextFetch:
        self.documents += 1
        return (yield from self._perform(self._read(twiml.encode(), ""), ""))

    def _fetch_and_perform(self, fetch: Fetch) -> NextFetch:
        self._count_document()
        reply = yield fetch
        assert reply is not None
        try:
            document = self._accept(reply, fetch.url)
        except TwimlError as fault:
            fallback = self._line.call.request.fallback_url
            if not fallback or fetch.purpose == "fallback":
                raise
            self._note_error(fault)
            return Fetch("fallback", fallback, {"ErrorCode": str(fault.code), "ErrorUrl": fetch.url})
        return (yield from self._perform(document, fetch.url))

    def _count_document(self) -> None:
        self.documents += 1
        if self.documents > MOST_DOCUMENTS:
            raise TwimlError(BAD_DOCUMENT, f"More than {MOST_DOCUMENTS} documents in one call: an endless loop?")

    def _accept(self, reply: Reply, url: str) -> Document:
        if not 200 <= reply.status < 300:
            what = f"answered {reply.status}" if reply.status else f"did not answer ({reply.failure})"
            raise TwimlError(RETRIEVAL_FAILURE, f"HTTP retrieval failure: {url} {what}")
        check_content_type(reply.content_type)
        return self._read(reply.body, url)

    def _read(self, body: bytes, url: str) -> Document:
        document = parse(body, url)
        for warning in document.warnings:
            code, _, message = warning.partition(" ")
            self._line.note("warning", message, {"code": code, "url": url})
        return document

    def _perform(self, document: Document, url: str) -> NextFetch:
        for verb in document.verbs:
            following = yield from self._execute(verb)
            if following is not None:
                return following
            if isinstance(verb, Hangup):
                self._line.note("verb", verb.verb, NOTHING)
                return None
        return None

    def _execute(self, verb: Verb) -> NextFetch:
        match verb:
            case Gather():
                return (yield from self._gather(verb))
            case Record():
                return (yield from self._record(verb))
            case Redirect(url):
                self._line.note("verb", "Redirect", {"url": url})
                return Fetch("redirect", url)
            case Hangup():
                return None
            case _:
                yield from self._pass(self._voice(verb))
                return None

    def _voice(self, prompt: Say | Play | Pause, offset: float = 0.0) -> float:
        """Write down what is heard `offset` seconds from now and give how many seconds it takes."""
        moment = self.elapsed + offset
        match prompt:
            case Say(text, language, voice):
                self._language = language
                self._spoken.append(text)
                self._line.note("verb", "Say", {"text": text, "language": language, "voice": voice})
                self._line.say(moment, f"Aftercall says ({language}): {text}")
            case Play(url):
                self._spoken.append(url)
                self._line.note("verb", "Play", {"url": url})
                self._line.say(moment, f"Aftercall plays: {url}")
            case Pause():
                self._line.note("verb", "Pause", {"seconds": f"{prompt.seconds:g}"})
        return prompt.seconds

    def _gather(self, gather: Gather) -> NextFetch:
        before = len(self._spoken)
        prompt_seconds = 0.0
        for prompt in gather.prompts:
            prompt_seconds += self._voice(prompt, prompt_seconds)
        heard = self._heard(" ".join(self._spoken[before:]), gather.action, gather.num_digits)
        presses = self._arriving_keys()
        reaction: Reaction = Silence() if presses else self._line.customer.on_gather(heard)
        self._line.note("verb", "Gather", {"action": gather.action, "prompt": heard.text, "heard": str(heard.count)})
        match reaction:
            case HangUp(after):
                yield from self._pass(max(SOONEST, prompt_seconds + min(after, gather.timeout)))
                raise CallerHungUp
            case Speak() if gather.takes_speech:
                return (yield from self._take_speech(gather, reaction, prompt_seconds))
            case Press():
                presses = presses_of(reaction, prompt_seconds)
        return (yield from self._take_keys(gather, presses if gather.takes_keys else [], prompt_seconds))

    def _take_keys(self, gather: Gather, presses: list[tuple[float, str]], prompt_seconds: float) -> NextFetch:
        collected = collect(gather, presses, prompt_seconds)
        start = self.elapsed
        self._keys_in_flight = [(start + moment, key) for moment, key in collected.leftover]
        yield from self._pass(collected.seconds)
        pressed = collected.digits + collected.finished_on
        if pressed:
            self._did(f"presses {pressed}", "keys", {"keys": pressed})
        else:
            self._did("does nothing", "silence", NOTHING)
        if not collected.digits and not gather.action_on_empty:
            return None
        params = {"Digits": collected.digits, "FinishedOnKey": collected.finished_on, "msg": "Gather End"}
        return Fetch("gather", gather.action, params)

    def _take_speech(self, gather: Gather, speech: Speak, prompt_seconds: float) -> NextFetch:
        yield from self._pass(max(SOONEST, prompt_seconds + speech.after) + speech.seconds)
        self._did(f"says: {speech.text}", "speech", {"text": speech.text})
        return Fetch("gather", gather.action, {"SpeechResult": speech.text, "Confidence": str(speech.confidence)})

    def _record(self, record: Record) -> NextFetch:
        heard = self._heard(" ".join(self._spoken), record.action, None)
        self._line.note("verb", "Record", {"action": record.action})
        if record.play_beep:
            self._line.say(self.elapsed, "(beep)")
        reaction = self._line.customer.on_record(heard)
        match reaction:
            case Speak():
                length = min(speech_end(reaction), float(record.max_length))
                return (yield from self._recorded(record, length, reaction.text))
            case Press(keys, after):
                yield from self._pass(max(SOONEST, after))
                self._did(f"presses {keys}", "keys", {"keys": keys})
                return Fetch("record", record.action, self._recording(max(SOONEST, after), keys[:1]))
            case HangUp(after):
                yield from self._pass(max(0.0, after))
                yield Fetch("record", record.action, self._recording(max(0.0, after), "hangup"))
                raise CallerHungUp
            case _:
                # An empty recording is thrown away and the verbs after it go on.
                yield from self._pass(float(record.timeout))
                self._did("says nothing", "silence", NOTHING)
                return None

    def _recorded(self, record: Record, length: float, text: str) -> NextFetch:
        start = self.elapsed
        try:
            yield from self._pass(length)
            self._did(f"says, recorded: {text}", "speech", {"text": text})
            yield from self._pass(float(record.timeout) if length < record.max_length else 0.0)
        except CallerHungUp:
            self._did(f"says, recorded until they hang up: {text}", "speech", {"text": text})
            yield Fetch("record", record.action, self._recording(self.elapsed - start, "hangup"))
            raise
        return Fetch("record", record.action, self._recording(length, ""))

    def _recording(self, seconds: float, digits: str) -> dict[str, str]:
        call_sid = self._line.call.sid
        sid = "RE" + hashlib.sha256(f"{call_sid} recording {self.documents}".encode()).hexdigest()[:32]
        url = f"https://api.twilio.com/2010-04-01/Accounts/{self._line.account_sid}/Recordings/{sid}"
        return {"RecordingSid": sid, "RecordingUrl": url, "RecordingDuration": str(round(seconds)), "Digits": digits}

    def _heard(self, text: str, action: str, num_digits: int | None) -> Heard:
        spoken = " ".join(self._spoken)
        prompt = text or spoken
        self._times_heard[prompt] += 1
        count = self._times_heard[prompt]
        sid = self._line.call.sid
        return Heard(sid, prompt, spoken, self._language, count, action, num_digits, self.elapsed)

    def _arriving_keys(self) -> list[tuple[float, str]]:
        """Keys pressed for an earlier prompt that reach this one; those that fell between two prompts are lost."""
        arriving = [(moment - self.elapsed, key) for moment, key in self._keys_in_flight if moment >= self.elapsed]
        self._keys_in_flight = []
        return arriving

    def _did(self, transcript: str, what: str, detail: Mapping[str, str]) -> None:
        self._spoken.clear()
        self._line.note("input", what, detail)
        self._line.say(self.elapsed, f"customer {transcript}")

    def _pass(self, seconds: float) -> Steps:
        """Let time pass, unless the customer's patience or the call's time limit runs out first."""
        limit = float(self._line.call.request.time_limit)
        patience = self._line.hangs_up_after
        end = self.elapsed + seconds
        if patience is not None and patience <= min(end, limit):
            yield from self._advance(max(0.0, patience - self.elapsed))
            raise CallerHungUp
        if limit <= end:
            yield from self._advance(max(0.0, limit - self.elapsed))
            raise TimeLimitReached
        yield from self._advance(seconds)

    def _advance(self, seconds: float) -> Steps:
        if seconds > 0:
            yield Wait(seconds)
            self.elapsed += seconds

    def _apologise(self, fault: TwimlError) -> Steps:
        self._note_error(fault)
        self._line.say(self.elapsed, f"the network says: {APOLOGY}")
        yield Wait(3.0)
        self.elapsed += 3.0

    def _note_error(self, fault: TwimlError) -> None:
        self._line.note("error", str(fault), {"code": str(fault.code)})


def speech_end(speech: Speak) -> float:
    """Give how many seconds after the beep the customer has finished speaking."""
    return max(0.0, speech.after) + speech.seconds
