"""The questions, as a browser without JavaScript or cookies uses them."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from survey import answers, attempts, lifecycle
from survey.clock import ManualClock
from survey.db import db
from survey.models import Answer, AttemptState, Channel, Disposition, Outcome, Response
from survey.questionnaire import CORE, LANGUAGES, wording
from tests import factories
from tests.websurvey.steps import ALL_THREE, answered, choose, get, phoned, post, said
from tests.websurvey.support import everything, fresh, sent_link

pytestmark = pytest.mark.usefixtures("at_noon")


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_the_last_agent_is_not_certain_the_question_stays_and_nobody_is_named(
    client: FlaskClient, language: str
) -> None:
    attempt, path = sent_link(factories.survey(factories.call(uncertain=True), language=language))
    page = get(client, path)
    for key, value in ALL_THREE:
        assert page.asks == key and wording(key, language).text in page.text
        assert not page.has("p", id="hint") and "{" not in page.text
        page = choose(client, page, value)
    assert fresh(attempt.id).survey.disposition is Disposition.COMPLETE


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
