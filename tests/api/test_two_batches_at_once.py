"""The same batch twice at the same moment, as an impatient program sends it: one set of calls, each told truly."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select

from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Call, Customer
from tests.api.batches import at_north, call, fates

CALLS = 300
SENDERS = 3


@pytest.mark.parametrize("backwards", [False, True])
def test_identical_batches_at_once_end_in_one_set_of_calls(app: Flask, at_noon: ManualClock, backwards: bool) -> None:
    pbx, together = at_north(app), Barrier(SENDERS)
    calls = [
        call(f"c{n}", agent=f"Agent {n % 7}", phone=f"21255501{n % 60:02}", email=f"caller{n % 60}@example.com")
        for n in range(CALLS)
    ]

    def one(sender: int) -> Counter[str]:
        together.wait(timeout=30)
        batch = list(reversed(calls)) if backwards and sender % 2 else calls
        answer = pbx.send(batch, agents="create")
        assert answer.status_code == 200
        return Counter(fates(answer))

    with ThreadPoolExecutor(SENDERS) as threads:
        runs = [threads.submit(one, sender) for sender in range(SENDERS)]
        told = sum((run.result(timeout=60) for run in runs), Counter[str]())
    assert told == {"new": CALLS, "unchanged": (SENDERS - 1) * CALLS}
    counts = [db.session.scalar(select(func.count()).select_from(table)) for table in (Call, Customer, Agent)]
    assert counts == [CALLS, 60, 8]
