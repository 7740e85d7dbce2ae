"""The stand-ins in real time, on sockets: the phone network with its crowd, the mailbox, and the house beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler import hours
from simulator.mailbox import Mailbox
from simulator.network import Faults, HttpTransport, PhoneNetwork, RestServer
from survey import clock
from survey.models import Campaign, Site
from tests import factories as make
from tests.chaos import numbers
from tests.chaos.crowd import Crowd
from tests.chaos.ground import UNHURRIED
from tests.chaos.processes import ACCOUNT, TOKEN, House

# A second of the clock is this many of a call.
SPEED = 20.0
ANY_HOUR: dict[str, Any] = {"call_weekdays": list(numbers.EVERY_DAY), "call_on_holidays": True}
# No test here takes longer.
MINUTES = 20


@dataclass
class Live:
    network: PhoneNetwork
    mailbox: Mailbox
    house: House
    crowd: Crowd


@contextmanager
def live(folder: Path, database_url: str, faults: Faults, seed: int) -> Iterator[Live]:
    """Runs the stand-ins; in the end kills what was started in the house, and stops them."""
    crowd, mailbox = Crowd(seed), Mailbox(folder / "mail")
    network = PhoneNetwork(
        auth_token=TOKEN,
        account_sid=ACCOUNT,
        service=HttpTransport(answer_seconds=5.0),
        behaviour=crowd.somebody,
        clock=clock.now,
        seed=seed,
        faults=faults,
        speed=SPEED,
    )
    with RestServer(network) as server:
        house = House(folder, database_url, server.url, mailbox.start())
        network.start()
        try:
            yield Live(network, mailbox, house, crowd)
        finally:
            house.kill_all()
            network.stop()
            mailbox.stop()


def campaign_at_any_hour(**given: Any) -> tuple[Campaign, Site]:
    """A campaign that calls on every day, as fast as it can, and its site, where it is always the middle of the day."""
    site = make.site()
    return make.campaign([site], **UNHURRIED, **ANY_HOUR, **given), site


def callable_now(at: datetime) -> Sequence[str]:
    """Numbers that may ring for as long as a test takes. What we count on is ours; what the service says is asked too,
    so that a country whose hours become shorter is left out."""
    window = hours.Window(weekdays=numbers.EVERY_DAY, on_holidays=True)
    end = at + timedelta(minutes=MINUTES)
    return [
        number
        for number in numbers.callable_for(MINUTES, at)
        if hours.verdict(number, at, window, "UTC").allowed and hours.verdict(number, end, window, "UTC").allowed
    ]
