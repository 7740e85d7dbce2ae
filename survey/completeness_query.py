"""The counting behind completeness: as many statements for a million calls as for one.

The starts and ends of all control totals of a site cut its time into slots; each call falls into one slot, the calls of
a slot are counted once, and a control total holds those of its slots. So totals may overlap, touch and differ in length
as they like, and every join is by equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text

from survey.db import db

# Rows are fetched this many at a time: memory does not grow with them.
FETCHED_AT_ONCE = 2_000

# The control totals asked about: those of the sites that touch their days.
_SPANS = """
spans AS (
    SELECT * FROM unnest(CAST(:sites AS bigint[]), CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[]))
        AS span (site_id, first_at, last_at)
), cells AS (
    SELECT total.* FROM control_totals total JOIN spans USING (site_id)
    WHERE total.organisation_id = :organisation AND total.starts_at < spans.last_at AND total.ends_at > spans.first_at
)"""

_COVERED = text(
    f"WITH {_SPANS}"  # noqa: S608 (SQL of our own)
    """
    SELECT cells.site_id, CAST(timezone(time_zone, starts_at) AS date) AS first_day,
        CAST(timezone(time_zone, ends_at - interval '1 microsecond') AS date) AS last_day, count(*) AS cells
    FROM cells JOIN sites ON sites.id = cells.site_id
    GROUP BY cells.site_id, first_day, last_day
    """
)

_DIFFERENCES = text(
    f"WITH {_SPANS}"  # noqa: S608 (SQL of our own)
    """
, cuts AS (
    SELECT DISTINCT source, site_id, at FROM cells CROSS JOIN LATERAL (VALUES (starts_at), (ends_at)) AS ends (at)
), closings AS (
    SELECT site_id, min(day) AS first_day, array_agg(closes_at ORDER BY day) AS closings
    FROM unnest(CAST(:closed_sites AS bigint[]), CAST(:closed_days AS date[]), CAST(:closings AS timestamptz[]))
        AS closing (site_id, day, closes_at)
    GROUP BY site_id
), feeds AS MATERIALIZED (
    SELECT row_number() OVER () AS feed, source, site_id, time_zone, first_day, closings, cuts
    FROM (SELECT source, site_id, array_agg(at ORDER BY at) AS cuts FROM cuts GROUP BY source, site_id) AS cut
    JOIN closings USING (site_id) JOIN sites ON sites.id = site_id
), arrived AS (
    SELECT feed, agent_id, answered, width_bucket(started_at, cuts) AS slot,
        -- Two business days are more than a day: what came in sooner is in time, whatever its local day.
        CASE WHEN received_at >= ended_at + interval '1 day'
            THEN COALESCE(received_at >= closings[CAST(timezone(time_zone, ended_at) AS date) - first_day + 1], true)
            ELSE false END AS late
    FROM calls JOIN feeds ON feeds.site_id = calls.site_id AND feeds.source = calls.source
    -- A call ends after it starts: said for the index, which goes by the end.
    WHERE calls.organisation_id = :organisation AND ended_at >= :earliest AND started_at < :latest
    OFFSET 0 -- so that slot and lateness are worked out here, and no later step carries the arrays along
), slots AS MATERIALIZED (
    SELECT feed, agent_id, slot, count(*) AS calls, count(*) FILTER (WHERE answered) AS answered,
        count(*) FILTER (WHERE late) AS late, count(*) FILTER (WHERE late AND answered) AS answered_late
    FROM arrived GROUP BY feed, agent_id, slot
), counts AS (
    SELECT feed, 0 AS agent, slot, sum(calls) AS calls, sum(answered) AS answered, sum(late) AS late,
        sum(answered_late) AS answered_late
    FROM slots GROUP BY feed, slot
    UNION ALL
    SELECT feed, agent_id, slot, calls, answered, late, answered_late FROM slots WHERE agent_id IS NOT NULL
), pieces AS (
    SELECT id, feed, COALESCE(agent_id, 0) AS agent, slot
    FROM cells JOIN feeds USING (source, site_id)
    CROSS JOIN LATERAL generate_series(width_bucket(starts_at, cuts), width_bucket(ends_at, cuts) - 1) AS slot
), counted AS (
    SELECT id, feed,
        COALESCE(sum(calls - late), 0) AS came, COALESCE(sum(answered - answered_late), 0) AS answered_came,
        COALESCE(sum(late), 0) AS late, COALESCE(sum(answered_late), 0) AS answered_late
    FROM pieces LEFT JOIN counts USING (feed, agent, slot) GROUP BY id, feed
), compared AS (
    SELECT id, feed, agent_id, starts_at, ends_at, cells.calls, cells.answered,
        came, answered_came, late, answered_late,
        date_trunc('month', timezone(time_zone, starts_at)) AS month,
        date_trunc('month', timezone(time_zone, ends_at - interval '1 microsecond')) AS last_month
    FROM cells JOIN counted USING (id) JOIN feeds USING (feed)
), differing AS (
    SELECT CASE WHEN GROUPING(id) = 0 THEN 'cell' WHEN GROUPING(month) = 0 THEN 'month' ELSE 'range' END AS span,
        feed, agent_id, min(starts_at) AS starts_at, max(ends_at) AS ends_at,
        CAST(sum(calls) AS bigint) AS calls, CAST(sum(answered) AS bigint) AS answered,
        CAST(sum(came) FILTER (WHERE calls IS NOT NULL) AS bigint) AS calls_in,
        CAST(sum(answered_came) FILTER (WHERE answered IS NOT NULL) AS bigint) AS answered_in,
        CAST(sum(late) FILTER (WHERE calls IS NOT NULL) AS bigint) AS calls_late,
        CAST(sum(answered_late) FILTER (WHERE answered IS NOT NULL) AS bigint) AS answered_late
    FROM compared
    GROUP BY GROUPING SETS ((feed, agent_id, id), (feed, agent_id, month, last_month), (feed, agent_id))
    -- What fits needs no judging; a total that reaches into another month belongs to neither.
    HAVING (sum(calls) <> sum(came) FILTER (WHERE calls IS NOT NULL)
            OR sum(answered) <> sum(answered_came) FILTER (WHERE answered IS NOT NULL))
        AND (GROUPING(month) = 1 OR month = last_month)
)
SELECT span, source, site_id, agent_id, starts_at, ends_at, calls, answered, calls_in, answered_in, calls_late,
    answered_late
FROM differing JOIN feeds USING (feed)
UNION ALL
SELECT 'late', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, COALESCE(CAST(sum(late) AS bigint), 0), NULL
FROM slots JOIN feeds USING (feed) WHERE slot BETWEEN 1 AND cardinality(cuts) - 1
"""
)

# Every system that counted or handed in calls, at each site: how far its counts of the whole site ever reached, and
# over which days asked for they go. Counts that touch are one range, so there are few of them.
_COUNTED = text(
    f"WITH {_SPANS}"  # noqa: S608 (SQL of our own)
    """
, ever AS (
    SELECT site_id, source, min(starts_at) FILTER (WHERE agent_id IS NULL) AS first_at,
        max(ends_at) FILTER (WHERE agent_id IS NULL) AS last_at
    FROM control_totals WHERE organisation_id = :organisation AND site_id = ANY (CAST(:sites AS bigint[]))
    GROUP BY site_id, source
), touched AS (
    SELECT site_id, source, bool_or(agent_id IS NOT NULL) AS agents,
        range_agg(tstzrange(starts_at, ends_at)) FILTER (WHERE agent_id IS NULL) AS ranges
    FROM cells GROUP BY site_id, source
)
SELECT site_id, source, CAST(timezone(time_zone, first_at) AS date) AS first_day,
    CAST(timezone(time_zone, last_at - interval '1 microsecond') AS date) AS last_day,
    COALESCE(agents, false) AS agents,
    ARRAY(
        SELECT ARRAY[CAST(timezone(time_zone, lower(range)) AS date),
            CAST(timezone(time_zone, upper(range) - interval '1 microsecond') AS date)]
        FROM unnest(ranges) AS range
    ) AS days
FROM ever LEFT JOIN touched USING (site_id, source) JOIN sites ON sites.id = site_id
"""
)

# One way through the calls of the days: how many of each day no count of the whole site holds, and whose are internal.
_HANDED_IN = text(
    f"WITH {_SPANS}"  # noqa: S608 (SQL of our own)
    """
, held AS (
    SELECT site_id, source, range_agg(tstzrange(starts_at, ends_at)) AS ranges
    FROM cells WHERE agent_id IS NULL GROUP BY site_id, source
), by_day AS MATERIALIZED (
    SELECT calls.site_id, calls.source, agent_id, CAST(timezone(time_zone, started_at) AS date) AS day,
        count(*) AS calls, count(*) FILTER (WHERE internal) AS internal,
        count(*) FILTER (WHERE started_at <@ ranges IS NOT TRUE) AS outside
    FROM calls JOIN spans ON spans.site_id = calls.site_id JOIN sites ON sites.id = calls.site_id
    LEFT JOIN held ON held.site_id = calls.site_id AND held.source = calls.source
    -- A call ends after it starts: said for the index, which goes by the end.
    WHERE calls.organisation_id = :organisation AND ended_at >= first_at
        AND started_at >= first_at AND started_at < last_at
    GROUP BY 1, 2, 3, 4
)
SELECT site_id, source, day, NULL AS agent_id, CAST(sum(calls) AS bigint) AS calls,
    CAST(sum(outside) AS bigint) AS outside, NULL AS internal
FROM by_day GROUP BY site_id, source, day
UNION ALL
SELECT site_id, NULL, NULL, agent_id, CAST(sum(calls) AS bigint), NULL, CAST(sum(internal) AS bigint)
FROM by_day GROUP BY GROUPING SETS ((site_id), (site_id, agent_id))
HAVING (GROUPING(agent_id) = 1 OR agent_id IS NOT NULL)
    AND sum(calls) >= :internal_of AND :internal_one_in * sum(internal) > sum(calls)
"""
)

# What stood before counts were replaced or removed is in the audit trail, by site.
_CHANGED = text(
    """
    SELECT at, actor, action, detail ->> 'source' AS source, CAST(part ->> 'site_id' AS bigint) AS site_id,
        CAST(part ->> 'first' AS date) AS first_day, CAST(part ->> 'last' AS date) AS last_day,
        CAST(part ->> 'of_agents' AS boolean) AS of_agents, CAST(part ->> 'counts' AS bigint) AS counts,
        CAST(COALESCE(part ->> 'calls', part ->> 'answered') AS bigint) AS calls,
        CAST(CASE WHEN part ->> 'calls' IS NULL THEN part ->> 'answered_after' ELSE part ->> 'calls_after' END
            AS bigint) AS calls_after
    FROM audit_entries CROSS JOIN LATERAL jsonb_array_elements(detail -> 'stood_before') AS part
    WHERE subject_type = 'organisations' AND subject_id = :organisation
        AND jsonb_typeof(detail -> 'stood_before') = 'array'
        AND CAST(part ->> 'site_id' AS bigint) = ANY (CAST(:sites AS bigint[]))
        AND CAST(part ->> 'first' AS date) <= :last_day AND CAST(part ->> 'last' AS date) >= :first_day
    ORDER BY audit_entries.id, site_id, of_agents
    """
)

_FIRST_AND_LAST = text(
    """
    SELECT time_zone AS zone, min(starts_at) AS starts_at, max(ends_at) AS ends_at
    FROM control_totals JOIN sites ON sites.id = control_totals.site_id
    WHERE control_totals.organisation_id = :organisation GROUP BY sites.id
    """
)


@dataclass(frozen=True)
class Asked:
    """Which control totals are asked about: an organisation's, by site, from one moment to another (exclusive)."""

    organisation_id: int
    spans: Mapping[int, tuple[datetime, datetime]]

    def values(self) -> dict[str, Any]:
        return {
            "organisation": self.organisation_id,
            "sites": list(self.spans),
            "firsts": [first for first, _ in self.spans.values()],
            "lasts": [last for _, last in self.spans.values()],
        }


@dataclass(frozen=True)
class Reach:
    """What the control totals asked about reach over: all their time, and when the surveys of each day in it close.

    `closings`: by site and local day, without a day left out between a site's first and last.
    """

    earliest: datetime
    latest: datetime
    closings: Mapping[tuple[int, date], datetime]

    def values(self) -> dict[str, Any]:
        return {
            "earliest": self.earliest,
            "latest": self.latest,
            "closed_sites": [site_id for site_id, _ in self.closings],
            "closed_days": [day for _, day in self.closings],
            "closings": list(self.closings.values()),
        }


def covered_days(asked: Asked) -> list[Row[Any]]:
    """(site_id, first_day, last_day, cells): over which local days the control totals go, and how many they are."""
    return list(db.session.execute(_COVERED, asked.values()))


def differences(asked: Asked, reach: Reach) -> Iterator[Row[Any]]:
    """Every control total, month and whole range in which something else was counted than handed in, in no order.

    (span, source, site_id, agent_id, starts_at, ends_at, calls, answered, calls_in, answered_in, calls_late,
    answered_late); a count that no control total gives is None. One more row, of the span "late", says in `calls_late`
    how many calls came too late altogether.
    """
    values, options = asked.values() | reach.values(), {"yield_per": FETCHED_AT_ONCE}
    yield from db.session.execute(_DIFFERENCES, values, execution_options=options)


def counted_spans(asked: Asked) -> list[Row[Any]]:
    """(site_id, source, first_day, last_day, agents, days) of every system that has control totals, whenever.

    `first_day` and `last_day` (None without any) are how far its counts of the whole site ever reach, `days` the pairs
    of first and last day of those that touch the days asked about, `agents` whether agents' counts do.
    """
    return list(db.session.execute(_COUNTED, asked.values()))


def handed_in(asked: Asked, internal_one_in: int, internal_of: int) -> Iterator[Row[Any]]:
    """What came in, of two kinds, told apart by `day`: (site_id, source, day, calls, outside) says how many calls, and

    how many of them no count of the whole site holds; (site_id, agent_id, calls, internal) is a site (agent_id None) or
    an agent of whose at least `internal_of` calls more than one in `internal_one_in` are internal.
    """
    rule, options = {"internal_one_in": internal_one_in, "internal_of": internal_of}, {"yield_per": FETCHED_AT_ONCE}
    yield from db.session.execute(_HANDED_IN, asked.values() | rule, execution_options=options)


def changed_counts(asked: Asked, first_day: date, last_day: date) -> list[Row[Any]]:
    """What the audit trail says of counts of these days that were replaced or removed, the earliest act first."""
    return list(db.session.execute(_CHANGED, asked.values() | {"first_day": first_day, "last_day": last_day}))


def first_and_last(organisation_id: int) -> list[Row[Any]]:
    """(zone, starts_at, ends_at) of all control totals of each site of the organisation that has any."""
    return list(db.session.execute(_FIRST_AND_LAST, {"organisation": organisation_id}))
