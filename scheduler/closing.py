"""What happens now that a campaign is closed: to its open surveys, its key, and the standings that count it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from survey.calendars import day_start
from survey.clock import iso
from survey.db import db
from survey.models import Campaign, DrawKey, Survey


@dataclass(frozen=True)
class Aftermath:
    """`open_surveys` may still be answered until `last_deadline` (None when there are none).

    `early`: its last day, when it was closed before that was over; a period of certification may have needed the rest.
    """

    open_surveys: int
    last_deadline: datetime | None
    revealed: bool
    early: date | None = None

    def as_dict(self) -> dict[str, Any]:
        until = None if self.last_deadline is None else iso(self.last_deadline)
        return {
            "open_surveys": self.open_surveys,
            "standings_final_from": until,
            "key_revealed": self.revealed,
            "closed_early": self.early is not None,
            "told": lines(self),
        }


def aftermath(campaign: Campaign) -> Aftermath:
    """What is left of a closed campaign."""
    count, last = db.session.execute(
        select(func.count(), func.max(Survey.deadline)).where(
            Survey.campaign_id == campaign.id, Survey.closed_at.is_(None)
        )
    ).one()
    revealed = db.session.scalar(select(DrawKey.revealed_at).where(DrawKey.campaign_id == campaign.id))
    return Aftermath(count, last, revealed is not None, campaign.ends_on if _closed_early(campaign) else None)


def _closed_early(campaign: Campaign) -> bool:
    """Whether a site had hours of the campaign's days left. Such days are not sampled throughout."""
    after = campaign.ends_on + timedelta(days=1)
    return campaign.closed_at is not None and any(
        campaign.closed_at < day_start(after, site.time_zone) for site in campaign.sites
    )


def sentences(left: Aftermath, until: str, *, foretold: bool = False) -> list[str]:
    """What happens now, in sentences; `until` is the last deadline as the reader is used to see it.

    `foretold`: it is not closed yet, only asked about.
    """
    told = ["No call is drawn for it any more, and nobody is called or emailed for it."]
    if left.open_surveys:
        are = "1 survey is" if left.open_surveys == 1 else f"{left.open_surveys:,} surveys are"
        told += [
            f"{are} still open: links that were sent can be answered until {until}, the last deadline.",
            "The draw key is revealed once the last of them has closed.",
            "Until then standings and numbers of this campaign may still change; after it they are final.",
        ]
    else:
        key = "The draw key is revealed." if left.revealed else "The scheduler reveals the draw key at its next look."
        told += ["No survey is open: its numbers, and what it adds to standings, are final.", key]
    told.append("Certificates are decided on the days announced for their periods, as before.")
    if left.early is not None:
        before = f"It was closed before its last day, {left.early}, was over"
        if foretold:
            before = f"Its last day, {left.early}, is not over"
        told.append(
            f"{before}: an announced period with days from now on has"
            " no sampling by it on those, and may certify nobody for that."
        )
    return told


def lines(left: Aftermath, *, foretold: bool = False) -> list[str]:
    """The sentences for the command line."""
    return sentences(left, "" if left.last_deadline is None else iso(left.last_deadline), foretold=foretold)
