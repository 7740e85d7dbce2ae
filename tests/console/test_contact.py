"""What administrators see of contact: paces, caps, and channels that keep failing."""

from __future__ import annotations

from collections.abc import Callable

from survey import attempts, breakers
from survey.db import db
from survey.models import Channel, Sampling
from tests import factories
from tests.console.conftest import Browser, World
from tests.console.test_pages import text_of


def test_a_channel_that_keeps_failing_is_told_with_its_reason(signed_in: Callable[..., Browser], world: World) -> None:
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(Channel.IVR, "no connection to the phone network was made", None)
    db.session.commit()
    auditor = signed_in("auditor")
    page = text_of(auditor.get("/console/").text)
    assert "No calls are placed since " in page
    assert "no connection to the phone network was made" in page
    assert "what is due waits, and one is tried at " in page
    breakers.worked(Channel.IVR)
    db.session.commit()
    assert "No calls are placed" not in text_of(auditor.get("/console/").text)


def test_the_campaigns_page_shows_pace_and_callers(signed_in: Callable[..., Browser], world: World) -> None:
    world.campaign.calls_per_second, world.campaign.live_calls, world.campaign.emails_per_minute = 1, 1_500, 60
    world.campaign.caller_ids = {"GB": "+442079460001", "CA": "+12125550177"}
    db.session.commit()
    page = text_of(signed_in("auditor").get(f"/console/campaigns/{world.campaign.id}").text)
    assert "at most 1 call a second, 1,500 at a time, 60 emails a minute" in page
    assert "+12125550177 in CA, +442079460001 in GB, else +12125550100" in page
    assert "Spend cap none" in page


def test_the_campaigns_page_shows_what_was_spent(signed_in: Callable[..., Browser], world: World) -> None:
    """Two minutes begun at 0.014."""
    world.campaign.spend_cap = 25_000
    dial = factories.attempt(factories.survey(within=world.campaign))
    attempts.billed(dial.id, 61)
    db.session.commit()
    page = text_of(signed_in("auditor").get(f"/console/campaigns/{world.campaign.id}").text)
    assert "Spend cap 250.00 for calls, 0.03 spent" in page


def test_the_campaigns_page_tells_of_reminders_and_target_sampling(
    signed_in: Callable[..., Browser], world: World
) -> None:
    auditor, address = signed_in("auditor"), f"/console/campaigns/{world.campaign.id}"
    page = text_of(auditor.get(address).text)
    assert "Emails one invitation Caller id" in page and "Rates" not in page
    world.campaign.reminders, world.campaign.sampling = 1, Sampling.TARGET
    db.session.commit()
    page = text_of(auditor.get(address).text)
    assert "one invitation and, where it is not answered, one reminder" in page
    assert "Rates set each week from what each agent, supervisor and site still needs, between 1.0% and 100.0%" in page
    assert "Rate at first 1 in 2" in page


def test_the_calls_page_says_what_comes_next(signed_in: Callable[..., Browser], world: World) -> None:
    waiting = factories.survey(factories.call(world.agent, world.site), world.campaign, supervisor=world.leader)
    db.session.commit()
    page = text_of(signed_in("auditor").get(f"/console/calls/{waiting.call_id}").text)
    assert "What comes next" in page and "once the scheduler gets to it: first call" in page
