"""Calls over the API in batches of a thousand; beside reading the same JSON and its phones, and one bare COPY.

Ours is everything a program waits for: the key, the body, every call checked and read, contacts sealed, customers and
calls written and committed, one result for each.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
import psycopg
from flask import Flask

from api import keys
from benchmarks.frame import Figure, Pace, per_second
from benchmarks.ground import service
from survey import phones
from survey.db import db
from survey.errors import InputError
from tests import factories

# Seen 0.28 on two nearly quiet cores. Emails, sealing, customers and a result for each are what the floor does without.
TARGET = 0.2
BATCH = 1_000
URL = "/api/v1/calls"
STARTED = datetime(2026, 2, 2, 14, 0, tzinfo=UTC)
COLUMNS = ("external_id", "agent", "started_at", "wait_seconds", "talk_seconds", "queue", "phone", "email")


def measure(pace: Pace) -> Figure:
    """Calls a second in one process, every call new, seven of ten phones never seen before."""
    batches = max(3, pace.repetitions // 100)
    with service() as app:
        bodies = bodies_of(batches + max(1, batches // 10))
        ours = BATCH * sent_a_second(app, bodies, batches)
        floor = BATCH * copied_a_second(app.config["SQLALCHEMY_DATABASE_URI"], bodies, batches)
    return Figure("API calls", ours, floor, "calls/s", TARGET)


def bodies_of(count: int) -> list[bytes]:
    """Requests as a telephone system would send them: contacts in every call, the same few agents and queues."""
    numbers = demo_numbers(count * BATCH * 7 // 10)
    calls = [a_call(n, numbers[n * 7 // 10]) for n in range(count * BATCH)]
    return [
        json.dumps({"source": "pbx", "site": "north", "calls": calls[start : start + BATCH]}).encode()
        for start in range(0, len(calls), BATCH)
    ]


def demo_numbers(count: int) -> list[str]:
    """Numbers that ring nowhere: 555-0100 to 555-0199 of the area codes that are in use, in the national way."""
    codes = filter(_in_use, range(200, 990))
    numbers = [f"({code}) 555-01{last:02}" for code in codes for last in range(100)]
    if count > len(numbers):
        raise ValueError(f"there are {len(numbers):,} demo numbers, not {count:,}")
    return numbers[:count]


def _in_use(code: int) -> bool:
    try:
        return bool(phones.canonical(f"+1{code}5550100", "US"))
    except InputError:
        return False


def a_call(n: int, phone: str) -> dict[str, Any]:
    started = STARTED + timedelta(seconds=n % 100_000 * 7)
    return {
        "external_id": f"{n:08}",
        "agent": f"agent{n % 40}",
        "started_at": started.isoformat(),
        "wait_seconds": n % 90,
        "talk_seconds": 30 + n % 600,
        "queue": ("sales", "service", "billing")[n % 3],
        "phone": phone,
        "email": f"customer{n * 7 // 10}@example.com",
    }


def sent_a_second(app: Flask, bodies: list[bytes], batches: int) -> float:
    """Batches a second through WSGI; raises RuntimeError unless every call was taken."""
    headers = {"Authorization": f"Bearer {a_key()}", "Content-Type": "application/json"}
    client = app.test_client()

    def send(n: int) -> None:
        answer = client.post(URL, data=bodies[n], headers=headers)
        if answer.status_code != 200 or b'"new":1000,' not in answer.data.replace(b" ", b""):
            raise RuntimeError(f"the API said {answer.status_code}")

    return per_second(send, batches)


def a_key() -> str:
    """The place the calls belong to, its agents, and a key to hand them in with."""
    place = factories.site(organisation=factories.organisation(key="acme"), key="north")
    for n in range(40):
        factories.agent(place, key=f"agent{n}")
    _, secret = keys.create("acme", "pbx", [keys.CALLS_WRITE], actor="benchmark")
    db.session.commit()
    return secret


def copied_a_second(database_url: str, bodies: list[bytes], batches: int) -> float:
    """The floor: the JSON read, each distinct phone parsed and validated, the rows copied into one bare table."""
    seen: set[str] = set()
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        columns = ", ".join(f"{name} text" for name in COLUMNS)
        connection.execute(f"CREATE TABLE floor_calls (id bigserial PRIMARY KEY, {columns})")

        def copy(n: int) -> None:
            calls = json.loads(bodies[n])["calls"]
            for call in calls:
                if call["phone"] not in seen:
                    seen.add(call["phone"])
                    phonenumbers.is_valid_number(phonenumbers.parse(call["phone"], "US"))
            with connection.cursor().copy(f"COPY floor_calls ({', '.join(COLUMNS)}) FROM STDIN") as rows:
                for call in calls:
                    rows.write_row([call[name] for name in COLUMNS])
            connection.commit()

        return per_second(copy, batches)
