"""A customer knows within 2 s who calls and why, hears the way out within 2 s more, and is done within a minute.

Spoken by espeak-ng at 175 words a minute (`speech.py`). A customer presses each key 1 s after the end of what is said;
the way of a webhook is not counted. docs/spoken.md has the seconds of each prompt and says how to renew them.
"""

from __future__ import annotations

import platform
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ivr import conversation, twiml, wording
from ivr.conversation import Ask, Farewell, Prompt, Situation, Step
from survey.questionnaire import CORE
from tests.ivr import speech

IDENTIFIED, WAY_OUT, WHOLE = 2.0, 2.0, 60.0  # seconds
KEY_AFTER = 1.0  # seconds from the end of what is said to the key
# The longest name we found that is spoken in time in all three languages; docs/spoken.md says what holds for others.
LONGEST_NAME = "Green Hill Health"
LONGEST_OF_A_ROSTER = "The Worshipful Company of Very Long Names and Sons " * 4
# Eleven digits; most numbers are spoken in fewer.
PHONE = "+442079460018"
LAST_DAY = date(2026, 9, 23)
FACTS = twiml.Facts(LONGEST_NAME, PHONE, LAST_DAY)
TABLE = Path(__file__).parents[2] / "docs/spoken.md"
RENEW = "the words have changed: python -m tests.ivr.test_timing renews the table of docs/spoken.md"
KEYS = {CORE[0].key: "1", CORE[1].key: "5", CORE[2].key: "5"}


@pytest.fixture(autouse=True)
def voice() -> None:
    try:
        speech.speaker()
    except speech.Unavailable as error:
        if (sys.platform, platform.machine()) == ("linux", "x86_64"):
            raise
        pytest.skip(f"espeak-ng cannot be loaded on {sys.platform} {platform.machine()}: {error}")


def a_call(language: str, *, choosing: bool = False, answered: frozenset[str] = frozenset()) -> Situation:
    return Situation("core-1", answered, language, wording.LANGUAGES, choosing, True, False)


def rendered(document: Ask | Farewell, facts: twiml.Facts = FACTS) -> str:
    return twiml.render(document, facts, lambda step: f"https://survey.example.com/ivr/attempts/1/{step.place}")


def greeted(situation: Situation, name: str) -> tuple[float, float]:
    """When in the real first document it is clear who calls and why, and when the way out begins, in seconds."""
    facts = replace(FACTS, organisation=name)
    gather = ET.fromstring(rendered(conversation.greet(situation, 0).document, facts))[0]
    assert gather[0].tag == "Say"
    spoken = speech.say(speech.words_of(gather[0]), gather[0].attrib["language"])
    greeting, way_out = (twiml.words_of(Prompt(key, situation.language), facts) for key in ("greeting", "opt_out"))
    return spoken.span(greeting)[1], spoken.span(way_out)[0]


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize("choosing", [False, True])
@pytest.mark.parametrize("answered", [frozenset(), frozenset({"resolved"})])
def test_who_calls_and_the_way_out(language: str, choosing: bool, answered: frozenset[str]) -> None:
    identified, way_out = greeted(a_call(language, choosing=choosing, answered=answered), LONGEST_NAME)
    assert 1 < identified <= IDENTIFIED
    assert way_out - identified <= WAY_OUT


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize("name", [f"{LONGEST_NAME} Insurance", LONGEST_OF_A_ROSTER[:200]])
def test_a_longer_name_takes_too_long_but_the_way_out_follows_it_at_once(language: str, name: str) -> None:
    """The roster takes any name of up to 200 characters: the wording alone cannot keep the 2 s for each."""
    identified, way_out = greeted(a_call(language), name)
    assert identified > IDENTIFIED
    assert way_out - identified <= WAY_OUT


def happy_path(situation: Situation) -> Iterator[tuple[Ask | Farewell, str]]:
    """Each document of a call that goes well, with the key pressed after it ("" after the last)."""
    document = conversation.greet(situation, 0).document
    while isinstance(document, Ask):
        key = KEYS[document.step.question] if document.step.place == "answer" else conversation.START
        yield document, key
        turn = conversation.hear(situation, document.step, key)
        if isinstance(turn.record, conversation.Said):
            situation = replace(situation, answered=situation.answered | {turn.record.question})
        document = turn.document
    yield document, ""


@pytest.mark.parametrize("language", wording.LANGUAGES)
@pytest.mark.parametrize("choosing", [False, True])
def test_a_call_that_goes_well_takes_a_minute_at_most(language: str, choosing: bool) -> None:
    path = list(happy_path(a_call(language, choosing=choosing)))
    assert [key for _, key in path] == ["1", "1", "5", "5", ""]
    last = rendered(path[-1][0])
    assert twiml.spoken_number(PHONE) in last and "Hangup" in last
    assert sum(speech.seconds(rendered(document)) + (KEY_AFTER if key else 0) for document, key in path) <= WHOLE


def test_pauses_count() -> None:
    def say(words: str) -> float:
        return speech.seconds(f'<Response><Say language="en-US">{words}</Say></Response>')

    usual, paused = (
        say("Acme &amp; Sons, about your call."),
        say('Acme &amp; Sons, <break time="2s"/> about your call.'),
    )
    # The break takes the place of the comma's own pause.
    assert 1.7 < paused - usual < 2
    xml = '<Response><Gather><Say language="en-US">Acme</Say><Pause length="3"/></Gather><Hangup/></Response>'
    assert speech.seconds(xml) == say("Acme") + 3
    with pytest.raises(ValueError, match="Play"):
        speech.seconds("<Response><Play>https://example.com/a.mp3</Play></Response>")


def test_the_rate_is_the_one_stated() -> None:
    """Words in a row without a stop, so that no pauses count: near the rate, and half the time at twice the rate."""
    words = " ".join(["customers answer our questions about their last call"] * 10)
    took, faster = (speech.speaker().say(words, "en-US", rate).seconds for rate in (175, 350))
    assert 150 < len(words.split()) / took * 60 < 200
    assert 1.8 < took / faster < 2.2


def table() -> str:
    """What docs/spoken.md shows: the seconds of each prompt and of a whole call, in each language."""
    prompts = [key for key in wording._texts("en")["prompts"] if not key.endswith("_choice")]
    rows = [f"| prompt | {' | '.join(wording.LANGUAGES)} |", "|---|" + "---:|" * len(wording.LANGUAGES)]
    for key in prompts:
        documents = [Farewell(Prompt(key, language, pressed="2")) for language in wording.LANGUAGES]
        rows.append(row(f"`{key}`", [speech.seconds(rendered(document)) for document in documents]))
    for asked in CORE:
        asks = [
            Ask((Prompt("question", language, asked),), Step("answer", 1, 0, language, question=asked.key))
            for language in wording.LANGUAGES
        ]
        rows.append(row(f"question `{asked.key}`", [speech.seconds(rendered(ask)) for ask in asks]))
    for name, choosing in (("a call that goes well", False), ("the same, languages offered", True)):
        paths = [list(happy_path(a_call(language, choosing=choosing))) for language in wording.LANGUAGES]
        rows.append(
            row(name, [sum(speech.seconds(rendered(d)) + bool(key) * KEY_AFTER for d, key in p) for p in paths])
        )
    return "\n".join(rows)


def row(name: str, cells: list[float]) -> str:
    return f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |"


def cells(line: str) -> tuple[str, list[float]]:
    name, *seconds = (cell.strip() for cell in line.strip("|").split("|"))
    return name, [float(cell) for cell in seconds]


def test_the_table_in_the_docs() -> None:
    now = table().splitlines()
    written = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert written[:2] == now[:2], RENEW
    assert [cells(line)[0] for line in written[2:]] == [cells(line)[0] for line in now[2:]], RENEW
    for line, expected in zip(written[2:], now[2:], strict=True):
        # Other platforms' builds may round otherwise.
        assert cells(line)[1] == pytest.approx(cells(expected)[1], abs=0.11), f"{line}: {RENEW}"


def renew() -> None:
    """Writes the table of today's words into the docs."""
    before, after = (part.strip("\n") for part in TABLE.read_text(encoding="utf-8").split("| prompt |", 1))
    rest = after.split("\n\n", 1)[1]
    TABLE.write_text(f"{before}\n\n{table()}\n\n{rest}\n", encoding="utf-8")


if __name__ == "__main__":
    renew()
