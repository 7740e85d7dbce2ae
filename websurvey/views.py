"""The customers' pages. A link opens them, GET shows and changes nothing, POST answers; no cookie is ever set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue

from survey import answers, attempts, doors, lifecycle, optouts
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import Attempt, AttemptState, Channel, OptOutSource, Outcome
from survey.questionnaire import FALLBACK_LANGUAGE, LANGUAGES, language_name, wording
from websurvey import links, screens, words
from websurvey.invitation import is_web_address
from websurvey.screens import Given, Screen
from websurvey.visit import Visit

blueprint = Blueprint("websurvey", __name__, template_folder="templates")

STATIC = Path(__file__).parent / "static"
STYLE_VERSION = hashlib.sha256((STATIC / "websurvey.css").read_bytes()).hexdigest()[:12]
A_YEAR = 365 * 24 * 3600
# Nobody changes their mind so often; it keeps a link from filling the table.
MOST_SEQUENCE = 100
NOT_SILENT = (Outcome.SILENCE,)
STOPS: Mapping[str, tuple[str, ...]] = {"email": ("email",), "both": ("email", "phone")}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class UnknownLink(Exception):
    """Nothing was ever sent with this link, or it was revoked: nobody can tell which."""


@blueprint.get("/s/<token>")
@doors.public
def show(token: str) -> ResponseReturnValue:
    visit = _visit(token)
    shown = screens.screen(visit.known, visit.given(), request.args.get("question", ""), request.args.get("answer", ""))
    return _page(visit, shown)


@blueprint.post("/s/<token>")
@doors.public
def answer(token: str) -> ResponseReturnValue:
    visit = _visit(token)
    if not visit.known.takes_answers:
        return _see(visit.url())
    key, value = request.form.get("question", ""), request.form.get("answer", "")
    try:
        _take(visit, key, value, _sequence(visit, key))
    except InputError:
        db.session.rollback()
        return _ask_again(_visit(token), key)
    except (NotFound, Refused):
        db.session.rollback()
        return _see(visit.url())
    db.session.commit()
    return _see(visit.url())


@blueprint.get("/s/<token>/not-me")
@doors.public
def not_me(token: str) -> ResponseReturnValue:
    visit = _visit(token)
    if visit.known.wrong_person or visit.known.closed:
        return _page(visit, Screen(screens.Kind.WRONG_PERSON))
    return _see(visit.url())


@blueprint.post("/s/<token>/not-me")
@doors.public
def say_not_me(token: str) -> ResponseReturnValue:
    visit = _visit(token)
    lifecycle.locked(visit.survey.id)
    _arrived(visit.attempt)
    _end(visit, Outcome.WRONG_PERSON)
    attempts.cancel_waiting([visit.survey.id], "the email address is somebody else's", [Channel.WEB])
    db.session.commit()
    return _see(visit.url("not_me"))


@blueprint.get("/s/<token>/unsubscribe")
@doors.public
def unsubscribe(token: str) -> ResponseReturnValue:
    return _unsubscribe_page(_visit(token))


@blueprint.post("/s/<token>/unsubscribe")
@doors.public
def stop(token: str) -> ResponseReturnValue:
    """A choice on the page, or a mail program's one click: that POST has a fixed body and no cookies (RFC 8058)."""
    visit = _visit(token)
    if request.form.get("List-Unsubscribe") == "One-Click":
        _stop(visit, STOPS["email"], OptOutSource.ONE_CLICK)
        return _unsubscribe_page(_visit(token))
    kinds = STOPS.get(request.form.get("stop", ""))
    if kinds is None:
        return _unsubscribe_page(visit)
    _stop(visit, kinds, OptOutSource.WEB_PAGE)
    return _see(visit.url("unsubscribe"))


@blueprint.get("/s/websurvey.css")
@doors.public
def style() -> ResponseReturnValue:
    return send_from_directory(STATIC, "websurvey.css", max_age=A_YEAR)


@blueprint.errorhandler(UnknownLink)
def unknown_link(_error: UnknownLink) -> ResponseReturnValue:
    db.session.rollback()
    language = request.accept_languages.best_match(LANGUAGES) or FALLBACK_LANGUAGE
    return (
        render_template(
            "websurvey/unknown.html",
            texts=words.texts(language, "page"),
            language=language,
            direction=words.direction(language),
            style_version=STYLE_VERSION,
        ),
        404,
    )


@blueprint.after_request
def _private(response: Response) -> Response:
    """No page of a customer's is kept, indexed, framed, or told to the next site."""
    response.headers.update(PAGE_HEADERS)
    if request.endpoint != "websurvey.style":
        response.headers["Cache-Control"] = "no-store"
    return response


def _visit(token: str) -> Visit:
    attempt = links.find(token)
    if attempt is None:
        raise UnknownLink
    return Visit(token, attempt)


def _see(url: str) -> ResponseReturnValue:
    """303: the browser fetches `url` by GET, and going back or reloading sends nothing again."""
    return redirect(url, 303)


def _sequence(visit: Visit, key: str) -> int:
    """The number the form carried. A form without a sound one counts as new. Raises Refused beyond the most."""
    carried = request.form.get("sequence", "")
    number = int(carried) if carried.isdecimal() and len(carried) < 9 else screens.next_sequence(visit.given(), key)
    if number > MOST_SEQUENCE:
        raise Refused("was changed too often", where=key)
    return number


def _take(visit: Visit, key: str, value: str, sequence: int) -> None:
    """Appends the answer. With the first one, a reminder that has not left stays at home.

    A page left open on another device may carry a number already used: another value is a new answer all the same.
    """
    if visit.attempt.state is AttemptState.DIALLING:
        lifecycle.locked(visit.survey.id)
        _arrived(visit.attempt)
    if visit.survey.is_open and visit.mail_waits():
        attempts.cancel_waiting([visit.survey.id], "the link that is out was begun", [Channel.WEB])
    taken = answers.take(visit.attempt, key, value, sequence)
    if taken.counted and visit.attempt.state is AttemptState.ENDED:
        attempts.correct(visit.attempt.id, NOT_SILENT, Outcome.COMPLETED)
    if taken.new:
        return
    given = visit.given()
    if Given(key, value, sequence, here=True) not in given:
        answers.take(visit.attempt, key, value, min(screens.next_sequence(given, key), MOST_SEQUENCE))


def _end(visit: Visit, outcome: Outcome) -> None:
    """Ends the attempt. One that a reminder followed has ended already, as a silence that it turns out not to be."""
    if not attempts.end(visit.attempt.id, outcome) and visit.survey.is_open:
        attempts.correct(visit.attempt.id, NOT_SILENT, outcome)


def _arrived(attempt: Attempt) -> None:
    """Somebody uses the link, so the email is out, whatever became of the process that sent it."""
    if attempt.state is AttemptState.DIALLING and attempt.provider_id is not None:
        attempts.underway(attempt.id, attempt.provider_id)


def _stop(visit: Visit, kinds: tuple[str, ...], source: OptOutSource) -> None:
    lifecycle.locked(visit.survey.id)
    _arrived(visit.attempt)
    _end(visit, Outcome.OPTED_OUT)
    # Locked once more, which is also read once more: ending the attempt changed the survey's row.
    lifecycle.opt_out(lifecycle.locked(visit.survey.id), kinds, source)
    db.session.commit()


def _ask_again(visit: Visit, key: str) -> ResponseReturnValue:
    """The same question with the error said; 422 as nothing was taken."""
    shown = screens.screen(visit.known, visit.given(), key)
    return _page(visit, shown, error=True), 422


def _page(visit: Visit, shown: Screen, *, error: bool = False) -> str:
    if shown.asked is None:
        texts = words.texts(visit.language, "page")
        return render_template("websurvey/last.html", said=texts[shown.kind], **_common(visit))
    question = wording(shown.asked.question.key, visit.language)
    return render_template(
        "websurvey/question.html",
        screen=shown,
        asked=shown.asked,
        wording=question,
        error=error,
        **_common(visit),
    )


def _unsubscribe_page(visit: Visit) -> str:
    customer, texts = visit.survey.customer, words.texts(visit.language, "page")
    stopped = optouts.kinds_in_force(customer)
    title = texts["unsubscribe_title"].format(org=visit.organisation.name)
    if "email" in stopped:
        title = texts["stopped_both" if "phone" in stopped else "stopped_email"]
    return render_template(
        "websurvey/unsubscribe.html",
        title=title,
        may_stop_email="email" not in stopped,
        may_stop_calls=customer.phone_index is not None and "phone" not in stopped,
        **_common(visit),
    )


def _common(visit: Visit) -> dict[str, Any]:
    """What every page says: who asks, about which call, until when, and how to reach them."""
    organisation, site, language = visit.organisation, visit.site, visit.language
    texts = words.texts(language, "page")
    named = {
        "org": organisation.name,
        "date": words.short_day(words.day_at(visit.survey.call.started_at, site.time_zone), language, site.country),
        "day": words.weekday_and_day(words.last_day(visit.survey.deadline, site.time_zone), language, site.country),
        "agent": words.first_name(visit.survey.agent.name) if visit.survey.agent else "",
    }
    return {
        "visit": visit,
        "texts": texts,
        "named": named,
        "language": language,
        "direction": words.direction(language),
        "languages": [(code, language_name(code)) for code in visit.languages],
        "organisation": organisation,
        "phone": words.phone(organisation.phone),
        "privacy_url": organisation.privacy_url if is_web_address(organisation.privacy_url) else "",
        "style_version": STYLE_VERSION,
    }
