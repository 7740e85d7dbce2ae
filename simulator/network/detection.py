"""Answering machine detection: what is made out of whoever picked up, and after how long. Pure.

Source: Twilio, "Answering Machine Detection": the values of AnsweredBy, and the parameters that tune it. How long a
greeting is, and how soon somebody says hello, is this network's own.
"""

from typing import NamedTuple

from simulator.network.customer import Outcome, Ring
from simulator.network.faults import NONE
from simulator.network.store import CallRequest

TO_THE_END = "DetectMessageEnd"
SHORTEST_HELLO = 400
SHORTEST_GREETING, LONGEST_GREETING = 5_000, 20_000
MACHINES: tuple[Outcome, ...] = ("machine", "fax")


class Finding(NamedTuple):
    """What AnsweredBy says, so many milliseconds after the call was answered."""

    answered_by: str
    milliseconds: int

    @property
    def seconds(self) -> float:
        """The same in seconds of the call."""
        return self.milliseconds / 1000


def befalls(fault: str, ring: Ring) -> str:
    """Give the fault where it can befall whoever picked up: only people are taken for machines, and so on."""
    if fault == "human_taken_for_machine":
        return fault if ring.outcome == "answer" else NONE
    if fault == "machine_taken_for_human":
        return fault if ring.outcome == "machine" else NONE
    return fault


def find(request: CallRequest, ring: Ring, fault: str, luck: int) -> Finding:
    """Give what the detection that `request` asks for finds; `luck` (0 or more) decides what takes how long."""
    finding = _listen(request, ring, fault, luck)
    limit = request.machine_detection_timeout * 1000
    return finding if finding.milliseconds <= limit else Finding("unknown", limit)


def _listen(request: CallRequest, ring: Ring, fault: str, luck: int) -> Finding:
    if fault == "detection_unknown":
        return Finding("unknown", request.silence_timeout)
    if ring.outcome == "fax":
        return Finding("fax", 2_000 + luck % 2_000)
    person = ring.outcome == "answer"
    if person != (fault in ("human_taken_for_machine", "machine_taken_for_human")):
        hello = SHORTEST_HELLO + luck % (request.speech_threshold - SHORTEST_HELLO)
        return Finding("human", hello + request.speech_end_threshold)
    start = request.speech_threshold + luck % 1_500
    if request.machine_detection != TO_THE_END:
        return Finding("machine_start", start)
    if person:
        # Somebody who talks long, and then waits for an answer, sounds like a greeting without a beep.
        return Finding("machine_end_silence", start + request.speech_end_threshold)
    greeting = SHORTEST_GREETING + luck % (LONGEST_GREETING - SHORTEST_GREETING)
    return Finding(f"machine_end_{ring.greeting_ends}", max(start, greeting))
