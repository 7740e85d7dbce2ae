"""One call's whole story in time order: what happened, what was decided and why, and what it counts for.

Contacts are shown masked, and the draw key never. What outside parts told us is shown by its kind and state, never
with the numbers it went between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import joinedload

from console import counting, words
from console.scope import Scope, found
from scheduler.explain import explain_plan
from scheduler.undecided import why_undecided
from survey import clock
from survey.calendars import Deadline, deadline
from survey.clock import iso
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import (
    Answer,
    Attempt,
    AttemptEvent,
    AttemptState,
    Call,
    Campaign,
    CampaignState,
    Draw,
    DrawReason,
    Outcome,
    Response,
    Site,
    Survey,
)
from survey.phones import masked, masked_email

# What an event's data may show; anything else a provider sent stays in the database.
SHOWN_OF_EVENTS = {"status": "State", "seconds": "Seconds", "sip": "SIP code", "error": "The provider's code"}
TWO_TO_64 = 2**64
HIGHEST_ID = 2**63 - 1
LONGEST_ID = len(str(HIGHEST_ID))
# After all else that happened in that moment.
PLAN_ORDER = 99


@dataclass(frozen=True)
class Moment:
    """One thing that happened. `order` keeps what shares a time in the order it must have come."""

    at: datetime
    order: int
    title: str
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    status: StrEnum | None = None
    late: bool = False


@dataclass(frozen=True)
class Page:
    """Everything the page of one call shows."""

    call: Call
    draw: Draw | None
    campaign: Campaign | None
    survey: Survey | None
    response: Response | None
    deadline: Deadline | None
    counting: counting.Counting | None
    phone: str | None
    email: str | None
    undecided: str | None
    moments: list[Moment] = field(default_factory=list)

    @property
    def zone(self) -> str:
        return self.call.site.time_zone

    @property
    def weight(self) -> Fraction | None:
        """What the survey weighs in a weighted rate: 1 over its frozen rate."""
        return 1 / self.survey.rate if self.survey else None

    @property
    def calendar_changed(self) -> bool:
        """Whether today's calendar would give another deadline than the one frozen at the draw."""
        return bool(self.survey and self.deadline and self.survey.deadline != self.deadline.closes_at)


def read(within: Scope, call_id: int) -> Page:
    """The story of a call. Raises NotFound, also for another organisation's."""
    call = _call(within, call_id)
    draw, survey, campaign, response = _fate(call_id)
    attempts = _attempts(survey)
    undecided = why_undecided(call) if draw is None else None
    moments = [*_of_call(call), *_of_draw(draw, campaign), *_of_survey(survey, response)]
    moments += [
        *_of_attempts(attempts, campaign),
        *_without_draw(undecided),
        *_of_events(attempts),
        *_of_answers(survey),
        *_of_the_plan(call_id),
    ]
    customer = call.customer
    return Page(
        call=call,
        draw=draw,
        campaign=campaign,
        survey=survey,
        response=response,
        deadline=deadline(call.ended_at, call.site.calendar) if survey else None,
        counting=counting.of(survey, bool(response and response.complete)) if survey else None,
        phone=masked(customer.phone) if customer and customer.phone else None,
        email=masked_email(customer.email) if customer and customer.email else None,
        undecided=undecided,
        moments=sorted(moments, key=lambda moment: (moment.at, moment.order)),
    )


def find(within: Scope, wanted: str, source: str | None = None, ours: bool = False) -> int:
    """Our number of the call that is meant by `wanted`: the telephone system's id of it, or our own number.

    With `source` only the first is meant, and only at that source; with `ours` only the second. Raises NotFound for no
    call, and Refused, with every choice, where several are meant.
    """
    if "\0" in wanted:
        raise InputError("the id contains a NUL byte", how="Type it anew.")
    meant: list[ColumnElement[bool]] = [] if ours else [Call.external_id == wanted]
    if source is None and wanted.isdecimal() and len(wanted) <= LONGEST_ID and int(wanted) <= HIGHEST_ID:
        meant.append(Call.id == int(wanted))
    calls = db.session.scalars(
        select(Call)
        .where(within.holds(Call.organisation_id), or_(false(), *meant))
        .options(joinedload(Call.site).joinedload(Site.organisation))
        .order_by(Call.id)
    ).all()
    if not calls:
        whose = "no such call: our numbers have no" if ours else "no such call: neither a source nor we have an id"
        raise NotFound(f"{whose} {wanted!r}", how="The console's calls page finds calls by day, agent and site.")
    at_source = [call for call in calls if source in (None, call.source)]
    if not at_source:
        known = ", ".join(sorted({call.source for call in calls}))
        raise NotFound(f"no such call: the source {source!r} has no id {wanted!r}", how=f"These have it: {known}.")
    if len(at_source) > 1:
        choices = "; ".join(f"--ours {call.id} for {named(call)}" for call in at_source)
        sources = ", ".join(sorted({call.source for call in at_source if call.external_id == wanted}))
        how = f"Name its source with --source ({sources}), or give our number: {choices}."
        raise Refused(f"the id {wanted!r} means {len(at_source)} calls", how=how)
    return at_source[0].id


def named(call: Call) -> str:
    """A call as people tell it from others."""
    where = f"{call.site.organisation.key}, {call.site.name}"
    return f"{call.external_id} of the source {call.source} ({where}, ended {iso(call.ended_at)})"


def _of_the_plan(call_id: int) -> Iterator[Moment]:
    """What comes next, or why nothing more was tried."""
    outlook = explain_plan(call_id, clock.now())
    if outlook is not None:
        yield Moment(outlook.at, PLAN_ORDER, outlook.title, outlook.text)


def _call(within: Scope, call_id: int) -> Call:
    call: Call = found(
        db.session.scalar(
            select(Call)
            .where(Call.id == call_id, within.holds(Call.organisation_id))
            .options(joinedload(Call.site), joinedload(Call.agent), joinedload(Call.customer))
        ),
        "call",
    )
    return call


def _fate(call_id: int) -> tuple[Draw | None, Survey | None, Campaign | None, Response | None]:
    row = db.session.execute(
        select(Draw, Survey, Campaign, Response)
        .join(Campaign, Campaign.id == Draw.campaign_id)
        .outerjoin(Survey, Survey.draw_id == Draw.id)
        .outerjoin(Response, Response.survey_id == Survey.id)
        .where(Draw.call_id == call_id)
        .options(joinedload(Survey.agent), joinedload(Survey.supervisor), joinedload(Survey.site))
    ).first()
    return (row[0], row[1], row[2], row[3]) if row else (None, None, None, None)


def _attempts(survey: Survey | None) -> list[Attempt]:
    if survey is None:
        return []
    return list(db.session.scalars(select(Attempt).where(Attempt.survey_id == survey.id).order_by(Attempt.ordinal)))


def _of_call(call: Call) -> Iterator[Moment]:
    yield Moment(call.started_at, 0, "The customer called")
    talk = f"{call.talk_seconds // 60} min {call.talk_seconds % 60:02d} s of conversation"
    yield Moment(call.ended_at, 1, "The call ended", talk if call.answered else "Nobody answered it.")
    if call.agent_uncertain:
        yield Moment(call.ended_at, 1, "Handled by more than one agent", counting.NOT_CERTAIN)
    handed = f"By the source {call.source}, under the id {call.external_id}."
    yield Moment(call.received_at, 2, "The call was handed to Aftercall", handed)


def _of_draw(draw: Draw | None, campaign: Campaign | None) -> Iterator[Moment]:
    if draw is None or campaign is None:
        return
    facts = (
        ("Campaign", campaign.name),
        ("Its number u", f"{int(draw.u)} ({int(draw.u) / TWO_TO_64:.6f} of 1)"),
        ("Rate in force", f"{draw.rate_numerator} in {draw.rate_denominator} ({words.percent(draw.rate)})"),
    )
    title = "Drawn to be asked" if draw.drawn else "Not drawn"
    status = None if draw.drawn or draw.reason is DrawReason.NOT_SELECTED else draw.reason
    why = words.say(draw.reason) if status is None else f"{words.say(draw.reason)} It was not eligible."
    yield Moment(draw.decided_at, 3, title, why, facts)


def _without_draw(undecided: str | None) -> Iterator[Moment]:
    if undecided is not None:
        yield Moment(clock.now(), PLAN_ORDER, "Not gone through a draw", undecided)


def _of_survey(survey: Survey | None, response: Response | None) -> Iterator[Moment]:
    if survey is None:
        return
    if survey.closed_at is None or survey.deadline > survey.closed_at:
        yield Moment(survey.deadline, 20, "Deadline", "What comes from here on is kept, and never counted.")
    if survey.closed_at is not None and survey.disposition is not None:
        text = words.why(survey.disposition)
        yield Moment(survey.closed_at, 30, "The survey closed", text, status=survey.disposition)
    if response is not None:
        text = "All three core answers." if response.complete else "Not all core answers."
        facts = tuple(
            (words.question(key), words.answer(str(value), key))
            for key, value in (
                ("resolved", response.resolved),
                ("overall", response.overall),
                ("agent", response.agent),
            )
            if value is not None
        )
        yield Moment(response.derived_at, 31, "The response was derived", text, facts)


def _of_attempts(attempts: Iterable[Attempt], campaign: Campaign | None) -> Iterator[Moment]:
    over = campaign is not None and campaign.state is CampaignState.CLOSED
    for attempt in attempts:
        name = f"Attempt {attempt.ordinal}, {words.say(attempt.channel).lower()}"
        if attempt.started_at:
            facts = (("Why then", attempt.reason),) if attempt.reason else ()
            yield Moment(attempt.started_at, 10, f"{name}: begun", facts=facts)
        elif attempt.state is not AttemptState.CANCELLED:
            text = "It will not take place: the campaign is closed." if over else attempt.reason
            yield Moment(attempt.due_at, 10, f"{name}: planned", text, status=attempt.state)
        if attempt.ended_at:
            yield _end_of(attempt, name)


def _end_of(attempt: Attempt, name: str) -> Moment:
    status: Outcome | AttemptState = attempt.outcome or attempt.state
    verb = "ended" if attempt.state is AttemptState.ENDED else "cancelled before it began"
    assert attempt.ended_at is not None
    return Moment(attempt.ended_at, 15, f"{name}: {verb}", attempt.detail or "", status=status)


def _of_events(attempts: list[Attempt]) -> Iterator[Moment]:
    if not attempts:
        return
    ordinals = {attempt.id: attempt.ordinal for attempt in attempts}
    events = db.session.scalars(
        select(AttemptEvent).where(AttemptEvent.attempt_id.in_(list(ordinals))).order_by(AttemptEvent.id)
    )
    for event in events:
        title = f"Attempt {ordinals[event.attempt_id]}: {event.kind.replace('_', ' ').replace('-', ' ')}"
        yield Moment(event.received_at, 12, title, facts=tuple(_shown(event.data)))


def _shown(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, str(data[key])) for key, name in SHOWN_OF_EVENTS.items() if data.get(key) not in (None, ""))


def _of_answers(survey: Survey | None) -> Iterator[Moment]:
    if survey is None:
        return
    for row in db.session.scalars(select(Answer).where(Answer.survey_id == survey.id).order_by(Answer.id)):
        facts = ((words.question(row.question), words.answer(row.value, row.question)),)
        after_close = survey.closed_at is not None and row.received_at > survey.closed_at
        text = "Came after the deadline: kept, not counted." if row.late else ""
        if after_close and not row.late:
            text = "Came after the survey was complete: history, not counted."
        yield Moment(row.received_at, 13, f"Answer over {words.say(row.channel).lower()}", text, facts, late=row.late)
