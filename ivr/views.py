"""Twilio's webhooks: each checked against its signature, each safe to repeat, each answered with what is said next."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from urllib.parse import quote

from flask import Blueprint, Response, abort, request
from twilio.request_validator import RequestValidator

from ivr import conversation, hearing, lines, machines, outcomes, records, twiml, urls
from ivr.conversation import Step, Turn
from ivr.lines import Line
from survey import attempts, clock, doors, settings
from survey.db import db

blueprint = Blueprint("ivr", __name__, url_prefix="/ivr")


@blueprint.before_request
def check_signature() -> None:
    """403 unless Twilio signed this request for the address we gave it.

    The address is the configured public one with the path and query as they came: what a proxy made of host, port and
    scheme is nobody's proof. Without a token in the settings anybody could sign, so then nobody may pass.
    """
    ours = settings.current()
    token = ours.twilio_auth_token.get_secret_value()
    url = ours.public_base_url + quote(request.path)
    if request.query_string:
        url += "?" + request.query_string.decode("latin-1")
    signature = request.headers.get("X-Twilio-Signature", "")
    if not token or not RequestValidator(token).validate(url, request.form, signature):
        abort(403)


@blueprint.post("/attempts/<int:attempt_id>/voice")
@doors.signed
def voice(attempt_id: int) -> Response:
    """Somebody picked up, or something: where machines are listened for first, the verdict comes along."""
    line = _line(attempt_id)
    if line is None:
        return hang_up()
    if _is_machine(line):
        return _leave_machine(line, message=_takes_message(line))
    return play(line, conversation.greet(line.situation, line.steps))


@blueprint.post("/attempts/<int:attempt_id>/machine")
@doors.signed
def machine(attempt_id: int) -> Response:
    """Twilio's verdict on who picked up, while the survey is under way."""
    line = _line(attempt_id, locked=True)
    leave = line is not None and _is_machine(line)
    message = leave and line is not None and _takes_message(line)
    db.session.commit()
    if leave:
        machines.leave(attempt_id, request.form["CallSid"], message=message)
    return Response(status=204)


@blueprint.post("/attempts/<int:attempt_id>/message")
@doors.signed
def message(attempt_id: int) -> Response:
    """The call was turned to the message for a machine."""
    line = _line(attempt_id)
    return hang_up() if line is None else _leave_machine(line, message=True)


@blueprint.post("/attempts/<int:attempt_id>/menu")
@doors.signed
def menu(attempt_id: int) -> Response:
    """A key, or none, after the greeting."""
    return _hear(attempt_id, "menu")


@blueprint.post("/attempts/<int:attempt_id>/answer")
@doors.signed
def answer(attempt_id: int) -> Response:
    """A key, or none, after a question."""
    return _hear(attempt_id, "answer")


@blueprint.post("/attempts/<int:attempt_id>/fallback")
@doors.signed
def fallback(attempt_id: int) -> Response:
    """Twilio could not fetch or execute our last document: go on where the answers end."""
    line = _line(attempt_id)
    return hang_up() if line is None else play(line, conversation.resume(line.situation, line.steps))


@blueprint.post("/attempts/<int:attempt_id>/status")
@doors.signed
def status(attempt_id: int) -> Response:
    """The network's word on the call. Unknown ones are answered like known ones, so that Twilio stops asking."""
    take_status(_line(attempt_id, locked=True))
    db.session.commit()
    return Response(status=204)


def take_status(line: Line | None) -> None:
    """Writes down what a status callback says of the line's call, once. Flushes."""
    if line is not None and _noted(line.asking.attempt_id):
        attempt_id, form = line.asking.attempt_id, request.form
        outcome = outcomes.of_status(
            form.get("CallStatus", ""), form.get("SipResponseCode", ""), form.get("ErrorCode", "")
        )
        if outcome is not None:
            _is_machine(line)
            records.billed(attempt_id, form.get("CallDuration", ""))
            records.over(attempt_id, outcome, line.disposition, _codes())


def _is_machine(line: Line) -> bool:
    """Whether Twilio says, along with this webhook, that no person picked up; it is then written down."""
    answered_by = request.form.get("AnsweredBy", "")
    outcome = machines.outcome_of(answered_by)
    return outcome is not None and records.machine(line, outcome, answered_by)


def _takes_message(line: Line) -> bool:
    """Whether the machine records from now on and is to get the survey's one message, which is then kept as left."""
    attempt_id, call_sid = line.asking.attempt_id, request.form["CallSid"]
    if not line.situation.open or not machines.hears_a_message(request.form.get("AnsweredBy", "")):
        return False
    if not machines.may_leave_message(attempt_id, call_sid):
        return False
    machines.note_message(attempt_id, call_sid)
    return True


def _leave_machine(line: Line, *, message: bool) -> Response:
    """The number that a message names is the one that calls: who calls it back finds the way out (inbound.py)."""
    ours = request.form.get("From") or line.facts.phone
    there = replace(line, facts=replace(line.facts, phone=ours))
    return play(there, conversation.leave_machine(line.situation, message=message))


def _hear(attempt_id: int, place: Literal["menu", "answer"]) -> Response:
    line = _line(attempt_id, locked=True)
    if line is None:
        return hang_up()
    step = conversation.read_step(place, request.args, line.situation)
    form = request.form
    key = form.get("Digits", "") or hearing.key_of(
        form.get("SpeechResult", ""),
        form.get("Confidence", ""),
        step.language,
        conversation.asked_at(line.situation, step),
    )
    now_ms = int(clock.now().timestamp() * 1000)
    return play(line, conversation.hear(line.situation, step, key, now_ms, settings.current().second_key_ms))


def _line(attempt_id: int, *, locked: bool = False) -> Line | None:
    return lines.pick_up(attempt_id, request.form.get("CallSid", ""), locked=locked)


def play(line: Line, turn: Turn) -> Response:
    """Records first, then speaks: what a customer is told has happened has happened."""
    attempt_id, base = line.asking.attempt_id, settings.current().public_base_url

    def url_of(step: Step) -> str:
        return urls.of_step(base, attempt_id, step)

    records.write(turn.record, line, request.form.get("CallSid", ""))
    db.session.commit()
    return xml(twiml.render(turn.document, line.facts, url_of))


def hang_up() -> Response:
    db.session.rollback()
    return xml(twiml.hang_up_on_unknown())


def xml(document: str) -> Response:
    return Response(document, content_type="text/xml; charset=utf-8")


def _noted(attempt_id: int) -> bool:
    """Keeps the callback; False for one that came before. SequenceNumber counts a call's callbacks from 0."""
    form = request.form
    number = form.get("SequenceNumber", "")
    return attempts.note(
        attempt_id,
        form["CallSid"],
        form.get("CallStatus", "unknown"),
        int(number) if number.isascii() and number.isdigit() else 0,
        seconds=form.get("CallDuration"),
        sip=form.get("SipResponseCode"),
        error=form.get("ErrorCode"),
    )


def _codes() -> str | None:
    """Why the call failed, in Twilio's own numbers."""
    names = {"SipResponseCode": "SIP", "ErrorCode": "Twilio"}
    given = [f"{name} {request.form[key]}" for key, name in names.items() if request.form.get(key, "200") != "200"]
    return ", ".join(given) or None
