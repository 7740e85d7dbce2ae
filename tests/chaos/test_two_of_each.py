"""Two schedulers and two workers on one database, as processes of their own: one leads, both work, one takes over."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
from flask import Flask

from scheduler.leadership import LOCK
from simulator.network import Faults
from survey import clock
from survey.db import db
from survey.models import Attempt, AttemptState, Campaign, Site
from tests.chaos import ledger
from tests.chaos.ground import Wanted, insert_surveys
from tests.chaos.live import Live, callable_now, campaign_at_any_hour, live
from tests.chaos.processes import Part, wait_for

SEED = 3
BEFORE, AFTER = 80, 20
LONGEST_TAKEOVER_SECONDS = 15.0
# Each worker shows a number of its own, so that the network can tell who placed a call.
CALLERS = {"one worker": "+12125550101", "other worker": "+12125550102"}


def leaders(database_url: str) -> list[int]:
    """The connections that hold the lead: one, or none while it passes on."""
    conninfo = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    held = (
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with psycopg.connect(conninfo) as connection:
        return [int(pid) for (pid,) in connection.execute(held, [LOCK])]


def fall_due(campaign: Campaign, site: Site, phones: list[str], within: str) -> None:
    insert_surveys(campaign, [Wanted(phone, site, due_at=clock.now()) for phone in phones], within)
    db.session.commit()


def dialled(stage: Live, count: int) -> None:
    """Waits until so many have been dialled and nobody is on the phone any more."""
    wait_for(f"{count} dials", lambda: len(stage.network.log.dials()) >= count)
    wait_for("the last call's end", lambda: stage.network.next_event_at() is None)


def says_it_leads(scheduler: Part) -> bool:
    return "this scheduler leads" in scheduler.log


def test_one_leads_both_work_and_the_other_takes_over(app: Flask, database_url: str, tmp_path: Path) -> None:
    campaign, site = campaign_at_any_hour(caller_id=None)
    db.session.commit()
    phones = list(callable_now(clock.now())[: BEFORE + AFTER])
    with live(tmp_path, database_url, Faults(), SEED) as stage:
        stage.house.web()
        for name, caller in CALLERS.items():
            stage.house.worker(name, TWILIO_FROM=caller)
        stage.house.wait_until_at_work()
        schedulers = [stage.house.scheduler(name) for name in ("one scheduler", "other scheduler")]
        wait_for("both schedulers", lambda: stage.house.connections_of("aftercall scheduler") == len(schedulers))
        wait_for("a leader", lambda: leaders(database_url))

        fall_due(campaign, site, phones[:BEFORE], "before")
        dialled(stage, BEFORE)
        assert len(leaders(database_url)) == 1
        leading = [scheduler for scheduler in schedulers if says_it_leads(scheduler)]
        assert len(leading) == 1
        (standing_by,) = (scheduler for scheduler in schedulers if scheduler not in leading)

        lost = leaders(database_url)
        leading[0].kill()
        killed_at = time.monotonic()
        wait_for("the takeover", lambda: (now := leaders(database_url)) and now != lost and says_it_leads(standing_by))
        takeover = time.monotonic() - killed_at
        assert takeover < LONGEST_TAKEOVER_SECONDS

        fall_due(campaign, site, phones[BEFORE:], "after")
        dialled(stage, BEFORE + AFTER)
        each_was_dialled_once_by_either(stage, phones)


def each_was_dialled_once_by_either(stage: Live, phones: list[str]) -> None:
    dials = ledger.dials_of(stage.network)
    assert ledger.dialled_twice(dials) == []
    assert sorted(dial.number for dial in dials) == sorted(phones)
    placed_by = {call.from_ for call in stage.network.calls.newest_first()}
    assert placed_by == set(CALLERS.values())
    wait_for("our books", lambda: ledger.calls_of_ours() == {dial.attempt_id: dial.sid for dial in dials})
    ended = db.session.query(Attempt).filter(Attempt.state == AttemptState.ENDED)
    wait_for("every call's end in our books", lambda: ended.count() == len(phones))
