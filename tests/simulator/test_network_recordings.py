"""Recordings: made by <Record>, fetched, written down, deleted, and told of."""

import io
import wave
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from simulator.network import Call, Faults, HangUp, Press, Reaction, RestServer, Ring, ScriptedCustomer, Speak
from simulator.network.tone import wav
from tests.simulator.stage import ACCOUNT, START, TOKEN, Door, Stage, say

COMMENT = Speak("It was fine.", seconds=4.0, after=1.0)
EVENTS = 'recordingStatusCallback="/recording" recordingStatusCallbackEvent="in-progress completed absent"'


def record(attributes: str = "") -> str:
    return f'<Response><Record action="/recorded" timeout="3" {attributes}/><Say>unreachable</Say></Response>'


def staged(recording: Reaction = COMMENT, ring: Ring | None = None, **settings: Any) -> Stage:
    stage = Stage(ScriptedCustomer(recording=recording, ring=ring or Ring()), **settings)
    stage.service.answers |= {"/recorded": say("Thank you."), "/recording": 204, "/written": 204}
    return stage


@pytest.fixture
def door() -> Iterator[Door]:
    stage = staged()
    with RestServer(stage.network) as server:
        yield Door(stage, server)


def recorded(door: Door, attributes: str = "") -> dict[str, str]:
    """Make a call that is recorded, to its end; give what the action was told."""
    door.stage.call(record(attributes))
    return door.stage.service.at("/recorded")[-1]


def fetch(url: str, auth: tuple[str, str] | None = (ACCOUNT, TOKEN)) -> requests.Response:
    return requests.get(url, auth=auth, timeout=5)


def seconds_of(media: bytes) -> float:
    with wave.open(io.BytesIO(media)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getnframes() / file.getframerate()


def test_a_tone_lasts_as_long_as_asked_and_is_always_the_same() -> None:
    assert seconds_of(wav("a", 4.25)) == 4.25 and wav("a", 4.25) == wav("a", 4.25) != wav("b", 4.25)
    with wave.open(io.BytesIO(wav("a", 1.0))) as file:
        assert len(set(file.readframes(8_000))) > 20  # something is to be heard


def test_a_recorded_comment_can_be_fetched(door: Door) -> None:
    told = recorded(door)
    assert told["RecordingDuration"] == "5" and told["RecordingSid"].startswith("RE") and told["Digits"] == ""
    assert told["RecordingUrl"].startswith(door.url)
    assert "unreachable" not in door.stage.network.transcript(told["CallSid"])
    for address in (told["RecordingUrl"], told["RecordingUrl"] + ".wav"):
        answer = fetch(address)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "audio/x-wav"
        assert seconds_of(answer.content) == 5.0
    assert fetch(told["RecordingUrl"] + ".wav", auth=None).status_code == 401
    assert fetch(told["RecordingUrl"] + ".wav", auth=(ACCOUNT, "wrong")).status_code == 401


def test_the_client_fetches_lists_and_deletes(door: Door) -> None:
    first = recorded(door)
    door.stage.call(record())  # this customer says nothing
    door.stage.customers = [ScriptedCustomer(recording=COMMENT)]
    third = recorded(door)
    recording = door.client.recordings(third["RecordingSid"]).fetch()
    assert (recording.call_sid, recording.duration, recording.channels) == (third["CallSid"], "5", 1)
    assert (str(recording.status), str(recording.source), recording.price) == ("completed", "RecordVerb", "-0.0025")
    sids = [third["RecordingSid"], first["RecordingSid"]]
    assert [kept.sid for kept in door.client.recordings.list() if kept.status == "completed"] == sids
    assert [kept.sid for kept in door.client.recordings.list(call_sid=third["CallSid"])] == sids[:1]
    assert [kept.sid for kept in door.client.calls(first["CallSid"]).recordings.list()] == sids[1:]
    assert door.client.recordings.list(date_created_before=START) == []
    assert door.client.recordings(sids[0]).delete()
    assert fetch(third["RecordingUrl"] + ".wav").status_code == 404
    for ask in (door.client.recordings(sids[0]).fetch, door.client.recordings(sids[0]).delete):
        with pytest.raises(TwilioRestException) as gone:
            ask()
        assert (gone.value.status, gone.value.code) == (404, 20404)
    assert door.client.recordings(sids[0]).fetch(include_soft_deleted=True).status == "deleted"
    assert sids[0] not in [kept.sid for kept in door.client.recordings.list()]


def test_it_is_not_ready_at_once(door: Door) -> None:
    """The action is told of it before it can be fetched: who fetches there and then gets a 404."""
    seen = []

    def early(got: Any) -> str:
        seen.append(fetch(got.form["RecordingUrl"] + ".wav").status_code)
        with pytest.raises(TwilioRestException):
            door.client.recordings(got.form["RecordingSid"]).delete()
        return say("Thank you.")

    door.stage.service.answers["/recorded"] = early
    door.stage.service.answers["/recording"] = lambda got: (
        seen.append(fetch(got.form["RecordingUrl"] + ".wav").status_code) or 204
    )
    recorded(door, 'recordingStatusCallback="/recording"')
    assert seen == [404, 200]


def test_callbacks_tell_what_becomes_of_it() -> None:
    stage = staged()
    call = stage.call(record(EVENTS))
    began, done = stage.service.at("/recording")
    assert (began["RecordingStatus"], done["RecordingStatus"]) == ("in-progress", "completed")
    assert set(done) - set(began) == {"RecordingDuration"} and done["RecordingDuration"] == "5"
    assert (done["CallSid"], done["AccountSid"], done["RecordingSource"]) == (call.sid, ACCOUNT, "RecordVerb")
    assert (done["RecordingSid"], done["RecordingUrl"]) == (began["RecordingSid"], began["RecordingUrl"])
    assert parsedate_to_datetime(done["RecordingStartTime"]) == call.answered_at
    assert all(got.signed for got in stage.service.received) and stage.errors() == []


@pytest.mark.parametrize(
    ("attributes", "recording", "statuses"),
    [
        ('recordingStatusCallback="/recording"', COMMENT, ["completed"]),
        (EVENTS, Speak("x", 1.0), ["in-progress", "completed"]),
        ('recordingStatusCallback="/recording" recordingStatusCallbackEvent="absent"', COMMENT, []),
        (EVENTS, Press("2"), ["in-progress", "completed"]),
        (EVENTS, HangUp(2.0), ["in-progress", "completed"]),
        (EVENTS, HangUp(0.0), ["in-progress", "absent"]),
        ("", COMMENT, []),
    ],
)
def test_only_what_was_asked_for_is_told(attributes: str, recording: Reaction, statuses: list[str]) -> None:
    stage = staged(recording)
    stage.call(record(attributes))
    assert [form["RecordingStatus"] for form in stage.service.at("/recording")] == statuses


def test_an_empty_recording_falls_through_and_is_absent() -> None:
    stage = Stage()
    stage.service.answers["/recording"] = 204
    call = stage.call(record(EVENTS))
    assert stage.service.at("/recorded") == [] and "unreachable" in stage.network.transcript(call.sid)
    assert [form["RecordingStatus"] for form in stage.service.at("/recording")] == ["in-progress", "absent"]
    (kept,) = stage.network.recordings.newest_first()
    assert stage.network.recordings.media(kept) is None


@pytest.mark.parametrize(("trim", "duration"), [("", "5"), ('trim="do-not-trim"', "8"), ('maxLength="2"', "2")])
def test_how_long_it_is(trim: str, duration: str) -> None:
    stage = staged()
    stage.call(record(trim))
    assert stage.service.at("/recorded")[0]["RecordingDuration"] == duration


@pytest.mark.parametrize("how", ["service", "customer", "elsewhere", "limit"])
def test_a_call_that_ends_meanwhile_keeps_what_was_said(how: str) -> None:
    stage = staged(Speak("much", seconds=60.0), Ring(hangs_up_after=11.0 if how == "customer" else None))
    stage.service.answers["/voice"] = record(EVENTS)
    call: Call = stage.create(time_limit=11 if how == "limit" else 600)
    stage.network.run_until(START + timedelta(seconds=20), stage.move)
    if how == "service":
        stage.network.end(call, "completed")
    if how == "elsewhere":
        stage.network.redirect(call, '<Response><Pause length="30"/></Response>')
    stage.finish()
    _, done = stage.service.at("/recording")
    assert (done["RecordingStatus"], done["RecordingDuration"]) == ("completed", "11")
    assert [form["Digits"] for form in stage.service.at("/recorded")] == (["hangup"] if how == "customer" else [])
    assert call.status == "completed"


def test_what_is_ended_twice_is_kept_once() -> None:
    """The call may be ended by the API the very moment its conversation stops to record."""
    stage = staged()
    call = stage.call(record(EVENTS))
    network = stage.network
    for end in (
        lambda: network.recordings.finish(stage.now, call, 9.0, ""),
        lambda: network.recordings.cut(stage.now, call),
    ):
        assert not end()
    network.recordings.discard(stage.now, call)
    stage.finish()
    assert [(kept.status, kept.seconds) for kept in network.recordings.newest_first()] == [("completed", 5.0)]


def test_what_was_said_is_written_down() -> None:
    stage = staged()
    stage.call(record('transcribe="true" transcribeCallback="/written"'))
    (form,) = stage.service.at("/written")
    told = stage.service.at("/recorded")[0]
    assert (form["TranscriptionStatus"], form["TranscriptionText"]) == ("completed", "It was fine.")
    assert (form["RecordingSid"], form["RecordingUrl"]) == (told["RecordingSid"], told["RecordingUrl"])
    assert form["TranscriptionSid"].startswith("TR") and form["CallStatus"] == "completed"
    assert all(got.signed for got in stage.service.received)


@pytest.mark.parametrize("seconds", [0.5, 121.0])
def test_too_short_or_too_long_is_not_written_down(seconds: float) -> None:
    stage = staged(Speak("words", seconds=seconds, after=0.0))
    stage.call(record('transcribe="true" transcribeCallback="/written"'))
    (form,) = stage.service.at("/written")
    assert (form["TranscriptionStatus"], form["TranscriptionText"]) == ("failed", "")


def test_nothing_is_written_down_unless_asked() -> None:
    stage = staged()
    stage.call(record('transcribeCallback="/written"'))
    assert stage.service.at("/written") == []


def test_media_may_be_late(door: Door) -> None:
    door.stage.network.misbehave(Faults(next_recordings=("media_late",), media_refusals=3))
    url = recorded(door)["RecordingUrl"] + ".wav"
    assert [fetch(url).status_code for _ in range(5)] == [404, 404, 404, 200, 200]


@pytest.mark.parametrize(("fault", "times"), [("recording_callback_lost", 0), ("recording_callback_duplicated", 2)])
def test_callbacks_get_lost_or_come_twice(fault: str, times: int) -> None:
    stage = staged(faults=Faults(next_recordings=(fault,), delay_seconds=(60, 60)))
    stage.call(record('recordingStatusCallback="/recording"'))
    forms = stage.service.at("/recording")
    assert len(forms) == times and all(form == forms[0] for form in forms)
    assert [entry.what for entry in stage.network.log.of("fault")] == [fault]
    (kept,) = stage.network.recordings.newest_first()
    assert stage.network.recordings.media(kept) is not None


def test_a_callback_that_is_not_welcome_is_an_error() -> None:
    stage = staged()
    stage.service.answers["/recording"] = 500
    stage.call(record('recordingStatusCallback="/recording"'))
    assert stage.errors() == ["11200"]


def test_the_same_seed_records_the_same() -> None:
    def play(seed: int) -> list[tuple[str, object]]:
        stage = staged(seed=seed)
        stage.call(record(EVENTS))
        return [(form["RecordingSid"], form["RecordingStatus"]) for form in stage.service.at("/recording")]

    assert play(1) == play(1) != play(2)
