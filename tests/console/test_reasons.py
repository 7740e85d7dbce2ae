"""From a file of calls to the reason of each: whether it may be asked about is kept per call, and every reason counted.

Intake stores what came; the draw judges; the command line and the campaign's page count what it said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from scheduler import drawing, funnel
from scheduler.replay import replay
from scheduler.sampling import is_drawn, number
from scheduler.words import DRAW_REASONS
from survey import optouts, vault
from survey.clock import ManualClock
from survey.db import db
from survey.models import Assignment, AttemptState, Call, Campaign, Draw, DrawReason, OptOutSource, Survey
from tests import factories
from tests.conftest import NOON
from tests.console.conftest import Browser
from tests.console.test_pages import text_of
from tests.intake import samples

HEADER = "call_id,agent,started_at,wait_seconds,talk_seconds,internal,language,phone,email,consents_to_calls"
# In New York: an hour before the tests' noon, and a week before, whose deadline is over.
TODAY, LAST_WEEK = "2026-03-12 12:00", "2026-03-05 12:00"
ASKED, STOPPED = "212-555-0101", "212-555-0102"

# What comes in, by its call id, and what is decided about it. OWN stands for a phone of the call's own.
CALLS: dict[str, tuple[str, DrawReason]] = {
    "unanswered": (f",{TODAY},40,0,,,OWN,,", DrawReason.UNANSWERED),
    "given up in the queue": (f"amy,{TODAY},300,0,,,OWN,,", DrawReason.UNANSWERED),
    "too short": (f"amy,{TODAY},5,9,,,OWN,,", DrawReason.TOO_SHORT),
    "internal": (f"amy,{TODAY},5,60,yes,,OWN,,", DrawReason.INTERNAL),
    "internal and unanswered": (f",{TODAY},5,0,yes,,,,", DrawReason.INTERNAL),
    "no agent": (f",{TODAY},5,60,,,OWN,,", DrawReason.NO_AGENT),
    "agent who had left": (f"bob,{TODAY},5,60,,,OWN,,", DrawReason.NO_ASSIGNMENT),
    "came after its deadline": (f"amy,{LAST_WEEK},5,60,,,OWN,,", DrawReason.PAST_DEADLINE),
    "no contact": (f"amy,{TODAY},5,60,,,,,", DrawReason.NO_CONTACT),
    "toll-free number": (f"amy,{TODAY},5,60,,,+1 800 555 0100,,", DrawReason.INVALID_CONTACT),
    "short number": (f"amy,{TODAY},5,60,,,911,,", DrawReason.INVALID_CONTACT),
    "number with an extension": (f"amy,{TODAY},5,60,,,212-555-0109 ext 5,,", DrawReason.INVALID_CONTACT),
    "faulty email": (f"amy,{TODAY},5,60,,,,nobody at example,", DrawReason.INVALID_CONTACT),
    "both faulty": (f"amy,{TODAY},5,60,,,call me,@example.com,", DrawReason.INVALID_CONTACT),
    "opted-out phone and faulty email": (f"amy,{TODAY},5,60,,,{STOPPED},nobody at example,", DrawReason.OPTED_OUT),
    "no consent to calls": (f"amy,{TODAY},5,60,,,OWN,,no", DrawReason.OPTED_OUT),
    "another language": (f"amy,{TODAY},5,60,,de,OWN,,", DrawReason.LANGUAGE_NOT_OFFERED),
    "asked just before": (f"amy,{TODAY},5,60,,,{ASKED},,", DrawReason.QUARANTINED),
    "faulty phone and good email": (f"amy,{TODAY},5,60,,,911,jo@example.com,", DrawReason.DRAWN),
    "no consent to calls and good email": (f"amy,{TODAY},5,60,,,OWN,ann@example.com,no", DrawReason.DRAWN),
    "good phone": (f"amy,{TODAY},5,60,,,OWN,,", DrawReason.DRAWN),
    "not selected": (f"amy,{TODAY},5,60,,,OWN,,", DrawReason.NOT_SELECTED),
}
WANTED = Counter(reason for _, reason in CALLS.values())


def call_id(name: str, *, drawn: bool) -> str:
    """The name with a number behind it by which chance, at a rate of 1 in 2, decides as wanted."""
    made = (f"{name} {n}" for n in range(100))
    return next(one for one in made if is_drawn(number(b"k" * 32, "draw", "north", one), Fraction(1, 2)) is drawn)


def line(place: int, name: str) -> str:
    cells, reason = CALLS[name]
    return f"{call_id(name, drawn=reason is not DrawReason.NOT_SELECTED)},{cells.replace('OWN', f'212-555-01{place}')}"


@pytest.fixture
def campaign(app: Flask, at_noon: ManualClock, tmp_path: Path) -> Campaign:
    """A campaign that asks about every second call, after the draw on all of CALLS."""
    site = samples.place()
    gone = factories.agent(site, key="bob")
    assigned = db.session.scalars(select(Assignment).where(Assignment.agent_id == gone.id)).one()
    assigned.ends_on = date(2026, 3, 12)
    optouts.add(site.organisation_id, "phone", vault.phone_index("+12125550102"), OptOutSource.COMMAND)
    made = factories.campaign([site])
    db.session.commit()
    _ask_somebody(made, tmp_path)
    at_noon.move_to(NOON + timedelta(minutes=1))
    text = samples.rows(*(line(place, name) for place, name in enumerate(CALLS, 10)), header=HEADER)
    report = samples.taken(samples.written(tmp_path, text))
    assert samples.counts(report) == (len(CALLS), 0, 0, 0)
    drawing.draw_campaign(made)
    db.session.commit()
    return made


def _ask_somebody(campaign: Campaign, folder: Path) -> None:
    """The customer with the phone ASKED was drawn before, and an attempt has begun."""
    before = f"{call_id('before', drawn=True)},amy,2026-03-12 09:00,5,60,,,{ASKED},,"
    samples.taken(samples.written(folder, samples.rows(before, header=HEADER)))
    drawing.draw_campaign(campaign)
    factories.attempt(db.session.scalars(select(Survey)).one(), state=AttemptState.UNDERWAY)
    db.session.commit()


def words_of(browser: Browser, path: str) -> str:
    return text_of(unescape(browser.get(path).text))


def test_each_call_that_comes_in_keeps_its_reason(campaign: Campaign) -> None:
    assert set(WANTED) == set(DrawReason), "every reason there is comes up here"
    rows = db.session.execute(select(Call.external_id, Draw.reason).join(Draw, Draw.call_id == Call.id))
    found = {external_id.rsplit(" ", 1)[0]: reason for external_id, reason in rows}
    assert found.pop("before") is DrawReason.DRAWN
    assert found == {name: reason for name, (_, reason) in CALLS.items()}
    assert replay(campaign) is None


def test_legs_that_do_not_say_who_was_last_credit_the_site_alone(
    signed_in: Callable[..., Browser], at_noon: ManualClock, tmp_path: Path
) -> None:
    """Two agents until the same second: asked about, and nobody's but the site's."""
    site = samples.place()
    factories.agent(site, key="bob")
    campaign = factories.campaign([site], rate_numerator=1, rate_denominator=1)
    legs = [f"c1,{leg},{agent},{TODAY},60,{ASKED}" for leg, agent in enumerate(("amy", "bob"), 1)]
    text = samples.rows(*legs, header="call_id,leg,agent,started_at,talk_seconds,phone")
    samples.taken(samples.written(tmp_path, text))
    assert drawing.draw_campaign(campaign).drawn == 1
    survey = db.session.scalars(select(Survey)).one()
    assert (survey.agent_id, survey.supervisor_id, survey.site_id) == (None, None, site.id)
    assert replay(campaign) is None
    call_id = survey.call_id
    db.session.commit()
    assert "Agent not certain who was last" in words_of(signed_in("auditor"), f"/console/calls/{call_id}")


def test_a_contact_that_cannot_be_used_says_why(campaign: Campaign) -> None:
    rows = db.session.execute(select(Call.external_id, Call.contact_fault).where(Call.contact_fault.is_not(None)))
    assert {external_id.rsplit(" ", 1)[0]: fault for external_id, fault in rows} == {
        "toll-free number": "phone: is a toll-free number",
        "short number": "phone: is a short number",
        "faulty phone and good email": "phone: is a short number",
        "number with an extension": "phone: has an extension",
        "faulty email": "email: is not a valid email address",
        "opted-out phone and faulty email": "email: is not a valid email address",
        "both faulty": "phone: is not a phone number; email: is not a valid email address",
    }


def test_the_command_line_counts_every_reason(app: Flask, campaign: Campaign) -> None:
    told = funnel.show(campaign)
    counted = WANTED + Counter({DrawReason.DRAWN: 1})
    assert told["reasons"] == {reason.value: count for reason, count in counted.items()}
    assert (told["calls"], told["eligible"], told["drawn"]) == (len(CALLS) + 1, 5, 4)
    name = f"acme/{campaign.key}"
    as_json = json.loads(app.test_cli_runner().invoke(args=["campaigns", "show", name, "--json"]).output)
    assert as_json["reasons"] == told["reasons"]
    lines = app.test_cli_runner().invoke(args=["campaigns", "show", name]).output.splitlines()
    drawn, rest = lines.index("  drawn:"), lines.index("  not drawn:")
    assert [shown.split(None, 1) for shown in lines[drawn + 1 : rest]] == [["4", DRAW_REASONS[DrawReason.DRAWN]]]
    shown = {words: int(count) for count, words in (one.split(None, 1) for one in lines[rest + 1 : rest + 13])}
    assert shown == {DRAW_REASONS[reason]: count for reason, count in WANTED.items() if reason is not DrawReason.DRAWN}


def test_a_reason_that_no_call_had_is_not_listed(app: Flask, session: object, at_noon: ManualClock) -> None:
    site = factories.site()
    campaign = factories.campaign([site])
    factories.call(place=site, answered=False, talk_seconds=0)
    drawing.draw_campaign(campaign)
    db.session.commit()
    assert funnel.show(campaign)["reasons"] == {"unanswered": 1}
    lines = app.test_cli_runner().invoke(args=["campaigns", "show", campaign.key]).output.splitlines()
    assert [line for line in lines if line.startswith("    ")] == ["            1  Nobody answered the call."]
    assert "  drawn:" not in lines


def test_the_campaigns_page_counts_every_reason(signed_in: Callable[..., Browser], campaign: Campaign) -> None:
    page = words_of(signed_in("auditor"), f"/console/campaigns/{campaign.id}")
    table = page[page.index("Why calls were not drawn") : page.index("How surveys ended")]
    whole = len(CALLS) + 1
    for reason, count in WANTED.items():
        share = f"{100 * count / whole:.1f}%"
        assert (f"{DRAW_REASONS[reason]} {count} {share}" in table) is (reason is not DrawReason.DRAWN), reason
    assert f"Calls {whole} " in page and "Eligible 5 " in page and "Drawn 4 " in page


def test_a_calls_page_says_its_reason(signed_in: Callable[..., Browser], campaign: Campaign) -> None:
    browser = signed_in("auditor")
    for call, draw in db.session.execute(select(Call, Draw).join(Draw, Draw.call_id == Call.id)).all():
        if not draw.drawn:
            assert DRAW_REASONS[draw.reason] in words_of(browser, f"/console/calls/{call.id}")
