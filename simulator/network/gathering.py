"""The verb Gather: prompts, and the keys or the speech that answer them."""

from simulator.network.customer import HangUp, Press, Reaction, Silence, Speak
from simulator.network.hearing import CallerHungUp, Fetch, Hearing, NextFetch
from simulator.network.keypad import SOONEST, collect, presses_of
from simulator.network.verbs import Gather


def gather(hearing: Hearing, verb: Gather) -> NextFetch:
    """Speak the prompts and take the answer; gives the action's document, or None where the next verb goes on.

    Raises CallerHungUp and TimeLimitReached.
    """
    before = len(hearing.spoken)
    prompt_seconds = 0.0
    for prompt in verb.prompts:
        prompt_seconds += hearing.voice(prompt, prompt_seconds)
    heard = hearing.heard(" ".join(hearing.spoken[before:]), verb.action, verb.num_digits)
    presses = hearing.arriving_keys()
    reaction: Reaction = Silence() if presses else hearing.line.customer.on_gather(heard)
    hearing.line.note("verb", "Gather", {"action": verb.action, "prompt": heard.text, "heard": str(heard.count)})
    match reaction:
        case HangUp(after):
            yield from hearing.let_pass(max(SOONEST, prompt_seconds + min(after, verb.timeout)))
            raise CallerHungUp
        case Speak() if verb.takes_speech:
            return (yield from _take_speech(hearing, verb, reaction, prompt_seconds))
        case Press():
            presses = presses_of(reaction, prompt_seconds)
    return (yield from _take_keys(hearing, verb, presses if verb.takes_keys else [], prompt_seconds))


def _take_keys(hearing: Hearing, verb: Gather, presses: list[tuple[float, str]], prompt_seconds: float) -> NextFetch:
    collected = collect(verb, presses, prompt_seconds)
    start = hearing.elapsed
    hearing.keep_keys([(start + moment, key) for moment, key in collected.leftover])
    yield from hearing.let_pass(collected.seconds)
    pressed = collected.digits + collected.finished_on
    if pressed:
        hearing.did(f"presses {pressed}", "keys", {"keys": pressed})
    else:
        hearing.did("does nothing", "silence")
    if not collected.digits and not verb.action_on_empty:
        return None
    params = {"Digits": collected.digits, "FinishedOnKey": collected.finished_on, "msg": "Gather End"}
    return Fetch("gather", verb.action, params)


def _take_speech(hearing: Hearing, verb: Gather, speech: Speak, prompt_seconds: float) -> NextFetch:
    yield from hearing.let_pass(max(SOONEST, prompt_seconds + speech.after) + speech.seconds)
    hearing.did(f"says: {speech.text}", "speech", {"text": speech.text})
    return Fetch("gather", verb.action, {"SpeechResult": speech.text, "Confidence": str(speech.confidence)})
