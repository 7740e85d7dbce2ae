"""Changing a campaign after its launch: what may still be changed, what each change does, and from when.

The draw must not depend on what somebody prefers after a call has ended: which calls are asked about, by which channels
and with which questions is fixed at the launch. Contact may change at once; a rate only for calls still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, tuple_, update

from scheduler import campaign_plan
from scheduler.frame import meeting
from survey import audit, clock
from survey.calendars import day_start
from survey.db import db
from survey.errors import InputError, Refused
from survey.models import Campaign, CampaignState, Sampling, SamplingRate, Survey

# What a field may still change after the launch, and what that does.
CONTACT = "calls and emails not yet begun"
TARGETS = "how many surveys are wanted"
FUTURE_CALLS = "calls that end from then on"
NEXT_RATES = "rates when they are next set, on Monday or by flask campaigns rates"
LAST_DAY = "which is the last day whose calls are asked about"
NAMED = "what the campaign is called"
OPEN_FIELDS = {
    "name": NAMED,
    "ends_on": LAST_DAY,
    "rate": FUTURE_CALLS,
    **dict.fromkeys(("rate_floor", "rate_ceiling"), NEXT_RATES),
    **dict.fromkeys(("target_agent", "target_supervisor", "target_site"), TARGETS),
    **dict.fromkeys(("call_from", "call_until", "call_weekdays", "hours_by_weekday", "call_on_holidays"), CONTACT),
    **dict.fromkeys(("dials_per_survey", "dials_per_number", "ring_seconds", "caller_id", "caller_ids"), CONTACT),
    **dict.fromkeys(("machine_detection", "voicemail_message", "speech"), CONTACT),
    **dict.fromkeys(("calls_per_second", "live_calls", "emails_per_minute", "reminders", "spend_cap"), CONTACT),
}


TARGET_RATES = frozenset({"rate_floor", "rate_ceiling"})


@dataclass(frozen=True)
class Change:
    """One field of a launched campaign, as it was and as it is to be. `from_when` None: at once."""

    field: str
    before: Any
    after: Any
    from_when: datetime | None = None

    @property
    def touches(self) -> str:
        return OPEN_FIELDS[self.field]

    @property
    def told(self) -> tuple[str, str]:
        """The two values as people read them."""
        read = READ.get(self.field, told)
        return read(self.before), read(self.after)


def changes_of(campaign: Campaign, before: Mapping[str, Any], values: Mapping[str, Any], where: str) -> list[Change]:
    """What `values` would change of a launched campaign that is written down as `before`; nothing is changed yet.

    A rate is compared with the latest that was published. What the campaign breaks of rules made after it was is left
    alone, unless `values` name it. Raises InputError for a value that cannot be, and for a last day that is over;
    Refused for what stays fixed.
    """
    before = dict(before) | {"rate": _latest_rate(campaign)}
    old = campaign_plan.unchecked(before)
    left = [rule for rule in campaign_plan.broken(old) if values.keys().isdisjoint(rule)]
    new = campaign_plan.checked(written_anew(before, values), where, left=left)
    differing = [name for name in campaign_plan.CampaignPlan.model_fields if getattr(old, name) != getattr(new, name)]
    fixed = [name for name in differing if name not in OPEN_FIELDS]
    if fixed:
        raise Refused(
            f"{', '.join(fixed)} of campaign {campaign.key!r} cannot be changed: it is {campaign.state}, and its launch"
            " fixed which calls are asked about, and how",
            where=where,
            how="Close it and launch another one, or leave these fields out.",
        )
    if "rate" in differing and campaign.sampling is Sampling.TARGET:
        raise Refused(
            f"the rate of campaign {campaign.key!r} cannot be changed by hand: its rates are set week by week from what"
            " is missing",
            where=where,
            how="Change rate_floor, rate_ceiling or a target, then run flask campaigns rates.",
        )
    if "ends_on" in differing:
        _check_last_day(campaign, new.ends_on, where)
    at = next_day(campaign)
    return [Change(name, getattr(old, name), getattr(new, name), at if name == "rate" else None) for name in differing]


def written_anew(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The campaign as it was written down, with `values` in place of what was there.

    Whoever turns to a fixed rate need not say that floor and ceiling, which go with targets, are to go too.
    """
    left_out = TARGET_RATES if values.get("sampling") == Sampling.FIXED else frozenset()
    return {name: value for name, value in before.items() if name not in left_out} | dict(values)


def apply(campaign: Campaign, changes: Iterable[Change], *, actor: str) -> None:
    """Makes the changes; flushes, and notes each in the audit trail. The caller has locked the campaign."""
    made = list(changes)
    if not made:
        return
    columns = campaign_plan.columns_of({change.field: change.after for change in made if change.field != "rate"})
    for column, value in columns.items():
        setattr(campaign, column, value)
    for change in made:
        if change.field == "rate":
            _publish(campaign, change)
    if any(change.touches == CONTACT for change in made):
        _think_again(campaign)
    db.session.flush()
    audit.record(actor, "campaign changed", campaign, changes=[_noted(change) for change in made])


def _think_again(campaign: Campaign) -> None:
    """What was given up may go on: by more dials, longer hours, more money. The plan sees that nothing is doubled."""
    db.session.execute(
        update(Survey)
        .where(Survey.campaign_id == campaign.id, Survey.closed_at.is_(None))
        .values(plan_at=clock.now())
        .execution_options(synchronize_session=False)
    )


def next_day(campaign: Campaign, now: datetime | None = None) -> datetime:
    """When the next day begins at the last of the campaign's sites: from then on a rate changed now holds."""
    now = now or clock.now()
    return max(
        day_start(now.astimezone(ZoneInfo(site.time_zone)).date() + timedelta(days=1), site.time_zone)
        for site in campaign.sites
    ).astimezone(UTC)


def told(value: Any) -> str:
    """A value as people read it."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {told(one)}" for key, one in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(told(one) for one in value)
    return f"{value:%H:%M}" if hasattr(value, "hour") else str(value)


def _money(value: Fraction | None) -> str:
    return "none" if value is None else f"{int(value * 100) // 100:,}.{int(value * 100) % 100:02}"


def _ways(plan: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(f"{Fraction(*entry['share'])}: {', then '.join(entry['channels'])}" for entry in plan)


READ: Mapping[str, Callable[[Any], str]] = {"spend_cap": _money, "channel_plan": _ways}


def _latest_rate(campaign: Campaign) -> Fraction:
    """The rate for all that was published last, in force or still to come; else the campaign's own."""
    latest = db.session.scalars(
        select(SamplingRate)
        .where(SamplingRate.campaign_id == campaign.id, SamplingRate.agent_id.is_(None))
        .order_by(SamplingRate.in_force_from.desc(), SamplingRate.published_at.desc(), SamplingRate.id.desc())
        .limit(1)
    ).first()
    return campaign.rate if latest is None else latest.rate


def _check_last_day(campaign: Campaign, ends_on: date, where: str) -> None:
    """The last day cannot be one that is over, nor be moved once it is; nor can the campaign take days from others."""
    today = max(clock.now().astimezone(ZoneInfo(site.time_zone)).date() for site in campaign.sites)
    if ends_on < today:
        raise InputError(
            f"ends_on: {ends_on} is over; calls of later days may have been asked about already",
            where=where,
            how=f"Give {today} or a later day, or close the campaign.",
        )
    if campaign.ends_on < today:
        raise Refused(
            f"ends_on: the last day of campaign {campaign.key!r}, {campaign.ends_on}, is over already",
            where=where,
            how="Launch another campaign for the days to come.",
        )
    if ends_on > campaign.ends_on and (others := _launched_for_then(campaign, ends_on)):
        free = max(campaign.ends_on, min(other.starts_on for other in others) - timedelta(days=1))
        keys = ", ".join(other.key for other in others)
        raise Refused(
            f"ends_on: calls of days after {free} and up to {ends_on} at a site of this campaign are asked about by"
            f" {keys}, launched later; this one, being launched first, would take them",
            where=where,
            how=f"{'Keep' if free == campaign.ends_on else 'Give'} {free} or an earlier day, or close {keys}.",
        )


def _launched_for_then(campaign: Campaign, ends_on: date) -> list[Campaign]:
    """The campaigns launched later, open, at one of the sites, for days after this one's last."""
    return list(
        db.session.scalars(
            select(Campaign)
            .where(
                *meeting(campaign, campaign.ends_on + timedelta(days=1), ends_on),
                tuple_(Campaign.launched_at, Campaign.id) > tuple_(campaign.launched_at, campaign.id),
                Campaign.state != CampaignState.CLOSED,
            )
            .order_by(Campaign.key)
        )
    )


def _publish(campaign: Campaign, change: Change) -> None:
    rate: Fraction = change.after
    assert change.from_when is not None
    db.session.add(
        SamplingRate(
            campaign_id=campaign.id,
            numerator=rate.numerator,
            denominator=rate.denominator,
            in_force_from=change.from_when,
            published_at=clock.now(),
        )
    )


def _noted(change: Change) -> dict[str, Any]:
    from_when = "at once" if change.from_when is None else clock.iso(change.from_when)
    before, after = change.told
    return {"field": change.field, "before": before, "after": after, "from": from_when}
