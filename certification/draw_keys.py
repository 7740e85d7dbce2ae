"""The public list of draw keys: each campaign's SHA-256 from its launch on, the key itself after its close. Reads only.

Whoever has the key and a call's source and id can tell whether it is drawn, so nobody may have it before; with its
SHA-256 published at the launch, nobody can exchange it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from survey.clock import iso
from survey.db import db
from survey.draw_keys import SHOWN
from survey.models import Campaign, DrawKey, Organisation


@dataclass(frozen=True)
class PublishedKey:
    """One campaign's key as anybody may see it: `key_hex` is None until it is revealed."""

    organisation: str
    campaign: str
    name: str
    starts_on: str
    ends_on: str
    sha256: str
    published_at: datetime
    key_hex: str | None
    revealed_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """The same for programs; times are ISO 8601, UTC."""
        return {
            "organisation": self.organisation,
            "campaign": self.campaign,
            "name": self.name,
            "starts_on": self.starts_on,
            "ends_on": self.ends_on,
            "sha256": self.sha256,
            "published_at": iso(self.published_at),
            "key_hex": self.key_hex,
            "revealed_at": iso(self.revealed_at) if self.revealed_at else None,
        }


def published() -> list[PublishedKey]:
    """The keys of all campaigns that were ever launched, newest first."""
    rows = db.session.execute(
        select(
            *SHOWN, Campaign.key, Campaign.name, Campaign.starts_on, Campaign.ends_on, Organisation.name.label("owner")
        )
        .join(Campaign, Campaign.id == DrawKey.campaign_id)
        .join(Organisation, Organisation.id == Campaign.organisation_id)
        .order_by(DrawKey.published_at.desc(), DrawKey.id.desc())
    )
    return [
        PublishedKey(
            organisation=row.owner,
            campaign=row.key,
            name=row.name,
            starts_on=row.starts_on.isoformat(),
            ends_on=row.ends_on.isoformat(),
            sha256=row.sha256,
            published_at=row.published_at,
            key_hex=row.key_hex,
            revealed_at=row.revealed_at,
        )
        for row in rows
    ]
