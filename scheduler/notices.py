"""What whoever makes, changes or launches a campaign should know: it is allowed, but may not do what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from scheduler import contact_notes, described
from scheduler.frame import of_kind
from scheduler.hours import DAY_NAMES
from scheduler.overlaps import overlaps, sentences
from scheduler.planning import window_of
from scheduler.ringing import rings_in
from scheduler.words import TO_LIFT, stop_told
from survey import clock, standstill
from survey.calendars import day_start, deadline
from survey.clock import iso
from survey.db import db
from survey.models import Call, Campaign, CampaignState, Channel, Site

DAY = timedelta(days=1)
MOST_NAMED = 10


@dataclass(frozen=True)
class Note:
    """`about` one of stop, overlap, days, calls, queue, topic, hours, spend_cap, consent; `more` for programs."""

    about: str
    told: str
    more: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"about": self.about, "told": self.told, **self.more}


def notes(campaign: Campaign) -> list[Note]:
    """All there is to know before, or just after, the launch, most urgent first; reads only."""
    return [*stopped(), *on_overlaps(campaign), *_of_days(campaign), *_of_calls(campaign), *_of_contact(campaign, True)]


def standing(campaign: Campaign) -> list[Note]:
    """What stays to be known of the campaign as it is, besides its overlaps; reads only.

    Of a draft all there is to know before its launch, of a launched one what keeps its calls from being placed.
    """
    if campaign.state is CampaignState.DRAFT:
        return [note for note in notes(campaign) if note.about != "overlap"]
    return [*stopped(), *(() if campaign.state is CampaignState.CLOSED else _of_contact(campaign, False))]


def stopped() -> list[Note]:
    """That contact is stopped everywhere, if it is, and how to go on."""
    standing = standstill.in_force()
    if standing is None:
        return []
    so = stop_told(standing)
    told = f"{so[:1].upper()}{so[1:]}: calls are drawn, nobody is called or emailed, deadlines go on. {TO_LIFT}"
    return [Note("stop", told, {"since": iso(standing.begun_at), "by": standing.begun_by, "reason": standing.reason})]


def on_overlaps(campaign: Campaign) -> list[Note]:
    """The campaigns that could ask about the same calls, with who has them: each in a note, several drafts in one."""
    return [
        Note("overlap", told, {"campaigns": keys} | ({"campaign": keys[0]} if len(keys) == 1 else {}))
        for told, keys in sentences(overlaps(campaign))
    ]


def _of_days(campaign: Campaign) -> Iterator[Note]:
    now = clock.now()
    opened = campaign.launched_at or now
    if now >= max(_begins(campaign.ends_on + DAY, site) for site in campaign.sites):
        how = "; give later days: flask campaigns change" if campaign.state is CampaignState.DRAFT else ""
        yield Note("days", f"Its last day, {campaign.ends_on}, is over: it can get no call any more{how}.")
    elif opened >= max(_begins(campaign.starts_on + DAY, site) for site in campaign.sites):
        yield Note(
            "days",
            f"Its first day, {campaign.starts_on}, is past: calls that end before the launch are never asked about.",
        )
    for site in campaign.sites:
        if site.closed_on is not None and site.closed_on <= campaign.starts_on:
            closes = "is closed since" if now >= _begins(site.closed_on, site) else "closes on"
            before = "" if site.closed_on == campaign.starts_on else "before "
            yield Note("days", f"Site {site.key} {closes} {site.closed_on}, {before}the campaign's first day.")


def _begins(day: date, site: Site) -> datetime:
    return day_start(day, site.time_zone).astimezone(UTC)


def _of_calls(campaign: Campaign) -> Iterator[Note]:
    at_sites = Call.site_id.in_([site.id for site in campaign.sites])
    if db.session.scalar(select(Call.id).where(at_sites).limit(1)) is None:
        told = "No call of its sites has come in yet: hand them in with flask calls import, or through the drop folder."
        yield Note("calls", told)
        return
    unseen = False
    for what, column, named in (("queue", Call.queue, campaign.queues), ("topic", Call.topic, campaign.topics)):
        if not named:
            continue
        count = func.count()
        rows = db.session.execute(
            select(column, count).where(at_sites, column.is_not(None)).group_by(column).order_by(count.desc(), column)
        )
        spellings: dict[str, str] = {}
        for row in rows:  # case does not matter: of several spellings the most frequent is shown
            spellings.setdefault(str(row[0]).lower(), str(row[0]))
        seen = list(spellings.values())
        missing = [name for name in named if name.lower() not in spellings]
        if missing:
            unseen = True
            yield Note(what, _never_seen(what, missing, seen, len(missing) == len(named)), {"seen": seen[:MOST_NAMED]})
    of_both = select(Call.id).where(at_sites, *of_kind(campaign)).limit(1)
    if not unseen and campaign.queues and campaign.topics and db.session.scalar(of_both) is None:
        yield Note("topic", "No call of its sites was ever in one of its queues and about one of its topics at once.")


def _never_seen(what: str, missing: Sequence[str], seen: Sequence[str], none_left: bool) -> str:
    named = ", ".join(f'"{name}"' for name in missing)
    so_far = f"those seen: {_some(seen)}" if seen else f"its calls name no {what}"
    ending = "; unless such calls come, it asks nobody" if none_left else ""
    return f"No call of its sites ever had the {what} {named} ({so_far}){ending}."


def _some(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _of_contact(campaign: Campaign, consent: bool) -> Iterator[Note]:
    """Whether its phone calls can be placed at all; with `consent`, all its customers are looked through for that."""
    ways = [entry["channels"] for entry in campaign.channel_plan]
    if not any(Channel.IVR in way for way in ways):
        return
    alone = any(Channel.WEB not in way for way in ways)
    so = "customers whom it asks by phone alone are never asked" if alone else "its customers are only emailed"
    for country in sorted({site.country for site in campaign.sites}):
        yield from _of_hours(campaign, country, so)
        if short := contact_notes.of_short_hours(campaign, country):
            yield Note("hours", short, {"country": country})
    if poor := contact_notes.of_cap(campaign, so):
        yield Note("spend_cap", poor)
    if consent and (unasked := contact_notes.of_consent(campaign, so)):
        yield Note("consent", unasked)


def _of_hours(campaign: Campaign, country: str, so: str) -> Iterator[Note]:
    window = window_of(campaign)
    ringing = {weekday for weekday in range(7) if rings_in(country, weekday, window)}
    if not ringing:
        told = f"No phone in {country} may ring in its calling hours ({described.hours(campaign)}): there {so}."
        yield Note("hours", told, {"country": country})
        return
    sites = [site for site in campaign.sites if site.country == country]
    hopeless = sorted(set.intersection(*(_hopeless(campaign, site, ringing) for site in sites)))
    if hopeless:
        days = ", ".join(DAY_NAMES[day] for day in hopeless)
        told = (
            f"In its first week to come, after calls of {days} no phone in {country} may ring in its hours before the"
            f" deadline: of those {so}."
        )
        yield Note("hours", told, {"country": country})


def _hopeless(campaign: Campaign, site: Site, ringing: set[int]) -> set[int]:
    """The weekdays whose calls find no calling day up to their deadline, by the campaign's first week still to come."""
    zone = ZoneInfo(site.time_zone)
    first = max(campaign.starts_on, clock.now().astimezone(zone).date())
    found = set()
    for day in (first + n * DAY for n in range(7)):
        ended_at = day_start(day, site.time_zone).astimezone(UTC)
        # The survey closes as the day after its last one begins.
        last = (deadline(ended_at, site.calendar).closes_at.astimezone(zone) - timedelta(seconds=1)).date()
        if not any((day + n * DAY).weekday() in ringing for n in range((last - day).days + 1)):
            found.add(day.weekday())
    return found
