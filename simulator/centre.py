"""Made-up contact centres: their people, and the calls of each day as their telephone systems would export them.

Two organisations: Harbour Insurance in the United States, good throughout, and Meadow Energy in the United Kingdom,
which fails in every way there is. Every agent has a true quality that Aftercall is not told; it can only find it out by
asking. All phone numbers are of ranges kept for fiction (555-01xx; +44 20 7946 0xxx), all addresses example.com.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from simulator.chance import Chance

US_AREA_CODES = (
    *(201, 202, 203, 205, 207, 212, 213, 214, 215, 216, 217, 219, 225, 229, 231, 239, 240, 248, 251, 252),
    *(253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312),
    *(313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 334, 336, 337, 339, 347, 351, 352, 360),
)
QUEUES = ("billing", "claims", "new customers", "technical help")
FIRST_NAMES = (
    *("Ruth", "Omar", "Ines", "Tom", "Asha", "Karl", "Lucy", "Ben", "Nora"),
    *("Ivan", "Mei", "Paul", "Zoe", "Luis", "Hana", "Sam", "Ella", "Noah"),
)


@dataclass(frozen=True)
class AgentProfile:
    """An agent: `quality` is the true percentage of world class calls, `share` the weight in the day's calls."""

    key: str
    name: str
    supervisor: str
    quality: int
    share: int = 10
    first_day: date | None = None


@dataclass(frozen=True)
class SiteProfile:
    """A site and the calls it takes on a working day."""

    key: str
    name: str
    time_zone: str
    country: str
    subdivision: str | None
    calls_a_day: int
    agents: tuple[AgentProfile, ...]

    @property
    def supervisors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(agent.supervisor for agent in self.agents))


@dataclass(frozen=True)
class OrganisationProfile:
    """An organisation, its sites, and how it asks: the sampling rate as a fraction."""

    key: str
    name: str
    country: str
    phone: str
    rate: str
    sites: tuple[SiteProfile, ...]


@dataclass(frozen=True)
class Experience:
    """What one call was like for the customer: the answers they would give, if asked."""

    external_id: str
    ended_at: datetime
    resolved: str
    overall: str
    agent: str


@dataclass(frozen=True)
class Person:
    """Somebody who calls: a phone, an email, or both."""

    number: int
    phone: str | None
    email: str | None
    language: str


@dataclass
class Memory:
    """What customers remember of their calls, by phone number and by email address."""

    by_contact: dict[str, list[Experience]] = field(default_factory=dict)

    def add(self, person: Person, experience: Experience) -> None:
        for contact in (person.phone, person.email):
            if contact:
                self.by_contact.setdefault(contact, []).append(experience)

    def latest(self, contact: str, at: datetime) -> Experience | None:
        """The latest call this contact remembers at that moment."""
        known = (e for e in reversed(self.by_contact.get(contact, ())) if e.ended_at <= at)
        return next(known, None)


@dataclass(frozen=True)
class CallRecord:
    """One row of a telephone system's export."""

    external_id: str
    site: str
    agent: str
    started_at: datetime
    answered: bool
    wait_seconds: int
    talk_seconds: int
    queue: str
    person: Person

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.wait_seconds + self.talk_seconds)


def organisations(first_day: date) -> tuple[OrganisationProfile, OrganisationProfile]:
    """The two organisations as they are when a period begins on `first_day`."""
    return _harbour(), _meadow(first_day)


def _harbour() -> OrganisationProfile:
    def team(site: str, supervisor: int, qualities: tuple[int, ...]) -> Iterator[AgentProfile]:
        for n, quality in enumerate(qualities, 1):
            key = f"{site}-{supervisor}{n}"
            yield AgentProfile(key, _agent_name(key), f"{site}-lead-{supervisor}", quality)

    boston = (*team("bos", 1, (90, 92, 88, 94, 91, 89, 93, 78)), *team("bos", 2, (88, 90, 92, 95, 87, 91, 90, 86)))
    denver = (*team("den", 1, (91, 89, 93, 90, 88, 92, 87, 94)), *team("den", 2, (92, 90, 88, 91, 93, 89, 95, 85)))
    return OrganisationProfile(
        "harbour",
        "Harbour Insurance",
        "US",
        "+1 212-555-0100",
        "1/4",
        (
            SiteProfile("boston", "Boston", "America/New_York", "US", "MA", 39, boston),
            SiteProfile("denver", "Denver", "America/Denver", "US", "CO", 39, denver),
        ),
    )


def _meadow(first_day: date) -> OrganisationProfile:
    """Strong agents pass, weak ones fail the rate, part-timers lack surveys, late starters lack months."""
    strong = tuple(AgentProfile(f"lee-1{n}", _agent_name(f"lee-1{n}"), "lee-lead-1", 93, 17) for n in range(1, 6))
    weak = tuple(AgentProfile(f"lee-2{n}", _agent_name(f"lee-2{n}"), "lee-lead-2", 52 + 3 * n, 15) for n in range(1, 7))
    part_time = tuple(AgentProfile(f"lee-3{n}", _agent_name(f"lee-3{n}"), "lee-lead-3", 90, 3) for n in range(1, 5))
    third_month = (first_day.replace(day=1) + timedelta(days=62)).replace(day=1)
    late = tuple(
        AgentProfile(f"lee-4{n}", _agent_name(f"lee-4{n}"), "lee-lead-3", 92, 28, third_month) for n in range(1, 4)
    )
    agents = (*strong, *weak, *part_time, *late)
    leeds = SiteProfile("leeds", "Leeds", "Europe/London", "GB", "ENG", 21, agents)
    return OrganisationProfile("meadow", "Meadow Energy", "GB", "+44 20 7946 0999", "1/4", (leeds,))


def _agent_name(key: str) -> str:
    """A first name, which is all that customers are told, and the key: no two of a site have the same."""
    team, place = int(key[-2]), int(key[-1])
    return f"{FIRST_NAMES[(team * 8 + place) % len(FIRST_NAMES)]} {key.upper()}"


class Centre:
    """One site at work: its customers, and what each day brings. The same seed gives the same days."""

    def __init__(self, organisation: OrganisationProfile, site: SiteProfile, chance: Chance, memory: Memory) -> None:
        self.organisation, self.site = organisation, site
        self._chance, self._memory = chance, memory
        self._zone = ZoneInfo(site.time_zone)

    def day(self, day: date) -> list[CallRecord]:
        """The calls of one local day, in the order they ended; customers remember them."""
        if day.weekday() == 6:
            return []
        count = self.site.calls_a_day if day.weekday() < 5 else self.site.calls_a_day // 4
        records = [self._call(day, n) for n in range(count)]
        for record in records:
            if record.answered:
                self._memory.add(record.person, self._experience(record))
        return sorted(records, key=lambda record: (record.ended_at, record.external_id))

    def live_call(self, number: int, at: datetime) -> CallRecord:
        """A call that has just ended, at `at` (aware), outside the days of the time-lapse."""
        record = self._record(f"{self.site.key}-live-{at:%Y%m%d%H%M%S}-{number}", at.astimezone(self._zone).date(), at)
        record = replace(record, started_at=record.started_at - (record.ended_at - at))
        self._memory.add(record.person, self._experience(record))
        return record

    def _call(self, day: date, n: int) -> CallRecord:
        external_id = f"{self.site.key}-{day:%Y%m%d}-{n:03d}"
        minute = self._chance.between(9 * 60, 17 * 60, external_id, "minute")
        local = datetime.combine(day, time(minute // 60, minute % 60), self._zone)
        return self._record(external_id, day, local.astimezone(UTC))

    def _record(self, external_id: str, day: date, started_at: datetime) -> CallRecord:
        ask = self._chance
        answered = not ask.happens(6, external_id, "unanswered")
        return CallRecord(
            external_id,
            self.site.key,
            self._agent(day, external_id).key,
            started_at,
            answered,
            ask.between(2, 90, external_id, "wait"),
            ask.between(45, 600, external_id, "talk") if answered else 0,
            ask.choice(QUEUES, external_id, "queue"),
            self._person(external_id),
        )

    def _agent(self, day: date, external_id: str) -> AgentProfile:
        here = [a for a in self.site.agents if a.first_day is None or a.first_day <= day]
        ticket = self._chance.number(external_id, "agent") % sum(agent.share for agent in here)
        for agent in here:
            ticket -= agent.share
            if ticket < 0:
                return agent
        raise AssertionError("shares add up")

    def _person(self, external_id: str) -> Person:
        """One of the site's customers: four in a hundred left no contact, ten no phone, ten no email."""
        ask = self._chance
        size = 990 if self.site.country == "GB" else 100 * len(US_AREA_CODES) // 2
        number = ask.number(external_id, "person") % size
        who = (self.site.key, number)
        reach = ask.percent(*who, "reach")
        phone = None if reach < 4 or 4 <= reach < 14 else self._phone(number)
        email = None if reach < 4 or 14 <= reach < 24 else f"{self.site.key}.{number}@example.com"
        spanish = self.site.country == "US" and ask.happens(15, *who, "language")
        return Person(number, phone, email, "es" if spanish else "en")

    def _phone(self, number: int) -> str:
        if self.site.country == "GB":
            return f"+44207946{number:04d}"
        half = 0 if self.site.key == "boston" else len(US_AREA_CODES) // 2
        return f"+1{US_AREA_CODES[half + number // 100]}55501{number % 100:02d}"

    def _experience(self, record: CallRecord) -> Experience:
        """What the call was like: world class as often as the agent's quality says, otherwise short of it somehow."""
        ask, key = self._chance, record.external_id
        quality = next(agent.quality for agent in self.site.agents if agent.key == record.agent)
        if ask.happens(quality, key, "world class"):
            answers = ("yes", "5", "5")
        else:
            answers = ask.choice(
                (("no", "2", "3"), ("no", "1", "1"), ("unsure", "3", "4"), ("yes", "4", "4"), ("yes", "4", "5")),
                key,
                "shortfall",
            )
        return Experience(key, record.ended_at, *answers)


CALL_COLUMNS = (
    "call_id",
    "site",
    "agent",
    "started_at",
    "answered",
    "wait_seconds",
    "talk_seconds",
    "queue",
    "language",
)
CONTACT_COLUMNS = ("call_id", "phone", "email", "language")


def write_export(records: list[CallRecord], calls: Path, contacts: Path) -> None:
    """Writes the day's export as a telephone system would: one file of calls, one of contacts by call id."""
    with calls.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CALL_COLUMNS)
        for r in records:
            row = (r.external_id, r.site, r.agent, r.started_at.isoformat(), "yes" if r.answered else "no")
            writer.writerow((*row, r.wait_seconds, r.talk_seconds, r.queue, r.person.language))
    with contacts.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CONTACT_COLUMNS)
        for r in records:
            writer.writerow((r.external_id, r.person.phone or "", r.person.email or "", r.person.language))


def write_roster(organisation: OrganisationProfile, path: Path, hired_on: date) -> None:
    """Writes the organisation's roster file: sites, supervisors, agents and their assignments."""
    lines = [
        "[organisation]",
        f'key = "{organisation.key}"',
        f'name = "{organisation.name}"',
        f'country = "{organisation.country}"',
        'language = "en"',
        f'phone = "{organisation.phone}"',
        'postal_address = "1 Example Street"',
        'privacy_url = "https://example.com/privacy"',
    ]
    for site in organisation.sites:
        lines += ["", "[[sites]]", f'key = "{site.key}"', f'name = "{site.name}"', f'time_zone = "{site.time_zone}"']
        lines += [f'country = "{site.country}"']
        lines += [f'subdivision = "{site.subdivision}"'] if site.subdivision else []
    for site in organisation.sites:
        for supervisor in site.supervisors:
            name = supervisor.replace("-lead-", " lead ").upper().replace("LEAD", "lead")
            lines += ["", "[[supervisors]]", f'key = "{supervisor}"', f'name = "{name}"', "listed = true"]
        for agent in site.agents:
            start = agent.first_day or hired_on
            lines += ["", "[[agents]]", f'key = "{agent.key}"', f'name = "{agent.name}"', "listed = true"]
            lines += ["[[agents.assignments]]", f'supervisor = "{agent.supervisor}"', f'site = "{site.key}"']
            lines += [f"from = {start.isoformat()}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
