"""Sampling open throughout: which complete calendar months of a period a subject was there with sampling open.

A day is open at a site when a campaign of the frame with that site in it was launched before the day began, was not
closed before it ended, had the day between its first and last, and a rate above 0 all day long. Pausing stops contact,
not the draw: sampling stays open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from certification.judging import Coverage
from survey.calendars import day_start
from survey.models import Assignment, Campaign, SamplingRate, Site

DAY = timedelta(days=1)
NEVER_BEFORE, NEVER_AFTER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """Somebody's days at a site, from `first` to `last`, both inclusive."""

    site_id: int
    first: date
    last: date

    def within(self, first: date, last: date) -> Span | None:
        """The part of the span between two days, or None."""
        clipped = Span(self.site_id, max(self.first, first), min(self.last, last))
        return clipped if clipped.first <= clipped.last else None


class OpenDays:
    """The open days of every site between two days, and the months that subjects covered of them.

    `last` is the last day that is over, `rates` the campaigns' published rates in the order they came into force. Most
    people share the same spans: each combination is worked out once.
    """

    def __init__(
        self,
        first: date,
        last: date,
        sites: Sequence[Site],
        campaigns: Sequence[Campaign],
        rates: Sequence[SamplingRate] = (),
    ) -> None:
        self.first, self.last = first, last
        self._lives = {site.id: _life(site) for site in sites}
        stops = {each.id: stopped(each, rates) for each in campaigns}
        self._open = {site.id: _open_days(site, campaigns, stops, first, last) for site in sites}
        self._known: dict[frozenset[Span], Coverage] = {}

    def of(self, spans: Iterable[Span]) -> Coverage:
        """What somebody who was at these sites on these days covered."""
        clipped = frozenset(part for span in spans for part in self._there(span))
        if clipped not in self._known:
            self._known[clipped] = covered(self.first, self.last, clipped, self._open)
        return self._known[clipped]

    def of_site(self, site_id: int) -> Coverage:
        """What a site covered, over the days it existed."""
        return self.of([Span(site_id, date.min, date.max)])

    def _there(self, span: Span) -> Iterable[Span]:
        life = self._lives.get(span.site_id)
        part = span.within(self.first, self.last)
        part = part and life and part.within(life.first, life.last)
        return [part] if part else []


def covered(first: date, last: date, spans: Iterable[Span], open_days: Mapping[int, frozenset[date]]) -> Coverage:
    """The complete calendar months between two days in which every day had its subject at open sites only.

    A month in which the subject's site had its sampling closed is named; one in which they were nowhere is not.
    """
    there: set[date] = set()
    shut: set[date] = set()
    for span in spans:
        days = set(_days(span.first, span.last))
        there |= days
        shut |= days - open_days[span.site_id]
    good = there - shut
    months = [month for month in _months(first, last) if good.issuperset(_days(month, _end(month)))]
    return Coverage(len(months), tuple(sorted({day.replace(day=1) for day in shut})))


def spans_of(assignments: Iterable[Assignment]) -> list[Span]:
    """Assignments as spans."""
    return [
        Span(each.site_id, each.starts_on, date.max if each.ends_on is None else each.ends_on - DAY)
        for each in assignments
    ]


def whole_months(first: date, last: date) -> int:
    """How many complete calendar months lie between two days, both inclusive."""
    return len(_months(first, last))


def _months(first: date, last: date) -> list[date]:
    """First days of the complete calendar months between two days."""
    month = first if first.day == 1 else _end(first) + DAY
    found = []
    while _end(month) <= last:
        found.append(month)
        month = _end(month) + DAY
    return found


def _end(day: date) -> date:
    """The last day of that day's month."""
    return (day.replace(day=28) + 4 * DAY).replace(day=1) - DAY


def _days(first: date, last: date) -> list[date]:
    return [first + n * DAY for n in range((last - first).days + 1)]


def _life(site: Site) -> Span:
    return Span(site.id, site.opened_on or date.min, date.max if site.closed_on is None else site.closed_on - DAY)


def stopped(campaign: Campaign, rates: Iterable[SamplingRate]) -> list[tuple[datetime, datetime]]:
    """From when to when (exclusive) the campaign's rate for all was 0, so that nobody could be drawn."""
    changes = [(NEVER_BEFORE, campaign.rate)]
    changes += [(each.in_force_from, each.rate) for each in rates if each.campaign_id == campaign.id]
    ends = [*(moment for moment, _ in changes[1:]), NEVER_AFTER]
    return [(begin, end) for (begin, rate), end in zip(changes, ends, strict=True) if rate == 0]


def _open_days(
    site: Site,
    campaigns: Sequence[Campaign],
    stops: Mapping[int, Sequence[tuple[datetime, datetime]]],
    first: date,
    last: date,
) -> frozenset[date]:
    found: set[date] = set()
    for campaign in campaigns:
        if campaign.launched_at is None or site not in campaign.sites:
            continue
        begin = max(first, campaign.starts_on, _first_whole_day(campaign.launched_at, site.time_zone))
        end = min(last, campaign.ends_on)
        if campaign.closed_at is not None:
            end = min(end, _last_whole_day(campaign.closed_at, site.time_zone))
        found.update(day for day in _days(begin, end) if not _is_stopped(day, site.time_zone, stops[campaign.id]))
    return frozenset(found)


def _is_stopped(day: date, zone: str, stops: Sequence[tuple[datetime, datetime]]) -> bool:
    return bool(stops) and any(
        begin < day_start(day + DAY, zone) and end > day_start(day, zone) for begin, end in stops
    )


def _first_whole_day(moment: datetime, zone: str) -> date:
    day = moment.astimezone(ZoneInfo(zone)).date()
    return day if day_start(day, zone) >= moment else day + DAY


def _last_whole_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date() - DAY
