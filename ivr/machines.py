"""Answering machines: what Twilio is asked to listen for, what its verdict comes to, and how a machine is left.

Sources: Twilio's documentation of answering machine detection (`MachineDetection`, `AsyncAmd`, `AnsweredBy`). Sync: the
first document is asked for when it is known who picked up. Async: the survey begins at once, the verdict follows.
"""

from __future__ import annotations

from typing import Any

from requests.exceptions import RequestException
from sqlalchemy import select
from twilio.base.exceptions import TwilioException

from ivr import urls
from ivr.client import twilio_client
from survey import attempts, logs, settings
from survey.db import db, released
from survey.errors import SettingsError
from survey.models import Attempt, AttemptEvent, Campaign, MachineDetection, Outcome, Survey

log = logs.logger("ivr")
MESSAGE_LEFT = "message left"
# With it Twilio's verdict waits for the beep: only then a message is heard.
AT_THE_BEEP = "DetectMessageEnd"
AT_ONCE = "Enable"


def asked_for(detection: MachineDetection, message: bool, base: str, attempt_id: int) -> dict[str, Any]:
    """What a call is placed with, as the client's own arguments; `message`: one would be left."""
    if detection is MachineDetection.OFF:
        return {}
    given: dict[str, Any] = {"machine_detection": AT_THE_BEEP if message else AT_ONCE}
    if detection is MachineDetection.ASYNC:
        given |= {"async_amd": "true", "async_amd_status_callback": urls.webhook(base, attempt_id, "machine")}
    return given


def outcome_of(answered_by: str) -> Outcome | None:
    """What a verdict comes to; None for a person, and where Twilio cannot tell."""
    if answered_by.startswith("machine"):
        return Outcome.VOICEMAIL
    return Outcome.DEAD if answered_by == "fax" else None


def hears_a_message(answered_by: str) -> bool:
    """Whether the machine records from now on."""
    return answered_by.startswith("machine_end")


def may_leave_message(attempt_id: int, call_sid: str = "") -> bool:
    """Whether this attempt is to leave the campaign's message on a machine: no other call for the survey left it."""
    survey_id = select(Attempt.survey_id).where(Attempt.id == attempt_id).scalar_subquery()
    left = (
        select(AttemptEvent.id)
        .join(Attempt, Attempt.id == AttemptEvent.attempt_id)
        .where(
            Attempt.survey_id == survey_id,
            AttemptEvent.kind == MESSAGE_LEFT,
            AttemptEvent.provider_id != call_sid,
        )
    )
    wanted = (
        select(Survey.id)
        .join(Campaign, Campaign.id == Survey.campaign_id)
        .where(Survey.id == survey_id, Campaign.voicemail_message, ~left.exists())
    )
    return db.session.scalar(wanted) is not None


def note_message(attempt_id: int, call_sid: str) -> None:
    """Keeps that this call leaves the survey's message. Flushes."""
    attempts.note(attempt_id, call_sid, MESSAGE_LEFT)


def leave(attempt_id: int, call_sid: str, *, message: bool) -> None:
    """Ends a call that a machine listens to, or turns it to the message. Commits; safe to repeat.

    Where Twilio cannot be asked the survey goes on and gives up by itself after three silences.
    """
    how: dict[str, Any] = {"status": "completed"}
    if message:
        how = {"url": urls.webhook(settings.current().public_base_url, attempt_id, "message"), "method": "POST"}
    try:
        with released():
            twilio_client().calls(call_sid).update(**how)
    except (TwilioException, RequestException, SettingsError) as fault:
        log.warning("a machine could not be left", attempt=attempt_id, call_sid=call_sid, reason=type(fault).__name__)
