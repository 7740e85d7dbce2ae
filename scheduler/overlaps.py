"""Campaigns that could ask about the same calls, and which of them has those: the one launched first, drawn or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from scheduler.frame import meeting
from survey.db import db
from survey.models import Campaign, CampaignState, Site

MOST_NAMED = 10


class Owner(StrEnum):
    """Whose the calls are that both campaigns could ask about."""

    THIS = "this"
    OTHER = "other"
    FIRST_LAUNCHED = "first_launched"


@dataclass(frozen=True)
class Overlap:
    """Another campaign with calls in common: at `sites`, on the days from `first` to `last`, both included."""

    other: Campaign
    owner: Owner
    sites: tuple[Site, ...]
    first: date
    last: date

    @property
    def verdict(self) -> str:
        """Who has the calls, in plain words."""
        name = self.other.key
        if self.owner is Owner.OTHER:
            return f"{name} was launched first and has them, drawn or not"
        if self.owner is Owner.THIS:
            return f"this campaign has them, drawn or not; {name} {_gets(self.other)}"
        return "neither is launched yet, and whichever is launched first has them"

    def as_dict(self) -> dict[str, Any]:
        """As plain values; `told` says it in a sentence."""
        return {
            "campaign": self.other.key,
            "state": self.other.state.value,
            "calls_of": self.owner.value,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "sites": [site.key for site in self.sites],
            "told": self.told(),
        }

    def told(self, some: str = "") -> str:
        """The overlap in a sentence; `some` may say how many calls."""
        sites = ", ".join(site.name for site in self.sites)
        return (
            f"Calls from {self.first} to {self.last} at {sites} could be asked about by campaign {self.other.key}"
            f" too{some}: {self.verdict}."
        )


def sentences(found: Sequence[Overlap]) -> list[tuple[str, list[str]]]:
    """The overlaps told one by one, but several drafts together, each sentence with the keys of its campaigns."""
    drafts = [one for one in found if one.other.launched_at is None]
    if len(drafts) < 2:
        return [(one.told(), [one.other.key]) for one in found]
    launched = [(one.told(), [one.other.key]) for one in found if one.other.launched_at is not None]
    return [*launched, (_of_drafts(drafts), [one.other.key for one in drafts])]


def _of_drafts(drafts: Sequence[Overlap]) -> str:
    keys = [one.other.key for one in drafts]
    named = f"{len(keys)} drafts ({', '.join(keys[:MOST_NAMED])}{', ...' if keys[MOST_NAMED:] else ''})"
    sites = ", ".join(dict.fromkeys(site.name for one in drafts for site in one.sites))
    first, last = min(one.first for one in drafts), max(one.last for one in drafts)
    ours = drafts[0].owner is Owner.THIS
    whose = "this campaign has them, drawn or not" if ours else "whichever campaign is launched first has them"
    return f"Calls from {first} to {last} at {sites} could be asked about by {named} too: {whose}."


def overlaps(campaign: Campaign) -> list[Overlap]:
    """The other campaigns that are not closed and share sites, days, queues and topics with this one.

    Empty for a closed one. Those that have the calls come first.
    """
    if campaign.state is CampaignState.CLOSED:
        return []
    ours = {site.id for site in campaign.sites}
    others = db.session.scalars(
        select(Campaign)
        .where(
            *meeting(campaign, campaign.starts_on, campaign.ends_on),
            Campaign.id != campaign.id,
            Campaign.state != CampaignState.CLOSED,
        )
        .options(selectinload(Campaign.sites))
        .order_by(Campaign.launched_at.nulls_last(), Campaign.id)
    )
    found = [
        Overlap(
            other,
            _owner(campaign, other),
            tuple(site for site in other.sites if site.id in ours),
            max(campaign.starts_on, other.starts_on),
            min(campaign.ends_on, other.ends_on),
        )
        for other in others
        if _meet(campaign.queues, other.queues) and _meet(campaign.topics, other.topics)
    ]
    return sorted(found, key=lambda one: one.owner is not Owner.OTHER)


def _owner(campaign: Campaign, other: Campaign) -> Owner:
    """By the order of the launches, as frame.py has it; a draft comes after whatever is launched."""
    if campaign.launched_at is None and other.launched_at is None:
        return Owner.FIRST_LAUNCHED
    if campaign.launched_at is None or other.launched_at is None:
        return Owner.THIS if other.launched_at is None else Owner.OTHER
    earlier = (other.launched_at, other.id) < (campaign.launched_at, campaign.id)
    return Owner.OTHER if earlier else Owner.THIS


def _gets(other: Campaign) -> str:
    return "would get none of them" if other.launched_at is None else "gets none of them"


def _meet(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether a call can be of both; naming none takes all, and case does not matter."""
    return not ours or not theirs or not {n.lower() for n in ours}.isdisjoint(n.lower() for n in theirs)
