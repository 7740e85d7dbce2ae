"""People of nobody's making, for a network that serves whatever service is being developed.

Of a hundred who are rung 70 answer, 12 have a machine, 10 do not answer, 5 are busy and 3 cannot be reached. Who does
what depends on the seed, the number called and how many calls there were before: the same calls give the same people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.network.customer import Behaviour, Customer, Heard, Outcome, Press, Reaction, Ring, Silence, Speak
from simulator.network.faults import Dice, Faults
from simulator.network.store import Call

SHARES: tuple[tuple[Outcome, int], ...] = (
    ("answer", 70),
    ("machine", 12),
    ("no-answer", 10),
    ("busy", 5),
    ("failed", 3),
)
KEYS = "12345"


@dataclass(slots=True)
class Stranger:
    """Whoever is rung by one call. Presses `keys`, one a prompt, then nothing; without any 1 first, then 1 to 5."""

    dice: Dice
    name: str
    keys: Sequence[str]
    answers: bool
    prompts: int = 0

    def on_ringing(self, call: Call) -> Ring:
        """Answer, or not."""
        seconds = 3.0 + self._luck("seconds", 10)
        return Ring("answer" if self.answers else self._outcome(), seconds)

    def on_gather(self, heard: Heard) -> Reaction:
        """Press the next key."""
        self.prompts += 1
        if self.keys:
            return Press(self.keys[self.prompts - 1]) if self.prompts <= len(self.keys) else Silence()
        return Press("1" if self.prompts == 1 else KEYS[self._luck(f"key {self.prompts}", len(KEYS))])

    def on_record(self, heard: Heard) -> Reaction:
        """Say something short."""
        return Speak("It was all right, thank you.", seconds=2.0 + self._luck("comment", 6))

    def _outcome(self) -> Outcome:
        percent = self._luck("ringing", 100)
        for outcome, share in SHARES:
            percent -= share
            if percent < 0:
                return outcome
        return "answer"

    def _luck(self, what: str, of: int) -> int:
        return self.dice.luck(f"stranger {self.name} {what}") % of


def strangers(seed: int, keys: Sequence[str] = (), *, all_answer: bool = False) -> Behaviour:
    """Give the behaviour of a network that rings strangers."""
    dice = Dice(Faults(), seed)

    def behaviour(call: Call) -> Customer:
        return Stranger(dice, f"{call.to} {call.number}", keys, all_answer)

    return behaviour
