"""The time-lapse: the whole way in a few days of two contact centres, and the same again for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from simulator import cli, demo, figures
from simulator.figures import Dial
from simulator.network import PhoneNetwork
from simulator.timelapse import Span, TimeLapse, World, latest_span, launch_moment, on_grid
from survey import clock
from survey.db import db
from survey.errors import Refused
from survey.models import Disposition, Survey
from tests import factories
from tests.conftest import _empty

SPAN = latest_span(date(2026, 7, 20))
DAYS = 4


@contextmanager
def played(app: Flask, folder: Path, seed: int = 1) -> Iterator[PhoneNetwork]:
    """A few days played into the test's database; the settings are put back afterwards."""
    before, place = app.config["SETTINGS"], demo.Folder(folder)
    world = small(World(seed, SPAN.first_day))
    try:
        with clock.standing_at(launch_moment(SPAN)) as manual, demo.outside(app, place, world, manual) as network:
            TimeLapse(app, world, network, manual, place.feeds, lambda day: None).play_days(SPAN, DAYS)
            figures.write_dials(network.log.dials(), place.dials)
            yield network
    finally:
        app.config["SETTINGS"] = before


def small(world: World) -> World:
    """The same two organisations with fewer calls a day, so that a test takes seconds."""
    world.organisations = tuple(  # type: ignore[assignment]
        replace(o, sites=tuple(replace(site, calls_a_day=24) for site in o.sites)) for o in world.organisations
    )
    return world


def test_the_whole_way(app: Flask, tmp_path: Path) -> None:
    with played(app, tmp_path) as network:
        place = demo.Folder(tmp_path)
        found = demo.report(place, 1.0)
        assert network.log.errors() == []
    assert found["calls"] > found["eligible"] > found["drawn"] > 10
    assert found["dials"] > 5 and found["emails"] > 5 and found["responses"] > 5
    assert found["attempts"] == found["dials"] + found["emails"]
    assert (found["duplicate_dials"], found["outside_hours"], found["after_deadline_counted"]) == (0, 0, 0)


def test_the_same_seed_gives_the_same_business_columns(app: Flask, tmp_path: Path) -> None:
    seen = []
    for n, seed in enumerate((1, 1, 2)):
        with played(app, tmp_path / str(n), seed):
            seen.append(figures.business_columns(db.session.connection()))
        db.session.rollback()
        _empty()
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


@pytest.mark.parametrize(
    ("today", "span"),
    [
        (date(2026, 7, 20), Span(date(2026, 1, 1), date(2026, 6, 30), date(2026, 7, 14))),
        (date(2026, 7, 14), Span(date(2025, 12, 1), date(2026, 5, 31), date(2026, 6, 14))),
        (date(2026, 1, 2), Span(date(2025, 6, 1), date(2025, 11, 30), date(2025, 12, 14))),
        (date(2028, 3, 31), Span(date(2027, 9, 1), date(2028, 2, 29), date(2028, 3, 14))),
    ],
)
def test_the_latest_six_months_whose_decision_is_over(today: date, span: Span) -> None:
    assert latest_span(today) == span


@pytest.mark.parametrize(
    ("seed", "until", "same"),
    [(None, None, True), (5, "2026-07-20", True), (1, None, False), (None, "2026-07-21", False)],
)
def test_a_second_start_shows_what_was_played_and_refuses_another(
    app: Flask, seed: int | None, until: str | None, same: bool
) -> None:
    record = demo.Record(5, "2026-07-20", "2026-01-01", "2026-07-14", 100.0)
    with nullcontext() if same else pytest.raises(Refused, match="seed 5, until 2026-07-20, has been played here"):
        cli.check_same(record, seed, until)


def test_the_scheduler_looks_at_the_clock_every_hour() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert on_grid(noon) == noon
    assert on_grid(noon + timedelta(seconds=1)) == noon + timedelta(hours=1)


class TestFigures:
    """The demo's zeros would show it if something went wrong."""

    @pytest.fixture
    def dialled(self, app: Flask, at_noon: clock.ManualClock) -> int:
        return factories.attempt(state="dialling").id

    def figures_of(self, *dials: Dial) -> dict[str, object]:
        return figures.figures(db.session.connection(), list(dials), 0)

    def test_a_second_dial_of_one_attempt_shows(self, dialled: int, at_noon: clock.ManualClock) -> None:
        dial = Dial(at_noon(), "+12125550123", dialled)
        assert self.figures_of(dial)["duplicate_dials"] == 0
        assert self.figures_of(dial, dial)["duplicate_dials"] == 1

    @pytest.mark.parametrize(
        ("hour", "number", "outside"),
        [(14, "+12125550123", 0), (12, "+12125550123", 1), (15, "+13105550123", 1), (17, "+13105550123", 0)],
    )
    def test_a_dial_outside_the_hours_of_its_zone_shows(
        self, dialled: int, hour: int, number: str, outside: int
    ) -> None:
        at = datetime(2026, 3, 12, hour, tzinfo=UTC)
        assert self.figures_of(Dial(at, number, dialled))["outside_hours"] == outside

    def test_a_dial_nobody_asked_for_shows(self, dialled: int, at_noon: clock.ManualClock) -> None:
        assert self.figures_of(Dial(at_noon(), "+12125550123", 999_999))["outside_hours"] == 1
        assert self.figures_of(Dial(at_noon(), "+12125550123", None))["outside_hours"] == 1

    def test_a_response_counted_after_its_deadline_shows(self, app: Flask, at_noon: clock.ManualClock) -> None:
        survey = factories.survey()
        at_noon.move_to(survey.deadline)
        survey.disposition, survey.closed_at = Disposition.COMPLETE, survey.deadline
        db.session.flush()
        db.session.execute(
            text(
                "INSERT INTO responses (survey_id, complete, resolved, overall, agent, channel, derived_at)"
                " VALUES (:id, true, 'yes', 5, 5, 'ivr', now())"
            ),
            {"id": survey.id},
        )
        assert self.figures_of()["after_deadline_counted"] == 1
        assert db.session.get(Survey, survey.id) is not None
