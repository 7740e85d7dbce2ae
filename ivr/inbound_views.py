"""Twilio's webhooks for calls to our own numbers: answered like our own, or politely with the way out."""

from __future__ import annotations

from flask import Blueprint, Response, request
from sqlalchemy import select

from ivr import conversation, inbound, lines, twiml, urls
from ivr.conversation import OPT_OUT, Ask, Prompt, Step
from ivr.views import check_signature, play, take_status, xml
from ivr.wording import LANGUAGES
from survey import doors, settings
from survey.db import db
from survey.models import Attempt
from survey.questionnaire import FALLBACK_LANGUAGE

blueprint = Blueprint("ivr_inbound", __name__, url_prefix="/ivr/inbound")
blueprint.before_request(check_signature)
MOST_TRIES = 1


@blueprint.post("")
@doors.signed
def called() -> Response:
    """Somebody calls."""
    form = request.form
    caller = inbound.number_of(form.get("From", ""))
    sid, ours, verdict = form.get("CallSid", ""), form.get("To", ""), form.get("StirVerstat", "")
    attempt_id = inbound.attempt_for(sid, caller, ours, verdict) if sid else None
    line = None if attempt_id is None else lines.find(attempt_id)
    if line is not None:
        return play(line, conversation.greet(line.situation, line.steps))
    db.session.rollback()
    if caller is None:
        return xml(twiml.farewell(_in_every_language("stranger_hidden"), twiml.NOBODY))
    return _ask_stranger(0)


@blueprint.post("/key")
@doors.signed
def key() -> Response:
    """A key, or none, of somebody with no survey to answer."""
    pressed, caller = request.form.get("Digits", ""), inbound.number_of(request.form.get("From", ""))
    if pressed == OPT_OUT and caller is not None and inbound.opt_out(caller, request.form.get("To", "")):
        db.session.commit()
        return xml(twiml.farewell(_in_every_language("opted_out"), twiml.NOBODY))
    tries = 1 if request.args.get("try") == "1" else 0
    if tries < MOST_TRIES:
        return _ask_stranger(tries + 1)
    return xml(twiml.farewell(_in_every_language("stranger_bye"), twiml.NOBODY))


@blueprint.post("/status")
@doors.signed
def status() -> Response:
    """The network's word on a call to us."""
    sid = request.form.get("CallSid", "")
    attempt_id = db.session.scalar(select(Attempt.id).where(Attempt.provider_id == sid, Attempt.inbound))
    take_status(None if attempt_id is None else lines.pick_up(attempt_id, sid, locked=True))
    db.session.commit()
    return Response(status=204)


def _ask_stranger(tries: int) -> Response:
    asked = Ask(_in_every_language("stranger"), Step("menu", 0, tries, FALLBACK_LANGUAGE))
    address = urls.inbound(settings.current().public_base_url, f"/key?try={tries}")
    return xml(twiml.render(asked, twiml.NOBODY, lambda _: address))


def _in_every_language(prompt: str) -> tuple[Prompt, ...]:
    """Nobody knows which one a stranger speaks."""
    return tuple(Prompt(prompt, language) for language in LANGUAGES)
