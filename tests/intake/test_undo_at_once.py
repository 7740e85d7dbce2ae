"""Imports, undos and draws at the same moment: each sees the others whole or not at all, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any, TypeVar

import pytest
from flask import Flask
from sqlalchemy import func, select

from intake import reading
from intake.reports import ImportReport
from intake.undo import UndoReport, undo
from scheduler.drawing import draw_all, draw_campaign
from scheduler.replay import replay
from survey.clock import ManualClock
from survey.db import db
from survey.errors import AftercallError, Refused
from survey.models import Agent, Call, Campaign, Customer, Draw, ImportRecord, LaterRecord
from tests import factories
from tests.factories import utc
from tests.intake import samples, snapshots

PATIENCE_SECONDS = 60
Done = TypeVar("Done")


@pytest.fixture
def campaign(app: Flask, at_noon: ManualClock) -> Campaign:
    made = factories.campaign([samples.place()])
    db.session.commit()
    return made


def row(number: int, **given: Any) -> dict[str, Any]:
    found = {
        "external_id": f"c{number}",
        "agent": "amy",
        "started_at": utc(2026, 3, 2 + number % 8, 15),
        "talk_seconds": 60,
        "phone": f"21255501{number % 30:02}",
        "email": f"c{number % 30}@example.com",
    }
    return found | given


def taken(rows: list[dict[str, Any]], **options: Any) -> ImportReport:
    return samples.taken(rows, create_agents=True, **options)


def aside(app: Flask, what: Callable[[], Done]) -> Callable[[], Done]:
    """The work in a context of its own, as another process would do it; committed."""

    def run() -> Done:
        with app.app_context():
            done = what()
            db.session.commit()
            return done

    return run


def ended(run: Future[Done]) -> Done | str:
    """What it came to: its result, or the refusal."""
    try:
        return run.result(timeout=PATIENCE_SECONDS)
    except AftercallError as refusal:
        return str(refusal)


def undoing(number: int | None) -> UndoReport:
    assert number is not None
    return undo(number, actor="jo")


# --- a draw and an undo ---


def test_a_draw_that_is_going_on_goes_first_and_the_undo_is_refused(app: Flask, campaign: Campaign) -> None:
    number = taken([row(n) for n in range(5)]).import_id
    with ThreadPoolExecutor(1) as threads:
        assert draw_campaign(campaign).decided == 5
        run = threads.submit(aside(app, lambda: undoing(number)))
        wait([run], timeout=0.5)
        assert not run.done()
        db.session.commit()
        assert "5 of the calls" in str(ended(run)) and "have had their draw" in str(ended(run))
    assert db.session.query(Call).count() == db.session.query(Draw).count() == 5


def test_an_undo_that_is_going_on_goes_first_and_the_draw_finds_nothing(app: Flask, campaign: Campaign) -> None:
    number = taken([row(n) for n in range(5)]).import_id
    with ThreadPoolExecutor(1) as threads:
        undoing(number)
        run = threads.submit(aside(app, lambda: sum(report.decided for report in draw_all())))
        wait([run], timeout=0.5)
        assert not run.done()
        db.session.commit()
        assert ended(run) == 0
    assert db.session.query(Call).count() == db.session.query(Draw).count() == 0


def test_whichever_comes_first_a_draw_or_an_undo(app: Flask, campaign: Campaign) -> None:
    for round in range(6):
        number = taken([row(n, external_id=f"{round}.{n}") for n in range(20)]).import_id
        together = Barrier(2)

        def draw(together: Barrier = together) -> int:
            together.wait(timeout=PATIENCE_SECONDS)
            return sum(report.decided for report in draw_all())

        def take_back(together: Barrier = together, number: int | None = number) -> UndoReport:
            together.wait(timeout=PATIENCE_SECONDS)
            return undoing(number)

        with ThreadPoolExecutor(2) as threads:
            drawing, taking_back = threads.submit(aside(app, draw)), threads.submit(aside(app, take_back))
            drawn, back = ended(drawing), ended(taking_back)
        db.session.rollback()
        left = db.session.scalar(select(func.count()).where(Call.import_id == number))
        assert (drawn, left) == ((20, 20) if isinstance(back, str) else (0, 0)), (drawn, back)


def test_two_undos_of_one_import_are_one(app: Flask, campaign: Campaign) -> None:
    number = taken([row(n) for n in range(50)]).import_id
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(aside(app, lambda: undoing(number))) for _ in range(2)]
        results = [ended(run) for run in both]
    assert sum(isinstance(result, UndoReport) for result in results) == 1
    assert f"import {number} is undone already, by jo" in results


# --- an import and an undo ---


@pytest.mark.parametrize("agent", ["amy", "Zed"])
def test_an_import_undone_while_it_runs_stops_and_leaves_nothing(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 10)

    def take_back(read: int) -> None:
        if read == 20:
            with ThreadPoolExecutor(1) as threads:
                number = db.session.scalars(select(ImportRecord.id)).one()
                assert isinstance(ended(threads.submit(aside(app, lambda: undoing(number)))), UndoReport)

    with pytest.raises(Refused, match=r"undone while it ran\. Nothing of it is in" if agent == "amy" else "are gone"):
        taken([row(n, agent=agent) for n in range(40)], progress=take_back)
    db.session.commit()
    assert samples.stored() == {} and db.session.query(Customer).count() == 0
    assert samples.counts(taken([row(n, agent=agent) for n in range(40)])) == (40, 0, 0, 0)


def test_an_import_whose_agents_an_undo_takes_away_stops_with_whole_batches(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 10)
    first = taken([row(100, agent="Zed")]).import_id
    rows = [row(n, agent="amy" if n < 20 else "Zed") for n in range(40)]

    def take_back(read: int) -> None:
        if read == 20:
            with ThreadPoolExecutor(1) as threads:
                assert isinstance(ended(threads.submit(aside(app, lambda: undoing(first)))), UndoReport)

    with pytest.raises(Refused, match="agents of these calls are gone"):
        taken(rows, progress=take_back)
    db.session.commit()
    assert len(samples.stored()) == 20 and db.session.query(Agent).count() == 1
    assert samples.counts(taken(rows)) == (20, 0, 20, 0)


def test_an_import_and_an_undo_that_share_customers(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 20)
    theirs = [row(n, agent=f"Agent {n % 5}") for n in range(200, 400)]
    taken(theirs)
    alone = snapshots.house()
    snapshots.emptied("amy")
    number = taken([row(n, agent="Yan") for n in range(200)]).import_id
    with ThreadPoolExecutor(2) as threads:
        importing = threads.submit(aside(app, lambda: taken(theirs)))
        taking_back = threads.submit(aside(app, lambda: undoing(number)))
        report, back = ended(importing), ended(taking_back)
    assert isinstance(report, ImportReport) and samples.counts(report) == (200, 0, 0, 0)
    assert isinstance(back, UndoReport) and back.calls_removed == 200
    assert snapshots.house() == alone


# --- an import and a draw ---


def test_an_import_and_draws_at_once_lose_nothing_and_the_draw_can_be_replayed(
    app: Flask, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 15)
    old = [row(n) for n in range(60)]
    taken(old)
    changed = [row(n, talk_seconds=5 + n % 2 * 85, agent="Zed") for n in range(120)]
    together = Barrier(2)

    def take_in() -> list[ImportReport]:
        together.wait(timeout=PATIENCE_SECONDS)
        return [taken(changed), taken(list(reversed(changed)))]

    def draw() -> int:
        together.wait(timeout=PATIENCE_SECONDS)
        decided = 0
        for waits in (False, True, False, False, True):
            decided += sum(report.decided for report in draw_all(wait=waits))
            db.session.commit()
        return decided

    with ThreadPoolExecutor(2) as threads:
        importing, drawing = threads.submit(aside(app, take_in)), threads.submit(aside(app, draw))
        reports, decided = ended(importing), ended(drawing)
    assert isinstance(reports, list) and isinstance(decided, int)
    decided += sum(report.decided for report in draw_all())
    db.session.commit()
    for report in reports:
        assert samples.counts(report)[3] == 0 and report.read == 120
    assert decided == db.session.query(Draw).count() == db.session.query(Call).count() == 120
    beside = set(db.session.scalars(select(LaterRecord.call_id)))
    for call in samples.stored().values():
        number = int(call.external_id[1:])
        as_first = number < 60 and call.talk_seconds == 60
        assert as_first == (call.id in beside) and (as_first or call.talk_seconds == 5 + number % 2 * 85)
    assert replay(db.session.merge(campaign)) is None
