"""What is asked: the core questions, their choices and wordings, and which one comes next."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from survey.errors import InputError, NotFound

TEXTS = Path(__file__).parent / "texts"
LANGUAGES = tuple(sorted(path.stem for path in TEXTS.glob("*.toml")))
FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True)
class Question:
    """One question: its key, and the values an answer may have, in the order they are offered."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Wording:
    """A question in one language: the text, and the name of each value."""

    text: str
    choices: Mapping[str, str]


SCALE = ("1", "2", "3", "4", "5")
TOP_BOX = "5"
CORE = (Question("resolved", ("yes", "no", "unsure")), Question("overall", SCALE), Question("agent", SCALE))
CORE_KEYS = tuple(question.key for question in CORE)
QUESTIONNAIRES: Mapping[str, tuple[Question, ...]] = {"core-1": CORE}


def questions(version: str) -> tuple[Question, ...]:
    """The questions of a questionnaire version, in order. Raises NotFound for an unknown version."""
    try:
        return QUESTIONNAIRES[version]
    except KeyError:
        raise NotFound(f"no questionnaire {version!r}", how=f"There is: {', '.join(QUESTIONNAIRES)}.") from None


def next_question(version: str, answered: Collection[str]) -> Question | None:
    """The first question not answered yet; None when there is none left."""
    return next((question for question in questions(version) if question.key not in answered), None)


def question(version: str, key: str) -> Question:
    """The question of that key. Raises NotFound."""
    for candidate in questions(version):
        if candidate.key == key:
            return candidate
    raise NotFound(f"no question {key!r} in questionnaire {version!r}")


def checked_value(asked: Question, value: str) -> str:
    """The value, if the question offers it; raises InputError otherwise."""
    if value not in asked.values:
        raise InputError(f"{value!r} is not a choice", where=asked.key, how=f"Choose one of {', '.join(asked.values)}.")
    return value


def wording(key: str, language: str) -> Wording:
    """The question's words in `language`, one of LANGUAGES."""
    entry = _texts(language)[key]
    return Wording(entry["text"], {str(value): name for value, name in entry["choices"].items()})


def language_name(language: str) -> str:
    return str(_texts(language)["language"])


def spoken_language(wanted: str | None, offered: Collection[str]) -> str | None:
    """The offered language that suits a customer's tag ("es-MX" suits "es"); the first offered one when none is known.

    None when the customer's language is known and not offered.
    """
    if not wanted:
        return next(iter(offered), FALLBACK_LANGUAGE)
    base = wanted.replace("_", "-").split("-")[0].casefold()
    return base if base in offered else None


@lru_cache
def _texts(language: str) -> dict[str, Any]:
    with (TEXTS / f"{language}.toml").open("rb") as file:
        return tomllib.load(file)
