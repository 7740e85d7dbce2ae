"""A campaign's page: what is odd about a draft, which can be deleted; what is left of a closed one, and its key."""

from __future__ import annotations

from collections.abc import Callable

from scheduler import campaigns
from survey.db import db
from survey.models import DrawKey
from tests import factories
from tests.console.conftest import Browser, World


def test_the_page_of_a_closed_campaign(signed_in: Callable[..., Browser], world: World) -> None:
    page, key = f"/console/campaigns/{world.campaign.id}", db.session.query(DrawKey).one()
    hash_of, secret = key.sha256, key.key_hex
    draft = factories.campaign([world.site], launched=False)
    db.session.commit()
    browser = signed_in("auditor")
    assert "Delete the draft" not in browser.get(f"/console/campaigns/{draft.id}").text, "an auditor only reads"
    open_page = browser.get(page).text
    assert "Pausing stops contact" in open_page and "Now that it is closed" not in open_page
    assert f"flask draw replay {world.organisation.key}/{world.campaign.key}" in open_page
    assert 'href="/registry/draws"' in open_page and "needs no sign-in" in open_page
    campaigns.close(world.campaign, actor="test")
    db.session.commit()
    closed = browser.get(page).text
    assert "Pausing stops contact" not in closed and "flask calls import" not in closed
    assert "No survey is open: its numbers" in closed and secret not in closed
    campaigns.reveal_keys()
    db.session.commit()
    revealed = browser.get(page).text
    assert hash_of in revealed and secret in revealed


def test_a_drafts_page_says_what_is_odd_and_deletes_it(signed_in: Callable[..., Browser], world: World) -> None:
    draft = factories.campaign([world.site], launched=False, queues=["bills"])
    db.session.commit()
    page, name = f"/console/campaigns/{draft.id}", draft.name
    browser = signed_in("manager", world.organisation)
    text = browser.get(page).text
    assert "ever had the queue" in text and "Delete the draft" in text
    assert browser.post(f"{page}/delete", page).status_code == 303
    assert "tick the box" in browser.get(page).text
    assert browser.post(f"{page}/delete", page, sure="yes").status_code == 303
    assert f"The draft {name} is deleted." in browser.get("/console/campaigns").text
    assert browser.get(page).status_code == 404
    active = f"/console/campaigns/{world.campaign.id}"
    assert "Delete the draft" not in browser.get(active).text
    assert browser.post(f"{active}/delete", active, sure="yes").status_code == 409
