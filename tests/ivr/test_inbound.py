"""Calls to our own numbers: a customer answers their survey, anybody finds the way out, nobody else gets anywhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from scheduler.planning import plan_due
from survey import attempts
from survey.clock import ManualClock
from survey.db import db
from survey.models import Attempt, AttemptState, Channel, Disposition, OptOut, Outcome, Survey
from survey.optouts import index_of
from tests import factories
from tests.ivr.phone import BASE, Call, Webhook, dialled, reloaded, values_of

THEIRS, OURS = "+12125550142", "+12125550100"
SID = "CA" + "7" * 32


@pytest.fixture
def missed(session: object, at_noon: ManualClock) -> Attempt:
    """A customer whom we rang an hour ago, and who did not pick up."""
    attempt = dialled()
    customer = attempt.survey.customer
    customer.phone, customer.phone_index = THEIRS, index_of("phone", THEIRS)
    attempt.survey.campaign.caller_id = OURS
    assert attempts.note(attempt.id, "", "posted", 1, caller=OURS)
    assert attempts.underway(attempt.id, "CA" + "1" * 32) and attempts.end(attempt.id, Outcome.NO_ANSWER)
    db.session.commit()
    at_noon.move_to(at_noon() + timedelta(hours=1))
    db.session.refresh(attempt)
    return attempt


class Inbound(Call):
    """A call to us, pressed on like any other."""

    def __init__(self, client: FlaskClient, caller: str = THEIRS, to: str = OURS, sid: str = SID, **more: str) -> None:
        super().__init__(client, 0, sid)
        self.form = {"CallSid": sid, "From": caller, "To": to, "Direction": "inbound", **more}
        self._fetch(Webhook(f"{BASE}/ivr/inbound", self.form))

    def key(self, digits: str) -> Inbound:
        self._fetch(Webhook(self.action, {**self.form, "Digits": digits}))
        return self


def inbound_of(survey_id: int) -> list[Attempt]:
    db.session.rollback()
    return list(db.session.scalars(select(Attempt).where(Attempt.survey_id == survey_id, Attempt.inbound)))


def test_a_customer_who_calls_back_answers_the_survey(client: FlaskClient, missed: Attempt) -> None:
    plan_due()
    db.session.commit()
    survey_id = missed.survey_id
    call = Inbound(client)
    assert "about your call" in call.said and "press 9" in call.said
    call.press("1155")
    (attempt,) = inbound_of(survey_id)
    assert (attempt.outcome, attempt.provider_id, attempt.reason) == (Outcome.COMPLETED, SID, "the customer called us")
    assert attempt.survey.disposition is Disposition.COMPLETE
    assert values_of(survey_id) == {"resolved": "yes", "overall": "5", "agent": "5"}
    waiting = select(func.count()).where(Attempt.survey_id == survey_id, Attempt.state == AttemptState.CANCELLED)
    assert db.session.scalar(waiting) == 1, "the dial that was planned is not made"


def test_the_same_webhook_again_is_the_same_attempt(client: FlaskClient, missed: Attempt) -> None:
    first, again = Inbound(client), Inbound(client)
    assert ET.tostring(first.document) == ET.tostring(again.document)
    assert len(inbound_of(missed.survey_id)) == 1
    first.press("11")
    status = Webhook(f"{BASE}/ivr/inbound/status", {**first.form, "CallStatus": "completed", "CallDuration": "31"})
    assert [status.post(client).status_code for _ in range(2)] == [204, 204]
    (attempt,) = inbound_of(missed.survey_id)
    assert (attempt.outcome, attempt.billed_seconds) == (Outcome.HUNG_UP, 31)


def test_calling_us_is_no_dial(client: FlaskClient, missed: Attempt, at_noon: ManualClock) -> None:
    """Neither of the survey's three nor of the number's."""
    missed.survey.campaign.dials_per_survey = missed.survey.campaign.dials_per_number = 2
    db.session.commit()
    at_noon.move_to(Inbound(client).press("0").at)
    plan_due()
    db.session.commit()
    (planned,) = db.session.scalars(select(Attempt).where(Attempt.state == AttemptState.PLANNED)).all()
    assert planned.channel is Channel.IVR and planned.reason.startswith("the customer asked to be called later")


@pytest.mark.parametrize("why", ["never dialled", "another number of ours", "closed", "forged", "hidden", "unknown"])
def test_nobody_else_gets_anywhere(client: FlaskClient, missed: Attempt, why: str) -> None:
    survey = missed.survey
    caller, more = THEIRS, {}
    if why == "never dialled":
        survey.customer.phone = survey.customer.phone_index = None
        other = factories.customer(survey.campaign.organisation_id, phone=THEIRS)
        factories.survey(factories.call(customer=other, place=survey.site))
    elif why == "closed":
        survey.deadline = missed.started_at
    elif why == "forged":
        more = {"StirVerstat": "TN-Validation-Failed-A"}
    elif why == "hidden":
        caller = "anonymous"
    elif why == "unknown":
        caller = "+12125550199"
    db.session.commit()
    call = Inbound(client, caller, "+12125550111" if why == "another number of ours" else OURS, **more)
    assert "about your call" not in call.said and "only used for customer surveys" in call.said
    assert ("press 9" in call.said) == (why != "hidden")
    db.session.rollback()
    assert db.session.scalar(select(func.count()).where(Attempt.inbound)) == 0


def test_while_we_ring_them_ourselves_they_find_the_way_out_alone(client: FlaskClient, missed: Attempt) -> None:
    factories.attempt(missed.survey, Channel.IVR, state=AttemptState.DIALLING)
    db.session.commit()
    assert "only used for customer surveys" in Inbound(client).said


def test_anybody_opts_out(client: FlaskClient, missed: Attempt) -> None:
    stranger = "+12125550177"
    call = Inbound(client, stranger).key("9")
    assert call.hung_up and "Done." in call.said and set(call.languages) == {"en-US", "es-US", "fr-CA"}
    call.sent[-1].post(client)
    (optout,) = db.session.scalars(select(OptOut)).all()
    assert (optout.contact_index, optout.kind) == (index_of("phone", stranger), "phone")
    assert db.session.get_one(Survey, missed.survey_id).is_open


def test_whoever_called_from_that_number_before_is_held_to_it_too(client: FlaskClient, missed: Attempt) -> None:
    missed.survey.campaign.caller_id = "+12125550188"
    db.session.commit()
    assert "Done." in Inbound(client, "+12125550177").key("9").said
    assert db.session.query(OptOut).count() == 1


def test_nothing_is_promised_where_nobody_calls_from_that_number(client: FlaskClient, missed: Attempt) -> None:
    assert "Done." not in Inbound(client, "+12125550177", to="+12125550166").key("9").said
    assert db.session.query(OptOut).count() == 0


def test_an_opt_out_from_outside_ends_the_open_survey_too(client: FlaskClient, missed: Attempt) -> None:
    Inbound(client, **{"StirVerstat": "TN-Validation-Failed-B"}).key("9")
    assert reloaded(missed).survey.disposition is Disposition.OPTED_OUT


def test_other_keys_and_silence_end_politely(client: FlaskClient, missed: Attempt) -> None:
    call = Inbound(client, "+12125550199").key("5")
    assert "press 9" in call.said
    assert call.key("").hung_up and "Thank you. Goodbye." in call.said
    assert db.session.query(OptOut).count() == 0
