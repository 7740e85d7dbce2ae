"""Everything a phone network can do to its customer, by configuration and repeatable by seed."""

import hashlib
import threading
from dataclasses import dataclass, fields

PER = 10_000

CREATE_FAULTS = (
    "too_many_requests",
    "error_before_dialling",
    "error_after_dialling",
    "hang_after_dialling",
    "drop_after_dialling",
    "slow_after_dialling",
)
CALLBACK_FAULTS = ("callback_lost", "callback_duplicated", "callback_delayed")
ANSWER_FAULTS = ("answer_repeated", "answer_echoed")
LOOKUP_FAULTS = ("lookup_refused",)
DETECTION_FAULTS = ("human_taken_for_machine", "machine_taken_for_human", "detection_unknown", "detection_lost")
RECORDING_FAULTS = ("media_late", "recording_callback_lost", "recording_callback_duplicated")
GROUPS = (CREATE_FAULTS, LOOKUP_FAULTS, CALLBACK_FAULTS, ANSWER_FAULTS, DETECTION_FAULTS, RECORDING_FAULTS)
NONE = "none"


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each thing goes wrong, out of 10,000; `next_...` lists are used up first, in order ("none" = no fault).

    Creating a call:
      too_many_requests       429, code 20429; never processed
      error_before_dialling   500, code 20500; nobody is dialled
      error_after_dialling    500, code 20500; the call was placed all the same
      hang_after_dialling     placed; the answer only comes after `hang_seconds` (the client has long given up)
      drop_after_dialling     placed; the connection is dropped without an answer
      slow_after_dialling     placed; the answer, a success, takes `slow_seconds`: webhooks may well come before it
    Asking after calls (one, or a list):
      lookup_refused          503, code 20500
    Status callbacks:
      callback_lost, callback_duplicated (a copy follows after `delay_seconds`), callback_delayed (by `delay_seconds`,
      so it may come after its successors)
    TwiML requests after the first (a Gather's or Record's action, a Redirect):
      answer_repeated         sent twice with one I-Twilio-Idempotency-Token, as when our first answer got lost
      answer_echoed           a copy follows after `delay_seconds`, so after the answers that came next
    Answering machine detection (where the call asks for it):
      human_taken_for_machine (only befalls people), machine_taken_for_human (only machines)
      detection_unknown       nothing is made out: "unknown"
      detection_lost          the AsyncAmdStatusCallback is never sent
    Recordings:
      media_late              the media answers 404 the first `media_refusals` times it is asked for, though completed
      recording_callback_lost, recording_callback_duplicated (recordingStatusCallback; a copy after `delay_seconds`)

    Raises ValueError when the fractions of one group exceed the whole or a `next_...` entry is unknown.
    """

    too_many_requests: int = 0
    error_before_dialling: int = 0
    error_after_dialling: int = 0
    hang_after_dialling: int = 0
    drop_after_dialling: int = 0
    slow_after_dialling: int = 0
    lookup_refused: int = 0
    callback_lost: int = 0
    callback_duplicated: int = 0
    callback_delayed: int = 0
    answer_repeated: int = 0
    answer_echoed: int = 0
    human_taken_for_machine: int = 0
    machine_taken_for_human: int = 0
    detection_unknown: int = 0
    detection_lost: int = 0
    media_late: int = 0
    recording_callback_lost: int = 0
    recording_callback_duplicated: int = 0
    hang_seconds: float = 20.0
    slow_seconds: float = 0.5
    delay_seconds: tuple[int, int] = (2, 90)
    media_refusals: int = 2
    next_creates: tuple[str, ...] = ()
    next_callbacks: tuple[str, ...] = ()
    next_answers: tuple[str, ...] = ()
    next_lookups: tuple[str, ...] = ()
    next_detections: tuple[str, ...] = ()
    next_recordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        groups = (
            (CREATE_FAULTS, self.next_creates, "next_creates"),
            (CALLBACK_FAULTS, self.next_callbacks, "next_callbacks"),
            (ANSWER_FAULTS, self.next_answers, "next_answers"),
            (LOOKUP_FAULTS, self.next_lookups, "next_lookups"),
            (DETECTION_FAULTS, self.next_detections, "next_detections"),
            (RECORDING_FAULTS, self.next_recordings, "next_recordings"),
        )
        for names, upcoming, field in groups:
            weights = [self.weight(name) for name in names]
            if min(weights) < 0 or sum(weights) > PER:
                raise ValueError(f"{', '.join(names)} must be 0 or more and add up to at most {PER}")
            unknown = set(upcoming) - set(names) - {NONE}
            if unknown:
                raise ValueError(f"{field} knows {', '.join(names)} and {NONE}, not {', '.join(sorted(unknown))}")

    def weight(self, name: str) -> int:
        """Give the chance of the fault called `name`, out of 10,000."""
        value = getattr(self, name)
        assert isinstance(value, int)
        return value

    @property
    def any(self) -> bool:
        """Whether anything at all is set to go wrong."""
        settings = ("hang_seconds", "slow_seconds", "delay_seconds", "media_refusals")
        return any(getattr(self, field.name) for field in fields(self) if field.name not in settings)


class Dice:
    """Decides, by seed, which fault befalls what. Independent of thread timing: each decision has its own name."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._lock = threading.Lock()
        self._creates = 0
        self._lookups = 0
        self._upcoming = {
            CREATE_FAULTS: list(faults.next_creates),
            CALLBACK_FAULTS: list(faults.next_callbacks),
            ANSWER_FAULTS: list(faults.next_answers),
            LOOKUP_FAULTS: list(faults.next_lookups),
            DETECTION_FAULTS: list(faults.next_detections),
            RECORDING_FAULTS: list(faults.next_recordings),
        }

    def for_create(self) -> str:
        """Give the fault of the next POST that would create a call, or "none"."""
        with self._lock:
            self._creates += 1
            name = f"create {self._creates}"
        return self._choose(CREATE_FAULTS, name)

    def for_lookup(self) -> str:
        """Give the fault of the next GET of a call or of the list, or "none"."""
        with self._lock:
            self._lookups += 1
            name = f"lookup {self._lookups}"
        return self._choose(LOOKUP_FAULTS, name)

    def for_callback(self, call_sid: str, sequence: int) -> str:
        """Give the fault of a call's status callback number `sequence`, or "none"."""
        return self._choose(CALLBACK_FAULTS, f"callback {call_sid} {sequence}")

    def for_answer(self, call_sid: str, document: int) -> str:
        """Give the fault of a call's TwiML request number `document`, or "none"."""
        return self._choose(ANSWER_FAULTS, f"answer {call_sid} {document}")

    def for_detection(self, call_sid: str) -> str:
        """Give the fault of a call's answering machine detection, or "none"."""
        return self._choose(DETECTION_FAULTS, f"detection {call_sid}")

    def for_recording(self, recording_sid: str) -> str:
        """Give the fault of a recording, or "none"."""
        return self._choose(RECORDING_FAULTS, f"recording {recording_sid}")

    def delay(self, call_sid: str, sequence: int) -> int:
        """Give by how many seconds a status callback, or the copy of an answer, comes late."""
        low, high = self.faults.delay_seconds
        return low + self.luck(f"delay {call_sid} {sequence}") % (high - low + 1)

    def _choose(self, names: tuple[str, ...], decision: str) -> str:
        with self._lock:
            if self._upcoming[names]:
                return self._upcoming[names].pop(0)
        if not self.faults.any:
            return NONE
        drawn = self.luck(decision) % PER
        for name in names:
            weight = self.faults.weight(name)
            if drawn < weight:
                return name
            drawn -= weight
        return NONE

    def luck(self, decision: str) -> int:
        """Give the number, from 0 to 2^64 - 1, that the seed gives a decision of this name."""
        return int.from_bytes(hashlib.sha256(f"{self._seed} {decision}".encode()).digest()[:8], "big")
