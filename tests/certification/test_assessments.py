"""Decided once, on the announced day, from evidence that can be computed again; a tampered row is caught and named."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from certification import assessments, counts, evidence, programmes, standings, verification
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Agent,
    Assessment,
    AuditEntry,
    Certificate,
    Decision,
    Level,
    Period,
    Programme,
    Response,
    Survey,
)
from tests.certification.world import DECIDED, DECISION_TIME, FIRST, LAST, World, of
from tests.statements import counted


def certified_agent(world: World) -> tuple[Agent, Certificate]:
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=28, satisfied=2, partial=1, late=1, superseded=1)
    world.decide()
    db.session.commit()
    return agent, db.session.query(Certificate).one()


def test_nothing_is_decided_before_the_local_morning_of_the_day(world: World) -> None:
    """6 July begins in New York at 04:00 UTC."""
    period = world.announce()
    dawn = DECISION_TIME.replace(hour=4)
    assert world.decide(dawn - timedelta(seconds=1)) == []
    with pytest.raises(Refused, match="was announced for 2026-07-06"):
        assessments.decide(period)
    assert [each.level for each in world.decide(dawn)] == [Level.ORGANISATION, Level.SITE]


def test_a_second_call_changes_nothing(world: World) -> None:
    agent, certificate = certified_agent(world)
    kept = [(each.id, each.evidence_sha256) for each in db.session.query(Assessment).order_by(Assessment.id)]
    world.ask(agent, satisfied=40)
    world.clock.move_to(DECISION_TIME + timedelta(days=30))
    assert assessments.decide_due() == []
    with pytest.raises(Refused, match="decision is made once"):
        assessments.decide(db.session.query(Period).one())
    assert [(each.id, each.evidence_sha256) for each in db.session.query(Assessment).order_by(Assessment.id)] == kept
    assert db.session.query(Certificate).one() is certificate
    assert db.session.query(AuditEntry).filter_by(action="period decided").count() == 1


def test_two_machines_at_once_decide_once(app: Flask, world: World) -> None:
    world.announce()
    world.ask(world.agent(), world_class=30)
    world.clock.move_to(DECISION_TIME)
    db.session.commit()
    at_once, made = threading.Barrier(2), []

    def machine() -> None:
        with app.app_context():
            at_once.wait()
            made.append(len(assessments.decide_due()))
            time.sleep(0.2)  # the other one comes while this transaction is open
            db.session.commit()

    machines = [threading.Thread(target=machine) for _ in range(2)]
    for each in machines:
        each.start()
    for each in machines:
        each.join()
    assert sorted(made) == [0, 3]
    assert db.session.query(Assessment).count() == 3 and db.session.query(Certificate).count() == 1


def test_an_assessment_keeps_its_evidence(world: World) -> None:
    agent, _ = certified_agent(world)
    assessment = of(db.session.query(Assessment).all(), agent)
    assert evidence.sha256(assessment.evidence) == assessment.evidence_sha256
    assert evidence.recount(assessment.evidence["surveys"], world_rule(assessment)).n == 30
    assert len(assessment.evidence["surveys"]) == 32
    assert agent.name not in evidence.canonical(assessment.evidence)
    site = of(db.session.query(Assessment).all(), world.site)
    assert site.evidence["surveys_sha256"] == assessment.evidence["surveys_sha256"]
    whole = of(db.session.query(Assessment).all(), world.organisation)
    assert whole.evidence["sites"] == [[world.site.id, "not_certified", site.evidence_sha256]]


def world_rule(assessment: Assessment):  # type: ignore[no-untyped-def]
    return standings.question_of(assessment.period).rule


def test_nothing_is_decided_on_two_counts_that_differ(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    period = world.announce()
    world.ask(world.agent(), world_class=30)
    whole = counts.rows
    monkeypatch.setattr(counts, "rows", lambda frame: whole(frame)[1:])
    world.clock.move_to(DECISION_TIME)
    with pytest.raises(assessments.Disagreement, match="nothing was decided"):
        assessments.decide(period)


def test_a_period_that_cannot_be_decided_does_not_hold_up_the_others(
    app: Flask, before: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = World.make(before), World.make(before)
    bad, good = stuck.announce(), other.announce()
    stuck.ask(stuck.agent(), world_class=30)
    whole = counts.rows
    monkeypatch.setattr(
        counts, "rows", lambda frame: whole(frame)[1:] if frame.campaign_ids == (stuck.campaign.id,) else whole(frame)
    )
    made = other.decide()
    assert {each.period_id for each in made} == {good.id} and good.decided_at is not None
    assert assessments.undecided() == [bad] and bad.decided_at is None
    assert db.session.query(Assessment).filter_by(period_id=bad.id).count() == 0


def test_two_announcements_at_once_cannot_overlap(app: Flask, world: World) -> None:
    twin = programmes.create(world.organisation, "twin", "Twin", "sqm-2011", [world.campaign])
    db.session.commit()
    ids, at_once, refused = (world.programme.id, twin.id), threading.Barrier(2), []

    def announce(programme_id: int) -> None:
        with app.app_context():
            programme = db.session.get(Programme, programme_id)
            assert programme is not None
            at_once.wait()
            try:
                programmes.announce(programme, FIRST, LAST, DECIDED)
                time.sleep(0.2)  # the other one comes while this transaction is open
                db.session.commit()
            except Refused:
                refused.append(programme_id)

    both = [threading.Thread(target=announce, args=(each,)) for each in ids]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(refused) == 1 and db.session.query(Period).count() == 1


def test_a_name_in_the_programme_is_no_signature(world: World) -> None:
    world.programme.issuer = "Somebody of Standing"
    _, certificate = certified_agent(world)
    assert certificate.issuer is None


def test_what_was_decided_can_be_computed_again(world: World) -> None:
    _, certificate = certified_agent(world)
    assert verification.verify(certificate) == []


def test_a_late_answer_after_the_decision_changes_nothing(world: World) -> None:
    agent, certificate = certified_agent(world)
    world.ask(agent, late=1)
    assert verification.verify(certificate) == []


TAMPERED = {
    "an answer": (update(Response).where(Response.survey_id == 1).values(agent=4), "survey 1: agent was 5"),
    "a disposition": (
        update(Survey).where(Survey.id == 1).values(disposition="no_answer"),
        "survey 1: in the evidence, not in the database",
    ),
    "a rate": (
        update(Survey).where(Survey.id == 2).values(rate_denominator=3),
        "survey 2: rate denominator was 2 when it was decided, is 3",
    ),
    "the assessment": (update(Assessment).where(Assessment.level == Level.AGENT).values(k=29), "k of agent 1"),
    "the evidence": (
        update(Assessment)
        .where(Assessment.level == Level.AGENT)
        .values(evidence=Assessment.evidence.concat({"months": 7})),
        "its SHA-256 is",
    ),
    "the certificate": (update(Certificate).values(subject_id=7), "it names agent 7"),
    "its name": (update(Certificate).values(subject_name="Somebody"), "it is made out to 'Somebody'"),
    "its issuer": (update(Certificate).values(issuer="Somebody"), "it says that 'Somebody' issued it"),
    "the rule's name": (update(Assessment).where(Assessment.level == Level.AGENT).values(rule_set="easy"), "rule of"),
    "its end": (update(Certificate).values(valid_until=Certificate.valid_until + 365), "the rule allows 2027-07-06"),
    "the decision": (
        update(Assessment)
        .where(Assessment.level == Level.AGENT)
        .values(decision=Decision.NOT_CERTIFIED, reasons=["none"]),
        "its assessment says not_certified",
    ),
}


@pytest.mark.parametrize(("change", "said"), TAMPERED.values(), ids=TAMPERED.keys())
def test_what_was_tampered_with_is_named(world: World, change: object, said: str) -> None:
    _, certificate = certified_agent(world)
    db.session.execute(change.execution_options(synchronize_session=False))  # type: ignore[attr-defined]
    db.session.expire_all()
    differences = verification.verify(certificate)
    assert any(said in each for each in differences), differences


def test_an_added_survey_is_named(world: World) -> None:
    agent, certificate = certified_agent(world)
    added = world.ask(agent, world_class=1)[0]
    assert f"survey {added}: in the database, not in the evidence" in verification.verify(certificate)


def test_sixty_subjects_over_three_thousand_surveys_are_a_few_statements(app: Flask, before: ManualClock) -> None:
    world = World.make(before, ["America/New_York", "Europe/London", "Asia/Tokyo"])
    leaders = [world.supervisor(f"Leader {n}") for n in range(7)]
    agents = [(n, world.agent(leaders[n % 7], world.sites[n % 3])) for n in range(50)]
    world.announce()
    for n, agent in agents:
        world.ask(agent, leaders[n % 7], world.sites[n % 3], world_class=50, satisfied=8, partial=2, silent=60)
    db.session.commit()
    with counted() as asked:
        made = world.decide(DECISION_TIME)
        db.session.commit()
    assert len(made) == 61 and len(asked) < 60, len(asked)
