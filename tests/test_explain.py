"""flask explain: decisions as the command line tells them, refusals without a stack trace."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from scheduler.planning import plan_due
from survey import attempts, lifecycle, optouts
from survey.clock import ManualClock
from survey.db import db
from survey.models import AttemptState, CampaignState, Channel, Disposition, OptOutSource, Outcome, Survey
from tests import factories
from tests.conftest import NOON


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["explain", *words])


def told(app: Flask, *words: str) -> Any:
    result = run(app, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize(
    ("surveys", "world_class", "passes", "reason"),
    [(32, 24, False, "75.0%"), (25, 19, True, ""), (24, 24, False, "1 more survey"), (40, 38, True, "")],
)
def test_a_rule(app: Flask, surveys: int, world_class: int, passes: bool, reason: str) -> None:
    words = ("rule", "sqm-2011", "--level", "agent", "--n", str(surveys), "--k", str(world_class), "--months", "6")
    report = told(app, *words)
    assert report["passes"] is passes
    assert reason in " ".join(report["reasons"])


@pytest.mark.parametrize(
    ("ended_at", "closes_at"),
    [("2026-07-02T15:00:00-04:00", "2026-07-08T04:00:00Z"), ("2026-07-11T15:00:00-04:00", "2026-07-15T04:00:00Z")],
)
def test_a_deadline(app: Flask, ended_at: str, closes_at: str) -> None:
    report = told(app, "deadline", "--ended-at", ended_at, "--zone", "America/New_York", "--country", "US")
    assert report["deadline"] == closes_at


def test_a_draw_number_is_what_the_rule_says(app: Flask) -> None:
    key = "00ff" * 16
    digest = hmac.new(bytes.fromhex(key), b"draw\x00acme\x00call-1", hashlib.sha256).digest()
    report = told(app, "draw", "--key", key, "--source", "acme", "--id", "call-1", "--rate", "1/3")
    assert report["u"] == int.from_bytes(digest[:8], "big")
    assert report["drawn"] is (report["u"] * 3 < 2**64)


def test_calling_hours(app: Flask) -> None:
    late = told(app, "hours", "--number", "+12125550123", "--at", "2026-07-06T22:30:00-04:00")
    assert not late["allowed"] and "22:30 in America/New_York" in late["reasons"][0]
    assert "5550123" not in json.dumps(late)
    assert told(app, "hours", "--number", "+12125550123", "--at", "2026-07-06T12:00:00-04:00")["allowed"]


def test_calling_hours_of_a_campaign(app: Flask, at_noon: ManualClock) -> None:
    """By its own window and its first site's country, which a number without a country code belongs to."""
    place = factories.site(time_zone="Europe/London", country="GB")
    given = {"call_until": time(17), "hours_by_weekday": {"4": ["10:00", "14:00"]}, "call_weekdays": [0, 1, 2, 3, 4]}
    campaign = factories.campaign([place], **given)
    name = f"{campaign.organisation.key}/{campaign.key}"
    db.session.commit()
    words = ("hours", "--number", "020 7946 0123", "--campaign", name, "--at")
    friday = told(app, *words, "2026-03-13T15:00:00Z")
    assert friday["reasons"] == ["15:00 in Europe/London is not before the campaign's 14:00"]
    assert friday["next_allowed"] == "2026-03-16T09:00:00Z"
    assert (friday["campaign"], friday["window"]["own"]) == (name, {"4": ["10:00", "14:00"]})
    assert friday["places"] == [
        {
            "zone": "Europe/London",
            "local": "Friday 2026-03-13 15:00",
            "reasons": ["15:00 in Europe/London is not before the campaign's 14:00"],
            "campaign": ["10:00-14:00"],
            "limits": ["09:00-20:00"],
            "limits_of": "GB",
        }
    ]
    assert told(app, *words, "2026-03-12T16:59:00Z")["allowed"]
    assert run(app, *words, "2026-03-13T15:00:00Z").output.splitlines() == [
        "+44 ••••••••23 may not be called at 2026-03-13T15:00:00Z.",
        "Given without a +, it was read as a number of GB.",
        "In Europe/London it is Friday 2026-03-13 15:00; hours that day: the campaign's 10:00-14:00, the limits' "
        "09:00-20:00.",
        "  No: 15:00 in Europe/London is not before the campaign's 14:00.",
        f"The campaign's hours are those of {name}: Mon, Tue, Wed, Thu, Fri 09:00-17:00; Fri 10:00-14:00, not on "
        "public holidays, by the customer's clock.",
        "The limits, those of GB, hold whatever a campaign says: our own default, as we know of no law there that "
        "names hours.",
        "It may be called again from 2026-03-16T09:00:00Z: Monday 2026-03-16 09:00 in Europe/London.",
    ]


def test_a_number_without_a_zone_is_where_its_site_is(app: Flask, at_noon: ManualClock) -> None:
    """A satellite phone: by the zone given, or by that of the campaign's first site."""
    campaign = factories.campaign([factories.site(time_zone="Asia/Dubai", country="AE")])
    key = campaign.key
    db.session.commit()
    words = ("hours", "--number", "+881612345678", "--at", "2026-03-12T05:30:00Z")
    assert told(app, *words, "--zone", "Asia/Tokyo")["zones"] == ["Asia/Tokyo"]
    assert "so the site's counts: Asia/Tokyo." in run(app, *words, "--zone", "Asia/Tokyo").output
    assert "Here UTC was taken." in run(app, *words).output
    by_campaign = told(app, *words, "--campaign", key)
    assert by_campaign["zones"] == ["Asia/Dubai"] and by_campaign["allowed"]


def test_breaks_and_days_without_calls_are_told(app: Flask) -> None:
    words = ("hours", "--number", "+33199000123", "--at")
    lines = run(app, *words, "2026-03-12T13:30:00+01:00").output.splitlines()
    assert "  No: 13:30 in Europe/Paris is in FR's midday break." in lines
    assert lines[1].endswith("the limits' 10:00-13:00 and 14:00-20:00.")
    assert "Code de la consommation, article D. 223-9" in lines[-2]
    assert lines[-1] == "It may be called again from 2026-03-12T13:00:00Z: Thursday 2026-03-12 14:00 in Europe/Paris."
    assert "the limits' none." in run(app, *words, "2026-03-14T12:00:00+01:00").output


def test_a_number_that_may_be_in_many_zones_is_told_in_few_lines(app: Flask) -> None:
    """A Canadian number without a place: each hour once, with some of the zones that show it, and no hour suits all."""
    lines = run(app, "hours", "--number", "+16005550123", "--at", "2026-07-06T12:00:00-04:00").output.splitlines()
    assert "any of 42 time zones" in lines[1] and len(lines) < 30
    (noon,) = [line for line in lines if "Monday 2026-07-06 12:00;" in line]
    assert noon.startswith("In America/Anguilla, America/Antigua, America/Barbados and 16 more it is")
    assert "  No: 02:00 in Pacific/Guam is before the campaign's 09:00." in lines
    assert lines[-1].startswith("No moment within two weeks suits")


def test_until_when_calls_begin(app: Flask) -> None:
    """Three minutes before the end of the hours no call begins any more, and that is said."""
    words = ("hours", "--number", "+12125550123", "--at")
    assert "No call begins from 2026-07-06T23:57:00Z on" in run(app, *words, "2026-07-06T12:00:00-04:00").output
    late = told(app, *words, "2026-07-06T19:58:00-04:00")
    assert late["allowed"] and not late["begins_now"]
    assert "no call begins any more" in run(app, *words, "2026-07-06T19:58:00-04:00").output


def test_a_call_is_found_by_either_id(app: Flask, at_noon: ManualClock) -> None:
    place = factories.site()
    ours = factories.call(place=place, source="acd", external_id="A-17")
    twin = factories.call(place=place, source="switch", external_id="A-17")
    other = factories.call(place=place, source="acd", external_id=str(ours.id))
    ids = ours.id, twin.id, other.id
    db.session.commit()

    def first_line(*words: str) -> str:
        return run(app, "call", *words).output.splitlines()[0]

    assert first_line("A-17", "--source", "switch").startswith(f"Call {ids[1]}: A-17 of the source switch")
    both = first_line("A-17")
    assert both.startswith("Refused: ") and "--source (acd, switch)" in both and f"--ours {ids[1]} for A-17" in both
    assert "means 2 calls" in first_line(str(ids[0])), "our own number, and the telephone system's of another call"
    assert first_line(str(ids[0]), "--ours").startswith(f"Call {ids[0]}: A-17 of the source acd")
    assert first_line(str(ids[0]), "--source", "acd").startswith(f"Call {ids[2]}:")
    assert first_line(str(ids[1])).startswith(f"Call {ids[1]}:")
    assert "These have it: acd, switch." in first_line("A-17", "--source", "none")
    assert run(app, "call", "1", "--source", "acd", "--ours").exit_code == 2


def test_why_a_survey_expired_without_a_call(app: Flask, at_noon: ManualClock) -> None:
    """Drawn at eight in the evening of its last day, of a customer without an email address: nothing could be done."""
    place = factories.site()
    caller = factories.customer(place.organisation_id, email=None)
    at_noon.move_to(datetime(2026, 3, 13, 0, 30, tzinfo=UTC))
    call = factories.call(place=place, customer=caller)
    survey = factories.survey(call, deadline=datetime(2026, 3, 13, 4, tzinfo=UTC))
    call_id, survey_id = call.id, survey.id
    db.session.commit()
    plan_due()
    db.session.commit()
    reason = "no calling hours left before the deadline; no email address"
    assert told(app, "call", str(call_id))[-2]["text"] == f"Nothing new is planned: {reason}."
    at_noon.move_to(datetime(2026, 3, 13, 4, tzinfo=UTC))
    lifecycle.close_expired()
    db.session.commit()
    assert db.session.get_one(Survey, survey_id).disposition is Disposition.NEVER_ATTEMPTED
    last = told(app, "call", str(call_id))[-1]
    assert (last["title"], last["text"]) == ("Why nothing more was tried", f"{reason[:1].upper()}{reason[1:]}.")
    assert run(app, "call", str(call_id)).output.splitlines()[-1].endswith(last["text"])


def test_why_a_survey_expired_is_told_as_it_was(app: Flask, at_noon: ManualClock) -> None:
    """An opt-out and calls that came later do not explain what happened before."""
    place = factories.site()
    caller = factories.customer(place.organisation_id)
    survey = factories.survey(factories.call(place=place, customer=caller), channels=["ivr"])
    attempt = factories.attempt(survey, state=AttemptState.DIALLING)
    attempts.end(attempt.id, Outcome.DEAD)
    call_id = survey.call_id
    at_noon.move_to(survey.deadline)
    lifecycle.close_expired()
    assert caller.phone_index is not None
    optouts.add(place.organisation_id, "phone", caller.phone_index, OptOutSource.COMMAND)
    db.session.commit()
    assert told(app, "call", str(call_id))[-1]["text"] == "The number is dead."


@pytest.mark.parametrize(
    ("state", "says"), [(CampaignState.ACTIVE, ""), (CampaignState.PAUSED, " The campaign is paused")]
)
def test_what_comes_next_for_an_open_survey(app: Flask, at_noon: ManualClock, state: CampaignState, says: str) -> None:
    place = factories.site()
    call = factories.call(place=place)
    factories.survey(call, factories.campaign([place], state=state))
    call_id = call.id
    db.session.commit()
    (coming,) = [one for one in told(app, "call", str(call_id)) if one["title"] == "What comes next"]
    assert coming["text"].startswith("A call at 2026-03-12T1") and "first call." + says in coming["text"]


@pytest.mark.parametrize(
    ("channel", "campaign", "says"),
    [
        (
            Channel.WEB,
            {},
            "An invitation is planned for 2026-03-12T18:00:00Z."
            " But SMTP_URL is not set on this machine, so that it can send no email.",
        ),
        (Channel.IVR, {}, "A call is planned for 2026-03-12T18:00:00Z."),
        (
            Channel.IVR,
            {"call_from": time(16)},
            "A call is planned for 2026-03-12T18:00:00Z."
            " By the calling hours as they are now it may not begin before 2026-03-12T20:00:00Z, and is put off till"
            " then.",
        ),
        (
            Channel.IVR,
            {"call_until": time(13, 30), "call_weekdays": [3]},
            "A call is planned for 2026-03-12T18:00:00Z."
            " By the calling hours as they are now it may not begin any more before the deadline.",
        ),
        (
            Channel.WEB,
            {"state": CampaignState.CLOSED, "closed_at": NOON},
            "The campaign is closed: nobody is contacted any more."
            " The email planned for 2026-03-12T18:00:00Z will not take place.",
        ),
    ],
)
def test_what_is_planned_is_told_as_planned(
    app: Flask, at_noon: ManualClock, channel: Channel, campaign: dict[str, Any], says: str
) -> None:
    """At noon it is 13:00 in New York."""
    survey = factories.survey(within=factories.campaign(**campaign), channels=[channel.value])
    factories.attempt(survey, channel, due_at=NOON + timedelta(hours=1), reason="first invitation")
    call_id = survey.call_id
    db.session.commit()
    story = {one["title"]: one["text"] for one in told(app, "call", str(call_id))}
    assert story["What comes next"] == says
    over = "state" in campaign
    (planned,) = [text for title, text in story.items() if title.endswith(": planned")]
    assert planned == ("It will not take place: the campaign is closed." if over else "first invitation")


def test_a_call_that_is_under_way_goes_on_after_the_close(app: Flask, at_noon: ManualClock) -> None:
    within = factories.campaign(state=CampaignState.CLOSED, closed_at=NOON)
    attempt = factories.attempt(factories.survey(within=within), state=AttemptState.UNDERWAY)
    call_id = attempt.survey.call_id
    db.session.commit()
    says = "Nothing new is planned: a call is under way. The campaign is closed: nothing begins."
    assert says in [one["text"] for one in told(app, "call", str(call_id))]


def test_every_attempts_reason_is_told_in_lines_too(app: Flask, at_noon: ManualClock) -> None:
    attempt = factories.attempt(state=AttemptState.UNDERWAY, reason="the line was busy: again soon")
    call_id = attempt.survey.call_id
    db.session.commit()
    assert "[Why then: the line was busy: again soon]" in run(app, "call", str(call_id)).output


def test_a_calls_story(app: Flask, at_noon: ManualClock) -> None:
    attempt = factories.attempt(state=AttemptState.UNDERWAY)
    call_id = attempt.survey.call_id
    db.session.commit()
    story = told(app, "call", str(call_id))
    assert [moment["at"] for moment in story] == sorted(moment["at"] for moment in story)
    assert "drawn" in json.dumps(story).casefold()
    lines = run(app, "call", str(call_id)).output
    assert len(lines.splitlines()) == 1 + len(story)
    assert ", under the id " in json.dumps(story)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule", "no-such-rule", "--level", "agent", "--n", "1", "--k", "1", "--months", "6"), "no rule set"),
        (("rule", "sqm-2011", "--level", "agent", "--n", "1", "--k", "2", "--months", "6"), "2"),
        (("deadline", "--ended-at", "2026-07-02T15:00", "--zone", "UTC", "--country", "US"), "--ended-at: "),
        (("deadline", "--ended-at", "soon", "--zone", "UTC", "--country", "US"), "not a time"),
        (("deadline", "--ended-at", "2026-07-02T15:00Z", "--zone", "Mars", "--country", "US"), "time zone"),
        (("draw", "--key", "xyz", "--source", "s", "--id", "1"), "hex"),
        (("hours", "--number", "12", "--at", "2026-07-06T12:00Z"), "read as a number of US"),
        (("hours", "--number", "+18005550123", "--at", "2026-07-06T12:00Z"), "--number: the number is a toll-free"),
        (("hours", "--number", "+12125550123", "--at", "2026-07-06T12:00"), "--at: '2026-07-06T12:00' does not say"),
        (("hours", "--number", "+12125550123", "--at", "2026-07-06T12:00Z", "--campaign", "none"), "no campaign"),
        (("hours", "--number", "+12125550123", "--at", "2026-07-06T12:00Z", "--zone", "Mars"), "time zone"),
        (("call", "999"), "no such call"),
        (("call", "99999999999999999999"), "no such call"),
        (("call", "no-such", "--ours"), "our numbers have no 'no-such'"),
        (("deadline", "--ended-at", "9999-12-31T00:00Z", "--zone", "UTC", "--country", "US"), "too far from today"),
        (("deadline", "--ended-at", "2026-07-02T15:00Z", "--zone", "America", "--country", "US"), "time zone"),
        (("hours", "--number", "+12125550123", "--at", "0001-01-01T00:00Z"), "too far from today"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(app: Flask, words: tuple[str, ...], says: str) -> None:
    result = run(app, *words)
    assert result.exit_code == 1
    assert result.output.startswith("Refused: ") and says in result.output and len(result.output.splitlines()) == 1


def test_usage_is_exit_2(app: Flask) -> None:
    assert run(app, "rule", "sqm-2011").exit_code == 2
    assert run(app, "call").exit_code == 2
