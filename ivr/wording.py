"""What is said, in each language: our prompts from texts/*.toml, the questions as every channel words them."""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from survey import questionnaire
from survey.questionnaire import FALLBACK_LANGUAGE, Question

TEXTS = Path(__file__).parent / "texts"
LANGUAGES = tuple(sorted({path.stem for path in TEXTS.glob("*.toml")} & set(questionnaire.LANGUAGES)))


@dataclass(frozen=True)
class Voice:
    """Who speaks a language: Twilio's name of the voice, and the locale it speaks in."""

    name: str
    locale: str


def spoken(language: str) -> str:
    """The language itself when we have its words, the fallback otherwise."""
    return language if language in LANGUAGES else FALLBACK_LANGUAGE


def voice(language: str) -> Voice:
    entry = _texts(language)
    return Voice(entry["voice"], entry["locale"])


def spoken_words(language: str) -> dict[str, list[str]]:
    """How each digit, and each answer that has words of its own, is said; `filler` are words that mean nothing."""
    words: dict[str, list[str]] = _texts(language)["spoken"]
    return words


def day_pattern(language: str) -> str:
    """How a day is spoken, as a CLDR date pattern."""
    return str(_texts(language)["day"])


def prompt(name: str, language: str, **values: str) -> str:
    """One prompt with its values filled in. The values are cleaned: they come from outside."""
    text: str = _texts(language)["prompts"][name]
    return text.format_map({slot: clean(value) for slot, value in values.items()})


@lru_cache
def question(asked: Question, language: str) -> str:
    """The question and its choices, each with the key to press: its place among the choices, from 1."""
    words = questionnaire.wording(asked.key, language)
    parts = [words.text]
    for place, value in enumerate(asked.values, start=1):
        pattern = "first_choice" if place == 1 else "next_choice"
        parts.append(prompt(pattern, language, choice=words.choices[value], key=str(place)))
    return " ".join(parts)


def clean(text: str) -> str:
    """The text as it may be spoken: no markup, and nothing that XML 1.0 cannot hold.

    Twilio's library lets control characters through as they are, which makes the whole document unreadable.
    """
    kept = "".join(" " if _unspeakable(char) else char for char in text)
    return " ".join(kept.split())


def _unspeakable(char: str) -> bool:
    # Cc: control, Cs: lone surrogates, Cn: not characters at all (U+FFFE, U+FFFF); angle brackets would be read aloud.
    return char in "<>" or unicodedata.category(char) in {"Cc", "Cs", "Cn"}


@lru_cache
def _texts(language: str) -> dict[str, Any]:
    with (TEXTS / f"{language}.toml").open("rb") as file:
        return tomllib.load(file)
