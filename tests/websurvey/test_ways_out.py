"""The ways out: not my call, and stopping emails or calls, on the page and by one click."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, Outcome
from tests import factories
from tests.websurvey.steps import ALL_THREE, choose, get, post, said
from tests.websurvey.support import everything, fresh, sent_link

pytestmark = pytest.mark.usefixtures("at_noon")


def test_i_did_not_make_this_call(client: FlaskClient) -> None:
    attempt, path = sent_link()
    for _, value in ALL_THREE[:2]:
        page = get(client, path)
        assert f"{path}/not-me" in [form.action for form in page.forms], "on every screen"
        choose(client, page, value)
    page = post(client, f"{path}/not-me")
    assert said("en", "wrong_person_done") in page.text
    ended = fresh(attempt.id)
    assert (ended.state, ended.outcome) == (AttemptState.ENDED, Outcome.WRONG_PERSON)
    assert ended.survey.is_open and ended.survey.plan_at is not None, "others may still be asked, by plan"
    assert said("en", "wrong_person_done") in get(client, path).text
    before = everything()
    post(client, path, question="agent", answer="1", sequence="1")
    assert everything() == before, "a stranger's answers are not taken"


def test_looking_at_not_me_says_nothing_yet(client: FlaskClient) -> None:
    _, path = sent_link()
    assert client.get(f"{path}/not-me").headers["Location"] == path


def optouts() -> list[tuple[str, str]]:
    rows = everything()["optouts"]
    return sorted((kind, source) for row in rows for kind, source in re.findall(r",(phone|email),[^,]*,(\w+),", row))


def test_one_click_needs_no_cookie_and_answers_without_a_redirect(client: FlaskClient) -> None:
    attempt, path = sent_link()
    response = client.post(f"{path}/unsubscribe", data={"List-Unsubscribe": "One-Click"})
    assert response.status_code == 200, "RFC 8058: no redirect"
    assert said("en", "stopped_email") in response.get_data(as_text=True)
    assert optouts() == [("email", "one_click")]
    ended = fresh(attempt.id)
    assert (ended.outcome, ended.survey.disposition) == (Outcome.OPTED_OUT, Disposition.OPTED_OUT)
    assert said("en", "stopped") in get(client, path).text


def test_one_click_as_multipart_twice_is_one_opt_out(client: FlaskClient) -> None:
    _, path = sent_link()
    for _ in range(2):
        response = client.post(
            f"{path}/unsubscribe", data={"List-Unsubscribe": "One-Click"}, content_type="multipart/form-data"
        )
        assert response.status_code == 200
    assert optouts() == [("email", "one_click")]


@pytest.mark.parametrize(
    ("stop", "recorded", "text"),
    [
        ("email", [("email", "web_page")], "stopped_email"),
        ("both", [("email", "web_page"), ("phone", "web_page")], "stopped_both"),
    ],
)
def test_unsubscribe_page(client: FlaskClient, stop: str, recorded: list[tuple[str, str]], text: str) -> None:
    attempt, path = sent_link()
    factories.attempt(attempt.survey, Channel.IVR)
    db.session.commit()
    page = get(client, f"{path}/unsubscribe")
    assert page.has("button", name="stop", value=stop)
    page = post(client, f"{path}/unsubscribe", stop=stop)
    assert said("en", text) in page.text
    assert optouts() == recorded
    states = db.session.scalars(select(Attempt.state).order_by(Attempt.ordinal)).all()
    assert states == [AttemptState.ENDED, AttemptState.CANCELLED], "nothing more is tried about this call"
    before = everything()["answers"]
    post(client, path, question="resolved", answer="yes", sequence="1")
    assert everything()["answers"] == before


def test_the_rest_can_be_stopped_later(client: FlaskClient) -> None:
    _, path = sent_link()
    post(client, f"{path}/unsubscribe", stop="email")
    page = get(client, f"{path}/unsubscribe")
    assert not page.has("button", value="email") and page.has("button", value="both")
    assert said("en", "stopped_both") in post(client, f"{path}/unsubscribe", stop="both").text


def test_after_thanks_emails_can_still_be_stopped(client: FlaskClient) -> None:
    attempt, path = sent_link()
    for key, value in ALL_THREE:
        page = post(client, path, question=key, answer=value, sequence="1")
    assert f"{path}/unsubscribe" in page.links
    post(client, f"{path}/unsubscribe", stop="email")
    assert fresh(attempt.id).survey.disposition is Disposition.COMPLETE
    assert said("en", "thanks") in get(client, path).text


def test_an_unsubscribe_without_a_choice_does_nothing(client: FlaskClient) -> None:
    _, path = sent_link()
    before = everything()
    page = post(client, f"{path}/unsubscribe", 200, stop="everything")
    assert page.has("button", value="email")
    assert everything() == before
