"""Completed calls from programs: `POST /api/v1/calls` takes a batch in and says what became of each of them.

body -> options and rows (api/rows.py) -> the same import as for files (intake) -> one result for each call
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from api import keys
from api.bodies import Repeated, TooLarge, read_object
from api.rows import UNSAID_ORDER, GivenCalls, nameable
from intake.calls import CallOptions, RowResult, import_calls, open_calls, reading_of
from intake.cases import Fate
from intake.discreet import MASK, discreet
from intake.mapping import CallMapping, DateOrder
from intake.reports import ImportReport
from survey.calendars import known_zone
from survey.doors import keyed
from survey.errors import InputError, NotFound

MOST_CALLS = 10_000
LONGEST_NAME = 100
NAMES = ("calls", "source", "site", "agents", "date_order", "zone", "dry_run")
DATE_ORDERS = ("dmy", "mdy", "ymd")
FURTHER_NAMES = "names that mean nothing here, besides those listed as ignored"
# The beginning of a reason, and what the sender can do about it.
HOW = {
    "unknown agent": 'Put the agent into the roster, or send "agents": "create".',
    "unknown site": "Name one of the organisation's sites by its key or name.",
    UNSAID_ORDER: 'Send dates as 2026-03-31, or send "date_order": "dmy" or "mdy" beside "calls".',
    "ends in the future": 'Send times with their offset, or send the "zone" they are in.',
    "is given twice": "Send each name once.",
}

blueprint = Blueprint("api_calls", __name__, url_prefix="/api/v1")


@blueprint.post("/calls")
@keyed(keys.CALLS_WRITE)
def take_in() -> ResponseReturnValue:
    """Takes in up to 10,000 calls; 404 for an unknown site, 422 when every one was rejected.

    docs/api.md describes body and answer.
    """
    body, caller = read_object(request), keys.caller()
    options = _options(body, caller.organisation)
    given = GivenCalls(_calls(body), site=options.site is not None, date_order=options.date_order is not None)
    answer = _Answer(given, caller.country)
    try:
        if not given.rows:  # an import of nothing looks nothing up
            reading_of(open_calls([given.nothing], options), options)
        report = import_calls(given.rows, replace(options, on_row=answer.note), actor=caller.actor)
    except NotFound as error:
        raise NotFound("is no site of the organisation", where="site", how=error.how) from None
    return jsonify(answer.as_dict(report)), 422 if report.nothing_taken else 200


class _Answer:
    """What became of each call, gathered while the import goes on; never a customer's phone or email."""

    def __init__(self, given: GivenCalls, country: str) -> None:
        self._given, self._country = given, country
        self._results: list[dict[str, object]] = [{} for _ in given.rows]

    def note(self, result: RowResult) -> None:
        place = result.line - 1
        column, reason = result.column, result.reason
        if fault := self._given.faults.get(place):
            column, reason = fault.column, fault.text
        id = self._given.external_id(place) if result.external_id is None else result.external_id
        self._results[place] = {
            "row": place,
            "external_id": id,
            "result": result.fate.value,
            "column": column,
            "reason": _told(reason, self._country),
            "how": _how(reason) if result.fate is Fate.REJECTED else "",
        }

    def as_dict(self, report: ImportReport) -> dict[str, Any]:
        counts = {name: getattr(report, name) for name in ("read", "new", "updated", "unchanged", "rejected")}
        notes = report.notes + Counter({FURTHER_NAMES: self._given.ignored_beside})
        rest = {"results": self._results, "ignored": self._given.ignored, "notes": dict(notes)}
        return {"import": report.import_id, "dry_run": report.dry_run} | counts | rest


def _told(reason: str, country: str) -> str:
    """The reason, without its detail where that reads like a phone or an email that stood in another field."""
    told = discreet(reason, country)
    return told if told == reason and MASK not in told else reason.partition(": ")[0]


def _how(reason: str) -> str:
    return next((how for beginning, how in HOW.items() if reason.startswith(beginning)), "")


def _calls(body: Mapping[str, Any]) -> Sequence[object]:
    calls = body.get("calls")
    if not isinstance(calls, list):
        raise InputError("is no list" if "calls" in body else "is missing", where="calls", how="Send a list of calls.")
    if len(calls) > MOST_CALLS:
        how = f"Send them in batches of at most {MOST_CALLS:,}."
        raise TooLarge(f"{len(calls):,} calls came; {MOST_CALLS:,} are taken at once", where="calls", how=how)
    return calls


def _options(body: Mapping[str, Any], organisation: str) -> CallOptions:
    """What the request says beside its calls. Raises InputError for a name or a value that is not known."""
    _check_names(body)
    site, source = _text(body, "site"), _text(body, "source")
    if site is None and source is None:
        how = 'Name the telephone system: "source": "...". Only with a "site" it may be left out.'
        raise InputError("is missing", where="source", how=how)
    return CallOptions(
        organisation=organisation,
        site=site,
        source=source,
        mapping=CallMapping(zone=_zone(_text(body, "zone"))),
        create_agents=_choice(body, "agents", ("refuse", "create")) == "create",
        date_order=cast(DateOrder | None, _choice(body, "date_order", DATE_ORDERS)),
        dry_run=_flag(body, "dry_run"),
    )


def _check_names(body: Mapping[str, Any]) -> None:
    if isinstance(body, Repeated):
        raise InputError(f"{nameable(body.name)} is given twice", where="body", how="Send each name once.")
    strange = list(dict.fromkeys(nameable(name) for name in body if name not in NAMES))
    if strange:
        what = f"{', '.join(strange[:10])}: no such name"
        raise InputError(what, where="body", how=f"Known: {', '.join(NAMES)}. Fields of a call belong into the call.")


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError("is no text", where=name)
    if not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        raise InputError("cannot be a name", where=name, how=f"Take up to {LONGEST_NAME} letters, digits and signs.")
    return value.strip()


def _choice(body: Mapping[str, Any], name: str, known: Sequence[str]) -> str | None:
    value = _text(body, name)
    if value is not None and value not in known:
        raise InputError("is not one of the words known here", where=name, how=f"Known: {', '.join(known)}.")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InputError("is neither true nor false", where=name)


def _zone(zone: str | None) -> str | None:
    try:
        return None if zone is None else known_zone(zone)
    except InputError as error:
        raise InputError("is not a time zone", where="zone", how=error.how) from None
