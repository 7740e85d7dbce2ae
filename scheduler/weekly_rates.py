"""Target sampling in rows: what has come in is read, rates are set (targets.py) and published for calls still to come.

Set once a week by the clockwork, and on demand. A rate holds from the start of the next day at the last of the
campaign's sites, so it is always published before the first call that it decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction

from sqlalchemy import insert, select

from scheduler.drawing import OPEN_TO_DRAW
from scheduler.outlook import Days, SoFar, agents_of, days_of, so_far
from scheduler.rates import Rates, rates_of
from scheduler.targets import Seen, Setting, Wanted, set_rates
from survey import audit, clock
from survey.db import db
from survey.errors import Refused
from survey.models import Campaign, Sampling, SamplingRate

NO_CALLS = "There are no calls of its agents that could be asked about"


@dataclass(frozen=True)
class WeeklyRates:
    """One setting: `setting` is None when there is nothing to go by, and `why_not` says why.

    `now` is each agent's rate at this moment; `changed` are the rates to come that differ from what is published.
    """

    days: Days
    setting: Setting | None = None
    now: Mapping[int, Fraction] = field(default_factory=dict)
    changed: Mapping[int, Fraction] = field(default_factory=dict)
    why_not: str | None = None


def due() -> list[Campaign]:
    """The campaigns whose rates have not been set this week. One query when there are none with targets."""
    campaigns = db.session.scalars(
        select(Campaign)
        .where(Campaign.sampling == Sampling.TARGET, Campaign.state.in_(OPEN_TO_DRAW))
        .order_by(Campaign.launched_at, Campaign.id)
    ).all()
    return [campaign for campaign in campaigns if is_due(campaign.rates_set_for, days_of(campaign))]


def set_if_due(campaign: Campaign) -> int:
    """Sets the rates unless that was done this week, by whatever machine; returns how many were published. Flushes."""
    _lock(campaign)
    if campaign.state not in OPEN_TO_DRAW or not is_due(campaign.rates_set_for, days_of(campaign)):
        return 0
    return len(publish(campaign, actor=audit.SERVICE).changed)


def publish(campaign: Campaign, *, actor: str) -> WeeklyRates:
    """Sets the rates now and publishes those that change. Flushes, and notes it in the audit trail.

    Said again with nothing new come in, it publishes nothing. Raises Refused as `work_out` does.
    """
    _lock(campaign)
    made = work_out(campaign)
    if made.setting is None:
        return made
    campaign.rates_set_for = made.days.monday
    if made.changed:
        at = clock.now()
        db.session.execute(
            insert(SamplingRate),
            [
                {
                    "campaign_id": campaign.id,
                    "agent_id": agent_id,
                    "numerator": rate.numerator,
                    "denominator": rate.denominator,
                    "in_force_from": made.days.in_force_from,
                    "published_at": at,
                }
                for agent_id, rate in made.changed.items()
            ],
        )
    db.session.flush()
    audit.record(
        actor,
        "sampling rates set",
        campaign,
        agents=len(made.setting.agents),
        changed=len(made.changed),
        in_force_from=clock.iso(made.days.in_force_from),
    )
    return made


def work_out(campaign: Campaign) -> WeeklyRates:
    """What setting the rates now would come to; nothing is changed.

    Raises Refused unless the campaign samples by targets, is launched, and not closed.
    """
    name = f"campaign {campaign.key!r}"
    if campaign.sampling is not Sampling.TARGET:
        raise Refused(
            f"{name} has a fixed rate", how='Only campaigns with sampling = "target" have rates set for them.'
        )
    if campaign.state not in OPEN_TO_DRAW:
        raise Refused(f"{name} is {campaign.state}", how="Rates are set while a campaign is launched and not closed.")
    days = days_of(campaign)
    if days.first > days.last:
        return WeeklyRates(days, why_not="No calls are to come: its last day is over, or is today.")
    if not days.weeks:
        starting = f"Until there is, the campaign's own rate, {campaign.rate}, holds for every agent."
        return WeeklyRates(days, why_not=f"There is not a whole week of calls yet to go by. {starting}")
    surveys = so_far(campaign)
    setting = setting_of(campaign, agents_of(campaign, days, surveys), surveys)
    if setting is None:
        return WeeklyRates(days, why_not=f"{NO_CALLS} from {days.since} on, so the rates stay as they are.")
    rates, now = rates_of(campaign), clock.now()
    return WeeklyRates(
        days,
        setting,
        {each.seen.agent_id: rates.in_force(each.seen.agent_id, now) for each in setting.agents},
        _changed(setting, rates, days.in_force_from),
    )


def setting_of(campaign: Campaign, agents: Sequence[Seen], surveys: SoFar) -> Setting | None:
    """The rates for these agents; None when no call was seen to go by, and the rates stay as they are."""
    if not any(seen.calls for seen in agents):
        return None
    return set_rates(agents, wanted_of(campaign), surveys.supervisors, surveys.sites)


def wanted_of(campaign: Campaign) -> Wanted:
    """What a campaign that samples by targets seeks, and between which rates."""
    return Wanted(
        campaign.target_agent,
        campaign.target_supervisor,
        campaign.target_site,
        campaign.rate_floor,
        campaign.rate_ceiling,
    )


def is_due(set_for: date | None, days: Days) -> bool:
    """Whether rates are to be set on these days, having been set last for the week of the Monday `set_for`."""
    over = set_for is not None and set_for >= days.monday
    return not over and bool(days.weeks) and days.first <= days.last


def _lock(campaign: Campaign) -> None:
    """One setting at a time, on whatever machine; what another one has just done is seen."""
    db.session.flush()
    db.session.refresh(campaign, with_for_update={"key_share": True, "of": Campaign})


def _changed(setting: Setting, rates: Rates, at: datetime) -> dict[int, Fraction]:
    return {
        each.seen.agent_id: each.rate for each in setting.agents if each.rate != rates.in_force(each.seen.agent_id, at)
    }
