"""What is said, as TwiML: turns a document of the conversation into the XML Twilio executes. Pure.

Source of verbs and attributes: twilio.twiml.voice_response, and Twilio's TwiML reference for Gather, Say and Hangup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import groupby

import phonenumbers
from babel.dates import format_date
from twilio.twiml.voice_response import Gather, VoiceResponse

from ivr import wording
from ivr.conversation import Ask, Farewell, Prompt, Step
from survey.questionnaire import FALLBACK_LANGUAGE


@dataclass(frozen=True)
class Facts:
    """What the prompts speak of: who is calling, how to reach them, the survey's last day, and who is listening.

    `speech`: answers may be said as well as keyed.
    """

    organisation: str
    phone: str
    last_day: date
    relay: bool = False
    speech: bool = False


# For prompts that speak of no survey.
NOBODY = Facts("", "", date.min)


def render(document: Ask | Farewell, facts: Facts, url_of: Callable[[Step], str]) -> str:
    """The document as TwiML; `url_of` gives the absolute URL of a step."""
    if isinstance(document, Farewell):
        return farewell([] if document.prompt is None else [document.prompt], facts)
    response = VoiceResponse()
    gather = response.gather(
        input="dtmf speech" if facts.speech else "dtmf",
        action=url_of(document.step),
        method="POST",
        timeout=document.wait * (2 if facts.relay else 1),
        num_digits=1,
        # With no finishing key, # arrives as a digit: it goes back. Silence must arrive too, to be answered with help.
        finish_on_key="",
        action_on_empty_result=True,
        **(_speech(document) if facts.speech else {}),
    )
    _say(gather, document.prompts, facts)
    return str(response)


def _speech(document: Ask) -> dict[str, str]:
    """What Twilio needs to understand a short answer: its language, when it is over, and the words to expect."""
    language = document.prompts[-1].language
    words = wording.spoken_words(language).items()
    hints = {phrase for name, phrases in words if name != "filler" for phrase in phrases}
    return {"language": wording.voice(language).locale, "speech_timeout": "auto", "hints": ", ".join(sorted(hints))}


def hang_up_on_unknown(language: str = FALLBACK_LANGUAGE) -> str:
    """For a call we know nothing of: a polite end, so that Twilio neither retries nor reads out an error."""
    return farewell([Prompt("unknown", language)], NOBODY)


def words_of(prompt: Prompt, facts: Facts) -> str:
    """What a prompt says."""
    if prompt.question is not None:
        return wording.question(prompt.question, prompt.language)
    key = "goodbye_without_phone" if prompt.key == "goodbye" and not facts.phone else prompt.key
    return wording.prompt(
        key,
        prompt.language,
        org=facts.organisation,
        phone=spoken_number(facts.phone),
        day=spoken_day(facts.last_day, prompt.language),
        key=prompt.pressed,
    )


@lru_cache(maxsize=1000)
def spoken_number(phone: str) -> str:
    """The number digit by digit, in the groups its own country writes it in: "2 1 2, 5 5 5, 0 1 0 0"."""
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return phone
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    groups = "".join(char if char.isdigit() else " " for char in written).split()
    return ", ".join(" ".join(group) for group in groups)


@lru_cache(maxsize=1000)
def spoken_day(day: date, language: str) -> str:
    """The day with its weekday: deadlines are spoken as a day, never as midnight."""
    locale = wording.voice(language).locale.replace("-", "_")
    return format_date(day, wording.day_pattern(language), locale=locale)


def _say(into: Gather | VoiceResponse, prompts: Iterable[Prompt], facts: Facts) -> None:
    """One Say for each run of one language: a voice keeps its melody from sentence to sentence."""
    for language, run in groupby(prompts, key=lambda prompt: prompt.language):
        voice = wording.voice(language)
        text = " ".join(words_of(prompt, facts) for prompt in run)
        into.say(text, voice=voice.name, language=voice.locale)


def farewell(prompts: Iterable[Prompt], facts: Facts) -> str:
    """The prompts, and the end of the call."""
    response = VoiceResponse()
    _say(response, prompts, facts)
    response.hangup()
    return str(response)
