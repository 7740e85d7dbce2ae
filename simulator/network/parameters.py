"""Reads what the service posts to create or change a call, and refuses what Twilio refuses, with Twilio's codes."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from werkzeug.datastructures import MultiDict

from simulator.network.store import COMPLETED, CallRequest

E164 = re.compile(r"\+[1-9]\d{6,14}")
EVENTS = frozenset({"initiated", "ringing", "answered", COMPLETED})
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
    url, twiml = _url(form, "Url", 21205), form.get("Twiml", "")
    if form.get("ApplicationSid"):
        raise Refusal(400, 21218, "this network knows no applications; give a Url")
    if not (url or twiml):
        raise Refusal(400, 21205, "one of Url, Twiml and ApplicationSid is required")
    if len(twiml) > LONGEST_TWIML:
        raise Refusal(400, 20001, f"Twiml has {len(twiml)} characters; {LONGEST_TWIML} are allowed")
    for name in ("Method", "StatusCallbackMethod", "FallbackMethod", "AsyncAmdStatusCallbackMethod"):
        if form.get(name, "POST") != "POST":
            raise Refusal(400, 20001, f"{name} {form[name]}: this network only posts")
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
    )


def read_update(form: Mapping[str, str]) -> tuple[str, str, str]:
    """Read the form that changes a call: (status, url, twiml), each "" if not given. Raises Refusal."""
    status = form.get("Status", "")
    if status not in ("", "canceled", "completed"):
        raise Refusal(400, 20001, f"Status {status} is not one of canceled, completed")
    return status, _url(form, "Url", 21205), form.get("Twiml", "")


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


def _machine_detection(form: Mapping[str, str]) -> str:
    mode = form.get("MachineDetection", "")
    if mode not in ("", "Enable", "DetectMessageEnd"):
        raise Refusal(400, 20001, f"MachineDetection {mode} is not one of Enable, DetectMessageEnd")
    return mode


def _whole(form: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = form.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise Refusal(400, 20001, f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)
