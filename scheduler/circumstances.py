"""What the decisions on a set of calls rest on, read in a few queries: rates, assignments, calendars, opt-outs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, BindParameter, LargeBinary, any_, bindparam, select

from scheduler.decisions import Candidate
from scheduler.eligibility import CallFacts, Contacts, reason_against, usable_channels, why_not_called
from scheduler.frame import CallRow
from scheduler.rates import Rates, rates_of
from scheduler.sampling import Numbers, channel_sequence
from survey.calendars import Calendar, deadline
from survey.db import db
from survey.models import Assignment, Campaign, Channel, DrawKey, DrawReason, OptOut, Site
from survey.questionnaire import spoken_language


@dataclass(frozen=True)
class Credit:
    """Whom a survey is credited to, by their ids: the call's agent, and the supervisor and site of that day."""

    agent_id: int | None
    supervisor_id: int | None
    site_id: int


@dataclass(frozen=True)
class Judged:
    """A call with all that its decision, and its survey if it is drawn, are made of."""

    row: CallRow
    u: int
    rate: Fraction
    against: DrawReason | None
    assignment: Assignment | None
    sequence: tuple[Channel, ...]
    channels: tuple[Channel, ...]
    language: str | None
    deadline: datetime

    @property
    def candidate(self) -> Candidate:
        row = self.row
        order = (row.ended_at, row.source, row.external_id)
        return Candidate(row.id, order, indexes_of(row), self.u, self.rate, self.against)

    @property
    def credit(self) -> Credit:
        """Whom a survey about the call is credited to. Where nobody can tell who handled it last: its site alone."""
        if self.row.agent_uncertain:
            return Credit(None, None, self.row.site_id)
        if self.assignment is None:
            raise AssertionError("a call without an assignment is not eligible, so nobody is credited with it")
        return Credit(self.row.agent_id, self.assignment.supervisor_id, self.assignment.site_id)


class Circumstances:
    """The circumstances of `rows`, calls of one campaign (see frame.COLUMNS)."""

    def __init__(self, campaign: Campaign, key: DrawKey, rows: Sequence[CallRow]) -> None:
        self._campaign = campaign
        secret = bytes.fromhex(key.key_hex)
        self._draw_numbers, self._channel_numbers = Numbers(secret, "draw"), Numbers(secret, "channel")
        self._rates: Rates = rates_of(campaign)
        self._assignments = _assignments({row.agent_id for row in rows if row.agent_id is not None})
        self._optouts = _optouts(campaign.organisation_id, {index for row in rows for index in indexes_of(row)})
        self._deadlines: dict[tuple[int, date], datetime] = {}

    def judge(self, row: CallRow, at: datetime) -> Judged:
        """The call's number, rate and reason against it, as things stood at `at`."""
        calendar = self._calendars[row.site_id]
        day = row.ended_at.astimezone(ZoneInfo(calendar.zone)).date()
        spoken = row.language or row.customer_language
        sequence = self._sequence(row)
        assignment = self._assignment(row.agent_id, day)
        contacts = self._contacts(row, at)
        language = spoken_language(spoken, self._campaign.languages)
        closes_at = self._deadline(row, day, calendar)
        facts = CallFacts(
            internal=row.internal,
            answered=row.answered,
            talk_seconds=row.talk_seconds,
            min_talk_seconds=self._campaign.min_talk_seconds,
            has_agent=row.agent_id is not None,
            agent_uncertain=row.agent_uncertain,
            assigned=assignment is not None,
            sequence=sequence,
            contacts=contacts,
            language=language,
            deadline=closes_at,
            decided_at=at,
        )
        return Judged(
            row=row,
            u=self._draw_numbers.of(row.source, row.external_id),
            rate=self._rates.in_force(row.agent_id, row.ended_at),
            against=reason_against(facts),
            assignment=assignment,
            sequence=sequence,
            channels=tuple(usable_channels(sequence, contacts)),
            language=language,
            deadline=closes_at,
        )

    def _sequence(self, row: CallRow) -> tuple[Channel, ...]:
        plan = self._campaign.channel_plan
        # Where there is no choice, no number need be worked out: it would cost as much as the draw's.
        v = 0 if len(plan) == 1 else self._channel_numbers.of(row.source, row.external_id)
        return tuple(Channel(name) for name in channel_sequence(v, plan))

    @cached_property
    def _calendars(self) -> dict[int, Calendar]:
        sites = db.session.scalars(select(Site).where(Site.organisation_id == self._campaign.organisation_id))
        return {site.id: site.calendar for site in sites}

    def _deadline(self, row: CallRow, day: date, calendar: Calendar) -> datetime:
        known = self._deadlines.get((row.site_id, day))
        if known is None:
            known = self._deadlines[row.site_id, day] = deadline(row.ended_at, calendar).closes_at
        return known

    def _assignment(self, agent_id: int | None, day: date) -> Assignment | None:
        return next((found for found in self._assignments.get(agent_id, ()) if found.covers(day)), None)

    def _contacts(self, row: CallRow, at: datetime) -> Contacts:
        return Contacts(
            phone=row.phone_index is not None,
            email=row.email_index is not None,
            phone_withheld=why_not_called(row.consents_to_calls, self._campaign.calls_need_consent) is not None
            or self._opted_out(row.phone_index, at),
            email_withheld=self._opted_out(row.email_index, at),
            faulty=row.contact_fault is not None,
        )

    def _opted_out(self, index: bytes | None, at: datetime) -> bool:
        """Of what happens in the very instant of the draw, nothing counts: replay could not tell before from after."""
        spans = () if index is None else self._optouts.get(index, ())
        return any(since < at and (until is None or at <= until) for since, until in spans)


def indexes_of(row: CallRow) -> tuple[bytes, ...]:
    """The indexes of the contacts of a call's customer; two calls that share one are of the same customer."""
    return tuple(index for index in (row.phone_index, row.email_index) if index is not None)


def array_of(indexes: Iterable[bytes]) -> BindParameter[Any]:
    """The indexes as one array parameter: a list of parameters would end at 65,535 of them."""
    return bindparam(None, sorted(indexes), type_=ARRAY(LargeBinary))


def _assignments(agent_ids: set[int]) -> dict[int | None, list[Assignment]]:
    by_agent: dict[int | None, list[Assignment]] = defaultdict(list)
    for row in db.session.scalars(select(Assignment).where(Assignment.agent_id.in_(agent_ids))):
        by_agent[row.agent_id].append(row)
    return by_agent


def _optouts(organisation_id: int, indexes: set[bytes]) -> dict[bytes, list[tuple[datetime, datetime | None]]]:
    """Opt-outs of these contacts, those removed too: replay asks how things stood then."""
    spans: dict[bytes, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    rows = db.session.execute(
        select(OptOut.contact_index, OptOut.created_at, OptOut.removed_at).where(
            OptOut.organisation_id == organisation_id, OptOut.contact_index == any_(array_of(indexes))
        )
    )
    for index, since, until in rows:
        spans[index].append((since, until))
    return spans
