"""What came of an organisation's surveys lately: how many answered, and how its dials and emails ended. Two queries."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from sqlalchemy import ColumnElement, func, select

from scheduler import spending
from scheduler.forecast.experience import EXPERIENCE_SINCE, Experience
from survey import clock
from survey.db import db
from survey.models import Attempt, AttemptState, Campaign, Channel, Disposition, Outcome, Survey


def answers(campaign: Campaign) -> tuple[dict[int | None, int], dict[int | None, int]]:
    """Of the organisation's surveys by such channels whose deadlines have passed lately: all, and complete ones."""
    rows = db.session.execute(
        select(
            Survey.agent_id,
            Survey.channels,
            func.count().label("settled"),
            func.count().filter(Survey.disposition == Disposition.COMPLETE).label("answered"),
        )
        .where(*_lately(campaign))
        .group_by(Survey.agent_id, Survey.channels)
    )
    wanted = _sequences(campaign)
    settled: Counter[int | None] = Counter()
    answered: Counter[int | None] = Counter()
    for row in rows:
        if tuple(row.channels) in wanted:
            settled[row.agent_id] += row.settled
            answered[row.agent_id] += row.answered
    return dict(settled), dict(answered)


def experience(campaign: Campaign) -> Experience:
    """What became of the attempts of these surveys, whatever their channels."""
    minutes = func.coalesce(func.sum(spending.WHOLE_MINUTES), 0)
    rows = db.session.execute(
        select(Attempt.channel, Attempt.outcome, func.count().label("ended"), minutes.label("minutes"))
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(*_lately(campaign), Attempt.state == AttemptState.ENDED)
        .group_by(Attempt.channel, Attempt.outcome)
    )
    ended: dict[tuple[Channel, Outcome], int] = {}
    paid: dict[Outcome, int] = {}
    for channel, outcome, count, minutes_paid in rows:
        assert outcome is not None, "whatever has ended has an outcome"
        ended[channel, outcome] = count
        if channel is Channel.IVR:
            paid[outcome] = int(minutes_paid)
    return Experience(ended, paid)


def _sequences(campaign: Campaign) -> set[tuple[str, ...]]:
    """What surveys of this campaign may have as their channels: its sequences, and what is left of them."""
    plans = [tuple(entry["channels"]) for entry in campaign.channel_plan]
    return {part for plan in plans for n in range(1, len(plan) + 1) for part in combinations(plan, n)}


def _lately(campaign: Campaign) -> list[ColumnElement[bool]]:
    now = clock.now()
    of_organisation = select(Campaign.id).where(Campaign.organisation_id == campaign.organisation_id)
    return [Survey.campaign_id.in_(of_organisation), Survey.deadline.between(now - EXPERIENCE_SINCE, now)]
