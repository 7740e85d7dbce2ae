"""What a demo came to: each figure from the database or the stand-in network's log, none from the code it judges."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone as number_zones
from sqlalchemy import Connection, text

ATTEMPT_IN_URL = re.compile(r"/attempts/(\d+)/")

COUNTS = {
    "calls": "SELECT count(*) FROM calls",
    "eligible": "SELECT count(*) FROM draws WHERE reason IN ('drawn', 'not_selected')",
    "drawn": "SELECT count(*) FROM surveys",
    "attempts": "SELECT count(*) FROM attempts WHERE started_at IS NOT NULL",
    "responses": "SELECT count(*) FROM responses WHERE complete",
    "partials": "SELECT count(*) FROM responses WHERE NOT complete",
    "late": "SELECT count(DISTINCT survey_id) FROM answers WHERE late",
    "optouts": "SELECT count(*) FROM optouts WHERE removed_at IS NULL",
    "after_deadline_counted": (
        "SELECT count(*) FROM surveys s JOIN responses r ON r.survey_id = s.id WHERE r.complete AND"
        " (SELECT count(DISTINCT a.question) FROM answers a WHERE a.survey_id = s.id AND a.received_at < s.deadline"
        " AND a.question IN ('resolved', 'overall', 'agent')) < 3"
    ),
}


@dataclass(frozen=True)
class Dial:
    """One ringing of a number, as the network logged it."""

    at: datetime
    number: str
    attempt_id: int | None


def write_dials(entries: Iterable[Any], path: Path, *, append: bool = False) -> None:
    """Keeps the network's dials as JSON lines: when, which number, for which of our callback addresses."""
    with path.open("a" if append else "w", encoding="utf-8") as file:
        for entry in entries:
            row = {"at": entry.at.isoformat(), "number": entry.number, "url": entry.detail["status_callback"]}
            file.write(json.dumps(row) + "\n")


def read_dials(path: Path) -> list[Dial]:
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Dial(datetime.fromisoformat(row["at"]), row["number"], _attempt_id(row["url"])) for row in rows]


def figures(connection: Connection, dials: list[Dial], emails: int) -> dict[str, Any]:
    """The figures of DESIGN's last line, without the seconds."""
    counts = {name: int(connection.execute(text(query)).scalar_one()) for name, query in COUNTS.items()}
    hours = _hours_by_attempt(connection)
    held = connection.execute(text("SELECT level, count(*) FROM certificates GROUP BY level"))
    by_level = {str(level): int(count) for level, count in held}
    return {
        **{name: counts[name] for name in ("calls", "eligible", "drawn", "attempts")},
        "dials": len(dials),
        "emails": emails,
        **{name: counts[name] for name in ("responses", "partials", "late", "optouts")},
        "duplicate_dials": sum(n - 1 for n in Counter(dial.attempt_id for dial in dials).values()),
        "outside_hours": sum(not _inside(dial, hours) for dial in dials),
        "after_deadline_counted": counts["after_deadline_counted"],
        "certificates": {level: by_level.get(level, 0) for level in ("agent", "supervisor", "site", "organisation")},
    }


def business_columns(connection: Connection) -> list[str]:
    """What the same seed and end date must give again: calls, draws, dispositions, answers, certificates."""
    queries = (
        "SELECT external_id, ended_at, answered FROM calls ORDER BY 1",
        "SELECT c.external_id, d.u, d.rate_numerator, d.rate_denominator, d.reason FROM draws d"
        " JOIN calls c ON c.id = d.call_id ORDER BY 1",
        "SELECT c.external_id, s.deadline, s.disposition FROM surveys s JOIN calls c ON c.id = s.call_id ORDER BY 1",
        "SELECT c.external_id, a.question, a.value, a.channel, a.late, a.received_at FROM answers a"
        " JOIN surveys s ON s.id = a.survey_id JOIN calls c ON c.id = s.call_id ORDER BY 1, a.id",
        "SELECT level, subject_name, achieved_on, valid_until FROM certificates ORDER BY 1, 2",
        "SELECT level, subject_name, decision, n, k, reasons::text FROM assessments ORDER BY 1, 2",
    )
    return [str(tuple(row)) for query in queries for row in connection.execute(text(query))]


def funnel(connection: Connection) -> list[tuple[str, str, int]]:
    """Organisation, step, count: calls by draw reason, then surveys by disposition."""
    query = (
        "SELECT o.name, 'draw: ' || d.reason, count(*) FROM draws d JOIN calls c ON c.id = d.call_id"
        " JOIN organisations o ON o.id = c.organisation_id GROUP BY 1, 2"
        " UNION ALL SELECT o.name, 'survey: ' || coalesce(s.disposition, 'open'), count(*) FROM surveys s"
        " JOIN calls c ON c.id = s.call_id JOIN organisations o ON o.id = c.organisation_id GROUP BY 1, 2"
        " ORDER BY 1, 2"
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(text(query))]


def decisions(connection: Connection) -> list[tuple[str, str, str, str, str]]:
    """Organisation, level, subject, world class surveys, certified until when or why not; highest level first."""
    query = (
        "SELECT o.name, a.level, a.subject_name, a.n, a.k, c.valid_until::text, a.reasons FROM assessments a"
        " JOIN periods p ON p.id = a.period_id JOIN programmes g ON g.id = p.programme_id"
        " JOIN organisations o ON o.id = g.organisation_id LEFT JOIN certificates c ON c.assessment_id = a.id"
        " ORDER BY o.name, array_position(ARRAY['organisation', 'site', 'supervisor', 'agent'], a.level::text), 3"
    )
    return [
        (organisation, level, subject, f"{k} of {n}", f"until {until}" if until else f"no: {'; '.join(reasons)}")
        for organisation, level, subject, n, k, until, reasons in connection.execute(text(query))
    ]


def _attempt_id(url: str) -> int | None:
    found = ATTEMPT_IN_URL.search(url)
    return None if found is None else int(found.group(1))


def _hours_by_attempt(connection: Connection) -> Mapping[int, tuple[time, time, list[int]]]:
    rows = connection.execute(
        text(
            "SELECT a.id, c.call_from, c.call_until, c.call_weekdays FROM attempts a"
            " JOIN surveys s ON s.id = a.survey_id JOIN campaigns c ON c.id = s.campaign_id WHERE a.channel = 'ivr'"
        )
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _inside(dial: Dial, hours: Mapping[int, tuple[time, time, list[int]]]) -> bool:
    """Whether the campaign's hours held in every zone the number may be in; a dial nobody can place is outside."""
    if dial.attempt_id is None or dial.attempt_id not in hours:
        return False
    start, end, weekdays = hours[dial.attempt_id]
    zones = number_zones.time_zones_for_number(phonenumbers.parse(dial.number))
    local = [dial.at.astimezone(ZoneInfo(zone)) for zone in zones]
    return all(start <= moment.time() < end and moment.weekday() in weekdays for moment in local)
