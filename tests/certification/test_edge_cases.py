"""The edge cases of certification, each with its answer, decided from the database on the announced day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest

from certification import certificates, programmes, rules
from certification.certificates import Status, same_date_later, status
from survey import clock
from survey.db import db
from survey.errors import Refused
from survey.models import AuditEntry, Certificate, Decision, Level, SamplingRate, Survey
from tests import factories
from tests.certification.world import FIRST, LAST, World, of, passed

PASSING = {"world_class": 24, "satisfied": 2, "not_resolved": 1, "agent_four": 2}


def small_rule(monkeypatch: pytest.MonkeyPatch, agent: int = 25, supervisor: int = 10, site: int = 20) -> None:
    """The same rule with smaller samples, so that sites need no thousands of rows."""
    text = rules.load("sqm-2011").text
    for line in (f"agent = {agent}", f"supervisor = {supervisor}", f"site = {site}"):
        level = line.split()[0]
        old = next(each for each in text.splitlines() if each.startswith(f"{level} = ") and each[-1].isdigit())
        text = text.replace(old, line, 1)
    small = rules.parse(text)
    monkeypatch.setattr(rules, "load", lambda name: small)


def certificate_of(world: World, level: Level, subject_id: int) -> Certificate:
    return db.session.query(Certificate).filter_by(level=level, subject_id=subject_id).one()


def test_1_exactly_three_quarters_fails_and_one_more_passes(world: World) -> None:
    world.announce()
    on_the_line, above = world.agent(), world.agent()
    world.ask(on_the_line, world_class=24, satisfied=8)
    world.ask(above, world_class=25, satisfied=8)
    made = world.decide()
    assert of(made, on_the_line).reasons == ["rate 75.0% (24 of 32), needs more than 75%"]
    assert passed(made, above)


def test_2_a_perfect_24_is_too_few_and_all_counted_surveys_count(world: World) -> None:
    world.announce()
    few, many = world.agent(), world.agent()
    world.ask(few, world_class=24)
    world.ask(many, world_class=25)
    world.ask(many, satisfied=9)
    made = world.decide()
    assert of(made, few).reasons == ["1 more survey (24 of 25)"]
    assert (of(made, many).n, of(made, many).k, passed(made, many)) == (34, 25, False)


def test_3_forty_surveys_in_four_months_fail(app: object, before: clock.ManualClock) -> None:
    world = World.make(before)
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=40, day=date(2026, 2, 10))
    world.campaign.ends_on = date(2026, 4, 30)
    made = world.decide()
    assert of(made, agent).reasons == [
        "2 more complete months (4 of 6)",
        "sampling was closed in May and June 2026",
    ]


def test_3_an_agent_hired_in_march_has_four_months(world: World) -> None:
    world.announce()
    agent = world.agent()
    db.session.query(factories.Assignment).filter_by(agent_id=agent.id).update({"starts_on": date(2026, 3, 1)})
    world.ask(agent, world_class=40, day=date(2026, 4, 1))
    assert of(world.decide(), agent).reasons == ["2 more complete months (4 of 6)"]


@pytest.mark.parametrize(
    ("moment", "months"),
    [
        (datetime(2026, 1, 1, 5, tzinfo=UTC), 6),
        (datetime(2026, 1, 1, 5, 1, tzinfo=UTC), 5),
    ],
    ids=["at local midnight", "a minute later"],
)
def test_3_sampling_opens_with_the_first_local_minute_of_the_period(
    app: object, before: clock.ManualClock, moment: datetime, months: int
) -> None:
    world = World.make(before)
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=30)
    world.campaign.launched_at = moment
    made = world.decide()
    assert of(made, agent).evidence["months"] == months
    assert passed(made, agent) is (months == 6)


@pytest.mark.parametrize(
    ("from_", "until", "closed"),
    [
        (datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 4, 1, 4, 1, tzinfo=UTC), "March and April 2026"),
        (datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 4, 1, 4, 0, tzinfo=UTC), "March 2026"),
    ],
)
def test_3_a_rate_of_nothing_is_closed_sampling(world: World, from_: datetime, until: datetime, closed: str) -> None:
    world.announce()
    agent = world.agent()
    for moment, rate in ((from_, 0), (until, 1)):
        db.session.add(
            SamplingRate(
                campaign_id=world.campaign.id,
                numerator=rate,
                denominator=10,
                in_force_from=moment,
                published_at=moment,
            )
        )
    world.ask(agent, world_class=30)
    assert of(world.decide(), agent).reasons[-1] == f"sampling was closed in {closed}"


def test_3_the_calls_own_date_at_the_site_decides(world: World) -> None:
    """The year ends in New York five hours after it does in UTC."""
    world.announce()
    agent = world.agent()
    world.ask(agent, at=datetime(2026, 1, 1, 4, 59, tzinfo=UTC), world_class=30)
    world.ask(agent, at=datetime(2026, 1, 1, 5, 0, tzinfo=UTC), world_class=26)
    world.ask(agent, at=datetime(2026, 7, 1, 3, 59, tzinfo=UTC), world_class=2)
    world.ask(agent, at=datetime(2026, 7, 1, 4, 0, tzinfo=UTC), satisfied=30)
    assessment = of(world.decide(), agent)
    assert (assessment.n, assessment.k) == (28, 28)


def test_4_an_agent_who_moves_keeps_all_and_each_site_and_supervisor_gets_its_own(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world = World.make(before, ["America/New_York", "Europe/London"])
    world.announce()
    old, new = world.supervisor("Old"), world.supervisor("New")
    agent = world.agent(old, world.sites[0])
    world.assign(agent, world.sites[1], new, date(2026, 4, 1), None)
    world.ask(agent, old, world.sites[0], day=date(2026, 2, 2), world_class=12, satisfied=4)
    world.ask(agent, new, world.sites[1], day=date(2026, 5, 5), world_class=20)
    made = world.decide()
    figures = {each.subject_name: (each.n, each.k) for each in made}
    assert (of(made, agent).n, of(made, agent).k) == (36, 32) and passed(made, agent)
    assert (figures["Old"], figures["New"]) == ((16, 12), (20, 20))
    assert (figures["Site 1"], figures["Site 2"]) == ((16, 12), (20, 20))


def test_5_a_closed_site_loses_its_certificate_with_the_reason_and_history_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world.announce()
    world.ask(world.agent(), **PASSING)
    world.decide()
    certificate = certificate_of(world, Level.SITE, world.site.id)
    world.site.closed_on = date(2026, 9, 1)
    world.clock.move_to(datetime(2026, 9, 1, 3, 59, tzinfo=UTC))
    assert certificates.withdraw_closed_sites() == []
    world.clock.move_to(datetime(2026, 9, 1, 4, 0, tzinfo=UTC))
    assert certificates.withdraw_closed_sites() == [certificate]
    assert certificates.withdraw_closed_sites() == []
    assert status(certificate) is Status.WITHDRAWN
    assert certificate.withdrawn_reason == "The site closed on 1 September 2026."
    assert certificate.assessment.decision is Decision.CERTIFIED
    assert db.session.query(AuditEntry).filter_by(action="certificate withdrawn").count() == 1


def test_5_a_site_closed_by_the_announcement_is_out_of_scope(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world = World.make(before, ["America/New_York", "America/New_York"])
    world.sites[1].closed_on = date(2025, 12, 1)
    period = world.announce()
    world.ask(world.agent(), **PASSING)
    made = world.decide()
    assert period.scope["sites"] == [world.site.id]
    assert passed(made, world.organisation)


@pytest.mark.parametrize("closed_on", [date(2026, 5, 1), date(2026, 7, 2)], ids=["within the period", "after it"])
def test_closing_a_failing_site_after_the_announcement_does_not_rescue_the_organisation(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch, closed_on: date
) -> None:
    small_rule(monkeypatch)
    world = World.make(before, ["America/New_York", "America/New_York"])
    world.announce()
    world.ask(world.agent(), **PASSING)
    world.ask(world.agent(site=world.sites[1]), site=world.sites[1], day=date(2026, 2, 2), satisfied=30)
    world.sites[1].closed_on = closed_on
    made = world.decide()
    assert passed(made, world.sites[0]) and not passed(made, world.sites[1])
    assert not passed(made, world.organisation)
    assert of(made, world.organisation).reasons[0].startswith("Site 2 is not certified: ")


def test_6_one_uncertified_site_fails_an_organisation_with_a_high_pooled_rate(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world = World.make(before, ["America/New_York", "America/New_York"])
    world.announce()
    world.ask(world.agent(), world_class=100)
    world.ask(world.agent(site=world.sites[1]), site=world.sites[1], world_class=19)
    made = world.decide()
    organisation = of(made, world.organisation)
    assert (organisation.n, organisation.k) == (119, 119)
    assert organisation.reasons == ["Site 2 is not certified: 1 more survey (19 of 20)"]
    assert db.session.query(Certificate).filter_by(level=Level.ORGANISATION).count() == 0


def test_6_a_site_outside_every_campaign_still_counts(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world = World.make(before)
    hidden = factories.site(organisation=world.organisation, name="Hidden")
    world.announce()
    world.ask(world.agent(), **PASSING)
    made = world.decide()
    assert passed(made, world.site) and not passed(made, world.organisation)
    assert "sampling was closed" in of(made, hidden).reasons[-1]


def test_6_a_whole_organisation_is_certified_until_its_earliest_site(
    app: object, before: clock.ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world = World.make(before, ["America/New_York", "Europe/London"])
    world.announce()
    for site in world.sites:
        world.ask(world.agent(site=site), site=site, **PASSING)
    made = world.decide()
    assert passed(made, world.organisation)
    whole = certificate_of(world, Level.ORGANISATION, world.organisation.id)
    assert (whole.achieved_on, whole.valid_until) == (date(2026, 7, 6), date(2027, 7, 6))


def test_8_and_12_late_and_partial_are_in_neither_n_nor_k_at_any_level(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_rule(monkeypatch)
    world.announce()
    leader = world.supervisor()
    agent = world.agent(leader)
    world.ask(agent, leader, world_class=29, satisfied=1, partial=3, late=9, silent=20, superseded=2)
    made = world.decide()
    for subject in (agent, leader, world.site):
        found = of(made, subject)
        assert (found.n, found.k, found.partials, found.late, passed(made, subject)) == (30, 29, 3, 9, True)


def test_12_partials_that_would_flip_the_decision_fail_it(world: World) -> None:
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=24, satisfied=6, partial=2)
    assert of(world.decide(), agent).reasons == [
        "the rate with partials as failures, 75.0%, falls short where the plain rate passes: the rule then says fail"
    ]


def test_12_unsure_whether_resolved_is_counted_and_not_world_class(world: World) -> None:
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=25, unsure=10)
    assessment = of(world.decide(), agent)
    assert (assessment.n, assessment.k, assessment.decision) == (35, 25, Decision.NOT_CERTIFIED)


@pytest.mark.parametrize(("on_conflict", "decision"), [("fail", Decision.NOT_CERTIFIED), ("defer", Decision.DEFERRED)])
def test_a_rate_lifted_by_oversampling_follows_the_rule_file(
    app: object,
    before: clock.ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    on_conflict: str,
    decision: Decision,
) -> None:
    """20 of 20 drawn at every call, 8 of 15 at one in ten: raw 80%, weighted (20 + 80) / (20 + 150) = 58.8%."""
    text = rules.load("sqm-2011").text.replace('on_conflict = "fail"', f'on_conflict = "{on_conflict}"')
    monkeypatch.setattr(rules, "load", lambda name: rules.parse(text))
    world = World.make(before)
    world.announce()
    agent = world.agent()
    world.ask(agent, rate=Fraction(1), world_class=20)
    world.ask(agent, rate=Fraction(1, 10), world_class=8, satisfied=7)
    assessment = of(world.decide(), agent)
    assert (assessment.n, assessment.k, assessment.decision) == (35, 28, decision)
    assert (assessment.weighted_numerator, assessment.weighted_denominator) == ("10", "17")
    assert "weighted rate, 58.8%" in assessment.reasons[0]
    assert db.session.query(Certificate).count() == 0


def test_9_achieved_on_a_leap_day() -> None:
    assert same_date_later(date(2024, 2, 29), 1) == date(2025, 3, 1)
    assert same_date_later(date(2024, 2, 29), 4) == date(2028, 2, 29)
    certificate = Certificate(achieved_on=date(2024, 2, 29), valid_until=same_date_later(date(2024, 2, 29), 1))
    assert status(certificate, date(2025, 2, 28)) is Status.VALID
    assert status(certificate, date(2025, 3, 1)) is Status.EXPIRED


def test_a_campaign_outside_the_programme_does_not_count(world: World) -> None:
    other = factories.campaign([world.site])
    world.announce()
    world.programme.campaigns.append(other)
    agent = world.agent()
    world.ask(agent, world_class=25)
    world.ask(agent, campaign=other, world_class=25)
    assert of(world.decide(), agent).n == 25


def test_the_rule_that_was_announced_decides(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.announce()
    agent = world.agent()
    world.ask(agent, world_class=20)
    small_rule(monkeypatch, agent=5)
    assert of(world.decide(), agent).reasons == ["5 more surveys (20 of 25)"]


def test_people_hired_after_the_announcement_are_assessed_and_people_without_surveys_too(world: World) -> None:
    idle = world.agent()
    period = world.announce()
    hired = world.agent()
    world.ask(hired, world_class=3)
    made = world.decide()
    assert period.scope["agents"] == [idle.id]
    assert of(made, idle).reasons == ["25 more surveys (0 of 25)"]
    assert of(made, hired).n == 3


def test_a_period_waits_for_its_open_surveys(world: World) -> None:
    world.announce()
    agent = world.agent()
    survey_id = world.ask(agent, silent=1)[0]
    survey = db.session.get(Survey, survey_id)
    assert survey is not None
    survey.disposition, survey.closed_at, survey.deadline = None, None, datetime(2026, 8, 1, tzinfo=UTC)
    db.session.flush()
    assert world.decide() == []
    world.clock.move_to(survey.deadline)
    assert of(world.decide(), agent).decision is Decision.NOT_CERTIFIED
    assert survey.closed_at == survey.deadline


@pytest.mark.parametrize(
    ("first", "last", "decided", "said"),
    [
        (date(2026, 1, 2), date(2026, 6, 30), date(2026, 7, 6), "whole calendar months"),
        (date(2026, 1, 1), date(2026, 6, 29), date(2026, 7, 6), "whole calendar months"),
        (date(2026, 1, 1), date(2026, 5, 31), date(2026, 7, 6), "at least 6"),
        (date(2025, 12, 1), date(2026, 5, 31), date(2026, 7, 6), "has begun"),
        # Tuesday's last calls close with Thursday 2 July.
        (date(2026, 1, 1), date(2026, 6, 30), date(2026, 7, 2), "first possible decision day is 2026-07-03"),
        (date(2026, 7, 1), date(2026, 12, 31), date(2027, 1, 5), "first possible decision day is 2027-01-06"),
    ],
)
def test_a_period_that_cannot_be_is_refused(world: World, first: date, last: date, decided: date, said: str) -> None:
    with pytest.raises((Refused, programmes.InputError), match=said):
        world.announce(first, last, decided)


def test_the_first_possible_decision_day_is_taken(world: World) -> None:
    assert world.announce(FIRST, LAST, date(2026, 7, 3)).decision_on == date(2026, 7, 3)


def test_periods_never_overlap_not_even_by_way_of_another_programme(world: World) -> None:
    world.announce()
    later = (date(2026, 6, 1), date(2026, 11, 30), date(2026, 12, 7))
    with pytest.raises(Refused, match="overlaps the period 2026-01-01 to 2026-06-30"):
        world.announce(*later)
    twin = programmes.create(world.organisation, "twin", "Twin", "sqm-2011", [world.campaign])
    other = programmes.create(world.organisation, "other", "Other", "sqm-2011", [factories.campaign([world.site])])
    for second in (twin, other):
        with pytest.raises(Refused, match="nobody is assessed twice"):
            programmes.announce(second, *later)
    assert world.announce(date(2026, 7, 1), date(2026, 12, 31), date(2027, 1, 8)).id


def test_a_period_that_begins_this_minute_is_too_late(world: World) -> None:
    world.clock.move_to(datetime(2026, 1, 1, 5, tzinfo=UTC) - timedelta(seconds=1))
    assert world.announce().id
    world.clock.move_to(datetime(2026, 7, 1, 4, tzinfo=UTC))
    with pytest.raises(Refused, match="has begun at Site 1"):
        world.announce(date(2026, 7, 1), date(2026, 12, 31), date(2027, 1, 8))
