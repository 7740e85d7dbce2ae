"""What control totals said before they were replaced or removed: kept in the audit trail, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from survey.db import db

# `former`: the counts as they stood, (site_id, agent_id, starts_at, ends_at, calls, answered, calls_after,
# answered_after). Agents' counts are summed up apart from the site's: they are of the same calls.
_STOOD_BEFORE = """
WITH former AS ({former}), days AS (
    SELECT sites.id AS site_id, sites.name AS site, agent_id IS NOT NULL AS of_agents,
        CAST(timezone(time_zone, starts_at) AS date) AS day,
        max(CAST(timezone(time_zone, ends_at - interval '1 microsecond') AS date)) AS last, count(*) AS counts,
        sum(calls) AS calls, sum(answered) AS answered,
        sum(calls_after) AS calls_after, sum(answered_after) AS answered_after
    FROM former JOIN sites ON sites.id = former.site_id GROUP BY sites.id, of_agents, day
)
SELECT site_id, site, of_agents, CAST(min(day) AS text) AS first, CAST(max(last) AS text) AS last,
    CAST(sum(counts) AS bigint) AS counts,
    CAST(sum(calls) AS bigint) AS calls, CAST(sum(answered) AS bigint) AS answered,
    CAST(sum(calls_after) AS bigint) AS calls_after, CAST(sum(answered_after) AS bigint) AS answered_after,
    jsonb_object_agg(day, jsonb_build_array(counts, calls, answered)) AS by_day
FROM days GROUP BY site_id, site, of_agents ORDER BY site_id, of_agents
"""


def stood_before(former: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the counts were, for an audit entry's `stood_before`: by site, and agents' apart from the whole site's.

    `former` is a query of ours for the counts as they stood, with its `values`. `by_day` holds, by the local day on
    which they begin, how many counts there were, and their calls and answered calls.
    """
    rows = db.session.execute(text(_STOOD_BEFORE.format(former=former)), values)
    return [dict(row._mapping) for row in rows]
