"""Dispatch: dials a second with everything on (web, scheduler, worker, stand-in network), beside the bare queue.

Every call rings in vain and ends with one callback. Two loads: as many as are due at once, for the dials a second; and
twenty coming due a second, for how long it takes from due to dialled.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from itertools import cycle, islice

import procrastinate
from flask import Flask
from procrastinate.jobs import DeleteJobCondition
from sqlalchemy import func, select, text

from benchmarks.frame import Figure, Pace
from benchmarks.ground import service
from scheduler import hours
from simulator.network import HttpTransport, PhoneNetwork, RestServer
from simulator.network.customer import Ring, ScriptedCustomer
from simulator.network.store import Call as NetworkCall
from survey import clock
from survey.db import db
from survey.models import Attempt, Campaign, Site
from survey.settings import PROJECT
from tests import factories
from tests.chaos import ground, numbers

# Seen 0.17 on two quiet cores. Asked for: so many dials a second, and calls dialled so soon after they were due.
TARGET = 0.15
ASKED_DIALS, ASKED_SECONDS = 40.0, 2.0
STEADY_RATE = 20
AT_ONCE = 10
ACCOUNT, TOKEN = "AC" + "0" * 32, "a token for benchmarks only"
# A ring of 25 seconds is over in half a second: a line that rings takes no processor.
SPEED = 50.0
PATIENCE = timedelta(minutes=10)


def measure(pace: Pace) -> Figure:
    """Dials a second of a backlog, and in the note how they kept up with a steady load."""
    backlog, steady = pace.repetitions, max(200, pace.repetitions // 3)
    with service() as app, ExitStack() as everything:
        url = str(app.config["SQLALCHEMY_DATABASE_URI"])
        jobs = queue_jobs_a_second(url, pace.repetitions)
        network = everything.enter_context(_network())
        everything.enter_context(_processes(app, url, network))
        campaign, site = _campaign()
        _due(campaign, site, [clock.now()] * 20, "warming up")
        _wait_until_dialled(network, 20)
        dials = dials_a_second(network, campaign, site, backlog)
        waits = waits_seconds(network, campaign, site, steady)
        doubled = len(network.log.dials()) - (20 + backlog + steady)
    worst = sorted(waits)[len(waits) * 99 // 100]
    note = f"99% of {steady} calls, {STEADY_RATE} a second, dialled within {worst:.2f} s"
    within = dials >= ASKED_DIALS and worst < ASKED_SECONDS and not doubled
    return Figure("dispatch", dials, jobs, "dials/s", TARGET, note, within)


# What is measured


def dials_a_second(network: PhoneNetwork, campaign: Campaign, site: Site, count: int) -> float:
    """`count` calls due at once."""
    before = len(network.log.dials())
    _due(campaign, site, [clock.now()] * count, "backlog")
    _wait_until_dialled(network, before + count)
    at = [dial.at for dial in network.log.dials()[before:]]
    return (count - 1) / (max(at) - min(at)).total_seconds()


def waits_seconds(network: PhoneNetwork, campaign: Campaign, site: Site, count: int) -> list[float]:
    """How long after they were due the network was told of `count` calls that came due one after the other."""
    before = len(network.log.dials())
    begin = clock.now() + timedelta(seconds=3)
    due = [begin + timedelta(seconds=n / STEADY_RATE) for n in range(count)]
    attempt_ids = _due(campaign, site, due, "steady")
    _wait_until_dialled(network, before + count)
    db.session.rollback()
    calls = dict(
        db.session.execute(select(Attempt.provider_id, Attempt.due_at).where(Attempt.id.in_(attempt_ids))).all()
    )
    return [(dial.at - calls[dial.call_sid]).total_seconds() for dial in network.log.dials() if dial.call_sid in calls]


def queue_jobs_a_second(url: str, count: int) -> float:
    """The floor: the same queue with jobs that do nothing, as many at once as the worker delivers."""
    conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
    asyncio.run(_empty_jobs(conninfo, count // 10))
    start = time.perf_counter()
    asyncio.run(_empty_jobs(conninfo, count))
    return count / (time.perf_counter() - start)


async def _empty_jobs(conninfo: str, count: int) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE))
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4))

    @app.task(name="nothing", queue="nothing")
    def nothing(number: int) -> None:
        """Does nothing."""

    async with app.open_async():
        for number in range(count):
            await nothing.configure().defer_async(number=number)
        await app.run_worker_async(
            queues=["nothing"],
            concurrency=AT_ONCE,
            wait=False,
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            install_signal_handlers=False,
        )


# The stage


def _campaign() -> tuple[Campaign, Site]:
    """One that calls at any hour the countries allow, as fast as it can."""
    site = factories.site()
    return factories.campaign(
        [site], call_weekdays=list(numbers.EVERY_DAY), call_on_holidays=True, dials_per_number=10
    ), site


def _due(campaign: Campaign, site: Site, due_at: Sequence[datetime], lot: str) -> list[int]:
    """Makes a survey of each, its first call due then; returns the attempts."""
    now = clock.now()
    window = hours.Window(weekdays=numbers.EVERY_DAY, on_holidays=True)
    later = now + PATIENCE
    callable_now = (
        number
        for number in numbers.callable_for(int(PATIENCE.total_seconds()) // 60, now)
        if hours.verdict(number, now, window, "UTC").allowed and hours.verdict(number, later, window, "UTC").allowed
    )
    found = list(callable_now)
    if not found:
        raise RuntimeError("nobody anywhere may be called in the next minutes: try again later")
    phones = cycle(found)
    wanted = [
        ground.Wanted(phone, site, deadline=now + timedelta(days=2), due_at=due)
        for phone, due in zip(islice(phones, len(due_at)), due_at, strict=True)
    ]
    survey_ids = ground.insert_surveys(campaign, wanted, lot)
    attempt_ids = list(db.session.scalars(select(Attempt.id).where(Attempt.survey_id.in_(survey_ids))))
    db.session.execute(text("ANALYZE"))
    db.session.commit()
    return attempt_ids


def _wait_until_dialled(network: PhoneNetwork, count: int) -> None:
    end = time.monotonic() + PATIENCE.total_seconds()
    while len(network.log.dials()) < count:
        if time.monotonic() > end:
            states = db.session.execute(select(Attempt.state, func.count()).group_by(Attempt.state)).all()
            raise RuntimeError(f"{len(network.log.dials())} of {count} calls were dialled: {states}")
        time.sleep(0.1)


def _nobody(call: NetworkCall) -> ScriptedCustomer:
    return ScriptedCustomer(ring=Ring("no-answer"))


@contextmanager
def _network() -> Iterator[PhoneNetwork]:
    network = PhoneNetwork(
        auth_token=TOKEN,
        account_sid=ACCOUNT,
        service=HttpTransport(),
        behaviour=_nobody,
        clock=clock.now,
        speed=SPEED,
    )
    network.start()
    try:
        yield network
    finally:
        network.stop()


@contextmanager
def _processes(app: Flask, url: str, network: PhoneNetwork) -> Iterator[None]:
    """The service's processes, as bin/run starts them, on the benchmark's database."""
    with RestServer(network) as server, tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        keys = app.config["SETTINGS"].keys
        environment = os.environ | {
            "AFTERCALL_ENV_FILE": "",
            "AFTERCALL_DATA": folder,
            "DATABASE_URL": url,
            "SECRET_KEY": keys.secret_key,
            "DATA_KEY": keys.data_key,
            "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM": "+12125550100",
            "TWILIO_API_BASE": server.url,
            "LOG_LEVEL": "ERROR",
        }
        flask = (sys.executable, "-m", "flask", "--app", "wsgi")
        gunicorn = ("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4")
        commands = (
            (sys.executable, *gunicorn, "--no-control-socket", "wsgi:app"),
            (*flask, "scheduler", "run"),
            (*flask, "worker", "run", "--concurrency", str(AT_ONCE)),
        )
        running = [subprocess.Popen(command, cwd=PROJECT, env=environment) for command in commands]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(60)
