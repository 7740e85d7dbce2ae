"""The completeness page: what is missing, for the own organisation only, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask

from console import completeness
from console.scope import Scope
from survey import audit
from survey.clock import ManualClock
from survey.completeness import REMOVED
from survey.db import db
from survey.errors import InputError, NotFound
from survey.gaps import Span
from survey.models import Agent, ControlTotal, ImportKind
from tests import factories
from tests.console.conftest import Browser, World, make_world
from tests.console.test_pages import text_of
from tests.factories import utc

DAYS = {"from": "2026-02-01", "to": "2026-02-28"}


def total(world: World, calls: int, hour: int = 15, agent: Agent | None = None, **given: Any) -> None:
    """The telephone system's count of an hour of 2 February."""
    start = utc(2026, 2, 2, hour)
    times = {"starts_at": start, "ends_at": start + timedelta(hours=1)}
    db.session.add(
        ControlTotal(
            **{
                "organisation_id": world.organisation.id,
                "import_id": factories.import_record(world.organisation.id, kind=ImportKind.TOTALS).id,
                "source": "test",
                "site_id": world.site.id,
                "agent_id": None if agent is None else agent.id,
                "calls": calls,
            }
            | times
            | given
        )
    )
    db.session.commit()


def test_gaps_are_named_with_figures(signed_in: Callable[..., Browser], world: World) -> None:
    for received in (utc(2026, 2, 2, 16), utc(2026, 3, 2)):
        start = utc(2026, 2, 2, 15, 30)
        factories.call(world.agent, world.site, started_at=start, ended_at=start, received_at=received)
    total(world, 1400, agent=world.agent, answered=1)
    page = text_of(signed_in("issuer").get("/console/completeness", **DAYS).text)
    assert "Control totals compared 1 Gaps above 0.5% 3 " in page and "Calls that came too late 1 " in page
    name = f"{world.agent.name} at {world.site.name}"
    figures = "test Calls 1,400 1 1,399 missing (99.93%) 1"
    assert "In single control totals: 1 gap " in page
    assert f"{name} 2026-02-02 10:00 EST to 11:00 EST {figures}" in page
    assert f"{name} February 2026 {figures}" in page
    assert "If calls are missing, import them" in page
    assert f"{world.site.name} 27 days, the first 1 Feb 2026, the last 28 Feb 2026" in page


def test_where_everything_fits_it_says_so(signed_in: Callable[..., Browser], world: World) -> None:
    total(world, 0)
    total(world, 0, starts_at=utc(2026, 2, 1, 5), ends_at=utc(2026, 3, 1, 5))
    page = text_of(signed_in("manager").get("/console/completeness", **DAYS).text)
    assert "Gaps above 0.5% 0 everything fits" in page and "If calls are missing" not in page


def test_days_not_counted_internal_calls_and_changed_counts_are_named(
    signed_in: Callable[..., Browser], world: World
) -> None:
    total(world, 0)
    for n in range(20):
        start = utc(2026, 2, 3, 15, n)
        factories.call(world.agent, world.site, started_at=start, ended_at=start, received_at=start, internal=n < 2)
    part = {"site_id": world.site.id, "first": "2026-02-02", "last": "2026-02-02", "of_agents": False, "counts": 3}
    before = [part | {"calls": 120, "calls_after": None}]
    audit.record("jo", REMOVED, world.organisation, source="test", stood_before=before)
    db.session.commit()
    page = text_of(signed_in("auditor").get("/console/completeness", **DAYS).text)
    site, agent = world.site.name, world.agent.name
    assert "Stretches not counted 1 each is a gap, too" in page
    assert f"{site} (test), 2026-02-03 to 2026-02-27: no counts of the whole site, 20 calls handed in" in page
    assert f"{agent} at {site}: 2 of 20 calls (10.00%) are internal" in page
    assert (
        f"{site} (test), 2026-02-02: 3 counts of the whole site removed on 2026-03-12 17:00 UTC by jo"
        " (120 calls before)" in page
    )
    assert "If calls are missing, import them" in page and "everything fits" in page


def test_without_totals_it_says_what_to_do(signed_in: Callable[..., Browser], world: World) -> None:
    page = text_of(signed_in("auditor").get("/console/completeness").text)
    assert "No control total covers these days" in page and "flask calls totals import FILE" in page


def test_without_an_organisation_it_says_what_to_do(signed_in: Callable[..., Browser]) -> None:
    assert "flask roster import" in signed_in("administrator").get("/console/completeness").text


def test_other_organisations_do_not_exist(signed_in: Callable[..., Browser], world: World) -> None:
    other = make_world()
    total(other, 7)
    with pytest.raises(NotFound):
        completeness.read(Scope(world.organisation.id), completeness.Wanted(other.organisation.id))
    browser = signed_in("auditor", world.organisation)
    assert browser.get("/console/completeness", organisation=str(other.organisation.id)).status_code == 404
    page = browser.get("/console/completeness", **DAYS).text
    assert other.organisation.name not in page and "No control total" in page


def test_whoever_reads_all_chooses_one(signed_in: Callable[..., Browser], world: World) -> None:
    other = make_world()
    total(other, 7)
    browser = signed_in("auditor")
    chosen = text_of(browser.get("/console/completeness", organisation=str(other.organisation.id), **DAYS).text)
    assert f"{other.organisation.name}: 1 Feb 2026 to 28 Feb 2026" in chosen and "compared 1 " in chosen


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ({}, date(2026, 2, 1), date(2026, 3, 11)),
        ({"to": "2026-01-15"}, date(2025, 12, 1), date(2026, 1, 15)),
        ({"from": "2026-03-12"}, date(2026, 3, 12), date(2026, 3, 12)),
        ({"from": "2026-03-01"}, date(2026, 3, 1), date(2026, 3, 11)),
    ],
)
def test_days_left_open(world: World, wanted: dict[str, str], first: date, last: date) -> None:
    report = completeness.read(Scope(None), completeness.Wanted.parsed(wanted)).report
    assert report is not None and (report.starts_on, report.ends_on) == (first, last)


@pytest.mark.parametrize("query", [{"from": "soon"}, {"organisation": "x"}, {"from": "2026-03-02", "to": "2026-03-01"}])
def test_what_cannot_be_read_is_said_so(signed_in: Callable[..., Browser], world: World, query: dict[str, str]) -> None:
    with pytest.raises(InputError):
        completeness.read(Scope(None), completeness.Wanted.parsed(query))
    assert signed_in("auditor").get("/console/completeness", **query).status_code == 400


def test_only_the_largest_are_shown(
    signed_in: Callable[..., Browser], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completeness, "SHOWN", 2)
    for hour in range(14, 19):
        total(world, hour, hour)
    page = completeness.read(Scope(None), completeness.Wanted(first=date(2026, 2, 1), last=date(2026, 2, 28)))
    [(_, count, gaps)] = [each for each in page.by_span if each[0] == completeness.HEADINGS[Span.CELL]]
    assert count == 5 and [gap.counted for gap in gaps] == [18, 17]
    told = text_of(signed_in("auditor").get("/console/completeness", **DAYS).text)
    assert "In single control totals: 5 gaps" in told and "The 2 largest are shown." in told


# --- on the standings page ---


def test_a_blocked_period_says_why_and_leads_to_the_gaps(
    signed_in: Callable[..., Browser], world: World, at_noon: ManualClock
) -> None:
    total(world, 7)
    browser = signed_in("auditor")
    link = f"/console/completeness?organisation={world.organisation.id}&amp;from=2026-01-01&amp;to=2026-06-30"
    period = {"period": str(world.period.id)}
    early = browser.get("/console/standings", **period).text
    assert link in early and "not made yet" not in early
    at_noon.move_to(utc(2026, 7, 10, 12))
    blocked = text_of(browser.get("/console/standings", **period).text)
    assert "The decision is due and not made yet: the calls handed in are not those" in blocked
    assert "7 calls counted, 0 handed in: 7 missing (100.00%)" in blocked
    world.period.decided_at = utc(2026, 7, 10, 5)
    db.session.commit()
    assert "not made yet" not in browser.get("/console/standings", **period).text


def test_the_page_asks_as_often_for_many_totals_as_for_one(
    signed_in: Callable[..., Browser], world: World, count_queries: Callable[[], list[str]], app: Flask
) -> None:
    browser = signed_in("auditor")

    def asked() -> int:
        seen = count_queries()
        assert browser.get("/console/completeness", **DAYS).status_code == 200
        return len(seen)

    total(world, 7)
    before = asked()
    for hour in range(16, 22):
        total(world, 7, hour, factories.agent(world.site))
    assert asked() == before
