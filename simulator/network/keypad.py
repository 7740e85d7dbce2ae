"""Which keys a Gather takes, and when it is done: pure arithmetic on the moments at which keys are pressed."""

from dataclasses import dataclass

from simulator.network.customer import Press
from simulator.network.verbs import Gather

KEYS = frozenset("0123456789*#")
SOONEST = 0.2


@dataclass(frozen=True, slots=True)
class Collected:
    """What a Gather got. `seconds` is how long it took from its start; `leftover` are keys pressed too late for it."""

    digits: str
    finished_on: str
    seconds: float
    leftover: tuple[tuple[float, str], ...]


def presses_of(press: Press, prompt_seconds: float) -> list[tuple[float, str]]:
    """Give the moment of each key, in seconds from the start of the Gather whose prompts last `prompt_seconds`."""
    first = max(SOONEST, prompt_seconds + press.after)
    keys = [key for key in press.keys if key in KEYS]
    return [(first + place * press.gap, key) for place, key in enumerate(keys)]


def collect(gather: Gather, presses: list[tuple[float, str]], prompt_seconds: float) -> Collected:
    """Give what `gather` takes of `presses` (moments in seconds from its start, in order).

    It is done at the finishing key (not part of the digits; alone it is no input), at `num_digits` keys, or `timeout`
    seconds after the prompts' end or the last key, whichever is later.
    """
    deadline = prompt_seconds + gather.timeout
    digits = ""
    for place, (moment, key) in enumerate(presses):
        if moment > deadline:
            return Collected(digits, "", deadline, tuple(presses[place:]))
        if key in gather.finish_on_key:
            return Collected(digits, key, moment, tuple(presses[place + 1 :]))
        digits += key
        deadline = moment + gather.timeout
        if len(digits) == gather.num_digits:
            return Collected(digits, "", moment, tuple(presses[place + 1 :]))
    return Collected(digits, "", deadline, ())
