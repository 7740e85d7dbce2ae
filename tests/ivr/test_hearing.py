"""Answers that are said: only what can mean one thing counts."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from flask.testing import FlaskClient

from ivr import conversation, twiml, wording
from ivr.conversation import Situation
from ivr.hearing import NOT_UNDERSTOOD, key_of
from ivr.twiml import NOBODY
from survey import clock
from survey.db import db
from survey.models import Outcome
from survey.questionnaire import question
from tests.ivr.phone import BASE, BETWEEN_KEYS, Call, Webhook, dialled, id_of, reloaded, values_of

RESOLVED, OVERALL = question("core-1", "resolved"), question("core-1", "overall")


@pytest.mark.parametrize(
    ("language", "said", "key"),
    [
        ("en", "Yes.", "1"),
        ("en", "Yeah, it was.", "1"),
        ("en", "No", "2"),
        ("en", "I'm not sure yet.", NOT_UNDERSTOOD),  # as Twilio writes it: what "m" is, nobody knows
        ("en", "not sure", "3"),
        ("en", "Not sure yet, please", "3"),
        ("en", "two", "2"),
        ("en", "2.", "2"),
        ("en", "no one", NOT_UNDERSTOOD),
        ("en", "No, thank you.", NOT_UNDERSTOOD),  # a refusal, not an answer
        ("es", "No, gracias", NOT_UNDERSTOOD),
        ("fr", "Non merci", NOT_UNDERSTOOD),
        ("en", "not this one", NOT_UNDERSTOOD),
        ("en", "oh no", NOT_UNDERSTOOD),
        ("en", "yes and no", NOT_UNDERSTOOD),
        ("en", "nobody knows", NOT_UNDERSTOOD),
        ("en", "", ""),
        ("en", " ... ", ""),
        ("es", "Sí, por favor", "1"),
        ("es", "Aún no lo sé", "3"),
        ("es", "no", "2"),
        ("es", "SI", "1"),
        ("fr", "Oui", "1"),
        ("fr", "c'est un problème", NOT_UNDERSTOOD),
        ("fr", "le deux, s'il vous plaît", "2"),
    ],
)
def test_at_a_question_with_yes_and_no(language: str, said: str, key: str) -> None:
    assert key_of(said, "0.93", language, RESOLVED) == key


@pytest.mark.parametrize(
    ("said", "key"),
    [("five", "5"), ("Five, please.", "5"), ("yes", "?"), ("very satisfied", "?"), ("four or five", "?")],
)
def test_at_a_scale_digits_alone(said: str, key: str) -> None:
    assert key_of(said, "", "en", OVERALL) == key
    assert key_of(said, "", "en", None) == key


@pytest.mark.parametrize(("confidence", "key"), [("0.5", "5"), ("0.49", "?"), ("", "5"), ("much", "?"), ("NaN", "?")])
def test_what_twilio_is_not_sure_of_is_asked_again(confidence: str, key: str) -> None:
    assert key_of("five", confidence, "en", OVERALL) == key


@pytest.mark.parametrize("language", wording.LANGUAGES)
def test_every_word_means_one_thing(language: str) -> None:
    words = wording.spoken_words(language)
    assert set(words) == {*"0123456789", *RESOLVED.values, "filler"}
    for name, phrases in words.items():
        for phrase in phrases if name != "filler" else ():
            key = str(RESOLVED.values.index(name) + 1) if name in RESOLVED.values else name
            assert key_of(phrase, "", language, RESOLVED) == key, phrase


def test_twilio_is_asked_to_listen_only_where_it_is_wanted() -> None:
    situation = Situation("core-1", frozenset({"resolved"}), "fr", wording.LANGUAGES, False, True, False)
    for speech in (False, True):
        facts = twiml.Facts("Acme", "", NOBODY.last_day, speech=speech)
        document = twiml.render(conversation.greet(situation, 0).document, facts, lambda _: "https://x.example.com/")
        (gather,) = ET.fromstring(document).iter("Gather")
        assert gather.attrib["input"] == ("dtmf speech" if speech else "dtmf")
        assert gather.get("language") == ("fr-CA" if speech else None)
        assert ("huit" in gather.get("hints", "")) == speech


@pytest.mark.usefixtures("at_noon")
def test_a_survey_by_word_of_mouth(client: FlaskClient, session: object) -> None:
    attempt = dialled()
    attempt.survey.campaign.speech = True
    db.session.commit()
    call = Call(client, id_of(attempt)).answered()
    assert call.document.find("Gather").attrib["input"] == "dtmf speech"  # type: ignore[union-attr]

    def say(words: str) -> None:
        call.at += BETWEEN_KEYS
        with clock.standing_at(call.at):
            call._fetch(Webhook(call.action, {"CallSid": call.sid, "SpeechResult": words, "Confidence": "0.9"}))

    for words in ("one", "yes", "I would rather not", "five", "4"):
        say(words)
        if words.startswith("I"):
            assert call.said.startswith("I did not understand. Say or press a number.")
    assert "Goodbye" in call.said
    assert values_of(reloaded(attempt).survey_id) == {"resolved": "yes", "overall": "5", "agent": "4"}
    assert reloaded(attempt).outcome is Outcome.COMPLETED and call.sent[0].url.startswith(BASE)
