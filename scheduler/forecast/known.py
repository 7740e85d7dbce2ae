"""What the settings to come will find already there, read: the campaign's calls and surveys, and the roster."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import case, func, null, select

from scheduler import outlook
from scheduler.forecast.weekly import Batch, Known
from scheduler.outlook import ANSWERS_SINCE, MOST_WEEKS, WEEK
from scheduler.rates import Rates
from survey import clock
from survey.db import db
from survey.models import Campaign, Disposition, Sampling, Survey


def known(
    campaign: Campaign, rates: Rates, agents: Collection[int], begins: datetime, until: date, first: date
) -> Known:
    """For a campaign whose calls come from the day `first`, begun at `begins`; those of before `until` are all in.

    With a fixed rate nothing is set, and nothing is read.
    """
    if campaign.sampling is not Sampling.TARGET:
        return Known()
    in_force = {agent_id: rates.in_force(agent_id, begins) for agent_id in agents}
    since = until - MOST_WEEKS * WEEK
    calls = {} if campaign.launched_at is None else outlook.calls_by_day(campaign, since, until)
    assigned = outlook.roster(campaign, since, max(campaign.ends_on, first) + WEEK)
    return Known(in_force, calls, _surveys(campaign), assigned)


def _surveys(campaign: Campaign) -> list[Batch]:
    now = clock.now()
    complete = Survey.disposition == Disposition.COMPLETE
    lately = case((Survey.deadline >= now - ANSWERS_SINCE, Survey.deadline), else_=null()).label("lately")
    rows = db.session.execute(
        select(
            Survey.agent_id,
            Survey.supervisor_id,
            Survey.site_id,
            lately,
            func.count().label("all"),
            func.count().filter(complete).label("complete"),
            func.count().filter(Survey.disposition.is_(None), Survey.deadline > now).label("open"),
        )
        .where(Survey.campaign_id == campaign.id)
        .group_by(Survey.agent_id, Survey.supervisor_id, Survey.site_id, "lately")
    )
    return [Batch(*row) for row in rows]
