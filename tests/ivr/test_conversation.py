"""What a customer hears and what is kept, key by key, through the real webhooks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from survey import answers, attempts, clock, lifecycle
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, OptOut, Outcome, Response, Survey
from survey.optouts import kinds_in_force
from tests import factories
from tests.ivr.phone import Call, dialled, reloaded, values_of

pytestmark = pytest.mark.usefixtures("at_noon")


@pytest.fixture
def attempt(session: object) -> Attempt:
    return dialled()


@pytest.fixture
def call(client: FlaskClient, attempt: Attempt) -> Call:
    return Call(client, attempt.id).answered()


def _came_to(attempt: Attempt) -> tuple[AttemptState, Outcome | None]:
    row = reloaded(attempt)
    return row.state, row.outcome


def _values(attempt: Attempt) -> dict[str, str]:
    db.session.rollback()
    return values_of(attempt.survey_id)


def test_the_caller_is_named_first_and_the_way_out_offered_next(call: Call, attempt: Attempt) -> None:
    name = attempt.survey.campaign.organisation.name
    assert call.said.startswith(f"{name}, about your call. To stop these calls, press 9.")
    assert _came_to(attempt) == (AttemptState.UNDERWAY, None)
    assert reloaded(attempt).provider_id == call.sid


def test_the_happy_path(call: Call, attempt: Attempt) -> None:
    call.press("1")
    assert call.said == "Was the reason for your call resolved? Yes, press 1. No, 2. Not sure yet, 3."
    call.press("1")
    assert call.said.startswith("Overall, how satisfied were you with that call? Very dissatisfied, press 1.")
    call.press("5")
    assert call.said.startswith("How satisfied were you with the last person you spoke to?")
    call.press("4")
    assert call.said == "Thank you. Your answers are saved. To reach us: 2 1 2, 5 5 5, 0 1 0 0. Goodbye."
    assert call.hung_up
    assert _values(attempt) == {"resolved": "yes", "overall": "5", "agent": "4"}
    assert call.status(CallDuration="52").status_code == 204
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.COMPLETED)
    survey = db.session.get_one(Survey, attempt.survey_id)
    response = db.session.get_one(Response, survey.id)
    assert survey.disposition is Disposition.COMPLETE
    assert (response.resolved, response.overall, response.agent, response.channel) == ("yes", 5, 4, Channel.IVR)


def test_a_call_whose_last_agent_is_not_certain_is_asked_the_same(client: FlaskClient) -> None:
    attempt = dialled(survey=factories.survey(factories.call(uncertain=True)))
    call = Call(client, attempt.id).answered().press("115")
    assert call.said.startswith("How satisfied were you with the last person you spoke to?")
    call.press("4")
    survey = db.session.get_one(Survey, attempt.survey_id)
    assert survey.disposition is Disposition.COMPLETE and survey.agent_id is None


def test_never_again(call: Call, attempt: Attempt) -> None:
    waiting = factories.attempt(factories.survey(factories.call(customer=attempt.survey.customer)))
    db.session.commit()
    call.press("9")
    assert call.said == "Done. No more survey calls to this number. Goodbye."
    assert call.hung_up
    # At once, not when the call is over.
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.OPTED_OUT)
    survey = db.session.get_one(Survey, attempt.survey_id)
    assert survey.disposition is Disposition.OPTED_OUT
    assert db.session.query(OptOut).one().kind == "phone"
    assert kinds_in_force(survey.customer) == {"phone"}
    assert reloaded(waiting).state is AttemptState.CANCELLED
    call.status()
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.OPTED_OUT)


def test_a_second_key_at_once_answers_no_further_question(call: Call, attempt: Attempt) -> None:
    call.press("1")
    for _ in range(3):  # each within 700 ms of the one before
        call.press("1", after=timedelta(milliseconds=699))
        assert call.said.startswith("Was the reason for your call resolved?"), "from the beginning, without blame"
    assert values_of(attempt.survey_id) == {}
    again = call.sent[-1]
    call.press("2", after=timedelta(milliseconds=700))
    assert values_of(attempt.survey_id) == {"resolved": "no"} and "Overall" in call.said
    # What was not heard is not heard when the same webhook comes again, however late.
    with clock.standing_at(call.at + timedelta(minutes=1)):
        again.post(call.client)
    assert values_of(attempt.survey_id) == {"resolved": "no"}
    call.press("5").press("5", after=timedelta(milliseconds=300))
    assert "agent" not in values_of(attempt.survey_id)
    assert "Goodbye" in call.press("4").said


def test_a_miss_is_not_counted_for_a_second_key(call: Call) -> None:
    call.press("1")
    for _ in range(4):
        call.press("7", after=timedelta(milliseconds=100))
    assert not call.hung_up and "not a choice" not in call.said


def test_after_a_failed_document_keys_are_heard_again(call: Call, attempt: Attempt) -> None:
    """The steps begin anew there: not with the number of one whose key was ignored."""
    call.press("11*")
    for _ in range(3):
        call.press("5", after=timedelta(milliseconds=100))
    call.at += timedelta(seconds=2)
    call.fallback().press("5")
    assert _values(attempt) == {"resolved": "yes", "overall": "5"}


def test_the_way_out_is_open_at_any_speed(call: Call, attempt: Attempt) -> None:
    call.press("*").press("9", after=timedelta(milliseconds=50))
    assert call.said.startswith("Done.") and _came_to(attempt)[1] is Outcome.OPTED_OUT


def test_later_names_the_last_day(call: Call, attempt: Attempt) -> None:
    # The call ended on Thursday 12 March: the second business day after is Monday.
    call.press("0")
    assert call.said == "Of course. We will try again by Monday, March 16. Goodbye."
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.LATER)
    assert db.session.get_one(Survey, attempt.survey_id).plan_at == call.at


def test_the_wrong_person_is_no_opt_out(call: Call, attempt: Attempt) -> None:
    call.press("8")
    assert call.said.startswith("Sorry to disturb you.")
    call.status()
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.WRONG_PERSON)
    assert db.session.query(OptOut).count() == 0


@pytest.mark.parametrize("before", ["", "1", "13"], ids=["greeting", "first question", "second question"])
@pytest.mark.parametrize(("keys", "complaint"), [("---", "I did not get a key."), ("777", "That key is not a choice")])
def test_two_more_chances_with_help_then_the_end(
    call: Call, attempt: Attempt, before: str, keys: str, complaint: str
) -> None:
    call.press(before)
    first = call.said
    assert call.document.find("Gather").attrib["timeout"] == "8"  # type: ignore[union-attr]
    for key in keys[:2]:
        call.press(key)
        assert call.said.startswith(complaint)
        assert "Use your phone's keypad." in call.said
        assert call.said.endswith(first)
        assert call.document.find("Gather").attrib["timeout"] == "12"  # type: ignore[union-attr]
    call.press(keys[2])
    assert call.said == "We will stop here. Any answers you gave are saved. Goodbye."
    assert call.hung_up
    call.status()
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.NO_INPUT)
    assert _values(attempt) == ({"resolved": "unsure"} if before == "13" else {})


def test_a_miss_is_forgotten_at_the_next_question(call: Call) -> None:
    call.press("--1-7")
    assert call.said.startswith("That key")
    assert not call.press("2-").hung_up


def test_relay_users_have_twice_as_long(client: FlaskClient) -> None:
    survey = factories.survey()
    survey.customer.relay = True
    call = Call(client, dialled(survey=survey).id).answered()
    assert call.document.find("Gather").attrib["timeout"] == "16"  # type: ignore[union-attr]
    call.press("-")
    assert call.document.find("Gather").attrib["timeout"] == "24"  # type: ignore[union-attr]


def test_star_repeats_as_often_as_wanted(call: Call) -> None:
    call.press("1")
    question = call.said
    call.press("****")
    assert call.said == question
    assert not call.hung_up


def test_hash_goes_back_and_the_later_answer_counts(call: Call, attempt: Attempt) -> None:
    call.press("11").press("#")
    assert call.said.startswith("Was the reason")
    call.press("2")
    assert call.said.startswith("Overall")
    call.press("5").press("5")
    assert _values(attempt) == {"resolved": "no", "overall": "5", "agent": "5"}
    assert db.session.get_one(Response, attempt.survey_id).resolved == "no"


def test_hash_at_the_first_question_asks_it_again(call: Call) -> None:
    assert call.press("1#").said.startswith("Was the reason")


def test_hash_reaches_us_because_no_key_finishes(call: Call) -> None:
    gather = call.document.find("Gather")
    assert gather is not None
    assert gather.attrib["finishOnKey"] == ""
    assert gather.attrib["numDigits"] == "1"
    assert gather.attrib["actionOnEmptyResult"] == "true"


def test_hanging_up_keeps_what_was_said_and_a_later_call_goes_on(
    client: FlaskClient, call: Call, attempt: Attempt
) -> None:
    call.press("12")
    call.status()
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.HUNG_UP)
    again = dialled(survey=db.session.get_one(Survey, attempt.survey_id))
    second = Call(client, again.id, "CA" + "2" * 32).answered()
    assert "about your call. To stop these calls, press 9. To go on where you stopped, press 1." in second.said
    second.press("1")
    assert second.said.startswith("Overall")
    second.press("55").status()
    assert _came_to(again) == (AttemptState.ENDED, Outcome.COMPLETED)
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.HUNG_UP)
    assert _values(attempt) == {"resolved": "no", "overall": "5", "agent": "5"}


def test_what_the_web_answered_is_not_asked_again(client: FlaskClient) -> None:
    survey = factories.survey()
    web = factories.attempt(survey, Channel.WEB, state=AttemptState.UNDERWAY)
    answers.take(web, "resolved", "yes", 0)
    attempt = dialled(survey=survey)
    call = Call(client, attempt.id).answered().press("1")
    assert call.said.startswith("Overall")


def test_completed_on_the_web_meanwhile(client: FlaskClient, call: Call, attempt: Attempt) -> None:
    call.press("11")
    web = factories.attempt(attempt.survey, Channel.WEB, state=AttemptState.UNDERWAY)
    for key, value in (("overall", "5"), ("agent", "5")):
        answers.take(web, key, value, 0)
    db.session.commit()
    call.press("-")
    assert call.said.startswith("Thank you. Your answers are saved.")
    assert call.hung_up
    call.status()
    # Its own answer is part of the completed response.
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.COMPLETED)


def test_a_survey_that_closed_before_the_greeting(client: FlaskClient) -> None:
    survey = factories.survey()
    attempt = dialled(survey=survey)
    lifecycle.close(lifecycle.locked(survey.id), clock.now())
    db.session.commit()
    call = Call(client, attempt.id).answered()
    assert call.said == "Thank you. This survey has closed. Goodbye."
    assert call.hung_up
    call.status()
    assert _came_to(attempt) == (AttemptState.ENDED, Outcome.HUNG_UP)


def test_no_greeting_after_the_deadline(client: FlaskClient, at_noon: clock.ManualClock) -> None:
    attempt = dialled()
    at_noon.move_to(attempt.survey.deadline)
    assert Call(client, attempt.id).answered().said == "Thank you. This survey has closed. Goodbye."


def test_a_call_in_progress_at_the_deadline_is_heard_out(
    call: Call, attempt: Attempt, at_noon: clock.ManualClock
) -> None:
    call.press("11")
    at_noon.move_to(attempt.survey.deadline + timedelta(seconds=1))
    assert lifecycle.close_expired() == 1
    db.session.commit()
    call.press("5")
    assert call.said.startswith("How satisfied")
    call.press("5")
    assert call.said.startswith("Thank you. Your answers are saved.")
    survey = reloaded(attempt).survey
    assert survey.disposition is Disposition.PARTIAL
    assert db.session.get_one(Response, survey.id).overall is None


def test_later_after_the_deadline_promises_nothing(call: Call, attempt: Attempt, at_noon: clock.ManualClock) -> None:
    at_noon.move_to(attempt.survey.deadline)
    assert call.press("0").said == "Thank you. This survey has closed. Goodbye."


@pytest.mark.parametrize(
    ("key", "language", "first"), [("2", "es-US", "¿Se resolvió"), ("3", "fr-CA", "Votre demande")]
)
def test_an_unknown_language_is_chosen_and_kept(client: FlaskClient, key: str, language: str, first: str) -> None:
    survey = factories.survey()
    survey.customer.language = None
    attempt = dialled(survey=survey)
    call = Call(client, attempt.id).answered()
    assert call.languages == ["en-US", "es-US", "fr-CA", "en-US"]
    assert "Para español, presione 2. Pour le français, faites le 3." in call.said
    call.press(key)
    assert call.languages == [language]
    again = call.sent[-1].post(client).data
    assert again == call.sent[-1].post(client).data  # The choice made, the same webhook still means the same.
    call.press("1")
    assert call.said.startswith(first)
    call.press("1")
    assert call.languages == [language]
    assert reloaded(attempt).survey.language == language[:2]


def test_a_known_language_is_not_asked_for(client: FlaskClient) -> None:
    survey = factories.survey(language="es")
    survey.customer.language = "es-MX"
    call = Call(client, dialled(survey=survey).id).answered()
    assert call.languages == ["es-US"]
    assert call.press("2").said.startswith("Esa tecla no es una opción.")


def test_after_a_failed_document_the_call_goes_on_where_it_was(call: Call, attempt: Attempt) -> None:
    assert "press 9" in call.fallback().said
    call.press("11").fallback()
    assert call.said.startswith("Overall")
    call.press("4").press("4")
    assert _values(attempt) == {"resolved": "yes", "overall": "4", "agent": "4"}


def test_after_a_failed_document_an_answer_can_still_be_revised(call: Call, attempt: Attempt) -> None:
    call.press("11").fallback().press("#").press("3")
    assert _values(attempt) == {"resolved": "unsure"}


def test_a_question_this_questionnaire_does_not_have(client: FlaskClient, call: Call, attempt: Attempt) -> None:
    call.press("1")
    call.sent[-1].url = call.action.replace("question=resolved", "question=gone")
    call.sent[-1].params["Digits"] = "1"
    assert b"Was the reason" in call.sent[-1].post(client).data
    assert _values(attempt) == {}


def test_what_the_wrong_person_answered_is_asked_of_the_customer(client: FlaskClient) -> None:
    attempt = dialled()
    link = factories.attempt(attempt.survey, Channel.WEB, state=AttemptState.UNDERWAY)
    answers.take(link, "resolved", "no", 1)
    attempts.end(link.id, Outcome.WRONG_PERSON)
    db.session.commit()
    call = Call(client, attempt.id).answered()
    assert "To go on where you stopped" not in call.said
    call.press("1")
    assert "Was the reason for your call resolved?" in call.said
    call.press("155")
    response = db.session.get_one(Response, reloaded(attempt).survey_id)
    assert (response.complete, response.resolved) == (True, "yes")
