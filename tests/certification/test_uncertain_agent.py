"""Edge case 10: who handled the call last is not certain. The site counts its survey; agents and supervisors do not."""

from __future__ import annotations

from datetime import date

from certification import counts, evidence, standings, verification
from certification.standings import Standing
from survey.db import db
from survey.models import Assessment, Certificate, Level
from tests.certification.world import LAST, World, of, passed

DAY = date(2026, 3, 3)


def by_subject(found: list[Standing]) -> dict[tuple[Level, int], Standing]:
    return {(each.level, each.subject_id): each for each in found}


def test_10_an_ambiguous_call_counts_for_the_site_and_the_organisation_alone(world: World) -> None:
    leader = world.supervisor()
    agent = world.agent(leader)
    period = world.announce()
    world.ask(agent, leader, world_class=24, not_resolved=1)
    world.ask(None, world_class=3, not_resolved=2, partial=1, superseded=1)
    found = standings.for_period(period, LAST)
    n_and_k = {(each.level, each.subject_id): (each.counts.n, each.counts.k) for each in found}
    assert n_and_k == {
        (Level.ORGANISATION, world.organisation.id): (30, 27),
        (Level.SITE, world.site.id): (30, 27),
        (Level.SUPERVISOR, leader.id): (25, 24),
        (Level.AGENT, agent.id): (25, 24),
    }
    site = by_subject(found)[Level.SITE, world.site.id].counts
    assert (site.partials, site.superseded, site.drawn) == (1, 1, 32)


def test_10_it_neither_fills_up_an_agents_25_nor_is_one_who_is_short(world: World) -> None:
    agent = world.agent()
    period = world.announce()
    world.ask(agent, world_class=24)
    world.ask(None, world_class=40)
    agents = [each for each in standings.for_period(period, LAST) if each.level is Level.AGENT]
    assert [(each.subject_id, each.too_few) for each in agents] == [(agent.id, True)]
    made = world.decide()
    assert not passed(made, agent)
    assert {each.subject_id for each in made if each.level is Level.AGENT} == {agent.id}


def test_10_it_can_carry_a_site_over_its_800_and_pull_it_below_the_line(world: World) -> None:
    agent = world.agent()
    world.announce()
    world.ask(agent, world_class=600)
    world.ask(None, world_class=1, not_resolved=199)
    made = world.decide()
    assert (of(made, world.site).n, of(made, world.site).k) == (800, 601)
    assert passed(made, world.site) and passed(made, agent)


def test_10_the_evidence_lists_it_under_the_site_and_nobody(world: World) -> None:
    agent = world.agent()
    period = world.announce()
    counted = world.ask(agent, world_class=3)
    uncertain = world.ask(None, world_class=2, partial=1)
    question = standings.question_of(period)
    lines = evidence.lines_of(question)
    assert {key: [line[0] for line in found] for key, found in lines.items()} == {
        (Level.AGENT, agent.id): counted,
        (Level.SITE, world.site.id): sorted([*counted, *uncertain]),
    }
    tallied = {level: counts.tally(question.frame, question.rule, level).keys() for level in counts.SUBJECT}
    assert tallied == {Level.AGENT: {agent.id}, Level.SUPERVISOR: set(), Level.SITE: {world.site.id}}


def test_10_a_certificate_that_rests_on_it_verifies(world: World) -> None:
    world.announce()
    world.ask(world.agent(), world_class=700)
    uncertain = world.ask(None, world_class=100)
    world.decide()
    awarded = db.session.query(Certificate).join(Assessment).filter(Assessment.level == Level.SITE).one()
    assert verification.verify(awarded) == []
    db.session.execute(db.text("UPDATE surveys SET agent_id = (SELECT min(id) FROM agents)"))
    assert verification.verify(awarded) == [], "the site's figures do not hang on who is credited besides"
    agents = db.session.query(Certificate).join(Assessment).filter(Assessment.level == Level.AGENT).one()
    assert f"survey {uncertain[0]}: in the database, not in the evidence" in verification.verify(agents)
