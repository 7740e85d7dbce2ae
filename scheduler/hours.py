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
MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
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


def _limits(weekdays: tuple[time, time], weekend: tuple[time, time]) -> tuple[tuple[time, time], ...]:
    return (weekdays,) * len(MONDAY_TO_FRIDAY) + (weekend,) * len(WEEKEND)


# Whatever a campaign says, no dial before or after these, by weekday. US: 47 CFR 64.1200(c)(1), made for solicitations
# and kept for surveys too. CA: the CRTC's telemarketing hours. Elsewhere the default. A user's counsel confirms them.
_DEFAULT = _limits((time(9), time(20)), (time(9), time(20)))
LIMITS = {
    "US": _limits((time(8), time(21)), (time(8), time(21))),
    "CA": _limits((time(9), time(21, 30)), (time(10), time(18))),
}


@dataclass(frozen=True)
class Place:
    """Where a number may ring: every candidate zone, and the country whose limits and public holidays apply."""

    zones: tuple[str, ...]
    country: str


@lru_cache(maxsize=100_000)
def place_of(e164: str, site_zone: str) -> Place:
    """The number's place. A number whose zones are not known is taken to be where the site is."""
    return Place(zones_of(e164) or (site_zone,), country_of(e164))


def limits_of(country: str, weekday: int) -> tuple[time, time]:
    """The earliest and the latest hour in that country on that weekday (Monday = 0)."""
    return LIMITS.get(country, _DEFAULT)[weekday]


def verdict(e164: str, at: datetime, window: Window, site_zone: str) -> HoursVerdict:
    """Whether `e164` may be dialled at `at`: in all hours that apply, and no public holiday, in every zone."""
    place = place_of(e164, site_zone)
    reasons = [reason for zone in place.zones for reason in _against(zone, place.country, at, window)]
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


def _against(zone: str, country: str, at: datetime, window: Window) -> Iterable[str]:
    local = at.astimezone(ZoneInfo(zone))
    holiday = None if window.on_holidays else _holiday(country, local.date())
    if holiday is not None:
        yield f"{local.date()} is {holiday} in {country}"
    if local.weekday() not in window.weekdays:
        yield f"{DAY_NAMES[local.weekday()]} (in {zone}) is not one of the campaign's calling days"
    call_from, call_until = window.hours(local.weekday())
    earliest, latest = limits_of(country, local.weekday())
    clock_time = local.time()
    for begins, whose in ((call_from, "the campaign's"), (earliest, f"{country}'s")):
        if clock_time < begins:
            yield f"{local:%H:%M} in {zone} is before {whose} {begins:%H:%M}"
    for ends, whose in ((call_until, "the campaign's"), (latest, f"{country}'s")):
        if clock_time >= ends:
            yield f"{local:%H:%M} in {zone} is not before {whose} {ends:%H:%M}"


@lru_cache(maxsize=20_000)
def _open_spans(place: Place, day: date, window: Window) -> tuple[Span, ...]:
    """The allowed stretches of one UTC day."""
    spans: Sequence[Span] = [(_midnight(day), _midnight(day + DAY))]
    for zone in place.zones:
        local = [
            span for near in (day - DAY, day, day + DAY) for span in _local_span(zone, place.country, near, window)
        ]
        spans = [both for one in spans for other in local for both in _overlap(one, other)]
    return tuple(spans)


def _local_span(zone: str, country: str, day: date, window: Window) -> list[Span]:
    """The allowed hours of one local day, as UTC; empty on a day without calls."""
    if day.weekday() not in window.weekdays or (not window.on_holidays and _holiday(country, day) is not None):
        return []
    call_from, call_until = window.hours(day.weekday())
    earliest, latest = limits_of(country, day.weekday())
    begins, ends = max(call_from, earliest), min(call_until, latest)
    return [(_instant(day, begins, zone), _instant(day, ends, zone))] if begins < ends else []


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
