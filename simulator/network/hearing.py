"""What both ends of a call hear and do, second by second: the state that the verbs of a conversation share."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulator.network.customer import Customer, Heard
from simulator.network.store import NOTHING, Call, CallRequest
from simulator.network.transport import Reply
from simulator.network.verbs import Pause, Play, Record, Say


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


def first_document(request: CallRequest, found: Mapping[str, str] = NOTHING) -> Fetch | str:
    """Give what a call begins with; `found`, of its detection, goes with the request for it."""
    return Fetch("answer", request.url, found) if request.url else request.twiml


class CallerHungUp(Exception):
    """The customer put the phone down."""


class TimeLimitReached(Exception):
    """The call lasted as long as its TimeLimit allows."""


class Tape(Protocol):
    """Records one call, one recording at a time."""

    def begin(self, record: Record) -> None:
        """Start to record."""
        ...

    def finish(self, seconds: float, text: str) -> Mapping[str, str]:
        """Keep what was recorded (`text` is what was said) and give the parameters that tell of it."""
        ...

    def discard(self) -> None:
        """Throw away a recording in which nothing was said."""
        ...


@dataclass(slots=True)
class Line:
    """What a conversation needs of the network: the call, who is on it, and where to write things down.

    `note(kind, what, detail)` goes to the event log, `say(elapsed, text)` to the call's transcript; `pick_up()` answers
    a call that comes in and still rings.
    """

    call: Call
    customer: Customer
    hangs_up_after: float | None
    tape: Tape
    note: Callable[[str, str, Mapping[str, str]], None]
    say: Callable[[float, str], None]
    pick_up: Callable[[], None]


class Hearing:
    """The state of one conversation. `elapsed` is in seconds since the call was answered."""

    def __init__(self, line: Line, elapsed: float = 0.0) -> None:
        self.line = line
        self.elapsed = elapsed
        self.spoken: list[str] = []
        self._language = "en-US"
        self._times_heard: Counter[str] = Counter()
        self._keys_in_flight: list[tuple[float, str]] = []

    def voice(self, prompt: Say | Play | Pause, offset: float = 0.0) -> float:
        """Write down what is heard `offset` seconds from now and give how many seconds it takes."""
        moment = self.elapsed + offset
        match prompt:
            case Say(text, language, voice):
                self._language = language
                self.spoken.append(text)
                self.line.note("verb", "Say", {"text": text, "language": language, "voice": voice})
                self.line.say(moment, f"Aftercall says ({language}): {text}")
            case Play(url):
                self.spoken.append(url)
                self.line.note("verb", "Play", {"url": url})
                self.line.say(moment, f"Aftercall plays: {url}")
            case Pause():
                self.line.note("verb", "Pause", {"seconds": f"{prompt.seconds:g}"})
        return prompt.seconds

    def heard(self, text: str, action: str, num_digits: int | None) -> Heard:
        """Give what the customer has heard when something is expected of them; `text` is the prompt, if any."""
        spoken = " ".join(self.spoken)
        prompt = text or spoken
        self._times_heard[prompt] += 1
        count = self._times_heard[prompt]
        sid = self.line.call.sid
        return Heard(sid, prompt, spoken, self._language, count, action, num_digits, self.elapsed)

    def did(self, transcript: str, what: str, detail: Mapping[str, str] = NOTHING) -> None:
        """Write down what the customer did."""
        self.spoken.clear()
        self.line.note("input", what, detail)
        self.line.say(self.elapsed, f"customer {transcript}")

    def keep_keys(self, keys: list[tuple[float, str]]) -> None:
        """Remember keys pressed too late for the prompt at hand, by the seconds since the call was answered."""
        self._keys_in_flight = keys

    def arriving_keys(self) -> list[tuple[float, str]]:
        """Keys pressed for an earlier prompt that reach this one; those that fell between two prompts are lost."""
        arriving = [(moment - self.elapsed, key) for moment, key in self._keys_in_flight if moment >= self.elapsed]
        self._keys_in_flight = []
        return arriving

    def let_pass(self, seconds: float) -> Steps:
        """Let time pass, unless the customer's patience or the call's time limit runs out first."""
        limit = float(self.line.call.request.time_limit)
        patience = self.line.hangs_up_after
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
