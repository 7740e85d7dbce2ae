"""The verb Record: what a customer says after the beep, until silence, a key, or the end of the call."""

from simulator.network.customer import HangUp, Press, Speak
from simulator.network.hearing import CallerHungUp, Fetch, Hearing, NextFetch, TimeLimitReached
from simulator.network.keypad import SOONEST
from simulator.network.verbs import Record

KEEP_SILENCE = "do-not-trim"


def record(hearing: Hearing, verb: Record) -> NextFetch:
    """Record; gives the action's document, or None where nothing was said and the next verb goes on.

    Raises CallerHungUp, after having told the action of it, and TimeLimitReached.
    """
    heard = hearing.heard(" ".join(hearing.spoken), verb.action, None)
    hearing.line.note("verb", "Record", {"action": verb.action})
    if verb.play_beep:
        hearing.line.say(hearing.elapsed, "(beep)")
    hearing.line.tape.begin(verb)
    match hearing.line.customer.on_record(heard):
        case Speak() as speech:
            return (yield from _speak(hearing, verb, speech))
        case Press(keys, after):
            seconds = max(SOONEST, after)
            yield from hearing.let_pass(seconds)
            hearing.did(f"presses {keys}", "keys", {"keys": keys})
            return _recorded(hearing, verb, seconds, "", keys[:1])
        case HangUp(after):
            seconds = max(0.0, after)
            yield from hearing.let_pass(seconds)
            yield _recorded(hearing, verb, seconds, "", "hangup")
            raise CallerHungUp
        case _:
            # An empty recording is thrown away and the verbs after it go on.
            yield from hearing.let_pass(float(verb.timeout))
            hearing.line.tape.discard()
            hearing.did("says nothing", "silence")
            return None


def _speak(hearing: Hearing, verb: Record, speech: Speak) -> NextFetch:
    start = hearing.elapsed
    length = min(max(0.0, speech.after) + speech.seconds, float(verb.max_length))
    silence = 0.0 if length == verb.max_length else min(float(verb.timeout), verb.max_length - length)
    try:
        yield from hearing.let_pass(length)
        hearing.did(f"says, recorded: {speech.text}", "speech", {"text": speech.text})
        yield from hearing.let_pass(silence)
    except CallerHungUp:
        hearing.did(f"says, recorded until they hang up: {speech.text}", "speech", {"text": speech.text})
        yield _recorded(hearing, verb, hearing.elapsed - start, speech.text, "hangup")
        raise
    except TimeLimitReached:
        hearing.line.tape.finish(hearing.elapsed - start, speech.text)
        raise
    kept = length + silence if verb.trim == KEEP_SILENCE else length
    return _recorded(hearing, verb, kept, speech.text, "")


def _recorded(hearing: Hearing, verb: Record, seconds: float, text: str, digits: str) -> Fetch:
    return Fetch("record", verb.action, {**hearing.line.tape.finish(seconds, text), "Digits": digits})
