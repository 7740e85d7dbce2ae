"""Six months of a made-up contact centre, played over the pure parts alone: keyed numbers, targets, weekly settings."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from scheduler.sampling import Numbers, is_drawn
from scheduler.targets import Got, Seen, Setting, Wanted, set_rates, weeks_to_come

FIRST = date(2026, 1, 5)  # a Monday
DAYS = 182
DAYS_TO_ANSWER = 4
LOOK_BACK = 28
START = Fraction(1, 10)
SQM = Wanted(agent=25, supervisor=200, site=800, floor=Fraction(1, 100), ceiling=Fraction(1))


@dataclass
class Person:
    """An agent: calls on a working day, the share that answers when asked, at the first day and at the last."""

    number: int
    supervisor: int
    calls_a_day: int
    answers: tuple[float, float]
    first_day: int = 0
    quality: float = 0.75
    away: frozenset[int] = frozenset()
    calls: int = 0
    willing: int = 0  # calls whose customers would answer, drawn or not
    willing_well: int = 0  # world class ones among them
    chance: float = 0.0  # complete surveys to be expected had every call been drawn
    by_day: Counter[int] = field(default_factory=Counter)
    drawn_on: list[tuple[int, bool]] = field(default_factory=list)

    @property
    def complete(self) -> int:
        return sum(answered for _, answered in self.drawn_on)

    def answers_on(self, day: int) -> float:
        first, last = self.answers
        return first + (last - first) * day / DAYS

    def works(self, day: int) -> bool:
        return day >= self.first_day and day % 7 < 5 and day not in self.away


@dataclass(frozen=True)
class Drawn:
    """A drawn call: whose, at which rate, whether the customer answered, and whether the call was world class."""

    agent: Person
    day: int
    rate: Fraction
    answered: bool
    world_class: bool


def staff(seed: int, size: int = 60, team: int = 12) -> list[Person]:
    """A realistic mixture: 5 to 60 calls a day, 12 to 35% answering and drifting, days off, holidays, new agents."""
    chance = random.Random(f"staff {seed}")
    people = []
    for number in range(size):
        begins = chance.uniform(0.12, 0.35)
        ends = min(0.35, max(0.12, begins + chance.uniform(-0.08, 0.08)))
        away = {day for day in range(DAYS) if chance.random() < 0.04}
        for _ in range(2):
            week = chance.randrange(26)
            away |= set(range(7 * week, 7 * week + 7))
        people.append(
            Person(
                number,
                number // team,
                round(5 * 12 ** chance.random()),
                (begins, ends),
                first_day=0 if chance.random() < 0.8 else chance.randrange(DAYS - 14),
                quality=chance.uniform(0.6, 0.9),
                away=frozenset(away),
            )
        )
    return people


def play(people: Sequence[Person], seed: int, wanted: Wanted = SQM) -> Iterator[Drawn | Setting]:
    """The days one after the other: each drawn call as it falls, and each Monday's setting, in force on Tuesday."""
    numbers = Numbers(seed.to_bytes(32, "big"), "draw")
    chance = random.Random(f"answers {seed}")
    rates: dict[int, Fraction] = {}
    to_come: dict[int, Fraction] = {}
    for day in range(DAYS):
        rates, to_come = to_come or rates, {}
        if day % 7 == 0 and day >= 8:
            setting = set_rates(
                [seen_on(day, one) for one in people if one.first_day <= day + 1], wanted, *_groups(day, people)
            )
            to_come = {each.seen.agent_id: each.rate for each in setting.agents}
            yield setting
        for one in people:
            if one.works(day):
                yield from _calls(one, day, rates.get(one.number, START), numbers, chance)


def _calls(one: Person, day: int, rate: Fraction, numbers: Numbers, chance: random.Random) -> Iterator[Drawn]:
    today = max(0, round(chance.gauss(one.calls_a_day, one.calls_a_day**0.5)))
    one.calls += today
    one.by_day[day] = today
    one.chance += today * one.answers_on(day)
    for n in range(today):
        world_class = chance.random() < one.quality
        answered = chance.random() < one.answers_on(day)
        one.willing += answered
        one.willing_well += answered and world_class
        if is_drawn(numbers.of("pbx", f"{one.number}-{day}-{n}"), rate):
            one.drawn_on.append((day, answered))
            yield Drawn(one, day, rate, answered, world_class)


def seen_on(day: int, one: Person) -> Seen:
    """What a setting on the morning of `day` (a Monday) knows of the agent."""
    end = day - 1
    start = max(end - LOOK_BACK // 7 * 7, end - end // 7 * 7)
    settled = [answered for on, answered in one.drawn_on if on <= day - DAYS_TO_ANSWER and on > day - 56]
    left = weeks_to_come(FIRST + timedelta(day + 1), FIRST + timedelta(DAYS - 1), dict.fromkeys(range(5), 1))
    return Seen(
        one.number,
        one.supervisor,
        0,
        sum(one.by_day[n] for n in range(start, end)),
        Fraction(max(0, end - max(start, one.first_day)), 7),
        left,
        len(settled),
        sum(settled),
        _got(day, one),
    )


def _got(day: int, one: Person) -> Got:
    waiting = sum(1 for on, answered in one.drawn_on if on > day - DAYS_TO_ANSWER and not answered)
    return Got(sum(answered for _, answered in one.drawn_on), waiting)


def _groups(day: int, people: Sequence[Person]) -> tuple[dict[int, Got], dict[int, Got]]:
    by_supervisor: dict[int, Got] = {}
    whole = Got()
    for one in people:
        got = _got(day, one)
        by_supervisor[one.supervisor] = by_supervisor.get(one.supervisor, Got()) + got
        whole += got
    return by_supervisor, {0: whole}
