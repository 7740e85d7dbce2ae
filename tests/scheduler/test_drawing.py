"""Rules 3 and 4 in rows: every call decided once, by its own facts; what a drawn one freezes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, scoped_session

from scheduler import drawing, frame
from scheduler.drawing import draw_all, draw_campaign
from scheduler.replay import replay
from scheduler.sampling import number
from survey import attempts, clock, lifecycle
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Assignment,
    AttemptState,
    Call,
    Campaign,
    CampaignState,
    Disposition,
    Draw,
    DrawReason,
    OptOutSource,
    Site,
    Survey,
)
from survey.optouts import add
from survey.turns import import_under_way
from tests import factories as make
from tests.conftest import NOON

KEY = b"k" * 32
EVERYBODY = {"rate_numerator": 1, "rate_denominator": 1}


@pytest.fixture
def place(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Site]:
    yield make.site()


def draws() -> dict[str, Draw]:
    return {draw.call.external_id: draw for draw in db.session.scalars(select(Draw))}


def reasons() -> dict[str, DrawReason]:
    return {name: draw.reason for name, draw in draws().items()}


def survey_of(call: Call) -> Survey:
    return db.session.scalars(select(Survey).where(Survey.call_id == call.id)).one()


def test_every_call_of_the_frame_gets_its_number_and_its_reason(place: Site) -> None:
    campaign = make.campaign([place])
    for n in range(20):
        make.call(place=place, external_id=f"c{n}")
    make.call(place=place, external_id="silent", answered=False, talk_seconds=0)
    report = draw_campaign(campaign)
    made = draws()
    assert report.decided == len(made) == 21
    for name, draw in made.items():
        assert draw.u == Decimal(number(KEY, "draw", "test", name))
        if name != "silent":
            assert draw.drawn == (draw.u < 2**63)
    assert made["silent"].reason is DrawReason.UNANSWERED
    assert report.drawn == db.session.query(Survey).count() == sum(draw.drawn for draw in made.values())
    assert {draw.decided_at for draw in made.values()} == {clock.now()}


def test_no_call_is_decided_while_a_file_is_going_in(place: Site) -> None:
    """Its next batch may hold a further leg of the call, which says that another agent handled it last."""
    campaign = make.campaign([place])
    make.call(place=place)
    db.session.commit()
    with import_under_way(place.organisation_id):
        assert draw_campaign(campaign, wait=False).decided == 0
        assert [report.decided for report in draw_all(wait=False)] == [0]
    assert draw_campaign(campaign, wait=False).decided == 1


def test_a_second_run_decides_nothing_again(place: Site) -> None:
    campaign = make.campaign([place])
    make.call(place=place)
    assert draw_campaign(campaign).decided == 1
    assert draw_campaign(campaign).decided == 0


def test_only_calls_that_end_after_the_launch_are_drawn(place: Site) -> None:
    launched_at = NOON - timedelta(hours=2)
    campaign = make.campaign([place], launched_at=launched_at, starts_on=date(2026, 3, 12))
    make.call(place=place, external_id="at the launch", ended_at=launched_at)
    make.call(place=place, external_id="after", ended_at=launched_at + timedelta(microseconds=1))
    draw_campaign(campaign)
    assert set(draws()) == {"after"}


def test_days_are_those_of_the_site(session: scoped_session[Session], at_noon: ManualClock) -> None:
    """01:30 UTC on the 12th is still the 11th in New York and Los Angeles; the campaign begins on the 12th."""
    owner = make.organisation()
    new_york = make.site(organisation=owner)
    angeles = make.site(organisation=owner, time_zone="America/Los_Angeles")
    campaign = make.campaign([new_york, angeles], starts_on=date(2026, 3, 12), ends_on=date(2026, 3, 12))
    for name, at in (("before", (3, 59)), ("first", (4, 0))):
        make.call(place=new_york, external_id=f"ny {name}", ended_at=datetime(2026, 3, 12, *at, tzinfo=UTC))
        make.call(place=angeles, external_id=f"la {name}", ended_at=datetime(2026, 3, 12, *at, tzinfo=UTC))
    make.call(place=angeles, external_id="la seven", ended_at=datetime(2026, 3, 12, 7, 0, tzinfo=UTC))
    at_noon.move_to(datetime(2026, 3, 13, 12, tzinfo=UTC))
    make.call(place=new_york, external_id="ny next day", ended_at=datetime(2026, 3, 13, 4, 0, tzinfo=UTC))
    make.call(place=angeles, external_id="la last", ended_at=datetime(2026, 3, 13, 6, 59, tzinfo=UTC))
    draw_campaign(campaign)
    assert set(draws()) == {"ny first", "la seven", "la last"}


def test_a_call_belongs_to_the_first_launched_campaign_drawn_or_not(place: Site) -> None:
    first = make.campaign([place], rate_numerator=0, launched_at=NOON - timedelta(days=40))
    second = make.campaign([place], **EVERYBODY)
    make.call(place=place, external_id="c")
    assert draw_campaign(second).decided == 0
    assert draw_campaign(first).decided == 1
    assert draw_campaign(second).decided == 0
    assert reasons() == {"c": DrawReason.NOT_SELECTED}


def test_after_the_first_campaign_closed_the_second_has_the_calls(place: Site) -> None:
    closed_at = NOON - timedelta(hours=2)
    make.campaign([place], launched_at=NOON - timedelta(days=40), state=CampaignState.CLOSED, closed_at=closed_at)
    second = make.campaign([place], **EVERYBODY)
    make.call(place=place, external_id="the first one's", ended_at=closed_at)
    make.call(place=place, external_id="free", ended_at=closed_at + timedelta(seconds=1))
    draw_campaign(second)
    assert set(draws()) == {"free"}


def test_a_drawn_call_freezes_what_it_rests_on(place: Site) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    leader = make.supervisor(place.organisation)
    agent = make.agent(place, leader)
    call = make.call(agent, place, language="es-MX")
    draw_campaign(campaign)
    survey = survey_of(call)
    assert (survey.agent_id, survey.supervisor_id, survey.site_id) == (agent.id, leader.id, place.id)
    assert (survey.rate, survey.language, survey.channels) == (1, "es", ["ivr", "web"])
    # Thursday's call closes at the start of Tuesday, site time: Friday and Monday are the two business days.
    assert survey.deadline == datetime(2026, 3, 17, 4, 0, tzinfo=UTC)
    assert survey.plan_at == survey.drawn_at == NOON


def test_an_agent_is_credited_by_the_calls_own_day(place: Site) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    old, new = make.supervisor(place.organisation), make.supervisor(place.organisation)
    agent = make.agent(place, old)
    session = db.session
    before = session.scalars(select(Assignment).where(Assignment.agent_id == agent.id)).one()
    before.ends_on = date(2026, 3, 12)
    session.add(Assignment(agent_id=agent.id, supervisor_id=new.id, site_id=place.id, starts_on=date(2026, 3, 12)))
    # 03:59 and 04:00 UTC are the last minute of the 11th and the first of the 12th in New York.
    wednesday = make.call(agent, place, ended_at=datetime(2026, 3, 12, 3, 59, tzinfo=UTC))
    thursday = make.call(agent, place, ended_at=datetime(2026, 3, 12, 4, 0, tzinfo=UTC))
    draw_campaign(campaign)
    assert survey_of(wednesday).supervisor_id == old.id
    assert survey_of(thursday).supervisor_id == new.id


@pytest.mark.parametrize(
    ("country", "zone", "ended_at", "deadline"),
    [
        # Friday and Saturday are the weekend in Saudi Arabia: Sunday and Monday count.
        ("SA", "Asia/Riyadh", (2026, 3, 5, 12), (2026, 3, 9, 21)),
        # The Emirates moved theirs to Saturday and Sunday in 2022: Monday and Tuesday count.
        ("AE", "Asia/Dubai", (2026, 3, 6, 8), (2026, 3, 10, 20)),
        # Clocks go forward on Sunday 8 March in New York: midnight is an hour earlier in UTC.
        ("US", "America/New_York", (2026, 3, 5, 18), (2026, 3, 10, 4)),
        ("US", "America/New_York", (2026, 2, 26, 18), (2026, 3, 3, 5)),
    ],
)
def test_deadlines_follow_the_sites_calendar(
    session: scoped_session[Session],
    country: str,
    zone: str,
    ended_at: tuple[int, ...],
    deadline: tuple[int, ...],
) -> None:
    ended = datetime(*ended_at, tzinfo=UTC)  # type: ignore[misc, arg-type]
    with clock.standing_at(ended + timedelta(hours=1)):
        place = make.site(country=country, time_zone=zone)
        campaign = make.campaign([place], **EVERYBODY)
        call = make.call(place=place, ended_at=ended)
        draw_campaign(campaign)
        assert survey_of(call).deadline == datetime(*deadline, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_a_call_that_comes_in_after_its_deadline_is_not_asked_about(place: Site) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    make.call(place=place, external_id="old", ended_at=NOON - timedelta(days=6))
    draw_campaign(campaign)
    assert reasons() == {"old": DrawReason.PAST_DEADLINE}


def test_contacts_that_may_not_be_used_are_dropped_from_the_channels(place: Site, at_noon: ManualClock) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    owner = place.organisation_id
    opted_out, neither = make.customer(owner), make.customer(owner)
    no_calls = make.customer(owner, consents_to_calls=False)
    for customer, kinds in ((opted_out, "p"), (neither, "pe")):
        for kind, index in (("phone", customer.phone_index), ("email", customer.email_index)):
            if kind[0] in kinds:
                assert index is not None
                add(owner, kind, index, OptOutSource.COMMAND)
    calls = [make.call(place=place, customer=one) for one in (opted_out, no_calls, neither)]
    at_noon.move_to(NOON + timedelta(minutes=1))
    draw_campaign(campaign)
    assert survey_of(calls[0]).channels == ["web"]
    assert survey_of(calls[1]).channels == ["web"]
    assert draws()[calls[2].external_id].reason is DrawReason.OPTED_OUT


@pytest.mark.parametrize(
    ("needed", "channels"),
    [(False, [["ivr", "web"], ["ivr", "web"], ["web"]]), (True, [["ivr", "web"], ["web"], ["web"]])],
)
def test_where_calls_need_consent_nobody_is_called_without(
    place: Site, needed: bool, channels: list[list[str]]
) -> None:
    campaign = make.campaign([place], calls_need_consent=needed, **EVERYBODY)
    customers = [make.customer(place.organisation_id, consents_to_calls=said) for said in (True, None, False)]
    silent = make.customer(place.organisation_id, email=None)
    calls = [make.call(place=place, customer=one) for one in (*customers, silent)]
    draw_campaign(campaign)
    assert [survey_of(call).channels for call in calls[:3]] == channels
    assert draws()[calls[3].external_id].reason is (DrawReason.OPTED_OUT if needed else DrawReason.DRAWN)
    assert replay(campaign) is None
    silent.consents_to_calls = True  # agreed later: no reason to doubt the draw
    db.session.flush()
    assert replay(campaign) is None


def test_pausing_does_not_stop_the_draw_but_closing_does(place: Site) -> None:
    paused = make.campaign([place], state=CampaignState.PAUSED)
    make.call(place=place)
    assert [report.decided for report in draw_all()] == [1]
    paused.state, paused.closed_at = CampaignState.CLOSED, clock.now()
    db.session.flush()
    assert draw_all() == []
    with pytest.raises(Refused):
        draw_campaign(paused)


def asked(call: Call) -> None:
    """A first attempt at the call's survey has begun and failed to reach anybody."""
    make.attempt(survey_of(call), state=AttemptState.UNDERWAY)


def test_a_customer_is_not_asked_again_within_the_quarantine(place: Site, at_noon: ManualClock) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    ann = make.customer(place.organisation_id)
    first = make.call(place=place, customer=ann, external_id="first")
    draw_campaign(campaign)
    asked(first)
    for days, name in ((29, "within"), (30, "after")):
        ended_at = first.ended_at + timedelta(days=days)
        at_noon.move_to(ended_at + timedelta(hours=1))
        make.call(place=place, customer=ann, external_id=name, ended_at=ended_at)
        draw_campaign(campaign)
    assert reasons() == {
        "first": DrawReason.DRAWN,
        "within": DrawReason.QUARANTINED,
        "after": DrawReason.DRAWN,
    }


def test_quarantine_reaches_across_campaigns_and_shared_emails(place: Site, at_noon: ManualClock) -> None:
    elsewhere = make.site(organisation=place.organisation)
    here, there = make.campaign([place], **EVERYBODY), make.campaign([elsewhere], **EVERYBODY)
    ann = make.customer(place.organisation_id, email="family@example.com")
    bob = make.customer(place.organisation_id, email="family@example.com")
    first = make.call(place=place, customer=ann)
    draw_campaign(here)
    asked(first)
    at_noon.move_to(NOON + timedelta(hours=2))
    make.call(place=elsewhere, customer=bob, external_id="bob's")
    draw_campaign(there)
    assert reasons()["bob's"] is DrawReason.QUARANTINED


def test_a_newer_call_supersedes_a_survey_not_begun(place: Site, at_noon: ManualClock) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    ann = make.customer(place.organisation_id)
    first = make.call(place=place, customer=ann)
    draw_campaign(campaign)
    planned = make.attempt(survey_of(first))
    at_noon.move_to(NOON + timedelta(hours=2))
    second = make.call(place=place, customer=ann)
    report = draw_campaign(campaign)
    old, new = survey_of(first), survey_of(second)
    assert (old.disposition, old.superseded_by_call_id) == (Disposition.SUPERSEDED, second.id)
    assert old.closed_at == clock.now()
    assert new.is_open
    assert report.superseded == 1
    db.session.refresh(planned)
    assert planned.state is AttemptState.CANCELLED


def test_calls_of_a_customer_being_dialled_just_now_wait_for_the_next_run(place: Site, at_noon: ManualClock) -> None:
    """The dial may yet be put back (429), so it is not certain yet whether the customer is being asked."""
    campaign = make.campaign([place], **EVERYBODY)
    ann = make.customer(place.organisation_id)
    first = make.call(place=place, customer=ann)
    draw_campaign(campaign)
    dialling = make.attempt(survey_of(first), state=AttemptState.DIALLING)
    at_noon.move_to(NOON + timedelta(hours=2))
    second = make.call(place=place, customer=ann)
    stranger = make.call(place=place)
    assert draw_campaign(campaign).decided == 1
    assert survey_of(stranger).is_open
    attempts.put_back(dialling.id, clock.now())
    draw_campaign(campaign)
    assert survey_of(first).superseded_by_call_id == second.id


def rows() -> list[tuple[Any, ...]]:
    """The business columns of draws and surveys, without ids and stamps."""
    found = db.session.execute(
        text(
            "SELECT c.external_id, d.u, d.rate_numerator, d.rate_denominator, d.drawn, d.reason, d.decided_at,"
            " s.deadline, s.language, s.channels::text, s.disposition, n.external_id, a.key, p.key"
            " FROM draws d JOIN calls c ON c.id = d.call_id LEFT JOIN surveys s ON s.draw_id = d.id"
            " LEFT JOIN calls n ON n.id = s.superseded_by_call_id LEFT JOIN agents a ON a.id = s.agent_id"
            " LEFT JOIN supervisors p ON p.id = s.supervisor_id ORDER BY c.external_id"
        )
    )
    return [tuple(row) for row in found]


def a_busy_day(shuffled: int | None) -> tuple[Campaign, list[Callable[[], Call]]]:
    """A campaign, and what imports a day's 80 calls of 25 customers one by one, in order or shuffled."""
    owner = make.organisation(key="acme", name="Acme")
    place = make.site(organisation=owner)
    agents = [make.agent(place, make.supervisor(owner, key=f"s{n}"), key=f"a{n}") for n in range(4)]
    customers = [make.customer(owner.id, language="en" if n % 7 else "de") for n in range(25)]
    campaign = make.campaign(
        [place], channel_plan=[{"share": [1, 3], "channels": ["web"]}, {"share": [2, 3], "channels": ["ivr", "web"]}]
    )
    chance = random.Random(7)
    facts = [
        {
            "handled_by": agents[n % 4],
            "external_id": f"{n:03d}",
            # Some calls end in the very same second: then source and id decide the order.
            "ended_at": NOON - timedelta(minutes=chance.randrange(60)),
            "customer": chance.choice(customers),
            "talk_seconds": chance.choice((5, 60, 200)),
        }
        for n in range(80)
    ]
    if shuffled is not None:
        random.Random(shuffled).shuffle(facts)
    return campaign, [lambda given=given: make.call(place=place, **given) for given in facts]  # type: ignore[misc]


@pytest.mark.parametrize("batches", [1, 3])
def test_shuffled_imports_of_a_day_give_identical_rows(
    session: scoped_session[Session], at_noon: ManualClock, batches: int
) -> None:
    seen = []
    for shuffled in (None, 1, 2):
        savepoint = db.session.begin_nested()
        campaign, imports = a_busy_day(shuffled)
        size = -(-len(imports) // (batches if shuffled is not None else 1))
        for start in range(0, len(imports), size):
            for bring_in in imports[start : start + size]:
                bring_in()
            draw_campaign(campaign)
        seen.append(rows())
        savepoint.rollback()
        db.session.expire_all()
    assert len(seen[0]) == 80
    assert {row[5] for row in seen[0]} >= {"drawn", "not_selected", "too_short", "language_not_offered"}
    assert any(row[10] == "superseded" for row in seen[0])
    decided = slice(0, 6) if batches > 1 else slice(None)
    assert [row[decided] for row in seen[1]] == [row[decided] for row in seen[0]]
    assert [row[decided] for row in seen[2]] == [row[decided] for row in seen[0]]
    assert [row[10] for row in seen[1]] == [row[10] for row in seen[0]]


def test_two_machines_never_draw_at_once(place: Site) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    make.call(place=place)
    db.session.commit()
    with db.engine.connect() as other:
        other.execute(text("SELECT 1 FROM campaigns WHERE id = :id FOR NO KEY UPDATE"), {"id": campaign.id})
        db.session.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            draw_campaign(campaign)
        db.session.rollback()
        other.rollback()
    assert draw_campaign(campaign).decided == 1


def test_closing_is_not_undone_by_a_late_answer_to_a_superseded_survey(place: Site, at_noon: ManualClock) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    ann = make.customer(place.organisation_id)
    first = make.call(place=place, customer=ann)
    draw_campaign(campaign)
    at_noon.move_to(NOON + timedelta(hours=2))
    make.call(place=place, customer=ann)
    draw_campaign(campaign)
    at_noon.move_to(survey_of(first).deadline)
    assert lifecycle.close_expired() == 1
    assert survey_of(first).disposition is Disposition.SUPERSEDED


def a_week_of_repeat_callers() -> Campaign:
    """Sixty calls of a dozen customers at two sites, some of one moment, in no order; none is decided."""
    campaign = make.campaign([place := make.site(), make.site(organisation=place.organisation)])
    customers = [make.customer(place.organisation_id) for _ in range(12)]
    for n in range(60):
        mixed = n * 37 % 60
        make.call(
            place=campaign.sites[n % 2],
            customer=customers[mixed % 12],
            ended_at=clock.now() - timedelta(minutes=10 + mixed // 3 * 7),
            source="ä" if n % 5 == 0 else "Z",
            external_id=f"call {mixed}",
        )
    db.session.commit()
    return campaign


@pytest.mark.parametrize("batch", [1, 7, 60, 61])
def test_in_however_large_batches_everything_is_decided_the_same(
    session: scoped_session[Session], at_noon: ManualClock, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    campaign = a_week_of_repeat_callers()

    def decided() -> tuple[Any, Any]:
        report = draw_campaign(campaign)
        draws = select(Call.external_id, Draw.reason).join(Draw, Draw.call_id == Call.id).order_by(Draw.id)
        gave_way = select(Survey.call_id, Survey.superseded_by_call_id).order_by(Survey.call_id)
        assert report.decided == 60 and report.superseded > 0
        return db.session.execute(draws).all(), db.session.execute(gave_way).all()

    at_once = decided()
    db.session.rollback()
    monkeypatch.setattr(frame, "BATCH", batch)
    assert decided() == at_once
    assert replay(campaign) is None


def test_each_batch_is_committed_by_itself(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a pause, or a call to one of the customers, waits for a batch at most."""
    campaign = make.campaign([place], **EVERYBODY)
    for _ in range(3):
        make.call(place=place)
    db.session.commit()
    monkeypatch.setattr(frame, "BATCH", 1)
    decide, seen = drawing._decide_batch, []

    def looked_at(*given: Any) -> Any:
        with db.engine.connect() as other:
            seen.append(other.execute(select(func.count()).select_from(Draw)).scalar_one())
        return decide(*given)

    monkeypatch.setattr(drawing, "_decide_batch", looked_at)
    (report,) = draw_all()
    assert (report.decided, seen) == (3, [0, 1, 2])
    assert replay(campaign) is None


def test_a_campaign_closed_between_two_batches_draws_no_further(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = make.campaign([place], **EVERYBODY)
    for _ in range(3):
        make.call(place=place)
    db.session.commit()
    monkeypatch.setattr(frame, "BATCH", 1)
    decide = drawing._decide_batch

    def closing(*given: Any) -> Any:
        report = decide(*given)
        campaign.state, campaign.closed_at = CampaignState.CLOSED, clock.now()
        return report

    monkeypatch.setattr(drawing, "_decide_batch", closing)
    (report,) = draw_all()
    assert report.decided == 1
