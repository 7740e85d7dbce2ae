"""The standings page shows certification's own figures, for the own organisation only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from certification import standings as certification_standings
from certification import words as certification_words
from console import standings
from console.scope import Scope
from survey.clock import ManualClock
from survey.db import db
from survey.errors import NotFound
from survey.models import Site
from tests.certification.world import World as Centre
from tests.console.conftest import Browser, World, make_world
from tests.console.test_pages import text_of


def test_the_figures_are_certifications_json(signed_in: Callable[..., Browser], world: World) -> None:
    told = [each.as_dict() for each in certification_standings.for_period(world.period)]
    page = text_of(signed_in("auditor").get("/console/standings", period=str(world.period.id)).text)
    assert len(told) == 4
    for row in told:
        low, high = (f"{100 * bound:.1f}%" for bound in row["interval"])
        rate = certification_words.percent(row["rate"])
        assert f"{row['name']} {row['n']} {row['k']} {rate} {low} – {high}" in page
        for missing in row["missing"]:
            assert missing in page


def test_what_stands_beside_the_rate(signed_in: Callable[..., Browser], at_noon: ManualClock) -> None:
    centre = Centre.make(at_noon)
    outcomes = {"world_class": 19, "satisfied": 7, "partial": 3, "late": 2, "superseded": 4, "silent": 65}
    centre.ask(centre.agent(), day=date(2026, 2, 3), **outcomes)
    db.session.commit()
    page = text_of(signed_in("auditor").get("/console/standings").text)
    assert "3 partial, 2 late; 4.0% superseded, with them 63.3%" in page


def test_without_a_period_the_last_complete_months_are_shown(signed_in: Callable[..., Browser], world: World) -> None:
    page = text_of(signed_in("issuer").get("/console/standings").text)
    assert "calls from 1 Sep 2025 to 28 Feb 2026" in page and "nothing will be decided" in page


@pytest.mark.parametrize(
    ("today", "months", "first", "last"),
    [
        (date(2026, 3, 12), 6, date(2025, 9, 1), date(2026, 2, 28)),
        (date(2026, 1, 1), 6, date(2025, 7, 1), date(2025, 12, 31)),
        (date(2026, 7, 31), 6, date(2026, 1, 1), date(2026, 6, 30)),
        (date(2028, 3, 1), 1, date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 12, 31), 12, date(2025, 12, 1), date(2026, 11, 30)),
    ],
)
def test_last_complete_months(today: date, months: int, first: date, last: date) -> None:
    assert standings.last_complete_months(today, months) == (first, last)


def test_other_organisations_programmes_do_not_exist(signed_in: Callable[..., Browser], world: World) -> None:
    other = make_world()
    own = Scope(world.organisation.id)
    with pytest.raises(NotFound):
        standings.read(own, standings.Wanted(other.programme.id))
    with pytest.raises(NotFound):
        standings.read(own, standings.Wanted(world.programme.id, other.period.id))
    browser = signed_in("auditor", world.organisation)
    assert browser.get("/console/standings", programme=str(other.programme.id)).status_code == 404
    assert browser.get("/console/standings", period=str(other.period.id)).status_code == 404
    assert browser.get("/console/standings", programme="x").status_code == 400


def test_no_programme_says_what_to_do(signed_in: Callable[..., Browser]) -> None:
    assert "No programme yet" in signed_in("auditor").get("/console/standings").text


def test_without_a_programme_the_page_leads_to_completeness(signed_in: Callable[..., Browser], place: Site) -> None:
    """An organisation that has no programme yet can see all the same whether its calls were all handed in."""
    browser = signed_in("manager", place.organisation)
    page = browser.get("/console/standings").text
    assert "No programme yet." in page and 'href="/console/completeness"' in page
    assert browser.get("/console/completeness").status_code == 200
