"""A made-up file of call records: a row for each call, seven customers for ten calls, numbers of several countries."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

SEED = 20_261_124
HEADER = ("call_id", "agent", "started_at", "talk_seconds", "wait_seconds", "queue", "phone")
AGENTS = 500
# Seven calls of ten are a customer's first; the others are of one of the last so many, who ring back within days.
FIRST_CALLS, RECENT = 0.7, 20_000
# How numbers are written where a centre has callers from abroad: each x becomes a digit. All of a block are valid.
FORMS = (
    *("(212) 4xx-xxxx", "(617) 4xx-xxxx", "(303) 4xx-xxxx", "(415) 4xx-xxxx", "+1 312 4xx xxxx", "+1 713 4xx xxxx"),
    *("+44 7400 xxxxxx", "+44 7500 xxxxxx", "+33 6 1x xx xx xx", "+34 61x xxx xxx", "+52 55 1xxx xxxx"),
)
HOME_FORMS = FORMS[:6]


def write(path: Path, rows: int, forms: tuple[str, ...] = FORMS) -> int:
    """Writes the file; returns how many distinct phone numbers it has. The same rows whenever the size is the same."""
    seen: set[str] = set()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for row in _rows(rows, forms):
            seen.add(row[-1])
            writer.writerow(row)
    return len(seen)


def _rows(count: int, forms: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    random, recent = Random(SEED), list[str]()
    begin = datetime(2026, 1, 5, 14, tzinfo=UTC)
    for n in range(count):
        if recent and random.random() >= FIRST_CALLS:
            phone = random.choice(recent)
        else:
            phone = _phone(random, forms)
            _remember(recent, phone, random)
        started = begin + timedelta(seconds=3 * n)
        talk, wait = random.randint(0, 900), random.randint(0, 120)
        yield f"c{n}", f"agent{n % AGENTS}", f"{started:%Y-%m-%dT%H:%M:%SZ}", str(talk), str(wait), "sales", phone


def _remember(recent: list[str], phone: str, random: Random) -> None:
    if len(recent) < RECENT:
        recent.append(phone)
    else:
        recent[random.randrange(RECENT)] = phone


def _phone(random: Random, forms: tuple[str, ...]) -> str:
    return "".join(str(random.randrange(10)) if mark == "x" else mark for mark in random.choice(forms))
