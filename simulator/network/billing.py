"""What a real network would bill: every amount a whole number of ten-thousandths of a US dollar, so sums are exact.

A call costs its minutes, each begun one whole and at least one, from the answer to the end; what nobody answers costs
nothing. The prices are this network's own and of the usual size, but for the detection: that is Twilio's published
price a call ("Answering Machine Detection").
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from simulator.network.store import INBOUND, NOTHING, Call

A_DOLLAR = 10_000


class Note(Protocol):
    """Writes to the network's event log."""

    def __call__(self, at: datetime, call: Call, kind: str, what: str, detail: Mapping[str, str] = NOTHING, /) -> None:
        """Append one entry about a call."""
        ...


def _outbound() -> Mapping[str, int]:
    return {"": 500, "+1": 140, "+44": 160, "+33": 200, "+34": 200}


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in ten-thousandths of a dollar: a minute's, and a detection's.

    `outbound` goes by the beginning of the number called: the longest that fits; "" fits all and must be there.
    """

    outbound: Mapping[str, int] = field(default_factory=_outbound)
    inbound: int = 85
    detection: int = 75
    recording: int = 25
    transcription: int = 500

    def a_minute(self, call: Call) -> int:
        """Give what a minute of this call costs."""
        if call.direction == INBOUND:
            return self.inbound
        return self.outbound[max((start for start in self.outbound if call.to.startswith(start)), key=len)]


def minutes(seconds: float) -> int:
    """Give the minutes billed for so many seconds: each begun one counts, and there is no call of none."""
    return max(1, -int(-seconds // 60))


def dollars(amount: int) -> str:
    """Write an amount: 280 is "0.0280"."""
    return f"{amount // A_DOLLAR}.{amount % A_DOLLAR:04}"


class Meter:
    """Writes what things cost into the event log, and keeps the sum."""

    def __init__(self, tariff: Tariff, note: Note) -> None:
        self._tariff = tariff
        self._note = note
        self._lock = threading.Lock()
        self.total = 0

    def call(self, at: datetime, call: Call) -> None:
        """Bill an answered call that has ended, and its detection; fills in `price`, which is the call's alone."""
        amount = self._bill(at, call, "call", self._tariff.a_minute(call), minutes(call.duration or 0))
        call.price = f"-{dollars(amount)}"
        if call.request.machine_detection:
            self._bill(at, call, "detection", self._tariff.detection, 1)

    def recording(self, at: datetime, call: Call, seconds: float) -> str:
        """Bill a recording of so many seconds; give its price as the API shows it."""
        return f"-{dollars(self._bill(at, call, 'recording', self._tariff.recording, minutes(seconds)))}"

    def transcription(self, at: datetime, call: Call, seconds: float) -> None:
        """Bill what was written down of a recording of so many seconds."""
        self._bill(at, call, "transcription", self._tariff.transcription, minutes(seconds))

    def _bill(self, at: datetime, call: Call, what: str, rate: int, times: int) -> int:
        amount = rate * times
        with self._lock:
            self.total += amount
            total = self.total
        detail = {"times": str(times), "rate": dollars(rate), "price": dollars(amount), "total": dollars(total)}
        self._note(at, call, "bill", what, detail)
        return amount
