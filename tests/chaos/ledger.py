"""What the phone network's own log says of us: who was dialled for which attempt, and what must never have happened."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from simulator.network import PhoneNetwork
from survey.db import db
from survey.models import Answer, Attempt, Channel, Customer, Survey
from tests.chaos import numbers

ATTEMPT = re.compile(r"/ivr/attempts/(\d+)/")
ANSWER = re.compile(r"/ivr/attempts/(\d+)/answer\?step=(\d+)&.*question=(\w+)")
KEYS = {"resolved": set("123"), "overall": set("12345"), "agent": set("12345")}
MOST_DIALS, REST = 3, timedelta(days=30)
OPT_OUT_KEY = "9"


@dataclass(frozen=True)
class Dial:
    """One ringing of a number, as the network wrote it down."""

    attempt_id: int
    number: str
    at: datetime
    sid: str


class Said(NamedTuple):
    """An answer: in which attempt, to which question, at which step of the call."""

    attempt_id: int
    question: str
    step: int


def dials_of(network: PhoneNetwork) -> list[Dial]:
    """Every dial, oldest first."""
    found = []
    for entry in network.log.dials():
        named = ATTEMPT.search(entry.detail["url"])
        assert named is not None
        found.append(Dial(int(named[1]), entry.number, entry.at, entry.call_sid))
    return sorted(found, key=lambda dial: dial.at)


def dialled_twice(dials: Iterable[Dial]) -> list[int]:
    """The attempts for which somebody was dialled more than once."""
    return [attempt_id for attempt_id, times in Counter(dial.attempt_id for dial in dials).items() if times > 1]


def at_a_bad_hour(dials: Iterable[Dial], *, weekdays: tuple[int, ...], on_holidays: bool) -> list[Dial]:
    return [d for d in dials if not numbers.decent(d.number, d.at, weekdays=weekdays, on_holidays=on_holidays)]


def deadlines() -> dict[int, datetime]:
    """The deadline of each attempt's survey."""
    rows = db.session.execute(select(Attempt.id, Survey.deadline).join(Survey, Survey.id == Attempt.survey_id))
    return {row.id: row.deadline for row in rows}


def after_the_deadline(dials: Iterable[Dial], by: Mapping[int, datetime]) -> list[Dial]:
    return [dial for dial in dials if dial.at >= by[dial.attempt_id]]


def opted_out_by_key(network: PhoneNetwork) -> dict[str, datetime]:
    """When the network was told that a customer's wish to be left alone is taken down, by number."""
    told: dict[str, datetime] = {}
    for entry in network.log.webhooks():
        detail = entry.detail
        if detail.get("Digits") == OPT_OUT_KEY and "/menu?" in detail["url"] and detail["status"] == "200":
            told.setdefault(entry.number, entry.at)
    return told


def after_an_optout(dials: Iterable[Dial], optouts: Mapping[str, datetime]) -> list[Dial]:
    """The dials of numbers that had opted out. What had been posted at that very moment may still ring."""
    return [dial for dial in dials if dial.number in optouts and dial.at > optouts[dial.number]]


def too_often(dials: Iterable[Dial]) -> list[str]:
    """The numbers dialled more than three times within 30 days."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for dial in sorted(dials, key=lambda dial: dial.at):
        times[dial.number].append(dial.at)
    return [
        number
        for number, rung in times.items()
        if any(later - first < REST for first, later in zip(rung, rung[MOST_DIALS:], strict=False))
    ]


def answers_taken_down(network: PhoneNetwork) -> dict[Said, datetime]:
    """Every key that was an answer and for which we thanked, so to say: answered 200; when that was first."""
    taken: dict[Said, datetime] = {}
    for entry in network.log.webhooks():
        asked = ANSWER.search(entry.detail["url"])
        if asked and entry.detail["status"] == "200" and entry.detail.get("Digits", "") in KEYS[asked[3]]:
            said = Said(int(asked[1]), asked[3], int(asked[2]))
            taken[said] = min(entry.at, taken.get(said, entry.at))
    return taken


def answers_of_ours() -> dict[Said, bool]:
    """The answers given by phone, and whether each came too late to count."""
    rows = db.session.execute(
        select(Answer.attempt_id, Answer.question, Answer.sequence, Answer.late).where(Answer.channel == Channel.IVR)
    )
    return {Said(attempt_id, question, step): late for attempt_id, question, step, late in rows}


def numbers_of_ours() -> dict[int, str]:
    """The number that each attempt's customer has."""
    rows = db.session.execute(
        select(Attempt.id, Customer.phone)
        .join(Survey, Survey.id == Attempt.survey_id)
        .join(Customer, Customer.id == Survey.customer_id)
    )
    return {attempt_id: str(phone) for attempt_id, phone in rows}


def calls_of_ours() -> dict[int, str]:
    """The call bound to each attempt that has one."""
    rows = db.session.execute(select(Attempt.id, Attempt.provider_id).where(Attempt.provider_id.like("CA%")))
    return {attempt_id: str(sid) for attempt_id, sid in rows}


def letters(folder: Path) -> list[str]:
    """The Message-ID of every message in the mailbox: an attempt has one of its own."""
    return [str(message_from_bytes(path.read_bytes())["Message-ID"]) for path in folder.glob("*.eml")]
