"""Reads what the service posts to create or change a call, and refuses what Twilio refuses, with Twilio's codes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from werkzeug.datastructures import MultiDict

from simulator.network.store import COMPLETED, CallRequest

E164 = re.compile(r"\+[1-9]\d{6,14}")
EVENTS = frozenset({"initiated", "ringing", "answered", COMPLETED})
METHODS = ("Method", "StatusCallbackMethod", "FallbackMethod", "AsyncAmdStatusCallbackMethod")
LONGEST_TIMEOUT = 600
LONGEST_TWIML = 4000


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CREATE_PARAMETERS = _names(
    "ApplicationSid AsyncAmd AsyncAmdStatusCallback AsyncAmdStatusCallbackMethod Byoc CallReason CallToken "
    "CallerId ClientNotificationUrl FallbackMethod FallbackUrl From MachineDetection "
    "MachineDetectionSilenceTimeout MachineDetectionSpeechEndThreshold MachineDetectionSpeechThreshold "
    "MachineDetectionTimeout Method Record RecordingChannels RecordingStatusCallback "
    "RecordingStatusCallbackEvent RecordingStatusCallbackMethod RecordingTrack SendDigits SipAuthPassword "
    "SipAuthUsername StatusCallback StatusCallbackEvent StatusCallbackMethod TimeLimit Timeout To Trim Twiml "
    "Url"
)
UPDATE_PARAMETERS = _names(
    "FallbackMethod FallbackUrl Method Status StatusCallback StatusCallbackMethod TimeLimit Twiml Url"
)

MESSAGES = {
    20001: "Invalid parameter",
    20003: "Authenticate",
    20004: "Method not allowed",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    10004: "Call concurrency limit exceeded",
    13224: "Invalid phone number",
    21201: "No 'To' number is specified",
    21205: "Url is not a valid URL",
    21210: "'From' phone number not verified",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Phone Number",
    21213: "'From' phone number is required",
    21214: "'To' phone number cannot be reached",
    21215: "Account not authorized to call this number",
    21216: "Account not allowed to call this number",
    21217: "Phone number does not appear to be valid",
    21218: "Invalid ApplicationSid",
    21219: "'To' phone number not verified",
    21220: "Invalid call state",
    21609: "Invalid 'StatusCallback' URL",
    21626: "Invalid 'StatusCallbackEvent'",
}


class Refusal(Exception):
    """An answer other than success: HTTP status, Twilio's code, and what was wrong."""

    def __init__(self, status: int, code: int, detail: str = "") -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def message(self) -> str:
        """The sentence that goes into the JSON answer."""
        return f"{MESSAGES.get(self.code, 'Error')}{': ' if self.detail else ''}{self.detail}"


def read_create(form: MultiDict[str, str]) -> CallRequest:
    """Read the form that creates a call. Raises Refusal with status 400 and the code Twilio uses."""
    to, from_ = _number(form, "To", 21201, 21211), _number(form, "From", 21213, 21212)
    url, twiml = _url(form, "Url", 21205), _twiml(form)
    if form.get("ApplicationSid"):
        raise Refusal(400, 21218, "this network knows no applications; give a Url")
    if not (url or twiml):
        raise Refusal(400, 21205, "one of Url, Twiml and ApplicationSid is required")
    _only_post(form)
    return CallRequest(
        to=to,
        from_=from_,
        url=url,
        twiml="" if url else twiml,
        fallback_url=_url(form, "FallbackUrl", 21205),
        status_callback=_url(form, "StatusCallback", 21609),
        events=_events(form.getlist("StatusCallbackEvent")),
        timeout=_whole(form, "Timeout", 60, 1, LONGEST_TIMEOUT),
        time_limit=_whole(form, "TimeLimit", 14_400, 1, 86_400),
        machine_detection=_machine_detection(form),
        async_amd=form.get("AsyncAmd", "false").lower() == "true",
        async_amd_status_callback=_url(form, "AsyncAmdStatusCallback", 21609),
        machine_detection_timeout=_whole(form, "MachineDetectionTimeout", 30, 3, 59),
        speech_threshold=_whole(form, "MachineDetectionSpeechThreshold", 2400, 1000, 6000),
        speech_end_threshold=_whole(form, "MachineDetectionSpeechEndThreshold", 1200, 500, 5000),
        silence_timeout=_whole(form, "MachineDetectionSilenceTimeout", 5000, 2000, 10_000),
    )


@dataclass(frozen=True, slots=True)
class Update:
    """What is asked of a call: a status, or another document (address or TwiML) with `changes` of its CallRequest."""

    status: str
    url: str
    twiml: str
    changes: Mapping[str, Any]


def read_update(form: MultiDict[str, str]) -> Update:
    """Read the form that changes a call. Raises Refusal.

    Twilio's document says that Url and Twiml exclude each other; which code it refuses both with is not documented.
    """
    status, url, twiml = form.get("Status", ""), _url(form, "Url", 21205), _twiml(form)
    if status not in ("", "canceled", "completed"):
        raise Refusal(400, 20001, f"Status {status} is not one of canceled, completed")
    if url and twiml:
        raise Refusal(400, 20001, "Url and Twiml exclude each other")
    _only_post(form)
    changes: dict[str, Any] = {}
    if form.get("FallbackUrl"):
        changes["fallback_url"] = _url(form, "FallbackUrl", 21205)
    if form.get("StatusCallback"):
        changes |= {"status_callback": _url(form, "StatusCallback", 21609), "events": frozenset({COMPLETED})}
    if form.get("TimeLimit"):
        changes["time_limit"] = _whole(form, "TimeLimit", 14_400, 1, 86_400)
    return Update(status, url, twiml, changes)


def unknown_parameters(given: Iterable[str], known: frozenset[str]) -> list[str]:
    """Give the names Twilio would silently ignore: usually a misspelling."""
    return sorted(set(given) - known)


def _number(form: Mapping[str, str], name: str, missing: int, invalid: int) -> str:
    number = form.get(name, "")
    if not number:
        raise Refusal(400, missing)
    if not E164.fullmatch(number):
        raise Refusal(400, invalid, number)
    return number


def _url(form: Mapping[str, str], name: str, code: int) -> str:
    """An absolute http(s) address; Twilio allows no underscore in its host."""
    text = form.get(name, "")
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "_" in parts.hostname:
        raise Refusal(400, code, f"{name} {text}")
    return text


def _events(given: list[str]) -> frozenset[str]:
    """Each event is a parameter of its own; several in one, with commas or spaces, is a mistake worth hearing of."""
    wrong = set(given) - EVENTS
    if wrong:
        raise Refusal(400, 21626, ", ".join(sorted(wrong)))
    return frozenset(given) or frozenset({COMPLETED})


def _twiml(form: Mapping[str, str]) -> str:
    twiml = form.get("Twiml", "")
    if len(twiml) > LONGEST_TWIML:
        raise Refusal(400, 20001, f"Twiml has {len(twiml)} characters; {LONGEST_TWIML} are allowed")
    return twiml


def _only_post(form: Mapping[str, str]) -> None:
    for name in METHODS:
        if form.get(name, "POST") != "POST":
            raise Refusal(400, 20001, f"{name} {form[name]}: this network only posts")


def _machine_detection(form: Mapping[str, str]) -> str:
    mode = form.get("MachineDetection", "")
    if mode not in ("", "Enable", "DetectMessageEnd"):
        raise Refusal(400, 20001, f"MachineDetection {mode} is not one of Enable, DetectMessageEnd")
    return "" if form.get("SendDigits") else mode  # Twilio ignores it then


def _whole(form: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = form.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise Refusal(400, 20001, f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)
