"""A small contact centre for certification: people, a campaign, an announced period, surveys by the hundred."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert

from certification import assessments, programmes
from survey.calendars import deadline, table_version
from survey.clock import ManualClock
from survey.db import db
from survey.models import (
    Agent,
    Assessment,
    Assignment,
    Call,
    Campaign,
    Channel,
    Customer,
    Decision,
    Disposition,
    Draw,
    DrawKey,
    DrawReason,
    ImportRecord,
    Level,
    Organisation,
    Period,
    Programme,
    Response,
    Site,
    Supervisor,
    Survey,
)
from tests import factories

ANNOUNCED = datetime(2025, 12, 10, 12, tzinfo=UTC)
FIRST, LAST, DECIDED = date(2026, 1, 1), date(2026, 6, 30), date(2026, 7, 6)
DECISION_TIME = datetime(2026, 7, 6, 6, tzinfo=UTC)

# What a survey came to: disposition, then the core answers.
OUTCOMES: dict[str, tuple[Disposition, str | None, int | None, int | None]] = {
    "world_class": (Disposition.COMPLETE, "yes", 5, 5),
    "not_resolved": (Disposition.COMPLETE, "no", 5, 5),
    "unsure": (Disposition.COMPLETE, "unsure", 5, 5),
    "satisfied": (Disposition.COMPLETE, "yes", 4, 5),
    "agent_four": (Disposition.COMPLETE, "yes", 5, 4),
    "partial": (Disposition.PARTIAL, "yes", 5, None),
    "late": (Disposition.LATE, None, None, None),
    "superseded": (Disposition.SUPERSEDED, None, None, None),
    "silent": (Disposition.NO_ANSWER, None, None, None),
}


@dataclass
class World:
    """One organisation, announced for the first half of 2026 under sqm-2011 unless told otherwise."""

    clock: ManualClock
    organisation: Organisation
    sites: list[Site]
    campaign: Campaign
    programme: Programme
    record: ImportRecord
    caller: Customer
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def make(cls, clock: ManualClock, zones: Sequence[str] = ("America/New_York",), **given: Any) -> World:
        owner = factories.organisation(name="Acme Telecom")
        sites = [
            factories.site(organisation=owner, name=f"Site {n}", time_zone=zone) for n, zone in enumerate(zones, 1)
        ]
        campaign = factories.campaign(sites, **{"starts_on": date(2025, 11, 1), "ends_on": date(2027, 12, 31)} | given)
        programme = programmes.create(owner, "wcc", "World class calls", "sqm-2011", [campaign])
        return cls(
            clock,
            owner,
            sites,
            campaign,
            programme,
            factories.import_record(owner.id),
            factories.customer(owner.id),
        )

    @property
    def site(self) -> Site:
        return self.sites[0]

    def announce(self, first: date = FIRST, last: date = LAST, decided: date = DECIDED) -> Period:
        return programmes.announce(self.programme, first, last, decided)

    def supervisor(self, name: str = "Sue Pervisor") -> Supervisor:
        return factories.supervisor(self.organisation, name=name)

    def agent(self, leader: Supervisor | None = None, site: Site | None = None, **given: Any) -> Agent:
        return factories.agent(site or self.site, leader, **given)

    def assign(self, agent: Agent, site: Site, leader: Supervisor | None, first: date, end: date | None) -> None:
        """Adds an assignment; the one in force before ends on `first`."""
        for before in db.session.query(Assignment).filter_by(agent_id=agent.id, ends_on=None):
            before.ends_on = first
        db.session.add(
            Assignment(
                agent_id=agent.id,
                supervisor_id=None if leader is None else leader.id,
                site_id=site.id,
                starts_on=first,
                ends_on=end,
            )
        )
        db.session.flush()

    def ask(
        self,
        agent: Agent | None,
        leader: Supervisor | None = None,
        site: Site | None = None,
        *,
        day: date | None = None,
        at: datetime | None = None,
        rate: Fraction = Fraction(1, 2),
        campaign: Campaign | None = None,
        **outcomes: int,
    ) -> list[int]:
        """Closed surveys about calls of `agent`, so many of each outcome, spread over the period or all on `day`.

        Without an agent: about calls that several handled, nobody knows who last.
        """
        wanted = [name for name, number in outcomes.items() for _ in range(number)]
        site, campaign = site or self.site, campaign or self.campaign
        ends = [at or _at_noon(day or _spread(n, len(wanted)), site) for n in range(len(wanted))]
        calls = _ids(Call, [self._call(agent, site, end) for end in ends])
        key_id = db.session.query(DrawKey).filter_by(campaign_id=campaign.id).one().id
        draws = _ids(Draw, [_draw(call, campaign, rate, key_id) for call in calls])
        frozen = {
            "campaign_id": campaign.id,
            "customer_id": self.caller.id,
            "agent_id": None if agent is None else agent.id,
            "supervisor_id": None if leader is None else leader.id,
            "site_id": site.id,
            "rate_numerator": rate.numerator,
            "rate_denominator": rate.denominator,
            "calendar_version": table_version(),
            "language": "en",
            "channels": ["ivr"],
        }
        surveys = _ids(
            Survey,
            [
                frozen | _times(end, site) | {"call_id": call, "draw_id": draw, "disposition": OUTCOMES[name][0]}
                for call, draw, end, name in zip(calls, draws, ends, wanted, strict=True)
            ],
        )
        self._respond(surveys, wanted, ends)
        return surveys

    def decide(self, at: datetime = DECISION_TIME) -> list[Assessment]:
        self.clock.move_to(at)
        return assessments.decide_due()

    def _call(self, agent: Agent | None, site: Site, end: datetime) -> dict[str, Any]:
        return {
            "organisation_id": self.organisation.id,
            "site_id": site.id,
            "agent_id": None if agent is None else agent.id,
            "agent_uncertain": agent is None,
            "customer_id": self.caller.id,
            "import_id": self.record.id,
            "source": "test",
            "external_id": f"c{next(self.numbers)}",
            "started_at": end - timedelta(minutes=5),
            "ended_at": end,
            "received_at": end,
            "answered": True,
            "talk_seconds": 200,
        }

    def _respond(self, surveys: list[int], wanted: list[str], ends: list[datetime]) -> None:
        rows = [
            {
                "survey_id": survey,
                "complete": OUTCOMES[name][0] is Disposition.COMPLETE,
                **dict(zip(("resolved", "overall", "agent"), OUTCOMES[name][1:], strict=True)),
                "channel": Channel.IVR,
                "derived_at": end + timedelta(hours=1),
            }
            for survey, name, end in zip(surveys, wanted, ends, strict=True)
            if OUTCOMES[name][1] is not None
        ]
        if rows:
            db.session.execute(insert(Response), rows)


def of(made: Sequence[Assessment], subject: Agent | Supervisor | Site | Organisation) -> Assessment:
    """The assessment of that subject."""
    level = Level(type(subject).__name__.lower())
    return next(each for each in made if (each.level, each.subject_id) == (level, subject.id))


def passed(made: Sequence[Assessment], subject: Agent | Supervisor | Site | Organisation) -> bool:
    return of(made, subject).decision is Decision.CERTIFIED


def _at_noon(day: date, site: Site) -> datetime:
    return datetime.combine(day, time(12), ZoneInfo(site.time_zone)).astimezone(UTC)


def _spread(n: int, count: int) -> date:
    return FIRST + timedelta(days=n * 180 // max(count, 1))


def _draw(call: int, campaign: Campaign, rate: Fraction, key_id: int) -> dict[str, Any]:
    return {
        "call_id": call,
        "campaign_id": campaign.id,
        "draw_key_id": key_id,
        "u": Decimal(0),
        "rate_numerator": rate.numerator,
        "rate_denominator": rate.denominator,
        "drawn": True,
        "reason": DrawReason.DRAWN,
        "decided_at": campaign.launched_at,
    }


def _times(end: datetime, site: Site) -> dict[str, Any]:
    closes = deadline(end, site.calendar).closes_at
    return {"deadline": closes, "drawn_at": end, "closed_at": end + timedelta(hours=1)}


def _ids(model: Any, rows: list[dict[str, Any]]) -> list[int]:
    if not rows:
        return []
    return list(db.session.scalars(insert(model).returning(model.id, sort_by_parameter_order=True), rows))
