"""What a replay of the draw came to, in plain words: how much was compared, and what was not, with why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scheduler.replay import Report
from survey.models import Campaign

NEVER_COMPARED = (
    "A survey's deadline, its language, and where its agent is certain its supervisor and site are not compared: "
    "days off, languages and rosters may be completed later."
)


def replay_told(campaign: Campaign, replayed: Report) -> dict[str, Any]:
    """The report of a replay without a difference, for JSON. `compared` wholly, `in_part` all but one thing."""
    return {
        "organisation": campaign.organisation.key,
        "campaign": campaign.key,
        "difference": None,
        "recomputed": replayed.recomputed,
        "compared": replayed.recomputed - _in_part(replayed),
        "in_part": {
            "could_be_asked": {reason.value: n for reason, n in sorted(replayed.reasons_changeable.items())},
            "quarantine_of_erased": replayed.quarantines_erased,
        },
        "drawn": replayed.drawn,
        "undecided": replayed.undecided,
        "never_compared": NEVER_COMPARED,
    }


def replay_lines(name: str, replayed: Report) -> list[str]:
    """The same in lines; `name` is the campaign's."""
    return list(_lines(name, replayed))


def difference_at(replayed: Report) -> str:
    """How far a replay came that found a difference."""
    return f"This is the first difference: {replayed.recomputed:,} of {replayed.recorded:,} decisions came before it."


def _lines(name: str, replayed: Report) -> Iterator[str]:
    count, in_part = replayed.recomputed, _in_part(replayed)
    if count:
        decisions = "1 decision" if count == 1 else f"{count:,} decisions"
        yield f"{name}: {decisions} recomputed and compared ({replayed.drawn:,} drawn): every one is as it must be."
    else:
        yield f"{name}: nothing has been drawn yet, so there is nothing to compare."
    if in_part:
        yield f"  Wholly compared: {count - in_part:,}. In part: {in_part:,}."
    if changed := replayed.reasons_changeable.total():
        yield (
            f"  Of {changed:,} it was not compared whether the call could be asked about: the roster, contacts, "
            "consent, language or days off have changed since, as they may. Their numbers and rates were."
        )
    if replayed.quarantines_erased:
        yield (
            f"  Of {replayed.quarantines_erased:,} the quarantine was taken as it was written: their customers have "
            "been erased since."
        )
    if replayed.drawn:
        yield f"  {NEVER_COMPARED}"
    if replayed.undecided:
        calls = "1 call has" if replayed.undecided == 1 else f"{replayed.undecided:,} calls have"
        yield f"  Not compared: {calls} come in and not gone through the draw yet (flask draw run)."


def _in_part(replayed: Report) -> int:
    return replayed.reasons_changeable.total() + replayed.quarantines_erased
