"""The live half of the demo: the service's own processes, and an outside world that goes on in real time.

Every half minute a customer of each site finishes a call, at the start a dozen. The calls are imported, drawn at once
and asked about at decent hours, as any others: by an email into the demo's mailbox, left to the onlooker to answer, or
by the stand-in network (with real sockets, signed webhooks and the queue).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import click
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
from survey.errors import Refused
from survey.models import Campaign

PORT = 8000
ADDRESS = f"http://127.0.0.1:{PORT}"
EVERY_SECONDS = 30.0
FIRST_AFTER_SECONDS = 2.0  # a call that ended in the second of the launch is none of the campaign's
FIRST_CALLS = 12
SPEED = 5.0
SURVEY_LINK = re.compile(r"https?://\S+/s/[\w-]+")


def check_port(port: int = PORT) -> None:
    """Raises Refused when something listens there already: two demos would ring each other's customers."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Refused(
                f"port {port} is taken", how="End what listens there (another demo?), or use --once."
            ) from None


def serve(app: Flask, folder: Folder, seed: int) -> None:
    """Runs until interrupted; keeps what the network dialled, for the next start's figures."""
    world = World(seed, clock.now().date())
    mailbox = Mailbox(folder.mail, _tell_of_message)
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
    number, calls, pause = 0, FIRST_CALLS, FIRST_AFTER_SECONDS
    while not stopping.wait(pause):
        for centre in world.centres():
            with app.app_context():
                _finish_calls(centre, range(number, number + calls), folder)
            number += calls
        calls, pause = 1, EVERY_SECONDS


def _finish_calls(centre: Centre, numbers: range, folder: Path) -> None:
    records = [centre.live_call(number, clock.now()) for number in numbers]
    take_in(centre.organisation, records, folder)
    db.session.commit()
    _say("centre", f"{centre.site.name}: {len(records)} {'call has' if len(records) == 1 else 'calls have'} ended")


def _tell_of_message(address: str, message: EmailMessage) -> None:
    body = message.get_body(("plain",))
    link = SURVEY_LINK.search(body.get_content()) if body else None
    _say("mailbox", f"a message for {address}: {link.group() if link else message['Subject']}")


def _say(who: str, line: str) -> None:
    """A line between those of the service's processes."""
    click.echo(f"{who:<9} | {line}")


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
        Child("web", (python, "-m", "gunicorn", "--bind", f"127.0.0.1:{PORT}", "--threads", "4", "wsgi:app")),
        Child("scheduler", (python, "-m", "flask", "scheduler", "run")),
        Child("worker", (python, "-m", "flask", "worker", "run")),
    ]
