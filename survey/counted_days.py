"""Which days must be counted: so that nobody hands in the counts of the good days only.

The rule and its reasons are in docs/decisions/0011-control-totals.md. Pure: nothing is read or written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta

from survey.calendars import Calendar
from survey.gaps import Uncounted

DAY = timedelta(days=1)


@dataclass(frozen=True)
class OpenSite:
    """A site as the rule sees it: its days asked for that have gone by, and since when and until when it is open."""

    name: str
    calendar: Calendar
    days: Sequence[date]
    opened_on: date | None = None
    closed_on: date | None = None


@dataclass(frozen=True)
class Feed:
    """One telephone system at one site. Counts here are those of the whole site: agents' alone show nobody left out.

    `first` and `last`: the local days over which its counts reach, also outside the days asked for (None: it has
    none). `touched` are the days asked for in which some count lies; `calls` by day are all calls handed in, `outside`
    those of them that no count holds. `agents_counted`: there are counts of agents in the days asked for.
    """

    source: str
    first: date | None
    last: date | None
    touched: AbstractSet[date]
    calls: Mapping[date, int]
    outside: Mapping[date, int]
    agents_counted: bool = False


def uncounted(site: OpenSite, feeds: Sequence[Feed]) -> list[Uncounted]:
    """Every stretch of days that had to be counted and was not, by source and then by time."""
    earliest = min((feed.first for feed in feeds if feed.first), default=None)
    latest = max((feed.last for feed in feeds if feed.last), default=None)
    found: list[Uncounted] = []
    for feed in sorted(feeds, key=lambda feed: feed.source):
        # The first system ever counted answers for the days before it, the last one for those after it.
        first = date.min if feed.first == earliest else feed.first
        last = date.max if feed.last == latest else feed.last
        found += _of_feed(site, feed, first, last)
    return found


def _of_feed(site: OpenSite, feed: Feed, first: date | None, last: date | None) -> list[Uncounted]:
    calls = sum(feed.calls.get(day, 0) for day in site.days)
    if not feed.touched and (calls or feed.agents_counted):
        return [Uncounted(feed.source, site.name, None, None, calls)]
    if feed.first is None or first is None or last is None:
        return []
    due = _due(site, feed, [day for day in site.days if first <= day <= last])
    missing = [day for day in site.days if feed.outside.get(day) or (day in due and day not in feed.touched)]
    return [
        Uncounted(
            feed.source,
            site.name,
            stretch[0],
            stretch[-1],
            sum(feed.outside.get(day, 0) for day in stretch),
            partly=stretch[0] in feed.touched,
        )
        for stretch in _stretches(missing, feed.touched)
    ]


def _due(site: OpenSite, feed: Feed, days: Sequence[date]) -> set[date]:
    """Of these days those that need a count even where no call came in: business days, and usual other weekdays.

    A weekend day is usual when calls came in on more than half of all such weekdays, holidays and closed days aside.
    """
    calendar = site.calendar
    opened = [
        day
        for day in days
        if (site.opened_on or date.min) <= day < (site.closed_on or date.max) and day not in calendar.closed
    ]
    business = {day for day in opened if calendar.is_business_day(day)}
    others = [day for day in opened if day not in business and not calendar.holiday(day)]
    all_of, busy = Counter(map(date.weekday, others)), Counter(d.weekday() for d in others if feed.calls.get(d))
    return business | {day for day in others if 2 * busy[day.weekday()] > all_of[day.weekday()]}


def _stretches(missing: Sequence[date], touched: AbstractSet[date]) -> Iterator[list[date]]:
    """Missing days that belong together: of one kind (wholly or partly), with no counted day in between."""
    stretch: list[date] = []
    for day in missing:
        if stretch and not _goes_on(stretch[-1], day, touched):
            yield stretch
            stretch = []
        stretch.append(day)
    if stretch:
        yield stretch


def _goes_on(before: date, day: date, touched: AbstractSet[date]) -> bool:
    between = (before + n * DAY for n in range(1, (day - before).days))
    return (before in touched) == (day in touched) and not any(each in touched for each in between)
