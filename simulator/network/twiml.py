"""Reads a TwiML document strictly and turns it into verbs: what Twilio would refuse or warn about, we do too.

Sources: Twilio's TwiML reference for Voice; attribute names as in `twilio.twiml.voice_response` (a test compares them).
"""

import xml.etree.ElementTree as ET
from urllib.parse import urljoin

from simulator.network.verbs import Document, Gather, Hangup, Pause, Play, Record, Redirect, Say, Verb

LARGEST = 64 * 1024
WORDS_A_MINUTE = 175
PLAY_SECONDS = 3.0
LONGEST_LOOP = 1000

BAD_DOCUMENT, BAD_ATTRIBUTE, BAD_CONTENT_TYPE, TOO_LARGE = 12100, 12200, 12300, 11750
TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ATTRIBUTES: dict[str, frozenset[str]] = {
    "Say": frozenset({"voice", "loop", "language"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Gather": _names(
        "input action method timeout speechTimeout maxSpeechTime profanityFilter finishOnKey numDigits "
        "partialResultCallback partialResultCallbackMethod language hints bargeIn debug actionOnEmptyResult "
        "speechModel enhanced"
    ),
    "Record": _names(
        "action method timeout finishOnKey maxLength playBeep trim recordingStatusCallback "
        "recordingStatusCallbackMethod recordingStatusCallbackEvent transcribe transcribeCallback "
        "recordingConfigurationId"
    ),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
}
SSML = frozenset(["break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "sub", "w"])
RECORDING_EVENTS = frozenset({"in-progress", "completed", "absent"})
INSIDE_GATHER = frozenset({"Say", "Play", "Pause"})


class TwimlError(Exception):
    """A document Twilio would stop at; `code` is Twilio's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_content_type(content_type: str) -> None:
    """Raise TwimlError 12300 unless Twilio would read an answer of this type as TwiML."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in TWIML_TYPES:
        raise TwimlError(BAD_CONTENT_TYPE, f"Invalid Content-Type: {content_type or 'none'}")


def parse(body: bytes, url: str) -> Document:
    """Read one document fetched from `url` (relative addresses start there).

    Raises TwimlError: 12100 for anything but well-formed TwiML of the verbs we know, 12200 for a value that makes no
    sense, 11750 for more than 64 kB.
    """
    return _Reader(url).read(body)


def spoken_seconds(text: str) -> float:
    """Give how long `text` takes to say, at 175 words a minute."""
    return len(text.split()) * 60 / WORDS_A_MINUTE


class _Reader:
    def __init__(self, url: str) -> None:
        self._url = url
        self._warnings: list[str] = []

    def read(self, body: bytes) -> Document:
        root = self._root(body)
        if root.tag != "Response":
            raise TwimlError(BAD_DOCUMENT, f"The root must be <Response>, not <{root.tag}>")
        self._no_text_between(root)
        verbs = tuple(self._verb(element) for element in root)
        return Document(verbs, tuple(self._warnings))

    def _root(self, body: bytes) -> ET.Element:
        if len(body) > LARGEST:
            raise TwimlError(TOO_LARGE, f"The document has {len(body)} bytes; {LARGEST} are allowed")
        if b"<!DOCTYPE" in body:
            raise TwimlError(BAD_DOCUMENT, "A document type declaration is not TwiML")
        try:
            # Without a DOCTYPE there are no entities to blow up: what S314 warns about cannot happen.
            return ET.fromstring(body)  # noqa: S314
        except ET.ParseError as fault:
            raise TwimlError(BAD_DOCUMENT, f"Document parse failure: {fault}") from None

    def _verb(self, element: ET.Element) -> Verb:
        self._check_attributes(element)
        match element.tag:
            case "Say" | "Play" | "Pause":
                return self._prompt(element)
            case "Gather":
                return self._gather(element)
            case "Record":
                return self._record(element)
            case "Redirect":
                self._check_method(element, "method")
                return Redirect(urljoin(self._url, self._text_only(element).strip()))
            case "Reject":
                self._text_only(element)
                return Hangup("Reject", self._one_of(element, "reason", ("rejected", "busy")))
            case _:
                self._text_only(element)
                return Hangup()

    def _prompt(self, element: ET.Element) -> Say | Play | Pause:
        if element.tag == "Pause":
            self._text_only(element)
            return Pause(float(self._number(element, "length", 1)))
        times = self._number(element, "loop", 1) or LONGEST_LOOP
        if element.tag == "Play":
            address = self._text_only(element).strip()
            return Play(urljoin(self._url, address) if address else "", PLAY_SECONDS * times)
        text, pauses = _speech(element)
        if not text:
            self._warnings.append("13520 Say: empty text")
        language = element.get("language", "en-US")
        return Say(text, language, element.get("voice", ""), (spoken_seconds(text) + pauses) * times)

    def _gather(self, element: ET.Element) -> Gather:
        self._no_text_between(element)
        self._check_method(element, "method")
        for child in element:
            if child.tag not in INSIDE_GATHER:
                raise TwimlError(BAD_DOCUMENT, f"<{child.tag}> is not allowed inside <Gather>")
            self._check_attributes(child)
        kinds = set(element.get("input", "dtmf").split())
        if not kinds or kinds - {"dtmf", "speech"}:
            raise TwimlError(BAD_ATTRIBUTE, f"Gather: invalid input value {element.get('input')!r}")
        return Gather(
            prompts=tuple(self._prompt(child) for child in element),
            action=self._address(element, "action"),
            timeout=5 if element.get("timeout") == "auto" else self._number(element, "timeout", 5),
            finish_on_key=self._finish_key(element, "#"),
            num_digits=self._number(element, "numDigits", 0) or None,
            action_on_empty=self._flag(element, "actionOnEmptyResult", False),
            takes_keys="dtmf" in kinds,
            takes_speech="speech" in kinds,
        )

    def _record(self, element: ET.Element) -> Record:
        self._check_method(element, "method")
        self._check_method(element, "recordingStatusCallbackMethod")
        self._text_only(element)
        return Record(
            action=self._address(element, "action"),
            timeout=self._number(element, "timeout", 5),
            finish_on_key=self._finish_key(element, "1234567890*#"),
            max_length=self._number(element, "maxLength", 3600),
            play_beep=self._flag(element, "playBeep", True),
            trim=self._one_of(element, "trim", ("trim-silence", "do-not-trim")),
            status_callback=self._address_or_none(element, "recordingStatusCallback"),
            status_events=self._recording_events(element),
            transcribe_callback=self._address_or_none(element, "transcribeCallback"),
            transcribe=self._flag(element, "transcribe", False),
        )

    def _recording_events(self, element: ET.Element) -> frozenset[str]:
        events = frozenset(element.get("recordingStatusCallbackEvent", "completed").split())
        if not events or events - RECORDING_EVENTS:
            raise TwimlError(BAD_ATTRIBUTE, f"Record: invalid recordingStatusCallbackEvent value {sorted(events)}")
        return events

    def _check_attributes(self, element: ET.Element) -> None:
        known = ATTRIBUTES.get(element.tag)
        if known is None:
            raise TwimlError(BAD_DOCUMENT, f"<{element.tag}> is not a verb this network executes")
        for name in element.keys():  # noqa: SIM118 - an Element iterates over its children
            if name not in known:
                self._warnings.append(f"12200 {element.tag}: attribute {name} is not allowed")

    def _check_method(self, element: ET.Element, name: str) -> None:
        if element.get(name, "POST").upper() != "POST":
            raise TwimlError(BAD_ATTRIBUTE, f"{element.tag}: this network only posts, not {element.get(name)}")

    def _address(self, element: ET.Element, name: str) -> str:
        """An action left out is the document's own address: Twilio's default, and a classic endless loop."""
        return urljoin(self._url, element.get(name, self._url))

    def _address_or_none(self, element: ET.Element, name: str) -> str:
        address = element.get(name, "")
        return urljoin(self._url, address) if address else ""

    def _one_of(self, element: ET.Element, name: str, allowed: tuple[str, ...]) -> str:
        """The value of an attribute; the first of those allowed is the default."""
        value = element.get(name, allowed[0])
        if value not in allowed:
            raise TwimlError(BAD_ATTRIBUTE, f"{element.tag}: invalid {name} value {value!r}")
        return value

    def _number(self, element: ET.Element, name: str, default: int) -> int:
        text = element.get(name, str(default))
        if not (text.isascii() and text.isdigit()):
            raise TwimlError(BAD_ATTRIBUTE, f"{element.tag}: invalid {name} value {text!r}")
        return int(text)

    def _flag(self, element: ET.Element, name: str, default: bool) -> bool:
        text = element.get(name, str(default)).lower()
        if text not in ("true", "false"):
            raise TwimlError(BAD_ATTRIBUTE, f"{element.tag}: invalid {name} value {text!r}")
        return text == "true"

    def _finish_key(self, element: ET.Element, default: str) -> str:
        keys = element.get("finishOnKey", default)
        if set(keys) - set("0123456789*#"):
            raise TwimlError(BAD_ATTRIBUTE, f"{element.tag}: invalid finishOnKey value {keys!r}")
        return keys

    def _text_only(self, element: ET.Element) -> str:
        if len(element):
            raise TwimlError(BAD_DOCUMENT, f"<{element[0].tag}> is not allowed inside <{element.tag}>")
        return element.text or ""

    def _no_text_between(self, element: ET.Element) -> None:
        between = (element.text or "") + "".join(child.tail or "" for child in element)
        if between.strip():
            raise TwimlError(BAD_DOCUMENT, f"Text outside a verb in <{element.tag}>: {between.strip()[:40]!r}")


def _speech(element: ET.Element) -> tuple[str, float]:
    """Give the words of a Say without its SSML, and the seconds its <break>s add."""
    pauses = 0.0
    for part in element.iter():
        if part is element:
            continue
        if part.tag not in SSML:
            raise TwimlError(BAD_DOCUMENT, f"<{part.tag}> is not allowed inside <Say>")
        if part.tag == "break":
            pauses += _break_seconds(part.get("time", "0s"))
    return " ".join("".join(element.itertext()).split()), pauses


def _break_seconds(time: str) -> float:
    try:
        return float(time[:-2]) / 1000 if time.endswith("ms") else float(time.removesuffix("s"))
    except ValueError:
        raise TwimlError(BAD_ATTRIBUTE, f"break: invalid time value {time!r}") from None
