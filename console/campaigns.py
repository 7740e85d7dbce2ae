"""Campaigns: the list, and one campaign's plan, funnel, dispositions and attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import selectinload

from console.scope import Scope, found
from console.words import at_site
from scheduler import closing, notices, spending
from scheduler.closing import Aftermath
from scheduler.eligibility import ELIGIBLE
from scheduler.overlaps import Overlap, overlaps, sentences
from survey import clock
from survey.db import db
from survey.draw_keys import SHOWN
from survey.models import (
    Attempt,
    AttemptState,
    Campaign,
    CampaignState,
    Channel,
    Disposition,
    Draw,
    DrawKey,
    DrawReason,
    Outcome,
    Response,
    SamplingRate,
    Survey,
)


@dataclass(frozen=True)
class Commitment:
    """What is public of a draw key: its hash, since when, and once it is revealed, after the close, the key in hex."""

    period: int
    sha256: str
    published_at: datetime
    revealed_at: datetime | None
    key: str | None


@dataclass(frozen=True)
class Page:
    """One campaign as the console shows it; counts are of rows in the database at the moment of reading.

    `own_rates` are those in force now of agents who have one of their own, the lowest first. `spent` on calls, in
    hundredths of the currency, where there is a cap.
    """

    campaign: Campaign
    commitments: list[Commitment]
    rates: list[SamplingRate]
    own_rates: list[Fraction]
    draws: dict[DrawReason, int]
    dispositions: dict[Disposition, int]
    open_surveys: int
    asked: int
    attempts: dict[tuple[Channel, Outcome | AttemptState], int]
    spent: Fraction | None
    overlaps: list[Overlap]
    notes: list[str]
    left: Aftermath | None

    @property
    def calls(self) -> int:
        return sum(self.draws.values())

    @property
    def eligible(self) -> int:
        return sum(self.draws.get(reason, 0) for reason in ELIGIBLE)

    @property
    def drawn(self) -> int:
        return self.draws.get(DrawReason.DRAWN, 0)

    @property
    def complete(self) -> int:
        return self.dispositions.get(Disposition.COMPLETE, 0)

    @property
    def funnel(self) -> list[tuple[str, int, str]]:
        """The way from calls to complete answers: name, count, what it means."""
        return [
            ("Calls", self.calls, f"of its {self._kinds}, on its days, since the launch"),
            ("Eligible", self.eligible, "may be asked about"),
            ("Drawn", self.drawn, "by the keyed draw"),
            ("Asked", self.asked, "dialled or emailed at least once"),
            ("Complete", self.complete, "three core answers in time"),
        ]

    @property
    def _kinds(self) -> str:
        named = (("queues", self.campaign.queues), ("topics", self.campaign.topics))
        kinds = ["sites", *(name for name, given in named if given)]
        return " and ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds)

    @property
    def shared_calls(self) -> list[str]:
        """Which other campaigns could ask about its calls, and who has those, in sentences."""
        return [told for told, _ in sentences(self.overlaps)]

    @property
    def now(self) -> list[str]:
        """What happens now that it is closed; nothing before."""
        left = self.left
        if left is None:
            return []
        zone = self.campaign.sites[0].time_zone if self.campaign.sites else "UTC"
        return closing.sentences(left, "" if left.last_deadline is None else at_site(left.last_deadline, zone))

    @property
    def not_drawn(self) -> list[tuple[DrawReason, int]]:
        """The reasons of the calls that were not drawn, most frequent first."""
        rest = [(reason, count) for reason, count in self.draws.items() if reason is not DrawReason.DRAWN]
        return sorted(rest, key=lambda pair: (-pair[1], pair[0]))

    @property
    def plan(self) -> list[tuple[Fraction, list[Channel]]]:
        """The channel plan: which share of the drawn goes through which channels, in order."""
        return [
            (Fraction(*entry["share"]), [Channel(name) for name in entry["channels"]])
            for entry in self.campaign.channel_plan
        ]


def one(within: Scope, campaign_id: int) -> Campaign:
    """The campaign with its sites. Raises NotFound, also for another organisation's."""
    campaign = db.session.scalar(
        select(Campaign)
        .where(Campaign.id == campaign_id, within.holds(Campaign.organisation_id))
        .options(selectinload(Campaign.sites), selectinload(Campaign.organisation))
    )
    checked: Campaign = found(campaign, "campaign")
    return checked


def read(campaign: Campaign) -> Page:
    """Everything the campaign's page shows, in a handful of grouped queries."""
    surveys = _dispositions(campaign.id)
    rates = _rates(campaign.id)
    return Page(
        campaign=campaign,
        commitments=_commitments(campaign.id),
        rates=_in_force([rate for rate in rates if rate.agent_id is None]),
        own_rates=_own_rates(rates),
        draws=_draws(campaign.id),
        dispositions={key: count for key, count in surveys.items() if key is not None},
        open_surveys=surveys.get(None, 0),
        asked=_asked(campaign.id),
        attempts=_attempts(campaign.id),
        spent=None if campaign.spend_cap is None else spending.spent(campaign),
        overlaps=overlaps(campaign),
        notes=_notes(campaign),
        left=closing.aftermath(campaign) if campaign.state is CampaignState.CLOSED else None,
    )


def _notes(campaign: Campaign) -> list[str]:
    """Of a draft all there is to know before its launch, of a launched one what keeps its calls from being placed."""
    return [] if campaign.state is CampaignState.CLOSED else [note.told for note in notices.standing(campaign)]


def rows(within: Scope) -> Sequence[Row[Any]]:
    """Every campaign in reach with its drawn and complete counts, newest first."""
    drawn = select(func.count(Survey.id)).where(Survey.campaign_id == Campaign.id).scalar_subquery()
    complete = (
        select(func.count(Response.survey_id))
        .join(Survey, Survey.id == Response.survey_id)
        .where(Survey.campaign_id == Campaign.id, Response.complete)
        .scalar_subquery()
    )
    return db.session.execute(
        select(Campaign, drawn.label("drawn"), complete.label("complete"))
        .where(within.holds(Campaign.organisation_id))
        .options(selectinload(Campaign.sites), selectinload(Campaign.organisation))
        .order_by(Campaign.starts_on.desc(), Campaign.id.desc())
    ).all()


def _commitments(campaign_id: int) -> list[Commitment]:
    rows = db.session.execute(select(*SHOWN).where(DrawKey.campaign_id == campaign_id).order_by(DrawKey.period))
    return [Commitment(*row) for row in rows]


def _rates(campaign_id: int) -> list[SamplingRate]:
    return list(
        db.session.scalars(
            select(SamplingRate)
            .where(SamplingRate.campaign_id == campaign_id)
            .order_by(SamplingRate.in_force_from.desc(), SamplingRate.published_at.desc(), SamplingRate.id.desc())
        )
    )


def _in_force(rates: Sequence[SamplingRate]) -> list[SamplingRate]:
    """Of several rates published for one moment the last one, which holds; `rates` are the latest first."""
    found: dict[datetime, SamplingRate] = {}
    for rate in rates:
        found.setdefault(rate.in_force_from, rate)
    return list(found.values())


def _own_rates(rates: Sequence[SamplingRate]) -> list[Fraction]:
    """Each agent's own rate in force now, in order; `rates` are the latest first."""
    now, found = clock.now(), dict[int, Fraction]()
    for rate in rates:
        if rate.agent_id is not None and rate.in_force_from <= now:
            found.setdefault(rate.agent_id, rate.rate)
    return sorted(found.values())


def _draws(campaign_id: int) -> dict[DrawReason, int]:
    rows = db.session.execute(
        select(Draw.reason, func.count()).where(Draw.campaign_id == campaign_id).group_by(Draw.reason)
    )
    return {row[0]: row[1] for row in rows}


def _dispositions(campaign_id: int) -> dict[Disposition | None, int]:
    count = func.count()
    rows = db.session.execute(
        select(Survey.disposition, count)
        .where(Survey.campaign_id == campaign_id)
        .group_by(Survey.disposition)
        .order_by(count.desc(), Survey.disposition)
    )
    return {row[0]: row[1] for row in rows}


def _asked(campaign_id: int) -> int:
    started = select(Attempt.id).where(Attempt.survey_id == Survey.id, Attempt.started_at.is_not(None)).exists()
    return db.session.scalar(select(func.count(Survey.id)).where(Survey.campaign_id == campaign_id, started)) or 0


def _attempts(campaign_id: int) -> dict[tuple[Channel, Outcome | AttemptState], int]:
    rows = db.session.execute(
        select(Attempt.channel, Attempt.state, Attempt.outcome, func.count())
        .join(Survey, Survey.id == Attempt.survey_id)
        .where(Survey.campaign_id == campaign_id)
        .group_by(Attempt.channel, Attempt.state, Attempt.outcome)
        .order_by(Attempt.channel, func.count().desc())
    )
    return {(channel, outcome or state): count for channel, state, outcome, count in rows}
