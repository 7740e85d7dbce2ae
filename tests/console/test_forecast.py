"""The forecast's page: the command's figures, what to look at first, and what to do where there is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from survey.clock import ManualClock
from survey.db import db
from survey.models import Campaign
from tests import factories
from tests.console.conftest import Browser
from tests.console.test_pages import text_of
from tests.scheduler.forecasting import Centre, forecast, workdays


@pytest.fixture
def centre(app: Flask, at_noon: ManualClock) -> Centre:
    return Centre.make()


@pytest.fixture
def draft(centre: Centre) -> Campaign:
    for n, agent in enumerate(centre.agents):
        centre.calls(agent, workdays(), 3 * n + 1)
    made = centre.draft(rate_denominator=1, target_agent=20, target_site=30, spend_cap=100)
    db.session.commit()
    return made


def test_the_page_shows_the_commands_figures(
    app: Flask, signed_in: Callable[..., Browser], centre: Centre, draft: Campaign
) -> None:
    told = forecast(app, draft)
    page = text_of(signed_in("auditor").get(f"/console/campaigns/{draft.id}/forecast").text)
    total = told["total"]
    counts = " ".join(f"{total[name]:,}" for name in ("calls", "surveys", "completes", "dials", "emails", "minutes"))
    assert f"In all {counts} {total['cost'] / 100:,.2f}" in page
    for line in (*told["warnings"], *told["rests_on"]):
        assert line.replace("'", "&#39;").replace('"', "&#34;") in page
    first, last = told["agents"][0], told["agents"][-1]
    assert (
        first["verdict"] == "missed" and f"{first['name']} 0 4.7 20 16 100% not within the campaign Misses it" in page
    )
    assert last["verdict"] == "likely" and f"{last['name']} 0 39.2 20 0 100% 27 Mar 2026 Reaches it" in page
    assert page.index(first["name"]) < page.index(last["name"])
    assert "No number wanted" in page, "no supervisor has a number"


def test_looking_back_on_other_weeks(signed_in: Callable[..., Browser], centre: Centre, draft: Campaign) -> None:
    browser = signed_in("manager", centre.site.organisation)
    assert "14 days from 2026-02-25" in browser.get(f"/console/campaigns/{draft.id}/forecast", weeks="2").text
    for wrong in ("0", "27", "x"):
        assert browser.get(f"/console/campaigns/{draft.id}/forecast", weeks=wrong).status_code == 400


def test_where_there_is_no_forecast_the_page_says_what_to_do(signed_in: Callable[..., Browser], centre: Centre) -> None:
    empty = centre.draft()
    db.session.commit()
    answer = signed_in("manager", centre.site.organisation).get(f"/console/campaigns/{empty.id}/forecast")
    assert answer.status_code == 200
    page = text_of(answer.text)
    assert "There is no forecast: there are no calls at" in page and "flask calls import FILE" in page


def test_another_organisations_campaign_does_not_exist(
    signed_in: Callable[..., Browser], centre: Centre, draft: Campaign
) -> None:
    stranger = signed_in("manager", factories.organisation())
    assert stranger.get(f"/console/campaigns/{draft.id}/forecast").status_code == 404


def test_more_agents_than_anybody_reads_are_cut_off(
    signed_in: Callable[..., Browser], draft: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.forecast.MOST_AGENTS", 1)
    page = text_of(signed_in("auditor").get(f"/console/campaigns/{draft.id}/forecast").text)
    assert "And 3 more, who miss less:" in page


def test_the_campaigns_page_leads_there_and_names_who_has_the_calls(
    signed_in: Callable[..., Browser], centre: Centre, draft: Campaign
) -> None:
    first = factories.campaign([centre.site])
    db.session.commit()
    page = signed_in("auditor").get(f"/console/campaigns/{draft.id}").text
    assert f'href="/console/campaigns/{draft.id}/forecast"' in page
    assert f"{first.key} was launched first and has them, drawn or not." in text_of(page)
