"""Past calls replayed: drawn by made-up numbers, decided as the draw does, and asked by the plan's own rules.

Pure. The numbers come from a key of the forecast's own, which everybody can read below: they say nothing of whom a
campaign's secret key will draw. The calls are played in several rounds, each with other numbers, and averaged.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from scheduler import hours
from scheduler.decisions import Candidate, Eligible, Order, decide
from scheduler.forecast.experience import Experience
from scheduler.policy import NUMBER_REST, Dial, Mail, Nothing, SurveyFacts, Tried, Wait, next_step
from scheduler.sampling import Numbers, channel_sequence, is_drawn
from survey.models import AttemptState, Channel, DrawReason, Outcome

SEED = "forecast"
# A survey has few steps: dials, an email, a reminder and the waits between. More would be a plan that goes in circles.
MOST_STEPS = 60
# Surveys enough that shares hold to a percent or two, and no more rounds or numbers than take a second or so.
SURVEYS_WANTED, MOST_ROUNDS, MOST_NUMBERS = 1500, 40, 150_000
RINGING = timedelta(seconds=30)
OVER_AT_ONCE = (Outcome.COMPLETED, Outcome.OPTED_OUT)


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that could have been asked about. `usable`: what is left of each channel sequence for this customer.

    `counted` is false for a call before the days looked back on: it is there for its customer's rest between surveys.
    """

    call_id: int
    order: Order
    indexes: tuple[bytes, ...]
    customer_id: int
    phone_index: bytes | None
    agent_id: int | None
    zone: str
    deadline: datetime
    usable: Mapping[tuple[str, ...], tuple[Channel, ...]]
    counted: bool

    @property
    def ended_at(self) -> datetime:
        return self.order[0]


@dataclass(frozen=True)
class Rules:
    """What of a campaign decides on a replay."""

    channel_plan: Sequence[Mapping[str, Any]]
    quarantine: timedelta
    window: hours.Window
    dials_per_survey: int
    dials_per_number: int
    reminders: int


@dataclass
class Load:
    """What the replay came to, over all rounds; of the counted calls only.

    `dials_at` by the hour of the customer's day, `dials_in` by weekday (Monday = 0) and hour in UTC.
    """

    rounds: int = 0
    eligible: int = 0
    quarantined: int = 0
    surveys: int = 0
    superseded: int = 0
    dials: int = 0
    mails: int = 0
    minutes: Fraction = Fraction(0)
    dials_at: Counter[int] = field(default_factory=Counter)
    dials_in: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def quarantined_share(self) -> Fraction:
        return Fraction(self.quarantined, self.eligible) if self.eligible else Fraction(0)

    def each(self, count: int | Fraction) -> Fraction:
        """So many a survey."""
        return Fraction(count) / self.surveys if self.surveys else Fraction(0)


@dataclass(frozen=True)
class _Event:
    """An attempt that the replay made."""

    channel: Channel
    at: datetime
    outcome: Outcome


@dataclass(slots=True)
class _Asked:
    """A drawn call and what was tried for it."""

    call: PastCall
    eligible: Eligible
    events: list[_Event]


Rate = Callable[[PastCall], Fraction]


def rounds_for(calls: Sequence[PastCall], rate_of: Rate) -> int:
    """How many rounds bring surveys enough."""
    drawn = sum((rate_of(call) for call in calls if call.counted), Fraction(0))
    wanted = SURVEYS_WANTED if not drawn else int(SURVEYS_WANTED / drawn) + 1
    return max(1, min(wanted, MOST_ROUNDS, MOST_NUMBERS // max(1, len(calls))))


def might_be_asked(calls: Sequence[PastCall], rate_of: Rate, rounds: int) -> set[int]:
    """The customers of whose calls some fall below the rate in some round, by id; nobody else's phone would ring."""
    found = set()
    for n in range(rounds):
        numbers = _numbers(n, "draw")
        found |= {call.customer_id for call in calls if is_drawn(numbers.of(*call.order[1:]), rate_of(call))}
    return found


def play(
    calls: Sequence[PastCall],
    rules: Rules,
    rate_of: Rate,
    experience: Experience,
    phones: Mapping[int, str],
    rounds: int,
) -> Load:
    """Replays the calls, which are in the draw's order; `phones` by customer id, of all that might be asked.

    Each call is taken to be handed in and decided the moment it ends.
    """
    load = Load(rounds=rounds)
    for n in range(rounds):
        _Round(n, rules, experience, phones, load).play(calls, rate_of)
    return load


class _Round:
    def __init__(
        self, number: int, rules: Rules, experience: Experience, phones: Mapping[int, str], load: Load
    ) -> None:
        self._number, self._rules, self._experience = number, rules, experience
        self._phones, self._load = phones, load
        self._draw, self._split = _numbers(number, "draw"), _numbers(number, "channel")
        self._by_index: dict[bytes, list[_Asked]] = defaultdict(list)
        self._made = 0

    def play(self, calls: Iterable[PastCall], rate_of: Rate) -> None:
        asked: list[_Asked] = []
        for call in calls:
            channels = self._channels(call)
            if not channels:
                continue
            self._load.eligible += call.counted
            one = self._decided(call, channels, rate_of(call))
            if one is not None:
                asked.append(one)
        for one in asked:
            if one.call.counted:
                self._note(one)

    def _channels(self, call: PastCall) -> tuple[Channel, ...]:
        plan = self._rules.channel_plan
        v = 0 if len(plan) == 1 else self._split.of(*call.order[1:])
        return call.usable[tuple(channel_sequence(v, plan))]

    def _decided(self, call: PastCall, channels: tuple[Channel, ...], rate: Fraction) -> _Asked | None:
        """The call's survey, if it has one. Drawn calls of its customer may put it to rest, or be superseded by it."""
        u = self._draw.of(*call.order[1:])
        found = {one.call.call_id: one for index in call.indexes for one in self._by_index.get(index, ())}
        if not found and not is_drawn(u, rate):
            return None
        candidate = Candidate(call.call_id, call.order, call.indexes, u, rate, None)
        known = [one.eligible for one in found.values()]
        decisions = decide([candidate], known, call.ended_at, self._rules.quarantine)
        for older in decisions.superseded:
            self._supersede(found[older], call.ended_at)
        reason = decisions.reasons[call.call_id]
        if reason is DrawReason.QUARANTINED:
            self._load.quarantined += call.counted
        return self._ask(call, channels) if reason is DrawReason.DRAWN else None

    def _supersede(self, older: _Asked, at: datetime) -> None:
        older.events.clear()
        older.eligible.asked_at, older.eligible.closed_at = None, at
        self._load.superseded += older.call.counted

    def _ask(self, call: PastCall, channels: tuple[Channel, ...]) -> _Asked:
        self._made += 1
        chance = random.Random(f"{SEED} {self._number} {call.order[1]} {call.order[2]}")  # noqa: S311  (to be repeated)
        facts = SurveyFacts(
            survey_id=self._made,
            now=call.ended_at,
            deadline=call.deadline,
            channels=channels,
            phone=self._phones.get(call.customer_id) if call.phone_index is not None else None,
            site_zone=call.zone,
            window=self._rules.window,
            dials_per_survey=self._rules.dials_per_survey,
            dials_per_number=self._rules.dials_per_number,
            number_dials=self._dials_before(call),
            reminders=self._rules.reminders,
        )
        events = _asked_by_plan(facts, self._experience, chance)
        asked_at = events[0].at if events else None
        eligible = Eligible(call.call_id, call.order, call.indexes, True, asked_at, None, call.deadline)
        one = _Asked(call, eligible, events)
        for index in call.indexes:
            self._by_index[index].append(one)
        return one

    def _dials_before(self, call: PastCall) -> tuple[datetime, ...]:
        """Of the last 30 days, to the same number; those still planned count too, as they will have been made."""
        if call.phone_index is None:
            return ()
        dials = (event for one in self._by_index.get(call.phone_index, ()) for event in one.events)
        since = call.ended_at - NUMBER_REST
        return tuple(sorted(event.at for event in dials if event.channel is Channel.IVR and event.at > since))

    def _note(self, one: _Asked) -> None:
        load = self._load
        load.surveys += 1
        for event in one.events:
            if event.channel is Channel.WEB:
                load.mails += 1
                continue
            zone = hours.local_zone(self._phones[one.call.customer_id], one.call.zone)
            load.dials += 1
            load.minutes += self._experience.minutes_of(event.outcome)
            load.dials_at[event.at.astimezone(ZoneInfo(zone)).hour] += 1
            load.dials_in[event.at.weekday(), event.at.hour] += 1


def _asked_by_plan(facts: SurveyFacts, experience: Experience, chance: random.Random) -> list[_Event]:
    """The attempts that the plan makes for a survey, each ending by chance. A silent link stays open."""
    events: list[_Event] = []
    for _ in range(MOST_STEPS):
        step = next_step(facts)
        match step:
            case Nothing():
                break
            case Wait(plan_at):
                facts = replace(facts, now=plan_at)
            case Dial(due_at):
                outcome = experience.picked(Channel.IVR, chance)
                events.append(_Event(Channel.IVR, due_at, outcome))
                ended_at = due_at + RINGING
                dial = Tried(Channel.IVR, AttemptState.ENDED, outcome, due_at, due_at, ended_at)
                facts = replace(facts, now=ended_at, tried=(*facts.tried, dial))
                facts = replace(facts, number_dials=tuple(sorted((*facts.number_dials, due_at))))
            case Mail(due_at, _, reminds_of):
                outcome = experience.picked(Channel.WEB, chance)
                events.append(_Event(Channel.WEB, due_at, outcome))
                facts = replace(
                    facts, now=due_at, tried=(*_closed(facts.tried, reminds_of), _mail(facts, step, outcome))
                )
        if events and events[-1].outcome in OVER_AT_ONCE:
            break
    return events


def _closed(tried: Sequence[Tried], attempt_id: int | None) -> list[Tried]:
    """The attempts, the link of that one ended as silence, as planning.py does when a reminder follows."""
    return [
        replace(one, state=AttemptState.ENDED, outcome=Outcome.SILENCE, ended_at=one.started_at)
        if attempt_id is not None and one.attempt_id == attempt_id
        else one
        for one in tried
    ]


def _mail(facts: SurveyFacts, step: Mail, outcome: Outcome) -> Tried:
    number = len(facts.tried) + 1
    if outcome is Outcome.SILENCE:
        return Tried(Channel.WEB, AttemptState.UNDERWAY, None, step.due_at, step.due_at, attempt_id=number)
    return Tried(Channel.WEB, AttemptState.ENDED, outcome, step.due_at, step.due_at, step.due_at, attempt_id=number)


def _numbers(number: int, purpose: Any) -> Numbers:
    return Numbers(f"{SEED} {number}".encode(), purpose)
