"""The draw beside the bare HMAC loop: the decisions alone, and the whole of it, from the calls' rows to the draws'."""

from __future__ import annotations

import gc
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from time import perf_counter

from sqlalchemy import text

from benchmarks.frame import Figure, Pace
from benchmarks.ground import service
from scheduler.decisions import Candidate, Eligible, decide
from scheduler.drawing import draw_campaign
from scheduler.frame import BATCH
from scheduler.sampling import Numbers
from survey import clock
from survey.db import db
from survey.garbage import fewer_collections
from survey.models import DrawReason
from tests import factories

SEED = 20_261_130
KEY = b"a draw key for benchmarks only.."
RATE = Fraction(1, 10)
QUARANTINE, MINUTE = timedelta(days=30), timedelta(minutes=1)
# Asked for: numbers, chance, quarantine and the most recent call for no more than another such loop would take.
DECISIONS_TARGET = 0.5
# The whole reads a call, writes a draw, and looks at contacts, rates, rosters and calendars on the way.
WHOLE_TARGET = 0.008
# Seven calls of ten are a customer's only one, or first.
CUSTOMERS_OF_TEN_CALLS = 7


@dataclass(frozen=True)
class Ended:
    """What the decisions see of a call."""

    source: str
    external_id: str
    ended_at: datetime
    index: bytes


def decisions(pace: Pace) -> Figure:
    """1,000,000 calls (a tenth of that when quick), in the batches in which the draw takes them.

    What the draw asks the database for in between, the calls of the same customers decided before, is not timed.
    """
    calls = _calls(_count(pace))
    bare = _hmacs_a_second(calls)
    number, seconds, drawn = Numbers(KEY, "draw").of, 0.0, 0
    history: dict[bytes, list[Eligible]] = {}
    for begin in range(0, len(calls), BATCH):
        batch = calls[begin : begin + BATCH]
        known = {one.call_id: one for call in batch for one in history.get(call.index, ())}.values()
        # In the draw the database holds these: they must not cost Python's search for unused objects anything.
        gc.freeze()
        start = perf_counter()
        with fewer_collections():
            candidates = [
                Candidate(
                    begin + n,
                    (call.ended_at, call.source, call.external_id),
                    (call.index,),
                    number(call.source, call.external_id),
                    RATE,
                    None,
                )
                for n, call in enumerate(batch)
            ]
            reasons = decide(candidates, known, batch[-1].ended_at + MINUTE, QUARANTINE).reasons
        seconds += perf_counter() - start
        for one in candidates:
            is_drawn = reasons[one.call_id] is DrawReason.DRAWN
            drawn += is_drawn
            history.setdefault(one.indexes[0], []).append(Eligible(one.call_id, one.order, one.indexes, is_drawn))
    gc.unfreeze()
    note = f"{len(calls):,} calls of {len(history):,} customers, {drawn:,} drawn"
    return Figure("draw, decisions", len(calls) / seconds, bare, "calls/s", DECISIONS_TARGET, note)


def whole(pace: Pace) -> Figure:
    """The same calls from the database: read, judged, decided, written."""
    count = _count(pace)
    bare = _hmacs_a_second(_calls(count))
    with service():
        place = factories.site()
        leader = factories.supervisor(place.organisation)
        agents = [factories.agent(place, leader) for _ in range(50)]
        campaign = factories.campaign([place], rate_numerator=1, rate_denominator=10)
        _insert(place.organisation_id, place.id, [agent.id for agent in agents], count)
        start = perf_counter()
        report = draw_campaign(campaign)
        db.session.commit()
        ours = count / (perf_counter() - start)
        if report.decided != count:
            raise RuntimeError(f"{report.decided} of {count} calls were decided")
    return Figure("draw, whole", ours, bare, "calls/s", WHOLE_TARGET, f"{count:,} calls, {report.drawn:,} drawn")


def _count(pace: Pace) -> int:
    return 1_000_000 if pace.repetitions >= 3000 else 100_000


def _calls(count: int) -> list[Ended]:
    random, begin = Random(SEED), datetime(2026, 1, 5, 14, tzinfo=UTC)
    customers = [hashlib.sha256(str(n).encode()).digest() for n in range(count * CUSTOMERS_OF_TEN_CALLS // 10)]
    callers = customers + random.choices(customers, k=count - len(customers))
    random.shuffle(callers)
    return [Ended("acd", f"call-{n}", begin + timedelta(seconds=n), caller) for n, caller in enumerate(callers)]


def _hmacs_a_second(calls: Sequence[Ended]) -> float:
    """The floor: of each call its number alone."""
    start = perf_counter()
    for call in calls:
        message = f"draw\0{call.source}\0{call.external_id}".encode()
        int.from_bytes(hmac.new(KEY, message, hashlib.sha256).digest()[:8], "big")
    return len(calls) / (perf_counter() - start)


def _insert(organisation_id: int, site_id: int, agent_ids: list[int], count: int) -> None:
    """So many calls of the last 24 hours, made by the database itself."""
    given = {
        "organisation": organisation_id,
        "site": site_id,
        "agents": agent_ids,
        "count": count,
        "customers": count * CUSTOMERS_OF_TEN_CALLS // 10,
        "import": factories.import_record(organisation_id).id,
        "now": clock.now(),
    }
    db.session.execute(
        text(
            "INSERT INTO customers (organisation_id, email, email_index, relay)"
            " SELECT :organisation, 'sealed', sha256(n::text::bytea), false FROM generate_series(1, :customers) n"
        ),
        given,
    )
    db.session.execute(
        text(
            "WITH first AS (SELECT min(id) AS id FROM customers WHERE organisation_id = :organisation)"
            " INSERT INTO calls (organisation_id, site_id, agent_id, customer_id, import_id, source, external_id,"
            " started_at, ended_at, received_at, answered, talk_seconds, internal, agent_uncertain)"
            " SELECT :organisation, :site, (CAST(:agents AS bigint[]))[1 + n % 50],"
            " first.id + (n * 7919) % :customers, :import, 'acd', 'call-' || n,"
            " :now - (n % 86400 + 240) * interval '1 second', :now - (n % 86400) * interval '1 second', :now,"
            " true, 200, false, false FROM generate_series(1, :count) n, first"
        ),
        given,
    )
    db.session.commit()
    db.session.execute(text("ANALYZE"))
    db.session.commit()
