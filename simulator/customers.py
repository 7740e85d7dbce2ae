"""Made-up customers as the phone network and the mailbox meet them: busy, absent, cross, mistaken or glad to help.

What somebody does depends on the seed, on who they are and on which try it is: never on the order things happen in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from simulator.centre import Experience, Memory
from simulator.chance import Chance
from simulator.network import Call, HangUp, Heard, Press, Reaction, Ring, Silence

ANSWER_KEYS = {"resolved": {"yes": "1", "no": "2", "unsure": "3"}}
QUESTION_IN_URL = re.compile(r"question=(\w+)")


class Mood(StrEnum):
    """How somebody who picks up takes the call."""

    HELPFUL = "helpful"
    CLUMSY = "clumsy"
    LATER = "later"
    STRANGER = "stranger"
    LEAVES_EARLY = "leaves early"
    LEAVES_MIDWAY = "leaves midway"
    OPTS_OUT = "opts out"
    SPEECHLESS = "speechless"


# Of a hundred who pick up: how many are of each mood.
MOODS: tuple[tuple[Mood, int], ...] = (
    (Mood.HELPFUL, 74),
    (Mood.CLUMSY, 7),
    (Mood.LATER, 3),
    (Mood.STRANGER, 2),
    (Mood.LEAVES_EARLY, 6),
    (Mood.LEAVES_MIDWAY, 4),
    (Mood.OPTS_OUT, 2),
    (Mood.SPEECHLESS, 2),
)


def mood_of(percent: int) -> Mood:
    """The mood that a number from 0 to 99 stands for."""
    for mood, share in MOODS:
        percent -= share
        if percent < 0:
            return mood
    return Mood.HELPFUL


@dataclass
class PhoneCustomer:
    """Whoever is rung at a number: what the ringing comes to, and which keys are pressed."""

    chance: Chance
    memory: Memory
    to: str
    at: datetime
    mood: Mood = Mood.HELPFUL
    prompts: int = 0

    def on_ringing(self, call: Call) -> Ring:
        luck = self.chance.percent(self.to, self.at.date(), self.at.hour, "ringing")
        self.mood = mood_of(self.chance.percent(self.to, self.at.date(), "mood"))
        seconds = float(self.chance.between(4, 14, self.to, self.at, "seconds"))
        if luck < 68:
            return Ring("answer", seconds)
        if luck < 80:
            return Ring("no-answer")
        if luck < 90:
            return Ring("machine", 18.0)
        return Ring("busy") if luck < 97 else Ring("failed", sip_code=404 if luck == 99 else 503)

    def on_gather(self, heard: Heard) -> Reaction:
        self.prompts += 1
        question = QUESTION_IN_URL.search(heard.action)
        if question is None:
            return self._at_greeting(heard)
        return self._at_question(question.group(1), heard)

    def on_record(self, heard: Heard) -> Reaction:
        return Silence()

    def _at_greeting(self, heard: Heard) -> Reaction:
        if self.mood is Mood.SPEECHLESS:
            return Silence()
        if self.mood is Mood.LEAVES_EARLY:
            return HangUp(after=-1.0)
        keys = {Mood.OPTS_OUT: "9", Mood.LATER: "0", Mood.STRANGER: "8"}
        return Press(keys.get(self.mood, "1"), after=0.8)

    def _at_question(self, question: str, heard: Heard) -> Reaction:
        experience = self._experience()
        if experience is None:
            return HangUp()
        if self.mood is Mood.LEAVES_MIDWAY and question != "resolved":
            return HangUp(after=0.5)
        if self.mood is Mood.CLUMSY and heard.count == 1:
            return Press("7", after=0.5) if question == "resolved" else Silence()
        value: str = getattr(experience, question)
        return Press(ANSWER_KEYS.get(question, {}).get(value, value), after=0.8)

    def _experience(self) -> Experience | None:
        return self.memory.latest(self.to, self.at)


class WebMood(StrEnum):
    """What becomes of an invitation in somebody's mailbox."""

    ANSWERS = "answers"
    STOPS_MIDWAY = "stops midway"
    ANSWERS_LATE = "answers late"
    UNSUBSCRIBES = "unsubscribes"
    STRANGER = "stranger"
    IGNORES = "ignores"


WEB_MOODS: tuple[tuple[WebMood, int], ...] = (
    (WebMood.ANSWERS, 57),
    (WebMood.STOPS_MIDWAY, 4),
    (WebMood.ANSWERS_LATE, 2),
    (WebMood.UNSUBSCRIBES, 2),
    (WebMood.STRANGER, 1),
)


def web_mood_of(percent: int) -> WebMood:
    """The mood that a number from 0 to 99 stands for; whoever is left over ignores the invitation."""
    for mood, share in WEB_MOODS:
        percent -= share
        if percent < 0:
            return mood
    return WebMood.IGNORES
