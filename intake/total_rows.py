"""What a row of control totals means: whose calls it counts, from when until when, and how many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from intake.moments import Moments, placed
from intake.roster_names import RosterNames
from intake.rows import Row, RowFault, not_a_row, shown
from survey.calendars import day_start
from survey.models import Site

FIELDS = ("site", "agent", "date", "hour", "starts_at", "ends_at", "calls", "answered")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HOUR_TWICE = "hours that the clock change repeated (both together are one)"

_HOUR = re.compile(r"\d{1,2}")
_COUNT = re.compile(r"-?\d{1,9}(?:\.0+)?")


@dataclass(frozen=True, slots=True)
class IncomingTotal:
    """One cell as it came in. `twice`: the clocks had its hour twice, and it holds both."""

    line: int
    site_id: int
    agent_id: int | None
    starts_at: datetime
    ends_at: datetime
    calls: int | None
    answered: int | None
    twice: bool


@dataclass
class TotalsReader:
    """Turns rows into cells. `places` leads from field to column number, `sites` from key or name (casefolded).

    `site` is whose rows they are when they name none. Oddities settled by a stated rule are counted in `notes`.
    """

    places: Mapping[str, int]
    header: tuple[str, ...]
    moments: Moments
    sites: Mapping[str, Site]
    site: Site | None
    agents: RosterNames
    now: datetime
    notes: Counter[str]

    def __post_init__(self) -> None:
        self._zones = {site.id: ZoneInfo(site.time_zone) for site in self.sites.values()}

    def read(self, row: Row) -> IncomingTotal:
        """The cell of a row. Raises RowFault."""
        if row.fault:
            raise not_a_row(row.fault)
        site = self._site(row)
        calls, answered = self._count(row, "calls"), self._count(row, "answered")
        if calls is None and answered is None:
            raise RowFault("counts nothing", column=self._column("calls" if "calls" in self.places else "answered"))
        if calls is not None and answered is not None and answered > calls:
            raise RowFault("more answered calls than calls", column=self._column("answered"))
        agent_id = self._agent_id(row)
        notes: Counter[str] = Counter()
        starts_at, ends_at = self._span(row, self._zones[site.id], notes)
        if ends_at > self.now:
            raise RowFault("is not over yet (or a wrong time zone or date format?)", column=self._when_column())
        self.notes.update(notes)
        return IncomingTotal(row.line, site.id, agent_id, starts_at, ends_at, calls, answered, bool(notes[HOUR_TWICE]))

    def _span(self, row: Row, zone: ZoneInfo, notes: Counter[str]) -> tuple[datetime, datetime]:
        if "starts_at" in self.places:
            return self._between(row, zone, notes)
        day = self.moments.day(self._required(row, "date"), self._column("date"))
        if not self._text(row, "hour"):
            if "hour" in self.places:
                raise RowFault("is empty", column=self._column("hour"))
            return day_start(day, zone.key), day_start(day + DAY, zone.key)
        return self._hour(datetime.combine(day, time(self._hour_of_day(row))), zone, notes)

    def _between(self, row: Row, zone: ZoneInfo, notes: Counter[str]) -> tuple[datetime, datetime]:
        column = self._column("ends_at")
        first = self.moments.moment(self._required(row, "starts_at"), self._column("starts_at"))
        last = self.moments.moment(self._required(row, "ends_at"), column)
        starts_at, note = placed(first, zone)
        notes[note] += bool(note)
        ends_at, note = placed(last, zone, not_before=starts_at)
        notes[note] += bool(note)
        if ends_at <= starts_at:
            raise RowFault("does not end after it starts", column=column)
        return starts_at, ends_at

    def _hour(self, local: datetime, zone: ZoneInfo, notes: Counter[str]) -> tuple[datetime, datetime]:
        """All the time at which the site's clocks show that hour: none or two hours of it when they change."""
        starts_at, ends_at = placed(local, zone)[0], placed(local + HOUR, zone)[0]
        if ends_at <= starts_at:
            raise RowFault("there was no such hour that day (the clocks went forward)", column=self._column("hour"))
        notes[HOUR_TWICE] += ends_at - starts_at > HOUR
        return starts_at, ends_at

    def _hour_of_day(self, row: Row) -> int:
        """9, 09, 9:00, 9 AM as 9:00 AM, or what a spreadsheet made of it."""
        written, column = self._text(row, "hour"), self._column("hour")
        if _HOUR.fullmatch(written) and int(written) < 24:
            return int(written)
        try:
            found = self.moments.time_of_day(written, column)
        except RowFault:
            raise RowFault("not an hour of the day", column=column, detail=shown(written)) from None
        if found.minute or found.second:
            raise RowFault("not a whole hour", column=column, detail=shown(written))
        return found.hour

    def _site(self, row: Row) -> Site:
        name = self._text(row, "site")
        found = self.sites.get(name.casefold()) if name else self.site
        if found is None:
            raise RowFault(
                "unknown site" if name else "names no site",
                column=self._column("site"),
                detail=shown(name) if name else "",
            )
        return found

    def _agent_id(self, row: Row) -> int | None:
        name, column = self._text(row, "agent"), self._column("agent")
        if not name:
            return None
        found = self.agents.find(name, column)
        if found is None:
            raise RowFault("unknown agent", column=column, detail=shown(name))
        return found

    def _count(self, row: Row, name: str) -> int | None:
        written, column = self._text(row, name), self._column(name)
        if not written:
            return None
        if not _COUNT.fullmatch(written):
            raise RowFault("not a count", column=column, detail=shown(written))
        count = int(written.partition(".")[0])
        if count < 0:
            raise RowFault("negative count", column=column, detail=shown(written))
        return count

    def _text(self, row: Row, name: str) -> str:
        place = self.places.get(name)
        return "" if place is None else row.cells[place].strip()

    def _required(self, row: Row, name: str) -> str:
        found = self._text(row, name)
        if not found:
            raise RowFault("is empty", column=self._column(name))
        return found

    def _column(self, name: str) -> str:
        """What the file calls a field."""
        place = self.places.get(name)
        return name if place is None else self.header[place]

    def _when_column(self) -> str:
        return self._column("ends_at" if "starts_at" in self.places else "date")
