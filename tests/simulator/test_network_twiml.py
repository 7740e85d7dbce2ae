"""Documents are read as strictly as Twilio reads them."""

import inspect

import pytest
from twilio.twiml import voice_response

from simulator.network.keypad import collect
from simulator.network.twiml import ATTRIBUTES, TwimlError, parse
from simulator.network.verbs import Gather, Hangup, Play, Redirect, Say

URL = "https://survey.example.com/ivr/answer/3?attempt=7"


def read(inside: str) -> tuple[object, ...]:
    return parse(f"<Response>{inside}</Response>".encode(), URL).verbs


@pytest.mark.parametrize("verb", ["Say", "Play", "Pause", "Gather", "Record", "Redirect", "Reject"])
def test_attributes_are_those_of_the_official_library(verb: str) -> None:
    method = getattr(voice_response.VoiceResponse, verb.lower())
    parameters = set(inspect.signature(method).parameters) - {"self", "kwargs", "message", "url"}
    camel = {"".join([word.capitalize() for word in name.split("_")]) for name in parameters}
    assert {name[:1].upper() + name[1:] for name in ATTRIBUTES[verb]} == camel


def test_reads_each_verb() -> None:
    verbs = read(
        '<Say language="fr-CA" voice="Polly.Gabrielle">Bonjour <break time="700ms"/> à   vous</Say>'
        "<Play>/media/hello.wav</Play><Redirect>../next?x=1&amp;y=2</Redirect><Reject/>"
    )
    say, play, redirect, reject = verbs
    assert isinstance(say, Say) and (say.text, say.language, say.voice) == (
        "Bonjour à vous",
        "fr-CA",
        "Polly.Gabrielle",
    )
    assert say.seconds == pytest.approx(3 * 60 / 175 + 0.7)
    assert play == Play("https://survey.example.com/media/hello.wav", 3.0)
    assert redirect == Redirect("https://survey.example.com/ivr/next?x=1&y=2")
    assert reject == Hangup("Reject", "rejected")


def test_gather_defaults_are_twilio_s() -> None:
    (gather,) = read("<Gather/>")
    assert gather == Gather((), URL, 5, "#", None, False, True, False)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Response><Say>one", 12100),
        (b"<Response><Say>\x01</Say></Response>", 12100),
        (b"<Response><Say>Smith & Sons</Say></Response>", 12100),
        (b"", 12100),
        (b"<Answer/>", 12100),
        (b"<Response><Sing>la</Sing></Response>", 12100),
        (b"<Response><say>small letters</say></Response>", 12100),
        (b"<Response>loose text<Say>x</Say></Response>", 12100),
        (b"<Response><Gather><Gather/></Gather></Response>", 12100),
        (b"<Response><Gather><Hangup/></Gather></Response>", 12100),
        (b"<Response><Say><Pause/></Say></Response>", 12100),
        (b"<Response><Redirect><Say>x</Say></Redirect></Response>", 12100),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Response><Say>&a;</Say></Response>', 12100),
        (b'<Response><Gather timeout="soon"/></Response>', 12200),
        (b'<Response><Gather finishOnKey="x"/></Response>', 12200),
        (b'<Response><Gather input="dtmf telepathy"/></Response>', 12200),
        (b'<Response><Gather method="GET"/></Response>', 12200),
        (b'<Response><Pause length="-1"/></Response>', 12200),
        (b"<Response><Say>" + b"x" * 65536 + b"</Say></Response>", 11750),
    ],
)
def test_refuses_what_twilio_refuses(body: bytes, code: int) -> None:
    with pytest.raises(TwimlError) as refused:
        parse(body, URL)
    assert refused.value.code == code


def test_warns_of_attributes_that_do_not_exist() -> None:
    document = parse(b'<Response><Gather numdigits="1"><Say lang="en">Hello</Say></Gather><Say/></Response>', URL)
    assert document.warnings == (
        "12200 Gather: attribute numdigits is not allowed",
        "12200 Say: attribute lang is not allowed",
        "13520 Say: empty text",
    )


def gather_of(attributes: str) -> Gather:
    (gather,) = read(f"<Gather {attributes}/>")
    assert isinstance(gather, Gather)
    return gather


@pytest.mark.parametrize(
    ("attributes", "presses", "digits", "finished_on", "seconds", "leftover"),
    [
        ('numDigits="1"', [(4.0, "5")], "5", "", 4.0, 0),
        ('numDigits="1"', [(4.0, "5"), (4.3, "3")], "5", "", 4.0, 1),
        ('numDigits="2"', [(4.0, "5")], "5", "", 9.0, 0),
        ('numDigits="2" timeout="3"', [(4.0, "5"), (7.1, "6")], "5", "", 7.0, 1),
        ("", [(1.0, "1"), (1.4, "2"), (1.8, "#")], "12", "#", 1.8, 0),
        ("", [(1.0, "#")], "", "#", 1.0, 0),
        ('finishOnKey=""', [(1.0, "#")], "#", "", 6.0, 0),
        ('finishOnKey="*"', [(1.0, "4"), (1.4, "*")], "4", "*", 1.4, 0),
        ("", [], "", "", 8.0, 0),
        ("", [(8.5, "1")], "", "", 8.0, 1),
    ],
)
def test_keys_taken(
    attributes: str, presses: list[tuple[float, str]], digits: str, finished_on: str, seconds: float, leftover: int
) -> None:
    """The prompts last 3 s in each case."""
    got = collect(gather_of(attributes), presses, 3.0)
    assert (got.digits, got.finished_on, got.seconds, len(got.leftover)) == (digits, finished_on, seconds, leftover)
