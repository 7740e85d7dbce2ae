"""Replaying the draw: every decision recomputed from key, calls and rows, and compared with what was written.

Whatever follows from the call and the key must be the same; opt-outs and attempts are taken as they stood at the time.
Facts that may rightly have changed since (a contact or a roster entry added later) are not held against a draw. For the
same reason two things are not compared: a survey's deadline, which hangs on the site's days off, and its language.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

from sqlalchemy import func, select

from scheduler.circumstances import Circumstances, Credit, Judged
from scheduler.decisions import Candidate, Eligible, decide
from scheduler.drawing import eligible_calls
from scheduler.eligibility import FROM_THE_CALL
from scheduler.frame import COLUMNS, belongs_to
from survey.db import db
from survey.errors import Refused
from survey.models import Call, Campaign, Customer, Draw, DrawKey, DrawReason, Survey

# These rest on rows that may change after the draw: rosters, contacts, consents, a site's closed and opened days.
CHANGEABLE = (
    DrawReason.PAST_DEADLINE,
    DrawReason.NO_ASSIGNMENT,
    DrawReason.NO_CONTACT,
    DrawReason.INVALID_CONTACT,
    DrawReason.LANGUAGE_NOT_OFFERED,
)
BY_CHANCE_OR_QUARANTINE = (DrawReason.DRAWN, DrawReason.NOT_SELECTED, DrawReason.QUARANTINED)


@dataclass(frozen=True)
class Difference:
    """The first thing that was written differently from what it should be. `call` is "source external-id", or empty."""

    call: str
    what: str
    recorded: str
    recomputed: str

    def __str__(self) -> str:
        where = f"call {self.call}: " if self.call else ""
        return f"{where}{self.what} was recorded as {self.recorded}, recomputed as {self.recomputed}"


@dataclass(frozen=True)
class Recorded:
    """A draw as it was written, with its survey's share of the decision."""

    draw_id: int
    call_id: int
    u: int
    rate: Fraction
    reason: DrawReason
    decided_at: datetime
    survey_rate: Fraction | None
    channels: tuple[str, ...]
    credit: Credit | None

    @property
    def against(self) -> DrawReason | None:
        """The reason why the call could not be asked about; None when only chance and quarantine decided."""
        return None if self.reason in BY_CHANCE_OR_QUARANTINE else self.reason


@dataclass
class Report:
    """What a replay came to. `recomputed` of `recorded` decisions, `drawn` among them, up to the first `difference`.

    Of some recomputed ones a part could not be compared, as what it rests on may rightly have changed:
    `reasons_changeable` counts, by the recorded reason, those that would be judged otherwise today whether they could
    be asked about; `quarantines_erased` those whose customer has been erased. `undecided` calls have no draw at all.
    """

    recorded: int = 0
    recomputed: int = 0
    drawn: int = 0
    reasons_changeable: Counter[DrawReason] = field(default_factory=Counter)
    quarantines_erased: int = 0
    undecided: int = 0
    difference: Difference | None = None


def replay(campaign: Campaign) -> Difference | None:
    """The first difference between the campaign's draws and their recomputation, in the order decided, or None.

    That a survey gave way to a newer call is a decision on that call: where another campaign of the organisation made
    it, that one's replay tells of it.

    Raises Refused when the campaign was never launched.
    """
    return report(campaign).difference


def report(campaign: Campaign) -> Report:
    """As `replay`, with how much was recomputed and what could not be compared. Raises Refused as it does."""
    told = Report()
    told.difference = next(_differences(campaign, told), None)
    told.undecided = _undecided(campaign)
    return told


def _differences(campaign: Campaign, told: Report) -> Iterator[Difference]:
    key = _key(campaign)
    committed = hashlib.sha256(bytes.fromhex(key.key_hex)).hexdigest()
    if committed != key.sha256:
        yield Difference("", "the key's published SHA-256", key.sha256, committed)
    rows = _rows(campaign)
    told.recorded = len(rows)
    circumstances = Circumstances(campaign, key, list(rows.values()))
    belonging = set(db.session.scalars(select(Call.id).where(belongs_to(campaign))))
    history = _History(campaign.organisation_id)
    for at, run in groupby(_recorded(campaign), key=lambda draw: draw.decided_at):
        draws = list(run)
        judged = [circumstances.judge(rows[draw.call_id], at) for draw in draws]
        for draw, call in zip(draws, judged, strict=True):
            yield from _own_differences(draw, call, call.row.id in belonging)
        yield from _run_differences(campaign, draws, judged, history)
        for draw, call in zip(draws, judged, strict=True):
            _count(told, draw, call)


def _count(told: Report, draw: Recorded, call: Judged) -> None:
    """Adds a decision that was found as it must be."""
    told.recomputed += 1
    told.drawn += draw.reason is DrawReason.DRAWN
    if draw.against is not call.against:
        told.reasons_changeable[draw.reason] += 1
    told.quarantines_erased += _erased(draw, call)


def _own_differences(draw: Recorded, call: Judged, belongs: bool) -> Iterator[Difference]:
    """What can be told from the call alone: its frame, number, rate, reason against it, and what its survey froze."""
    compared: list[tuple[str, object, object]] = [
        ("being in the campaign's frame", True, belongs),
        ("u", draw.u, call.u),
        ("the rate", draw.rate, call.rate),
        ("having a survey", draw.survey_rate is not None, draw.reason is DrawReason.DRAWN),
    ]
    if not _is_explained(draw, call):
        compared.append(("the reason", draw.reason, call.against or "eligible"))
    if draw.survey_rate is not None:
        in_order = tuple(channel.value for channel in call.sequence if channel.value in draw.channels)
        compared += [("the survey's rate", draw.survey_rate, call.rate), ("the channels", draw.channels, in_order)]
        compared += _credits(draw.credit, call)
    for what, recorded, recomputed in compared:
        if recorded != recomputed:
            yield Difference(_name(call), what, str(recorded), str(recomputed))


def _credits(recorded: Credit | None, call: Judged) -> Iterator[tuple[str, object, object]]:
    """The call's agent never changes after the draw. Supervisor and site hang on the roster, which may; where no agent
    is certain, they hang on the call alone.
    """
    if recorded is None:
        return
    yield "the id of the agent credited", recorded.agent_id, call.row.agent_id
    if call.row.agent_uncertain:
        yield "the id of the supervisor credited", recorded.supervisor_id, call.credit.supervisor_id
        yield "the id of the site credited", recorded.site_id, call.credit.site_id


def _is_explained(draw: Recorded, call: Judged) -> bool:
    """Whether the recorded reason is the recomputed one, or differs by facts that may rightly have changed since."""
    reasons = {draw.against, call.against}
    if len(reasons) == 1:
        return True
    if reasons.intersection(FROM_THE_CALL):
        return False
    consent_changed = DrawReason.OPTED_OUT in reasons and call.row.consents_to_calls is not None
    return bool(reasons.intersection(CHANGEABLE)) or consent_changed


def _run_differences(
    campaign: Campaign, draws: Sequence[Recorded], judged: Sequence[Judged], history: _History
) -> Iterator[Difference]:
    """What follows from a run's calls together: quarantine, chance, and which call gave way to which."""
    at = draws[0].decided_at
    candidates = [_candidate(draw, call) for draw, call in zip(draws, judged, strict=True)]
    gave_way = history.superseded_in({draw.call_id for draw in draws}, at)
    known = history.before(draws[0].draw_id, candidates, at, gave_way)
    decisions = decide(candidates, known, at, timedelta(days=campaign.quarantine_days))
    for draw, call in zip(draws, judged, strict=True):
        reason = decisions.reasons[draw.call_id]
        if reason is not draw.reason:
            yield Difference(_name(call), "the reason", draw.reason, reason)
    for older in sorted({*gave_way, *decisions.superseded}):
        recorded, recomputed = gave_way.get(older), decisions.superseded.get(older)
        if recorded != recomputed:
            yield Difference(
                f"with id {older}", "the newer call's id that superseded it", str(recorded), str(recomputed)
            )


def _candidate(draw: Recorded, call: Judged) -> Candidate:
    """The call to decide again. Its reason against is the recorded one, which was compared before.

    Quarantine of a customer who has been erased since can no longer be told, so it is taken as it was written.
    """
    return replace(call.candidate, against=DrawReason.QUARANTINED if _erased(draw, call) else draw.against)


def _erased(draw: Recorded, call: Judged) -> bool:
    return draw.reason is DrawReason.QUARANTINED and not call.candidate.indexes


class _History:
    """The organisation's eligible calls in the order they were decided, by whichever of its campaigns."""

    def __init__(self, organisation_id: int) -> None:
        self._by_index: dict[bytes, list[tuple[int, Eligible]]] = defaultdict(list)
        self._draw_ids: dict[int, int] = {}
        self._erased: set[int] = set()
        for draw_id, call in eligible_calls(organisation_id):
            self._draw_ids[call.call_id] = draw_id
            if not call.indexes:
                self._erased.add(call.call_id)
            for index in call.indexes:
                self._by_index[index].append((draw_id, call))
        self._superseded = db.session.execute(
            select(Survey.call_id, Survey.superseded_by_call_id, Survey.closed_at)
            .join(Call, Call.id == Survey.call_id)
            .where(Call.organisation_id == organisation_id, Survey.superseded_by_call_id.is_not(None))
        ).all()

    def before(
        self, draw_id: int, candidates: Sequence[Candidate], at: datetime, gave_way: Collection[int]
    ) -> list[Eligible]:
        """The candidates' customers' calls decided before that draw, as their surveys stood at `at`.

        An organisation draws in one line, so draw ids follow the order of the runs.
        """
        indexes = {index for candidate in candidates for index in candidate.indexes}
        found = {
            call.call_id: call
            for index in indexes
            for earlier, call in self._by_index.get(index, ())
            if earlier < draw_id
        }
        return [_as_of(call, at, call.call_id in gave_way) for call in found.values()]

    def superseded_in(self, call_ids: Collection[int], at: datetime) -> dict[int, int]:
        """Which calls gave way to which in the run of these calls: the run that decided the later of the two.

        Of a customer who has been erased since this can no longer be told.
        """
        return {
            older: newer
            for older, newer, closed_at in self._superseded
            if newer is not None
            and closed_at == at
            and older not in self._erased
            and max(older, newer, key=lambda call_id: self._draw_ids.get(call_id, 0)) in call_ids
        }


def _as_of(call: Eligible, at: datetime, gave_way: bool) -> Eligible:
    was_open = call.closed_at is not None and (call.closed_at > at or gave_way)
    return replace(call, closed_at=None) if was_open else call


def _undecided(campaign: Campaign) -> int:
    """How many of the campaign's calls have no draw."""
    without = ~select(Draw.id).where(Draw.call_id == Call.id).exists()
    return db.session.scalar(select(func.count()).select_from(Call).where(belongs_to(campaign), without)) or 0


def _name(call: Judged) -> str:
    return f"{call.row.source} {call.row.external_id}"


def _key(campaign: Campaign) -> DrawKey:
    key = db.session.scalar(select(DrawKey).where(DrawKey.campaign_id == campaign.id))
    if key is None:
        raise Refused(f"campaign {campaign.key!r} was never launched, so there is nothing to replay")
    return key


def _rows(campaign: Campaign) -> dict[int, Any]:
    rows = db.session.execute(
        select(*COLUMNS)
        .join(Draw, Draw.call_id == Call.id)
        .outerjoin(Customer, Customer.id == Call.customer_id)
        .where(Draw.campaign_id == campaign.id)
    )
    return {row.id: row for row in rows}


def _recorded(campaign: Campaign) -> list[Recorded]:
    rows = db.session.execute(
        select(Draw, Survey)
        .outerjoin(Survey, Survey.draw_id == Draw.id)
        .where(Draw.campaign_id == campaign.id)
        .order_by(Draw.id)
    )
    return [_as_recorded(draw, survey) for draw, survey in rows]


def _as_recorded(draw: Draw, survey: Survey | None) -> Recorded:
    return Recorded(
        draw_id=draw.id,
        call_id=draw.call_id,
        u=int(draw.u),
        rate=draw.rate,
        reason=draw.reason,
        decided_at=draw.decided_at,
        survey_rate=None if survey is None else survey.rate,
        channels=() if survey is None else tuple(survey.channels),
        credit=None if survey is None else Credit(survey.agent_id, survey.supervisor_id, survey.site_id),
    )
