"""The draw as a statistician would try it: uniform, blind to everything but the key, weighted without bias, bounded.

Every seed is fixed, so each test always comes out the same. Thresholds are those that a right draw exceeds once in a
thousand keys; a draw that leans passes none of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise, product
from math import sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from certification.judging import Counts
from scheduler.decisions import Candidate, Eligible, decide
from scheduler.sampling import Numbers, is_drawn
from scheduler.targets import Wanted
from survey.models import DrawReason
from tests.scheduler import months
from tests.scheduler.months import Drawn, Person

KEYS = (b"k" * 32, bytes(32), bytes(range(32)))
WHOLE = 2**64
# Quantiles at 1 - 1/1000 of chi-square, by degrees of freedom, of Kolmogorov's distribution, and of a normal's size.
CHI_SQUARE = {15: 37.70, 40: 73.40, 99: 148.23, 255: 330.52, 287: 366.40}
KOLMOGOROV = 1.9495
NORMAL = 3.2905


def ids(count: int) -> Iterator[str]:
    """As telephone systems number their calls: one after the other, by the second, by agent and day."""
    for n in range(count // 3):
        yield str(n)
        yield f"{1_767_600_000 + n}.{n % 97}"
        yield f"agent{n % 40}/2026-{1 + n % 12:02d}-{1 + n % 28:02d}/{n}"


def chi_square(counts: list[int]) -> float:
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


# The numbers


@pytest.mark.parametrize("key", KEYS, ids=["k", "zeros", "counting"])
def test_numbers_are_uniform_from_their_first_bit_to_their_last(key: bytes) -> None:
    numbers = Numbers(key, "draw")
    us = sorted(numbers.of("pbx", one) for one in ids(60_000))
    for shift in (56, 28, 0):
        bytes_ = Counter(u >> shift & 255 for u in us)
        assert chi_square([bytes_[byte] for byte in range(256)]) < CHI_SQUARE[255]
    n = len(us)
    apart = max(max((i + 1) / n - u / WHOLE, u / WHOLE - i / n) for i, u in enumerate(us))
    assert apart * sqrt(n) < KOLMOGOROV


def test_one_number_says_nothing_about_the_next() -> None:
    numbers = Numbers(KEYS[0], "draw")
    us = [numbers.of("pbx", str(n)) for n in range(60_001)]
    tenths = Counter((10 * u // WHOLE, 10 * v // WHOLE) for u, v in pairwise(us))
    assert chi_square([tenths[cell] for cell in product(range(10), repeat=2)]) < CHI_SQUARE[99]


def test_one_key_says_nothing_about_another_nor_the_draw_about_the_channel() -> None:
    for one, other in (
        (Numbers(KEYS[0], "draw"), Numbers(KEYS[1], "draw")),
        (Numbers(KEYS[0], "draw"), Numbers(KEYS[0], "channel")),
    ):
        pairs = Counter((one.of("pbx", each) >> 62, other.of("pbx", each) >> 62) for each in ids(60_000))
        assert chi_square([pairs[cell] for cell in product(range(4), repeat=2)]) < CHI_SQUARE[15]


def test_who_is_drawn_depends_on_neither_agent_nor_hour() -> None:
    """288 cells of 24 agents and 12 hours, 500 calls in each, all of them drawn at one rate."""
    numbers, rate = Numbers(KEYS[0], "draw"), Fraction(3, 20)
    drawn = [
        sum(is_drawn(numbers.of("pbx", f"2026-03-12T{8 + hour:02d}-agent{agent}-{n}"), rate) for n in range(500))
        for agent, hour in product(range(24), range(12))
    ]
    assert chi_square(drawn) / (1 - rate) < CHI_SQUARE[287]
    calls = 500 * len(drawn)
    assert abs(sum(drawn) - calls * rate) < NORMAL * sqrt(calls * rate * (1 - rate))


# Rates that differ


@pytest.fixture(scope="module")
def centre() -> tuple[list[Person], list[Drawn]]:
    people = months.staff(11, 40)
    return people, [each for each in months.play(people, 11) if isinstance(each, Drawn)]


def test_every_rate_draws_its_share(centre: tuple[list[Person], list[Drawn]]) -> None:
    """Weighing 1 / rate, the drawn calls of each agent come to as many as the agent had, whatever the rates were."""
    people, drawn = centre
    off = []
    for one in people:
        own = [each.rate for each in drawn if each.agent is one]
        variance = sum((1 - rate) / rate**2 for rate in own)
        off.append(float((sum(1 / rate for rate in own) - one.calls) ** 2 / variance) if variance else 0.0)
    assert len({each.rate for each in drawn}) > 20
    assert len(off) == 40 and sum(off) < CHI_SQUARE[40]


# Weights

SMALL = Wanted(agent=25, supervisor=0, site=0, floor=Fraction(1, 25), ceiling=Fraction(1))
SEEDS = 200


def leaning() -> list[Person]:
    """Quiet agents do well and get a high rate; busy ones do badly and get a low one."""
    quiet = [Person(n, 0, 4, (0.3, 0.3), quality=0.95) for n in range(2)]
    return quiet + [Person(n, 0, 16, (0.3, 0.3), quality=0.6) for n in range(2, 4)]


def test_the_weighted_rate_is_unbiased_under_target_sampling_and_the_plain_one_is_not() -> None:
    """No customer calls twice. Over 200 keys the mean error is within three standard errors of 0.

    The same calls without their weights are off by more than twenty.
    """
    weighted, plain = [], []
    for seed in range(SEEDS):
        people = leaning()
        counts = Counts()
        for each in months.play(people, seed, SMALL):
            if isinstance(each, Drawn) and each.answered:
                counts += counted(each)
        truth = sum(one.willing_well for one in people) / sum(one.willing for one in people)
        assert counts.weighted_rate is not None and counts.rate is not None
        weighted.append(float(counts.weighted_rate) - truth)
        plain.append(float(counts.rate) - truth)
    assert abs(fmean(weighted)) < 3 * standard_error(weighted)
    assert standard_error(weighted) < 0.004  # it is not wide errors that hide a bias
    assert fmean(plain) > 20 * standard_error(plain)


def counted(each: Drawn) -> Counts:
    weight = 1 / each.rate
    well = int(each.world_class)
    return Counts(1, well, drawn=1, weighted_n=weight, weighted_k=well * weight)


def standard_error(errors: list[float]) -> float:
    return stdev(errors) / sqrt(len(errors))


# Customers who ring again

RATE = Fraction(1, 2)
WORKING_DAY, TOLD_AT, ASKED_AT = timedelta(hours=9), timedelta(hours=6), timedelta(hours=14)
QUARANTINE = timedelta(days=30)
BEGINS = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Ring:
    """One call of a customer: which, when it ended, and whether it was resolved, which is all that is asked here."""

    number: int
    customer: bytes
    ended_at: datetime
    resolved: bool

    @property
    def order(self) -> tuple[datetime, str, str]:
        return self.ended_at, "pbx", str(self.number)


def rings(chance: Random, days: int = 60, new_a_day: int = 110) -> list[Ring]:
    """Three in four calls are resolved. Of the others 40% ring again within hours or days, of the resolved ones 5%."""
    found: list[Ring] = []
    for first in range(days * new_a_day):
        at = BEGINS + timedelta(days=first // new_a_day) + WORKING_DAY + timedelta(seconds=chance.randrange(32_400))
        while at < BEGINS + timedelta(days=days):
            resolved = chance.random() < 0.75
            found.append(Ring(len(found), first.to_bytes(4, "big"), at, resolved))
            if chance.random() >= (0.05 if resolved else 0.4):
                break
            at += timedelta(hours=chance.choice((1, 2, 4, 24, 200)))
    return sorted(found, key=lambda ring: ring.order)


def survey_of(seed: int) -> tuple[Counts, Fraction]:
    """The counts of one key, as the draw decides every morning on the calls of the day before; and the true share.

    True is the share resolved of all calls that were in the frame: all but those in quarantine. A third answers.
    """
    chance, numbers = Random(f"rings {seed}"), Numbers(seed.to_bytes(32, "big"), "draw")
    calls = rings(chance)
    by_day = defaultdict(list)
    for ring in calls:
        by_day[(ring.ended_at - BEGINS - TOLD_AT).days + 1].append(ring)
    by_customer: defaultdict[bytes, list[Eligible]] = defaultdict(list)
    known: dict[int, Eligible] = {}
    reasons: dict[int, DrawReason] = {}
    for day in range(1, 62):
        at = BEGINS + timedelta(days=day) + TOLD_AT
        fresh = by_day[day]
        earlier = {each.call_id: each for ring in fresh for each in by_customer[ring.customer]}
        made = decide([candidate(ring, numbers) for ring in fresh], earlier.values(), at, QUARANTINE)
        reasons |= made.reasons
        for ring in fresh:
            drawn = made.reasons[ring.number] is DrawReason.DRAWN
            if drawn or made.reasons[ring.number] is DrawReason.NOT_SELECTED:
                asked_at = at - TOLD_AT + ASKED_AT if drawn and ring.number not in made.superseded else None
                known[ring.number] = Eligible(ring.number, ring.order, (ring.customer,), drawn, asked_at)
                by_customer[ring.customer].append(known[ring.number])
        for older in made.superseded:
            known[older].closed_at = at
    drawn = [each for each in known.values() if each.drawn]
    answered = [each.call_id for each in drawn if each.closed_at is None and chance.random() < 1 / 3]
    resolved = {ring.number: ring.resolved for ring in calls}
    well = sum(resolved[number] for number in answered)
    gave_way = sum(each.closed_at is not None for each in drawn)
    assert DrawReason.QUARANTINED in reasons.values(), "asked customers ring again, too"
    frame = [ring for ring in calls if reasons.get(ring.number) in (DrawReason.DRAWN, DrawReason.NOT_SELECTED)]
    truth = Fraction(sum(ring.resolved for ring in frame), len(frame))
    return Counts(len(answered), well, superseded=gave_way, drawn=len(drawn)), truth


def candidate(ring: Ring, numbers: Numbers) -> Candidate:
    return Candidate(ring.number, ring.order, (ring.customer,), numbers.of("pbx", str(ring.number)), RATE, None)


def test_with_customers_who_ring_again_the_truth_lies_between_the_rates_that_are_shown() -> None:
    """Superseding takes out unresolved calls more often, so the plain rate is too high: by this the bound is needed.

    The rate with superseded calls as failures is the bound below.
    """
    errors = []
    for seed in range(30):
        counts, truth = survey_of(seed)
        assert counts.rate is not None and counts.rate_with_superseded is not None
        assert counts.superseded_share is not None and counts.superseded_share > Fraction(1, 20)
        assert counts.rate_with_superseded <= truth <= counts.rate, seed
        errors.append(float(counts.rate - truth))
    assert fmean(errors) > 10 * standard_error(errors)
