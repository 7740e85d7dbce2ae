"""Two thousand surveys on a phone network where everything goes wrong that can, judged by the network's own log.

One process under a moved clock: the network's events, the scheduler's turns and the jobs come one at a time, the jobs
sometimes late, sometimes twice, sometimes never. The days are Easter's: public holidays here and not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from flask import Flask
from sqlalchemy import func, select

from scheduler import clockwork, dispatch
from simulator.chance import Chance
from simulator.mailbox import Mailbox
from simulator.network import Faults, PhoneNetwork, RestServer, WsgiTransport
from survey import clock, optouts, vault
from survey.db import db
from survey.models import (
    LIVE_STATES,
    Attempt,
    AttemptState,
    Channel,
    OptOutSource,
    Site,
    Survey,
)
from tests import factories as make
from tests.chaos import ledger, numbers
from tests.chaos.crowd import Crowd
from tests.chaos.ground import UNHURRIED, Wanted, insert_surveys
from tests.ivr.network import pointed_at
from tests.ivr.phone import TOKEN

SURVEYS, REPEATED = 2000, 150
SEED = 4
# The Thursday before Easter, morning in New York and afternoon in London.
MAUNDY_THURSDAY = make.utc(2026, 4, 2, 13, 30)
WEEKDAYS = (0, 1, 2, 3, 4, 5)
GRID = timedelta(minutes=5)
FAULTS = Faults(
    too_many_requests=300,
    error_before_dialling=150,
    error_after_dialling=200,
    hang_after_dialling=25,
    drop_after_dialling=150,
    slow_after_dialling=50,
    lookup_refused=2000,
    callback_lost=400,
    callback_duplicated=600,
    callback_delayed=800,
    answer_repeated=300,
    answer_echoed=300,
    hang_seconds=5.0,
    slow_seconds=0.1,
    delay_seconds=(2, 900),
)
FAULT_NAMES = {
    *("too_many_requests", "error_before_dialling", "error_after_dialling", "hang_after_dialling"),
    *("drop_after_dialling", "slow_after_dialling", "lookup_refused"),
    *("callback_lost", "callback_duplicated", "callback_delayed", "answer_repeated", "answer_echoed"),
}
MOVING = (AttemptState.QUEUED, AttemptState.DIALLING, AttemptState.UNDERWAY)


@dataclass
class Play:
    """The clock, the network and the jobs. `opted_out` are the numbers whose opt-out somebody else handed in."""

    app: Flask
    network: PhoneNetwork
    manual: clock.ManualClock
    crowd: Crowd
    mailbox: Mailbox
    organisation_id: int
    chance: Chance = field(default_factory=lambda: Chance(SEED))
    jobs: list[int] = field(default_factory=list)
    delayed: list[int] = field(default_factory=list)
    opted_out: dict[str, datetime] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)

    def play(self, end: datetime) -> None:
        """Whatever happens until `end`, in order of time."""
        while clock.now() < end:
            self.network.run_until(min(end, self._next_turn()), self.manual.move_to)
            self._turn()

    def _next_turn(self) -> datetime:
        """The first moment on the grid, after now, at which somebody may have something to do."""
        unsettled = self.delayed or db.session.scalar(_count_moving())
        upcoming = [clock.now()] if unsettled else [self.network.next_event_at(), clockwork.next_due_at()]
        db.session.rollback()
        soonest = max([min([at for at in upcoming if at] or [clock.now()]), clock.now() + timedelta(microseconds=1)])
        return MAUNDY_THURSDAY + -((MAUNDY_THURSDAY - soonest) // GRID) * GRID

    def _turn(self) -> None:
        self.jobs, self.delayed = self.delayed, []
        clockwork.turn(self._enqueue, self.app.extensions["aftercall_channels"])
        for attempt_id in self.jobs:
            dispatch.deliver(attempt_id, self.app.extensions["aftercall_channels"])

    def _enqueue(self, attempt_id: int) -> None:
        luck = self.chance.percent("job", attempt_id, clock.now())
        how = "twice" if luck < 8 else "late" if luck < 16 else "again" if luck < 24 else "lost" if luck < 27 else ""
        self.odd[how] += 1
        self.jobs += {"lost": [], "late": [], "twice": [attempt_id] * 2}.get(how, [attempt_id])
        if how in ("late", "again"):
            self.delayed.append(attempt_id)
        if how == "late" and luck % 2:
            self._opt_out(attempt_id)

    def _opt_out(self, attempt_id: int) -> None:
        """Somebody hands in the opt-out while the attempt waits in the queue."""
        customer = db.session.get_one(Attempt, attempt_id).survey.customer
        assert customer.phone is not None
        optouts.add(self.organisation_id, "phone", vault.phone_index(customer.phone), OptOutSource.IMPORT)
        self.opted_out.setdefault(customer.phone, clock.now())


def _count_moving() -> object:
    return select(func.count()).where(Attempt.state.in_(MOVING), Attempt.channel == Channel.IVR)


def phones() -> Iterator[str]:
    yield from numbers.mobiles_of_australia()
    here, there = numbers.nanp(), numbers.overseas()
    while True:
        yield from (next(here), next(here), next(here, ""), next(there))


def wanted(sites: tuple[Site, Site]) -> Iterator[Wanted]:
    """By phone first, mostly; some by email too, some by email first. The first customers called twice."""
    chance = Chance(SEED)
    people = list(islice((phone for phone in phones() if phone), SURVEYS - REPEATED))
    for n, phone in enumerate([*people, *people[:REPEATED]]):
        luck = chance.percent("channels", n)
        channels = (
            (Channel.IVR,) if luck < 80 else (Channel.IVR, Channel.WEB) if luck < 92 else (Channel.WEB, Channel.IVR)
        )
        yield Wanted(phone, sites[n % 3 == 0], channels, f"customer{phone[1:]}@example.com")


@contextmanager
def staged(app: Flask, folder: Path) -> Iterator[Play]:
    with clock.standing_at(MAUNDY_THURSDAY) as manual:
        new_york = make.site()
        london = make.site(organisation=new_york.organisation, time_zone="Europe/London", country="GB")
        campaign = make.campaign([new_york, london], **UNHURRIED)
        insert_surveys(campaign, list(wanted((new_york, london))), "telephone system")
        organisation_id = campaign.organisation_id
        db.session.commit()
        crowd, mailbox = Crowd(SEED), Mailbox(folder)
        network = PhoneNetwork(
            auth_token=TOKEN,
            account_sid="AC" + "0" * 32,
            service=WsgiTransport(app),
            behaviour=crowd.somebody,
            clock=clock.now,
            seed=SEED,
            faults=FAULTS,
        )
        with RestServer(network) as server:
            addresses = {"smtp_url": mailbox.start(), "twilio_timeout_seconds": 0.4}
            try:
                with pointed_at(app, server.url, **addresses):
                    yield Play(app, network, manual, crowd, mailbox, organisation_id)
            finally:
                mailbox.stop()


def test_two_thousand_surveys_on_a_faulty_network(app: Flask, tmp_path: Path) -> None:
    with staged(app, tmp_path) as play:
        play.play(db.session.scalars(select(func.max(Survey.deadline))).one() + timedelta(hours=1))
        dials = ledger.dials_of(play.network)
        happened = Counter(entry.what for entry in play.network.log.of("fault"))
        print(len(dials), happened, play.odd)
        assert set(happened) == FAULT_NAMES and min(happened.values()) >= 3
        assert play.network.log.errors() == []

        assert ledger.dialled_twice(dials) == []
        assert ledger.at_a_bad_hour(dials, weekdays=WEEKDAYS, on_holidays=False) == []
        assert ledger.after_the_deadline(dials, ledger.deadlines()) == []
        assert ledger.after_an_optout(dials, ledger.opted_out_by_key(play.network)) == []
        assert ledger.after_an_optout(dials, play.opted_out) == []
        assert ledger.too_often(dials) == []

        ended = Counter(db.session.scalars(select(Survey.disposition)))
        print(ended)
        assert None not in ended and ended.total() == SURVEYS
        assert db.session.query(Attempt).filter(Attempt.state.in_(LIVE_STATES)).count() == 0
