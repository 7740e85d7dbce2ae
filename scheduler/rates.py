"""Which inclusion rate was in force for a call, by the call's own end."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy import select

from survey.db import db
from survey.models import Campaign, SamplingRate


@dataclass(frozen=True)
class Rates:
    """The published rates of one campaign; `by_agent[None]` holds those for all, `default` is the campaign's own."""

    default: Fraction
    by_agent: dict[int | None, list[tuple[datetime, Fraction]]]

    def in_force(self, agent_id: int | None, ended_at: datetime) -> Fraction:
        """The latest rate in force when the call ended: the agent's own, else the one for all, else the campaign's.

        `agent_id` is None where no agent is certain: then it is the one for all.
        """
        for who in dict.fromkeys((agent_id, None)):
            rows = self.by_agent.get(who, [])
            found = bisect_right(rows, ended_at, key=lambda row: row[0])
            if found:
                return rows[found - 1][1]
        return self.default


def rates_of(campaign: Campaign) -> Rates:
    """Reads the campaign's published rates."""
    rows = db.session.execute(
        # Not as objects: target sampling publishes a row for most agents every week.
        select(SamplingRate.agent_id, SamplingRate.in_force_from, SamplingRate.numerator, SamplingRate.denominator)
        .where(SamplingRate.campaign_id == campaign.id)
        .order_by(SamplingRate.in_force_from, SamplingRate.published_at, SamplingRate.id)
    )
    by_agent: dict[int | None, list[tuple[datetime, Fraction]]] = defaultdict(list)
    for agent_id, since, numerator, denominator in rows:
        by_agent[agent_id].append((since, Fraction(numerator, denominator)))
    return Rates(campaign.rate, dict(by_agent))
