"""Web, scheduler and workers killed again and again in the midst of their work, and the database once, in real time.

The work comes as fast as they are killed: a handful of calls falls due before each kill. What was done is judged by the
phone network's own log.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import psutil
import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, select, update

from application import create_app
from scheduler import clockwork, planning
from simulator.network import Faults
from survey import clock, embedded, optouts, vault
from survey.db import db
from survey.models import (
    LIVE_STATES,
    Attempt,
    AttemptEvent,
    AttemptState,
    Campaign,
    Channel,
    OptOutSource,
    Outcome,
    Survey,
)
from survey.settings import load_settings
from tests.chaos import ledger, numbers
from tests.chaos.ground import Wanted, insert_surveys
from tests.chaos.live import Live, callable_now, campaign_at_any_hour, live
from tests.chaos.processes import ACCOUNT, KEYS, TOKEN, Part, wait_for
from tests.conftest import PROJECT
from tests.ivr.network import pointed_at

SEED = 9
# AFTERCALL_KILLS=50 is the whole siege; by default it is short, so that bin/test stays so.
AT_ONCE = 2
ROUNDS = int(os.environ.get("AFTERCALL_KILLS", "20")) // AT_ONCE
DATABASE_GOES_AT = ROUNDS // 2 + 1
ALONE, SHARED, SURVEYS_OF_SHARED, SILENT, EXPIRING, MAILED = 200, 8, 4, 16, 16, 24
FAULTS = Faults(
    too_many_requests=200,
    error_before_dialling=100,
    error_after_dialling=300,
    hang_after_dialling=50,
    drop_after_dialling=200,
    slow_after_dialling=4000,
    lookup_refused=1000,
    callback_lost=300,
    callback_duplicated=300,
    callback_delayed=300,
    answer_repeated=300,
    answer_echoed=300,
    hang_seconds=4.0,
    slow_seconds=1.0,
)


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The folder of a PostgreSQL of this test's own, as durable as in earnest, since it is going to be killed."""
    folder = Path(tempfile.mkdtemp(prefix="aftercall-chaos-"))
    folder.chmod(0o755)  # its server may run as another user
    yield folder
    embedded.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture
def own_app(own_server: Path) -> Iterator[Flask]:
    settings = load_settings(
        _env_file=None,
        aftercall_data=own_server / "var",
        database_url=embedded.start(own_server),
        secret_key=KEYS["SECRET_KEY"],
        data_key=KEYS["DATA_KEY"],
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        twilio_from="+12125550100",
        twilio_timeout_seconds=2,
        log_level="ERROR",
    )
    app = create_app(settings)
    with app.app_context():
        upgrade(directory=str(PROJECT / "migrations"))
        yield app
        db.session.remove()
        db.engine.dispose()


@dataclass
class Siege:
    """The load and the kills: how often each part was killed, and how often one ended by itself."""

    live: Live
    server: Path
    dice: random.Random
    campaign: Campaign
    load: Load
    killed: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)

    def hold(self) -> None:
        parts = self.live.house.parts
        for n in range(1, ROUNDS + 1):
            self._let_fall_due(n)
            self._let_work()
            for name in self.dice.sample(sorted(parts), AT_ONCE):
                self._kill(parts[name])
            if n == DATABASE_GOES_AT:
                restart_at_once(self.server)
            self._raise_the_dead()

    def _let_fall_due(self, n: int) -> None:
        """The nth lot, now; those that expire, just after their deadline."""
        whole, now = self.load.wanted, clock.now()
        lot = [
            replace(one, deadline=now + timedelta(seconds=3), due_at=now + timedelta(seconds=4))
            if one.phone in self.load.expiring
            else replace(one, due_at=now)
            for one in whole[(n - 1) * len(whole) // ROUNDS : n * len(whole) // ROUNDS]
        ]
        insert_surveys(self.campaign, lot, f"lot {n}")
        db.session.commit()

    def _let_work(self) -> None:
        """Until the network has seen some of it, or it looks as if nothing more will come of it just now."""
        log, enough = self.live.network.log, self.dice.randint(1, 25)
        before = len(log)
        patience = clock.now() + timedelta(seconds=2)
        wait_for("some work", lambda: len(log) >= before + enough or clock.now() > patience)

    def _kill(self, victim: Part) -> None:
        wait_for(f"{victim.name} to be at work", lambda: self._risen(victim).is_at_work())
        if victim.name == "web" and self.dice.random() < 0.3 and victim.kill_a_child():
            self.killed["a process of web"] += 1
            return
        victim.kill()
        victim.start()
        self.killed[victim.name] += 1

    def _risen(self, part: Part) -> Part:
        """As bin/run does with what ended by itself."""
        if not part.alive:
            self.died[part.name] += 1
            part.start()
        return part

    def _raise_the_dead(self) -> None:
        for part in self.live.house.parts.values():
            self._risen(part)

    def is_over(self) -> bool:
        """Whether nobody is on the phone, and nothing that is due waits for its turn."""
        self._raise_the_dead()
        waiting = select(func.count()).where(
            Attempt.state.in_((AttemptState.PLANNED, AttemptState.QUEUED)), Attempt.due_at <= clock.now()
        )
        left = db.session.scalar(waiting)
        db.session.rollback()
        return left == 0 and self.live.network.next_event_at() is None


def restart_at_once(folder: Path) -> None:
    """PostgreSQL's immediate shutdown: no connection is ended in order, nothing is written out. Then up again."""
    db.session.rollback()
    db.engine.dispose()
    postmaster = psutil.Process(int((folder / "postgresql" / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    wait_for("the database's end", lambda: not postmaster.is_running() or postmaster.status() == psutil.STATUS_ZOMBIE)
    embedded.start(folder)


@dataclass(frozen=True)
class Load:
    """What is to fall due, in a random order, and whose numbers are special."""

    wanted: list[Wanted]
    shared: frozenset[str]
    expiring: frozenset[str]
    opted_out: dict[str, datetime]


def prepared(at: datetime, dice: random.Random) -> tuple[Campaign, Load]:
    campaign, site = campaign_at_any_hour()
    phones = iter(dice.sample(callable_now(at), ALONE + SHARED + SILENT + EXPIRING + MAILED))
    alone, shared, silent, expiring, mailed = (
        [next(phones) for _ in range(n)] for n in (ALONE, SHARED, SILENT, EXPIRING, MAILED)
    )
    groups = [[Wanted(phone, site)] for phone in (*alone, *silent, *expiring)]
    groups += [[Wanted(phone, site)] * SURVEYS_OF_SHARED for phone in shared]
    groups += [[Wanted(phone, site, (Channel.WEB,), f"customer{phone[1:]}@example.com")] for phone in mailed]
    dice.shuffle(groups)
    for phone in silent:
        optouts.add(campaign.organisation_id, "phone", vault.phone_index(phone), OptOutSource.IMPORT)
    db.session.commit()
    return campaign, Load(
        list(chain.from_iterable(groups)), frozenset(shared), frozenset(expiring), dict.fromkeys(silent, at)
    )


def test_killed_again_and_again_under_load(own_app: Flask, own_server: Path) -> None:
    folder, dice = own_server / "var", random.Random(SEED)
    with live(folder, str(own_app.config["SQLALCHEMY_DATABASE_URI"]), FAULTS, SEED) as stage:
        siege = Siege(stage, own_server, dice, *prepared(clock.now(), dice))
        stage.house.web()
        stage.house.scheduler()
        stage.house.worker("worker")
        stage.house.worker("other worker")
        stage.house.wait_until_at_work()
        siege.hold()
        wait_for("the end of the work", siege.is_over, seconds=400)
        stage.house.kill_all()
        assert siege.killed.total() == ROUNDS * AT_ONCE and len(ledger.dials_of(stage.network)) > ALONE / 2
        nothing_is_stuck(own_app, stage)
        nobody_was_wronged(stage, siege.load)
        our_books_are_the_networks(stage, siege.load)


def nothing_is_stuck(app: Flask, stage: Live) -> None:
    """What is in doubt is settled once it is old enough; everything else has ended, or waits for a decent hour.

    And no survey is forgotten: asked again, the plan adds nothing, and in the end each has its disposition.
    """
    stage.network.misbehave(Faults())
    with pointed_at(app, stage.house.phone), clock.standing_at(clock.now()) as later:
        over_at = clock.now()
        for minutes in (2, 6, 12):
            later.move_to(over_at + timedelta(minutes=minutes))
            while clockwork.settle(app.extensions["aftercall_channels"]):
                pass
        clockwork.close_expired()
        planning.plan_due(10_000)
        db.session.commit()
        whatever_waits_may_wait(over_at)
        planned = db.session.query(Attempt).count()
        db.session.execute(update(Survey).where(Survey.closed_at.is_(None)).values(plan_at=clock.now()))
        assert planning.plan_due(10_000) > 0 and db.session.query(Attempt).count() == planned
        later.move_to(db.session.scalars(select(func.max(Survey.deadline))).one())
        clockwork.close_expired()
        assert db.session.query(Survey).filter(Survey.disposition.is_(None)).count() == 0
        assert db.session.query(Attempt).filter(Attempt.state.in_(LIVE_STATES)).count() == 0


def whatever_waits_may_wait(over_at: datetime) -> None:
    """A link is out until the deadline; a call waits for a decent hour before it."""
    phones = ledger.numbers_of_ours()
    for row in db.session.query(Attempt).filter(Attempt.state.in_(LIVE_STATES)):
        if row.state is AttemptState.PLANNED:
            assert over_at < row.due_at < row.survey.deadline
            assert row.channel is Channel.WEB or numbers.decent(
                phones[row.id], row.due_at, weekdays=numbers.EVERY_DAY, on_holidays=True
            )
        else:
            assert (row.channel, row.state) == (Channel.WEB, AttemptState.UNDERWAY)


def nobody_was_wronged(stage: Live, load: Load) -> None:
    dials = ledger.dials_of(stage.network)
    assert ledger.dialled_twice(dials) == []
    assert ledger.at_a_bad_hour(dials, weekdays=numbers.EVERY_DAY, on_holidays=True) == []
    assert ledger.after_the_deadline(dials, ledger.deadlines()) == []
    assert ledger.after_an_optout(dials, load.opted_out) == []
    # A call placed in the very moment in which the wish was being written down may still have rung.
    begun = {row.id: row.started_at for row in db.session.execute(select(Attempt.id, Attempt.started_at))}
    by_key = ledger.opted_out_by_key(stage.network)
    assert [d for d in ledger.after_an_optout(dials, by_key) if begun[d.attempt_id] > by_key[d.number]] == []
    assert ledger.too_often(dials) == []
    letters = ledger.letters(stage.mailbox.folder)
    assert len(letters) > MAILED / 2 and len(letters) == len(set(letters))


def our_books_are_the_networks(stage: Live, load: Load) -> None:
    """Each call is known to the attempt it was placed for, an attempt without a call says so, and no answer is lost.

    Among calls in doubt to one number at one time, the sweep may take one for the other.
    """
    dials, phones = ledger.dials_of(stage.network), ledger.numbers_of_ours()
    theirs, ours = {dial.attempt_id: dial.sid for dial in dials}, ledger.calls_of_ours()
    assert sorted(theirs.values()) == sorted(ours.values())
    alone = {attempt_id for attempt_id, phone in phones.items() if phone not in load.shared}
    assert {n: sid for n, sid in theirs.items() if n in alone} == {n: sid for n, sid in ours.items() if n in alone}
    posted = set(db.session.scalars(select(AttemptEvent.attempt_id).where(AttemptEvent.kind == "posted")))
    assert posted >= set(theirs)
    without = select(Attempt.outcome).where(Attempt.channel == Channel.IVR, Attempt.provider_id.is_(None))
    in_doubt = without.where(Attempt.state == AttemptState.ENDED)
    assert set(db.session.scalars(in_doubt)) <= {Outcome.UNKNOWN, Outcome.FAILED}
    taken = {said for said in ledger.answers_taken_down(stage.network) if said.attempt_id in alone}
    assert taken and taken <= set(ledger.answers_of_ours())
