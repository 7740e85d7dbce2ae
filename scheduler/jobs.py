"""The work queue: Procrastinate, in the same PostgreSQL: an attempt and its job commit together or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

import procrastinate
from flask import Flask
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition

from scheduler import dispatch
from scheduler.dispatch import AskingChannel
from survey.db import db
from survey.logs import logger
from survey.models import Channel

TASK = "deliver"
QUEUE = "attempts"
# A job that is there at once is told to the workers; one whose turn comes later is found by looking.
LOOK_EVERY_SECONDS = 0.25
HEARTBEAT_SECONDS = 5.0
STALLED_AFTER_SECONDS = 30.0
SWEEP_EVERY_SECONDS = 15.0
GRACE_SECONDS = 30.0

log = logger("scheduler")


class Queue:
    """The jobs that deliver attempts. Constructing it opens no connection.

    Two faces of one queue: `enqueue` speaks over the caller's own connection, a worker over a pool of its own.
    """

    def __init__(self, app: Flask, channels: Mapping[Channel, AskingChannel]) -> None:
        self._app, self._channels = app, channels
        self.conninfo = str(app.config["SQLALCHEMY_DATABASE_URI"]).replace("postgresql+psycopg://", "postgresql://", 1)
        self._task = self._with_task(procrastinate.App(connector=procrastinate.SyncPsycopgConnector())).tasks[TASK]

    def enqueue(self, attempt_id: int, turn_at: datetime) -> None:
        """Adds the job of an attempt, to be done at its turn, within the caller's transaction.

        It exists when that commits, and only then.
        """
        connection = db.session.connection().connection.driver_connection
        job = self._task.configure(queue=QUEUE, connection=connection, schedule_at=turn_at)
        job.defer(attempt_id=attempt_id, turn_at=turn_at.isoformat())

    def run_worker(self, concurrency: int, *, until_empty: bool = False) -> None:
        """Delivers jobs, `concurrency` at once, until SIGTERM or SIGINT (or, on request, until none is left).

        Jobs of a worker that was killed are taken over half a minute after its last sign of life.
        """
        asyncio.run(self._work(concurrency, until_empty))

    async def _work(self, concurrency: int, until_empty: bool) -> None:
        # Our jobs block a thread each: the loop's own pool would be far smaller than the concurrency asked for.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(concurrency, "deliver"))
        connector = procrastinate.PsycopgConnector(conninfo=self.conninfo, min_size=1, max_size=4)
        worker_app = self._with_task(procrastinate.App(connector=connector))
        async with worker_app.open_async():
            sweep = asyncio.create_task(_keep_sweeping(worker_app))
            try:
                await worker_app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=concurrency,
                    wait=not until_empty,
                    fetch_job_polling_interval=LOOK_EVERY_SECONDS,
                    delete_jobs=DeleteJobCondition.SUCCESSFUL,
                    install_signal_handlers=threading.current_thread() is threading.main_thread(),
                    shutdown_graceful_timeout=GRACE_SECONDS,
                    update_heartbeat_interval=HEARTBEAT_SECONDS,
                    stalled_worker_timeout=STALLED_AFTER_SECONDS,
                )
            finally:
                sweep.cancel()
                with suppress(asyncio.CancelledError):
                    await sweep

    def _with_task(self, app: procrastinate.App) -> procrastinate.App:
        app.task(name=TASK, queue=QUEUE)(self._deliver)
        return app

    def _deliver(self, attempt_id: int, turn_at: str) -> None:
        with self._app.app_context():
            dispatch.deliver(attempt_id, self._channels, datetime.fromisoformat(turn_at))


async def retry_stalled(worker_app: procrastinate.App) -> int:
    """Hands on the jobs a killed worker left half done; returns how many. What had begun is not begun again by them."""
    retried = 0
    for job in await worker_app.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=STALLED_AFTER_SECONDS
    ):
        # Another worker's sweep may have been faster.
        with suppress(ConnectorException):
            await worker_app.job_manager.retry_job(job)
            retried += 1
    return retried


async def _keep_sweeping(worker_app: procrastinate.App) -> None:
    while True:
        try:
            retried = await retry_stalled(worker_app)
            if retried:
                log.warning("jobs of a lost worker taken over", jobs=retried)
        except ConnectorException as error:
            log.warning("the queue cannot be swept now", error=type(error).__name__)
        await asyncio.sleep(SWEEP_EVERY_SECONDS)
