"""The time-lapse: simulated days a second, beside the days its requests alone would take as bare inserts.

The floor counts every door the days went through (webhooks, pages, dials, mails) and prices each at one request to a
bare route that does one INSERT: what remains above it is imports, draws, plans, deadlines, TwiML and care.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter

from sqlalchemy import text

from benchmarks.frame import Figure, Pace, per_second
from benchmarks.ground import bare_insert_route, service
from simulator import demo
from simulator.network import WsgiTransport
from simulator.timelapse import TimeLapse, World, latest_span, launch_moment
from survey import clock
from survey.db import db

# Seen 0.05 on two quiet cores.
TARGET = 0.04
FROM = date(2026, 7, 20)


def measure(pace: Pace) -> Figure:
    """Plays the first days of the demo's six months."""
    span = latest_span(FROM)
    with service() as app, tempfile.TemporaryDirectory() as folder:
        world, place = World(1, span.first_day), demo.Folder(Path(folder))
        with clock.standing_at(launch_moment(span)) as manual, demo.outside(app, place, world, manual) as network:
            lapse = TimeLapse(app, world, network, manual, place.feeds, lambda day: None)
            start = perf_counter()
            lapse.play_days(span, pace.days)
            ours = pace.days / (perf_counter() - start)
            doors = len(network.log.webhooks()) + len(network.log.dials()) + _page_requests()
        bare = WsgiTransport(bare_insert_route(app.config["SQLALCHEMY_DATABASE_URI"]))
        each = per_second(lambda n: bare.post("http://floor.example.com/answer", {"Digits": "1"}, {}), pace.repetitions)
    return Figure("time-lapse", ours, pace.days / (doors / each), "days/s", TARGET)


def _page_requests() -> int:
    """Mails, and at least two requests for each answer that came by the web."""
    mails = db.session.execute(text("SELECT count(*) FROM attempts WHERE channel = 'web' AND started_at IS NOT NULL"))
    answers = db.session.execute(text("SELECT count(*) FROM answers WHERE channel = 'web'"))
    return int(mails.scalar_one()) + 2 * int(answers.scalar_one())
