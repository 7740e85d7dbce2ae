"""What the network needs to know of whoever picks up: does the phone get answered, and what is pressed or said.

The network asks; a customer only ever hears what was really spoken to them. Seconds are seconds of the call.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from simulator.network.store import Call

Outcome = Literal["answer", "machine", "fax", "busy", "no-answer", "failed"]


@dataclass(frozen=True, slots=True)
class Ring:
    """What becomes of the ringing: an outcome, after so many seconds of ringing.

    `hangs_up_after` is how many seconds after picking up the customer hangs up whatever is being said; None: never by
    impatience (a machine: after its tape of 60 s). `sip_code` is only used by the outcome "failed", `greeting_ends` by
    "machine": what comes after its greeting, as "machine_end_..." tells it.
    """

    outcome: Outcome = "answer"
    seconds: float = 8.0
    hangs_up_after: float | None = None
    sip_code: int = 503
    greeting_ends: Literal["beep", "silence", "other"] = "beep"


@dataclass(frozen=True, slots=True)
class Heard:
    """What the customer has heard when something is expected of them.

    `text` is the prompt itself, `spoken` everything said since they last did something (the prompt included),
    `count` how many times this prompt has been heard in this call (1 = the first time), `action` where the answer will
    go, `elapsed` the seconds since the call was answered, before the prompt.
    """

    call_sid: str
    text: str
    spoken: str
    language: str
    count: int
    action: str
    num_digits: int | None
    elapsed: float


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys, the first one `after` seconds after the prompt's end (negative: while it is still speaking)."""

    keys: str
    after: float = 1.5
    gap: float = 0.4


@dataclass(frozen=True, slots=True)
class Speak:
    """Say something, for `seconds`, beginning `after` seconds after the prompt's (or the beep's) end."""

    text: str
    seconds: float = 2.0
    after: float = 0.8
    confidence: float = 0.9


@dataclass(frozen=True, slots=True)
class Silence:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang up, `after` seconds after the prompt's end (negative: while it is still speaking)."""

    after: float = 1.0


Reaction = Press | Speak | Silence | HangUp


class Customer(Protocol):
    """Someone at the other end of one call."""

    def on_ringing(self, call: Call) -> Ring:
        """Say what becomes of the ringing. Asked once a call."""
        ...

    def on_gather(self, heard: Heard) -> Reaction:
        """React to a prompt that waits for keys (or speech)."""
        ...

    def on_record(self, heard: Heard) -> Reaction:
        """React to the beep: Speak, Silence, HangUp, or Press a key to end an empty recording."""
        ...


Behaviour = Callable[[Call], Customer]


class AnsweringMachine:
    """Listens to the end, presses nothing, and hangs up at the beep. The network uses it for "machine" and "fax"."""

    def on_ringing(self, call: Call) -> Ring:
        """Pick up after 20 s."""
        return Ring("machine", 20.0)

    def on_gather(self, heard: Heard) -> Reaction:
        """A machine presses nothing."""
        return Silence()

    def on_record(self, heard: Heard) -> Reaction:
        """Two machines have nothing to say to each other."""
        return HangUp(0.0)


@dataclass(slots=True)
class ScriptedCustomer:
    """Does what it is told, in order, then nothing: for tests, and for a person taking the survey at a keyboard.

    `keys` may hold strings (pressed as they are) and reactions. `heard` keeps every prompt, for looking at afterwards.
    """

    keys: Iterable[str | Reaction] = ()
    ring: Ring = field(default_factory=Ring)
    recording: Reaction = field(default_factory=Silence)
    heard: list[Heard] = field(default_factory=list)
    _next: list[str | Reaction] = field(init=False)

    def __post_init__(self) -> None:
        self._next = list(self.keys)

    def on_ringing(self, call: Call) -> Ring:
        """Do as the script says."""
        return self.ring

    def on_gather(self, heard: Heard) -> Reaction:
        """Take the next reaction off the script; silence when there is none left."""
        self.heard.append(heard)
        reaction = self._next.pop(0) if self._next else Silence()
        return Press(reaction) if isinstance(reaction, str) else reaction

    def on_record(self, heard: Heard) -> Reaction:
        """Do as the script says."""
        self.heard.append(heard)
        return self.recording
