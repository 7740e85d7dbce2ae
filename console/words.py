"""How the console says things: reasons, outcomes and moments in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from certification import words as certification_words
from scheduler.hours import SHORT_DAYS
from scheduler.words import DRAW_REASONS
from survey import questionnaire
from survey.models import AttemptState, CampaignState, Channel, Decision, Disposition, DrawReason, ImportKind, Outcome

DISPOSITIONS: Mapping[Disposition, str] = {
    Disposition.COMPLETE: "Complete",
    Disposition.PARTIAL: "Partly answered",
    Disposition.OPTED_OUT: "Opted out",
    Disposition.BROKEN_OFF: "Broken off",
    Disposition.NO_ANSWER: "No answer",
    Disposition.BUSY: "Busy",
    Disposition.VOICEMAIL: "Voicemail",
    Disposition.EMAIL_SILENCE: "Email not answered",
    Disposition.EMAIL_BOUNCED: "Email came back",
    Disposition.DEAD_NUMBER: "Number out of service",
    Disposition.WRONG_PERSON: "Wrong person",
    Disposition.SUPERSEDED: "Replaced by a newer call",
    Disposition.NEVER_ATTEMPTED: "Never tried",
    Disposition.CHANNEL_FAILED: "Channel failed",
    Disposition.LATE: "Answered too late",
}

WHY: Mapping[Disposition, str] = {
    Disposition.COMPLETE: "All three core answers came in time.",
    Disposition.PARTIAL: "One or two core answers came before the deadline.",
    Disposition.OPTED_OUT: "The customer asked to be left alone.",
    Disposition.BROKEN_OFF: "The customer was reached and gave no core answer.",
    Disposition.NO_ANSWER: "The phone rang and nobody picked up.",
    Disposition.BUSY: "The line was busy each time.",
    Disposition.VOICEMAIL: "A machine picked up.",
    Disposition.EMAIL_SILENCE: "The email was delivered and not answered.",
    Disposition.EMAIL_BOUNCED: "The email address took nothing.",
    Disposition.DEAD_NUMBER: "The number is not in service.",
    Disposition.WRONG_PERSON: "Somebody else answered.",
    Disposition.SUPERSEDED: "The customer called again before being asked; the newer call counts.",
    Disposition.NEVER_ATTEMPTED: "No hour allowed for contact fell before the deadline, or contact was paused.",
    Disposition.CHANNEL_FAILED: "The phone network or the mail relay could not deliver.",
    Disposition.LATE: "The answers came after the deadline: kept, not counted.",
}

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.COMPLETED: "Answered",
    Outcome.HUNG_UP: "Hung up",
    Outcome.NO_INPUT: "Said nothing",
    Outcome.LATER: "Asked for another time",
    Outcome.OPTED_OUT: "Opted out",
    Outcome.WRONG_PERSON: "Wrong person",
    Outcome.NO_ANSWER: "No answer",
    Outcome.BUSY: "Busy",
    Outcome.VOICEMAIL: "Voicemail",
    Outcome.FAILED: "Failed, may be tried again",
    Outcome.DEAD: "Cannot be delivered",
    Outcome.BOUNCED: "Email came back",
    Outcome.SILENCE: "Not answered",
    Outcome.UNKNOWN: "Not known",
}

STATES: Mapping[AttemptState, str] = {
    AttemptState.PLANNED: "Planned",
    AttemptState.QUEUED: "In the queue",
    AttemptState.DIALLING: "Being placed",
    AttemptState.UNDERWAY: "Under way",
    AttemptState.ENDED: "Ended",
    AttemptState.CANCELLED: "Cancelled",
}

CHANNELS: Mapping[Channel, str] = {Channel.IVR: "Phone", Channel.WEB: "Email and web"}
DECISIONS: Mapping[Decision, str] = {
    Decision.CERTIFIED: "Certified",
    Decision.NOT_CERTIFIED: "Not certified",
    Decision.DEFERRED: "Deferred",
}
CAMPAIGN_STATES: Mapping[CampaignState, str] = {
    CampaignState.DRAFT: "Draft",
    CampaignState.SCHEDULED: "Scheduled",
    CampaignState.ACTIVE: "Active",
    CampaignState.PAUSED: "Paused",
    CampaignState.CLOSED: "Closed",
}
IMPORT_KINDS: Mapping[ImportKind, str] = {
    ImportKind.CALLS: "Calls",
    ImportKind.ROSTER: "Roster",
    ImportKind.CONTACTS: "Contacts",
    ImportKind.OPTOUTS: "Opt-outs",
    ImportKind.RESPONSES: "Answers",
    ImportKind.TOTALS: "Control totals",
}

# Members of different enums with one value are equal to each other, so both tables go by the enum first.
NAMES: Mapping[type[StrEnum], Mapping[Any, str]] = {
    DrawReason: DRAW_REASONS,
    Disposition: DISPOSITIONS,
    Outcome: OUTCOMES,
    AttemptState: STATES,
    Channel: CHANNELS,
    Decision: DECISIONS,
    CampaignState: CAMPAIGN_STATES,
    ImportKind: IMPORT_KINDS,
}

# The colour of a pill says how things stand; the word in it says it too.
TONES: Mapping[type[StrEnum], Mapping[Any, str]] = {
    Disposition: {Disposition.COMPLETE: "good", Disposition.PARTIAL: "fair", Disposition.OPTED_OUT: "bad"},
    Outcome: {
        Outcome.COMPLETED: "good",
        Outcome.OPTED_OUT: "bad",
        Outcome.FAILED: "bad",
        Outcome.DEAD: "bad",
        Outcome.UNKNOWN: "fair",
    },
    Decision: {Decision.CERTIFIED: "good", Decision.NOT_CERTIFIED: "bad", Decision.DEFERRED: "fair"},
    CampaignState: {
        CampaignState.ACTIVE: "good",
        CampaignState.PAUSED: "fair",
        CampaignState.SCHEDULED: "open",
    },
}


def say(value: StrEnum) -> str:
    """The plain words for a reason, disposition, outcome, state, channel or decision."""
    return NAMES[type(value)][value]


def tone(value: StrEnum) -> str:
    """The tone of a status pill: good, fair, bad, open or quiet."""
    return TONES.get(type(value), {}).get(value, "quiet")


def why(disposition: Disposition) -> str:
    return WHY[disposition]


def at_site(moment: datetime, zone: str) -> str:
    """The moment in the site's own time: 12 Mar 2026, 13:00 EDT."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M} {_zone_name(local)}"


def at_site_seconds(moment: datetime, zone: str) -> str:
    """The same to the second, as telephone systems write it: 12 Mar 2026, 13:00:07 EDT."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M:%S} {_zone_name(local)}"


def until(end: datetime, start: datetime, zone: str) -> str:
    """The end of a call in the site's time: without its day where that is the day it started on."""
    local = end.astimezone(ZoneInfo(zone))
    same_day = local.date() == start.astimezone(ZoneInfo(zone)).date()
    return f"{local:%H:%M:%S}" if same_day else at_site_seconds(end, zone)


def minutes(seconds: int) -> str:
    """A duration as 2:23, or 1:02:23 from an hour on."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def in_utc(moment: datetime, zone: str = "UTC") -> str:
    """The same moment in UTC, with its date only where it is another day than at the site: 17:00 UTC."""
    utc = moment.astimezone(UTC)
    same_day = utc.date() == moment.astimezone(ZoneInfo(zone)).date()
    return f"{utc:%H:%M} UTC" if same_day else f"{utc.day} {utc:%b}, {utc:%H:%M} UTC"


def day(value: date) -> str:
    """12 Mar 2026"""
    return f"{value.day} {value:%b %Y}"


def weekday(value: date) -> str:
    return SHORT_DAYS[value.weekday()]


def percent(rate: Fraction | float | None, line: Fraction | None = None) -> str:
    """A rate of 0 to 1 as 76.0%, with more digits where rounding would put it onto `line`; a dash for none."""
    return "–" if rate is None else certification_words.percent(Fraction(rate), line)


def share(part: int, whole: int) -> str:
    return percent(Fraction(part, whole)) if whole else "–"


def weekdays(numbers: list[int]) -> str:
    """Mon–Sat for a run of days, otherwise their names: Mon, Wed."""
    days = sorted(numbers)
    if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
        return f"{SHORT_DAYS[days[0]]}–{SHORT_DAYS[days[-1]]}"
    return ", ".join(SHORT_DAYS[number] for number in days)


def answer(value: str, question: str) -> str:
    """An answer as a person would say it: "Yes", "Very satisfied (5)"."""
    name = questionnaire.wording(question, questionnaire.FALLBACK_LANGUAGE).choices.get(value, value)
    return f"{name} ({value})" if value.isdigit() else name


def question(key: str) -> str:
    return questionnaire.wording(key, questionnaire.FALLBACK_LANGUAGE).text


def _zone_name(local: datetime) -> str:
    name = local.tzname() or ""
    return f"UTC{name}" if name[:1] in "+-" else name


FILTERS: Mapping[str, Callable[..., Any]] = {
    "say": say,
    "tone": tone,
    "why": why,
    "at_site": at_site,
    "at_site_seconds": at_site_seconds,
    "until": until,
    "minutes": minutes,
    "in_utc": in_utc,
    "day": day,
    "weekday": weekday,
    "percent": percent,
    "share": share,
    "weekdays": weekdays,
    "answer": answer,
    "question": question,
}
