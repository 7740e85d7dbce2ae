"""Status callbacks: which of a call's events are told to the service, with what, and what goes wrong on the way."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime

from simulator.network.billing import Note
from simulator.network.courier import RETRIEVAL_FAILURE, Courier, standard_params
from simulator.network.faults import NONE, Dice, Faults
from simulator.network.store import NOTHING, Call
from simulator.network.timeline import Timeline


class StatusCallbacks:
    """Announces a call's progress. `after(at, seconds)` gives the moment so many seconds of a call later."""

    def __init__(
        self,
        account_sid: str,
        courier: Courier,
        timeline: Timeline,
        note: Note,
        after: Callable[[datetime, float], datetime],
    ) -> None:
        self._account_sid = account_sid
        self._courier = courier
        self._timeline = timeline
        self._note = note
        self._after = after
        self.dice = Dice(Faults(), 0)

    def announce(self, at: datetime, call: Call, event: str, status: str, extra: Mapping[str, str] = NOTHING) -> None:
        """Put the callback of an event on the timeline, if it was asked for and no fault decides otherwise.

        SequenceNumber counts what is sent or was meant to be sent, from 0: a lost callback leaves a gap.
        """
        if not call.request.status_callback or event not in call.request.events:
            return
        sequence, call.sequence = call.sequence, call.sequence + 1
        params = standard_params(call, self._account_sid, status)
        params["CallbackSource"] = "call-progress-events"
        params["SequenceNumber"] = str(sequence)
        params["Timestamp"] = format_datetime(at)
        params.update(extra)
        for moment in self._moments(at, call, event, sequence):
            self._timeline.schedule(moment, lambda then: self._send(then, call, params))

    def tell_detection(self, at: datetime, call: Call, found: Mapping[str, str]) -> None:
        """Put what was found beside the call on the timeline, if it was asked for: just these parameters."""
        url = call.request.async_amd_status_callback
        if url:
            params = {"CallSid": call.sid, "AccountSid": self._account_sid, **found}
            self._timeline.schedule(at, lambda then: self._post(then, call, "amd", url, params))

    def _moments(self, at: datetime, call: Call, event: str, sequence: int) -> list[datetime]:
        """When the callback is sent: once at once, unless a fault loses, repeats or delays it."""
        fault = self.dice.for_callback(call.sid, sequence)
        if fault == NONE:
            return [at]
        self._note(at, call, "fault", fault, {"event": event, "SequenceNumber": str(sequence)})
        late = self._after(at, self.dice.delay(call.sid, sequence))
        return {"callback_lost": [], "callback_duplicated": [at, late], "callback_delayed": [late]}[fault]

    def _send(self, at: datetime, call: Call, params: Mapping[str, str]) -> None:
        self._post(at, call, "status", call.request.status_callback, params)

    def _post(self, at: datetime, call: Call, purpose: str, url: str, params: Mapping[str, str]) -> None:
        reply = self._courier.send(call, purpose, url, params)
        if not 200 <= reply.status < 300:
            what = f"The {purpose} callback was answered {reply.status or reply.failure}"
            self._note(at, call, "error", what, {"code": str(RETRIEVAL_FAILURE)})
