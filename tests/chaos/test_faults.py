"""Two thousand surveys on a phone network where everything goes wrong that can, judged by the network's own log.

One process under a moved clock: the network's events, the scheduler's turns and the jobs come one at a time, the jobs
sometimes late, sometimes twice, sometimes never, and to some the opt-out comes first. The days are Easter's: public
holidays here and not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from flask import Flask
from sqlalchemy import Select, case, func, select

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
    Disposition,
    OptOutSource,
    Outcome,
    Site,
    Survey,
)
from tests import factories as make
from tests.chaos import ledger, numbers
from tests.chaos.crowd import Crowd, of_a_hundred
from tests.chaos.ground import UNHURRIED, Wanted, insert_surveys
from tests.ivr.network import pointed_at
from tests.ivr.phone import TOKEN

SURVEYS, REPEATED = 2000, 150
SEED = 4
# The Thursday before Easter, morning in New York and afternoon in London.
MAUNDY_THURSDAY = make.utc(2026, 4, 2, 13, 30)
WEEKDAYS = (0, 1, 2, 3, 4, 5)
GRID = timedelta(minutes=10)
# Some are due when hardly any time is left: a moment, over before all have had their turn, or less than a call takes.
DUE_IN_HASTE = MAUNDY_THURSDAY + GRID
HASTY = [timedelta(milliseconds=250)] * 50 + [timedelta(seconds=45)] * 50
# Others were planned for a moment that turns out to be wrong for them: the evening, or a public holiday's afternoon.
WRONG_MOMENTS, AT_EACH = (make.utc(2026, 4, 3, 0, 0), make.utc(2026, 4, 3, 14, 0)), 50
# Of a hundred jobs of the queue: how they come.
ODDITIES = (("once", 69), ("twice", 8), ("late", 8), ("again", 8), ("lost", 3), ("after an opt-out", 4))
FAULTS = Faults(
    too_many_requests=300,
    error_before_dialling=150,
    error_after_dialling=200,
    hang_after_dialling=40,
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
# Twice as long as the slowest sweep takes with every second turn in vain.
LONG = timedelta(hours=1)
MOVING = (AttemptState.QUEUED, AttemptState.DIALLING, AttemptState.UNDERWAY)
# When its attempt has its turn, and the attempt's id.
Job = tuple[datetime, int]


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
    jobs: list[Job] = field(default_factory=list)
    delayed: list[Job] = field(default_factory=list)
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
        channels = self.app.extensions["aftercall_channels"]
        self.jobs, self.delayed = self.delayed, []
        clockwork.turn(self._enqueue, channels)
        for turn_at, attempt_id in sorted(self.jobs):
            self.network.run_until(max(turn_at, clock.now()), self.manual.move_to)
            dispatch.deliver(attempt_id, channels, turn_at)

    def _enqueue(self, attempt_id: int, turn_at: datetime) -> None:
        job = (turn_at, attempt_id)
        how = of_a_hundred(ODDITIES, self.chance.percent("job", attempt_id, clock.now()))
        self.odd[how] += 1
        self.jobs += {"lost": [], "late": [], "twice": [job, job]}.get(how, [job])
        if how in ("late", "again"):
            self.delayed.append(job)
        if how == "after an opt-out":
            self._opt_out(attempt_id)

    def _opt_out(self, attempt_id: int) -> None:
        """Somebody hands in the opt-out while the attempt waits in the queue."""
        customer = db.session.get_one(Attempt, attempt_id).survey.customer
        assert customer.phone is not None
        optouts.add(self.organisation_id, "phone", vault.phone_index(customer.phone), OptOutSource.IMPORT)
        self.opted_out.setdefault(customer.phone, clock.now())


def _count_moving() -> Select[int]:
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


def at_odd_times(everyone: Iterable[Wanted]) -> Iterator[Wanted]:
    """The same, some of those that go by phone alone due in haste or at a wrong moment."""
    haste, wrong = list(HASTY), [at for at in WRONG_MOMENTS for _ in range(AT_EACH)]
    for one in everyone:
        amiss = [] if len(one.channels) > 1 else [at for at in wrong if not may_ring(one.phone, at)]
        if amiss:
            wrong.remove(amiss[0])
            yield replace(one, due_at=amiss[0])
        elif haste and len(one.channels) == 1 and may_ring(one.phone, DUE_IN_HASTE):
            yield replace(one, due_at=DUE_IN_HASTE, deadline=DUE_IN_HASTE + haste.pop())
        else:
            yield one


def may_ring(phone: str, at: datetime) -> bool:
    return numbers.decent(phone, at, weekdays=WEEKDAYS, on_holidays=False)


@contextmanager
def staged(app: Flask, folder: Path) -> Iterator[Play]:
    with clock.standing_at(MAUNDY_THURSDAY) as manual:
        new_york = make.site()
        london = make.site(organisation=new_york.organisation, time_zone="Europe/London", country="GB")
        campaign = make.campaign([new_york, london], **UNHURRIED)
        insert_surveys(campaign, list(at_odd_times(wanted((new_york, london)))), "telephone system")
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
        everything_went_wrong(play)
        nobody_was_wronged(play)
        everything_has_ended()
        nothing_was_only_ended_by_the_deadline()
        our_books_are_the_networks(play)


def everything_went_wrong(play: Play) -> None:
    """Or the rest would prove little."""
    happened = Counter(entry.what for entry in play.network.log.of("fault"))
    assert set(happened) == FAULT_NAMES and min(happened.values()) >= 3
    assert min(play.odd[how] for how, _ in ODDITIES) > 50
    assert len(play.opted_out) > 50 and len(ledger.opted_out_by_key(play.network)) > 50
    assert len(ledger.dials_of(play.network)) > SURVEYS


def nobody_was_wronged(play: Play) -> None:
    dials = ledger.dials_of(play.network)
    assert ledger.dialled_twice(dials) == []
    assert ledger.at_a_bad_hour(dials, weekdays=WEEKDAYS, on_holidays=False) == []
    assert ledger.after_the_deadline(dials, ledger.deadlines()) == []
    assert ledger.after_an_optout(dials, ledger.opted_out_by_key(play.network)) == []
    assert ledger.after_an_optout(dials, play.opted_out) == []
    assert ledger.too_often(dials) == []
    letters = ledger.letters(play.mailbox.folder)
    assert len(letters) > 50 and len(letters) == len(set(letters))


def everything_has_ended() -> None:
    ended = Counter(db.session.scalars(select(Survey.disposition)))
    assert None not in ended and ended.total() == SURVEYS
    assert set(ended) >= {Disposition.COMPLETE, Disposition.PARTIAL, Disposition.OPTED_OUT, Disposition.BROKEN_OFF}
    assert ended[Disposition.COMPLETE] > SURVEYS / 4
    assert db.session.query(Attempt).filter(Attempt.state.in_(LIVE_STATES)).count() == 0


def nothing_was_only_ended_by_the_deadline() -> None:
    """A lost job was noticed long before that, and so was the end of a call of which no more was heard."""
    lasted = Attempt.ended_at - case(
        (Attempt.state == AttemptState.CANCELLED, Attempt.claimed_at), else_=Attempt.started_at
    )
    assert db.session.query(Attempt).filter(Attempt.channel == Channel.IVR, lasted > LONG).count() == 0


def our_books_are_the_networks(play: Play) -> None:
    """Each call is known to the attempt it was placed for, each answer too, and what came in time counts."""
    assert play.network.log.errors() == [] and play.network.log.of("warning") == []
    assert ledger.calls_of_ours() == {dial.attempt_id: dial.sid for dial in ledger.dials_of(play.network)}
    taken, by = ledger.answers_taken_down(play.network), ledger.deadlines()
    late = {said: at >= by[said.attempt_id] for said, at in taken.items()}
    assert ledger.answers_of_ours() == late
    assert sum(late.values()) > 10
    completed = select(Attempt.provider_id).where(Attempt.channel == Channel.IVR, Attempt.outcome == Outcome.COMPLETED)
    assert set(db.session.scalars(completed)) == play.crowd.finished
    counted = select(Survey.id).where(Survey.disposition == Disposition.COMPLETE, Survey.closed_at >= Survey.deadline)
    assert db.session.scalars(counted).all() == []
