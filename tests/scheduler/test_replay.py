"""Rule 3: the draw can be replayed, and whatever was bent is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, scoped_session

from scheduler.drawing import draw_all, draw_campaign
from scheduler.replay import Difference, replay, report
from scheduler.replay_words import replay_lines
from survey import attempts, clock, optouts
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import (
    Assignment,
    AttemptState,
    Campaign,
    Customer,
    Draw,
    DrawKey,
    DrawReason,
    Outcome,
    SamplingRate,
    Survey,
)
from survey.models import OptOutSource as Source
from tests import factories as make
from tests.conftest import NOON


@pytest.fixture
def drawn(session: scoped_session[Session], at_noon: ManualClock) -> Iterator[Campaign]:
    """A campaign with a week of draws behind it: repeat callers, quarantine, supersession, an opt-out, two sites.

    The calls' ids are always the same, and with them who is drawn, however many tests ran before.
    """
    place = make.site()
    elsewhere = make.site(organisation=place.organisation)
    campaign, other = make.campaign([place], rate_numerator=2, rate_denominator=3), make.campaign([elsewhere])
    agents = [make.agent(place) for _ in range(3)]
    customers = [make.customer(place.organisation_id) for _ in range(9)]
    for day in range(4):
        for n in range(10):
            ended_at = clock.now() - timedelta(minutes=5 + n)
            place_of_call = elsewhere if n % 6 == 5 else place
            caller, id = customers[(n + day) % 9], f"day {day}, {n}"
            make.call(agents[n % 3], place_of_call, customer=caller, ended_at=ended_at, external_id=id)
        make.call(agents[0], place, answered=False, talk_seconds=0, external_id=f"day {day}, silent")
        draw_all()
        ask_some(day)
        if day == 2:
            phone_index, email_index = customers[1].phone_index, customers[1].email_index
            assert phone_index is not None and email_index is not None
            optouts.add(place.organisation_id, "phone", phone_index, Source.COMMAND)
            optouts.add(place.organisation_id, "email", email_index, Source.COMMAND)
        at_noon.move_to(clock.now() + timedelta(days=1))
    assert replay(other) is None
    yield campaign


def ask_some(day: int) -> None:
    waiting = db.session.scalars(select(Survey).where(Survey.closed_at.is_(None)).order_by(Survey.id)).all()
    for survey in waiting[day % 2 :: 2]:
        made = make.attempt(survey, state=AttemptState.DIALLING)
        attempts.end(made.id, Outcome.NO_ANSWER)


def reasons(campaign: Campaign) -> set[DrawReason]:
    return set(db.session.scalars(select(Draw.reason).where(Draw.campaign_id == campaign.id)))


def bend(statement: str, **values: object) -> None:
    """Changes history behind the service's back, as somebody with the database's password could."""
    for command in ("SET session_replication_role = replica", statement, "SET session_replication_role = origin"):
        db.session.execute(text(command), values if command is statement else {})
    db.session.expire_all()


def a_draw(campaign: Campaign, reason: DrawReason) -> Draw:
    return db.session.scalars(
        select(Draw).where(Draw.campaign_id == campaign.id, Draw.reason == reason).order_by(Draw.id).limit(1)
    ).one()


def found(campaign: Campaign) -> Difference:
    difference = replay(campaign)
    assert difference is not None
    return difference


def test_an_honest_draw_replays_without_a_difference(drawn: Campaign) -> None:
    assert reasons(drawn) >= {
        DrawReason.DRAWN,
        DrawReason.NOT_SELECTED,
        DrawReason.QUARANTINED,
        DrawReason.UNANSWERED,
        DrawReason.OPTED_OUT,
    }
    assert db.session.query(Survey).filter(Survey.superseded_by_call_id.is_not(None)).count() > 0
    told = report(drawn)
    count = db.session.query(Draw).filter_by(campaign_id=drawn.id).count()
    assert (told.difference, told.recorded, told.recomputed, told.undecided) == (None, count, count, 0)
    assert told.drawn == db.session.query(Draw).filter_by(campaign_id=drawn.id, drawn=True).count()
    assert told.reasons_changeable.total() == told.quarantines_erased == 0
    late = make.call(place=drawn.sites[0], ended_at=NOON + timedelta(days=3))
    assert report(drawn).undecided == 1, late
    lines = replay_lines("acme/c", report(drawn))
    assert lines[0].startswith(f"acme/c: {count} decisions recomputed and compared ({told.drawn} drawn)")
    assert lines[-1] == "  Not compared: 1 call has come in and not gone through the draw yet (flask draw run)."


def test_it_still_does_when_rosters_contacts_and_optouts_have_changed(drawn: Campaign, at_noon: ManualClock) -> None:
    customer = db.session.scalars(select(Customer).order_by(Customer.id)).first()
    assert customer is not None and customer.phone_index is not None
    optouts.add(customer.organisation_id, "phone", customer.phone_index, Source.COMMAND)
    at_noon.move_to(clock.now() + timedelta(days=1))
    opted_out = a_draw(drawn, DrawReason.OPTED_OUT).call.customer
    assert opted_out is not None and opted_out.phone_index is not None
    assert optouts.remove(opted_out.organisation_id, opted_out.phone_index, "test")
    db.session.execute(text("UPDATE assignments SET ends_on = '2026-03-14' WHERE agent_id % 2 = 0"))
    assert db.session.query(Assignment).filter(Assignment.ends_on.is_not(None)).count() > 0
    for survey in db.session.scalars(select(Survey).where(Survey.closed_at.is_(None))):
        made = make.attempt(survey, state=AttemptState.DIALLING)
        attempts.end(made.id, Outcome.NO_ANSWER)
    told = report(drawn)
    assert told.difference is None
    # Agents off the roster since: their calls could not be asked about today, and that alone is not compared.
    changed = told.reasons_changeable.total()
    assert 0 < changed < told.recomputed == told.recorded
    assert f"  Of {changed} it was not compared whether" in " ".join(replay_lines("acme/c", told))


def test_another_key_than_the_published_one_is_named(drawn: Campaign) -> None:
    key = db.session.scalars(select(DrawKey).where(DrawKey.campaign_id == drawn.id)).one()
    key.key_hex = ("a" * 64).lower()
    db.session.flush()
    assert found(drawn).what == "the key's published SHA-256"


def test_another_number_is_named(drawn: Campaign) -> None:
    draw = a_draw(drawn, DrawReason.NOT_SELECTED)
    bend("UPDATE draws SET u = u + 1 WHERE id = :id", id=draw.id)
    difference = found(drawn)
    assert (difference.what, difference.call) == ("u", f"test {draw.call.external_id}")
    assert str(difference).startswith(f"call test {draw.call.external_id}: u was recorded as ")


def test_a_rate_published_afterwards_is_named(drawn: Campaign) -> None:
    draw = a_draw(drawn, DrawReason.DRAWN)
    long_ago = NOON - timedelta(days=40)
    db.session.add(
        SamplingRate(
            campaign_id=drawn.id,
            agent_id=draw.call.agent_id,
            numerator=1,
            denominator=3,
            in_force_from=long_ago,
            published_at=long_ago,
        )
    )
    db.session.flush()
    difference = found(drawn)
    assert (difference.what, difference.recorded, difference.recomputed) == ("the rate", "2/3", "1/3")


@pytest.mark.parametrize("excuse", [DrawReason.TOO_SHORT, DrawReason.OPTED_OUT, DrawReason.QUARANTINED])
def test_a_call_left_out_with_an_excuse_is_named(drawn: Campaign, excuse: DrawReason) -> None:
    draw = a_draw(drawn, DrawReason.NOT_SELECTED)
    bend("UPDATE draws SET reason = :reason WHERE id = :id", reason=excuse.value, id=draw.id)
    difference = found(drawn)
    assert (difference.what, difference.recorded) == ("the reason", excuse)
    assert difference.call == f"test {draw.call.external_id}"


def test_a_quarantine_not_kept_is_named(drawn: Campaign) -> None:
    draw = a_draw(drawn, DrawReason.QUARANTINED)
    by_chance = draw.u * 3 < 2 * 2**64
    reason = DrawReason.DRAWN if by_chance else DrawReason.NOT_SELECTED
    statement = "UPDATE draws SET reason = :reason, drawn = :drawn WHERE id = :id"
    bend(statement, reason=reason.value, drawn=by_chance, id=draw.id)
    assert found(drawn).what in {"the reason", "having a survey"}


def test_a_drawn_call_without_a_survey_is_named(drawn: Campaign) -> None:
    draw = a_draw(drawn, DrawReason.DRAWN)
    bend("DELETE FROM surveys WHERE draw_id = :id", id=draw.id)
    assert found(drawn).what == "having a survey"


def gave_way(of: Campaign, *, to_a_call_of: Campaign) -> Survey:
    """The first survey of one campaign that gave way to a call which the other campaign decided."""
    newer = select(Draw.call_id).where(Draw.campaign_id == to_a_call_of.id)
    return db.session.scalars(
        select(Survey)
        .where(Survey.campaign_id == of.id, Survey.superseded_by_call_id.in_(newer))
        .order_by(Survey.id)
        .limit(1)
    ).one()


def undo(superseded: Survey) -> int:
    """Bends the survey as if it had gone on for a day; returns its call's id."""
    call_id = superseded.call_id
    bend(
        "UPDATE surveys SET superseded_by_call_id = NULL, closed_at = closed_at + interval '1 day' WHERE id = :id",
        id=superseded.id,
    )
    return call_id


def test_a_supersession_that_was_undone_is_named(drawn: Campaign) -> None:
    call_id = undo(gave_way(drawn, to_a_call_of=drawn))
    assert found(drawn) == Difference(
        f"with id {call_id}", "the newer call's id that superseded it", "None", found(drawn).recomputed
    )


def test_which_call_a_survey_gave_way_to_is_told_by_the_campaign_that_decided_that_call(drawn: Campaign) -> None:
    other = db.session.scalars(select(Campaign).where(Campaign.id != drawn.id)).one()
    customers = [make.customer(drawn.organisation_id) for _ in range(6)]
    for hours, place in ((2, drawn.sites[0]), (1, other.sites[0])):
        for n, customer in enumerate(customers):
            ended_at = clock.now() - timedelta(hours=hours)
            make.call(place=place, customer=customer, ended_at=ended_at, external_id=f"{hours} hours ago, {n}")
        draw_all()
    call_id = undo(gave_way(drawn, to_a_call_of=other))
    assert replay(drawn) is None
    assert found(other).call == f"with id {call_id}"


def test_a_call_from_before_the_launch_is_named(drawn: Campaign) -> None:
    draw = a_draw(drawn, DrawReason.UNANSWERED)
    bend("UPDATE calls SET ended_at = '2026-01-01', started_at = '2026-01-01' WHERE id = :id", id=draw.call_id)
    assert found(drawn).what == "being in the campaign's frame"


def test_a_campaign_never_launched_has_nothing_to_replay(session: scoped_session[Session]) -> None:
    with pytest.raises(Refused, match="never launched"):
        replay(make.campaign(launched=False))


def test_erased_customers_do_not_make_a_difference(drawn: Campaign) -> None:
    db.session.execute(
        text("UPDATE customers SET phone = NULL, phone_index = NULL, email = NULL, email_index = NULL WHERE id % 2 = 0")
    )
    db.session.expire_all()
    difference = replay(drawn)
    assert difference is None, difference


def test_the_draw_goes_on_after_a_replay(drawn: Campaign) -> None:
    assert replay(drawn) is None
    make.call(place=drawn.sites[0])
    assert draw_campaign(drawn).decided == 1
    assert replay(drawn) is None


def test_a_day_off_that_is_added_later_is_not_held_against_a_draw(drawn: Campaign) -> None:
    """It moves deadlines that were over when the call was decided."""
    place = drawn.sites[0]
    make.call(place=place, ended_at=clock.now() - timedelta(days=9, hours=1), external_id="late")
    draw_campaign(drawn)
    assert a_draw(drawn, DrawReason.PAST_DEADLINE).call.external_id == "late"
    place.closed_days = [(clock.now().date() - timedelta(days=n)).isoformat() for n in range(9)]
    db.session.flush()
    difference = replay(drawn)
    assert difference is None, difference
