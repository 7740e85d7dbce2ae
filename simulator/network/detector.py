"""Has a call listened to, before its first document or beside it, and tells what was found."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from simulator.network.billing import Note
from simulator.network.callbacks import StatusCallbacks
from simulator.network.conversation import Conversation
from simulator.network.customer import Ring
from simulator.network.detection import Finding, befalls, find
from simulator.network.faults import NONE, Dice, Faults
from simulator.network.hearing import Line, first_document
from simulator.network.store import Call
from simulator.network.talks import Talks
from simulator.network.timeline import Action


class Later(Protocol):
    """Has something done when so many seconds of a call have passed."""

    def __call__(self, at: datetime, seconds: float, action: Action, /) -> None:
        """Have `action` run that long after `at`."""
        ...


class Detector:
    """Answering machine detection. `hang_up` ends a call whose customer did not wait until something was said."""

    def __init__(
        self,
        callbacks: StatusCallbacks,
        talks: Talks,
        note: Note,
        later: Later,
        hang_up: Callable[[datetime, Call], None],
    ) -> None:
        self._callbacks = callbacks
        self._talks = talks
        self._note = note
        self._later = later
        self._hang_up = hang_up
        self.dice = Dice(Faults(), 0)

    def listen(self, at: datetime, call: Call, line: Line, ring: Ring) -> None:
        """Listen to whoever picked up; unless it happens beside the call, its conversation begins afterwards."""
        fault = befalls(self.dice.for_detection(call.sid), ring)
        if fault != NONE:
            self._note(at, call, "fault", fault)
        finding = find(call.request, ring, fault, self.dice.luck(f"listening {call.sid}"))
        patience = line.hangs_up_after
        if patience is not None and patience <= finding.seconds:
            self._later(at, patience, lambda then: self._hang_up(then, call))
        else:
            self._later(at, finding.seconds, lambda then: self._detected(then, call, line, finding, fault))

    def _detected(self, at: datetime, call: Call, line: Line, finding: Finding, fault: str) -> None:
        if call.is_over:
            return
        call.answered_by = finding.answered_by
        found = {"AnsweredBy": finding.answered_by, "MachineDetectionDuration": str(finding.milliseconds)}
        self._note(at, call, "detection", finding.answered_by, found)
        if call.request.async_amd:
            if fault != "detection_lost":
                self._callbacks.tell_detection(at, call, found)
        elif not self._talks.under_way(call):
            self._talks.begin(at, call, Conversation(line, finding.seconds), first_document(call.request, found))
