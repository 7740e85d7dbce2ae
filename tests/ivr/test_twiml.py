"""Every prompt, language and branch is TwiML that Twilio executes, complete and speakable."""

from __future__ import annotations

import inspect
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import date

import pytest
from twilio.twiml import lower_camel, voice_response

from ivr import conversation, twiml, wording
from ivr.conversation import Ask, Farewell, Prompt, Situation, Step
from ivr.hearing import NOT_UNDERSTOOD
from survey import questionnaire
from survey.questionnaire import CORE

LONG_NAME = "The Worshipful Company of Very Long Names & Sons, Incorporated in the State of Delaware"
FACTS = twiml.Facts(LONG_NAME, "+12125550100", date(2026, 7, 8))
LANGUAGES = wording.LANGUAGES
FAREWELLS = (
    *("give_up", "later", "opted_out", "wrong_person", "goodbye", "closed", "unknown"),
    *("stranger_hidden", "stranger_bye"),
)
KEYS = ("", NOT_UNDERSTOOD, *"0123456789*#")


def url_of(step: Step) -> str:
    return f"https://survey.example.com/ivr/attempts/1/{step.place}?{step.query()}#rc=2&rp=ct,rt,5xx"


def situations(language: str) -> Iterator[Situation]:
    answered = [frozenset(keys) for n in range(4) for keys in itertools.combinations([q.key for q in CORE], n)]
    for some, choosing, is_open, late in itertools.product(answered, (True, False), (True, False), (True, False)):
        yield Situation("core-1", some, language, LANGUAGES, choosing, is_open, late)


def documents(language: str) -> Iterator[Ask | Farewell]:
    """Everything that can be said in a language: every key at every step in every situation."""
    for situation in situations(language):
        yield conversation.greet(situation, 0).document
        yield conversation.resume(situation, 3).document
        yield from (conversation.leave_machine(situation, message=message).document for message in (True, False))
        for tries, key in itertools.product(range(3), KEYS):
            menu = Step("menu", 1, tries, language, situation.choosing)
            yield conversation.hear(situation, menu, key).document
            for asked in CORE:
                yield conversation.hear(situation, Step("answer", 2, tries, language, question=asked.key), key).document
    yield from (Farewell(Prompt(key, language)) for key in FAREWELLS)
    yield Ask((Prompt("stranger", language),), Step("menu", 0, 0, language))


def allowed_attributes(verb: str) -> set[str]:
    """The attributes the library's own signature knows for a verb; the text argument is not one of them."""
    method = getattr(voice_response.VoiceResponse, verb.lower())
    names = set(inspect.signature(method).parameters) - {"self", "kwargs", "message"}
    return {lower_camel(voice_response.TwiML.MAP.get(name, name)) for name in names}


def check(xml: str) -> None:
    root = ET.fromstring(xml)
    assert root.tag == "Response" and not root.attrib
    assert len(xml.encode()) < 64 * 1024
    verbs = [verb.tag for verb in root]
    assert verbs in (["Gather"], ["Say", "Hangup"], ["Hangup"])
    for verb in root.iter():
        if verb is not root:
            assert set(verb.attrib) <= allowed_attributes(verb.tag), verb.tag
    for gather in root.iter("Gather"):
        assert gather.get("input") == "dtmf" or {"language", "speechTimeout", "hints"} <= set(gather.attrib)
        assert {child.tag for child in gather} == {"Say"}
        assert gather.attrib["action"].startswith("https://") and gather.attrib["method"] == "POST"
        assert gather.attrib["timeout"] in ("8", "12")
    for say in root.iter("Say"):
        assert say.text and say.text == say.text.strip()
        assert "{" not in say.text and "}" not in say.text and "None" not in say.text
        assert len(say.text) <= 4096
        assert say.text.endswith((".", "!", "?"))
    # Nothing between the verbs: Twilio would speak or refuse it.
    assert not (root.text or "").strip() and not any((verb.tail or "").strip() for verb in root)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_branch_is_valid(language: str) -> None:
    rendered = {twiml.render(document, FACTS, url_of) for document in documents(language)}
    assert len(rendered) > 50
    for xml in rendered:
        check(xml)
    # Every prompt of the text file is said somewhere, so the check above has seen them all.
    said = " ".join(" ".join(ET.fromstring(xml).itertext()) for xml in rendered)
    for key, text in wording._texts(language)["prompts"].items():
        longest = max(text.replace("}", "{").split("{")[::2], key=len).strip()
        if key not in ("goodbye_without_phone", "switch"):
            assert longest in said, key


def test_the_languages() -> None:
    assert LANGUAGES == questionnaire.LANGUAGES == ("en", "es", "fr")
    keys = {language: set(wording._texts(language)["prompts"]) for language in LANGUAGES}
    assert keys["en"] == keys["es"] == keys["fr"]
    assert wording.spoken("es") == "es"
    assert wording.spoken("de") == "en"


def test_the_voices_are_twilios() -> None:
    assert {wording.voice(language).name for language in LANGUAGES} == {
        "Polly.Joanna-Neural",
        "Polly.Lupe-Neural",
        "Polly.Gabrielle-Neural",
    }


@pytest.mark.parametrize(
    ("language", "resolved", "agent"),
    [
        (
            "en",
            "Was the reason for your call resolved? Yes, press 1. No, 2. Not sure yet, 3.",
            "How satisfied were you with the last person you spoke to? Very dissatisfied, press 1. Dissatisfied, 2. "
            "Neutral, 3. Satisfied, 4. Very satisfied, 5.",
        ),
        (
            "es",
            "¿Se resolvió el motivo de su llamada? Sí, presione 1. No, 2. Aún no lo sé, 3.",
            "¿Qué tan satisfecho quedó con la última persona que le atendió? Muy insatisfecho, presione 1. "
            "Insatisfecho, 2. Neutral, 3. Satisfecho, 4. Muy satisfecho, 5.",
        ),
        (
            "fr",
            "Votre demande a-t-elle été réglée? Oui, faites le 1. Non, le 2. Je ne sais pas encore, le 3.",
            "À quel point êtes-vous satisfait de la dernière personne à qui vous avez parlé? Très insatisfait, faites "
            "le 1. Insatisfait, le 2. Neutre, le 3. Satisfait, le 4. Très satisfait, le 5.",
        ),
    ],
)
def test_the_questions_as_spoken(language: str, resolved: str, agent: str) -> None:
    assert wording.question(CORE[0], language) == resolved
    assert wording.question(CORE[2], language) == agent


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_the_script_are_whole(language: str) -> None:
    """The organisation's name is first and uncut, the way out is next."""
    document = conversation.greet(Situation("core-1", frozenset(), language, LANGUAGES, False, True, False), 0).document
    text = "".join(ET.fromstring(twiml.render(document, FACTS, url_of)).itertext())
    assert text.startswith(LONG_NAME)
    assert text[len(LONG_NAME) :].split(". ")[1].endswith("9")


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ("Acme\x00 \x1b[31mLtd\x7f", "Acme [31mLtd"),
        ("Acme\ud800 Ltd\ufffe\uffff", "Acme Ltd"),
        ("<Hangup/>Acme", "Hangup/ Acme"),
        ("A & B\r\n\tLtd", "A & B Ltd"),
        ("Acme {phone} {0}", "Acme {phone} {0}"),
        ("Ñandú Québec", "Ñandú Québec"),
    ],
)
def test_names_are_spoken_safely(given: str, spoken: str) -> None:
    facts = twiml.Facts(given, "+12125550100\x00", date(2026, 7, 8))
    document = Farewell(Prompt("greeting", "en"))
    root = ET.fromstring(twiml.render(document, facts, url_of))
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    assert root[0].text == f"{spoken}, about your call."


def test_numbers_and_days_as_spoken() -> None:
    assert twiml.spoken_number("+442079460018") == "0 2 0, 7 9 4 6, 0 0 1 8"
    assert twiml.spoken_number("ask reception") == "ask reception"
    day = date(2026, 7, 8)
    assert [twiml.spoken_day(day, language) for language in LANGUAGES] == [
        "Wednesday, July 8",
        "miércoles 8 de julio",
        "mercredi 8 juillet",
    ]


def test_without_a_phone_none_is_named() -> None:
    document = Farewell(Prompt("goodbye", "en"))
    xml = twiml.render(document, twiml.Facts("Acme", "", date(2026, 7, 8)), url_of)
    assert "Thank you. Your answers are saved. Goodbye." in xml


def test_a_step_survives_its_url() -> None:
    situation = Situation("core-1", frozenset(), "en", LANGUAGES, True, True, False)
    for step in (Step("menu", 0, 0, "en", True), Step("answer", 41, 2, "fr", question="overall")):
        query = dict(pair.split("=") for pair in step.query().split("&"))
        assert conversation.read_step(step.place, query, situation) == step


@pytest.mark.parametrize("query", [{}, {"step": "-1", "try": "x", "lang": "xx"}, {"step": "9" * 40, "try": "²"}])
def test_a_step_that_makes_no_sense_is_the_first(query: dict[str, str]) -> None:
    situation = Situation("core-1", frozenset(), "es", LANGUAGES, True, True, False)
    assert conversation.read_step("menu", query, situation) == Step("menu", 0, 0, "es")
