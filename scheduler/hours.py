"""Calling hours: nobody's phone rings outside the allowed hours in any time zone their number may be in.

Pure: numbers, times and windows in, verdicts out. All times are aware UTC; windows and limits are local wall-clock
times, the end excluded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from survey.calendars import Calendar
from survey.phones import country_of, zones_of

DAY = timedelta(days=1)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT_DAYS = tuple(name[:3] for name in DAY_NAMES)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Window:
    """A campaign's calling hours, local to the customer: from and until on the given weekdays (Monday = 0).

    `own` names the hours of single weekdays that differ: (weekday, from, until). Nobody is called on a public holiday
    of the number's country unless `on_holidays`.
    """

    call_from: time = time(9)
    call_until: time = time(20)
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    own: tuple[tuple[int, time, time], ...] = ()
    on_holidays: bool = False

    def hours(self, weekday: int) -> tuple[time, time]:
        """From and until on a weekday, whether or not it is one of the calling days."""
        return next(
            ((begins, ends) for day, begins, ends in self.own if day == weekday), (self.call_from, self.call_until)
        )


@dataclass(frozen=True)
class HoursVerdict:
    """Whether a number may be dialled now, and every reason why not, in plain words."""

    allowed: bool
    reasons: list[str]


# The stretches of one day in which a phone may ring, in order; none: not on that day.
Stretches = tuple[tuple[time, time], ...]
WORKING_DAYS = 5


def _week(weekdays: Stretches, saturday: Stretches, sunday: Stretches) -> tuple[Stretches, ...]:
    return (weekdays,) * WORKING_DAYS + (saturday, sunday)


def _daily(begins: time, ends: time) -> tuple[Stretches, ...]:
    return _week(*(((begins, ends),),) * 3)


# Whatever a campaign says, nobody's phone rings outside these, by place and weekday; SOURCES has where they come from.
# All but Australia's were made for calls that sell, and are kept for surveys too; a user's counsel confirms them.
_DEFAULT = _daily(time(9), time(20))
LIMITS = {
    "US": _daily(time(8), time(21)),
    "US-FL": _daily(time(8), time(20)),
    "CA": _week(((time(9), time(21, 30)),), ((time(10), time(18)),), ((time(10), time(18)),)),
    "AU": _week(((time(9), time(20, 30)),), ((time(9), time(17)),), ((time(9), time(17)),)),
    "FR": _week(((time(10), time(13)), (time(14), time(20))), (), ()),
}
SOURCES = {
    "US": "47 CFR 64.1200(c)(1), at the called party's place",
    "US-FL": "Florida Statutes, section 501.616",
    "CA": "the CRTC's Unsolicited Telecommunications Rules",
    "AU": "Telecommunications (Telemarketing and Research Calls) Industry Standard 2017, the hours of research calls",
    "FR": "Code de la consommation, article D. 223-9",
}
# Everywhere else, the United Kingdom and Germany among them, the default holds.
NO_LAW_KNOWN = "our own default, as we know of no law there that names hours"
# There the same rules forbid calls on public holidays: no campaign can allow them.
NEVER_ON_HOLIDAYS = frozenset({"AU", "FR"})
# The law of Florida takes whoever has one of its area codes to be there. Source: the North American Numbering Plan.
FLORIDA = frozenset(
    (239, 305, 321, 324, 352, 386, 407, 448, 561, 645, 656, 689, 727, 728, 754, 772, 786, 813, 850, 863, 904, 941, 954)
)


@dataclass(frozen=True)
class Place:
    """Where a number may ring: every candidate zone, the country whose public holidays apply, and whose limits do."""

    zones: tuple[str, ...]
    country: str
    limits: str


@lru_cache(maxsize=100_000)
def place_of(e164: str, site_zone: str) -> Place:
    """The number's place. A number whose zones are not known is taken to be where the site is."""
    country = country_of(e164)
    in_florida = country == "US" and int(e164[2:5]) in FLORIDA
    return Place(zones_of(e164) or (site_zone,), country, "US-FL" if in_florida else country)


def limits_of(where: str, weekday: int) -> Stretches:
    """The stretches in which phones may ring there, by a country or state of LIMITS, on that weekday (Monday = 0)."""
    return LIMITS.get(where, _DEFAULT)[weekday]


def verdict(e164: str, at: datetime, window: Window, site_zone: str) -> HoursVerdict:
    """Whether `e164` may be dialled at `at`: in all hours that apply, and no public holiday, in every zone."""
    place = place_of(e164, site_zone)
    reasons = [reason for zone in place.zones for reason in against(zone, place, at, window)]
    return HoursVerdict(not reasons, list(dict.fromkeys(reasons)))


def next_allowed(e164: str, at: datetime, not_after: datetime, window: Window, site_zone: str) -> datetime | None:
    """The first moment from `at` on, before `not_after`, at which the number may be dialled; None if there is none."""
    found = next_span(e164, at, not_after, window, site_zone)
    return None if found is None else found[0]


def next_span(e164: str, at: datetime, not_after: datetime, window: Window, site_zone: str) -> Span | None:
    """The rest of the first allowed stretch from `at` on, cut at `not_after` (both ends UTC, the second excluded)."""
    place = place_of(e164, site_zone)
    day = at.astimezone(UTC).date()
    while _midnight(day) < not_after:
        for start, end in _open_spans(place, day, window):
            start, end = max(start, at), min(_whole(end, place, window), not_after)
            if start < end:
                return start, end
        day += DAY
    return None


def _whole(end: datetime, place: Place, window: Window) -> datetime:
    """The end of a stretch that goes on over UTC's midnight, where the Americas have their afternoon."""
    following = _open_spans(place, end.date(), window) if end == _midnight(end.date()) else ()
    return following[0][1] if following and following[0][0] == end else end


def local_zone(e164: str, site_zone: str) -> str:
    """The zone in which the customer's parts of the day are reckoned: the first the number may be in."""
    return place_of(e164, site_zone).zones[0]


def against(zone: str, place: Place, at: datetime, window: Window) -> Iterable[str]:
    """Why the number may not be dialled at `at`, as far as this one of its zones goes."""
    local = at.astimezone(ZoneInfo(zone))
    weekday = local.weekday()
    holiday = _kept_holiday(place, local.date(), window)
    if holiday is not None:
        yield f"{local.date()} is {holiday} in {place.country}"
    if weekday not in window.weekdays:
        yield f"{DAY_NAMES[weekday]} (in {zone}) is not one of the campaign's calling days"
    yield from _outside(local, zone, (window.hours(weekday),), "the campaign's")
    yield from _outside(local, zone, limits_of(place.limits, weekday), f"{place.limits}'s")


def _outside(local: datetime, zone: str, stretches: Stretches, whose: str) -> Iterable[str]:
    """Why the wall clock shows none of these hours; nothing when it does."""
    now = local.time()
    if not stretches:
        yield f"{DAY_NAMES[local.weekday()]} (in {zone}) is not one of {whose} calling days"
    elif now < stretches[0][0]:
        yield f"{local:%H:%M} in {zone} is before {whose} {stretches[0][0]:%H:%M}"
    elif now >= stretches[-1][1]:
        yield f"{local:%H:%M} in {zone} is not before {whose} {stretches[-1][1]:%H:%M}"
    elif not any(begins <= now < ends for begins, ends in stretches):
        yield f"{local:%H:%M} in {zone} is in {whose} midday break"


@lru_cache(maxsize=20_000)
def _open_spans(place: Place, day: date, window: Window) -> tuple[Span, ...]:
    """The allowed stretches of one UTC day."""
    spans: Sequence[Span] = [(_midnight(day), _midnight(day + DAY))]
    for zone in place.zones:
        local = [span for near in (day - DAY, day, day + DAY) for span in _local_spans(zone, place, near, window)]
        spans = [both for one in spans for other in local for both in _overlap(one, other)]
    return tuple(spans)


def _local_spans(zone: str, place: Place, day: date, window: Window) -> list[Span]:
    """The allowed hours of one local day, as UTC; empty on a day without calls."""
    if day.weekday() not in window.weekdays or _kept_holiday(place, day, window) is not None:
        return []
    call_from, call_until = window.hours(day.weekday())
    allowed = [
        (max(call_from, begins), min(call_until, ends)) for begins, ends in limits_of(place.limits, day.weekday())
    ]
    return [(_instant(day, begins, zone), _instant(day, ends, zone)) for begins, ends in allowed if begins < ends]


def _kept_holiday(place: Place, day: date, window: Window) -> str | None:
    """The public holiday on which nobody is called; None too where the campaign allows it, and may."""
    if window.on_holidays and place.country not in NEVER_ON_HOLIDAYS:
        return None
    return _holiday(place.country, day)


def _overlap(one: Span, other: Span) -> list[Span]:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return [(start, end)] if start < end else []


def _instant(day: date, clock_time: time, zone: str) -> datetime:
    return datetime.combine(day, clock_time, ZoneInfo(zone)).astimezone(UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


@lru_cache(maxsize=20_000)
def _holiday(country: str, day: date) -> str | None:
    """The public holiday of the country as a whole; None where its holidays are not known."""
    try:
        return Calendar(zone="UTC", country=country).holiday(day)
    except NotImplementedError:
        return None
