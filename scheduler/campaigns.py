"""A campaign's life: written down, launched with its key committed to, paused, resumed, closed with its key revealed.

Every step is audited. Of a launched campaign nothing can be changed that decides which calls are asked about: that must
not depend on what somebody prefers later (changes.py says what may be, and from when).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from scheduler import campaign_places, campaign_plan, changes, drawing
from scheduler.campaign_plan import CampaignPlan
from scheduler.changes import Change
from scheduler.drawing import DrawReport
from scheduler.frame import waits_for_draw
from scheduler.plan_faults import PlanFaults
from survey import attempts, audit, clock, turns
from survey.calendars import day_start, deadline
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import (
    Attempt,
    AttemptState,
    Campaign,
    CampaignState,
    DrawKey,
    Organisation,
    Programme,
    Site,
    Survey,
)

KEY_BYTES = 32
LAUNCHED = (CampaignState.SCHEDULED, CampaignState.ACTIVE, CampaignState.PAUSED)


def create(values: Mapping[str, Any], *, actor: str, where: str = "campaign") -> Campaign:
    """Makes a draft of `values` (the fields of CampaignPlan; organisation and sites by their keys). Flushes.

    Raises PlanFaults with every fault listed, an unknown organisation or site among them; Refused for a key in use,
    also where it differs from one only in case.
    """
    plan = campaign_plan.checked(values, where, campaign_places.unknown(values))
    organisation = campaign_places.organisation_of(plan.organisation)
    taken = db.session.scalars(
        select(Campaign.key)
        .where(Campaign.organisation_id == organisation.id, func.lower(Campaign.key) == plan.key.lower())
        .order_by(Campaign.key != plan.key)
    ).first()
    if taken is not None:
        same = "" if taken == plan.key else f", and {plan.key!r} is told from it by capital letters alone"
        raise Refused(f"campaign {taken!r} exists already{same}", where=where, how="Choose another key.")
    campaign = Campaign(organisation_id=organisation.id, **plan.columns())
    campaign.sites = campaign_places.sites_of(plan.sites, organisation)
    db.session.add(campaign)
    db.session.flush()
    audit.record(actor, "campaign created", campaign, key=campaign.key)
    return campaign


def create_from_file(path: Path, *, actor: str) -> Campaign:
    """Makes a draft of a TOML file. Raises as `create` does, naming the file."""
    return create(campaign_plan.read(path), actor=actor, where=str(path))


def change(campaign: Campaign, values: Mapping[str, Any], *, actor: str, where: str = "campaign") -> list[Change]:
    """Changes fields of a draft, or of a launched campaign what may still be changed; returns what that comes to.

    Organisation and key may be named, but stay; of a draft everything else may change. Raises InputError with every
    fault listed, Refused for a closed campaign or a field that is fixed at the launch.
    """
    _locked(campaign)
    before = _as_written(campaign)
    fixed = [name for name in ("organisation", "key") if values.get(name, before[name]) != before[name]]
    if fixed:
        raise InputError(f"{', '.join(fixed)} cannot be changed", where=where, how="Make another campaign.")
    if campaign.state is CampaignState.CLOSED:
        raise Refused(f"campaign {campaign.key!r} is closed", where=where, how="Launch another one.")
    if campaign.state is not CampaignState.DRAFT:
        made = _changes_of(campaign, before, values, where)
        changes.apply(campaign, made, actor=actor)
        return made
    anew = changes.written_anew(before, values)
    old, plan = campaign_plan.unchecked(before), campaign_plan.checked(anew, where, campaign_places.unknown(anew))
    for column, value in plan.columns().items():
        setattr(campaign, column, value)
    campaign.sites = campaign_places.sites_of(plan.sites, campaign.organisation)
    db.session.flush()
    audit.record(actor, "campaign changed", campaign, fields=sorted(values))
    differing = [name for name in CampaignPlan.model_fields if getattr(old, name) != getattr(plan, name)]
    return [Change(name, getattr(old, name), getattr(plan, name)) for name in differing]


def _changes_of(campaign: Campaign, before: Mapping[str, Any], values: Mapping[str, Any], where: str) -> list[Change]:
    """What `values` change of a launched campaign; where some are wrong, those that are fixed are told with them."""
    try:
        return changes.changes_of(campaign, before, values, where)
    except PlanFaults as found:
        told = f"is fixed since the launch (leave it out: the campaign is {campaign.state})"
        old, new = campaign_plan.sound(before), campaign_plan.sound(values)
        fixed = [name for name in new if name not in changes.OPEN_FIELDS and new[name] != old.get(name)]
        raise PlanFaults([*found.faults, *(f"{name}: {told}" for name in sorted(fixed))], where) from None


def delete(campaign: Campaign, *, actor: str) -> None:
    """Deletes a draft for good; the audit trail keeps that it was there. Flushes.

    Raises Refused for a campaign that was launched, and for one that a programme is made of.
    """
    _locked(campaign)
    if campaign.state is not CampaignState.DRAFT:
        how = (
            "" if campaign.state is CampaignState.CLOSED else f"Stop it for good: flask campaigns close {campaign.key}"
        )
        raise Refused(
            f"campaign {campaign.key!r} is {campaign.state}; only drafts can be deleted: the hash of its draw key is"
            " published, and whoever checks the draw needs its records",
            how=how,
        )
    programmes = db.session.scalars(
        select(Programme.key).where(Programme.campaigns.any(Campaign.id == campaign.id)).order_by(Programme.key)
    ).all()
    if programmes:
        raise Refused(
            f"campaign {campaign.key!r} belongs to programme {', '.join(programmes)}, whose frame is fixed",
            how="Leave the draft: it asks nobody until it is launched.",
        )
    audit.record(actor, "campaign deleted", campaign, key=campaign.key)
    db.session.delete(campaign)
    db.session.flush()


def change_from_file(campaign: Campaign, path: Path, *, actor: str) -> list[Change]:
    """Changes a campaign to what a TOML file says. Returns and raises as `change` does, naming the file."""
    return change(campaign, campaign_plan.read(path), actor=actor, where=str(path))


def launch(campaign: Campaign, *, actor: str, key: bytes | None = None) -> DrawKey:
    """Commits to the draw key and opens the campaign: calls that end from now on, on its days, are drawn. Flushes.

    `key` (32 bytes) is for repeatable demonstrations; without it a new secret one is made. Raises Refused unless the
    campaign is a draft with days left, InputError for a key of another length.
    """
    _locked(campaign)
    now = clock.now()
    _require(campaign, "launch", CampaignState.DRAFT)
    if now >= max(_day_start(campaign.ends_on + timedelta(days=1), site) for site in campaign.sites):
        raise Refused(
            f"campaign {campaign.key!r} has no days left", how="Change its days first: flask campaigns change."
        )
    key = secrets.token_bytes(KEY_BYTES) if key is None else key
    if len(key) != KEY_BYTES:
        raise InputError(f"a draw key of {len(key)} bytes", where="key", how=f"Give {KEY_BYTES} bytes.")
    campaign.launched_at = now
    campaign.state = CampaignState.ACTIVE if now >= begins_at(campaign) else CampaignState.SCHEDULED
    committed = DrawKey(
        campaign_id=campaign.id, sha256=hashlib.sha256(key).hexdigest(), key_hex=key.hex(), published_at=now
    )
    db.session.add(committed)
    db.session.flush()
    audit.record(actor, "campaign launched", campaign, key_sha256=committed.sha256)
    return committed


def pause(campaign: Campaign, *, actor: str) -> None:
    """Stops contact within a tick; calls are still drawn. Raises Refused unless the campaign is active."""
    _locked(campaign)
    how = ""
    if campaign.state is CampaignState.SCHEDULED:
        how = (
            f"It asks about no call before its first day, {campaign.starts_on}: pause it from then on, or close it for"
            f" good: flask campaigns close {campaign.key}"
        )
    _require(campaign, "pause", CampaignState.ACTIVE, how=how)
    campaign.state = CampaignState.PAUSED
    db.session.flush()
    audit.record(actor, "campaign paused", campaign)


def resume(campaign: Campaign, *, actor: str) -> None:
    """Goes on. What fell due meanwhile is planned anew, spread out. Raises Refused unless the campaign is paused."""
    _locked(campaign)
    _require(campaign, "resume", CampaignState.PAUSED)
    campaign.state = CampaignState.ACTIVE
    overdue = db.session.scalars(
        select(Survey.id)
        .join(Attempt, Attempt.survey_id == Survey.id)
        .where(Survey.campaign_id == campaign.id, Attempt.state == AttemptState.PLANNED, Attempt.due_at <= clock.now())
    ).all()
    attempts.cancel_waiting(overdue, "fell due while the campaign was paused")
    audit.record(actor, "campaign resumed", campaign)


def close(campaign: Campaign, *, actor: str) -> DrawReport:
    """Draws what has come in, then stops draw and contact for good. Open surveys run to their deadlines, links working.

    The key is revealed when the last of them has closed. Raises Refused unless the campaign is launched and not closed:
    the draw sees to it, and takes the locks in its own order. Refused too while a call cannot be decided, because its
    customer is just being called about another: closed, the campaign would leave it undecided for ever. Returns what
    was drawn.
    """
    if campaign.state is CampaignState.DRAFT:
        raise Refused(
            f"campaign {campaign.key!r} is a draft, which asks nobody",
            how=f"To be rid of it: flask campaigns delete {campaign.key}",
        )
    if campaign.state is CampaignState.CLOSED:
        raise Refused(f"campaign {campaign.key!r} is closed already")
    drawn = drawing.draw_campaign(campaign)
    if campaign.launched_at is not None and waits_for_draw(campaign, campaign.launched_at):
        raise Refused(
            f"campaign {campaign.key!r} has calls that cannot be decided yet: their customers are just being called",
            how="Try again in a few minutes.",
        )
    campaign.closed_at = clock.now()
    campaign.state = CampaignState.CLOSED
    db.session.flush()
    audit.record(actor, "campaign closed", campaign)
    return drawn


def begin_due() -> int:
    """Makes scheduled campaigns active whose first day has begun at a site; returns how many."""
    now = clock.now()
    due = [campaign for campaign in _scheduled() if now >= begins_at(campaign)]
    for campaign in due:
        _locked(campaign)
        if campaign.state is CampaignState.SCHEDULED:
            campaign.state = CampaignState.ACTIVE
            audit.record(audit.SERVICE, "campaign began", campaign)
    return len(due)


def close_ended() -> int:
    """Closes campaigns after their last day, once the deadline of that day's calls is over; returns how many.

    Not earlier: the last day's calls may come in only the next morning, and are to be drawn and asked about.
    """
    now = clock.now()
    over = db.session.scalars(
        select(Campaign)
        .where(Campaign.state.in_(LAUNCHED), Campaign.ends_on < now.date())
        .order_by(Campaign.launched_at, Campaign.id)
    ).all()
    due = [campaign for campaign in over if now >= settled_at(campaign)]
    return sum(_closed(campaign) for campaign in due)


def _closed(campaign: Campaign) -> bool:
    """Closes it, or leaves it to the next look while calls are coming in, or one cannot be decided."""
    if not turns.begin_draw(campaign.organisation_id, wait=False):
        return False
    try:
        close(campaign, actor=audit.SERVICE)
    except Refused:
        return False
    return True


def reveal_keys() -> int:
    """Reveals the keys of closed campaigns none of whose surveys is open any more; returns how many."""
    closed = select(Campaign.id).where(Campaign.state == CampaignState.CLOSED)
    still_open = select(Survey.id).where(Survey.campaign_id == DrawKey.campaign_id, Survey.closed_at.is_(None))
    keys = db.session.scalars(
        select(DrawKey)
        .where(DrawKey.revealed_at.is_(None), DrawKey.campaign_id.in_(closed), ~still_open.exists())
        .with_for_update(skip_locked=True)
    ).all()
    for key in keys:
        key.revealed_at = clock.now()
        audit.record(audit.SERVICE, "draw key revealed", key)
    db.session.flush()
    return len(keys)


def begins_at(campaign: Campaign) -> datetime:
    """When the campaign's first day begins, at the earliest of its sites."""
    return min(_day_start(campaign.starts_on, site) for site in campaign.sites)


def settled_at(campaign: Campaign) -> datetime:
    """When the deadline of the last day's calls is over at every site."""
    return max(deadline(_day_start(campaign.ends_on, site), site.calendar).closes_at for site in campaign.sites)


def next_change_at() -> datetime | None:
    """When the next scheduled campaign begins; None when none is scheduled."""
    return min((begins_at(campaign) for campaign in _scheduled()), default=None)


def find(name: str) -> Campaign:
    """The campaign called KEY or ORGANISATION/KEY. Raises NotFound, and InputError when KEY alone fits several."""
    owner, _, key = name.rpartition("/")
    query = select(Campaign).join(Organisation, Organisation.id == Campaign.organisation_id).where(Campaign.key == key)
    if owner:
        query = query.where(Organisation.key == owner)
    found = db.session.scalars(query.order_by(Campaign.id)).all()
    if not found:
        near = db.session.scalars(select(Campaign.key).where(func.lower(Campaign.key) == key.lower())).first()
        meant = f"Did you mean {near}? " if near not in (None, key) else ""
        raise NotFound(f"no campaign {name!r}", how=f"{meant}flask campaigns list shows them.")
    if len(found) > 1:
        raise InputError(f"several organisations have a campaign {key!r}", how="Name it as ORGANISATION/KEY.")
    return found[0]


def _scheduled() -> list[Campaign]:
    return list(db.session.scalars(select(Campaign).where(Campaign.state == CampaignState.SCHEDULED)))


def _day_start(day: date, site: Site) -> datetime:
    return day_start(day, site.time_zone).astimezone(UTC)


def _locked(campaign: Campaign) -> None:
    """One change at a time; the state is looked at afresh."""
    db.session.flush()
    db.session.refresh(campaign, with_for_update={"key_share": True, "of": Campaign})


def _require(campaign: Campaign, act: str, *states: CampaignState, how: str = "") -> None:
    if campaign.state not in states:
        allowed = " or ".join(states)
        raise Refused(
            f"campaign {campaign.key!r} is {campaign.state}; only {allowed} ones can be {act}{_ED[act]}", how=how
        )


_ED = {"launch": "ed", "pause": "d", "resume": "d"}


def _as_written(campaign: Campaign) -> dict[str, Any]:
    """The campaign's values as its file would give them."""
    names = set(CampaignPlan.model_fields) - {"organisation", "sites"}
    owner = {"organisation": campaign.organisation.key, "sites": [site.key for site in campaign.sites]}
    cap = None if campaign.spend_cap is None else Fraction(campaign.spend_cap, 100)
    return {name: getattr(campaign, name) for name in names} | owner | {"spend_cap": cap}
