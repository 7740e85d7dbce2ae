"""The verbs this network executes, as a document that was read has them. Times are in seconds, addresses absolute."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Say:
    """Speak `text`; `seconds` is how long that takes at 175 words a minute, loops included."""

    text: str
    language: str
    voice: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Play:
    """Play a recording (taken to last 3 s) or touch tones."""

    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Gather:
    """Wait for keys (or speech) while the prompts play; `timeout` is counted from the end of the last prompt or key."""

    prompts: tuple[Say | Play | Pause, ...]
    action: str
    timeout: int
    finish_on_key: str
    num_digits: int | None
    action_on_empty: bool
    takes_keys: bool
    takes_speech: bool


@dataclass(frozen=True, slots=True)
class Record:
    """Record what the customer says, up to `max_length` seconds or `timeout` seconds of silence.

    `status_callback` hears of the `status_events` (in-progress, completed, absent); what was said is written down and
    told to `transcribe_callback` if `transcribe`. Addresses are "" where none is given.
    """

    action: str
    timeout: int
    finish_on_key: str
    max_length: int
    play_beep: bool
    trim: str
    status_callback: str
    status_events: frozenset[str]
    transcribe: bool
    transcribe_callback: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document."""

    url: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call. `verb` is Reject when the document said so, with its `reason`: rejected or busy.

    On a call already answered Reject does the same as Hangup.
    """

    verb: str = "Hangup"
    reason: str = ""


Verb = Say | Play | Pause | Gather | Record | Redirect | Hangup


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs of one document in order, and what Twilio's debugger would grumble about without stopping."""

    verbs: tuple[Verb, ...]
    warnings: tuple[str, ...]
