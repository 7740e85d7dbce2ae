"""Customers of every kind: busy, away, on a machine, in a hurry, confused, silent, and those who want no more calls."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from simulator.chance import Chance
from simulator.network import Call, HangUp, Heard, Press, Reaction, Ring, Silence

QUESTION = re.compile(r"question=(\w+)")
QUESTIONS = ("resolved", "overall", "agent")
# Of a hundred rings: what becomes of them, and of a hundred who pick up, what they do.
RINGS = (("answer", 58), ("no-answer", 14), ("machine", 8), ("busy", 12), ("failed", 4), ("too late", 4))
MOODS = (
    ("helpful", 42),
    ("confused", 9),
    ("in a hurry", 7),
    ("opts out", 12),
    ("later", 7),
    ("stranger", 6),
    ("hangs up", 8),
    ("hangs up midway", 5),
    ("silent", 4),
)


def of_a_hundred(shares: tuple[tuple[str, int], ...], percent: int) -> str:
    for name, share in shares:
        percent -= share
        if percent < 0:
            return name
    raise AssertionError("the shares make less than a hundred")


@dataclass
class Crowd:
    """Everybody who may be rung. `finished` are the calls in which all three questions were answered."""

    seed: int
    rung: Counter[str] = field(default_factory=Counter)
    finished: set[str] = field(default_factory=set)

    def somebody(self, call: Call) -> Person:
        """Whoever picks up: another mood each time the number is rung."""
        self.rung[call.to] += 1
        return Person(self, Chance(self.seed), f"{call.to} {self.rung[call.to]}")


@dataclass
class Person:
    crowd: Crowd
    chance: Chance
    who: str
    answered: set[str] = field(default_factory=set)

    @property
    def mood(self) -> str:
        return of_a_hundred(MOODS, self.chance.percent(self.who, "mood"))

    def on_ringing(self, call: Call) -> Ring:
        comes_to = of_a_hundred(RINGS, self.chance.percent(self.who, "ring"))
        seconds = float(self.chance.between(3, 20, self.who, "seconds"))
        match comes_to:
            case "answer":
                return Ring("answer", seconds)
            case "too late":
                return Ring("answer", 59.0)
            case "machine":
                return Ring("machine", 18.0)
            case "busy":
                return Ring("busy")
            case "failed":
                return Ring("failed", sip_code=404 if self.chance.happens(50, self.who, "dead") else 503)
            case _:
                return Ring("no-answer")

    def on_gather(self, heard: Heard) -> Reaction:
        question = QUESTION.search(heard.action)
        return self._at_menu(heard) if question is None else self._asked(question[1], heard)

    def on_record(self, heard: Heard) -> Reaction:
        return Silence()

    def _at_menu(self, heard: Heard) -> Reaction:
        if self.mood == "silent":
            return Silence()
        if self.mood == "hangs up":
            return HangUp(after=-1.0)
        if self.mood == "confused" and heard.count == 1:
            return Press("5")
        keys = {"opts out": "9", "later": "0", "stranger": "8"}
        return Press(keys.get(self.mood, "1"), after=-1.0 if self.mood == "in a hurry" else 0.8)

    def _asked(self, question: str, heard: Heard) -> Reaction:
        if self.mood == "hangs up midway" and question != QUESTIONS[0]:
            return HangUp(after=0.5)
        if self.mood == "confused" and heard.count == 1:
            # A wrong key, nothing, and back to the question before.
            confusion: dict[str, Reaction] = {"resolved": Press("7"), "overall": Silence(), "agent": Press("#")}
            return confusion[question]
        self.answered.add(question)
        if self.answered.issuperset(QUESTIONS):
            self.crowd.finished.add(heard.call_sid)
        key = str(self.chance.between(1, 3 if question == QUESTIONS[0] else 5, self.who, question))
        return Press(key, after=-1.0 if self.mood == "in a hurry" else 0.8)
