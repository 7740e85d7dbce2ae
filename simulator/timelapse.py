"""The time-lapse: moves the one clock through six months of two contact centres, event by event.

Everything goes through the service's own doors: exports are imported, the scheduler's own turn draws, plans and claims,
the same `deliver` as a queue job's places calls with the stand-in network (over HTTP) and sends mails (over SMTP), and
the webhooks and pages are requests to the WSGI application. It is one process: the clock moves only when no request is
in flight, attempts are delivered in the order of their ids, and the scheduler looks at the clock every
hour. The same seed and dates give the same business columns. It stands above the rooms, like application.py.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from queue import SimpleQueue
from zoneinfo import ZoneInfo

from flask import Flask

from certification import programmes
from intake.calls import CallOptions, import_calls
from intake.roster import import_roster
from scheduler import campaigns, clockwork, dispatch, drawing
from simulator.centre import (
    CallRecord,
    Centre,
    Memory,
    OrganisationProfile,
    organisations,
    write_export,
    write_roster,
)
from simulator.chance import Chance
from simulator.customers import PhoneCustomer
from simulator.network import Call, PhoneNetwork
from simulator.readers import reader_of
from survey import clock
from survey.db import db
from survey.models import Campaign, Organisation

GRID = timedelta(hours=1)
# What is looked at less often: campaigns to begin and close, attempts in doubt.
ROUND = timedelta(hours=6)
IMPORTED_AT = time(18, 0)
ACTOR = "time-lapse"


@dataclass(frozen=True)
class Span:
    """The months played: calls from `first_day` to `last_day` (both inclusive), decided on `decision_day`."""

    first_day: date
    last_day: date
    decision_day: date


def latest_span(today: date) -> Span:
    """The latest six complete calendar months whose decision day is over."""
    decision = today.replace(day=14)
    if decision >= today:
        decision = (decision.replace(day=1) - timedelta(days=1)).replace(day=14)
    last_day = decision.replace(day=1) - timedelta(days=1)
    first_month = last_day.year * 12 + last_day.month - 6
    return Span(date(first_month // 12, first_month % 12 + 1, 1), last_day, decision)


def launch_moment(span: Span) -> datetime:
    """When the campaigns are launched and the periods announced: noon UTC of the day before the first call."""
    return datetime.combine(span.first_day - timedelta(days=1), time(12), UTC)


@dataclass(order=True)
class Appointment:
    """Something that happens at a moment, in the order it was made."""

    at: datetime
    number: int
    action: Callable[[], None] = field(compare=False)


class Agenda:
    """What the outside world will do, in order of time."""

    def __init__(self) -> None:
        self._heap: list[Appointment] = []
        self._numbers = itertools.count()

    def add(self, at: datetime, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, Appointment(at, next(self._numbers), action))

    def next_at(self) -> datetime | None:
        return self._heap[0].at if self._heap else None

    def take(self) -> Appointment:
        return heapq.heappop(self._heap)


class World:
    """The outside: contact centres, customers' memories, the phone network's behaviour and the mailboxes."""

    def __init__(self, seed: int, first_day: date) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.memory = Memory()
        self.organisations = organisations(first_day)
        self.letters: SimpleQueue[tuple[str, EmailMessage]] = SimpleQueue()

    def behaviour(self, call: Call) -> PhoneCustomer:
        """Whoever is rung by a call."""
        return PhoneCustomer(self.chance, self.memory, call.to, call.dialled_at or call.created_at)

    def receive(self, address: str, message: EmailMessage) -> None:
        """Told by the mailbox, in its own thread, of each message."""
        self.letters.put((address, message))

    def centres(self) -> list[Centre]:
        return [
            Centre(organisation, site, self.chance, self.memory)
            for organisation in self.organisations
            for site in organisation.sites
        ]


class TimeLapse:
    """Plays a span: `manual` is the clock in force, `folder` takes the exports, `progress` is told of each day."""

    def __init__(
        self,
        app: Flask,
        world: World,
        network: PhoneNetwork,
        manual: clock.ManualClock,
        folder: Path,
        progress: Callable[[date], None],
    ) -> None:
        self._app, self._world, self._network, self._clock = app, world, network, manual
        self._folder, self._progress = folder, progress
        self._folder.mkdir(parents=True, exist_ok=True)
        self.agenda = Agenda()
        self._channels = app.extensions["aftercall_channels"]
        self._centres = world.centres()
        self._next_round = manual()
        self._due_at: datetime | None = None

    def play(self, span: Span) -> None:
        """From the launch, a day before the first call, to the decisions."""
        self.play_days(span, (span.last_day - span.first_day).days + 1)
        decided = datetime.combine(span.decision_day, time(18), UTC)
        self.agenda.add(decided, self._decide)
        self.run_until(decided)

    def play_days(self, span: Span, days: int) -> None:
        """The launch and the first `days` days of the span."""
        self._prepare(span)
        for n in range(days):
            self._enter_day(span.first_day + timedelta(days=n))
        self.run_until(datetime.combine(span.first_day + timedelta(days=days), time(0), UTC))

    def _prepare(self, span: Span) -> None:
        for profile in self._world.organisations:
            roster = self._folder / f"{profile.key}-roster.toml"
            write_roster(profile, roster, span.first_day - timedelta(days=30))
            import_roster(roster, actor=ACTOR)
            self._launch(profile, span)
        db.session.commit()

    def _launch(self, profile: OrganisationProfile, span: Span) -> None:
        organisation = db.session.query(Organisation).filter_by(key=profile.key).one()
        campaign = campaigns.create(campaign_values(profile, span), actor=ACTOR)
        key = b"".join(self._world.chance.number(profile.key, "draw key", n).to_bytes(8, "big") for n in range(4))
        campaigns.launch(campaign, actor=ACTOR, key=key)
        programme = programmes.create(
            organisation,
            key="world-class",
            name="World class calls",
            rule_set="sqm-2011",
            campaigns=[campaign],
            actor=ACTOR,
        )
        programmes.announce(programme, span.first_day, span.last_day, span.decision_day, actor=ACTOR)

    def _enter_day(self, day: date) -> None:
        for profile in self._world.organisations:
            # When the day is over at its last site, an organisation's telephone system hands over all of it.
            at = datetime.combine(day, IMPORTED_AT, ZoneInfo(profile.sites[-1].time_zone)).astimezone(UTC)
            self.agenda.add(at, lambda profile=profile: self._import_day(profile, day))  # type: ignore[misc]
        self.agenda.add(datetime.combine(day, time(0), UTC), lambda: self._progress(day))

    def _import_day(self, profile: OrganisationProfile, day: date) -> None:
        centres = [centre for centre in self._centres if centre.organisation is profile]
        records = [record for centre in centres for record in centre.day(day)]
        if not records:
            return
        take_in(profile, records, self._folder)
        drawing.draw_campaign(db.session.query(Campaign).filter_by(key=campaign_key(profile)).one())
        db.session.commit()

    def _decide(self) -> None:
        clockwork.do_chores(self._app.extensions["aftercall_chores"])

    # Moving time

    def run_until(self, end: datetime) -> None:
        """Lets everything happen up to `end`, in order of time."""
        while self._clock() < end:
            upcoming = (self.agenda.next_at(), self._network.next_event_at(), self._due_at)
            soonest = min((at for at in upcoming if at is not None), default=end)
            stop = min(end, on_grid(max(soonest, self._clock() + timedelta(microseconds=1))))
            self._let_happen_until(stop)
            self._clock.move_to(stop)
            self._take_turns()

    def _take_turns(self) -> None:
        """What the scheduler and a worker do at this moment."""
        if self._clock() >= self._next_round:
            self._next_round = self._clock() + ROUND
            clockwork.begin_and_close()
            clockwork.settle(self._channels)
        self._turn()
        self._due_at = clockwork.next_due_at()
        db.session.rollback()

    def _let_happen_until(self, stop: datetime) -> None:
        """Everything outside that happens by `stop`, one thing at a time, the clock going along."""
        while True:
            appointment, ring = self.agenda.next_at(), self._network.next_event_at()
            times = [at for at in (appointment, ring) if at is not None and at <= stop]
            if not times:
                return
            at = min(times)
            self._clock.move_to(at)
            if at == ring:
                self._network.run_due(at)
            else:
                self.agenda.take().action()

    def _turn(self) -> None:
        """Deadlines, plans and claims; then each claimed attempt is delivered, and the letters are read."""
        clockwork.close_expired()
        claimed: list[int] = []
        dispatch.tick(lambda attempt_id, turn_at: claimed.append(attempt_id))
        for attempt_id in sorted(claimed):
            dispatch.deliver(attempt_id, self._channels)
        self._read_letters()

    def _read_letters(self) -> None:
        while not self._world.letters.empty():
            address, message = self._world.letters.get()
            reader = reader_of(
                message, address, self._clock(), chance=self._world.chance, memory=self._world.memory, app=self._app
            )
            opens_at = reader.opens_at() if reader else None
            if reader is not None and opens_at is not None:
                self.agenda.add(opens_at, reader.act)


def take_in(profile: OrganisationProfile, records: list[CallRecord], folder: Path) -> None:
    """Writes the records as the organisation's telephone system would export them, and imports the files."""
    calls, contacts = folder / f"{profile.key}-calls.csv", folder / f"{profile.key}-contacts.csv"
    write_export(records, calls, contacts)
    import_calls(calls, CallOptions(organisation=profile.key, source=profile.key, contacts=contacts), actor=ACTOR)


def campaign_key(profile: OrganisationProfile) -> str:
    return f"{profile.key}-half-year"


def campaign_values(profile: OrganisationProfile, span: Span) -> dict[str, object]:
    """The campaign of an organisation as its administrator would write it down."""
    return {
        "organisation": profile.key,
        "key": campaign_key(profile),
        "name": f"{profile.name}, {span.first_day:%B} to {span.last_day:%B %Y}",
        "sites": [site.key for site in profile.sites],
        "starts_on": span.first_day,
        "ends_on": span.last_day,
        "languages": ["en", "es"] if profile.country == "US" else ["en"],
        "channel_plan": [
            {"share": [2, 3], "channels": ["ivr", "web"]},
            {"share": [1, 3], "channels": ["web", "ivr"]},
        ],
        "rate": profile.rate,
        "caller_id": "".join(c for c in profile.phone if c in "+0123456789"),
        "call_weekdays": [0, 1, 2, 3, 4, 5],
        # The time-lapse looks at the clock once an hour, and what is due then goes out at once.
        "calls_per_second": 100,
        "live_calls": 10_000,
        "emails_per_minute": 60_000,
    }


def on_grid(moment: datetime) -> datetime:
    """The first full hour at or after the moment: when the scheduler looks at the clock."""
    start = datetime(moment.year, 1, 1, tzinfo=UTC)
    steps = -((start - moment) // GRID)
    return start + steps * GRID
