"""What was said instead of a key: digits anywhere, yes and no where the question offers them. Pure.

Only what can mean one thing counts: one answer, with nothing around it but words that mean nothing ("please"). Whatever
has two answers in it is asked about again, and what has other words ("not this one"), or is not certain to Twilio.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from ivr import wording
from survey.questionnaire import Question

# Twilio's Confidence runs from 0 to 1. Our judgement: rather asked twice than misheard.
LEAST_CONFIDENCE = Decimal("0.5")
# Stands for something said that is no choice; no telephone has such a key.
NOT_UNDERSTOOD = "?"


def key_of(said: str, confidence: str, language: str, asked: Question | None) -> str:
    """The key that `said` stands for at a question (None: at the menu); "" where nothing was said.

    `confidence` as Twilio gives it; NOT_UNDERSTOOD for what is no choice, could be two, or is not certain.
    """
    words = _plain(said)
    if not words:
        return ""
    if not _certain(confidence):
        return NOT_UNDERSTOOD
    meanings = wording.spoken_words(language)
    keys = {phrase: key for key in "0123456789" for phrase in meanings.get(key, ())}
    if asked is not None:
        keys |= {
            phrase: str(place)
            for place, value in enumerate(asked.values, start=1)
            for phrase in meanings.get(value, ())
        }
    found, around = _found(words, keys)
    beside = set(around.split()) - {_plain(filler) for filler in meanings["filler"]}
    return found.pop() if len(found) == 1 and not beside else NOT_UNDERSTOOD


def _found(words: str, keys: dict[str, str]) -> tuple[set[str], str]:
    """The keys of all phrases in the words, the longest first ("not sure" is no "no"), and the words left over."""
    found = set()
    for phrase in sorted(keys, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(_plain(phrase))}(?!\w)"
        if re.search(pattern, words):
            found.add(keys[phrase])
            words = re.sub(pattern, " ", words)
    return found, words


def _certain(confidence: str) -> bool:
    try:
        return Decimal(confidence or "1") >= LEAST_CONFIDENCE
    except InvalidOperation:
        return False


def _plain(text: str) -> str:
    """Small letters without accents and punctuation, single spaces."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(char if char.isalnum() else " " for char in letters if not unicodedata.combining(char))
    return " ".join(kept.split())
