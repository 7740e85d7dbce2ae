"""Recordings: made by the verb Record, ready a moment after it, fetched and deleted by the API, told of by callbacks.

    in-progress -> processing -> completed -> deleted
         |-> absent (nothing was said)

Source: Twilio, "TwiML: <Record>" and "Recording resource". How long processing takes is this network's own.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from simulator.network.billing import Meter, Note
from simulator.network.courier import API_VERSION, RETRIEVAL_FAILURE, Courier, standard_params
from simulator.network.faults import NONE, Dice, Faults
from simulator.network.store import IN_PROGRESS, Call
from simulator.network.timeline import Timeline
from simulator.network.tone import wav
from simulator.network.verbs import Record

PROCESSING, COMPLETED, ABSENT, DELETED = "processing", "completed", "absent", "deleted"
READY_AFTER, READY_SPREAD = 1, 3
WRITTEN_AFTER, WRITTEN_SPREAD = 5, 15
SHORTEST_WRITTEN, LONGEST_WRITTEN = 2, 120


@dataclass(slots=True)
class Recording:
    """One recording; `seconds` is its length, `text` what was said, `refusals` how often its media is still denied."""

    sid: str
    call: Call
    verb: Record
    began_at: datetime
    updated_at: datetime
    fault: str
    status: str = IN_PROGRESS
    seconds: float = 0.0
    text: str = ""
    price: str | None = None
    refusals: int = 0

    @property
    def duration(self) -> str:
        """Its length in whole seconds, as Twilio writes it."""
        return str(round(self.seconds))


class Recordings:
    """The recordings of one network. `after` and `lasted` turn seconds of a call into moments and back."""

    def __init__(
        self,
        account_sid: str,
        courier: Courier,
        timeline: Timeline,
        note: Note,
        meter: Meter,
        after: Callable[[datetime, float], datetime],
        lasted: Callable[[datetime, datetime], float],
    ) -> None:
        self._account_sid = account_sid
        self._courier = courier
        self._timeline = timeline
        self._note = note
        self._meter = meter
        self._after = after
        self._lasted = lasted
        self._kept: dict[str, Recording] = {}
        self._open: dict[str, Recording] = {}
        self._lock = threading.Lock()
        self.api_base = "https://api.twilio.com"
        self.dice = Dice(Faults(), 0)

    # What the verb Record asks for

    def begin(self, at: datetime, call: Call, verb: Record) -> None:
        """Start to record a call."""
        with self._lock:
            number = sum(kept.call is call for kept in self._kept.values())
            sid = "RE" + _hex(f"{call.sid} recording {number}")
            recording = Recording(sid, call, verb, at, at, self.dice.for_recording(sid))
            recording.refusals = self.dice.faults.media_refusals if recording.fault == "media_late" else 0
            self._kept[sid] = self._open[call.sid] = recording
        if recording.fault != NONE:
            self._note(at, call, "fault", recording.fault, {"RecordingSid": sid})
        self._move(at, recording, IN_PROGRESS)

    def finish(self, at: datetime, call: Call, seconds: float, text: str) -> Mapping[str, str]:
        """End the recording under way, `seconds` long; give the parameters that tell the action of it.

        They are empty when the call was ended or redirected from outside this very moment: then nobody is told.
        """
        recording = self._take(call)
        if recording is None:
            return {}
        recording.seconds, recording.text = seconds, text
        if seconds > 0:
            recording.status, recording.updated_at = PROCESSING, at
            ready_at = self._after(at, READY_AFTER + self.dice.luck(f"ready {recording.sid}") % READY_SPREAD)
            self._timeline.schedule(ready_at, lambda then: self._complete(then, recording))
        else:
            self._move(at, recording, ABSENT)
        duration = {"RecordingDuration": recording.duration}
        return {"RecordingSid": recording.sid, "RecordingUrl": self.address(recording), **duration}

    def discard(self, at: datetime, call: Call) -> None:
        """Throw away the recording under way: nothing was said."""
        recording = self._take(call)
        if recording is not None:
            self._move(at, recording, ABSENT)

    def cut(self, at: datetime, call: Call) -> None:
        """End the recording under way, if there is one: the call has ended or went elsewhere in the midst of it."""
        recording = self._open.get(call.sid)
        if recording is not None:
            self.finish(at, call, self._lasted(recording.began_at, at), "")

    # What the API asks for

    def get(self, sid: str) -> Recording | None:
        """Give a recording by its SID, deleted ones too, or None."""
        return self._kept.get(sid)

    def newest_first(self) -> list[Recording]:
        """Give all that are not deleted, the one begun last first, as Twilio lists them."""
        with self._lock:
            return [kept for kept in reversed(self._kept.values()) if kept.status != DELETED]

    def media(self, recording: Recording) -> bytes | None:
        """Give the WAV; None while it is not ready, when it is not there, and once it is deleted."""
        with self._lock:
            if recording.status != COMPLETED:
                return None
            if recording.refusals > 0:
                recording.refusals -= 1
                return None
        return wav(recording.sid, recording.seconds)

    def delete(self, at: datetime, recording: Recording) -> bool:
        """Delete a recording that is completed or absent; False when there is nothing (any more, or yet) to delete."""
        with self._lock:
            if recording.status not in (COMPLETED, ABSENT):
                return False
            recording.status, recording.updated_at = DELETED, at
        self._note(at, recording.call, "recording", DELETED, {"RecordingSid": recording.sid})
        return True

    def address(self, recording: Recording) -> str:
        """Give the RecordingUrl."""
        return f"{self.api_base}/{API_VERSION}/Accounts/{self._account_sid}/Recordings/{recording.sid}"

    def _take(self, call: Call) -> Recording | None:
        with self._lock:
            return self._open.pop(call.sid, None)

    # What becomes of a recording afterwards

    def _complete(self, at: datetime, recording: Recording) -> None:
        recording.price = self._meter.recording(at, recording.call, recording.seconds)
        self._move(at, recording, COMPLETED)
        if recording.verb.transcribe and recording.verb.transcribe_callback:
            seconds = WRITTEN_AFTER + self.dice.luck(f"written {recording.sid}") % WRITTEN_SPREAD
            self._timeline.schedule(self._after(at, seconds), lambda then: self._write_down(then, recording))

    def _move(self, at: datetime, recording: Recording, status: str) -> None:
        """Give a recording its status and tell whoever asked to hear of it."""
        recording.status, recording.updated_at = status, at
        self._note(at, recording.call, "recording", status, {"RecordingSid": recording.sid})
        if not recording.verb.status_callback or status not in recording.verb.status_events:
            return
        params = {
            "AccountSid": self._account_sid,
            "CallSid": recording.call.sid,
            "RecordingSid": recording.sid,
            "RecordingUrl": self.address(recording),
            "RecordingStatus": status,
            "RecordingChannels": "1",
            "RecordingStartTime": format_datetime(recording.began_at),
            "RecordingSource": "RecordVerb",
        }
        if status != IN_PROGRESS:
            params["RecordingDuration"] = recording.duration
        for moment in self._moments(at, recording):
            self._post(moment, recording, "recording", recording.verb.status_callback, params)

    def _moments(self, at: datetime, recording: Recording) -> list[datetime]:
        if recording.fault == "recording_callback_lost":
            return []
        late = [self._after(at, self.dice.delay(recording.sid, 0))]
        return [at, *(late if recording.fault == "recording_callback_duplicated" else [])]

    def _write_down(self, at: datetime, recording: Recording) -> None:
        """Tell what was said; too short or too long a recording is not written down."""
        written = SHORTEST_WRITTEN <= recording.seconds <= LONGEST_WRITTEN and bool(recording.text)
        if written:
            self._meter.transcription(at, recording.call, recording.seconds)
        sid = "TR" + _hex(f"{recording.sid} transcription")
        url = f"{self.api_base}/{API_VERSION}/Accounts/{self._account_sid}/Transcriptions/{sid}"
        params = standard_params(recording.call, self._account_sid, recording.call.status) | {
            "RecordingSid": recording.sid,
            "RecordingUrl": self.address(recording),
            "TranscriptionSid": sid,
            "TranscriptionStatus": COMPLETED if written else "failed",
            "TranscriptionText": recording.text if written else "",
            "TranscriptionType": "fast",
            "TranscriptionUrl": url,
        }
        self._post(at, recording, "transcription", recording.verb.transcribe_callback, params)

    def _post(self, at: datetime, recording: Recording, purpose: str, url: str, params: Mapping[str, str]) -> None:
        self._timeline.schedule(at, lambda then: self._send(then, recording.call, purpose, url, params))

    def _send(self, at: datetime, call: Call, purpose: str, url: str, params: Mapping[str, str]) -> None:
        reply = self._courier.send(call, purpose, url, params)
        if not 200 <= reply.status < 300:
            what = f"The {purpose} callback was answered {reply.status or reply.failure}"
            self._note(at, call, "error", what, {"code": str(RETRIEVAL_FAILURE)})


class CallTape:
    """The recordings of one call, as its conversation makes them; `now()` is the moment of the event that runs."""

    def __init__(self, recordings: Recordings, call: Call, now: Callable[[], datetime]) -> None:
        self._recordings = recordings
        self._call = call
        self._now = now

    def begin(self, record: Record) -> None:
        """Start to record."""
        self._recordings.begin(self._now(), self._call, record)

    def finish(self, seconds: float, text: str) -> Mapping[str, str]:
        """Keep what was recorded; give the parameters that tell of it."""
        return self._recordings.finish(self._now(), self._call, seconds, text)

    def discard(self) -> None:
        """Throw away a recording in which nothing was said."""
        self._recordings.discard(self._now(), self._call)


def _hex(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
