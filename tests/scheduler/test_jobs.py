"""The queue: a job commits with the attempt it serves or not at all, and workers deliver each once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import procrastinate
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session, scoped_session

from scheduler import jobs
from scheduler.dispatch import claim_due, tick
from scheduler.jobs import Queue
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState
from tests import factories as make
from tests.conftest import NOON
from tests.scheduler.fakes import NotingChannel, channels, taking_it


@pytest.fixture
def noting() -> NotingChannel:
    return NotingChannel(taking_it)


@pytest.fixture
def queue(app: Flask, noting: NotingChannel, at_noon: ManualClock) -> Iterator[Queue]:
    yield Queue(app, channels(noting))


@pytest.fixture
def due(session: scoped_session[Session], at_noon: ManualClock) -> list[int]:
    """Three calls that are due, of one campaign."""
    campaign = make.campaign()
    ids = [make.attempt(make.survey(within=campaign, plan_at=None)).id for _ in range(3)]
    db.session.commit()
    return ids


def job_rows(status: str | None = None) -> int:
    found = db.session.execute(
        text("SELECT count(*) FROM procrastinate_jobs WHERE CAST(:status AS text) IS NULL OR status::text = :status"),
        {"status": status},
    ).scalar_one()
    return int(found)


def states() -> set[AttemptState]:
    db.session.expire_all()
    return {attempt.state for attempt in db.session.query(Attempt)}


def test_constructing_a_queue_opens_no_connection(app: Flask) -> None:
    unreachable = Flask("unreachable")
    unreachable.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    Queue(unreachable, {})


def test_a_job_commits_with_its_attempt(queue: Queue, due: list[int]) -> None:
    assert tick(queue.enqueue).claimed == tuple(due)
    db.session.rollback()
    assert job_rows("todo") == 3
    assert states() == {AttemptState.QUEUED}


def test_a_job_goes_when_its_transaction_does(queue: Queue, due: list[int]) -> None:
    for attempt_id, turn_at in claim_due().items():
        queue.enqueue(attempt_id, turn_at)
    assert job_rows() == 3
    db.session.rollback()
    assert job_rows() == 0
    assert states() == {AttemptState.PLANNED}


def test_a_worker_delivers_what_was_enqueued(queue: Queue, due: list[int], noting: NotingChannel) -> None:
    tick(queue.enqueue)
    worker = threading.Thread(target=queue.run_worker, args=(2,), kwargs={"until_empty": True})
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    assert sorted(noting.delivered) == due
    assert noting.seen == [AttemptState.DIALLING] * 3
    assert states() == {AttemptState.UNDERWAY}
    assert job_rows() == 0


def test_a_job_enqueued_twice_delivers_once(queue: Queue, due: list[int], noting: NotingChannel) -> None:
    tick(queue.enqueue)
    for attempt_id in due:
        queue.enqueue(attempt_id, NOON)
    db.session.commit()
    queue.run_worker(4, until_empty=True)
    assert sorted(noting.delivered) == due
    assert job_rows() == 0


def test_a_worker_takes_as_many_at_once_as_it_was_told(app: Flask, due: list[int], at_noon: ManualClock) -> None:
    """Each delivery waits until all three are under way, which never happens with fewer threads."""
    together = threading.Barrier(3)
    noting = NotingChannel(lambda attempt_id: together.wait(15))
    queue = Queue(app, channels(noting))
    tick(queue.enqueue)
    queue.run_worker(3, until_empty=True)
    assert sorted(noting.delivered) == due and not together.broken


def test_the_jobs_of_a_killed_worker_are_handed_on(queue: Queue, due: list[int], noting: NotingChannel) -> None:
    tick(queue.enqueue)
    # What a worker killed a minute ago leaves: a job in progress and an old sign of life.
    db.session.execute(
        text(
            "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute')"
            " RETURNING id) UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM dead)"
        )
    )
    db.session.commit()
    assert asyncio.run(_sweep(queue)) == 3
    assert job_rows("todo") == 3
    queue.run_worker(2, until_empty=True)
    assert sorted(noting.delivered) == due


def test_the_jobs_of_a_living_worker_are_left_to_it(queue: Queue, due: list[int]) -> None:
    tick(queue.enqueue)
    db.session.execute(
        text(
            "WITH living AS (INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now()) RETURNING id)"
            " UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM living)"
        )
    )
    db.session.commit()
    assert asyncio.run(_sweep(queue)) == 0
    assert job_rows("doing") == 3


async def _sweep(queue: Queue) -> int:
    connector = procrastinate.PsycopgConnector(conninfo=queue.conninfo, min_size=1)
    async with procrastinate.App(connector=connector).open_async() as worker_app:
        return await jobs.retry_stalled(worker_app)


def test_a_delivery_that_fails_leaves_the_attempt_to_be_reconciled(app: Flask, due: list[int]) -> None:
    def broken(attempt_id: int) -> None:
        raise RuntimeError("the channel broke")

    queue = Queue(app, channels(NotingChannel(broken)))
    tick(queue.enqueue)
    queue.run_worker(1, until_empty=True)
    assert states() == {AttemptState.DIALLING}
    assert job_rows("failed") == 3
