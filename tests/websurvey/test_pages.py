"""The customers' pages, as a browser without JavaScript or cookies uses them."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from survey import answers, attempts, lifecycle
from survey.clock import ManualClock
from survey.db import db
from survey.models import Answer, Attempt, AttemptState, Channel, Disposition, Outcome, Response, Survey
from survey.questionnaire import CORE, LANGUAGES, wording
from survey.vault import token_hash
from tests import factories
from tests.websurvey.support import Mailbox, Page, dialling, everything, fresh, link_of, links_in, sent_link
from websurvey import links, words
from websurvey.channel import WebChannel

pytestmark = pytest.mark.usefixtures("at_noon")

ALL_THREE = (("resolved", "yes"), ("overall", "5"), ("agent", "4"))


def get(client: FlaskClient, path: str, status: int = 200) -> Page:
    response = client.get(path)
    assert response.status_code == status
    return Page(response.get_data(as_text=True))


def post(client: FlaskClient, path: str, status: int = 303, **fields: str) -> Page:
    """Sends a form and goes where it leads, as a browser does."""
    response = client.post(path, data=fields)
    assert response.status_code == status
    return get(client, response.headers["Location"]) if status == 303 else Page(response.get_data(as_text=True))


def choose(client: FlaskClient, page: Page, value: str) -> Page:
    """Picks a choice and presses the button."""
    assert value in page.question.choices
    return post(client, page.question.action, **page.question.fields, answer=value)


def said(language: str, key: str) -> str:
    return words.texts(language, "page")[key]


def answered(survey_id: int) -> list[tuple[str, str, int]]:
    db.session.rollback()
    rows = db.session.scalars(select(Answer).where(Answer.survey_id == survey_id).order_by(Answer.id))
    return [(row.question, row.value, row.sequence) for row in rows]


def phoned(survey: Survey, *given: tuple[str, str]) -> Attempt:
    """A phone attempt over which these answers came."""
    attempt = factories.attempt(survey, Channel.IVR, state=AttemptState.UNDERWAY)
    for sequence, (key, value) in enumerate(given):
        answers.take(attempt, key, value, sequence)
    db.session.commit()
    return attempt


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_whole_survey_in_each_language(client: FlaskClient, language: str) -> None:
    attempt, path = sent_link(factories.survey(language=language))
    page = get(client, path)
    for number, (key, value) in enumerate(ALL_THREE, 1):
        worded = wording(key, language)
        assert page.language == language
        assert page.asks == key
        assert worded.text in page.text
        assert list(page.question.choices.items()) == [(v, worded.choices[v]) for v in CORE[number - 1].values]
        assert page.question.chosen is None
        assert said(language, "progress").format(number=number, total=3) in page.text
        page = choose(client, page, value)
    assert page.asks is None
    assert said(language, "thanks") in page.text
    response = db.session.scalars(select(Response)).one()
    assert (response.complete, response.resolved, response.overall, response.agent) == (True, "yes", 5, 4)
    assert response.channel is Channel.WEB
    ended = fresh(attempt.id)
    assert (ended.state, ended.outcome) == (AttemptState.ENDED, Outcome.COMPLETED)
    assert ended.survey.disposition is Disposition.COMPLETE


def test_the_third_core_answer_completes_with_no_further_submit(client: FlaskClient) -> None:
    attempt, path = sent_link()
    for key, value in ALL_THREE:
        assert fresh(attempt.id).survey.is_open
        assert client.post(path, data={"question": key, "answer": value, "sequence": "1"}).status_code == 303
    assert fresh(attempt.id).survey.disposition is Disposition.COMPLETE


def test_first_screen_says_who_asks_about_what_and_until_when(client: FlaskClient) -> None:
    _, path = sent_link()
    page = get(client, path)
    intro = "March 12. Three questions, under a minute. Open until the end of Monday, March 16."
    assert intro in page.text
    assert "+1 212-555-0100" in page.text and "https://example.com/privacy" in page.links
    assert said("en", "saved") in page.text


def test_resumes_on_another_device_at_the_first_open_question(client: FlaskClient, app: object) -> None:
    _, path = sent_link()
    choose(client, get(client, path), "no")
    other = client.application.test_client()
    assert get(other, path).asks == "overall"


def test_going_back_shows_the_answer_and_a_changed_mind_is_a_new_row(client: FlaskClient) -> None:
    attempt, path = sent_link()
    page = choose(client, get(client, path), "no")
    (back,) = [link for link in page.links if "question=resolved" in link]
    page = get(client, back)
    assert (page.asks, page.question.chosen, page.question.fields["sequence"]) == ("resolved", "no", "2")
    page = choose(client, page, "yes")
    assert page.asks == "overall"
    assert answered(attempt.survey_id) == [("resolved", "no", 1), ("resolved", "yes", 2)]
    for value in ("3", "2"):
        page = choose(client, page, value)
    assert db.session.scalars(select(Response.resolved)).one() == "yes"


def test_nobody_jumps_ahead(client: FlaskClient) -> None:
    _, path = sent_link()
    for wanted in ("agent", "overall", "nonsense", ""):
        assert get(client, f"{path}?question={wanted}").asks == "resolved"


def test_double_submit_is_one_answer(client: FlaskClient) -> None:
    attempt, path = sent_link()
    form = get(client, path).question
    for _ in range(2):
        page = post(client, form.action, **form.fields, answer="yes")
        assert page.asks == "overall"
    assert answered(attempt.survey_id) == [("resolved", "yes", 1)]


def test_double_submit_of_the_last_answer_ends_at_thanks(client: FlaskClient) -> None:
    attempt, path = sent_link()
    page = get(client, path)
    for _, value in ALL_THREE[:2]:
        page = choose(client, page, value)
    for _ in range(2):
        assert said("en", "thanks") in choose(client, page, "1").text
    assert len(answered(attempt.survey_id)) == 3
    assert len(db.session.scalars(select(Response)).all()) == 1


def test_two_devices_with_the_same_page_lose_no_answer(client: FlaskClient) -> None:
    attempt, path = sent_link()
    one, other = get(client, path), get(client, path)
    choose(client, one, "yes")
    choose(client, other, "no")
    choose(client, one, "yes")
    assert answered(attempt.survey_id) == [("resolved", "yes", 1), ("resolved", "no", 2)]


def test_a_form_without_a_sound_number_still_counts(client: FlaskClient) -> None:
    attempt, path = sent_link()
    post(client, path, question="resolved", answer="yes", sequence="x")
    post(client, path, question="resolved", answer="no")
    post(client, path, question="resolved", answer="unsure", sequence="9" * 30)
    assert [value for _, value, _ in answered(attempt.survey_id)] == ["yes", "no", "unsure"]
    post(client, path, question="resolved", answer="yes", sequence="101")
    assert len(answered(attempt.survey_id)) == 3, "a link cannot fill the table"


@pytest.mark.parametrize("given", [{}, {"answer": ""}, {"answer": "6"}, {"answer": "yes'--"}])
def test_no_choice_is_an_error_said_aloud(client: FlaskClient, given: dict[str, str]) -> None:
    _, path = sent_link()
    before = everything()
    page = post(client, path, 422, question="resolved", sequence="1", **given)
    assert page.asks == "resolved"
    assert page.has("p", id="error", role="alert") and page.has("fieldset", **{"aria-describedby": "error"})
    assert said("en", "error") in page.text
    assert re.search(r"<title>Error: ", page.html)
    assert everything() == before


def test_an_unknown_question_leads_back(client: FlaskClient) -> None:
    _, path = sent_link()
    assert post(client, path, question="weather", answer="1", sequence="1").asks == "resolved"
    assert post(client, path).asks == "resolved"


def test_the_emails_choice_is_preselected_and_not_saved(client: FlaskClient) -> None:
    attempt, path = sent_link()
    page = get(client, f"{path}?answer=no")
    assert page.question.chosen == "no"
    assert answered(attempt.survey_id) == []
    assert get(client, f"{path}?answer=nonsense").question.chosen is None
    choose(client, page, "no")
    page = choose(client, get(client, f"{path}?answer=yes"), "3")
    assert page.asks == "agent"
    assert get(client, f"{path}?answer=5").question.chosen is None, "the links are about the first question only"


def test_language_is_switched_and_kept_along_the_way(client: FlaskClient) -> None:
    _, path = sent_link()
    page = get(client, f"{path}?answer=no")
    (spanish,) = [link for link in page.links if "lang=es" in link]
    page = get(client, spanish)
    assert (page.language, page.question.chosen) == ("es", "no")
    page = choose(client, page, "no")
    assert (page.language, page.asks) == ("es", "overall")
    assert wording("overall", "es").text in page.text
    assert get(client, f"{path}?lang=xx").language == "en"


def test_a_language_the_campaign_does_not_offer_is_not_shown(client: FlaskClient) -> None:
    place = factories.site()
    _, path = sent_link(factories.survey(within=factories.campaign([place], languages=["en"])))
    page = get(client, f"{path}?lang=fr")
    assert page.language == "en"
    assert not [link for link in page.links if "lang=" in link]


def test_what_was_said_by_phone_is_not_asked_again(client: FlaskClient) -> None:
    survey = factories.survey()
    attempt, path = sent_link(survey)
    phoned(survey, ("resolved", "yes"))
    page = get(client, path)
    assert page.asks == "overall"
    page = get(client, f"{path}?question=resolved")
    assert (page.asks, page.question.chosen, page.question.fields["sequence"]) == ("resolved", "yes", "1")
    page = choose(client, get(client, path), "5")
    assert said("en", "thanks") in choose(client, page, "5").text
    assert fresh(attempt.id).survey.disposition is Disposition.COMPLETE


def test_the_phone_finishes_first(client: FlaskClient) -> None:
    survey = factories.survey()
    attempt, path = sent_link(survey)
    open_page = get(client, path)
    phoned(survey, *ALL_THREE)
    assert said("en", "thanks_phone") in get(client, path).text
    choose(client, open_page, "no")
    db.session.rollback()
    response = db.session.scalars(select(Response)).one()
    assert (response.resolved, response.channel) == ("yes", Channel.IVR), "a later answer is history"
    assert ("resolved", "no", 1) in answered(survey.id), "and is kept"
    assert fresh(attempt.id).outcome is Outcome.SILENCE


def test_both_channels_share_the_last_questions(client: FlaskClient) -> None:
    survey = factories.survey()
    _, path = sent_link(survey)
    page = choose(client, get(client, path), "no")
    phone = phoned(survey, ("overall", "2"))
    choose(client, page, "3")
    answers.take(phone, "agent", "1", 9)
    db.session.commit()
    response = db.session.scalars(select(Response)).one()
    assert (response.resolved, response.overall, response.agent) == ("no", 3, 1)
    assert said("en", "thanks") in get(client, path).text


def test_an_answer_proves_that_the_email_arrived(client: FlaskClient) -> None:
    attempt, path = sent_link(state=AttemptState.DIALLING)
    for key, value in ALL_THREE:
        post(client, path, question=key, answer=value, sequence="1")
    ended = fresh(attempt.id)
    assert (ended.state, ended.outcome) == (AttemptState.ENDED, Outcome.COMPLETED)


@pytest.mark.parametrize("closed", [True, False])
def test_after_the_deadline_answers_are_kept_and_never_counted(
    client: FlaskClient, at_noon: ManualClock, closed: bool
) -> None:
    survey = factories.survey()
    attempt, path = sent_link(survey)
    at_noon.move_to(survey.deadline)
    if closed:
        lifecycle.close_expired()
        db.session.commit()
    page = get(client, path)
    for _, value in ALL_THREE:
        assert said("en", "late") in page.text
        page = choose(client, page, value)
    assert said("en", "thanks_late") in page.text
    lifecycle.close_expired()
    db.session.commit()
    assert all(db.session.scalars(select(Answer.late)))
    assert db.session.scalars(select(Response)).all() == []
    assert fresh(attempt.id).survey.disposition is Disposition.LATE


def test_a_newer_call_closes_kindly(client: FlaskClient, at_noon: ManualClock) -> None:
    survey = factories.survey()
    _, path = sent_link(survey)
    lifecycle.close(survey, at_noon(), superseded_by=factories.call())
    db.session.commit()
    page = get(client, path)
    assert said("en", "late") in page.text
    choose(client, page, "yes")
    assert db.session.scalars(select(Response)).all() == []


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


def test_a_scanner_that_opens_every_link_changes_no_row(
    client: FlaskClient, channel: WebChannel, mailbox: Mailbox
) -> None:
    channel.deliver(dialling())
    (message,) = mailbox.messages
    found = links_in(message)
    assert len(found) == 4, "three choices and the way out"
    to_visit = {*found, f"{link_of(message)}/not-me", *get(client, link_of(message)).links} - {
        "https://example.com/privacy"
    }
    before = everything()
    for path in to_visit:
        for method in (client.get, client.head, client.options):
            assert method(path).status_code in (200, 303), path
    assert everything() == before


def test_unknown_mistyped_and_revoked_links_look_the_same(client: FlaskClient) -> None:
    attempt, path = sent_link()
    good = path.removeprefix("/s/")
    bodies = {client.get(f"/s/{token}").data for token in ("x", good[:-1] + "1", good.swapcase(), "é" * 50)}
    links.revoke(attempt.id)
    db.session.commit()
    revoked = client.get(path)
    assert revoked.status_code == 404
    assert {revoked.data} == bodies
    for method, page in (
        (client.post, ""),
        (client.post, "/unsubscribe"),
        (client.get, "/unsubscribe"),
        (client.post, "/not-me"),
    ):
        response = method(
            f"{path}{page}", data={"List-Unsubscribe": "One-Click", "question": "resolved", "answer": "yes"}
        )
        assert (response.status_code, response.data) == (404, revoked.data)


def test_an_unknown_link_speaks_the_readers_language(client: FlaskClient) -> None:
    page = Page(client.get("/s/nothing", headers={"Accept-Language": "fr-CA,fr;q=0.9"}).get_data(as_text=True))
    assert page.language == "fr" and said("fr", "unknown_title") in page.text


def test_links_are_unguessable() -> None:
    made = {links.new_token() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[\w-]{22}", token) for token in made)
    assert len(token_hash("x")) == 32


@pytest.mark.parametrize("page", ["", "/unsubscribe", "/../unknown"])
def test_headers(client: FlaskClient, page: str) -> None:
    _, path = sent_link()
    response = client.get("/s/unknown" if page == "/../unknown" else path + page)
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "noindex" in response.headers["X-Robots-Tag"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers


def test_no_cookie_is_set_by_answering(client: FlaskClient) -> None:
    _, path = sent_link()
    response = client.post(path, data={"question": "resolved", "answer": "yes", "sequence": "1"})
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_sound(client: FlaskClient, language: str) -> None:
    _attempt, path = sent_link()
    shown = [get(client, f"{path}?lang={language}"), get(client, f"{path}/unsubscribe?lang={language}")]
    shown.append(post(client, f"{path}?lang={language}", 422, question="resolved"))
    for key, value in ALL_THREE:
        shown.append(post(client, f"{path}?lang={language}", question=key, answer=value, sequence="1"))
    for page in shown:
        assert (page.language, page.unlabelled) == (language, 0)
        assert page.has("html", dir="ltr")
        assert len([tag for tag, _ in page.tags if tag == "h1"]) == 1
        assert page.has("main", **{"class": "card"})
        assert re.search(r"<title>\S.*</title>", page.html)
        assert page.has("meta", name="viewport", content="width=device-width, initial-scale=1")
        assert not re.search(r"<script|<img|style=|\son\w+=|{\w+}|{{", page.html)
        if page.asks:
            assert page.has("legend") and page.has("fieldset")


def test_names_are_text_and_never_markup(client: FlaskClient) -> None:
    organisation = factories.organisation(
        name="<script>alert(1)</script> {org} {{7*7}}", phone='"><b>', privacy_url="javascript:alert(1)"
    )
    _, path = sent_link(factories.survey(within=factories.campaign([factories.site(organisation=organisation)])))
    for page in (get(client, path), get(client, f"{path}/unsubscribe")):
        assert "<script" not in page.html and "<b>" not in page.html and "javascript:" not in page.html
        assert "<script>alert(1)</script> {org} {{7*7}}" in page.text


def test_first_view_is_light(client: FlaskClient) -> None:
    _, path = sent_link()
    page = client.get(path)
    (style,) = re.findall(r'href="(/s/websurvey\.css\?v=\w+)"', page.get_data(as_text=True))
    sheet = client.get(style)
    assert sheet.status_code == 200 and sheet.mimetype == "text/css"
    assert "max-age=31536000" in sheet.headers["Cache-Control"]
    assert len(page.data) + len(sheet.data) < 60_000
    assert not re.search(r"url\(|@import|https?:", sheet.get_data(as_text=True))


def test_what_the_wrong_person_said_by_phone_is_asked_of_the_customer(client: FlaskClient) -> None:
    attempt, link = sent_link()
    call = phoned(attempt.survey, ("resolved", "no"))
    attempts.end(call.id, Outcome.WRONG_PERSON)
    db.session.commit()
    page = get(client, link)
    assert (page.asks, page.question.chosen) == ("resolved", None)
    for _, value in ALL_THREE:
        page = choose(client, page, value)
    assert fresh(attempt.id).survey.disposition is Disposition.COMPLETE
