"""The past calls of a forecast, read from the database: counted there by what decides on them, and a part to replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer, and_, cast, func, literal_column, or_, select

from scheduler.circumstances import indexes_of
from scheduler.eligibility import CallFacts, Contacts, reason_against, usable_channels, why_not_called
from scheduler.forecast.days import Volume
from scheduler.forecast.replay import PastCall
from scheduler.frame import ORDER, of_kind
from scheduler.policy import NUMBER_REST
from survey.calendars import Calendar, day_start, deadline
from survey.db import db
from survey.models import Call, Campaign, Channel, Customer, DrawReason, OptOut, Site
from survey.questionnaire import spoken_language

# Customers are taken for the replay by the remainder of their ids, stirred a little: all calls of each, or none.
PARTS, STIRRED = 1_000_003, 7_919
# What any one of the campaign's channel sequences leaves of itself for a call, or why it may not be asked about.
Usable = Mapping[tuple[str, ...], tuple[Channel, ...] | DrawReason]
# What decides on a call beside its agent: the names of PastCalls._facts.
FACTS = (
    *("internal", "answered", "long_enough", "agent_uncertain", "phone_given", "email_given", "phone_out", "email_out"),
    *("consents", "faulty", "spoken"),
)
_decisive = attrgetter(*FACTS)
# Past calls are judged as if they had been handed in at once: long before the deadline.
_AT, _DEADLINE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 2, tzinfo=UTC)


@dataclass
class Counted:
    """The calls of the days looked back on: those that could have been asked about, and why the others could not.

    A call that could be asked about by some of the campaign's channel sequences only is counted by their shares.
    """

    calls: int = 0
    volume: Volume = field(default_factory=Volume)
    reasons: defaultdict[DrawReason, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


class PastCalls:
    """The calls of a campaign's sites, queues and topics, launched or not.

    `earlier` are the campaigns launched before it that could take some of them, `assigned` the agents on the roster for
    the days to come: a call of anybody else counts as one without an assignment.
    """

    def __init__(self, campaign: Campaign, earlier: Sequence[Campaign], assigned: Collection[int]) -> None:
        self._campaign, self._earlier, self._assigned = campaign, earlier, assigned
        self._sites: dict[int, tuple[str, Calendar]] = {s.id: (s.time_zone, s.calendar) for s in campaign.sites}
        self._judged: dict[tuple[Any, ...], Usable] = {}
        self._deadlines: dict[tuple[int, date], datetime] = {}

    def first_day(self, since: date, until: date) -> date | None:
        """The first of these days (`until` excluded) with a call; None when there is none."""
        first = [
            select(func.min(Call.ended_at)).where(at_site, *of_kind(self._campaign)).scalar_subquery()
            for at_site in self._at_sites(since, until)
        ]
        # One after the other: of one site, and without queues and topics, the index answers at once.
        moments = db.session.execute(select(*first)).one()
        zones = [ZoneInfo(zone) for zone, _ in self._sites.values()]
        days = [at.astimezone(zone).date() for at, zone in zip(moments, zones, strict=True) if at is not None]
        return min(days, default=None)

    def counted(self, since: date, until: date) -> Counted:
        """The calls of these days, grouped by the database by all that decides on them, and judged group by group."""
        local = func.timezone(Site.time_zone, Call.ended_at)
        weekday = cast(func.extract("isodow", local) - 1, Integer).label("weekday")
        columns = [Call.site_id, Call.agent_id, weekday, *self._facts(), *self._taken()]
        rows = db.session.execute(
            select(*columns, func.count().label("calls"))
            .join_from(Call, Site, Site.id == Call.site_id)
            .outerjoin(Customer, Customer.id == Call.customer_id)
            .where(*self._within(since, until))
            # By its place: an expression with parameters, written twice, is two to the database.
            .group_by(*(literal_column(str(n)) for n in range(1, len(columns) + 1)))
            .execution_options(yield_per=5000)
        )
        found = Counted()
        for row in rows:
            found.calls += row.calls
            self._count(row, found)
        return found

    def sample(self, since: date, until: date, share: Fraction) -> list[PastCall]:
        """All calls of about that share of the customers that could have been asked about, in the draw's order.

        With those of the 30 days before, which are not counted: they may put a customer, or a number, to rest.
        """
        begins = since - NUMBER_REST
        facts = self._facts()
        rows = db.session.execute(
            select(
                Call.id,
                Call.site_id,
                Call.agent_id,
                Call.customer_id,
                Call.source,
                Call.external_id,
                Call.ended_at,
                Customer.phone_index,
                Customer.email_index,
                *facts,
            )
            .join_from(Call, Customer, Customer.id == Call.customer_id)
            .where(
                *self._within(begins, until),
                Call.answered,
                ~Call.internal,
                (Call.customer_id % PARTS) * STIRRED % PARTS < int(share * PARTS),
            )
            .order_by(*ORDER)
        )
        return [call for row in rows for call in self._past_call(row, since)]

    def judge(self, row: Any) -> Usable:
        """By each of the campaign's channel sequences: what could be used of it for such a call, or why nothing."""
        has_agent, assigned = row.agent_id is not None, row.agent_id in self._assigned
        key = (has_agent, assigned, *_decisive(row))
        if key not in self._judged:
            plan = self._campaign.channel_plan
            sequences = [tuple(Channel(name) for name in entry["channels"]) for entry in plan]
            self._judged[key] = {
                tuple(entry["channels"]): self._verdict(row, sequence, has_agent, assigned)
                for entry, sequence in zip(plan, sequences, strict=True)
            }
        return self._judged[key]

    def _verdict(
        self, row: Any, sequence: tuple[Channel, ...], has_agent: bool, assigned: bool
    ) -> tuple[Channel, ...] | DrawReason:
        not_called = why_not_called(row.consents, self._campaign.calls_need_consent) is not None
        contacts = Contacts(
            phone=row.phone_given,
            email=row.email_given,
            phone_withheld=not_called or row.phone_out,
            email_withheld=row.email_out,
            faulty=row.faulty,
        )
        facts = CallFacts(
            internal=row.internal,
            answered=row.answered,
            talk_seconds=int(row.long_enough),
            min_talk_seconds=1,
            has_agent=has_agent,
            agent_uncertain=row.agent_uncertain,
            assigned=assigned,
            sequence=sequence,
            contacts=contacts,
            language=spoken_language(row.spoken, self._campaign.languages),
            deadline=_DEADLINE,
            decided_at=_AT,
        )
        return reason_against(facts) or tuple(usable_channels(sequence, contacts))

    def _count(self, row: Any, found: Counted) -> None:
        usable, eligible = self.judge(row), Fraction(0)
        for entry in self._campaign.channel_plan:
            verdict, calls = usable[tuple(entry["channels"])], Fraction(*entry["share"]) * row.calls
            if isinstance(verdict, DrawReason):
                found.reasons[verdict] += calls
            else:
                eligible += calls
        if not eligible:
            return
        mask = sum(1 << bit for bit in range(len(self._earlier)) if getattr(row, f"taken_{bit}"))
        found.volume.sites[row.site_id][mask][row.weekday] += eligible
        if row.agent_id is None:
            found.volume.uncertain[row.site_id][mask] += eligible
        else:
            found.volume.agents[row.agent_id][mask] += eligible

    def _past_call(self, row: Any, since: date) -> list[PastCall]:
        """The call, if it could have been asked about by any of the campaign's channel sequences."""
        usable = {
            sequence: () if isinstance(verdict, DrawReason) else verdict
            for sequence, verdict in self.judge(row).items()
        }
        if not any(usable.values()):
            return []
        zone, calendar = self._sites[row.site_id]
        day = row.ended_at.astimezone(ZoneInfo(zone)).date()
        closes_at = self._deadlines.get((row.site_id, day))
        if closes_at is None:
            closes_at = self._deadlines[row.site_id, day] = deadline(row.ended_at, calendar).closes_at
        return [
            PastCall(
                call_id=row.id,
                order=(row.ended_at, row.source, row.external_id),
                indexes=indexes_of(row),
                customer_id=row.customer_id,
                phone_index=row.phone_index,
                agent_id=row.agent_id,
                zone=zone,
                deadline=closes_at,
                usable=usable,
                counted=day >= since,
            )
        ]

    def _within(self, since: date, until: date) -> list[ColumnElement[bool]]:
        return [or_(*self._at_sites(since, until)), *of_kind(self._campaign)]

    def _at_sites(self, since: date, until: date) -> list[ColumnElement[bool]]:
        """The site's calls from the one day to before the other, as the site counts them; of each site."""
        return [
            and_(
                Call.site_id == site_id,
                Call.ended_at >= day_start(since, zone),
                Call.ended_at < day_start(until, zone),
            )
            for site_id, (zone, _) in self._sites.items()
        ]

    def _facts(self) -> list[ColumnElement[Any]]:
        """What decides on a call before chance does, in few values, so that many calls share them all."""
        out = select(OptOut.contact_index).where(
            OptOut.organisation_id == self._campaign.organisation_id, OptOut.removed_at.is_(None)
        )
        facts = (
            Call.internal,
            Call.answered,
            Call.talk_seconds >= self._campaign.min_talk_seconds,
            Call.agent_uncertain,
            Customer.phone_index.is_not(None),
            Customer.email_index.is_not(None),
            func.coalesce(Customer.phone_index.in_(out), False),
            func.coalesce(Customer.email_index.in_(out), False),
            Customer.consents_to_calls,
            Call.contact_fault.is_not(None),
            func.coalesce(func.nullif(Call.language, ""), Customer.language),
        )
        return [fact.label(name) for name, fact in zip(FACTS, facts, strict=True)]

    def _taken(self) -> list[ColumnElement[bool]]:
        """Whether each of the campaigns launched before could take the call, leaving aside its days."""
        return [
            and_(Call.site_id.in_([site.id for site in other.sites]), *of_kind(other)).label(f"taken_{bit}")
            for bit, other in enumerate(self._earlier)
        ]
