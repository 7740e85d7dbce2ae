"""Any decision of this room, explained to whoever asks: plain values, each with its reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler import campaigns, dispatch, hours, planning, policy, sampling
from survey import channel_trouble, settings
from survey.attempts import WAITING
from survey.calendars import Calendar, deadline, known_country, known_zone, table_version
from survey.clock import iso
from survey.db import db
from survey.errors import InputError
from survey.models import Attempt, CampaignState, Channel, Standstill, Survey
from survey.phones import canonical, masked, zones_of

LOOK_AHEAD = timedelta(days=14)
THINGS = {Channel.IVR: "call", Channel.WEB: "email"}


def explain_hours(
    number: str, at: datetime, window: hours.Window | None = None, country: str = "US", site_zone: str | None = None
) -> dict[str, Any]:
    """Whether `number` may be dialled at `at` (aware), why not, by which hours, until when, or when next in two weeks.

    `country` (ISO 3166) applies to a number without a + prefix, `site_zone` to one whose own zone is not known; UTC
    without it. Raises InputError for what is no phone number.
    """
    window = window or hours.Window()
    zone = known_zone(site_zone or "UTC")
    e164 = _number(number, country)
    place = hours.place_of(e164, zone)
    verdict = hours.verdict(e164, _aware(at), window, zone)
    span = hours.next_span(e164, at, at + LOOK_AHEAD, window, zone)
    return {
        "number": masked(e164),
        "read_as": None if number.lstrip().startswith("+") else country,
        "at": iso(at),
        "allowed": verdict.allowed,
        "reasons": verdict.reasons,
        "zones": list(place.zones),
        "zones_from": "number" if zones_of(e164) else "UTC" if site_zone is None else "site",
        "country": place.country,
        "window": {
            "from": f"{window.call_from:%H:%M}",
            "until": f"{window.call_until:%H:%M}",
            "weekdays": list(window.weekdays),
            "own": {str(day): [f"{begins:%H:%M}", f"{ends:%H:%M}"] for day, begins, ends in window.own},
            "on_holidays": window.on_holidays,
        },
        "places": [_place(zone, place, at, window) for zone in place.zones],
        "limits_source": hours.SOURCES.get(place.limits, hours.NO_LAW_KNOWN),
        "next_allowed": None if span is None else iso(span[0]),
        "next_allowed_local": [] if span is None else [_local(span[0], zone) for zone in place.zones],
        "last_begins": None if span is None else iso(max(span[0], span[1] - dispatch.LAST_DIAL_BEFORE_END)),
        "begins_now": verdict.allowed and hours.verdict(e164, at + dispatch.LAST_DIAL_BEFORE_END, window, zone).allowed,
    }


def _number(number: str, country: str) -> str:
    try:
        return canonical(number, country)
    except InputError as error:
        read_as = "" if number.lstrip().startswith("+") else f" Without a + it was read as a number of {country}."
        raise InputError(f"the number {error.what}", where="--number", how=f"{error.how}{read_as}") from None


def explain_campaign_hours(number: str, at: datetime, campaign: str, site_zone: str | None = None) -> dict[str, Any]:
    """As `explain_hours`, by the hours of the campaign of that name; its first site stands for the zone and country.

    Raises NotFound for an unknown campaign.
    """
    found = campaigns.find(campaign)
    zone, country = site_zone or found.sites[0].time_zone, found.sites[0].country
    told = explain_hours(number, at, planning.window_of(found), country, zone)
    return told | {"campaign": f"{found.organisation.key}/{found.key}"}


def _place(zone: str, place: hours.Place, at: datetime, window: hours.Window) -> dict[str, Any]:
    """The local time in one of the number's zones, the hours that hold there that day, and what they say of it."""
    weekday = at.astimezone(ZoneInfo(zone)).weekday()
    called = weekday in window.weekdays
    return {
        "zone": zone,
        "local": _local(at, zone),
        "reasons": list(hours.against(zone, place, at, window)),
        "campaign": [_stretch(*window.hours(weekday))] if called else [],
        "limits": [_stretch(*one) for one in hours.limits_of(place.limits, weekday)],
        "limits_of": place.limits,
    }


def _local(at: datetime, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return f"{hours.DAY_NAMES[local.weekday()]} {local:%Y-%m-%d %H:%M}"


def _stretch(begins: time, ends: time) -> str:
    return f"{begins:%H:%M}-{ends:%H:%M}"


@dataclass(frozen=True)
class Outlook:
    """What the plan says of a survey: `at` is when that was, or will be, decided."""

    at: datetime
    title: str
    text: str


def explain_plan(call_id: int, now: datetime) -> Outlook | None:
    """What is tried next for the call's survey, or, after its deadline, why nothing more was; None if there is nothing.

    The campaign's hours and caps count as they are set now.
    """
    survey = db.session.scalar(select(Survey).where(Survey.call_id == call_id))
    if survey is None:
        return None
    if survey.closed_at is None:
        return Outlook(now, "What comes next", " ".join(_coming(survey, planning.facts_as_of(survey, now))))
    return _why_no_more(survey, survey.closed_at) if survey.closed_at >= survey.deadline else None


def _coming(survey: Survey, facts: policy.SurveyFacts) -> Iterator[str]:
    """What comes next of an open survey, and what is in its way, in sentences."""
    step = policy.next_step(facts)
    waiting = [one for one in facts.tried if one.state in WAITING]
    if survey.campaign.state is CampaignState.CLOSED and (waiting or not isinstance(step, policy.Nothing)):
        yield "The campaign is closed: nobody is contacted any more."
        yield from (
            f"The {THINGS[one.channel]} planned for {iso(one.due_at or facts.now)} will not take place."
            for one in waiting
        )
        return
    yield _next(step, bool(waiting))
    for one in waiting:
        yield from _hours_now(one, facts)
    yield from _held_up(survey)
    yield from _trouble(survey, {one.channel for one in waiting} | _channel_of(step), facts.now)


def _hours_now(attempt: policy.Tried, facts: policy.SurveyFacts) -> Iterator[str]:
    """That a planned call has to wait for the hours, which may have been changed since it was planned."""
    if attempt.channel is not Channel.IVR or facts.phone is None:
        return
    due_at = max(attempt.due_at or facts.now, facts.now)
    legal = hours.next_allowed(facts.phone, due_at, facts.last_moment, facts.window, facts.site_zone)
    if legal is None:
        yield "By the calling hours as they are now it may not begin any more before the deadline."
    elif legal > due_at:
        yield f"By the calling hours as they are now it may not begin before {iso(legal)}, and is put off till then."


def _channel_of(step: policy.Step) -> set[Channel]:
    if isinstance(step, policy.Dial):
        return {Channel.IVR}
    return {Channel.WEB} if isinstance(step, policy.Mail) else set()


def _trouble(survey: Survey, channels: Collection[Channel], now: datetime) -> Iterator[str]:
    """What is known to keep the channels that come next from working."""
    failed = channel_trouble.lately(now) if channels else {}
    for channel in sorted(channels):
        for told in channel_trouble.warnings(channel, survey.campaign, failed, settings.current()):
            yield f"But {told}."


def _next(step: policy.Step, waiting: bool) -> str:
    match step:
        case policy.Nothing(reason) if waiting:
            return f"{reason[:1].upper()}{reason[1:]}."
        case policy.Nothing(reason):
            return f"Nothing new is planned: {reason}."
        case policy.Wait(plan_at, reason):
            return f"Thought about again at {iso(plan_at)}: {reason}."
        case policy.Dial(due_at, reason):
            return f"A call at {iso(due_at)}, once the scheduler gets to it: {reason}."
        case policy.Mail(due_at, reason):
            return f"An email at {iso(due_at)}, once the scheduler gets to it: {reason}."


def _held_up(survey: Survey) -> Iterator[str]:
    """What keeps the scheduler from doing so."""
    if db.session.scalar(select(Standstill.id).where(Standstill.in_force)) is not None:
        yield "All contact is stopped."
    elif survey.campaign.state is not CampaignState.ACTIVE:
        yield f"The campaign is {survey.campaign.state}: nothing begins."


def _why_no_more(survey: Survey, closed_at: datetime) -> Outlook | None:
    """What the plan came to when it was thought about last before the deadline."""
    ends = db.session.scalars(
        select(Attempt.ended_at).where(Attempt.survey_id == survey.id, Attempt.ended_at < closed_at)
    )
    at = max([survey.drawn_at, *(end for end in ends if end is not None)])
    step = policy.next_step(planning.facts_as_of(survey, at))
    while isinstance(step, policy.Wait) and at < step.plan_at < survey.deadline:
        at = step.plan_at
        step = policy.next_step(planning.facts_as_of(survey, at))
    if not isinstance(step, policy.Nothing):
        return None
    return Outlook(closed_at, "Why nothing more was tried", f"{step.reason[:1].upper()}{step.reason[1:]}.")


def explain_draw(key_hex: str, source: str, external_id: str, rate: Fraction | None = None) -> dict[str, Any]:
    """The call's draw number u and channel number under that key and, with a rate, whether that draws it.

    Raises InputError for a key that is not hexadecimal or a rate outside 0 to 1.
    """
    key = _key(key_hex)
    u = sampling.number(key, "draw", source, external_id)
    told: dict[str, Any] = {
        "source": source,
        "external_id": external_id,
        "u": u,
        "channel_number": sampling.number(key, "channel", source, external_id),
        "below": 2**sampling.BITS,
    }
    if rate is None:
        return told
    if not 0 <= rate <= 1:
        raise InputError(f"{rate} is not between 0 and 1", where="rate")
    drawn = sampling.is_drawn(u, rate)
    rule = f"u * {rate.denominator} {'<' if drawn else '>='} {rate.numerator} * 2^64"
    return told | {"rate": f"{rate.numerator}/{rate.denominator}", "drawn": drawn, "rule": rule}


def explain_deadline(ended_at: datetime, zone: str, country: str, subdivision: str | None = None) -> dict[str, Any]:
    """When the survey of a call that ended at `ended_at` (aware) closes, and which days were skipped and why.

    Raises InputError for an unknown zone or country.
    """
    calendar = Calendar(known_zone(zone), known_country(country, subdivision), subdivision)
    found = deadline(_aware(ended_at), calendar)
    return {
        "deadline": iso(found.closes_at),
        "call_day": found.call_day.isoformat(),
        "last_day": found.last_day.isoformat(),
        "skipped": [{"day": day.isoformat(), "why": why} for day, why in found.skipped],
        "calendar": table_version(),
    }


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InputError(f"{moment.isoformat()} has no offset from UTC", how="Write it as 2026-07-02T15:00:00-04:00.")
    return moment


def _key(key_hex: str) -> bytes:
    try:
        return bytes.fromhex(key_hex)
    except ValueError:
        raise InputError("the key is not hexadecimal", where="key") from None
