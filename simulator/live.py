"""The live half of the demo: the service's own processes, and an outside world that goes on in real time.

Every half minute a customer of each site finishes a call; it is imported, drawn, and asked about within minutes, by the
stand-in network (with real sockets, signed webhooks and the queue) or by an email into the demo's mailbox.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from flask import Flask

from operations.supervise import Child, supervise
from scheduler import campaigns
from simulator import figures
from simulator.centre import Centre
from simulator.demo import ACCOUNT_SID, AUTH_TOKEN, Folder
from simulator.mailbox import Mailbox
from simulator.network import HttpTransport, PhoneNetwork, RestServer
from simulator.timelapse import ACTOR, Span, World, campaign_values, take_in
from survey import clock
from survey.db import db
from survey.models import Campaign

ADDRESS = "http://127.0.0.1:8000"
EVERY_SECONDS = 30.0
SPEED = 5.0


def serve(app: Flask, folder: Folder, seed: int) -> None:
    """Runs until interrupted; keeps what the network dialled, for the next start's figures."""
    world = World(seed, clock.now().date())
    mailbox = Mailbox(folder.mail)
    network = PhoneNetwork(
        auth_token=AUTH_TOKEN,
        account_sid=ACCOUNT_SID,
        service=HttpTransport(connect_to=ADDRESS),
        behaviour=world.behaviour,
        clock=clock.now,
        seed=seed + int(clock.now().timestamp()),
        speed=SPEED,
    )
    stopping = threading.Event()
    with RestServer(network) as server:
        os.environ.update(_environment(server.url, mailbox.start()))
        launch_live_campaigns(app, world)
        feeder = threading.Thread(target=_feed, args=(app, world, folder.feeds, stopping), daemon=True)
        network.start()
        feeder.start()
        try:
            asyncio.run(supervise(_children()))
        finally:
            stopping.set()
            network.stop()
            mailbox.stop()
            figures.write_dials(network.log.dials(), folder.dials, append=True)


def launch_live_campaigns(app: Flask, world: World) -> None:
    """A campaign of each organisation for the calls that end from now on: every call is drawn. Launched once."""
    today = clock.now().date()
    span = Span(today, today + timedelta(days=365), today + timedelta(days=380))
    with app.app_context():
        for profile in world.organisations:
            values = {
                **campaign_values(profile, span),
                "key": f"{profile.key}-live",
                "name": f"{profile.name}, live",
                "rate": "1/1",
            }
            if db.session.query(Campaign).filter_by(key=values["key"]).first() is None:
                campaigns.launch(campaigns.create(values, actor=ACTOR), actor=ACTOR)
        db.session.commit()


def _feed(app: Flask, world: World, folder: Path, stopping: threading.Event) -> None:
    number = 0
    while not stopping.wait(EVERY_SECONDS):
        for centre in world.centres():
            number += 1
            with app.app_context():
                _finish_a_call(centre, number, folder)


def _finish_a_call(centre: Centre, number: int, folder: Path) -> None:
    record = centre.live_call(number, clock.now() - timedelta(minutes=12))
    take_in(centre.organisation, [record], folder)
    db.session.commit()


def _environment(phone: str, mail: str) -> Mapping[str, str]:
    return {
        "TWILIO_API_BASE": phone,
        "SMTP_URL": mail,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": "+12125550100",
        "PUBLIC_BASE_URL": ADDRESS,
    }


def _children() -> list[Child]:
    python = sys.executable
    return [
        Child("web", (python, "-m", "gunicorn", "--bind", "127.0.0.1:8000", "--threads", "4", "wsgi:app")),
        Child("scheduler", (python, "-m", "flask", "scheduler", "run")),
        Child("worker", (python, "-m", "flask", "worker", "run")),
    ]
